"""Quotas of accounts, and which process holds how many permits of each."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from broker.errors import AppNotFound
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

EXPIRES_S = 25.0
"""How long a process's share outlives its last heartbeat: longer than the time between two, with an
interval of HubSpot's on top, so that permits that it used just before it died are not used again
too early."""

WANTED, AVAILABLE = "wanted", "available"


class QuotaName(NamedTuple):
    """What a provider counts together: the calls of one kind, of one app for one account."""

    workspace_id: UUID
    app_id: UUID
    account_id: str
    kind: str

    @property
    def text(self) -> str:
        """The name as a notification carries it."""
        return f"{self.workspace_id}/{self.app_id}/{self.account_id}/{self.kind}"


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """How many calls a provider admits in an interval (seconds), and whether it reported that."""

    size: int
    interval: float
    size_known: bool = False


@dataclass(frozen=True, slots=True)
class OtherHolders:
    """The permits of all other processes; how many of them have waiting calls, with how many users
    and permits.
    """

    permits: int
    waiting: int
    users: int
    waiting_permits: int = 0


@dataclass(frozen=True, slots=True)
class LockedQuota:
    """A locked quota: the one way to change one's share of it."""

    _session: Session
    _name: QuotaName
    _holder: UUID
    facts: QuotaFacts
    exhausted_for: float
    others: OtherHolders

    async def set_size(self, facts: QuotaFacts) -> None:
        """Write the size that HubSpot reported."""
        interval_ms = round(facts.interval * 1000)
        await self._session.execute(sql.set_quota_size, *self._name, facts.size, interval_ms)

    async def mark_exhausted(self, seconds: float) -> None:
        """The daily limit is used up for so long."""
        await self._session.execute(sql.mark_quota_exhausted, *self._name, seconds)

    async def write(self, permits: int, users: int, *, waiting: bool) -> None:
        """Hold so many permits from now on."""
        await self._session.execute(
            sql.write_share, *self._name, self._holder, permits, users, waiting, EXPIRES_S
        )

    async def notify_wanted(self) -> None:
        """Tell the other processes, when this is committed, that permits are wanted."""
        await _notify(self._session, WANTED, self._holder, self._name)

    async def notify_available(self) -> None:
        """Tell the other processes, when this is committed, that permits were returned."""
        await _notify(self._session, AVAILABLE, self._holder, self._name)


@dataclass(frozen=True, slots=True)
class QuotaNotification:
    """What another process has notified: that it wants permits of a quota, or has returned some."""

    name: str
    wanted: bool


class Quotas:
    """The shares of one process, which has a random id of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder = uuid4()

    def read_notification(self, payload: str) -> QuotaNotification | None:
        """A notification of another process; None for one of this process."""
        kind, _, rest = payload.partition(" ")
        holder, _, name = rest.partition(" ")
        return None if holder == str(self._holder) else QuotaNotification(name, kind == WANTED)

    @asynccontextmanager
    async def lock(self, name: QuotaName, assumed: QuotaFacts) -> AsyncIterator[LockedQuota]:
        """Lock a quota, made as assumed when it is new. Raises AppNotFound, Busy."""
        interval_ms = round(assumed.interval * 1000)
        try:
            async with self._database.transaction() as session:
                row = await session.fetchrow(sql.lock_quota, *name, assumed.size, interval_ms)
                # A statement of its own: it must see what was committed while this one waited.
                others = await session.fetchrow(sql.other_shares_of_quota, *name, self._holder)
                assert row is not None  # noqa: S101  # an upsert returns its row
                assert others is not None  # noqa: S101  # so does an aggregate
                yield LockedQuota(
                    session,
                    name,
                    self._holder,
                    QuotaFacts(row["size"], row["interval_ms"] / 1000, row["size_known"]),
                    row["exhausted_for"] or 0.0,
                    OtherHolders(
                        others["permits"],
                        others["waiting"],
                        others["users"],
                        others["waiting_permits"],
                    ),
                )
        except asyncpg.ForeignKeyViolationError as error:
            raise AppNotFound from error

    async def extend(self, names: Iterable[QuotaName]) -> dict[QuotaName, bool]:
        """Keep shares from expiring: those that have not, and whether others wait for them."""
        found = {}
        for workspace_id, own in grouped((name.workspace_id, name) for name in names):
            rows = await self._database.fetch(
                sql.extend_shares, workspace_id, self._holder, *_columns(own), EXPIRES_S
            )
            found.update({_name(row): row["wanted"] for row in rows})
        return found

    async def release(self, after: dict[QuotaName, float]) -> None:
        """Let shares expire, each after so many seconds, and notify the processes that wait."""
        for workspace_id, own in grouped((name.workspace_id, name) for name in after):
            seconds = [after[name] for name in own]
            async with self._database.transaction() as session:
                rows = await session.fetch(
                    sql.release_shares, workspace_id, self._holder, *_columns(own), seconds
                )
                for row in rows:
                    if row["wanted"]:
                        await _notify(session, AVAILABLE, self._holder, _name(row))

    async def purge(self) -> int:
        """Delete some expired shares, and quotas that were not used for a week; how many."""
        shares = await self._database.purge(sql.purge_expired_shares)
        return shares + await self._database.purge(sql.purge_unused_quotas)


async def _notify(session: Session, kind: str, holder: UUID, name: QuotaName) -> None:
    await session.execute(sql.notify_quota, f"{kind} {holder} {name.text}")


def _name(row: Any) -> QuotaName:
    return QuotaName(row["workspace_id"], row["app_id"], row["account_id"], row["kind"])


def _columns(names: list[QuotaName]) -> tuple[list[Any], ...]:
    return (
        [name.app_id for name in names],
        [name.account_id for name in names],
        [name.kind for name in names],
    )
