"""Providers' webhooks: the signature is verified, the body stored, then acknowledged."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from broker.concurrency.offload import offload
from broker.domain.events import WebhookSecrets
from broker.domain.invalidation import Invalidation
from broker.domain.model import Secret
from broker.errors import Busy
from broker.providers.webhooks import BodySignature, WebhookHead, Webhooks
from broker.services.access.ttl_cache import TtlCache
from broker.stores.events.webhook_inbox import WebhookInbox


class Intake:
    """Providers' webhooks, on their way into the inbox."""

    def __init__(self, inbox: WebhookInbox) -> None:
        self._inbox = inbox
        self._cache: TtlCache[tuple[UUID, str], WebhookSecrets | None] = TtlCache(self._find)

    def clear_cache(self) -> None:
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read the secrets of an app that changed again."""
        if change.kind == "app":
            self._cache.discard_where(lambda key, _: change.is_of_app(*key))

    async def begin(
        self, provider: str, webhooks: Webhooks, workspace_id: UUID, slug: str, head: WebhookHead
    ) -> "IncomingBatch":
        """A delivery whose body is still to come, from its head.

        Raises NotAuthenticated for whatever cannot be the provider's (an unknown app, and an app of
        another provider, look the same), Busy when the provider should send it again.
        """
        try:
            async with asyncio.timeout(webhooks.store_timeout_s):
                found = await self._cache.get((workspace_id, slug))
        except TimeoutError as error:
            raise Busy from error
        if found is None or found.provider != provider:
            found = WebhookSecrets(workspace_id, provider, (), (), accepts_legacy=False)
        signature = webhooks.verify(head, found, int(time.time() * 1000))
        return IncomingBatch(self._inbox, webhooks, workspace_id, found.app_id, signature, head)

    async def secrets(self, workspace_id: UUID, slug: str) -> Sequence[Secret]:
        """The client secrets that may sign calls to an app; none for an unknown app."""
        found = await self._cache.get((workspace_id, slug))
        return found.secrets if found else ()

    async def _find(self, key: tuple[UUID, str]) -> WebhookSecrets | None:
        return await self._inbox.webhook_secrets(*key)


class IncomingBatch:
    """A delivery of a provider's webhooks while its body arrives."""

    def __init__(
        self,
        inbox: WebhookInbox,
        webhooks: Webhooks,
        workspace_id: UUID,
        app_id: UUID,
        signature: BodySignature,
        head: WebhookHead,
    ) -> None:
        self._inbox = inbox
        self._webhooks = webhooks
        self._workspace_id = workspace_id
        self._app_id = app_id
        self._signature = signature
        self._headers = _stored_headers(webhooks, head)

    def update(self, part: bytes) -> None:
        """Hash the next part of the body."""
        self._signature.update(part)

    async def accept(self, body: bytes) -> None:
        """Store the body, each part of which was hashed; it is durable when this returns.

        Raises NotAuthenticated for what the provider did not sign, InvalidRequest for what is not a
        delivery, Busy when the provider should send it again.
        """
        self._signature.finish()
        await offload(len(body), lambda: self._webhooks.check(body))
        try:
            async with asyncio.timeout(self._webhooks.store_timeout_s):
                await self._inbox.store(
                    self._workspace_id, self._app_id, "webhook", body, self._headers
                )
        except TimeoutError as error:
            raise Busy from error


def _stored_headers(webhooks: Webhooks, head: WebhookHead) -> Mapping[str, str]:
    values = {name: head.value(name) for name in webhooks.stored_headers}
    return {name: value for name, value in values.items() if value is not None}
