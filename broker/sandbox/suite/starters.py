"""How each sandbox is started with an app registered in it, and which settings lead to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.sandbox.core.directory import Entry
from broker.sandbox.enrichment.server import serve as serve_enrichment
from broker.sandbox.enrichment.world import VENDORS as ENRICHMENT_VENDORS
from broker.sandbox.fml.server import serve as serve_fml
from broker.sandbox.hubspot.server import serve as serve_hubspot
from broker.sandbox.quickbooks.server import serve as serve_quickbooks
from broker.sandbox.salesforce.server import serve as serve_salesforce
from broker.sandbox.salesforce.world import ADMIN
from broker.sandbox.woocommerce.server import serve as serve_woocommerce
from broker.sandbox.xero.server import serve as serve_xero

HUBSPOT_APP_ID = 4242
HUBSPOT_SCOPES = [
    "oauth",
    *(
        f"crm.objects.{kind}.{right}"
        for kind in ("contacts", "companies", "deals")
        for right in ("read", "write")
    ),
]
SALESFORCE_SCOPES = ["api", "refresh_token", "openid"]
SHOPIFY_SCOPES = ["read_orders", "read_customers"]
SHOP = "acme.myshopify.com"
QUICKBOOKS_SCOPES = ["com.intuit.quickbooks.accounting"]
XERO_SCOPES = [
    "offline_access",
    *(f"accounting.{kind}" for kind in ("contacts", "invoices", "payments", "settings")),
]


@dataclass(frozen=True, slots=True)
class Options:
    """Where a sandbox listens, and what is in it.

    `redirects` are the redirect URLs of the registered app. `login_ports` are two more ports,
    which only Salesforce needs. `data` is the folder for HubSpot's data.
    """

    host: str
    port: int
    redirects: list[str]
    seed: bool
    login_ports: tuple[int, int] = (0, 0)
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A sandbox that runs."""

    entry: Entry
    running: Any
    close: Callable[[], Awaitable[None]]


async def start_hubspot(options: Options) -> Started:
    """Start HubSpot with what its folder holds."""
    host, port = options.host, options.port
    running = await serve_hubspot(host, port, data=options.data, seed=options.seed)
    sandbox, url = running.sandbox, running.url
    app = {**_credentials("hubspot"), "appId": str(HUBSPOT_APP_ID), "scopes": HUBSPOT_SCOPES}
    registered = sandbox.apps.get(app["clientId"])
    if registered is None:
        sandbox.register_app(
            app["clientId"], app["clientSecret"], HUBSPOT_APP_ID, HUBSPOT_SCOPES, options.redirects
        )
    else:
        registered.redirect_urls = list(
            dict.fromkeys([*registered.redirect_urls, *options.redirects])
        )
    settings = {"BROKER_HUBSPOT_API_URL": url, "BROKER_HUBSPOT_APP_URL": url}
    accounts = tuple(f"{each.domain} ({each.hub_id})" for each in sandbox.portals.values())
    return Started(
        Entry("hubspot", "HubSpot", url, settings, app, accounts), running, running.close
    )


async def start_fml(options: Options) -> Started:
    """Start First Mile Labs with a client of its API. Cases come from kickoffs only."""
    running = await serve_fml(options.host, options.port)
    client = _credentials("fml")
    running.fml.add_client(client["clientId"], client["clientSecret"])
    settings = {"BROKER_FML_URL": running.url}
    entry = Entry("fml", "First Mile Labs", running.url, settings, client)
    return Started(entry, running, running.close)


async def start_salesforce(options: Options) -> Started:
    """Start Salesforce with one org, whose own host answers every request."""
    login, test = options.login_ports
    running = await serve_salesforce(
        options.host, options.port, login_port=login, test_port=test, seed=options.seed
    )
    app = {**_credentials("salesforce"), "scopes": SALESFORCE_SCOPES}
    running.world.add_app(
        app["clientId"], app["clientSecret"], options.redirects, SALESFORCE_SCOPES, run_as=ADMIN
    )
    settings = {"BROKER_SALESFORCE_URL": running.url}
    entry = Entry("salesforce", "Salesforce", running.url, settings, app, (ADMIN,))
    return Started(entry, running, running.close)


