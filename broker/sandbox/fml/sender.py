"""Webhooks as FML sends them: one event a request, signed over its bytes, retried, and every way in
which that may go wrong (https://www.firstmilelabs.com/docs/webhooks).

The number of attempts, the waits between them and the timeout are invented: FML's pages do not
specify them.
"""

import asyncio
import hashlib
import hmac
import json
import random
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.sandbox.core.sending import post
from broker.sandbox.fml.world import Case, FirstMileLabs, WebhookEndpoint


@dataclass(slots=True)
class Ways:
    """How events are sent. `signing` is right, wrong-secret, changed-byte, missing, no-prefix or
    upper-hex; `record_id` is sent, null or absent.
    """

    signing: str = "right"
    pretty: bool = False
    duplicates: int = 0
    shuffled: bool = False
    paused: bool = False
    record_id: str = "sent"
    event_version: int = 1
    extra: dict[str, Any] = field(default_factory=dict)
    tries: int = 5
    first_wait: float = 1.0
    timeout: float = 10.0


@dataclass(slots=True)
class Outgoing:
    """One event on its way to one endpoint."""

    endpoint: WebhookEndpoint
    name: str
    body: bytes
    due: float
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt. `status` is None when there was no answer."""

    url: str
    event: str
    event_id: str
    status: int | None


class Sender:
    """Sends events about cases to the endpoints that subscribe to them."""

    def __init__(self, fml: FirstMileLabs) -> None:
        self._fml = fml
        self.ways = Ways()
        self.endpoints: list[WebhookEndpoint] = []
        self.queue: list[Outgoing] = []
        self.sent: deque[Sent] = deque(maxlen=1000)
        self.bodies: dict[str, tuple[str, bytes]] = {}

    def move(self, case: Case, **changes: Any) -> list[str]:
        """Move a case on: `status`, `stage`, `decision`; the ids of the events about it."""
        before = case.status
        events = []
        if "stage" in changes:
            case.stage = str(changes["stage"])
        if "status" in changes:
            case.status = str(changes["status"])
            change = {"status": case.status, "previousStatus": before}
            by = {"changedBy": "analyst@fml.example"}
            events.append(self.queue_event("case.status.changed", case, {**change, **by}))
        if "decision" in changes:
            case.decision, case.stage = str(changes["decision"]), "decision_made"
            events.append(self.queue_event("case.decision.made", case, {"decision": case.decision}))
        if "stage" in changes or "decision" in changes:
            label = case.stage.replace("_", " ").capitalize()
            shown = {"stage": case.stage, "stageLabel": label, "roster": [], "summary": {}}
            events.append(self.queue_event("case.onboarding_progress.changed", case, shown))
        return events

    def queue_event(self, name: str, case: Case, fields: dict[str, Any], **envelope: Any) -> str:
        """Queue an event about a case for every endpoint that subscribes to it; its id."""
        event: dict[str, Any] = {
            "event": name,
            "eventId": str(uuid.uuid4()),
            "eventVersion": self.ways.event_version,
            "timestamp": self._fml.moment(),
            "orgId": case.org_id,
            "crmRecordId": case.fields.get("crmRecordId"),
            "crmSource": case.fields.get("crmSource"),
            "caseId": case.case_id,
            "companyName": case.fields.get("companyName"),
            **fields,
            **self.ways.extra,
            **envelope,
        }
        if self.ways.record_id == "null":
            event["crmRecordId"] = None
        elif self.ways.record_id == "absent":
            del event["crmRecordId"]
        self.send(event)
        return str(event["eventId"])

    def send(self, event: dict[str, Any]) -> None:
        """Queue an event unchanged."""
        separators = None if self.ways.pretty else (",", ":")
        indent = 2 if self.ways.pretty else None
        text = json.dumps(event, ensure_ascii=False, separators=separators, indent=indent)
        name, body = str(event.get("event")), text.encode()
        self.bodies[str(event.get("eventId"))] = (name, body)
        self._queue(name, body)

    def redeliver(self, event_id: str) -> None:
        """Send an event again, byte for byte, as a person can request."""
        self._queue(*self.bodies[event_id])

    def _queue(self, name: str, body: bytes) -> None:
        for endpoint in self.endpoints:
            if "*" in endpoint.events or name in endpoint.events:
                for _ in range(1 + self.ways.duplicates):
                    self.queue.append(Outgoing(endpoint, name, body, self._fml.now()))

    @property
    def pending(self) -> bool:
        """Whether any event waits."""
        return bool(self.queue)

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the deliveries that are due."""
        if self.ways.paused:
            return
        now = self._fml.now()
        due = [each for each in self.queue if each.due <= now]
        self.queue = [each for each in self.queue if each.due > now]
        if self.ways.shuffled:
            random.shuffle(due)
        await asyncio.gather(*(self._attempt(session, each) for each in due))

    async def _attempt(self, session: aiohttp.ClientSession, each: Outgoing) -> None:
        each.tried += 1
        headers = {"Content-Type": "application/json", **self._signature(each)}
        body = each.body
        if self.ways.signing == "changed-byte":
            body = body.replace(b'"event"', b'"Event"', 1)
        reply = await post(session, each.endpoint.url, body, headers, self.ways.timeout)
        status = None if reply is None else reply.status
        event_id = str(json.loads(each.body).get("eventId"))
        self.sent.append(Sent(each.endpoint.url, each.name, event_id, status))
        if (reply is None or not reply.ok) and each.tried < self.ways.tries:
            each.due = self._fml.now() + self.ways.first_wait * 4.0 ** (each.tried - 1)
            self.queue.append(each)

    def _signature(self, each: Outgoing) -> dict[str, str]:
        how = self.ways.signing
        secret = "another secret" if how == "wrong-secret" else each.endpoint.secret
        digest = hmac.new(secret.encode(), each.body, hashlib.sha256).hexdigest()
        if how == "missing":
            return {}
        if how == "upper-hex":
            digest = digest.upper()
        return {"X-FML-Signature": digest if how == "no-prefix" else f"sha256={digest}"}
