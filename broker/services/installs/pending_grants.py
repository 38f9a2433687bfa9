"""Grants that are not used until their code is presented: confirmed or claimed for a user."""

import logging

from broker.domain.grants import PendingGrant
from broker.domain.model import App, Caller, Secret
from broker.errors import InvalidRequest, LinkExpired, NotAllowed, NotFound, PortalMismatch
from broker.services.installs.account_choice import UNCHOSEN
from broker.stores.connections.pending_grants import PendingGrants

log = logging.getLogger(__name__)


class Confirmations:
    """What a product decides about pending grants."""

    def __init__(self, pending_grants: PendingGrants) -> None:
        self._pending_grants = pending_grants

    async def confirm(self, caller: Caller, code: Secret, user_ref: str) -> App:
        """Activate a pending grant; its app.

        Raises NotFound for an unknown code, LinkUsed, LinkExpired (the grant is revoked then), and
        NotAllowed when the code belongs to another user: the grant is revoked then, because someone
        was led to connect their account to another person's user.
        """
        try:
            async with self._pending_grants.lock(
                caller.workspace_id, code, user_ref, claim=False
            ) as pending:
                grant = pending.grant
                _check_access(caller, grant)
                if grant.reason == UNCHOSEN:
                    raise InvalidRequest("The user has yet to choose an account.")
                other_user = grant.user_ref != user_ref
                if other_user:
                    await pending.delete()
                else:
                    await pending.use()
                    connection = pending.connection
                    if grant.reason == "portal-mismatch":
                        await connection.enqueue_revocation()
                    await connection.connect(
                        user_ref, grant.tokens, grant.account, str(caller.key_id)
                    )
        except LinkExpired:
            await self._pending_grants.expire_unclaimed()
            raise
        if other_user:
            log.warning("confirmed_for_other_user", extra={"app": grant.app.slug})
            raise NotAllowed("This code was made for another user; the install was undone.")
        return grant.app

    async def peek(self, caller: Caller, code: Secret) -> PendingGrant:
        """The Marketplace install that a code claims; looking uses nothing up. Raises NotFound,
        LinkUsed, LinkExpired.
        """
        grant = await self._pending_grants.find(caller.workspace_id, code, claim=True)
        _check_access(caller, grant)
        return grant

    async def claim(self, caller: Caller, code: Secret, user_ref: str) -> PendingGrant:
        """Give a Marketplace install to a user; what was claimed.

        Raises NotFound, LinkUsed, LinkExpired, and PortalMismatch when the user is connected to
        another account already.
        """
        async with self._pending_grants.lock(
            caller.workspace_id, code, user_ref, claim=True
        ) as pending:
            grant, present = pending.grant, pending.present
            _check_access(caller, grant)
            connection = present or pending.connection
            if connection.connection.account_id not in {None, grant.account.account_id}:
                raise PortalMismatch("Delete the user's connection first, then claim this one.")
            await pending.use()
            await connection.connect(user_ref, grant.tokens, grant.account, str(caller.key_id))
            if present is not None:
                await pending.connection.discard()
        return grant


def _check_access(caller: Caller, grant: PendingGrant) -> None:
    if not caller.can_access_app(grant.app.slug):
        raise NotFound
