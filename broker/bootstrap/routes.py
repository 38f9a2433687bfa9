"""Every address of the broker, and who answers."""

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web

from broker.bootstrap.components import Components
from broker.domain.urls import origin_of
from broker.providers.base import ProviderSpec
from broker.providers.catalog import KEY_HEADERS, PROVIDERS, WEBHOOKS
from broker.recipes import panels
from broker.recipes.api.table import handlers, table
from broker.recipes.base import AnySpec
from broker.recipes.catalog import RECIPES
from broker.recipes.starts.workflow_actions import WorkflowActions
from broker.services.installs.account_choice import AccountChoice
from broker.services.installs.app_checks import AppChecks
from broker.services.installs.hand_over import HandOvers
from broker.settings import Settings
from broker.stores.core.attention import Attention
from broker.web.api.app_models import NewApp
from broker.web.api.apps import AppHandlers
from broker.web.api.audit import AuditHandlers
from broker.web.api.calls import CallHandlers
from broker.web.api.connect import ConnectHandlers
from broker.web.api.connections import ConnectionHandlers
from broker.web.api.deliveries import DeliveryHandlers
from broker.web.api.docs import DocsPages
from broker.web.api.endpoints import EndpointHandlers
from broker.web.api.health import HealthHandlers, OpenApiHandler
from broker.web.api.stackgo import StackGoHandlers
from broker.web.api.tokens import TokenHandlers
from broker.web.console import routes as console
from broker.web.console.apps import AppViews
from broker.web.console.audit import AuditViews
from broker.web.console.base import ConsoleBase
from broker.web.console.calls import CallViews
from broker.web.console.connections import ConnectionViews
from broker.web.console.deliveries import DeliveryViews
from broker.web.console.events import EventViews
from broker.web.console.home import HomeViews
from broker.web.console.keys import KeyViews
from broker.web.console.playground import PlaygroundViews
from broker.web.console.sign_in import SignInViews
from broker.web.core.openapi_document import document
from broker.web.core.pages import Pages, StaticFiles
from broker.web.core.reference import Reference
from broker.web.inbound.hand_over import HandOverHandlers
from broker.web.inbound.oauth_callback import OAuthCallback
from broker.web.inbound.provider_webhooks import ProviderWebhooks
from broker.web.proxy.handlers import METHODS, ProxyHandlers

WORKSPACE = "{workspace:[0-9A-Fa-f-]{36}}"

CONNECTION = "/api/apps/{slug}/connections/{user:[^/]+}"
ENDPOINT = "/api/apps/{slug}/endpoints/{id}"

Row = tuple[str, str, type, str]


def _provider_rows(spec: ProviderSpec) -> list[Row]:
    """The addresses that each provider has."""
    name = spec.name
    rows: list[Row] = [
        ("GET", f"/api/{name}/auth/{{slug}}", StackGoHandlers, "link"),
        ("GET", f"/{name}/{{slug:[^/]+}}-{WORKSPACE}/callback", OAuthCallback, "callback"),
        ("POST", f"/api/{name}/proxy/{{slug}}", ProxyHandlers, "wrapped"),
    ]
    if spec.hands_over_keys:
        rows += [
            ("GET", f"/{name}/{{slug:[^/]+}}-{WORKSPACE}/start", HandOverHandlers, "start"),
            ("POST", f"/{name}/{{slug:[^/]+}}-{WORKSPACE}/keys", HandOverHandlers, "keys"),
        ]
    if spec.webhooks is not None:
        path = f"/{name}/{{slug:[^/]+}}-{WORKSPACE}/webhooks"
        rows.append(("POST", path, ProviderWebhooks, "receive"))
    if spec.chooses_account:
        rows.append(
            ("POST", f"/{name}/{{slug:[^/]+}}-{WORKSPACE}/account", OAuthCallback, "choose")
        )
    if spec.marketplace:
        rows += [
            ("GET", f"/api/{name}/claims/{{claim}}", ConnectionHandlers, "peek"),
            ("POST", f"/api/{name}/claims/{{claim}}", ConnectionHandlers, "claim"),
        ]
    return rows


