"""Thresholds of a recipe's health, and the background work that holds runs against them."""

import logging
from typing import Annotated, Any

from pydantic import Field, ValidationError

from broker.domain.recipe_health import HealthLimits
from broker.stores.recipes.recipe_health import RecipeHealth
from broker.telemetry.metrics import Metrics
from broker.web.core.requests import RequestModel

log = logging.getLogger(__name__)

MOST_AT_ONCE = 50


class HealthThresholds(RequestModel):
    """What the newest `window` runs that have ended must keep to; null leaves one out."""

    minSuccessRate: Annotated[float, Field(gt=0, le=1)] | None = 0.95
    maxP95S: Annotated[float, Field(gt=0, le=604_800)] | None = 300
    window: Annotated[int, Field(ge=5, le=1000)] = 50


class MonitoredSettings(RequestModel):
    """Settings of a recipe whose health is watched where `health` says so."""

    health: HealthThresholds | None = None


class HealthWatch:
    """Judges the recipes whose runs have ended."""

    def __init__(self, store: RecipeHealth, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics

    async def judge_due(self) -> int:
        """Judge what is due; how many."""
        claimed = await self._store.claim(MOST_AT_ONCE)
        for due in claimed:
            limits = _limits(due.settings)
            if limits is not None:
                await self._store.judge(due, limits)
        return len(claimed)

    async def measure(self) -> None:
        """How many apps have an unhealthy recipe, for the metrics."""
        for recipe, count in (await self._store.count_unhealthy()).items():
            self._metrics.unhealthy_recipes.labels(recipe).set(count)


def _limits(settings: Any) -> HealthLimits | None:
    try:
        found = HealthThresholds.model_validate(settings.get("health"))
    except ValidationError:  # of an older version of the recipe
        log.warning("health_not_judged", extra={"reason": "settings-unreadable"})
        return None
    return HealthLimits(found.window, found.minSuccessRate, found.maxP95S)
