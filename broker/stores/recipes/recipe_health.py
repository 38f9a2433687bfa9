"""Whether apps' recipes keep to the limits of their settings, judged when runs have ended.

Why no crossing is missed or reported twice: the end of a run makes its recipe due, in the run's own
transaction; a judgement and the event about it commit together, under the row's lock.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from broker.domain.events import NewEvent
from broker.domain.recipe_health import CrossedLimit, HealthLimits, JudgedHealth
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

LEASE = timedelta(seconds=60)
LEAST_RUNS = 5
"""Fewer runs than this are not judged: one that fails says little."""


@dataclass(frozen=True, slots=True)
class DueHealth:
    """A recipe of an app whose runs are to be compared with its limits, claimed."""

    workspace_id: UUID
    app_id: UUID
    app_slug: str
    recipe: str
    settings: Mapping[str, Any]
    due_at: datetime


class RecipeHealth:
    """The health of apps' recipes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, workspace_id: UUID, app_id: UUID, recipe: str) -> JudgedHealth | None:
        """What was found last; None for a recipe without limits."""
        row = await self._database.fetchrow(sql.found_health, workspace_id, app_id, recipe)
        if row is None:
            return None
        crossed = [CrossedLimit(**each) for each in json.loads(row["crossed"] or "[]")]
        return JudgedHealth(row["unhealthy_at"], crossed)

    async def claim(self, limit: int) -> list[DueHealth]:
        """Recipes that are due; other processes leave them for a minute."""
        claimed = []
        for found in await self._database.fetch(sql.due_health, limit):
            key = found["workspace_id"], found["app_id"], found["recipe"]
            row = await self._database.fetchrow(sql.claim_health, *key, LEASE)
            if row is not None:
                workspace_id, app_id, recipe = key
                settings = json.loads(row["settings"])
                claimed.append(
                    DueHealth(workspace_id, app_id, row["slug"], recipe, settings, row["due_at"])
                )
        return claimed

    async def judge(self, due: DueHealth, limits: HealthLimits) -> bool:
        """Compare the newest runs with the limits, and publish a change for the better or the
        worse; whether a limit is crossed.
        """
        key = due.workspace_id, due.app_id, due.recipe
        async with self._database.transaction() as session:
            before = await session.fetchrow(sql.lock_health, *key)
            if before is None:  # the limits were removed meanwhile
                return False
            row = await session.fetchrow(sql.health_of_window, *key, limits.window)
            assert row is not None  # noqa: S101  # an aggregate gives a row
            crossed = _crossed(limits, row["runs"], row["succeeded"], row["p95"])
            stored = json.dumps([asdict(each) for each in crossed])
            since = (before["unhealthy_at"] or before["judged_at"]) if crossed else None
            await session.execute(sql.judge_health, *key, due.due_at, since, stored)
            if bool(crossed) != (before["unhealthy_at"] is not None):
                await _publish(session, due, crossed, row["runs"])
        return bool(crossed)

    async def count_unhealthy(self) -> dict[str, int]:
        """How many apps have an unhealthy recipe, by the recipe's name."""
        rows = await self._database.fetch(sql.count_unhealthy)
        return {row["recipe"]: row["unhealthy"] for row in rows}


async def watch(
    session: Session, workspace_id: UUID, app_id: UUID, recipe: str, *, has_limits: bool
) -> None:
    """Settings were written, with limits or without, within the caller's transaction."""
    statement = sql.watch_health if has_limits else sql.stop_watching_health
    await session.execute(statement, workspace_id, app_id, recipe)


def _crossed(
    limits: HealthLimits, runs: int, succeeded: int, p95: float | None
) -> Sequence[CrossedLimit]:
    if runs < LEAST_RUNS:
        return ()
    found, rate = [], succeeded / runs
    if limits.min_success_rate is not None and rate < limits.min_success_rate:
        found.append(CrossedLimit("minSuccessRate", limits.min_success_rate, round(rate, 4)))
    if limits.max_p95_s is not None and p95 is not None and p95 > limits.max_p95_s:
        found.append(CrossedLimit("maxP95S", limits.max_p95_s, round(p95, 3)))
    return found


async def _publish(
    session: Session, due: DueHealth, crossed: Sequence[CrossedLimit], runs: int
) -> None:
    data: dict[str, Any] = {
        "recipe": due.recipe,
        "runs": runs,
        "crossed": [asdict(each) for each in crossed],
    }
    kind = "recipe.unhealthy" if crossed else "recipe.recovered"
    event = NewEvent(kind, due.app_slug, None, None, data)
    await publish(session, due.workspace_id, due.app_id, [event])
