"""Webhooks as HubSpot sends them: batches, signatures, retries, duplicates, disorder
(https://developers.hubspot.com/docs/api-reference/legacy/webhooks/guide).
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.sandbox.core.sending import post
from broker.sandbox.hubspot.events.changes import Change
from broker.sandbox.hubspot.events.signing import signed
from broker.sandbox.hubspot.grants import App, Grants
from broker.sandbox.hubspot.portal import Portal

TRIES, DAY_S = 10, 86_400.0
UNTOLD = {"hs_lastmodifieddate", "lastmodifieddate", "num_unique_conversion_events"}


@dataclass(slots=True)
class Pending:
    """An event that waits to be sent, at `due` on the sandbox's clock."""

    client_id: str
    event: dict[str, Any]
    due: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch that was sent. `status` is None when there was no answer."""

    client_id: str
    url: str
    events: list[dict[str, Any]]
    status: int | None


@dataclass(slots=True)
class Webhooks:
    """The sender, with its levers.

    `batch_size` events at most go together, those of `window` seconds; `duplicates` is how often a
    delivered batch is sent again; `shuffled` sends out of order; `mixes_portals` puts events of
    several portals into one batch; `paused` sends nothing; `retry_after` is the first wait,
    which grows to fill a day over ten tries.
    """

    apps: dict[str, App]
    portals: dict[int, Portal]
    grants: Grants
    now: Callable[[], float]
    batch_size: int = 100
    window: float = 0.02
    timeout: float = 5.0
    duplicates: int = 0
    shuffled: bool = False
    mixes_portals: bool = False
    paused: bool = False
    retry_after: float = 60.0
    queue: list[Pending] = field(default_factory=list)
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=1000))
    abandoned: list[dict[str, Any]] = field(default_factory=list)
    busy: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def notice(self, change: Change) -> None:
        """Queue an event for every active subscription of every app that the portal installed."""
        for app in self.apps.values():
            if app.target_url and self._installed(app, change.hub_id):
                for number, subscription in app.subscriptions.items():
                    if subscription["active"] and _matches(subscription, change):
                        self.send(app, self._event(app, int(number), subscription, change))

    def send(self, app: App, event: dict[str, Any]) -> None:
        """Queue one event."""
        self.queue.append(Pending(app.client_id, event, self.now() + self.window))
        self.woken.set()

    @property
    def pending(self) -> bool:
        """Whether any event waits."""
        return bool(self.queue)

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the events that are due, without waiting for the answers of other portals."""
        if self.paused:
            return
        now = self.now()
        due = [each for each in self.queue if each.due <= now]
        if not due:
            return
        self.queue = [each for each in self.queue if each.due > now]
        if self.shuffled:
            random.shuffle(due)
        batches = [
            group[start : start + self.batch_size]
            for group in self._grouped(due)
            for start in range(0, len(group), self.batch_size)
        ]
        self.busy += 1
        try:
            await asyncio.gather(*(self._deliver(session, batch) for batch in batches))
        finally:
            self.busy -= 1

    def _grouped(self, due: list[Pending]) -> list[list[Pending]]:
        groups: dict[tuple[str, int], list[Pending]] = {}
        for each in due:
            hub_id = 0 if self.mixes_portals else int(each.event["portalId"])
            groups.setdefault((each.client_id, hub_id), []).append(each)
        return list(groups.values())

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[Pending]) -> None:
        app = self.apps.get(batch[0].client_id)
        if app is None or not app.target_url:
            return
        events = [each.event for each in batch]
        body = json.dumps(events, separators=(",", ":")).encode()
        for _ in range(1 + self.duplicates):
            status = await self._post(session, app, body)
            self.deliveries.append(Delivery(app.client_id, app.target_url, events, status))
            if status is None or not 200 <= status < 300:
                self._retry(batch)
                return

    async def _post(self, session: aiohttp.ClientSession, app: App, body: bytes) -> int | None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/) - WebhooksExecutorDaemon",
            **signed(app.client_secret, "POST", app.target_url, body, self.now()),
        }
        reply = await post(session, app.target_url, body, headers, self.timeout)
        return None if reply is None else reply.status

    def _retry(self, batch: list[Pending]) -> None:
        for each in batch:
            tried = int(each.event["attemptNumber"]) + 1
            if tried > TRIES:
                self.abandoned.append(each.event)
                continue
            each.event = {**each.event, "attemptNumber": tried}
            # Ten growing waits that add up to a day when the first is a minute.
            wait = self.retry_after * (DAY_S / self.retry_after / 2) ** ((tried - 1) / TRIES)
            each.due = self.now() + wait * random.uniform(0.8, 1.2)  # noqa: S311  # no secret
            self.queue.append(each)

    def _installed(self, app: App, hub_id: int) -> bool:
        return any(
            each.alive and (each.client_id, each.hub_id) == (app.client_id, hub_id)
            for each in self.grants.refresh_tokens.values()
        )

    def _event(
        self, app: App, number: int, subscription: dict[str, Any], change: Change
    ) -> dict[str, Any]:
        kind = subscription["eventType"]
        event: dict[str, Any] = {
            "eventId": random.getrandbits(31),
            "subscriptionId": number,
            "portalId": change.hub_id,
            "appId": app.app_id,
            "occurredAt": int(change.at * 1000),
            "subscriptionType": kind,
            "attemptNumber": 0,
        }
        if change.action != "associationChange":
            event["objectId"] = int(change.object_id)
        if kind.startswith("object."):
            event["objectTypeId"] = change.type.id
        event |= {**change.details, "changeSource": change.author.source}
        event["sourceId"] = change.author.source_id
        if self._sensitive(change):
            event["propertyValue"] = "REDACTED"
            if kind.startswith("object."):
                event["isSensitive"] = True
        return event

    def _sensitive(self, change: Change) -> bool:
        if change.action != "propertyChange":
            return False
        definitions = self.portals[change.hub_id].definitions(change.type)
        defined = definitions.get(change.details["propertyName"], {})
        return bool(defined.get("dataSensitivity", "non_sensitive") != "non_sensitive")


def _matches(subscription: dict[str, Any], change: Change) -> bool:
    named, _, action = subscription["eventType"].partition(".")
    if action != change.action:
        return False
    if named == "object":
        type_id = subscription.get("objectTypeId")
        if type_id not in {change.type.id, change.type.full_name or None}:
            return False
    elif named != change.type.singular:
        return False
    name = change.details.get("propertyName")
    return action != "propertyChange" or (
        name not in UNTOLD and subscription.get("propertyName") == name
    )
