"""The code speaks the field's language: no word of a private one in a name or a docstring.

An engineer who knows OAuth, HTTP, asyncio and Postgres should need no glossary. The words below once
meant something only here; each has a standard term, which stands next to it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted([*(ROOT / "broker").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])

NAMES = {
    "said": "payload, fields, response",
    "told": "reported, seen, notified",
    "given": "fields, overrides, requested",
    "asked": "requested, request",
    "wants": "requires",
    "beside": "background",
    "anew": "again, new",
    "doorbell": "invalidation listener",
    "rung": "notified",
    "whose": "key, owner",
    "mine": "own",
    "held": "locked, pending",
    "lapsed": "expired",
    "lapses": "expires",
    "owed": "pending",
    "owe": "enqueue",
    "happening": "event",
    "happenings": "events",
    "desk": "views",
    "turns": "queue",
    "borne": "prior failures",
    "noted": "recorded",
    "forget": "purge, delete, discard, clear",
    "goes": "is, runs",
    "bring": "import",
    "took": "accepted",
    "tells": "sends",
}
"""Words that no identifier consists of, or has between underscores: what to say instead."""

PHRASES = {
    r"\banew\b": "again",
    r"\bat hand\b": "cached",
    r"\bin hand\b": "held",
    r"\bdoorbell\b": "invalidation listener",
    r"\blast words?\b": "flush",
    r"\bof (?:which|whom) nobody\b": "unknown",
    r"\bnobody learn": "unknown",
    r"\bis no [A-Z]?[a-z]+(?:'s)?\.": "is not a ...",
    r"\btold of\b": "reported",
    r"\bput(?:s)? off\b": "rescheduled",
    r"\bgoes? round\b": "loops",
    r"\b[Oo]wes? (?:a|an|the|them|it)\b": "enqueues",
    r"\b[Nn]obody knows\b": "unknown",
    r"\bheld grant\b": "pending grant",
}
"""What no docstring, comment of a query or page of the docs says, and a plainer way."""

EXCEPTIONS = {
    ("broker/services/quota/shares.py", "held"),  # permits that a process holds
    ("broker/services/quota/sliding_window.py", "held"),
    ("tests/unit/test_quota.py", "held"),
    ("tests/flows/access/test_tenancy.py", "given"),  # hypothesis
}
"""Identifiers that mean what the word says."""


def _parts(name: str) -> set[str]:
    return set(name.strip("_").lower().split("_"))


def _names(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
    return {name for name in found if not name.startswith("test_")}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_are_standard_terms(module):
    file = module.relative_to(ROOT).as_posix()
    names = {
        name for name in _names(ast.parse(module.read_text())) if (file, name) not in EXCEPTIONS
    }

    private = {name: NAMES[part] for name in names for part in _parts(name) & NAMES.keys()}

    assert private == {}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_plain(module):
    if module.name == "test_words.py":
        return
    docstrings = [
        node.value.value
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]

    odd = {
        found[0]: plain
        for text in docstrings
        for pattern, plain in PHRASES.items()
        if (found := re.search(pattern, " ".join(text.split())))
    }

    assert odd == {}


PROSE = sorted([*(ROOT / "sql").rglob("*.sql"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("file", PROSE, ids=lambda path: str(path.relative_to(ROOT)))
def test_queries_and_docs_are_plain(file):
    text = " ".join(file.read_text().replace("\n--", "\n").split())

    odd = {
        found[0]: plain for pattern, plain in PHRASES.items() if (found := re.search(pattern, text))
    }

    assert odd == {}


def test_a_private_word_would_be_found():
    tree = ast.parse("def tell_all(said):\n    whose = said\n")

    assert {part for name in _names(tree) for part in _parts(name) & NAMES.keys()} == {
        "said",
        "whose",
    }
