"""HubSpot's webhooks, proved by their signature."""

from aiohttp import web

from broker.domain.tenancy import WORKSPACE
from broker.providers.hubspot.events.signature import SignedRequest
from broker.providers.hubspot.events.webhooks import BATCH_BYTES
from broker.services.events.intake import Intake
from broker.web.core.openapi import self_authenticating
from broker.web.core.unproved import read_unproved, signed_app


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
        workspace_id, slug = signed_app(request)
        WORKSPACE.set(workspace_id)
        head = SignedRequest(
            request.method,
            self._public_url + request.raw_path,
            list(request.headers.items()),
            b"",
        )
        batch = await self._intake.begin(workspace_id, slug, head)
        await batch.accept(await read_unproved(request, BATCH_BYTES, batch.update))
        return web.Response(status=200)
