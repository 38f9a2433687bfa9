"""How long events, their deliveries and marks against repetition are kept, in which partitions.

A partition of events is dropped while nobody waits for them: no delivery of theirs is to be made,
and no replay has still to come to them. Its deliveries are dropped after it, in a transaction of
their own, for statements lock the two tables in either order. Nobody can enqueue a delivery of an
event without having locked its partition, hence none is enqueued once it is found unneeded.
"""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from broker.domain.uuid7 import first_id
from broker.stores.core.partitions import Partitions
from broker.stores.core.queries import sql

EVENT_DAYS = 30
"""Events stay so long, and up to a week longer until all of their partition is as old."""

SEEN_DAYS = 8
"""Longer than providers repeat a delivery: HubSpot retries for a day, its journal keeps three."""


def first_kept_event(now: datetime) -> UUID:
    """The least id of an event that is not old."""
    return first_id(now - timedelta(days=EVENT_DAYS))


def first_day_seen(now: datetime) -> date:
    """The first day whose marks count."""
    return now.astimezone(UTC).date() - timedelta(days=SEEN_DAYS)


def _first_id_of(day: date) -> str:
    return str(first_id(datetime.combine(day, time(), UTC)))


# Weeks: a look for deliveries reads an index of each partition.
EVENT_PARTITIONS = (
    Partitions("event", "id", EVENT_DAYS, _first_id_of, 7, sql.events_in_use),
    Partitions("delivery", "event_id", EVENT_DAYS, _first_id_of, 7, sql.deliveries_in_use),
    Partitions("seen_event", "seen_on", SEEN_DAYS, str),
)
