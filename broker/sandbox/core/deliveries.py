"""Webhooks on their way: base64(HMAC-SHA256) over the raw body, retries, and what may go wrong."""

import asyncio
import base64
import hmac
import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from broker.sandbox.core.sending import Reply, post


@dataclass(slots=True)
class Ways:
    """How webhooks are sent. `signing` is right, wrong-secret, changed-byte or missing; `waits`
    are the seconds before each further attempt; with `hold_until_ack` an address is sent nothing
    more until its first delivery is acknowledged.
    """

    waits: list[float]
    timeout: float
    signing: str = "right"
    duplicates: int = 0
    shuffled: bool = False
    paused: bool = False
    hold_until_ack: bool = False


@dataclass(slots=True)
class Delivery:
    """One request on its way to one address."""

    url: str
    secret: str
    body: bytes
    content_type: str
    due: float
    delivery_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempts: int = 0
    sending: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `status` is None when there was no answer."""

    delivery_id: str
    url: str
    body: str
    status: int | None
    acknowledged: bool


def signature(secret: str, body: bytes) -> str:
    """base64(HMAC-SHA256(secret, body))."""
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


class Deliveries:
    """Sends deliveries and retries them. `acknowledges` judges a receiver's reply as the vendor
    does; `on_abandoned` is called with a delivery that was never acknowledged.
    """

    def __init__(
        self,
        now: Callable[[], float],
        header: str,
        ways: Ways,
        acknowledges: Callable[[Reply], bool],
        on_abandoned: Callable[[Delivery], None] = lambda _: None,
    ) -> None:
        self._now = now
        self._header = header
        self._acknowledges = acknowledges
        self._on_abandoned = on_abandoned
        self.ways = ways
        self.queue: list[Delivery] = []
        self.sent: deque[Attempt] = deque(maxlen=1000)
        self._by_id: dict[str, tuple[str, str, bytes, str]] = {}

    def add(
        self, url: str, secret: str, body: bytes, content_type: str = "application/json"
    ) -> str:
        """Queue a request; its id."""
        first = Delivery(url, secret, body, content_type, self._now())
        self._by_id[first.delivery_id] = (url, secret, body, content_type)
        self.queue.append(first)
        for _ in range(self.ways.duplicates):
            again = Delivery(url, secret, body, content_type, self._now())
            again.delivery_id = first.delivery_id
            self.queue.append(again)
        return first.delivery_id

    def replay(self, delivery_id: str) -> None:
        """Send a request again, byte for byte. Raises KeyError for an unknown one."""
        url, secret, body, content_type = self._by_id[delivery_id]
        again = Delivery(url, secret, body, content_type, self._now())
        again.delivery_id = delivery_id
        self.queue.append(again)

    @property
    def pending(self) -> bool:
        """Whether any request waits."""
        return bool(self.queue)

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the deliveries that are due."""
        if self.ways.paused:
            return
        due = [each for each in self.queue if each.due <= self._now() and not each.sending]
        if self.ways.hold_until_ack:
            first: dict[str, Delivery] = {}
            for each in self.queue:
                first.setdefault(each.url, each)
            due = [each for each in due if first[each.url] is each]
        if self.ways.shuffled:
            random.shuffle(due)
        for each in due:
            each.sending = True
        await asyncio.gather(*(self._attempt(session, each) for each in due))

    async def _attempt(self, session: aiohttp.ClientSession, each: Delivery) -> None:
        headers, limit = self._signed(each), self.ways.timeout
        reply = await post(session, each.url, each.body, headers, limit)
        acknowledged = reply is not None and self._acknowledges(reply)
        status = reply.status if reply is not None else None
        text = each.body.decode(errors="replace")
        self.sent.append(Attempt(each.delivery_id, each.url, text, status, acknowledged))
        each.sending = False
        if acknowledged:
            self.queue.remove(each)
        elif each.attempts >= len(self.ways.waits):
            self.queue.remove(each)
            self._on_abandoned(each)
        else:
            each.due = self._now() + self.ways.waits[each.attempts]
            each.attempts += 1

    def _signed(self, each: Delivery) -> dict[str, str]:
        headers = {"Content-Type": each.content_type}
        how = self.ways.signing
        if how != "missing":
            secret = "another secret" if how == "wrong-secret" else each.secret
            body = each.body + b" " if how == "changed-byte" else each.body
            headers[self._header] = signature(secret, body)
        return headers
