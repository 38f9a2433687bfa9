"""Value types for how the runs of a recipe have gone, and for the limits that they must keep to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunErrors:
    """How often runs failed with a code, when last, and what was said then."""

    code: str
    count: int
    last_at: datetime
    detail: str | None


@dataclass(frozen=True, slots=True)
class RunHealth:
    """How runs of a recipe have gone; latencies in seconds, of those that are done. `manual` are
    those that needed a person: failed, dismissed or started again.
    """

    runs: int
    succeeded: int
    failed: int
    waiting: int
    manual: int
    p50: float | None
    p95: float | None
    errors: Sequence[RunErrors]


@dataclass(frozen=True, slots=True)
class RunsInSpan:
    """How the runs that began in a span of time have gone; the latency in seconds."""

    begins_at: datetime
    succeeded: int
    failed: int
    waiting: int
    p95: float | None


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """What the newest `window` runs of a recipe that have ended must keep to."""

    window: int
    min_success_rate: float | None
    max_p95_s: float | None


@dataclass(frozen=True, slots=True)
class CrossedLimit:
    """A limit that runs do not keep to, by its name in the settings, and what they have."""

    threshold: str
    limit: float
    value: float


@dataclass(frozen=True, slots=True)
class JudgedHealth:
    """What was found when a recipe was last compared with its limits; `unhealthy_at` is None while
    it keeps to them.
    """

    unhealthy_at: datetime | None
    crossed: Sequence[CrossedLimit]
