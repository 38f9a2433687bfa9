"""Look at users' partner accounts for changes that no webhook reported, and start runs for them.

Why nothing is lost and nothing found twice: the cursor and the runs that were found commit
together, behind a fence, and a cursor moves by nothing else. An outage of any length leaves it
where it was, so the first poll after it begins there. A user who connects another account begins at
that moment.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.concurrency.task_set import Stopping, TaskSet
from broker.crm.partners import PartnerCalls
from broker.crm.records import HubSpotUser
from broker.domain.runs import Recipe, RetryLater
from broker.errors import (
    AppNotFound,
    BrokerError,
    ConnectionNotFound,
    ConnectionPending,
    OtherAccount,
    ReauthRequired,
    RecipeNotFound,
)
from broker.recipes.base import AnyRecipe
from broker.recipes.starts.polling import DuePoll
from broker.stores.recipes.polls import ClaimedPoll, PollRecord, PollStore

log = logging.getLogger(__name__)

MAX_CONCURRENT = 20
MAX_CONCURRENT_PER_APP = 8
"""Polls in one process, in all and of one app."""

TIMEOUT_S = 40.0
LEASE = timedelta(seconds=60)
"""How long a poll may take, and after how long another process may try it."""

STOP_GRACE_S = 5.0
BACKOFF = Backoff(first=30, longest=900)
AT_ONCE = timedelta(0)

ENDED = (AppNotFound, ConnectionNotFound, RecipeNotFound)
WAITING = (ConnectionPending, ReauthRequired)
"""Refusals after which there is nothing to poll, and those that last until the user connects."""


class Polls:
    """The polls of one process."""

    def __init__(
        self,
        store: PollStore,
        partners: PartnerCalls,
        recipes: Mapping[str, AnyRecipe],
        steps: Mapping[str, Recipe],
    ) -> None:
        self._store = store
        self._partners = partners
        self._recipes = recipes
        self._steps = steps
        self._tasks: TaskSet[ClaimedPoll] = TaskSet(_log_failure)

    async def work_due(self) -> int:
        """Begin polls that are due, as far as there is capacity; how many."""
        capacity = MAX_CONCURRENT - len(self._tasks)
        if capacity <= 0 or self._tasks.stopping:
            return 0
        counted: Counter[UUID] = Counter(poll.app_id for poll in self._tasks.subjects)
        busy = [app for app, number in counted.items() if number >= MAX_CONCURRENT_PER_APP]
        limit = min(capacity, MAX_CONCURRENT_PER_APP)
        claimed = await self._store.claim(list(self._recipes), busy, limit, LEASE)
        for poll in claimed:
            try:
                self._tasks.spawn(self._poll(poll), poll)
            except Stopping:
                await self._store.postpone(poll, AT_ONCE, "stopped", 0)
        return len(claimed)

    async def of_app(
        self, workspace_id: UUID, app_id: UUID, recipe: str, limit: int
    ) -> list[PollRecord]:
        """Polls for an app's users, for display: those in trouble first."""
        return await self._store.of_app(workspace_id, app_id, recipe, limit)

    async def join(self) -> None:
        """Wait until no poll is under way here."""
        await self._tasks.join()

    async def stop(self) -> None:
        """Give polls a grace period; another process begins again those that are cancelled."""
        cancelled = await self._tasks.stop(STOP_GRACE_S)
        again = (self._store.postpone(poll, AT_ONCE, "stopped", 0) for poll in cancelled)
        await asyncio.gather(*again, return_exceptions=True)

    async def _poll(self, poll: ClaimedPoll) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                started = await self._look(poll)
        except RetryLater as later:
            pause = timedelta(seconds=later.after_s)
            await self._store.postpone(poll, pause, later.reason, 0)
        except ENDED:
            await self._store.delete(poll)
        except WAITING as refusal:
            await self._store.park(poll, refusal.code)
        except OtherAccount as refusal:  # connected to another account meanwhile
            await self._store.postpone(poll, AT_ONCE, refusal.code, 0)
        except BrokerError as refusal:
            await self._failed(poll, refusal.code)
        except TimeoutError:
            await self._failed(poll, "timeout")
        except Exception:
            log.exception("poll_failed", extra={"recipe": poll.recipe, "app": poll.app_slug})
            await self._failed(poll, "internal")
        else:
            if started:
                fields = {"recipe": poll.recipe, "app": poll.app_slug, "runs": started}
                log.info("poll_found", extra=fields)

    async def _look(self, poll: ClaimedPoll) -> int:
        """One look, from the cursor if it is of these accounts; how many runs are new."""
        built, workspace_id = self._recipes[poll.recipe], poll.workspace_id
        polled_app = await built.setup.polled_app_of(workspace_id, poll.app_id)
        own = await self._partners.user(workspace_id, poll.app_slug, poll.user_ref)
        partner = await self._partners.user(workspace_id, polled_app, poll.user_ref)
        hub_id = int(own.account_id)
        same = (poll.hub_id, poll.account_id) == (hub_id, partner.account_id)
        user = HubSpotUser(workspace_id, poll.app_slug, poll.user_ref, hub_id)
        cursor = poll.cursor if same else None
        due = DuePoll(poll.app_id, user, partner, cursor, poll.begins_at, poll.started_at)
        found = await built.poll(due)
        pause = timedelta(seconds=found.again_in_s * random.uniform(0.9, 1.1))  # noqa: S311
        return await self._store.advance(
            poll,
            self._steps[poll.recipe],
            hub_id,
            partner.account_id,
            found.cursor,
            pause,
            found.runs,
            found.events,
        )

    async def _failed(self, poll: ClaimedPoll, code: str) -> None:
        pause = timedelta(seconds=BACKOFF.pause(poll.failures + 1))
        await self._store.postpone(poll, pause, code, 1)
        fields = {"recipe": poll.recipe, "app": poll.app_slug, "reason": code}
        log.warning("poll_postponed", extra=fields)


def _log_failure(poll: ClaimedPoll, task: "asyncio.Task[None]") -> None:
    """A poll whose end could not be written is due again when its lease ends."""
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        fields = {"recipe": poll.recipe, "app": poll.app_slug}
        log.error("poll_not_written", extra=fields, exc_info=failure)
