"""Webhooks as WooCommerce sends them (class-wc-webhook.php): the record as it is when the job
runs, signed over its bytes, sent once. More than five failures in a row disable the webhook.

The same record waits only once for the same webhook: changes before the job runs are one delivery.
"""

import asyncio
import base64
import hashlib
import hmac
import html
import json
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from broker.sandbox.core.sending import post
from broker.sandbox.woocommerce.rest.answers import invalid_id, unknown_resource
from broker.sandbox.woocommerce.site import Site
from broker.sandbox.woocommerce.store.bodies import customer_body, order_body

RESOURCES = ("coupon", "customer", "order", "product")
EVENTS = ("created", "updated", "deleted", "restored")
AGENT = "WooCommerce/10.9.0 Hookshot (WordPress/7.0)"
SIGNING = ("right", "wrong-secret", "changed-byte", "missing")
LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(slots=True)
class Ways:
    """How webhooks are sent. `cron_delay` is how late the site's jobs run; `refuses_local` is
    WordPress's own refusal of addresses in the private network; with `same_second_deliveries` two
    deliveries of one second share their id, as they do; `disable_after_failures` is how many
    failures in a row are borne.
    """

    signing: str = "right"
    cron_delay: float = 0.0
    paused: bool = False
    refuses_local: bool = False
    same_second_deliveries: bool = True
    disable_after_failures: int = 5
    timeout: float = 60.0


@dataclass(slots=True)
class Webhook:
    """A webhook of the site. `status` is active, paused or disabled."""

    id: int
    name: str
    topic: str
    delivery_url: str
    secret: str
    status: str
    created_at: float
    modified_at: float
    failures: int = 0
    pending: bool = True

    @property
    def resource(self) -> str:
        """The topic's first part, such as order."""
        return self.topic.partition(".")[0]

    @property
    def event(self) -> str:
        """The topic's second part, such as created."""
        return self.topic.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request to a webhook's address; `topic` is "ping" for the first. `status` is None when
    there was no answer.
    """

    webhook_id: int
    url: str
    topic: str
    record_id: int
    delivery_id: str
    status: int | None


def topic_is_valid(topic: str) -> bool:
    """`wc_is_webhook_valid_topic`."""
    if topic.startswith(("action.woocommerce_", "action.wc_")):
        return True
    resource, _, event = topic.partition(".")
    return resource in RESOURCES and event in EVENTS and topic != "customer.restored"


class Webhooks:
    """The webhooks of a site and what waits to be sent."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.ways = Ways()
        self.by_id: dict[int, Webhook] = {}
        self.queue: list[tuple[float, Webhook, int]] = []
        self.pings: list[Webhook] = []
        self.sent: deque[Sent] = deque(maxlen=1000)
        self.last: dict[int, tuple[Webhook, int]] = {}

    def emit(self, topic: str, record_id: int) -> None:
        """Schedule a delivery to every active webhook of a topic."""
        due = self._site.now() + self.ways.cron_delay
        waiting = {(webhook.id, number) for _, webhook, number in self.queue}
        for webhook in self.by_id.values():
            is_subscribed = webhook.status == "active" and webhook.topic == topic
            if is_subscribed and (webhook.id, record_id) not in waiting:
                self.queue.append((due, webhook, record_id))

    def replay(self, webhook_id: int) -> None:
        """Send the last delivery of a webhook again: byte for byte, unless the record changed."""
        webhook, record_id = self.last[webhook_id]
        self.queue.append((self._site.now(), webhook, record_id))

    @property
    def pending(self) -> bool:
        """Whether any request waits."""
        return bool(self.queue or self.pings)

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the deliveries that are due."""
        if self.ways.paused:
            return
        pings, self.pings = self.pings, []
        now = self._site.now()
        due = [(webhook, number) for at, webhook, number in self.queue if at <= now]
        self.queue = [each for each in self.queue if each[0] > now]
        await asyncio.gather(
            *(self._ping(session, webhook) for webhook in pings),
            *(self._deliver(session, webhook, number) for webhook, number in due),
        )

    async def _ping(self, session: aiohttp.ClientSession, webhook: Webhook) -> None:
        # Unsigned, and a form: it only checks that the address answers.
        headers = {"User-Agent": AGENT, "Content-Type": "application/x-www-form-urlencoded"}
        body = f"webhook_id={webhook.id}".encode()
        status = await self._post(session, webhook, body, headers)
        webhook.pending = status != 200
        self.sent.append(Sent(webhook.id, webhook.delivery_url, "ping", 0, "", status))

    async def _deliver(
        self, session: aiohttp.ClientSession, webhook: Webhook, record_id: int
    ) -> None:
        payload = self._payload(webhook, record_id)
        body = json.dumps(payload, separators=(",", ":")).encode()
        self.last[webhook.id] = (webhook, record_id)
        delivery_id = self._delivery_id(webhook, record_id)
        headers = {
            "User-Agent": AGENT,
            "Content-Type": "application/json",
            "X-WC-Webhook-Source": f"{self._site.url}/",
            "X-WC-Webhook-Topic": webhook.topic,
            "X-WC-Webhook-Resource": webhook.resource,
            "X-WC-Webhook-Event": webhook.event,
            "X-WC-Webhook-ID": str(webhook.id),
            "X-WC-Webhook-Delivery-ID": delivery_id,
            **self._signature(webhook, body),
        }
        if self.ways.signing == "changed-byte":
            body = body.replace(b'"id"', b'"iD"', 1)
        status = await self._post(session, webhook, body, headers)
        topic, url = webhook.topic, webhook.delivery_url
        self.sent.append(Sent(webhook.id, url, topic, record_id, delivery_id, status))
        self._count(webhook, status)

    async def _post(
        self,
        session: aiohttp.ClientSession,
        webhook: Webhook,
        body: bytes,
        headers: dict[str, str],
    ) -> int | None:
        if self.ways.refuses_local and urlsplit(webhook.delivery_url).hostname in LOCAL:
            return None
        reply = await post(session, webhook.delivery_url, body, headers, self.ways.timeout)
        return None if reply is None else reply.status

    def _payload(self, webhook: Webhook, record_id: int) -> dict[str, Any]:
        """What the REST API answers for the record: its refusal, when the record is gone by now."""
        if webhook.event == "deleted":
            return {"id": record_id}
        if webhook.resource == "order":
            order = self._site.orders.get(record_id)
            gone = invalid_id("shop_order").body
            return gone if order is None else order_body(self._site, order)
        customer = self._site.customers.get(record_id)
        gone = unknown_resource().body
        return gone if customer is None else customer_body(self._site, customer)

    def _delivery_id(self, webhook: Webhook, record_id: int) -> str:
        of = f"{webhook.id}{int(self._site.now())}"
        if not self.ways.same_second_deliveries:
            of += f"{record_id}{len(self.sent)}"
        return self._site.hash(of)

    def _signature(self, webhook: Webhook, body: bytes) -> dict[str, str]:
        if self.ways.signing == "missing":
            return {}
        secret = html.unescape(webhook.secret)
        if self.ways.signing == "wrong-secret":
            secret = "another secret"  # noqa: S105  # made to be wrong
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        return {"X-WC-Webhook-Signature": base64.b64encode(digest).decode()}

    def _count(self, webhook: Webhook, status: int | None) -> None:
        if status is not None and 200 <= status < 303:
            webhook.failures = 0
        elif webhook.failures > self.ways.disable_after_failures:
            webhook.status = "disabled"
        else:
            webhook.failures += 1
