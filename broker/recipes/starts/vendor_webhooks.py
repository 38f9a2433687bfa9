"""Webhooks of recipes' vendors: `/{vendor}/{slug}-{UUID}/webhooks`."""

import re

from aiohttp import web

from broker.errors import NotAuthenticated
from broker.recipes.addresses import VendorWebhook
from broker.recipes.base import AnyRecipe
from broker.web.core.unproved import read_unproved, signed_app


async def accept(webhook: VendorWebhook, recipe: AnyRecipe, request: web.Request) -> web.Response:
    """204 when the event is stored. Raises as the webhook's `begin` and the event's `accept`; an
    address that names no app looks like a wrong signature.
    """
    workspace_id, slug = signed_app(request)
    received = request.headers.getall(webhook.signature_header, [])
    if len(received) != 1 or not re.fullmatch(webhook.signature_pattern, received[0]):
        raise NotAuthenticated("The event's signature is missing or wrong.")
    event = await webhook.begin(recipe, workspace_id, slug, received[0])
    await event.accept(await read_unproved(request, webhook.max_bytes, event.update))
    return web.Response(status=204)
