"""A simulated WordPress site with WooCommerce: keys, records, levers and a clock of its own."""

import hashlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.faults import Faults
from broker.sandbox.woocommerce.store.records import STATUSES, Customer, Order

VERSION = "10.9.0"
WORDPRESS = "7.0"


@dataclass(slots=True)
class Levers:
    """What sites and their hosts do differently. The defaults are a site over HTTPS with pretty
    permalinks; the sandbox itself speaks plain HTTP in either case.

    `plain_http` has only OAuth 1.0a sign requests in; `strip_auth_header` is a host that drops
    `Authorization`; `permalinks` is "pretty" or "plain"; `local_http` lets keys go to an http
    address of this machine, which WooCommerce refuses; `maintenance` answers 503 in HTML.
    """

    auto_consent: bool = False
    plain_http: bool = False
    strip_auth_header: bool = False
    permalinks: str = "pretty"
    local_http: bool = True
    site_offset_minutes: int = 0
    currency: str = "USD"
    decimals: int = 2
    number_prefix: str = ""
    maintenance: bool = False
    custom_statuses: tuple[str, ...] = ()


@dataclass(slots=True)
class ApiKey:
    """A consumer key. `manages` is whether its user may manage the shop."""

    key_id: int
    consumer_key: str
    consumer_secret: str
    permissions: str
    description: str
    manages: bool = True
    nonces: dict[str, float] = field(default_factory=dict)
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; `key_sha256` is the consumer key's."""

    method: str
    route: str
    query: dict[str, str]
    key_sha256: str
    body: str
    at: float


class Site(Clock):
    """What a site holds. Levers may change at any time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.faults = Faults()
        self.keys: dict[str, ApiKey] = {}
        self.orders: dict[int, Order] = {}
        self.customers: dict[int, Customer] = {}
        self.seen: deque[Seen] = deque(maxlen=20_000)
        self.ids = itertools.count(101)
        self.salt = secrets.token_hex(16)
        self.url = "http://localhost"
        self.name = "Sandbox store"

    @property
    def statuses(self) -> tuple[str, ...]:
        """The order statuses of the site."""
        return (*STATUSES, *self.levers.custom_statuses)

    def local(self, at: float | None) -> str | None:
        """A time on the site's own clock, without an offset, as `date_created` has it."""
        if at is None:
            return None
        there = datetime.fromtimestamp(at, UTC) + timedelta(minutes=self.levers.site_offset_minutes)
        return f"{there:%Y-%m-%dT%H:%M:%S}"

    def gmt(self, at: float | None) -> str | None:
        """A time in UTC without a `Z`, as `date_created_gmt` has it."""
        return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"

    def add_key(
        self, permissions: str = "read_write", description: str = "", *, manages: bool = True
    ) -> ApiKey:
        """A key, as a person makes one. `permissions` is read, write or read_write."""
        key = ApiKey(
            next(self.ids),
            f"ck_{secrets.token_hex(20)}",
            f"cs_{secrets.token_hex(20)}",
            permissions,
            description,
            manages,
        )
        self.keys[key.consumer_key] = key
        return key

    def hash(self, text: str) -> str:
        """WordPress's `wp_hash`: an HMAC of the site's own."""
        return hashlib.md5((self.salt + text).encode(), usedforsecurity=False).hexdigest()
