"""Webhooks of recipes' vendors: `/{vendor}/{slug}-{UUID}/webhooks`."""

import re

from aiohttp import web

from broker.errors import NotAuthenticated
from broker.recipes.addresses import VendorWebhook
from broker.recipes.base import AnyRecipe
from broker.web.core.unproved import read_unproved, signed_app


async def accept(webhook: VendorWebhook, recipe: AnyRecipe, request: web.Request) -> web.Response:
    """204 when the event is stored. Raises as the webhook's `accept`; an address that names no app
    looks like a wrong signature.
    """
    workspace_id, slug = signed_app(request)
    received = request.headers.getall(webhook.signature_header, [])
    if len(received) != 1 or not re.fullmatch(webhook.signature_pattern, received[0]):
        raise NotAuthenticated("The event's signature is missing or wrong.")
    body = await read_unproved(request, webhook.max_bytes)
    await webhook.accept(recipe, workspace_id, slug, body, received[0])
    return web.Response(status=204)
