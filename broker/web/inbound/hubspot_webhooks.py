"""HubSpot telling us things: its webhooks, by their signature."""

from uuid import UUID

from aiohttp import web

from broker.errors import NotAuthenticated
from broker.providers.hubspot.events.signature import SignedRequest
from broker.providers.hubspot.events.webhooks import BATCH_BYTES
from broker.services.events.intake import Intake
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import SLUG, read_body


class HubSpotWebhooks:
    """`/hubspot/{slug}-{UUID}/webhooks`."""

    def __init__(self, intake: Intake, public_url: str) -> None:
        self._intake = intake
        self._public_url = public_url

    @self_authenticating(answers={200: None}, tags=("Webhooks",))
    async def hubspot(self, request: web.Request) -> web.Response:
        """Take a batch of HubSpot's webhook events, signed with the app's client secret.

        401 for anything that HubSpot did not sign, 503 when HubSpot should send it again; a 200
        says that the batch is stored.
        """
        slug = request.match_info["slug"]
        body = await read_body(request, BATCH_BYTES)
        try:
            workspace_id = UUID(request.match_info["workspace"])
        except ValueError:
            raise NotAuthenticated from None
        if not SLUG.fullmatch(slug):
            raise NotAuthenticated
        signed = SignedRequest(
            request.method,
            self._public_url + request.raw_path,
            list(request.headers.items()),
            body,
        )
        await self._intake.accept(workspace_id, slug.lower(), signed)
        return web.Response(status=200)
