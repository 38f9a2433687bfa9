"""First Mile Labs telling us things: `/fml/{slug}-{UUID}/webhooks`."""

from uuid import UUID

from aiohttp import web

from broker.errors import NotAuthenticated
from broker.recipes.kyb.case_events import CaseEvents
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import SLUG, read_body

EVENT_BYTES = 5 * 1_048_576
"""The longest event that is read: a data package holds everything that is known of a company."""


class VendorWebhooks:
    """What vendors of recipes call."""

    def __init__(self, events: CaseEvents) -> None:
        self._events = events

    @self_authenticating(answers={204: None}, tags=("Webhooks",))
    async def fml(self, request: web.Request) -> web.Response:
        """Take an event of First Mile Labs', signed with the recipe's webhook secret.

        401 for anything that is not, 503 when it should be sent again; a 2xx says that the event is
        stored, and a repeat of one that is stored is a 2xx too.
        """
        slug = request.match_info["slug"]
        body = await read_body(request, EVENT_BYTES)
        try:
            workspace_id = UUID(request.match_info["workspace"])
        except ValueError:
            raise NotAuthenticated from None
        if not SLUG.fullmatch(slug):
            raise NotAuthenticated
        given = request.headers.getall("X-FML-Signature", [])
        signature = given[0] if len(given) == 1 else None
        await self._events.accept(workspace_id, slug.lower(), body, signature)
        return web.Response(status=204)
