"""Spans of events that are delivered again: noted at once, enqueued a slice at a time.

However many events a span holds, one transaction writes no more than a slice of deliveries, and the
next slice waits until the endpoint has had time for the last one. An endpoint gets one span at a
time, so asking often costs no more than asking once.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from broker.domain.events import Endpoint
from broker.domain.model import App
from broker.domain.uuid7 import MILLISECOND, first_id, time_of
from broker.errors import Busy
from broker.stores.access.audit import record_audit
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

REPLAYED_A_SECOND = 50
"""How fast replayed deliveries become due, so that a receiver is not flooded."""

MAX_EVENTS = 100_000
"""How many events of an app a span may hold, wanted or not; a longer one is cut."""

SLICE = 1000
"""How many events one turn looks at."""

CANDIDATES = 10
"""How many due replays a turn may try to claim: other processes take some of them."""

WAIT_S = 10
"""When to ask again for an endpoint that is getting a span."""


@dataclass(frozen=True, slots=True)
class BegunReplay:
    """How many deliveries a replay makes, and where its span was cut if it was too long."""

    deliveries: int
    until: datetime | None


class Replays:
    """Replays under way, one for an endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        app: App,
        endpoint: Endpoint,
        begin: datetime,
        end: datetime,
        user_ref: str | None,
        actor: str,
    ) -> BegunReplay:
        """Deliver a span of time's events again, at a steady pace; its first slice is enqueued when
        this returns. Raises Busy while the endpoint is getting another span.
        """
        key = app.workspace_id, endpoint.id
        async with self._database.transaction(row=("replay", endpoint.id)) as session:
            span = first_id(begin), first_id(end)
            begun = await session.execute(sql.begin_replay, *key, app.id, user_ref, *span)
            if begun == "INSERT 0 0":
                raise Busy("The endpoint is getting another span of events.", retry_after=WAIT_S)
            until = None
            cut = await session.fetchval(
                sql.end_of_replay, app.workspace_id, app.id, *span, MAX_EVENTS
            )
            if cut is not None:
                # Those of one moment belong together, or the next span would begin with them again.
                until = max(time_of(cut), time_of(span[0]) + MILLISECOND)
                span = span[0], first_id(until)
                await session.execute(sql.limit_replay, *key, span[1])
            deliveries = await session.fetchval(
                sql.count_replay, app.workspace_id, app.id, endpoint.id, *span, user_ref
            )
            await _enqueue_slice(session, await session.fetchrow(sql.lock_replay, *key))
            times = (begin, until or end)
            span_text = " to ".join(at.astimezone(UTC).isoformat() for at in times)
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "endpoint.replayed",
                app.slug,
                user_ref,
                f"{endpoint.id} from {span_text}",
            )
        return BegunReplay(int(deliveries), until)

    async def enqueue_due(self) -> int:
        """Enqueue the next slice of the replay that has been due for longest; 0 if none is."""
        for look in await self._database.fetch(sql.due_replays, CANDIDATES):
            async with self._database.transaction() as session:
                row = await session.fetchrow(
                    sql.claim_replay, look["workspace_id"], look["endpoint_id"]
                )
                if row is not None:
                    await _enqueue_slice(session, row)
                    return 1
        return 0


async def _enqueue_slice(session: Session, row: Any) -> None:
    key = row["workspace_id"], row["endpoint_id"]
    done = await session.fetchrow(
        sql.enqueue_slice,
        row["workspace_id"],
        row["app_id"],
        row["endpoint_id"],
        row["next_id"],
        row["end_id"],
        row["user_ref"],
        SLICE,
        float(REPLAYED_A_SECOND),
    )
    if done is None or done["looked"] < SLICE:
        await session.execute(sql.end_replay, *key)
        return
    pause = done["enqueued"] / REPLAYED_A_SECOND
    await session.execute(sql.advance_replay, *key, UUID(int=done["last_id"].int + 1), pause)
