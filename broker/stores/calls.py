"""The call log: what was called for whom and what came of it, never what it said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from broker.model import App
from broker.stores.database import Database
from broker.stores.queries import sql

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
END = datetime(9000, 1, 1, tzinfo=UTC)
LAST = UUID(int=2**128 - 1)
FORGOTTEN_AT_ONCE = 5_000


@dataclass(slots=True)
class CallRecord:
    """One call while it goes on, and after. `path` is its target's template; `error` is the code of
    a refusal of ours, or says that the caller left or that the answer broke off.
    """

    workspace_id: UUID
    id: UUID
    app_id: UUID
    at: float
    connection_id: UUID
    user_ref: str
    key_id: UUID
    request_id: str
    method: str
    target: str
    path: str = ""
    status: int = 0
    error: str | None = None
    bytes: int = 0
    ms: int = 0
    retries: int = 0
    renewed: bool = False


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


class Calls:
    """Calls that were made, for as long as they are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Write down calls; one that was written before stays as it is."""
        columns = zip(
            *(
                (
                    record.workspace_id,
                    record.id,
                    record.app_id,
                    datetime.fromtimestamp(record.at, UTC),
                    record.connection_id,
                    record.user_ref,
                    record.key_id,
                    record.request_id,
                    record.method,
                    record.path,
                    record.status,
                    record.error,
                    record.bytes,
                    record.ms,
                    record.retries,
                    record.renewed,
                )
                for record in records
            ),
            strict=True,
        )
        await self._database.execute(sql.write_calls, *map(list, columns))

    async def page(
        self,
        app: App,
        *,
        user_ref: str | None,
        statuses: tuple[int, int],
        since: datetime | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[LoggedCall]:
        """Calls of an app, newest first: at most `limit`, before a place in that order."""
        rows = await self._database.fetch(
            sql.calls_page,
            app.workspace_id,
            app.id,
            user_ref,
            *statuses,
            since or BEGINNING,
            *(before or (END, LAST)),
            limit,
        )
        return [LoggedCall(**dict(row.items())) for row in rows]

    async def forget(self, days: int) -> int:
        """Remove some calls older than so many days; how many were."""
        return await self._database.execute(
            sql.forget_calls, timedelta(days=days), FORGOTTEN_AT_ONCE
        )
