"""HubSpot's webhooks: the signature is verified, the batch stored, then acknowledged."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from broker.domain.events import WebhookSecrets
from broker.domain.invalidation import Invalidation
from broker.domain.model import Secret
from broker.errors import Busy, NotAuthenticated
from broker.providers.hubspot.events.signature import SignedRequest, Version, check
from broker.providers.hubspot.events.webhooks import read_batch
from broker.services.access.ttl_cache import TtlCache
from broker.stores.events.webhook_inbox import WebhookInbox

PATIENCE_S = 3.0
"""How long keeping a batch may take: HubSpot waits five seconds and counts anything later as lost,
so a refusal in time is worth more than a late yes."""

EVERY_VERSION = frozenset(Version)
CURRENT_VERSION = frozenset({Version.V3})


class Intake:
    """HubSpot's webhooks, on their way into the inbox."""

    def __init__(self, batches: WebhookInbox) -> None:
        self._inbox = batches
        self._cache: TtlCache[tuple[UUID, str], WebhookSecrets | None] = TtlCache(self._find)

    def clear_cache(self) -> None:
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read the secrets of an app that changed again."""
        if change.kind == "app":
            self._cache.discard_where(lambda key, _: change.is_of_app(*key))

    async def accept(self, workspace_id: UUID, slug: str, request: SignedRequest) -> None:
        """Keep a batch; it is safe when this returns.

        Raises NotAuthenticated for whatever HubSpot did not sign (an unknown app looks the same),
        InvalidRequest for what is not a batch, Busy when HubSpot should send it again.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                signers = await self._cache.get((workspace_id, slug))
                secrets = signers.secrets if signers else ()
                legacy = signers is not None and signers.accepts_legacy
                accepted = EVERY_VERSION if legacy else CURRENT_VERSION
                check(request, secrets, int(time.time() * 1000), accepted)
                if signers is None:
                    raise NotAuthenticated  # never reached: nothing was signed with no secret
                read_batch(request.body)
                await self._inbox.store(workspace_id, signers.app_id, "webhook", request.body)
        except TimeoutError as error:
            raise Busy from error

    async def secrets(self, workspace_id: UUID, slug: str) -> Sequence[Secret]:
        """Who may sign calls to an app; nobody, for an app that is not there."""
        signers = await self._cache.get((workspace_id, slug))
        return signers.secrets if signers else ()

    async def _find(self, key: tuple[UUID, str]) -> WebhookSecrets | None:
        return await self._inbox.webhook_secrets(*key)
