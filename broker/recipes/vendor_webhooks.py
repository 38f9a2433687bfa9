"""Webhooks of recipes' vendors: `/{vendor}/{slug}-{UUID}/webhooks`."""

from uuid import UUID

from aiohttp import web

from broker.errors import NotAuthenticated
from broker.recipes.base import AnyRecipe, VendorWebhook
from broker.web.core.requests import SLUG, read_body


async def accept(webhook: VendorWebhook, recipe: AnyRecipe, request: web.Request) -> web.Response:
    """204 when the event is stored. Raises as the webhook's `accept`; an address that names no app
    looks like a wrong signature.
    """
    slug = request.match_info["slug"]
    body = await read_body(request, webhook.max_bytes)
    try:
        workspace_id = UUID(request.match_info["workspace"])
    except ValueError:
        raise NotAuthenticated from None
    if not SLUG.fullmatch(slug):
        raise NotAuthenticated
    received = request.headers.getall(webhook.signature_header, [])
    signature = received[0] if len(received) == 1 else None
    await webhook.accept(recipe, workspace_id, slug.lower(), body, signature)
    return web.Response(status=204)
