"""The way into every CRM endpoint: who calls, for which portal, within which limits."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from multidict import MultiDict

from broker.sandbox.hubspot.access import LIMITS, authorized, count, count_search, require_scope
from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.crm.operations import Crm
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.events.changes import Author
from broker.sandbox.hubspot.grants import AccessToken
from broker.sandbox.hubspot.portal import Portal
from broker.sandbox.hubspot.world import Sandbox

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Work = Callable[["Call"], Awaitable[web.StreamResponse]]
MOST_INPUTS = 100


@dataclass(slots=True)
class Call:
    """A call that was let in."""

    sandbox: Sandbox
    request: web.Request
    access: AccessToken
    portal: Portal

    @property
    def crm(self) -> Crm:
        """The portal, as changed by the calling app."""
        app = self.sandbox.apps[self.access.refresh.client_id]
        return self.sandbox.crm(self.portal, Author("INTEGRATION", str(app.app_id)))

    @property
    def dated(self) -> bool:
        """Whether the path is of a dated version (`2026-03`), not of v3 or v4."""
        return "/2026-" in self.request.path

    def kind(self, name: str = "objectType") -> ObjectType:
        """The object type that a part of the path names."""
        named = self.request.match_info[name]
        kind = self.portal.type(named)
        if kind is None:
            raise Refused(400, f"Unable to infer object type from: {named}")
        return kind

    def require(self, scopes: tuple[str, ...]) -> None:
        """Refuse unless the token has one of the scopes."""
        require_scope(self.access, scopes)

    def allowed(self, right: str, name: str = "objectType") -> ObjectType:
        """The object type in the path, when the token may "read" or "write" its records."""
        kind = self.kind(name)
        self.require(kind.scopes(right))
        return kind

    async def body(self) -> dict[str, Any]:
        """The JSON object that was sent."""
        read = await self.json()
        if not isinstance(read, dict):
            raise Refused(400, "Invalid input JSON on line 1, column 1: not an object")
        return read

    async def json(self) -> Any:
        """The JSON that was sent."""
        try:
            return json.loads(await self.request.read())
        except ValueError as error:
            at = f"line {getattr(error, 'lineno', 1)}, column {getattr(error, 'colno', 1)}"
            raise Refused(400, f"Invalid input JSON on {at}: not JSON") from error

    async def inputs(self, most: int = MOST_INPUTS) -> list[Any]:
        """The `inputs` of a batch."""
        return checked_inputs(await self.body(), most)

    def number(self, name: str, default: int, most: int) -> int:
        """A number in the query."""
        text = self.request.query.get(name, str(default))
        if not text.isdecimal() or int(text) > most:
            raise Refused(400, f"Invalid {name}: {text[:20]}", "VALIDATION_ERROR")
        return int(text)

    def page(self, rows: list[Any], limit: int, after: int) -> tuple[list[Any], dict[str, Any]]:
        """A page by position, with the `paging` part when there is more."""
        page = rows[after : after + limit]
        if after + limit >= len(rows):
            return page, {}
        return page, self.paging(str(after + limit))

    def paging(self, after: str) -> dict[str, Any]:
        """The `paging` part that leads to the next page: at the server's own address, as HubSpot
        writes its own, whatever the call came through.
        """
        query = MultiDict(self.request.query)
        query["after"] = after
        link = self.request.url.with_query(query)
        return {"paging": {"next": {"after": after, "link": str(link)}}}


def checked_inputs(body: dict[str, Any], most: int = MOST_INPUTS) -> list[Any]:
    """The `inputs` of a batch body. Refuses none, too many, or what is not a list."""
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise Refused(400, "Invalid input JSON on line 1, column 1: inputs is missing")
    if not 0 < len(inputs) <= most:
        message = f"A batch takes 1 to {most} inputs; there were {len(inputs)}."
        raise Refused(400, message, "VALIDATION_ERROR")
    return inputs


def entered(sandbox: Sandbox, work: Work, *, search: bool = False) -> Handler:
    """An endpoint that lets a call in and does its work."""

    async def handle(request: web.Request) -> web.StreamResponse:
        access = authorized(sandbox, request)
        portal = sandbox.portals[access.refresh.hub_id]
        if portal.moving_until > sandbox.now():
            wait = int(portal.moving_until - sandbox.now()) + 1
            refused = Refused(477, "The account is moving to another data centre.", "MIGRATION")
            refused.headers["Retry-After"] = str(wait)
            raise refused
        if search:
            count_search(sandbox, access)
        else:
            request[LIMITS] = count(sandbox, access)
        try:
            return await work(Call(sandbox, request, access, portal))
        except (KeyError, TypeError, AttributeError) as wrong:
            message = f"Invalid input JSON: a field is missing or of another type ({wrong})"
            raise Refused(400, message[:200], "VALIDATION_ERROR") from wrong

    return handle
