"""Webhooks: CloudEvents or the older form, one company a delivery, signed `intuit-signature`."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from broker.sandbox.core.deliveries import Deliveries, Ways
from broker.sandbox.core.sending import Reply
from broker.sandbox.quickbooks.books.company import Change
from broker.sandbox.quickbooks.levers import Levers
from broker.sandbox.quickbooks.oauth.grants import App, Grants

# 10 s, 20 s, 30 s, 5 min, 20 min, 2 h, 4 h, 6 h, then every 6 h up to a day.
WAITS_S = [10.0, 20.0, 30.0, 300.0, 1200.0, 7200.0, 14400.0, 21600.0, 21600.0]
TIMEOUT_S = 3.0
SOURCE = "intuit.sandbox/quickbooks"
SENT_ENTITIES = frozenset({"Customer", "Vendor", "Employee", "Item", "Invoice", "Payment"})
LEGACY = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "void": "Void",
    "emailed": "Emailed",
    "merged": "Merge",
}


class Webhooks:
    """Collects changes by app and company, and hands them to `deliveries`."""

    def __init__(self, levers: Levers, grants: Grants, now: Callable[[], float]) -> None:
        self._levers = levers
        self._grants = grants
        self._waiting: dict[tuple[str, str], list[Change]] = {}
        self.ways = Ways(list(WAITS_S), TIMEOUT_S)
        self.deliveries = Deliveries(now, "intuit-signature", self.ways, _acknowledges)

    def notice(self, change: Change) -> None:
        """Record a change for every app that is connected to the company and subscribes to it."""
        if change.entity not in SENT_ENTITIES:
            return
        for app in self._grants.apps.values():
            subscribed = not app.entities or change.entity in app.entities
            connected = self._grants.connected(app.client_id, change.realm_id)
            if app.webhook_url and subscribed and connected:
                self._waiting.setdefault((app.client_id, change.realm_id), []).append(change)

    @property
    def pending(self) -> bool:
        """Whether changes or deliveries wait."""
        return bool(self._waiting) or self.deliveries.pending

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Queue the changes and send the deliveries that are due."""
        self._collect()
        await self.deliveries.tick(session)

    def _collect(self) -> None:
        """Queue one delivery for each app and company with changes."""
        waiting, self._waiting = self._waiting, {}
        for (client_id, _), changes in waiting.items():
            app = self._grants.apps.get(client_id)
            if app is not None and app.webhook_url:
                self._queue(app, changes)

    def send(self, app: App, body: Any) -> str:
        """Queue a body unchanged; the delivery's id."""
        kind = self._levers.webhook_content_type
        raw = json.dumps(body, separators=(",", ":")).encode()
        return self.deliveries.add(app.webhook_url, app.verifier_token, raw, kind)

    def _queue(self, app: App, changes: list[Change]) -> None:
        legacy = self._levers.webhook_form == "legacy"
        self.send(app, _legacy(changes) if legacy else [_cloud_event(each) for each in changes])


def _cloud_event(change: Change) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": f"qbo.{change.entity.lower()}.{change.operation}.v1",
        "datacontenttype": "application/json",
        "time": _time(change.at),
        "intuitentityid": change.record_id,
        "intuitaccountid": change.realm_id,
        "data": {},
    }


def _legacy(changes: list[Change]) -> dict[str, Any]:
    entities = [
        {
            "name": each.entity,
            "id": each.record_id,
            "operation": LEGACY[each.operation],
            "lastUpdated": _time(each.at),
        }
        for each in changes
    ]
    notification = {
        "realmId": changes[0].realm_id,
        "dataChangeEvent": {"entities": entities},
    }
    return {"eventNotifications": [notification]}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _acknowledges(reply: Reply) -> bool:
    return reply.ok
