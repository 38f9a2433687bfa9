"""Every address of the broker, and who answers."""

from typing import Any

from aiohttp import web

from broker.bootstrap.components import Broker
from broker.services.installs.app_checks import Checks
from broker.web.api.apps import AppPages
from broker.web.api.calls import CallPages
from broker.web.api.connect import ConnectPages
from broker.web.api.connections import ConnectionPages
from broker.web.api.deliveries import DeliveryPages
from broker.web.api.docs import DocsPages
from broker.web.api.endpoints import EndpointPages
from broker.web.api.health import DocumentPages, HealthPages
from broker.web.api.kyb import KybPages
from broker.web.api.runs import RunPages
from broker.web.api.stackgo import StackGoPages
from broker.web.api.tokens import TokenPages
from broker.web.console import routes as console
from broker.web.console.apps import AppDesk
from broker.web.console.base import Desk
from broker.web.console.calls import CallDesk
from broker.web.console.connections import ConnectionDesk
from broker.web.console.events import EventDesk
from broker.web.console.keys import KeyDesk
from broker.web.console.kyb import KybDesk
from broker.web.console.kyb_settings import KybSettingsDesk
from broker.web.console.playground import PlaygroundDesk
from broker.web.console.sign_in import SignInPages
from broker.web.core import openapi
from broker.web.core.pages import Pages, StaticPages
from broker.web.inbound.hubspot_actions import ActionPages
from broker.web.inbound.hubspot_webhooks import WebhookPages
from broker.web.inbound.oauth_callback import InstallPages
from broker.web.inbound.vendor_webhooks import VendorPages
from broker.web.proxy.handlers import METHODS, ProxyPages

WORKSPACE = "{workspace:[0-9A-Fa-f-]{36}}"

CONNECTION = "/api/apps/{slug}/connections/{user}"
RECIPE = "/api/apps/{slug}/recipes/kyb"
ENDPOINT = "/api/apps/{slug}/endpoints/{id}"

