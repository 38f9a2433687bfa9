"""Where recipes stand in what they poll: claimed under a lease, written behind a fence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from broker.domain.events import NewEvent
from broker.domain.runs import Recipe, RunRequest
from broker.stores.core.database import Database
from broker.stores.core.queries import sql
from broker.stores.events.events import publish
from broker.stores.recipes.runs import create


@dataclass(frozen=True, slots=True)
class ClaimedPoll:
    """A user's poll, claimed by this process. The cursor holds for these two accounts only.
    Without one a poll begins at `begins_at`. `started_at` is the database's time of the claim.
    """

    workspace_id: UUID
    app_id: UUID
    app_slug: str
    recipe: str
    user_ref: str
    hub_id: int | None
    account_id: str | None
    cursor: Mapping[str, Any] | None
    begins_at: datetime
    failures: int
    started_at: datetime
    claim: int


@dataclass(frozen=True, slots=True)
class PollRecord:
    """A user's poll, for display. `due_at` is None while it waits for the user to connect."""

    user_ref: str
    account_id: str | None
    failures: int
    last_error: str | None
    polled_at: datetime | None
    due_at: datetime | None
    cursor: Mapping[str, Any]


class PollStore:
    """Every poll. What its claimer writes counts only while nobody else has claimed or woken it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, recipes: Sequence[str], busy: Sequence[UUID], limit: int, lease: timedelta
    ) -> list[ClaimedPoll]:
        """Claim due polls of recipes, none of the busy apps; others leave them during the lease."""
        due = await self._database.fetch(sql.due_polls, list(recipes), list(busy), limit)
        found = []
        for each in due:
            key = each["workspace_id"], each["app_id"], each["recipe"], each["user_ref"]
            row = await self._database.fetchrow(sql.claim_poll, *key, each["claim"], lease)
            if row is not None:
                found.append(
                    ClaimedPoll(
                        each["workspace_id"],
                        each["app_id"],
                        each["slug"],
                        each["recipe"],
                        each["user_ref"],
                        row["hub_id"],
                        row["account_id"],
                        None if row["cursor"] is None else json.loads(row["cursor"]),
                        row["begins_at"],
                        row["failures"],
                        each["looked_at"],
                        each["claim"] + 1,
                    )
                )
        return found

    async def advance(
        self,
        poll: ClaimedPoll,
        recipe: Recipe,
        hub_id: int,
        account_id: str,
        cursor: Mapping[str, Any],
        pause: timedelta,
        runs: Sequence[RunRequest],
        events: Sequence[NewEvent],
    ) -> int:
        """Store where the next poll begins, and with it start the runs that this one has found and
        publish its events; how many runs are new, for one that is there stays as it is. None of it
        when another process has the poll by now.
        """
        async with self._database.transaction() as session:
            moved = await session.execute(
                sql.advance_poll, *_key(poll), hub_id, account_id, json.dumps(cursor), pause
            )
            if moved != "UPDATE 1":
                return 0
            await publish(session, poll.workspace_id, poll.app_id, events)
            created = [await create(session, recipe, request, None) for request in runs]
            return len(created) - created.count(None)

    async def postpone(self, poll: ClaimedPoll, pause: timedelta, error: str, failed: int) -> None:
        """The poll is to be tried again after a pause, from the same cursor."""
        await self._database.execute(sql.postpone_poll, *_key(poll), pause, failed, error)

    async def park(self, poll: ClaimedPoll, error: str) -> None:
        """The poll goes on from the same cursor when the user connects again."""
        await self._database.execute(sql.postpone_poll, *_key(poll), None, 0, error)

    async def of_app(
        self, workspace_id: UUID, app_id: UUID, recipe: str, limit: int
    ) -> list[PollRecord]:
        """Polls for an app's users, for display: those in trouble first."""
        rows = await self._database.fetch(sql.polls_of_app, workspace_id, app_id, recipe, limit)
        return [PollRecord(**{**row, "cursor": json.loads(row["cursor"] or "{}")}) for row in rows]

    async def delete(self, poll: ClaimedPoll) -> None:
        """The user is no longer connected."""
        await self._database.execute(sql.delete_poll, *_key(poll))


def _key(poll: ClaimedPoll) -> tuple[UUID, UUID, str, str, int]:
    return poll.workspace_id, poll.app_id, poll.recipe, poll.user_ref, poll.claim
