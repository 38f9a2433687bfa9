"""Deliveries: claimed under a lease, settled behind a fence."""

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.events import AppDelivery, Delivery, DeliveryRecord, Endpoint, NewEvent, Reply
from broker.domain.model import App
from broker.domain.uuid7 import LAST_ID, another_uuid7_of, ids_of_the_same_moment
from broker.errors import DeliveryNotFound
from broker.sealing import Sealer
from broker.stores.access.audit import record_audit
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, row_count
from broker.stores.core.queries import sql
from broker.stores.events.endpoints import endpoint_place
from broker.stores.events.replays import REPLAYED_A_SECOND

EXPIRED_AT_ONCE = 1000

MAX_REPLAYED = 5000
"""How many dead deliveries one statement enqueues again."""


class Deliveries:
    """Deliveries to endpoints, and their outcomes."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def claim(
        self,
        limit: int,
        *,
        at_once: int,
        closing: int,
        busy: Mapping[UUID, int],
        lease: timedelta,
    ) -> list[Delivery]:
        """Claim due deliveries under a lease, at most `at_once` for an endpoint (one when it failed
        `closing` times in a row) less those that are under way there.
        """
        full = [endpoint_id for endpoint_id, count in busy.items() if count >= at_once]
        found: list[Delivery] = []
        for look in await self._database.fetch(sql.workspaces_with_deliveries, full, limit):
            rows = await self._database.fetch(
                sql.claim_deliveries,
                look["workspace_id"],
                limit - len(found),
                at_once,
                closing,
                list(busy.keys()),
                list(busy.values()),
                lease,
            )
            found += [self._delivery(row) for row in rows]
            if len(found) >= limit:
                break
        return found

    async def claim_one(self, endpoint: Endpoint, event_id: UUID, lease: timedelta) -> Delivery:
        """Take an event's delivery now. Raises DeliveryNotFound when it is settled or gone."""
        row = await self._database.fetchrow(
            sql.claim_delivery, endpoint.workspace_id, event_id, endpoint.id, lease
        )
        if row is None:
            raise DeliveryNotFound
        return self._delivery(row)

    async def settle(
        self, delivery: Delivery, state: str, reply: Reply, again_in: timedelta | None
    ) -> bool:
        """Store an attempt's outcome; False when another process has claimed the delivery since."""
        settled = await self._database.execute(
            sql.finish_delivery,
            delivery.workspace_id,
            delivery.event_id,
            delivery.endpoint_id,
            delivery.claim,
            state,
            reply.status,
            reply.error,
            again_in,
        )
        return settled > 0

    async def record_success(self, delivery: Delivery) -> None:
        """The endpoint takes deliveries again."""
        await self._database.execute(
            sql.record_endpoint_success, delivery.workspace_id, delivery.endpoint_id
        )

    async def record_failure(
        self, delivery: Delivery, closing: int, first_pause: timedelta, longest_pause: timedelta
    ) -> int:
        """The endpoint did not take one; how many in a row, now."""
        failures = await self._database.fetchval(
            sql.record_endpoint_failure,
            delivery.workspace_id,
            delivery.endpoint_id,
            closing,
            first_pause,
            longest_pause,
            random.uniform(0.5, 1.0),  # noqa: S311
        )
        return int(failures or 0)

    async def disable(self, delivery: Delivery, why: str) -> None:
        """The receiver accepts no more events."""
        await self._database.execute(
            sql.disable_endpoint, delivery.workspace_id, delivery.endpoint_id, why
        )

    async def expire(self) -> int:
        """Let what is three days old be dead; how many were."""
        late = await self._database.fetch(sql.late_deliveries, EXPIRED_AT_ONCE)
        expired = 0
        for workspace_id, keys in grouped(
            (row["workspace_id"], (row["event_id"], row["endpoint_id"])) for row in late
        ):
            events, endpoints = zip(*keys, strict=True)
            expired += await self._database.execute(
                sql.expire_deliveries, workspace_id, events, endpoints
            )
        return expired

    async def page(
        self, endpoint: Endpoint, *, state: str | None, before: UUID | None, limit: int
    ) -> tuple[list[DeliveryRecord], UUID | None]:
        """Deliveries, the newest event first, and the event to ask for the next page before."""
        rows = await self._database.fetch(
            sql.deliveries_page,
            endpoint.workspace_id,
            endpoint.id,
            state,
            before or LAST_ID,
            limit + 1,
        )
        records = [_record(row) for row in rows[:limit]]
        return records, records[-1].event_id if len(rows) > limit else None

    async def of_app(
        self,
        app: App,
        *,
        state: str | None,
        text: str,
        before: tuple[UUID, UUID] | None,
        limit: int,
    ) -> tuple[list[AppDelivery], tuple[UUID, UUID] | None]:
        """Deliveries to all endpoints of an app, the newest event first, and the event and the
        endpoint to ask for the next page before; `text` is a part of the event's type, its user or
        the endpoint's address.
        """
        rows = await self._database.fetch(
            sql.deliveries_of_app,
            app.workspace_id,
            app.id,
            state,
            text or None,
            *(before or (LAST_ID, LAST_ID)),
            limit + 1,
        )
        found = []
        for row in rows[:limit]:
            fields = dict(row.items())
            endpoint_id, url = fields.pop("endpoint_id"), fields.pop("url")
            found.append(AppDelivery(endpoint_id, url, DeliveryRecord(**fields)))
        if len(rows) <= limit:
            return found, None
        return found, (found[-1].record.event_id, found[-1].endpoint_id)

    async def replay_dead(self, app: App, actor: str) -> int:
        """Deliver again what was given up, the oldest first and at a steady pace, at most
        `MAX_REPLAYED`; how many.
        """
        async with self._database.transaction() as session:
            done = await session.execute(
                sql.replay_dead_deliveries,
                app.workspace_id,
                app.id,
                MAX_REPLAYED,
                float(REPLAYED_A_SECOND),
            )
            number = row_count(done)
            if number:
                detail = f"{number} that were given up"
                await record_audit(
                    session, app.workspace_id, actor, "delivery.replayed", app.slug, detail=detail
                )
        return number

    async def get(self, app: App, delivery_id: UUID) -> DeliveryRecord:
        """One of the app's deliveries. Raises DeliveryNotFound."""
        row = await self._database.fetchrow(
            sql.delivery_of_app,
            app.workspace_id,
            app.id,
            delivery_id,
            *ids_of_the_same_moment(delivery_id),
        )
        if row is None:
            raise DeliveryNotFound
        return _record(row)

    async def replay(self, app: App, delivery_id: UUID, actor: str) -> None:
        """Deliver again, as the same event. Raises DeliveryNotFound."""
        async with self._database.transaction() as session:
            done = await session.execute(
                sql.replay_delivery,
                app.workspace_id,
                app.id,
                delivery_id,
                *ids_of_the_same_moment(delivery_id),
            )
            if not row_count(done):
                raise DeliveryNotFound
            await record_audit(
                session,
                app.workspace_id,
                actor,
                "delivery.replayed",
                app.slug,
                detail=str(delivery_id),
            )

    async def enqueue_for_endpoint(self, app: App, endpoint: Endpoint, event: NewEvent) -> UUID:
        """Publish an event to one endpoint only; the delivery's id."""
        delivery_id = another_uuid7_of(event.id)
        async with self._database.transaction() as session:
            await session.execute(
                sql.insert_event, app.workspace_id, app.id, event.id, event.type, event.payload()
            )
            await session.execute(
                sql.enqueue_delivery, app.workspace_id, delivery_id, endpoint.id, event.id
            )
        return delivery_id

    def _delivery(self, row: Any) -> Delivery:
        workspace_id, endpoint_id = row["workspace_id"], row["endpoint_id"]
        secrets = [
            self._sealer.open(row[column], endpoint_place(workspace_id, endpoint_id, column))
            for column in ("secret", "previous_secret")
            if row[column] is not None
        ]
        return Delivery(
            workspace_id,
            row["id"],
            endpoint_id,
            row["event_id"],
            row["url"],
            secrets,
            row["payload"],
            row["attempts"],
            row["claim"],
            row["is_replay"],
            row["failures"],
        )


def _record(row: Any) -> DeliveryRecord:
    return DeliveryRecord(**{name: row[name] for name in row.keys()})  # noqa: SIM118  # as above
