"""The HTTP service: every address with who answers it, and what runs beside it."""

from typing import Any

from aiohttp import web

from broker.assembly import Broker, worker
from broker.stores.doorbell import Doorbell
from broker.urls import URL_TABLE, described
from broker.web import middleware, openapi
from broker.web.actions import ActionPages
from broker.web.apps import AppPages
from broker.web.calls import CallPages
from broker.web.connections import ConnectionPages
from broker.web.deliveries import DeliveryPages
from broker.web.endpoints import EndpointPages
from broker.web.health import DocumentPages, HealthPages
from broker.web.install import InstallPages
from broker.web.passing import add_nothing
from broker.web.proxy import ProxyPages
from broker.web.recipes import KybPages
from broker.web.runs import RunPages
from broker.web.stackgo import StackGoPages
from broker.web.tokens import TokenPages
from broker.web.vendors import VendorPages
from broker.web.webhooks import WebhookPages
from broker.worker import Chore, Worker, alongside


def application(broker: Broker, health: HealthPages) -> web.Application:
    """The HTTP service."""
    app = web.Application(
        middlewares=[
            middleware.watch(broker.metrics),
            middleware.problems,
            middleware.finish_what_was_begun,
            middleware.forget_after_writes(broker.forget),
        ],
        client_max_size=0,  # bodies are read by parts that know their own bounds
    )
    app[openapi.CALLERS] = broker.callers
    app.on_response_prepare.append(add_nothing)
    app.add_routes(_routes(broker, health))
    app.cleanup_ctx.append(_alongside(broker))
    return app


def _routes(broker: Broker, health: HealthPages) -> list[web.RouteDef]:
    settings = broker.settings
    pages: dict[type, object] = {
        TokenPages: TokenPages(broker.keys),
        AppPages: AppPages(broker.apps, broker.installs),
        StackGoPages: StackGoPages(broker.apps, broker.connections, broker.installs, broker.upkeep),
        ConnectionPages: ConnectionPages(
            broker.apps, broker.connections, broker.confirmations, broker.upkeep
        ),
        InstallPages: InstallPages(broker.installs),
        CallPages: CallPages(broker.apps, broker.calls),
        EndpointPages: EndpointPages(
            broker.apps, broker.endpoints, allow_private=settings.allow_private_endpoints
        ),
        DeliveryPages: DeliveryPages(
            broker.apps, broker.endpoints, broker.deliveries, broker.deliverer
        ),
        WebhookPages: WebhookPages(broker.intake, settings.public_url),
        **_recipe_pages(broker),
        ProxyPages: ProxyPages(
            broker.callers,
            broker.proxy,
            settings.hubspot_api_url,
            settings.max_body_mb * 1_048_576,
        ),
        HealthPages: health,
        DocumentPages: DocumentPages(described(settings.public_url)),
    }
    # Mail scanners and chat previews send HEAD; only the health of the process answers it.
    return [
        web.get(path, getattr(pages[kind], name), allow_head=kind is HealthPages)
        if method == "GET"
        else web.route(method, path, getattr(pages[kind], name))
        for method, path, kind, name in URL_TABLE
    ]


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


def _alongside(broker: Broker) -> Any:
    """What runs beside the HTTP service in the same process."""
    chores = Worker(
        [
            Chore("uses", 5, broker.proxy.write_uses),
            Chore("quota shares", 5, broker.quota.keep),
            Chore("call log", 1, broker.call_log.write),
        ]
    )
    doorbell = Doorbell(broker.dsn, broker.forget, broker.quota.rung)
    running = [doorbell.listen, chores.run]
    if broker.settings.work_in_serve:
        running.append(worker(broker).run)
    last_words = [broker.proxy.write_uses, broker.quota.leave, broker.call_log.write]
    return alongside(running, last_words)
