"""The audit log: `/api/audit`."""

from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.audit import AuditEntry
from broker.domain.model import Caller
from broker.stores.access.audit import Audit
from broker.web.core.moments import Moment
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, Text


class AuditQuery(RequestModel):
    """Which entries to list. `actor` is a key's id, or `operator` for the command line; `action`
    is one, or a family such as `app.*`; `before` is the `before` of the previous page.
    """

    since: Moment | None = None
    actor: Text | None = None
    action: Text | None = None
    before: Annotated[int, Field(ge=1, le=2**53)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class AuditEntryShown(BaseModel):
    """Who (`actor`, a key's id or a word; `actorName`, the key's name) did what (`action`, with the
    app, the user and a detail where there are any), when, and from where (`via` and the `address`
    of the peer). `hash` covers the entry and the one before it.
    """

    sequence: int
    at: datetime
    actor: str
    actorName: str | None
    via: str
    address: str | None
    action: str
    app: str | None
    userForeignIdentifier: str | None
    detail: str | None
    hash: str


class AuditPage(BaseModel):
    """A page of entries, newest first; pass `before` to fetch the next, null at the end."""

    entries: list[AuditEntryShown]
    before: int | None


class AuditHandlers:
    """`/api/audit`."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    @operation("audit", query=AuditQuery, answers={200: AuditPage}, tags=("Audit",))
    async def index(self, _request: web.Request, caller: Caller, query: AuditQuery) -> AuditPage:
        """List who did what in the workspace, newest first.

        A key that is limited to some apps sees the entries of those apps.
        """
        found = await self._audit.page(
            caller.workspace_id,
            app_slugs=caller.app_slugs,
            since=query.since,
            actor=query.actor,
            action=query.action,
            before=query.before,
            limit=query.limit + 1,
        )
        entries = found[: query.limit]
        return AuditPage(
            entries=[shown(entry) for entry in entries],
            before=entries[-1].sequence if len(found) > query.limit else None,
        )


def shown(entry: AuditEntry) -> AuditEntryShown:
    """An entry as callers and operators see it."""
    return AuditEntryShown(
        sequence=entry.sequence,
        at=entry.at,
        actor=entry.actor,
        actorName=entry.actor_name,
        via=entry.via,
        address=entry.address,
        action=entry.action,
        app=entry.app_slug,
        userForeignIdentifier=entry.user_ref,
        detail=entry.detail,
        hash=entry.hash.hex(),
    )
