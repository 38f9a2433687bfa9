"""Accounts whose webhook subscriptions the broker keeps: claimed under a lease, behind a fence."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from broker.domain.model import App
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class ClaimedCheck:
    """An account of an app to look at, claimed by this process. `is_new`: it was never looked at,
    or the app has changed since.
    """

    workspace_id: UUID
    app_id: UUID
    account_id: str
    failures: int
    is_new: bool
    claim: int


class SubscriptionChecks:
    """Every account that is looked at from time to time: one row, however many users share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int, lease: timedelta) -> list[ClaimedCheck]:
        """Claim accounts that are due; others leave them alone during the lease."""
        found = []
        for due in await self._database.fetch(sql.due_subscription_checks, limit):
            key = due["workspace_id"], due["app_id"], due["account_id"]
            row = await self._database.fetchrow(
                sql.claim_subscription_check, *key, due["claim"], lease
            )
            if row is not None:
                found.append(ClaimedCheck(*key, row["failures"], row["is_new"], due["claim"] + 1))
        return found

    async def user_of(self, check: ClaimedCheck) -> tuple[str, str] | None:
        """The app's slug and a user through whom the account can be called; None without one."""
        row = await self._database.fetchrow(sql.user_of_account, *_key(check)[:3])
        return None if row is None else (row["slug"], row["user_ref"])

    async def end(self, check: ClaimedCheck, pause: timedelta, failures: int = 0) -> None:
        """Look again after a pause; without failures the account was looked at."""
        await self._database.execute(sql.end_subscription_check, *_key(check), pause, failures)

    async def delete(self, check: ClaimedCheck) -> None:
        """Look no more, until somebody connects the account."""
        await self._database.execute(sql.delete_subscription_check, *_key(check))


async def change_wanted(session: Session, app: App, *, required: bool) -> None:
    """Look at every connected account of an app that whose topics have changed, or at none."""
    statement = sql.wake_subscriptions_of_app if required else sql.stop_subscription_checks_of_app
    await session.execute(statement, app.workspace_id, app.id)


def _key(check: ClaimedCheck) -> tuple[UUID, UUID, str, int]:
    return check.workspace_id, check.app_id, check.account_id, check.claim
