"""The call log: calls with their users and outcomes, never their contents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from broker.domain.model import App
from broker.stores.core.database import Database
from broker.stores.core.partitions import Partitions
from broker.stores.core.queries import sql

FIRST_ERROR = 400

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(9000, 1, 1, tzinfo=UTC)
LAST = UUID(int=2**128 - 1)


def call_log(keep_days: int) -> Partitions:
    """The table's partitions, one for each day."""
    return Partitions("proxied_call", "at", keep_days, lambda day: f"{day} 00:00:00+00")


@dataclass  # one for each call: of slots, JSON takes three times as long
class CallRecord:
    """A call that has ended. `path` is the template of its target; `error` is the code of a refusal
    of the broker's, or says that the caller left or that the answer broke off. The request id is 32
    hexadecimal digits, and the call's own id. There is no connection where the user has none.
    """

    workspace_id: UUID
    app_id: UUID
    at: float
    connection_id: UUID | None
    user_ref: str
    key_id: UUID
    request_id: str
    method: str
    path: str
    status: int = 0
    error: str | None = None
    bytes: int = 0
    ms: int = 0
    retries: int = 0
    renewed: bool = False
    provider_request_id: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call as people look at it; `path` is a template without names."""

    id: UUID
    at: datetime
    user_ref: str
    key_id: UUID
    request_id: str
    method: str
    path: str
    status: int
    error: str | None
    bytes: int
    ms: int
    retries: int
    renewed: bool
    provider_request_id: str | None


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls of an app to find: what is left out matches all. `statuses` are the least and the
    greatest; `path` is any part of a template, and `template` a whole one that is found as well.
    """

    since: datetime = BEGINNING
    until: datetime = END
    user_ref: str | None = None
    statuses: tuple[int, int] = (0, 999)
    method: str | None = None
    path: str | None = None
    template: str | None = None
    error: str | None = None
    key_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CallStep:
    """The calls of one step of time: how many, how many went wrong in which way, milliseconds."""

    step: datetime
    calls: int
    limited: int
    refused: int
    failed: int
    p50: int
    p95: int


@dataclass(frozen=True, slots=True)
class CallError:
    """One way in which calls went wrong: a code of the broker's, or the provider's status; how
    often, and when last.
    """

    error: str | None
    status: int | None
    number: int
    last: datetime


@dataclass(frozen=True, slots=True)
class AccountUse:
    """How an app called one account; `lately` is within the last minute, in which its provider
    accepts `a_minute`.
    """

    account_id: str | None
    calls: int
    limited: int
    lately: int
    quota: str | None
    a_minute: int | None


class Calls:
    """Calls that were made, for as long as they are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, records: list[CallRecord]) -> None:
        """Write down calls; one that was written before stays as it is."""
        # As JSON of their own fields: a fraction of what sixteen arrays of values cost.
        text = orjson.dumps(records, default=_text_of).decode()  # asyncpg has a UUID of its own
        await self._database.execute(sql.write_calls, text)

    async def page(
        self,
        app: App,
        wanted: CallFilter,
        *,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[LoggedCall]:
        """Calls of an app, newest first: at most `limit`, before a position in that order."""
        query = sql.failed_calls_page if wanted.statuses[0] >= FIRST_ERROR else sql.calls_page
        rows = await self._database.fetch(
            query, *_matching(app, wanted), *(before or (END, LAST)), limit
        )
        return [LoggedCall(**dict(row.items())) for row in rows]

    async def of_request(
        self, apps: Sequence[App], request_id: str
    ) -> list[tuple[App, LoggedCall]]:
        """The calls of some apps of a workspace with a request id, the broker's or the provider's:
        at most a hundred, newest first, each with its app.
        """
        if not apps:
            return []
        try:
            own = UUID(request_id)
        except ValueError:
            own = None
        by_id = {app.id: app for app in apps}
        rows = await self._database.fetch(
            sql.calls_of_request, apps[0].workspace_id, list(by_id), own, request_id
        )
        found = [dict(row.items()) for row in rows]
        return [(by_id[fields.pop("app_id")], LoggedCall(**fields)) for fields in found]

    async def chart(self, app: App, wanted: CallFilter, step: timedelta) -> list[CallStep]:
        """An app's calls in steps of time, oldest first; steps without calls are left out."""
        rows = await self._database.fetch(sql.call_chart, *_matching(app, wanted), step)
        return [CallStep(**dict(row.items())) for row in rows]

    async def errors(self, app: App, wanted: CallFilter) -> list[CallError]:
        """What went wrong, most often first."""
        rows = await self._database.fetch(sql.call_errors, *_matching(app, wanted))
        return [CallError(**dict(row.items())) for row in rows]

    async def accounts(self, app: App, span: timedelta) -> list[AccountUse]:
        """The HubSpot accounts that were called most, with their quota."""
        rows = await self._database.fetch(sql.call_accounts, app.workspace_id, app.id, span)
        return [AccountUse(**dict(row.items())) for row in rows]

    async def purge(self, days: int) -> int:
        """Delete some calls older than so many days that no partition holds; how many."""
        return await self._database.purge(sql.purge_calls, timedelta(days=days))


@lru_cache(maxsize=4096)
def _text_of(name: UUID) -> str:
    return str(name)


def _matching(app: App, wanted: CallFilter) -> tuple[Any, ...]:
    return (
        app.workspace_id,
        app.id,
        wanted.since,
        wanted.until,
        wanted.user_ref,
        *wanted.statuses,
        wanted.method,
        wanted.path,
        wanted.template,
        wanted.error,
        wanted.key_id,
    )
