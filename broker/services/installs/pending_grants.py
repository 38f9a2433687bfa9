"""Grants that wait for somebody with a key: confirmed for a user, or claimed by one."""

import logging

from broker.domain.model import Caller, Secret
from broker.errors import LinkExpired, NotAllowed, NotFound, PortalMismatch
from broker.stores.connections.connections import Connections
from broker.stores.connections.installs import PendingGrants

log = logging.getLogger(__name__)


class Confirmations:
    """The product's word on a grant that is held."""

    def __init__(self, held_grants: PendingGrants, connections: Connections) -> None:
        self._pending_grants = held_grants
        self._connections = connections

    async def confirm(self, caller: Caller, code: Secret, user_ref: str) -> str:
        """Let a held grant serve, on the word of somebody with a key; the app's slug.

        Raises NotFound for an unknown code, LinkUsed, LinkExpired (HubSpot is told then), and
        NotAllowed when the code belongs to another user: the grant is given back then, for
        somebody was led to connect their account to somebody else.
        """
        try:
            async with self._pending_grants.lock(caller.workspace_id, code, claim=False) as waiting:
                grant = waiting.grant
                if not caller.can_access_app(grant.app.slug):
                    raise NotFound
                stolen = grant.user_ref != user_ref
                if stolen:
                    await waiting.delete()
                else:
                    held = await waiting.connection()
                    await waiting.use()
                    if grant.reason == "portal-mismatch":
                        await held.enqueue_revocation()
                    await held.connect(user_ref, grant.tokens, grant.account, str(caller.key_id))
        except LinkExpired:
            await self._pending_grants.expire_unclaimed()
            raise
        if stolen:
            log.warning("confirmed by another user", extra={"app": grant.app.slug})
            raise NotAllowed("This code was made for another user; the install was undone.")
        return grant.app.slug

    async def claim(self, caller: Caller, code: Secret, user_ref: str) -> tuple[str, str | None]:
        """Give a Marketplace install to a user; the app's slug and where the browser goes back to.

        Raises NotFound, LinkUsed, LinkExpired, and PortalMismatch when the user is connected to
        another HubSpot account already.
        """
        async with self._pending_grants.lock(caller.workspace_id, code, claim=True) as waiting:
            grant = waiting.grant
            if not caller.can_access_app(grant.app.slug):
                raise NotFound
            present = await self._connections.find_id(grant.app, user_ref)
            held = await waiting.connection(present)
            if present is not None and held.connection.hub_id not in {None, grant.account.hub_id}:
                raise PortalMismatch("Delete the user's connection first, then claim this one.")
            await waiting.use()
            await held.connect(user_ref, grant.tokens, grant.account, str(caller.key_id))
            if present is not None:
                unclaimed = await waiting.connection()
                await unclaimed.discard()
        return grant.app.slug, grant.return_url
