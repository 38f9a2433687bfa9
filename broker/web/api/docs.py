"""`/docs`: every operation of the OpenAPI document, and the guides that come with the broker."""

import re
from collections.abc import Mapping
from os.path import normpath
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from markdown_it import MarkdownIt
from markdown_it.token import Token

from broker.web.api.docs_index import Section, arranged, search, sections_of, slug_of
from broker.web.api.samples import samples
from broker.web.core.openapi import public
from broker.web.core.pages import Pages

_PACKAGED = Path(__file__).parents[2] / "docs"
DOCS = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[3] / "docs"
"""Where the guides are: inside the wheel, or next to the package in a checkout."""

INLINE = MarkdownIt("commonmark", {"html": False})


class DocsPages:
    """`/docs` and `/docs/{name}`."""

    def __init__(self, pages: Pages, document: Mapping[str, Any]) -> None:
        self._pages = pages
        self._document = document
        self._guides = {
            str(file.relative_to(DOCS).with_suffix("")): file for file in sorted(DOCS.rglob("*.md"))
        }
        self._rendered: dict[str, tuple[str, str]] = {}
        self._searched: list[Section] = []

    @public(tags=("Operations",))
    async def welcome(self, _request: web.Request) -> web.Response:
        """Show the way to the console and to these pages."""
        return self._pages.page("pages/welcome.html")

    @public(tags=("Operations",))
    async def reference(self, request: web.Request) -> web.Response:
        """Show every operation for people, with the guides; with `q`, what is found in both."""
        words = request.query.get("q", "").strip()[:200]
        if words:
            return self._pages.page(
                "pages/search.html",
                posts_to="'self'",
                menu=self._menu(),
                here=None,
                words=words,
                results=search(self._sections(), words),
            )
        return self._pages.page(
            "pages/reference.html",
            posts_to="'self'",
            menu=self._menu(),
            here="",
            words="",
            server=self._document["servers"][0]["url"],
            groups=_groups(self._document),
        )

    @public(tags=("Operations",))
    async def guide(self, request: web.Request) -> web.Response:
        """Show a guide: errors, operating, security and others."""
        name = request.match_info["name"]
        if name not in self._guides:
            return self._pages.page(
                "pages/missing.html",
                404,
                posts_to="'self'",
                menu=self._menu(),
                here=None,
                words="",
            )
        title, html = self._page(name)
        return self._pages.page(
            "pages/guide.html",
            posts_to="'self'",
            menu=self._menu(),
            here=name,
            words="",
            title=title,
            html=html,
        )

    def _menu(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """What readers need, and the guides for it by name and title."""
        return [
            (need, [(name, self._page(name)[0]) for name in names])
            for need, names in arranged(self._guides)
        ]

    def _sections(self) -> list[Section]:
        """Everything that is searched: operations, then guides in the order of the menu."""
        if not self._searched:
            for _, operations in _groups(self._document):
                for each in operations:
                    title = f"{' '.join(each['methods'][:3])} {each['path']}"
                    text = f"{each['summary']}. {each['description']}"
                    self._searched.append(Section("", each["id"], title, title, text))
            listed = [name for _, names in arranged(self._guides) for name in names]
            for name in [*listed, *(name for name in self._guides if name not in listed)]:
                title = self._page(name)[0]
                self._searched += sections_of(name, title, self._guides[name].read_text())
        return self._searched

    def _page(self, name: str) -> tuple[str, str]:
        if name not in self._rendered:
            self._rendered[name] = self._render(name)
        return self._rendered[name]

    def _render(self, name: str) -> tuple[str, str]:
        """A guide's title and its HTML; markup inside a guide stays text."""
        markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        tokens = markdown.parse(self._guides[name].read_text())
        title = name
        for number, token in enumerate(tokens):
            if token.type == "heading_open":
                words = tokens[number + 1].content
                token.attrSet("id", slug_of(words))
                title = words if token.tag == "h1" else title
            if token.type == "table_open":
                token.attrSet("tabindex", "0")
            if token.type == "fence":
                token.attrSet("tabindex", "0")
            if token.children:
                token.children = [each for each in token.children if each.type != "image"]
                self._lead(name, token.children)
        return title, markdown.renderer.render(tokens, markdown.options, {})

    def _lead(self, name: str, tokens: list[Token]) -> None:
        """Let links between guides lead to the page of the other; of a link to a file that only a
        checkout has, the words stay.
        """
        leads = True
        for token in tokens:
            if token.type == "link_open":
                href = self._href(name, str(token.attrGet("href")))
                leads = href is not None
                token.attrs = {} if href is None else {**token.attrs, "href": href}
            if token.type in {"link_open", "link_close"} and not leads:
                token.tag = "span"

    def _href(self, name: str, href: str) -> str | None:
        path, _, anchor = href.partition("#")
        if urlsplit(href).scheme or not path:
            return href
        target = normpath(Path("/", name).parent / path).lstrip("/")
        guide = re.sub(r"\.md$", "", target)
        if guide not in self._guides:
            return None
        return f"{self._pages.root}/docs/{guide}" + (f"#{anchor}" if anchor else "")


def _groups(document: Mapping[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Operations by tag, each with its parameters, fields and answers as rows."""
    schemas = document["components"]["schemas"]
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        shown: dict[str, list[str]] = {}
        for method, operation in methods.items():
            # One handler for many methods is one operation to a reader.
            same = shown.setdefault(operation["summary"], [])
            same.append(method.upper())
            if len(same) > 1:
                continue
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            groups.setdefault((operation.get("tags") or ["Other"])[0], []).append(
                {
                    "id": operation["operationId"],
                    "methods": same,
                    "path": path,
                    "summary": operation["summary"],
                    "description": operation.get("description", ""),
                    "html": INLINE.renderInline(operation.get("description", "")),
                    "scopes": operation.get("x-broker-scopes"),
                    "parameters": [
                        {**each, "type": _type(each["schema"], schemas)}
                        for each in operation["parameters"]
                    ],
                    "fields": _fields(body.get("schema", {}), schemas),
                    "samples": samples(
                        document["servers"][0]["url"], method.upper(), path, operation
                    ),
                    "answers": [
                        (status, answer["description"], _fields(_schema_of(answer), schemas))
                        for status, answer in operation["responses"].items()
                        if status != "default"
                    ],
                }
            )
    return list(groups.items())


def _schema_of(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    found = answer.get("content", {}).get("application/json", {})
    schema: Mapping[str, Any] = found.get("schema", {})
    return schema


def _fields(
    schema: Mapping[str, Any], schemas: Mapping[str, Any]
) -> list[tuple[str, str, bool, str]]:
    """Name, type, whether it must be there, and meaning, of each field of an object."""
    named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = named.get("required", ())
    return [
        (name, _type(field, schemas), name in required, field.get("description", ""))
        for name, field in named.get("properties", {}).items()
    ]


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A field's type in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        choices = schemas.get(name, {}).get("enum")
        return " | ".join(map(str, choices)) if choices else name
    if "anyOf" in schema:
        return " | ".join(_type(each, schemas) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    return str(schema.get("format") or schema.get("type") or "anything")
