"""Quotas of accounts, and which process holds how much of each."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from broker.errors import AppNotFound
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

EXPIRES_S = 25.0
"""How long a process's share outlives its last word: longer than the pause between two words, with
an interval of HubSpot's on top, so that places that it used just before it died are not used again
too early."""


class QuotaName(NamedTuple):
    """What a provider counts together: the calls of one kind, of one app for one account."""

    workspace_id: UUID
    app_id: UUID
    account_id: str
    kind: str

    @property
    def text(self) -> str:
        """The name as a doorbell's ring carries it."""
        return f"{self.workspace_id}/{self.app_id}/{self.account_id}/{self.kind}"


@dataclass(frozen=True, slots=True)
class QuotaFacts:
    """How many calls a provider accepts within an interval (in seconds), and whether it said so."""

    size: int
    interval: float
    size_known: bool = False


@dataclass(frozen=True, slots=True)
class OtherHolders:
    """What all other processes hold of a quota; how many of them wait, and their users."""

    permits: int
    waiting: int
    users: int


@dataclass(frozen=True, slots=True)
class LockedQuota:
    """A locked quota: the one way to change one's share of it."""

    _session: Session
    _name: QuotaName
    _holder: UUID
    facts: QuotaFacts
    spent_for: float
    others: OtherHolders

    async def learn(self, facts: QuotaFacts) -> None:
        """Write what HubSpot said of the quota."""
        interval_ms = round(facts.interval * 1000)
        await self._session.execute(sql.set_quota_size, *self._name, facts.size, interval_ms)

    async def spend(self, seconds: float) -> None:
        """The daily limit is used up; asking again is worth it after a while."""
        await self._session.execute(sql.mark_quota_exhausted, *self._name, seconds)

    async def write(self, places: int, users: int, *, waiting: bool) -> None:
        """Hold so many places from now on."""
        await self._session.execute(
            sql.write_share, *self._name, self._holder, places, users, waiting, EXPIRES_S
        )

    async def notify_wanted(self) -> None:
        """Tell the other processes, when this is committed, that places are wanted."""
        await self._session.execute(sql.notify_quota_wanted, self._name.text)


class Quotas:
    """The shares of one process, which is known by a number of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holder = uuid4()

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
                    row["spent_for"] or 0.0,
                    OtherHolders(others["permits"], others["waiting"], others["users"]),
                )
        except asyncpg.ForeignKeyViolationError as error:
            raise AppNotFound from error

    async def extend(self, names: Iterable[QuotaName]) -> dict[QuotaName, bool]:
        """Keep shares from lapsing: those that are still held, and whether others wait for them."""
        rows = await self._database.fetch(
            sql.extend_shares, self._holder, *_columns(list(names)), EXPIRES_S
        )
        return {
            QuotaName(row["workspace_id"], row["app_id"], row["account_id"], row["kind"]): row[
                "wanted"
            ]
            for row in rows
        }

    async def release(self, after: dict[QuotaName, float]) -> None:
        """Let shares lapse, each after so many seconds."""
        await self._database.execute(
            sql.release_shares, self._holder, *_columns(list(after)), list(after.values())
        )

    async def purge(self) -> None:
        """Remove what lapsed and what nobody used for a week."""
        await self._database.execute(sql.purge_expired_shares)
        await self._database.execute(sql.purge_unused_quotas)


def _columns(names: list[QuotaName]) -> tuple[list[Any], ...]:
    return (
        [name.workspace_id for name in names],
        [name.app_id for name in names],
        [name.account_id for name in names],
        [name.kind for name in names],
    )
