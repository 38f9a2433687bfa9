"""The limits of a recipe's health as fields of its settings' form: a rate in per cent."""

from collections.abc import Mapping
from typing import Any

from broker.recipes.monitoring import HealthThresholds
from broker.web.console.base import form_value

RATE, LATENCY, WINDOW = "health.minSuccessRate", "health.maxP95S", "health.window"


def health_typed(form: Mapping[str, list[str]]) -> dict[str, Any]:
    """A form's limits as a part of the API's body; nothing for a form without these fields. An
    empty limit is null, and without the checkbox there are none.
    """
    fields = dict(form)
    if WINDOW not in fields:
        return {}
    if "health" not in fields:
        return {"health": None}
    rate, latency = form_value(fields, RATE), form_value(fields, LATENCY)
    return {
        "health": {
            "minSuccessRate": _part(rate) if rate else None,
            "maxP95S": latency or None,
            "window": form_value(fields, WINDOW),
        }
    }


def health_shown(
    stored: HealthThresholds | None, typed: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What stands in the fields: what was typed, else what is stored, else the defaults that
    watching begins with.
    """
    sent = (typed or {}).get("health")
    watched = stored is not None if typed is None or "health" not in typed else sent is not None
    limits = sent or (stored or HealthThresholds()).model_dump()
    rate = limits["minSuccessRate"]
    return {
        "watched": watched,
        "rate": f"{round(rate * 100, 6):g}" if isinstance(rate, float) else rate or "",
        "latency": "" if limits["maxP95S"] is None else f"{limits['maxP95S']}".removesuffix(".0"),
        "window": limits["window"],
    }


def _part(per_cent: str) -> float | str:
    """A hundredth; what is not a number stays, to be refused."""
    try:
        return round(float(per_cent) / 100, 8)
    except ValueError:
        return per_cent
