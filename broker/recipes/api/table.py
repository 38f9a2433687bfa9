"""Every address of the recipes, and who answers: made from the catalog."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from aiohttp import web

from broker.recipes.addresses import Route, VendorWebhook
from broker.recipes.api.health import health_handlers
from broker.recipes.api.runs import RunHandlers, run_list_handlers
from broker.recipes.api.settings import settings_handlers
from broker.recipes.api.starting import starting_handlers
from broker.recipes.api.summaries import summary
from broker.recipes.base import AnyRecipe, AnySpec
from broker.recipes.building import Recipes
from broker.recipes.starts.vendor_webhooks import accept
from broker.recipes.starts.workflow_actions import WorkflowActions
from broker.stores.connections.apps import Apps
from broker.web.core.openapi import self_authenticating

WORKSPACE = "{workspace:[0-9A-Fa-f-]{36}}"

RUNS = (
    Route("GET", "/api/recipes/runs/{id}", RunHandlers, "show"),
    Route("POST", "/api/recipes/runs/{id}/retry", RunHandlers, "retry"),
    Route("POST", "/api/recipes/runs/{id}/dismiss", RunHandlers, "dismiss"),
)


@dataclass(frozen=True, slots=True)
class _Generated:
    """The handler types made for one recipe."""

    settings: type
    starting: type
    runs: type
    health: type
    action: type | None
    webhooks: tuple[type, ...]


def table(specs: Sequence[AnySpec]) -> list[Route]:
    """Every address of some recipes."""
    return [*RUNS, *(route for spec in specs for route in _routes(spec))]


def handlers(
    specs: Sequence[AnySpec],
    recipes: Recipes,
    apps: Apps,
    actions: WorkflowActions,
    public_url: str,
) -> dict[type, object]:
    """One object for each handler type in the table."""
    found: list[object] = [RunHandlers(recipes.records, recipes.runs)]
    for spec in specs:
        recipe, types = recipes.built[spec.name], _generated(spec)
        found += [
            types.settings(apps, recipe, public_url),
            types.starting(apps, recipe, recipes.starter, recipes.checks),
            types.runs(apps, recipes.records),
            types.health(apps, recipe, recipes.records, recipes.health),
            *(each(recipe) for each in types.webhooks),
            *spec.handlers(recipe, apps),
        ]
        if types.action is not None:
            found.append(types.action(actions, recipe))
    return {type(each): each for each in found}


def _routes(spec: AnySpec) -> list[Route]:
    settings, start = (
        f"/api/apps/{{slug}}/recipes/{spec.name}",
        f"/api/recipes/{spec.name}/{{slug}}",
    )
    types, hubspot = _generated(spec), f"/hubspot/{{slug:[^/]+}}-{WORKSPACE}"
    found = [
        Route("PUT", settings, types.settings, "put"),
        Route("GET", settings, types.settings, "show"),
        Route("DELETE", settings, types.settings, "remove"),
        Route("GET", f"{settings}/health", types.health, "show"),
        Route("POST", start, types.starting, "start"),
        Route("POST", f"{start}/setup", types.starting, "setup"),
        Route("POST", f"{start}/check", types.starting, "check"),
        Route("GET", f"{start}/runs", types.runs, "index"),
        *(
            Route(each.method, f"{start}{each.path}", each.handlers, each.handler)
            for each in spec.routes
        ),
    ]
    if types.action is not None:
        found.append(Route("POST", f"{hubspot}/actions/{spec.name}", types.action, "run"))
    for webhook, handler in zip(spec.inbound, types.webhooks, strict=True):
        path = f"/{webhook.vendor}/{{slug:[^/]+}}-{WORKSPACE}/webhooks"
        found.append(Route("POST", path, handler, "accept"))
    return found


@cache
def _generated(spec: AnySpec) -> _Generated:
    return _Generated(
        settings_handlers(spec),
        starting_handlers(spec),
        run_list_handlers(spec),
        health_handlers(spec),
        None if spec.action is None else _action_handlers(spec),
        tuple(_webhook_handlers(spec, each) for each in spec.inbound),
    )


def _action_handlers(spec: AnySpec) -> type:
    class ActionHandlers:
        def __init__(self, actions: WorkflowActions, recipe: AnyRecipe) -> None:
            self._actions = actions
            self._recipe = recipe

        @self_authenticating(answers={200: None}, tags=("Webhooks",))
        @summary(
            f"Start the {spec.title} recipe from HubSpot: by a workflow's action or a card.",
            "Signed by HubSpot with the app's client secret (version 3, else 2). A workflow is "
            "answered `ASYNC` when the run takes longer than some seconds, and its action is "
            'completed when it ends. Cards and "Send a webhook" work where settings allow them.',
        )
        async def run(self, request: web.Request) -> web.Response:
            return await self._actions.run(spec, self._recipe, request)

    return ActionHandlers


def _webhook_handlers(spec: AnySpec, webhook: VendorWebhook) -> type:
    class WebhookHandlers:
        def __init__(self, recipe: AnyRecipe) -> None:
            self._recipe = recipe

        @self_authenticating(answers={204: None}, tags=("Webhooks",))
        @summary(
            f"Receive an event for the {spec.title} recipe, signed by its vendor.",
            "401 for anything that is not, 503 when it should be sent again; a 2xx says that the "
            "event is stored, and a repeat of one that is stored is a 2xx too.",
        )
        async def accept(self, request: web.Request) -> Any:
            return await accept(webhook, self._recipe, request)

    return WebhookHandlers
