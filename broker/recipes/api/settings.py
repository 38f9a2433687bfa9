"""`/api/apps/{slug}/recipes/{recipe}`: the settings of a recipe, with the recipe's own models."""

from datetime import datetime
from functools import cache
from typing import Any

from aiohttp import web
from pydantic import BaseModel, create_model

from broker.domain.model import App, Caller
from broker.recipes.api.summaries import TAGS, summary
from broker.recipes.base import AnyRecipe, AnySpec
from broker.recipes.secret_fields import secret_fields
from broker.recipes.settings import StoredSettings
from broker.stores.connections.apps import Apps
from broker.web.core.openapi import operation
from broker.web.core.requests import path_slug


@cache
def settings_response(spec: AnySpec) -> type[BaseModel]:
    """The settings without secrets, which optional secrets there are, and the addresses to enter
    at the vendor and at HubSpot.
    """
    secrets = secret_fields(spec.settings)
    fields: dict[str, Any] = {
        name: (field.annotation, ...)
        for name, field in spec.settings.model_fields.items()
        if name not in secrets
    }
    fields |= {_has(name): (bool, ...) for name, rule in secrets.items() if not rule.needed}
    fields |= dict.fromkeys(addresses(spec, "", "", ""), (str, ...))
    fields |= {"createdAt": (datetime, ...), "updatedAt": (datetime, ...)}
    name = f"{spec.settings.__name__}Response"
    return create_model(name, __doc__=settings_response.__doc__, **fields)


def addresses(spec: AnySpec, public_url: str, slug: str, workspace: str) -> dict[str, str]:
    """The addresses of a recipe that people enter elsewhere, by their fields."""
    name, found = f"{slug}-{workspace}", {}
    for webhook in spec.inbound:
        found["webhookUrl"] = f"{public_url}/{webhook.vendor}/{name}/webhooks"
    if spec.action is not None:
        found["actionUrl"] = f"{public_url}/hubspot/{name}/actions/{spec.name}"
    return found


async def show_settings(
    spec: AnySpec, recipe: AnyRecipe, public_url: str, app: App, settings: StoredSettings[Any]
) -> BaseModel:
    """The settings as the API answers them."""
    secrets = secret_fields(spec.settings)
    shown = dict(await recipe.shown(app, settings))
    fields: dict[str, Any] = {name: each for name, each in shown.items() if name not in secrets}
    fields |= {_has(name): name in settings.secrets for name in secrets if name not in fields}
    fields |= addresses(spec, public_url, app.slug, str(app.workspace_id))
    fields |= {"createdAt": settings.created_at, "updatedAt": settings.updated_at}
    return settings_response(spec).model_validate(fields)


def settings_handlers(spec: AnySpec) -> type:
    """The handlers of one recipe's settings, made with `(apps, recipe, public_url)`."""

    class SettingsHandlers:
        def __init__(self, apps: Apps, recipe: AnyRecipe, public_url: str) -> None:
            self._apps = apps
            self._recipe = recipe
            self._public_url = public_url

        @operation("recipes", body=spec.settings, answers={200: settings_response(spec)}, tags=TAGS)
        @summary(
            f"Configure the {spec.title} recipe of an app.",
            "The whole of the settings, but for secrets: one that is left out stays as it is. "
            "Secrets are sealed and never shown.",
        )
        async def put(self, request: web.Request, caller: Caller, body: Any) -> BaseModel:
            app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
            settings = await self._recipe.setup.put(app, str(caller.key_id), body)
            return await show_settings(spec, self._recipe, self._public_url, app, settings)

        @operation("recipes", answers={200: settings_response(spec)}, tags=TAGS)
        @summary(f"Show the settings of the {spec.title} recipe, without secrets.")
        async def show(self, request: web.Request, caller: Caller) -> BaseModel:
            app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
            settings = await self._recipe.setup.get(app)
            return await show_settings(spec, self._recipe, self._public_url, app, settings)

        @operation("recipes", answers={204: None}, tags=TAGS)
        @summary(
            f"Delete the settings of the {spec.title} recipe.", "Existing runs are kept, and wait."
        )
        async def remove(self, request: web.Request, caller: Caller) -> web.Response:
            app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
            await self._recipe.setup.delete(app, str(caller.key_id))
            return web.Response(status=204)

    return SettingsHandlers


def _has(name: str) -> str:
    return f"has{name[:1].upper()}{name[1:]}"