URL_TABLE: tuple[Row, ...] = (
    ("POST", "/oauth/token", TokenHandlers, "token"),
    ("POST", "/api/apps", AppHandlers, "register"),
    ("GET", "/api/apps", AppHandlers, "index"),
    ("GET", "/api/apps/{slug}", AppHandlers, "show"),
    ("PATCH", "/api/apps/{slug}", AppHandlers, "change"),
    ("DELETE", "/api/apps/{slug}", AppHandlers, "remove"),
    *(row for spec in PROVIDERS for row in _provider_rows(spec)),
    ("POST", "/api/connections/confirm", ConnectionHandlers, "confirm"),
    ("GET", "/api/saas-org-user/get-users/{slug}", StackGoHandlers, "users"),
    ("GET", "/api/saas-org-user/get-user/{slug}", StackGoHandlers, "user"),
    ("DELETE", "/api/saas-org-user/delete-user/{slug}", StackGoHandlers, "delete"),
    ("GET", "/api/apps/{slug}/connections", ConnectionHandlers, "index"),
    ("GET", CONNECTION, ConnectionHandlers, "show"),
    ("DELETE", CONNECTION, ConnectionHandlers, "delete"),
    ("POST", f"{CONNECTION}/renew", ConnectionHandlers, "renew"),
    ("POST", f"{CONNECTION}/account", ConnectionHandlers, "choose"),
    ("POST", f"{CONNECTION}/import", ConnectionHandlers, "import_grant"),
    ("POST", "/api/apps/{slug}/endpoints", EndpointHandlers, "register"),
    ("GET", "/api/apps/{slug}/endpoints", EndpointHandlers, "index"),
    ("GET", ENDPOINT, EndpointHandlers, "show"),
    ("PATCH", ENDPOINT, EndpointHandlers, "change"),
    ("DELETE", ENDPOINT, EndpointHandlers, "remove"),
    ("GET", f"{ENDPOINT}/deliveries", DeliveryHandlers, "deliveries"),
    ("POST", f"{ENDPOINT}/replay", DeliveryHandlers, "replay_span"),
    ("POST", f"{ENDPOINT}/test", DeliveryHandlers, "test"),
    ("POST", f"{ENDPOINT}/rotate", EndpointHandlers, "rotate"),
    ("POST", "/api/apps/{slug}/deliveries/{id}/replay", DeliveryHandlers, "replay"),
    ("GET", "/api/apps/{slug}/calls", CallHandlers, "index"),
    ("GET", "/api/audit", AuditHandlers, "index"),
    ("POST", "/api/raw/{slug}", ProxyHandlers, "wrapped"),
    ("*", "/proxy/{slug}/{user:[^/]+}/{target:[\\s\\S]*}", ProxyHandlers, "transparent"),
    ("POST", "/api/connect/sessions", ConnectHandlers, "create"),
    ("GET", "/connect/{token}", ConnectHandlers, "show"),
    ("POST", "/connect/{token}", ConnectHandlers, "begin"),
    ("GET", "/connect/{token}/outcome", ConnectHandlers, "outcome"),
    ("GET", "/connect/ended/{workspace}/{session}", ConnectHandlers, "ended"),
    ("GET", "/connect.js", StaticFiles, "connect_js"),
    ("GET", "/static/{name:.+}", StaticFiles, "file"),
    ("GET", "/healthz", HealthHandlers, "alive"),
    ("GET", "/readyz", HealthHandlers, "ready"),
    ("GET", "/openapi.json", OpenApiHandler, "openapi"),
    ("GET", "/", DocsPages, "welcome"),
    ("GET", "/docs", DocsPages, "reference"),
    ("GET", "/docs/{name:.+}", DocsPages, "guide"),
)
"""Every address but those of the recipes, and who answers."""


def url_table(recipes: Sequence[AnySpec]) -> list[tuple[str, str, type, str]]:
    """Every address, and who answers."""
    found = [(each.method, each.path, each.handlers, each.handler) for each in table(recipes)]
    return [*URL_TABLE, *found]


def openapi_document(public_url: str, recipes: Sequence[AnySpec] = RECIPES) -> dict[str, Any]:
    """The OpenAPI document of the URL table."""
    return {**_operations(tuple(recipes)), "servers": [{"url": public_url}]}


@lru_cache(maxsize=4)
def _operations(recipes: tuple[AnySpec, ...]) -> dict[str, Any]:
    """The document without its server: a tenth of a second, once in a process."""
    rows = [
        (each, path, getattr(pages, name))
        for method, path, pages, name in url_table(recipes)
        for each in (METHODS if method == "*" else (method,))
    ]
    return document(rows, Reference.read(_reference_folders(recipes)))


def _reference_folders(recipes: Sequence[AnySpec]) -> list[Path]:
    """Where fields are described: those of the API, then those of each recipe."""
    models = [NewApp, *(spec.settings for spec in recipes)]
    files = [getattr(sys.modules.get(model.__module__), "__file__", None) for model in models]
    return [Path(file).parent for file in files if file is not None]


