"""The state of the simulated First Mile Labs: clients, tokens, cases, keys, levers.

What their public pages specify is built in; what they leave open is a lever, so that nothing
unknown is assumed (https://www.firstmilelabs.com/docs/hubspot, /docs/api, /docs/webhooks).
"""

import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.faults import Faults

SCOPES = (
    "read:cases",
    "read:documents",
    "read:events",
    "read:decisions",
    "read:screening",
    "cases:write",
)


@dataclass(slots=True)
class Levers:
    """What FML's pages leave open, and what may go wrong. The defaults are the strictest reading.

    `error_list` names the list of failed fields ("" leaves it out); `parallel_keys` is what two
    requests with one key at once get, "wait" or "conflict"; `case_ids` are "uuid" or "serial".
    """

    accepts_forms: bool = False
    token_limit: int = 30
    call_limit: int = 120
    token_lifetime: int = 3600
    error_list: str = "details"
    key_lifetime: float | None = None
    keeps_refusals: bool = True
    compares_bodies: bool = False
    record_first: bool = False
    source_counts: bool = False
    parallel_keys: str = "wait"
    case_ids: str = "uuid"
    slowness: float = 0.0


@dataclass(slots=True)
class Client:
    """A client of the Public Pull API, as made in FML's console."""

    client_id: str
    client_secret: str
    scopes: list[str]
    org_id: str
    revoked: bool = False


@dataclass(slots=True)
class Token:
    """An access token, good until it runs out or its client is revoked."""

    client_id: str
    expires_at: float
    alive: bool = True


@dataclass(slots=True)
class Case:
    """An onboarding case."""

    case_id: str
    org_id: str
    fields: dict[str, Any]
    status: str = "in-progress"
    stage: str = "created"
    decision: str | None = None
    invites: int = 0
    invited_at: str | None = None

    def shown(self) -> dict[str, Any]:
        """The case as the API shows it."""
        names = ("customerEmail", "customerName", "companyName", "country", "entityType")
        return {
            "caseId": self.case_id,
            **{name: self.fields.get(name) for name in names},
            "crmRecordId": self.fields.get("crmRecordId"),
            "crmSource": self.fields.get("crmSource"),
            "source": "api",
            "status": self.status,
            "inviteSentAt": self.invited_at,
            "customerPortalUrl": "https://app.firstmilelabs.com/",
            "analystUrl": f"https://cases.firstmilelabs.com/?case={self.case_id}",
        }


@dataclass(slots=True)
class SavedAnswer:
    """The first answer to an idempotency key."""

    endpoint: str
    body: bytes
    status: int
    answer: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    key: str | None
    body: bytes
    at: float


class FirstMileLabs(Clock):
    """One simulated First Mile Labs. Attributes are levers; they may change at any time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.faults = Faults()
        self.clients: dict[str, Client] = {}
        self.tokens: dict[str, Token] = {}
        self.cases: dict[str, Case] = {}
        self.keys: dict[tuple[str, str], SavedAnswer] = {}
        self.in_flight: set[tuple[str, str]] = set()
        self.windows: dict[tuple[str, str], deque[float]] = {}
        self.refused_calls = 0
        self.seen: deque[Seen] = deque(maxlen=20_000)
        self.marker = ""

    def moment(self) -> str:
        """The present as FML writes it: UTC with milliseconds."""
        return f"{datetime.fromtimestamp(self.now(), UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"

    def add_client(
        self, client_id: str, client_secret: str, scopes: list[str] | None = None, org: str = "org"
    ) -> Client:
        """Make a client, as a person does in FML's console."""
        client = Client(client_id, client_secret, list(scopes or SCOPES), org)
        self.clients[client_id] = client
        return client

    def mint(self, client: Client) -> tuple[str, Token]:
        """A fresh token."""
        token = f"fml-{self.marker}{secrets.token_hex(24)}"
        lifetime = self.levers.token_lifetime
        self.tokens[token] = Token(client.client_id, self.now() + lifetime)
        return token, self.tokens[token]

    def revoke_tokens(self) -> None:
        """End every token before its time, as revoking a client does."""
        for token in self.tokens.values():
            token.alive = False

    def over(self, client_id: str, kind: str) -> int:
        """Count a request against a limit; how many seconds to wait, 0 when there is room."""
        limit = self.levers.token_limit if kind == "token" else self.levers.call_limit
        window = self.windows.setdefault((client_id, kind), deque())
        now = self.now()
        while window and window[0] <= now - 60:
            window.popleft()
        if len(window) >= limit:
            self.refused_calls += 1
            return max(1, int(window[0] + 60 - now) + 1)
        window.append(now)
        return 0

    def case_of_record(self, org_id: str, fields: dict[str, Any]) -> Case | None:
        """The case that a CRM record has already."""
        record, source = fields.get("crmRecordId"), fields.get("crmSource")
        if record is None:
            return None
        for case in self.cases.values():
            same = (case.org_id, case.fields.get("crmRecordId")) == (org_id, record)
            if same and (not self.levers.source_counts or case.fields.get("crmSource") == source):
                return case
        return None

    def open_case(self, org_id: str, fields: dict[str, Any]) -> Case:
        """A new case, with an invitation when one is requested."""
        serial = f"CS-2026-{len(self.cases) + 1:05}"
        case_id = serial if self.levers.case_ids == "serial" else str(uuid.uuid4())
        stored = {**fields, "crmSource": str(fields.get("crmSource") or "").lower() or None}
        case = self.cases[case_id] = Case(case_id, org_id, stored)
        if fields.get("sendInvite"):
            case.invites, case.invited_at, case.stage = 1, self.moment(), "invite_sent"
        return case


@dataclass(slots=True)
class WebhookEndpoint:
    """Where events are sent, as registered in FML's console."""

    url: str
    secret: str
    events: list[str] = field(default_factory=lambda: ["*"])
