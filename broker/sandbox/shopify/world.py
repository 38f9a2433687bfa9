"""The state of the simulated Shopify: apps, shops, tokens, webhooks, levers, a clock of its own."""

import itertools
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.faults import Faults
from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.grants import Grants
from broker.sandbox.shopify.store.payloads import moment, shop_body
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.webhooks import Webhooks

DOMAIN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*\.myshopify\.com")
COMPLIANCE = ("CUSTOMERS_DATA_REQUEST", "CUSTOMERS_REDACT", "SHOP_REDACT")
DAY_S = 86_400.0


@dataclass(slots=True)
class Levers:
    """What may go otherwise. The defaults are Shopify's of 2026-10 for a new public app on a Basic
    store.

    `frozen` is 402, 423, 430 or 540 for a store that answers so; `error_pages` has OAuth errors of
    client credentials come as HTML; `throttled_status` is 200 or 429.
    """

    auto_consent: bool = False
    expiring_required: bool = True
    old_refresh_grace: bool = True
    access_lifetime: float = 3600.0
    refresh_lifetime: float = 7_776_000.0
    credentials_lifetime: float = 86_399.0
    error_pages: bool = False
    pii: bool = True
    sixty_days: bool = True
    bucket: float = 2000.0
    restore_rate: float = 100.0
    max_query_cost: int = 1000
    throttled_status: int = 200
    frozen: int = 0
    version_fall_forward: bool = True
    versions: tuple[str, ...] = ("2026-01", "2026-04", "2026-07", "2026-10")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived; the token is its SHA-256."""

    method: str
    target: str
    shop: str
    token_sha256: str
    body: str
    at: float


class Shopify(Clock):
    """One simulated Shopify with any number of shops. Levers may change at any time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.faults = Faults()
        self.apps: dict[str, App] = {}
        self.shops: dict[str, Shop] = {}
        self.grants = Grants(self.now)
        self.webhooks = Webhooks(self.now)
        self.buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self.seen: deque[Seen] = deque(maxlen=20_000)
        self.ids = itertools.count(450_789_469)

    def timestamp(self, at: float | None) -> str | None:
        """A GraphQL `DateTime`: UTC to the second."""
        return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def add_app(self, app: App) -> App:
        """Register or replace an app, with the subscriptions of its configuration."""
        self.apps[app.client_id] = app
        for shop in self.shops.values():
            if app.client_id in shop.installed:
                self._configure(app, shop)
        return app

    def add_shop(self, name: str, **fields: object) -> Shop:
        """Open a store: `acme` becomes `acme.myshopify.com`. Raises ValueError on a bad name."""
        domain = name if name.endswith(".myshopify.com") else f"{name}.myshopify.com"
        if not DOMAIN.fullmatch(domain):
            raise ValueError(f"{domain} is not a myshopify.com domain")
        title = domain.partition(".")[0].replace("-", " ").title()
        shop = Shop(next(self.ids), domain, title, f"owner@{domain.partition('.')[0]}.example")
        shop.created_at = self.now()
        for field, value in fields.items():
            if not hasattr(shop, field):
                raise ValueError(f"a shop has no {field}")
            setattr(shop, field, value)
        self.shops[domain] = shop
        return shop

    def install(self, app: App, shop: Shop, scopes: list[str]) -> None:
        """Record a merchant's consent to an app; a change of scopes is sent to the app."""
        before = shop.installed.get(app.client_id)
        shop.installed[app.client_id] = list(scopes)
        self._configure(app, shop)
        if before is not None and set(before) != set(scopes):
            scopes_changed = {"id": shop.id, "previous": before, "current": list(scopes)}
            body = {**scopes_changed, "updated_at": moment(shop, self.now())}
            self.webhooks.emit(shop, "APP_SCOPES_UPDATE", lambda _app: body, only=app)

    def uninstall(self, app: App, shop: Shop) -> None:
        """Have a merchant remove an app: tokens end, subscriptions go, `shop/redact` follows in 48
        hours.
        """
        shop.installed.pop(app.client_id, None)
        self.grants.end(app.client_id, shop.domain)
        self.webhooks.emit(shop, "APP_UNINSTALLED", lambda _app: shop_body(shop), only=app)
        redact = {"shop_id": shop.id, "shop_domain": shop.domain}
        self.webhooks.emit(shop, "SHOP_REDACT", lambda _app: redact, delay=2 * DAY_S, only=app)
        self.webhooks.subscriptions = [
            each
            for each in self.webhooks.subscriptions
            if each.app is not app or each.shop is not shop
        ]

    def close(self, shop: Shop) -> None:
        """Close a store for good: it answers every request with 404 from now on."""
        del self.shops[shop.domain]
        for subscription in list(self.webhooks.subscriptions):
            if subscription.shop is shop:
                self.webhooks.delete(subscription)

    def _configure(self, app: App, shop: Shop) -> None:
        others = [
            each
            for each in self.webhooks.subscriptions
            if each.from_api or each.shop is not shop or each.app.client_id != app.client_id
        ]
        self.webhooks.subscriptions = others
        for topic, uri in app.subscriptions.items():
            self.webhooks.subscribe(app, shop, topic, uri, from_api=False)
