"""Providers' webhooks, proved by their signature."""

from collections.abc import Mapping

from aiohttp import web

from broker.domain.tenancy import WORKSPACE
from broker.errors import NotAuthenticated
from broker.providers.webhooks import WebhookHead, Webhooks
from broker.services.events.intake import Intake
from broker.web.core.openapi import self_authenticating
from broker.web.core.requests import path_provider
from broker.web.core.unproved import read_unproved, signed_app


class ProviderWebhooks:
    """`/{provider}/{slug}-{UUID}/webhooks`."""

    def __init__(self, intake: Intake, webhooks: Mapping[str, Webhooks], public_url: str) -> None:
        """`webhooks`: what each provider's are, by its name."""
        self._intake = intake
        self._webhooks = webhooks
        self._public_url = public_url

    @self_authenticating(answers={200: None}, tags=("Webhooks",))
    async def receive(self, request: web.Request) -> web.Response:
        """Receive a provider's webhook, signed with the app's secret.

        401 for anything that the provider did not sign, 503 when it should send it again; a 200
        says that what it sent is stored.
        """
        provider = path_provider(request) or ""
        webhooks = self._webhooks[provider]
        head = WebhookHead(
            request.method, self._public_url + request.raw_path, list(request.headers.items())
        )
        if webhooks.is_ping(head):
            return web.Response(status=200)
        try:
            workspace_id, slug = signed_app(request)
            WORKSPACE.set(workspace_id)
            batch = await self._intake.begin(provider, webhooks, workspace_id, slug, head)
            await batch.accept(await read_unproved(request, webhooks.max_bytes, batch.update))
        except NotAuthenticated:
            if not webhooks.bare_refusals:
                raise
            return web.Response(status=401)
        return web.Response(status=200)
