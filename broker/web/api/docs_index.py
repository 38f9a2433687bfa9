"""The order of the guides, by what a reader needs, and the search through them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

SECTIONS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("Start", ("README", "hubspot", "sandbox", "glossary")),
    ("Connect", ("connect", "life-of-a-connection", "providers/*")),
    ("Call", ("api", "errors")),
    ("Events", ("events",)),
    ("Recipes", ("recipes", "recipes/*")),
    (
        "Operate",
        ("operating", "deploy/README", "scaling", "console", "upgrading", "changelog", "speed"),
    ),
    ("Secure", ("security",)),
    ("Build", ("architecture", "contributing", "adding-a-provider")),
)
"""Guides by what a reader needs; `*` is every other one in a folder. What is left out, such as
decisions, is found through links and the search."""

LAST = "changelog"
"""The guide that comes last among what was found: it names everything, and explains nothing."""

MOST_RESULTS = 30
SNIPPET = 160


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a guide under one heading, as plain text; `guide` is empty for an operation."""

    guide: str
    anchor: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """Where words were found, and what stands around them."""

    section: Section
    snippet: str


def arranged(guides: Iterable[str]) -> list[tuple[str, list[str]]]:
    """The needs in their order, each with the guides for it."""
    names = sorted(guides)
    return [
        (need, [name for pattern in patterns for name in names if fnmatchcase(name, pattern)])
        for need, patterns in SECTIONS
    ]


def sections_of(guide: str, title: str, markdown: str) -> list[Section]:
    """A guide's pieces; a `#` in a block of code is not a heading."""
    found: list[Section] = []
    heading, lines, fenced = title, list[str](), False

    def finish() -> None:
        text = re.sub(r"[`*|]|\]\([^)]*\)|\[", "", " ".join(lines))
        found.append(
            Section(guide, slug_of(heading), title, heading, re.sub(r"\s+", " ", text).strip())
        )

    for line in markdown.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (heads := re.match(r"#{1,4} (.+)", line)):
            finish()
            heading, lines = heads[1].replace("`", "").replace("\\", ""), []
        else:
            lines.append(line)
    finish()
    return [each for each in found if each.text]


def search(sections: Iterable[Section], words: str) -> list[Result]:
    """Sections in which every word occurs, best first: in the heading, the title, then often.

    Those of the changelog come last.
    """
    wanted = words.lower().split()[:10]
    if not wanted:
        return []
    ranked = []
    for number, section in enumerate(sections):
        heading, title, text = (
            each.lower() for each in (section.heading, section.title, section.text)
        )
        if not all(word in f"{title} {heading} {text}" for word in wanted):
            continue
        score = sum(
            20 * (word in heading) + 5 * (word in title) + min(text.count(word), 5)
            for word in wanted
        )
        place = section.guide == LAST, -score, number
        ranked.append((place, Result(section, _snippet(section.text, wanted))))
    return [result for _, result in sorted(ranked, key=lambda each: each[0])[:MOST_RESULTS]]


def _snippet(text: str, wanted: list[str]) -> str:
    lower = text.lower()
    at = min((lower.find(word) for word in wanted if word in lower), default=0)
    start = max(0, at - SNIPPET // 3)
    piece = text[start : start + SNIPPET]
    before, after = "… " if start else "", " …" if start + SNIPPET < len(text) else ""
    return f"{before}{piece.strip()}{after}"


def slug_of(words: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
