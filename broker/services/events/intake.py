"""HubSpot's webhooks: the signature is verified, the batch stored, then acknowledged."""

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

from broker.concurrency.offload import offload
from broker.domain.events import WebhookSecrets
from broker.domain.invalidation import Invalidation
from broker.domain.model import Secret
from broker.errors import Busy, NotAuthenticated
from broker.providers.hubspot.events.signature import SignatureCheck, SignedRequest, Version
from broker.providers.hubspot.events.webhooks import read_batch
from broker.services.access.ttl_cache import TtlCache
from broker.stores.events.webhook_inbox import WebhookInbox

PATIENCE_S = 3.0
"""How long storing a batch may take: HubSpot waits five seconds and counts anything later as lost,
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

    async def begin(self, workspace_id: UUID, slug: str, head: SignedRequest) -> "IncomingBatch":
        """A batch whose body is still to come, from its head.

        Raises NotAuthenticated for whatever cannot be HubSpot's (an unknown app looks the same),
        Busy when HubSpot should send it again.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                signers = await self._cache.get((workspace_id, slug))
        except TimeoutError as error:
            raise Busy from error
        secrets = signers.secrets if signers else ()
        legacy = signers is not None and signers.accepts_legacy
        accepted = EVERY_VERSION if legacy else CURRENT_VERSION
        signature = SignatureCheck(head, secrets, int(time.time() * 1000), accepted)
        if signers is None:
            raise NotAuthenticated  # never reached: no secret, no signature
        return IncomingBatch(self._inbox, workspace_id, signers.app_id, signature)

    async def secrets(self, workspace_id: UUID, slug: str) -> Sequence[Secret]:
        """The secrets that may sign calls to an app; none for an unknown app."""
        signers = await self._cache.get((workspace_id, slug))
        return signers.secrets if signers else ()

    async def _find(self, key: tuple[UUID, str]) -> WebhookSecrets | None:
        return await self._inbox.webhook_secrets(*key)


class IncomingBatch:
    """A batch of HubSpot's webhook events while its body arrives."""

    def __init__(
        self, inbox: WebhookInbox, workspace_id: UUID, app_id: UUID, signature: SignatureCheck
    ) -> None:
        self._inbox = inbox
        self._workspace_id = workspace_id
        self._app_id = app_id
        self._signature = signature

    def update(self, part: bytes) -> None:
        """Hash the next part of the body."""
        self._signature.update(part)

    async def accept(self, body: bytes) -> None:
        """Store the body, each part of which was hashed; it is durable when this returns.

        Raises NotAuthenticated for what HubSpot did not sign, InvalidRequest for what is not a
        batch, Busy when HubSpot should send it again.
        """
        self._signature.finish()
        await offload(len(body), lambda: read_batch(body))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._inbox.store(self._workspace_id, self._app_id, "webhook", body)
        except TimeoutError as error:
            raise Busy from error
