"""HubSpot's webhooks, proved by their signature."""

from uuid import UUID

from aiohttp import web

from broker.domain.tenancy import WORKSPACE
from broker.errors import NotAuthenticated
from broker.providers.hubspot.events.signature import SignedRequest
from broker.providers.hubspot.events.webhooks import BATCH_BYTES
from broker.services.events.intake import Intake
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import SLUG
from broker.web.core.unproved import UnprovedBodies


class HubSpotWebhooks:
    """`/hubspot/{slug}-{UUID}/webhooks`."""

    def __init__(self, intake: Intake, bodies: UnprovedBodies, public_url: str) -> None:
        self._intake = intake
        self._bodies = bodies
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
        await batch.accept(await self._bodies.read(request, BATCH_BYTES, batch.update))
        return web.Response(status=200)


def signed_app(request: web.Request) -> tuple[UUID, str]:
    """Workspace and lower-case slug in the path of a request that is proved by a signature.

    Raises NotAuthenticated for what cannot be an app, as for one with another secret.
    """
    slug = request.match_info["slug"]
    try:
        workspace_id = UUID(request.match_info["workspace"])
    except ValueError:
        raise NotAuthenticated from None
    if not SLUG.fullmatch(slug):
        raise NotAuthenticated
    return workspace_id, slug.lower()
