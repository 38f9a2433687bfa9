"""What every console page stands on: who is signed in, where forms come from, how pages look."""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs, quote
from uuid import UUID

from aiohttp import web

from broker.domain.audit import SOURCE, Source
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.tenancy import WORKSPACE
from broker.errors import BrokerError, InvalidRequest
from broker.services.access.callers import require
from broker.stores.access.operators import Operators
from broker.stores.connections.apps import Apps
from broker.web.console.times import format_ago, format_time
from broker.web.core.cookies import Cookie, check_same_origin
from broker.web.core.middleware import LOG_FIELDS, REQUEST_ID
from broker.web.core.origins import address_of
from broker.web.core.pages import Pages
from broker.web.core.requests import SLUG, read_body

SECTIONS = (
    ("apps", "Apps", ("apps", "connect")),
    ("connections", "Connections", ("connect",)),
    ("playground", "Playground", ("proxy", "proxy:read")),
    ("calls", "Calls", ("calls",)),
    ("events", "Events", ("webhooks",)),
    ("keys", "Keys", ("apps",)),
    ("audit", "Audit", ("audit",)),
)
"""The sections of the console, each with the scopes of which one opens it."""

Section = tuple[str, str, tuple[str, ...]]

PAGE_BYTES = 262_144


class ConsoleBase:
    """Pages for operators."""

    def __init__(
        self, pages: Pages, operators: Operators, apps: Apps, panels: Sequence[Section] = ()
    ) -> None:
        """`panels` are further sections, shown before the last three."""
        self.pages = pages
        self.operators = operators
        self.cookie = Cookie("broker-console", https=pages.https)
        self.app_cookie = "__Host-broker-app" if pages.https else "broker-app"
        self._apps = apps
        self._sections = (*SECTIONS[:-3], *panels, *SECTIONS[-3:])

    @property
    def section_labels(self) -> dict[str, str]:
        """What the navigation calls each section, by its name."""
        return {name: label for name, label, _ in self._sections}

    async def operator(self, request: web.Request) -> Operator | None:
        token = self.cookie.read(request)
        found = None if token is None else await self.operators.find(token)
        return found if found is not None and found.has_any_scope("console") else None

    def render(
        self,
        operator: Operator | None,
        template: str,
        section: str = "",
        status: int = 200,
        **values: Any,
    ) -> web.Response:
        """A page of the console, or a part of one."""
        app = values.get("app")
        slug = values.get("slug") or (app.slug if isinstance(app, App) else "")
        return self.pages.page(
            f"console/{template}",
            status=status,
            posts_to="'self'",
            operator=operator,
            section=section,
            sections=[
                each
                for each in self._sections
                if operator is not None and operator.has_any_scope(*each[2])
            ],
            chosen_app=slug,
            when=format_time,
            ago=format_ago,
            **values,
        )

    def redirect(self, request: web.Request, path: str) -> web.Response:
        """Go to another page: by a header for htmx, by 303 for everything else."""
        where = f"{self.pages.root}/console{path}"
        if "HX-Request" in request.headers:
            return web.Response(headers={"HX-Redirect": where})
        return web.Response(status=303, headers={"Location": where})

    async def apps(self, operator: Operator) -> list[App]:
        """The apps that the operator's key reaches."""
        found = await self._apps.of_workspace(operator.caller.workspace_id)
        return [app for app in found if operator.caller.can_access_app(app.slug)]

    async def choose(
        self, request: web.Request, operator: Operator, provider: str | None = None
    ) -> tuple[list[App], str]:
        """The apps (of a provider) that the operator's key reaches, and the short name of the one
        to show: that of the address unless it is another provider's, else the one that this
        browser showed last, else the first; empty without any.
        """
        reached = await self.apps(operator)
        apps = [each for each in reached if provider is None or each.provider == provider]
        slug = request.query.get("app", "")
        others = {each.slug for each in reached if each not in apps}
        if slug and slug.lower() not in others:
            return apps, slug
        last = request.cookies.get(self.app_cookie)
        return apps, next(
            (app.slug for app in apps if app.slug == last), apps[0].slug if apps else ""
        )

    def remember_app(
        self, request: web.Request, response: web.StreamResponse
    ) -> web.StreamResponse:
        """A response, with which this browser's next pages show the same app."""
        slug = request.match_info.get("slug", request.query.get("app", ""))
        known = request.method == "GET" and SLUG.fullmatch(slug) and response.status < 400
        if known and request.cookies.get(self.app_cookie) != slug:
            response.set_cookie(
                self.app_cookie,
                slug,
                path="/",
                secure=self.pages.https,
                httponly=True,
                samesite="Lax",
            )
        return response

    async def app(self, operator: Operator, slug: str) -> App:
        """One of them. Raises AppNotFound, as if others did not exist."""
        slug = slug.lower()
        if not SLUG.fullmatch(slug) or not operator.caller.can_access_app(slug):
            slug = ""
        return await self._apps.get(operator.caller.workspace_id, slug)


class HasConsole(Protocol):
    """A group of console pages."""

    console: ConsoleBase


H = Callable[[Any, web.Request, Operator], Awaitable[web.StreamResponse]]


def for_operators(*scopes: str) -> Callable[[H], Callable[[Any, web.Request], Any]]:
    """Make a handler of `async def name(self, request, operator)`: signed in, with one of the
    scopes, and with forms that come from our own pages.
    """

    def decorate(function: H) -> Callable[[Any, web.Request], Any]:
        @functools.wraps(function)
        async def handler(owner: HasConsole, request: web.Request) -> web.StreamResponse:
            console, operator = owner.console, None
            try:
                if request.method != "GET":
                    check_same_origin(request, console.pages.origin, needs_proof=True)
                operator = await console.operator(request)
                if operator is None:
                    back = request.path_qs if request.method == "GET" else "/console"
                    return console.redirect(request, f"/sign-in?next={quote(back, safe='')}")
                request[LOG_FIELDS]["key"] = str(operator.caller.key_id)
                SOURCE.set(Source("console", address_of(request)))
                WORKSPACE.set(operator.caller.workspace_id)
                if scopes:
                    require(operator.caller, *scopes)
                return console.remember_app(request, await function(owner, request, operator))
            except BrokerError as refusal:
                if refusal.status == 500:
                    raise
                return refused(console, request, operator, refusal)

        return handler

    return decorate


def refused(
    console: ConsoleBase, request: web.Request, operator: Operator | None, refusal: BrokerError
) -> web.Response:
    """A refusal as a page, or as a line where htmx requested a part of one."""
    part = "HX-Request" in request.headers
    response = console.render(
        operator,
        "problem.part.html" if part else "problem.html",
        # htmx shows a response only when its status is a success.
        status=200 if part else refusal.status,
        title=refusal.title(),
        detail=refusal.detail,
        code=refusal.code,
        request_id=request[REQUEST_ID],
    )
    response.headers["Broker-Error"] = refusal.code
    return response


async def form_of(request: web.Request) -> dict[str, list[str]]:
    """The fields of a form, in the order they came. Raises BodyTooLarge, InvalidRequest."""
    raw = await read_body(request, PAGE_BYTES)
    return parse_qs(raw.decode(errors="replace"), keep_blank_values=True, max_num_fields=2000)


def form_value(form: dict[str, list[str]], name: str) -> str:
    """A field that should stand once; empty when it does not stand."""
    return form.get(name, [""])[0].strip()


def page_id(request: web.Request, name: str = "before") -> UUID | None:
    """The id before which a page begins, None for the first. Raises InvalidRequest."""
    text = request.query.get(name)
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise InvalidRequest("There is no such page of the list.") from None
