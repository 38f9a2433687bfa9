"""Webhooks: ids only, signed `x-xero-signature`, and nothing before the intent to receive."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from broker.sandbox.core.deliveries import Deliveries, Delivery, Ways, signature
from broker.sandbox.core.sending import Reply, post
from broker.sandbox.xero.api.rendering import utc_of
from broker.sandbox.xero.books.organisation import Change
from broker.sandbox.xero.levers import Levers
from broker.sandbox.xero.oauth.grants import App, Grants

# Decreasing frequency, for about 24 hours; Xero does not publish the steps.
WAITS_S = [5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 28800.0]
TIMEOUT_S = 5.0
HEADER = "x-xero-signature"
RESOURCE_BASE = "https://api.xero.com/api.xro/2.0"


@dataclass(frozen=True, slots=True)
class Check:
    """One request of the intent to receive: how it was signed, and how it was answered."""

    signed_well: bool
    status: int | None
    right: bool


class Webhooks:
    """Collects changes by app, and hands them to `deliveries`."""

    def __init__(self, levers: Levers, grants: Grants, now: Callable[[], float]) -> None:
        self._levers = levers
        self._grants = grants
        self._waiting: dict[str, list[Change]] = {}
        self.ways = Ways(list(WAITS_S), TIMEOUT_S)
        self.deliveries = Deliveries(now, HEADER, self.ways, _acknowledges, self._disable)

    def notice(self, change: Change) -> None:
        """Record a change for every connected app that may receive it."""
        for app in self._grants.apps.values():
            if self._active(app) and self._grants.connection(app.client_id, change.tenant_id):
                self._waiting.setdefault(app.client_id, []).append(change)

    @property
    def pending(self) -> bool:
        """Whether changes or deliveries wait."""
        return bool(self._waiting) or self.deliveries.pending

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Queue the changes and send the deliveries that are due."""
        self._collect()
        await self.deliveries.tick(session)

    def _collect(self) -> None:
        """Queue one delivery for each app with changes."""
        waiting, self._waiting = self._waiting, {}
        for client_id, changes in waiting.items():
            app = self._grants.apps.get(client_id)
            if app is not None and app.webhook_url:
                self.send(app, [_event(each) for each in changes])

    def send(self, app: App, events: list[dict[str, Any]]) -> str:
        """Queue events unchanged; the delivery's id."""
        first, app.sequence = app.sequence + 1, app.sequence + len(events)
        return self.deliveries.add(
            app.webhook_url, app.webhook_key, _body(events, first, app.sequence)
        )

    async def check(self, app: App, session: aiohttp.ClientSession) -> list[Check]:
        """The intent to receive: several requests, of which some are signed wrongly. The webhook is
        on when every answer was right.
        """
        checks = []
        for signed_well in (True, False, True, False):
            body = _body([], 0, 0)
            key = app.webhook_key if signed_well else secrets.token_urlsafe(32)
            headers = {"Content-Type": "application/json", HEADER: signature(key, body)}
            reply = await post(session, app.webhook_url, body, headers, self.ways.timeout)
            expected = 200 if signed_well else 401
            right = reply is not None and _bare(reply) and reply.status == expected
            checks.append(Check(signed_well, reply.status if reply else None, right))
        app.webhook_status = "ok" if all(each.right for each in checks) else "pending"
        return checks

    def _active(self, app: App) -> bool:
        return bool(app.webhook_url) and (app.webhook_status == "ok" or not self._levers.itr)

    def _disable(self, delivery: Delivery) -> None:
        for app in self._grants.apps.values():
            if app.webhook_url == delivery.url:
                app.webhook_status = "disabled"


def _event(change: Change) -> dict[str, Any]:
    return {
        "resourceUrl": f"{RESOURCE_BASE}/{change.kind}/{change.record_id}",
        "resourceId": change.record_id,
        "tenantId": change.tenant_id,
        "tenantType": "ORGANISATION",
        "eventCategory": change.category,
        "eventType": "CREATE" if change.created else "UPDATE",
        "eventDateUtc": utc_of(change.at, places=3),
    }


def _body(events: list[dict[str, Any]], first: int, last: int) -> bytes:
    body = {
        "events": events,
        "firstEventSequence": first,
        "lastEventSequence": last,
        "entropy": secrets.token_hex(10).upper(),
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _bare(reply: Reply) -> bool:
    return not reply.body and not reply.sets_cookies


def _acknowledges(reply: Reply) -> bool:
    return reply.status == 200 and _bare(reply)
