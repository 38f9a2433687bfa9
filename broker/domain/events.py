"""Value types for events, endpoints and deliveries."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from broker.domain.model import Secret
from broker.domain.uuid7 import time_of, uuid7

RESERVED_FIELDS = ("app", "userForeignIdentifier", "hubId", "sequence")
"""The fields of `data` that are the broker's own, whatever else an event brings."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be published to an app's endpoints. `position` orders events of one moment. Never
    holds a secret.
    """

    type: str
    app_slug: str
    user_ref: str | None
    hub_id: int | None
    data: Mapping[str, Any] = field(default_factory=dict)
    happened_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    position: int = 0
    id: UUID = field(default_factory=uuid7)

    def payload(self) -> str:
        """What is sent, character for character, however often."""
        milliseconds = int(self.happened_at.timestamp() * 1000)
        reserved = (
            self.app_slug,
            self.user_ref,
            self.hub_id,
            milliseconds * 1000 + min(self.position, 999),
        )
        others = {name: value for name, value in self.data.items() if name not in RESERVED_FIELDS}
        return json.dumps(
            {
                "type": self.type,
                "timestamp": f"{self.happened_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
                f".{milliseconds % 1000:03}Z",
                "data": {**dict(zip(RESERVED_FIELDS, reserved, strict=True)), **others},
            },
            allow_nan=False,
            separators=(",", ":"),
        )


def message_id(event_id: UUID) -> str:
    """An event's name on the wire (`webhook-id`): the same at every attempt and every endpoint."""
    return f"evt_{event_id.hex}"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """An event of a provider's in one account. `occurred_at` is None where the provider does not
    say when; `data` is what endpoints receive beside the broker's own fields.

    `marks` are stored to recognise a repeat, its own first; `elsewhere` is the mark that would be
    there had another source of the provider's reported it, None for a provider with one source.
    `hub_id` is HubSpot's number of the account. `ends_grants`: the account's grants made before it
    are over; `for_app`: it is published even when no connection belongs to the account.
    """

    topic: str
    account_id: str
    occurred_at: datetime | None
    data: Mapping[str, Any]
    marks: tuple[bytes, ...]
    elsewhere: bytes | None = None
    hub_id: int | None = None
    ends_grants: bool = False
    for_app: bool = False


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """Who may sign an app's webhooks: its present secret, and for a day the one before."""

    app_id: UUID
    provider: str
    secrets: Sequence[Secret]
    webhook_secrets: Sequence[Secret]
    accepts_legacy: bool


@dataclass(frozen=True, slots=True)
class InboxBatch:
    """A delivery of a provider's webhooks, or a file of HubSpot's journal, as it was received.
    `headers` are those that the provider stores, by their lower-case names.
    """

    workspace_id: UUID
    id: UUID
    app_id: UUID
    app_slug: str | None
    provider: str
    source: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    reads_journal: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an app's events are sent, without its secret."""

    workspace_id: UUID
    id: UUID
    app_id: UUID
    url: str
    events: tuple[str, ...]
    failures: int
    failing_since: datetime | None
    resumes_at: datetime | None
    disabled_at: datetime | None
    disabled_because: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event's delivery to one endpoint, claimed for its next attempt. `claim` is the fence,
    `prior_failures` how often the endpoint failed in a row before.
    """

    workspace_id: UUID
    id: UUID
    endpoint_id: UUID
    event_id: UUID
    url: str
    secrets: Sequence[Secret]
    payload: str
    attempts: int
    claim: int
    is_replay: bool
    prior_failures: int


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as people look at it."""

    id: UUID
    event_id: UUID
    type: str
    user_ref: str | None
    state: str
    attempts: int
    is_replay: bool
    due_at: datetime | None
    last_status: int | None
    last_error: str | None
    attempted_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AppDelivery:
    """A delivery of any of an app's endpoints."""

    endpoint_id: UUID
    url: str
    record: DeliveryRecord


@dataclass(frozen=True, slots=True)
class EndpointOutcome:
    """What became of an event at one endpoint."""

    id: UUID
    endpoint_id: UUID
    url: str
    state: str
    attempts: int
    due_at: datetime | None
    last_status: int | None
    last_error: str | None
    attempted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A receiver's response to an attempt: its status, or the reason why there is none."""

    status: int | None
    error: str | None
    retry_after: float | None = None

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as people look at it, with how many of its deliveries are in which state."""

    id: UUID
    type: str
    user_ref: str | None
    payload: str
    delivered: int
    waiting: int
    dead: int

    @property
    def created_at(self) -> datetime:
        return time_of(self.id)
