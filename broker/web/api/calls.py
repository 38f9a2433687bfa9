"""The call log as an app's owners see it."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.model import Caller
from broker.errors import wrong_field
from broker.providers.base import Provider
from broker.stores.connections.apps import Apps
from broker.stores.proxy.calls import BEGINNING, END, CallFilter, Calls, LoggedCall
from broker.web.core.moments import Moment
from broker.web.core.openapi import operation
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, UserRef, path_slug

STATUS = "must be a status such as 404, or a class such as 5xx"
REQUEST_ID = "must be a request id"
METHOD = "must be an HTTP method"
PATH = "must not contain a NUL"
ERROR = "must be a code such as reauth-required"


class CallQuery(RequestModel):
    """Which calls to list. `status` is one (`404`) or a class (`5xx`); `path` is any part of a
    path, or a whole one; `after` is the `after` of the previous page. With `requestId` the others
    are not looked at.
    """

    requestId: Annotated[str, Matches(r"[ -~]{1,200}", REQUEST_ID)] | None = None
    userForeignIdentifier: UserRef | None = None
    keyId: UUID | None = None
    method: Annotated[str, Matches(r"[A-Za-z]{1,16}", METHOD)] | None = None
    path: Annotated[str, Field(max_length=1000), Matches(r"[^\x00]*", PATH)] | None = None
    status: Annotated[str, Matches(r"[1-5](\d\d|xx)", STATUS)] | None = None
    error: Annotated[str, Matches(r"[a-z-]{1,60}", ERROR)] | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Annotated[str, Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class CallShown(BaseModel):
    """A call: `path` is a template without names, `error` one of the broker's codes, or
    `caller-left` or `answer-cut`.
    """

    id: UUID
    at: datetime
    userForeignIdentifier: str
    keyId: UUID
    requestId: str
    method: str
    path: str
    status: int
    error: str | None
    bytes: int
    ms: int
    retries: int
    renewed: bool
    providerRequestId: str | None


class CallPage(BaseModel):
    """A page of calls, newest first; pass `after` to fetch the next, null at the end."""

    calls: list[CallShown]
    after: str | None


class CallHandlers:
    """`/api/apps/{slug}/calls`."""

    def __init__(self, apps: Apps, calls: Calls, providers: Mapping[str, Provider]) -> None:
        self._apps = apps
        self._calls = calls
        self._providers = providers

    @operation("calls", query=CallQuery, answers={200: CallPage}, tags=("Proxy",))
    async def index(self, request: web.Request, caller: Caller, query: CallQuery) -> CallPage:
        """List an app's proxied calls, newest first, a second or so after they ended."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        if query.requestId is not None:
            of_request = await self._calls.of_request([app], query.requestId)
            return CallPage(calls=[shown(call) for _, call in of_request], after=None)
        found = await self._calls.page(
            app,
            filter_of(query, self._providers[app.provider]),
            before=None if query.after is None else decode_cursor(query.after),
            limit=query.limit + 1,
        )
        page = found[: query.limit]
        return CallPage(
            calls=[shown(call) for call in page],
            after=encode_cursor(page[-1]) if len(found) > query.limit else None,
        )


def filter_of(query: CallQuery, provider: Provider) -> CallFilter:
    """The calls that a query asks for; a path with names in it is found by its template."""
    path = query.path or None
    return CallFilter(
        since=query.since or BEGINNING,
        until=query.until or END,
        user_ref=query.userForeignIdentifier,
        statuses=statuses_of(query.status),
        method=query.method and query.method.upper(),
        path=path,
        # The log keeps no query.
        template=provider.template_of(path) if path and path.startswith("/") else None,
        error=query.error,
        key_id=query.keyId,
    )


def statuses_of(status: str | None) -> tuple[int, int]:
    """The least and the greatest status of a filter such as `404` or `5xx`."""
    if status is None:
        return 0, 999
    if status.endswith("xx"):
        return int(status[0]) * 100, int(status[0]) * 100 + 99
    return int(status), int(status)


def encode_cursor(call: LoggedCall) -> str:
    """A call's position in the order of the log."""
    micros = round(call.at.timestamp() * 1_000_000)
    return base64.urlsafe_b64encode(micros.to_bytes(8, "big") + call.id.bytes).decode()


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """The position in a cursor. Raises InvalidRequest."""
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        micros = int.from_bytes(raw[:8], "big")
        at = datetime.fromtimestamp(micros // 1_000_000, UTC)
        return at.replace(microsecond=micros % 1_000_000), UUID(bytes=raw[8:])
    except (binascii.Error, ValueError, OverflowError, OSError):
        raise wrong_field("after", "invalid cursor") from None


def shown(call: LoggedCall) -> CallShown:
    """A call as callers and operators see it."""
    return CallShown(
        id=call.id,
        at=call.at,
        userForeignIdentifier=call.user_ref,
        keyId=call.key_id,
        requestId=call.request_id,
        method=call.method,
        path=call.path,
        status=call.status,
        error=call.error,
        bytes=call.bytes,
        ms=call.ms,
        retries=call.retries,
        renewed=call.renewed,
        providerRequestId=call.provider_request_id,
    )
