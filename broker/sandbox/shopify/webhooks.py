"""Webhooks as Shopify sends them: a snapshot of the record, signed over its bytes, tried again
eight times in four hours; then a subscription that was made by the API is deleted.

How the four hours are divided is not published; the waits here are invented.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from broker.sandbox.core.sending import post
from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.store.records import Shop

WAITS_S = (60, 120, 300, 600, 1200, 2400, 3600, 6120)
ANSWER_WITHIN_S = 5.0
CONNECT_WITHIN_S = 1.0
LOCAL = ("localhost", "127.0.0.1", "::1")
SIGNING = ("right", "wrong-secret", "old-secret", "changed-byte", "missing")


@dataclass(slots=True)
class Ways:
    """How webhooks are sent. `signing` is one of `SIGNING`; `order` is "" or "shuffle";
    `duplicates` is how many more times each delivery is sent, under the same id; `local_http` lets
    a subscription name an http address of this machine, where Shopify takes https only.
    """

    signing: str = "right"
    order: str = ""
    duplicates: int = 0
    paused: bool = False
    local_http: bool = True
    timeout: float = ANSWER_WITHIN_S


@dataclass(slots=True)
class Subscription:
    """Where an app has the events of one topic sent. `topic` is the enum's word, ORDERS_CREATE."""

    id: int
    app: App
    shop: Shop
    topic: str
    uri: str
    api_version: str
    created_at: float
    updated_at: float
    format: str = "JSON"
    name: str | None = None
    filter: str | None = None
    include_fields: tuple[str, ...] = ()
    from_api: bool = True


@dataclass(slots=True)
class Delivery:
    """One event on its way to one subscription; `body` never changes between attempts."""

    subscription: Subscription
    webhook_id: str
    event_id: str
    triggered_at: str
    body: bytes
    due: float
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `status` is None when there was no answer in time."""

    uri: str
    topic: str
    shop: str
    webhook_id: str
    event_id: str
    status: int | None


def slug(topic: str) -> str:
    """The topic as the header writes it: `orders/create` for ORDERS_CREATE."""
    for plural in ("ORDERS", "REFUNDS", "CUSTOMERS", "SHOP", "APP"):
        if topic.startswith(plural + "_"):
            return f"{plural}/{topic[len(plural) + 1 :]}".lower()
    return topic.lower()


class Webhooks:
    """Subscriptions of every shop, and the deliveries under way."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.ways = Ways()
        self.subscriptions: list[Subscription] = []
        self.queue: list[Delivery] = []
        self.attempts: deque[Attempt] = deque(maxlen=1000)
        self.sent: dict[str, Delivery] = {}
        self._ids = 1_000_000

    def subscribe(self, app: App, shop: Shop, topic: str, uri: str, **rest: Any) -> Subscription:
        """A new subscription."""
        self._ids += 1
        now = self._now()
        version = rest.pop("api_version", "2026-10")
        made = Subscription(self._ids, app, shop, topic, uri, version, now, now, **rest)
        self.subscriptions.append(made)
        return made

    def delete(self, subscription: Subscription) -> None:
        """Delete a subscription with what waits for it."""
        self.subscriptions = [each for each in self.subscriptions if each is not subscription]
        self.queue = [each for each in self.queue if each.subscription is not subscription]

    def of(self, app: App, shop: Shop) -> list[Subscription]:
        """The subscriptions that an app made in a shop by the API."""
        return [
            each
            for each in self.subscriptions
            if each.from_api and each.app is app and each.shop is shop
        ]

    def emit(
        self,
        shop: Shop,
        topic: str,
        body: Callable[[App], dict[str, Any]],
        *,
        delay: float = 0.0,
        only: App | None = None,
    ) -> list[str]:
        """Queue an event for every subscription of its topic; the ids of the deliveries.

        `body` is called once for each app, because apps may see different fields.
        """
        event_id, now = str(uuid.uuid4()), self._now()
        at = datetime.fromtimestamp(now, UTC)
        made = []
        for each in self.subscriptions:
            if each.shop is not shop or each.topic != topic or (only or each.app) is not each.app:
                continue
            whole = body(each.app)
            fields = each.include_fields
            shown = {name: whole[name] for name in fields if name in whole} if fields else whole
            made.append(
                Delivery(
                    each,
                    str(uuid.uuid4()),
                    event_id,
                    f"{at:%Y-%m-%dT%H:%M:%S.%f}Z",
                    json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode(),
                    now + delay,
                )
            )
        for delivery in made:
            self.sent[delivery.webhook_id] = delivery
            self.queue.extend([delivery, *(_copy(delivery) for _ in range(self.ways.duplicates))])
        return [delivery.webhook_id for delivery in made]

    def replay(self, webhook_id: str) -> None:
        """Send a delivery again, byte for byte and under its old id."""
        self.queue.append(_copy(self.sent[webhook_id], due=self._now()))

    @property
    def pending(self) -> bool:
        """Whether any delivery waits."""
        return bool(self.queue)

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the deliveries that are due."""
        if self.ways.paused:
            return
        now = self._now()
        due = [each for each in self.queue if each.due <= now]
        self.queue = [each for each in self.queue if each.due > now]
        if self.ways.order == "shuffle":
            random.shuffle(due)
        await asyncio.gather(*(self._attempt(session, each) for each in due))

    async def _attempt(self, session: aiohttp.ClientSession, each: Delivery) -> None:
        each.tried += 1
        subscription, body = each.subscription, each.body
        headers = self._headers(each)
        if self.ways.signing == "changed-byte":
            body = body.replace(b'"id"', b'"iD"', 1)
        limit = aiohttp.ClientTimeout(total=self.ways.timeout, sock_connect=CONNECT_WITHIN_S)
        reply = await post(session, subscription.uri, body, headers, limit)
        status = reply.status if reply is not None else None
        topic, shop = slug(subscription.topic), subscription.shop.domain
        self.attempts.append(
            Attempt(subscription.uri, topic, shop, each.webhook_id, each.event_id, status)
        )
        if reply is not None and reply.ok:
            return
        if each.tried <= len(WAITS_S):
            each.due = self._now() + WAITS_S[each.tried - 1]
            self.queue.append(each)
        elif subscription.from_api:
            self.delete(subscription)

    def _headers(self, each: Delivery) -> dict[str, str]:
        subscription, how = each.subscription, self.ways.signing
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": slug(subscription.topic),
            "X-Shopify-Shop-Domain": subscription.shop.domain,
            "X-Shopify-API-Version": subscription.api_version,
            "X-Shopify-Webhook-Id": each.webhook_id,
            "X-Shopify-Event-Id": each.event_id,
            "X-Shopify-Triggered-At": each.triggered_at,
        }
        if subscription.name:
            headers["X-Shopify-Name"] = subscription.name
        if how == "missing":
            return headers
        secret = subscription.app.client_secret
        if how == "wrong-secret":
            secret = "another secret"  # noqa: S105  # made to be wrong
        elif how == "old-secret":
            secret = subscription.app.old_secret(self._now())
        digest = hmac.new(secret.encode(), each.body, hashlib.sha256).digest()
        return {**headers, "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode()}


def _copy(delivery: Delivery, due: float | None = None) -> Delivery:
    return Delivery(
        delivery.subscription,
        delivery.webhook_id,
        delivery.event_id,
        delivery.triggered_at,
        delivery.body,
        delivery.due if due is None else due,
    )