def routes(broker: Components, health: HealthHandlers) -> list[web.RouteDef]:
    """Every address with its handler."""
    settings, specs = broker.settings, broker.recipes.specs
    renderer = Pages(settings.public_url, *panels.template_folders(specs))
    described = openapi_document(settings.public_url, specs)
    connect = ConnectHandlers(
        broker.apps,
        broker.connect_flow,
        renderer,
        settings.public_url,
        {spec.name: _consent_sources(spec, settings) for spec in PROVIDERS},
    )
    pages: dict[type, object] = {
        TokenHandlers: TokenHandlers(broker.keys),
        AppHandlers: AppHandlers(broker.apps, broker.installs),
        StackGoHandlers: StackGoHandlers(
            broker.apps, broker.connections, broker.installs, broker.connection_admin
        ),
        ConnectionHandlers: ConnectionHandlers(
            broker.apps,
            broker.connections,
            broker.confirmations,
            broker.connection_admin,
            AccountChoice(broker.pending_grants),
        ),
        CallHandlers: CallHandlers(broker.apps, broker.calls, broker.providers),
        AuditHandlers: AuditHandlers(broker.audit),
        EndpointHandlers: EndpointHandlers(
            broker.apps, broker.endpoints, allow_private=settings.allow_private_endpoints
        ),
        DeliveryHandlers: DeliveryHandlers(
            broker.apps, broker.endpoints, broker.deliveries, broker.replays, broker.deliverer
        ),
        ProviderWebhooks: ProviderWebhooks(broker.intake, WEBHOOKS, settings.public_url),
        **_recipe_handlers(broker),
        ConnectHandlers: connect,
        HandOverHandlers: HandOverHandlers(
            HandOvers(broker.apps, broker.links, broker.installs, broker.providers),
            renderer,
            connect.cookie,
        ),
        OAuthCallback: OAuthCallback(broker.connect_flow, renderer, connect.cookie),
        StaticFiles: StaticFiles(),
        ProxyHandlers: ProxyHandlers(
            broker.callers,
            broker.proxy,
            KEY_HEADERS,
            settings.max_body_mb * 1_048_576,
        ),
        HealthHandlers: health,
        OpenApiHandler: OpenApiHandler(described),
        DocsPages: DocsPages(renderer, described),
    }
    # Mail scanners and chat previews send HEAD; only the health of the process answers it.
    return [
        web.get(path, getattr(pages[kind], name), allow_head=kind is HealthHandlers)
        if method == "GET"
        else web.route(method, path, getattr(pages[kind], name))
        for method, path, kind, name in url_table(specs)
    ] + _console_routes(broker, renderer)


def _consent_sources(spec: ProviderSpec, settings: Settings) -> list[str]:
    """Where consent at a provider may lead: where settings say, and its own hosts."""
    urls = [settings.of_provider(name) or "" for name in spec.settings]
    return [*(origin_of(url) for url in urls if "://" in url), *spec.consent_sources]


def _recipe_handlers(broker: Components) -> dict[type, object]:
    recipes, public_url = broker.recipes, broker.settings.public_url
    actions = WorkflowActions(
        broker.intake,
        broker.apps,
        recipes.accounts,
        recipes.starter,
        recipes.callbacks,
        public_url,
    )
    return handlers(recipes.specs, recipes, broker.apps, actions, public_url)


def _console_routes(broker: Components, renderer: Pages) -> list[web.RouteDef]:
    """The console's routes, each with its view."""
    settings = broker.settings
    base = ConsoleBase(
        renderer, broker.operators, broker.apps, panels.sections(broker.recipes.specs)
    )
    checks = AppChecks(broker.apps, broker.installs, broker.providers)
    views: list[object] = [
        SignInViews(base, broker.keys),
        HomeViews(base, broker.connections, Attention(broker.database)),
        AppViews(base, broker.apps, broker.connections, broker.installs, checks),
        ConnectionViews(base, broker.connections, broker.installs, broker.connection_admin),
        PlaygroundViews(
            base,
            broker.proxy,
            broker.connections,
            settings.public_url,
        ),
        CallViews(base, broker.calls, broker.providers),
        EventViews(
            base,
            broker.events,
            broker.endpoints,
            broker.deliveries,
            broker.replays,
            broker.deliverer,
            allow_private=settings.allow_private_endpoints,
        ),
        DeliveryViews(base, broker.deliveries),
        *panels.views(broker.recipes.specs, base, broker.recipes),
        KeyViews(base, broker.keys),
        AuditViews(base, broker.audit),
    ]
    table = (*console.TABLE, *panels.bound(broker.recipes.specs, views), *console.ELSEWHERE)
    return console.routes(views, table)