async def start_shopify(options: Options) -> Started:
    """Start Shopify with one shop. Raises ImportError without graphql-core."""
    from broker.sandbox.shopify.apps import App  # noqa: PLC0415  # may be absent
    from broker.sandbox.shopify.server import serve  # noqa: PLC0415

    running = await serve(options.host, options.port, seed=options.seed)
    if not running.world.shops:
        running.world.add_shop(SHOP)
    app = {**_credentials("shopify"), "scopes": SHOPIFY_SCOPES}
    client_id, secret = app["clientId"], app["clientSecret"]
    running.world.add_app(
        App(client_id, secret, SHOPIFY_SCOPES, options.redirects, "Sandbox", own_shops=[SHOP])
    )
    settings = {"BROKER_SHOPIFY_URL": f"{running.url}/shops/{{shop}}"}
    entry = Entry("shopify", "Shopify", running.url, settings, app, (SHOP,))
    return Started(entry, running, running.close)


async def start_woocommerce(options: Options) -> Started:
    """Start WooCommerce with a key pair; keys for the broker are made when a person consents."""
    running = await serve_woocommerce(options.host, options.port, seed=options.seed)
    key = running.world.add_key(description="Sandbox")
    pair = {"consumerKey": key.consumer_key, "consumerSecret": key.consumer_secret}
    # The site is at an address of this machine, which the broker refuses otherwise.
    settings = {"BROKER_ALLOW_PRIVATE_ENDPOINTS": "true"}
    entry = Entry("woocommerce", "WooCommerce", running.url, settings, pair, (running.url,))
    return Started(entry, running, running.close)


async def start_quickbooks(options: Options) -> Started:
    """Start QuickBooks Online with its two companies."""
    running = await serve_quickbooks(options.host, options.port, seed=options.seed)
    app = {
        **_credentials("quickbooks"),
        "scopes": QUICKBOOKS_SCOPES,
        "webhookSecret": "quickbooks-sandbox-verifier",
    }
    running.world.register_app(
        app["clientId"], app["clientSecret"], options.redirects, app["webhookSecret"]
    )
    settings = {"BROKER_QUICKBOOKS_URL": running.url}
    accounts = tuple(
        f"{each.settings.name} ({realm_id})" for realm_id, each in running.world.companies.items()
    )
    entry = Entry("quickbooks", "QuickBooks Online", running.url, settings, app, accounts)
    return Started(entry, running, running.close)


async def start_xero(options: Options) -> Started:
    """Start Xero with its two organisations."""
    running = await serve_xero(options.host, options.port, seed=options.seed)
    app = {
        **_credentials("xero"),
        "scopes": XERO_SCOPES,
        "webhookSecret": "xero-sandbox-webhook-key",
    }
    running.world.register_app(
        app["clientId"],
        app["clientSecret"],
        options.redirects,
        webhook_key=app["webhookSecret"],
    )
    settings = {"BROKER_XERO_URL": running.url}
    accounts = tuple(
        f"{each.settings.name} ({tenant_id})"
        for tenant_id, each in running.world.organisations.items()
    )
    entry = Entry("xero", "Xero", running.url, settings, app, accounts)
    return Started(entry, running, running.close)


async def start_enrichment(options: Options) -> Started:
    """Start the five enrichment vendors, each with a key of its own."""
    running = await serve_enrichment(options.host, options.port, seed=options.seed)
    keys = {
        vendor: running.world.add_key(vendor, f"{vendor}-sandbox-key")
        for vendor in ENRICHMENT_VENDORS
    }
    settings = {
        f"BROKER_{vendor.upper()}_URL": f"{running.url}/{vendor}" for vendor in ENRICHMENT_VENDORS
    }
    entry = Entry("enrichment", "Enrichment vendors", running.url, settings, keys)
    return Started(entry, running, running.close)


def _credentials(vendor: str) -> dict[str, Any]:
    return {"clientId": f"{vendor}-sandbox", "clientSecret": f"{vendor}-sandbox-secret"}


STARTERS = {
    "hubspot": start_hubspot,
    "fml": start_fml,
    "salesforce": start_salesforce,
    "shopify": start_shopify,
    "woocommerce": start_woocommerce,
    "quickbooks": start_quickbooks,
    "xero": start_xero,
    "enrichment": start_enrichment,
}
"""In the order of their ports."""
