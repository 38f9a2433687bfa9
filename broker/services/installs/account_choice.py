"""Choosing the account of a connection where one consent brought several."""

from uuid import UUID

from broker.domain.grants import Account, tokens_for
from broker.domain.model import App, Confirm, Secret
from broker.errors import NotFound, PortalMismatch, wrong_field
from broker.services.installs.outcomes import Outcome
from broker.stores.connections.pending_grants import LockedPendingGrant, PendingGrants

UNCHOSEN = "account"
"""Why a grant is pending whose account is still to be chosen."""


class AccountChoice:
    """One of several accounts, chosen by the user on our page or by the product."""

    def __init__(self, pending_grants: PendingGrants) -> None:
        self._pending_grants = pending_grants

    async def open_for(self, app: App, user_ref: str) -> tuple[Account, ...] | None:
        """The accounts of which a user's is still to be chosen; None where none is."""
        return await self._pending_grants.choices(app, user_ref)

    async def by_code(
        self, provider: str, workspace_id: UUID, code: Secret, account_id: str
    ) -> Outcome:
        """What becomes of the visit of a user who has chosen; a choice that was made already by the
        product stays. Raises NotFound, LinkUsed, LinkExpired and InvalidRequest.
        """
        async with self._pending_grants.lock(workspace_id, code, "", claim=False) as pending:
            grant = pending.grant
            if grant.app.provider != provider:
                raise NotFound
            reason: str | None = grant.reason
            if reason == UNCHOSEN:
                reason = await _settle(pending, account_id, "install")
        refusal = PortalMismatch() if reason == "portal-mismatch" else None
        state = {None: "connected", "confirm": "pending"}.get(reason, "portal-mismatch")
        return Outcome(
            state,
            grant.app,
            user_ref=grant.user_ref,
            return_url=grant.return_url,
            code=None if reason is None else code,
            refusal=refusal,
            session_id=grant.session_id,
        )

    async def by_product(self, app: App, user_ref: str, account_id: str, actor: str) -> None:
        """Choose for a user. Raises NotFound where there is nothing to choose, InvalidRequest for
        another account, PortalMismatch when the user is connected to another one: the user's code
        confirms the change then, as it does in an app that has connections confirmed.
        """
        async with self._pending_grants.lock_unchosen(app, user_ref) as pending:
            reason = await _settle(pending, account_id, actor)
        if reason == "portal-mismatch":
            raise PortalMismatch


async def _settle(pending: LockedPendingGrant, account_id: str, actor: str) -> str | None:
    """Connect the account; what the grant waits for instead, if anything."""
    grant, connection = pending.grant, pending.connection
    account = next((each for each in grant.accounts if each.account_id == account_id), None)
    if account is None or grant.user_ref is None:
        raise wrong_field("accountId", "is not one of the accounts to choose from")
    present = connection.connection.account_id
    if present is not None and present != account_id:
        reason = "portal-mismatch"
    elif grant.app.confirm is Confirm.REQUIRED:
        reason = "confirm"
    else:
        await pending.use()
        await connection.connect(grant.user_ref, tokens_for(grant.tokens, account), account, actor)
        return None
    await pending.choose(account, reason)
    return reason