URL_TABLE: tuple[tuple[str, str, type, str], ...] = (
    ("POST", "/oauth/token", TokenPages, "token"),
    ("POST", "/api/apps", AppPages, "register"),
    ("GET", "/api/apps", AppPages, "index"),
    ("GET", "/api/apps/{slug}", AppPages, "show"),
    ("PATCH", "/api/apps/{slug}", AppPages, "change"),
    ("DELETE", "/api/apps/{slug}", AppPages, "remove"),
    ("GET", "/api/hubspot/auth/{slug}", StackGoPages, "link"),
    ("GET", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/callback", InstallPages, "callback"),
    ("POST", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/webhooks", WebhookPages, "hubspot"),
    ("POST", "/api/hubspot/claims/{claim}", ConnectionPages, "claim"),
    ("POST", "/api/connections/confirm", ConnectionPages, "confirm"),
    ("GET", "/api/saas-org-user/get-users/{slug}", StackGoPages, "users"),
    ("GET", "/api/saas-org-user/get-user/{slug}", StackGoPages, "user"),
    ("DELETE", "/api/saas-org-user/delete-user/{slug}", StackGoPages, "delete"),
    ("GET", "/api/apps/{slug}/connections", ConnectionPages, "index"),
    ("GET", CONNECTION, ConnectionPages, "show"),
    ("DELETE", CONNECTION, ConnectionPages, "delete"),
    ("POST", f"{CONNECTION}/renew", ConnectionPages, "renew"),
    ("POST", f"{CONNECTION}/import", ConnectionPages, "bring_in"),
    ("POST", "/api/apps/{slug}/endpoints", EndpointPages, "register"),
    ("GET", "/api/apps/{slug}/endpoints", EndpointPages, "index"),
    ("GET", ENDPOINT, EndpointPages, "show"),
    ("PATCH", ENDPOINT, EndpointPages, "change"),
    ("DELETE", ENDPOINT, EndpointPages, "remove"),
    ("GET", f"{ENDPOINT}/deliveries", DeliveryPages, "deliveries"),
    ("POST", f"{ENDPOINT}/replay", DeliveryPages, "replay_span"),
    ("POST", f"{ENDPOINT}/test", DeliveryPages, "test"),
    ("POST", f"{ENDPOINT}/rotate", EndpointPages, "rotate"),
    ("POST", "/api/apps/{slug}/deliveries/{id}/replay", DeliveryPages, "replay"),
    ("GET", "/api/apps/{slug}/calls", CallPages, "index"),
    ("PUT", RECIPE, KybPages, "put"),
    ("GET", RECIPE, KybPages, "show"),
    ("DELETE", RECIPE, KybPages, "remove"),
    ("GET", "/api/recipes/runs/{id}", RunPages, "show"),
    ("POST", "/api/recipes/runs/{id}/retry", RunPages, "retry"),
    ("POST", "/api/recipes/kyb/{slug}", KybPages, "kick_off"),
    ("POST", "/api/recipes/kyb/{slug}/setup", KybPages, "prepare"),
    ("GET", "/api/recipes/kyb/{slug}/runs", RunPages, "index"),
    ("GET", "/api/recipes/kyb/{slug}/parked", RunPages, "parked"),
    ("POST", f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}/actions/kyb", ActionPages, "kyb"),
    ("POST", f"/fml/{{slug:[^/]+}}-{WORKSPACE}/webhooks", VendorPages, "fml"),
    ("POST", "/api/raw/{slug}", ProxyPages, "wrapped"),
    ("POST", "/api/hubspot/proxy/{slug}", ProxyPages, "wrapped"),
    ("*", "/proxy/{slug}/{user}/{target:[\\s\\S]*}", ProxyPages, "transparent"),
    ("POST", "/api/connect/sessions", ConnectPages, "create"),
    ("GET", "/connect/{token}", ConnectPages, "show"),
    ("POST", "/connect/{token}", ConnectPages, "begin"),
    ("GET", "/connect/ended/{workspace}/{session}", ConnectPages, "ended"),
    ("GET", "/connect.js", StaticPages, "connect_js"),
    ("GET", "/static/{name:.+}", StaticPages, "file"),
    ("GET", "/healthz", HealthPages, "alive"),
    ("GET", "/readyz", HealthPages, "ready"),
    ("GET", "/openapi.json", DocumentPages, "openapi"),
    ("GET", "/docs", DocsPages, "reference"),
    ("GET", "/docs/{name:.+}", DocsPages, "guide"),
)
"""Every address, and who answers."""


def described(public_url: str) -> dict[str, Any]:
    """The OpenAPI document of the URL table."""
    rows = [
        (each, path, getattr(pages, name))
        for method, path, pages, name in URL_TABLE
        for each in (METHODS if method == "*" else (method,))
    ]
    return openapi.document(rows, public_url)


def routes(broker: Broker, health: HealthPages) -> list[web.RouteDef]:
    """Every address with who answers there, handed what they need."""
    settings = broker.settings
    ours = Pages(settings.public_url)
    connect = ConnectPages(
        broker.apps, broker.connecting, ours, settings.public_url, settings.hubspot_app_url
    )
    pages: dict[type, object] = {
        TokenPages: TokenPages(broker.keys),
        AppPages: AppPages(broker.apps, broker.installs),
        StackGoPages: StackGoPages(broker.apps, broker.connections, broker.installs, broker.upkeep),
        ConnectionPages: ConnectionPages(
            broker.apps, broker.connections, broker.confirmations, broker.upkeep
        ),
        CallPages: CallPages(broker.apps, broker.calls),
        EndpointPages: EndpointPages(
            broker.apps, broker.endpoints, allow_private=settings.allow_private_endpoints
        ),
        DeliveryPages: DeliveryPages(
            broker.apps, broker.endpoints, broker.deliveries, broker.deliverer
        ),
        WebhookPages: WebhookPages(broker.intake, settings.public_url),
        **_recipe_pages(broker),
        ConnectPages: connect,
        InstallPages: InstallPages(broker.connecting, ours, connect.cookie),
        StaticPages: StaticPages(),
        ProxyPages: ProxyPages(
            broker.callers,
            broker.proxy,
            settings.hubspot_api_url,
            settings.max_body_mb * 1_048_576,
        ),
        HealthPages: health,
        DocumentPages: DocumentPages(described(settings.public_url)),
        DocsPages: DocsPages(ours, described(settings.public_url)),
    }
    # Mail scanners and chat previews send HEAD; only the health of the process answers it.
    return [
        web.get(path, getattr(pages[kind], name), allow_head=kind is HealthPages)
        if method == "GET"
        else web.route(method, path, getattr(pages[kind], name))
        for method, path, kind, name in URL_TABLE
    ] + console.routes(_desks(broker, ours))


def _recipe_pages(broker: Broker) -> dict[type, object]:
    recipes, public_url = broker.recipes, broker.settings.public_url
    setup, kickoffs, companies = recipes.setup, recipes.kickoffs, recipes.companies
    return {
        KybPages: KybPages(broker.apps, setup, kickoffs, companies, public_url),
        RunPages: RunPages(broker.apps, recipes.records, recipes.runs, recipes.cases),
        VendorPages: VendorPages(recipes.events),
        ActionPages: ActionPages(
            broker.intake, broker.apps, setup, kickoffs, recipes.actions, public_url
        ),
    }


def _desks(broker: Broker, ours: Pages) -> list[object]:
    """Who answers in the console."""
    settings, recipes = broker.settings, broker.recipes
    desk = Desk(ours, broker.operators, broker.apps)
    checks = Checks(broker.apps, broker.installs, broker.hubspot)
    return [
        SignInPages(desk, broker.keys),
        AppDesk(desk, broker.apps, broker.connections, broker.installs, checks),
        ConnectionDesk(desk, broker.connections, broker.installs, broker.upkeep),
        PlaygroundDesk(
            desk,
            broker.proxy,
            broker.connections,
            settings.public_url,
            settings.hubspot_api_url,
        ),
        CallDesk(desk, broker.calls),
        EventDesk(
            desk,
            broker.events,
            broker.endpoints,
            broker.deliveries,
            broker.deliverer,
            allow_private=settings.allow_private_endpoints,
        ),
        KybDesk(desk, recipes.kickoffs, recipes.runs, recipes.records, recipes.cases),
        KybSettingsDesk(desk, recipes.setup, recipes.companies, settings.public_url),
        KeyDesk(desk, broker.keys),
    ]
