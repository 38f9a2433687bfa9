"""What a finished consent becomes: a connection, or a grant that waits for somebody's word."""

import secrets
from collections.abc import Sequence
from datetime import timedelta

from broker.domain.browser_sessions import InstallLink
from broker.domain.grants import Account, Tokens, tokens_for
from broker.domain.model import Confirm, Secret
from broker.errors import PortalMismatch
from broker.services.installs.account_choice import UNCHOSEN
from broker.services.installs.outcomes import Outcome
from broker.stores.connections.connections import Connections
from broker.stores.connections.locked_connection import LockedConnection
from broker.stores.connections.pending_grants import PendingGrants

CONFIRM_LIFETIME = timedelta(minutes=10)
CHOICE_LIFETIME = timedelta(minutes=60)


class InstallStore:
    """Stores grants that a consent brought."""

    def __init__(self, connections: Connections, pending_grants: PendingGrants) -> None:
        self._connections = connections
        self._pending_grants = pending_grants

    async def store(
        self, link: InstallLink, tokens: Tokens, accounts: Sequence[Account]
    ) -> Outcome:
        """Store the grant of a link for its account, or for those of which one is to be chosen."""
        app = link.app
        async with self._connections.lock_user(app, link.user_ref) as locked:
            present = locked.connection.account_id
            account = _only_account(accounts, present)
            if account is None:
                return await self._store_choice(locked, link, tokens, accounts)
            tokens = tokens_for(tokens, account)
            reason = None
            if present is not None and present != account.account_id:
                reason = "portal-mismatch"
            elif app.confirm is Confirm.REQUIRED:
                reason = "confirm"
            if reason is None:
                await locked.connect(link.user_ref, tokens, account, "install")
                return Outcome("connected", app)
            code = Secret(secrets.token_urlsafe(32))
            await self._pending_grants.store(
                locked, reason, tokens, account, code, CONFIRM_LIFETIME, link.return_url
            )
        if reason == "confirm":
            return Outcome("pending", app, code=code)
        return Outcome(reason, app, code=code, refusal=PortalMismatch())

    async def _store_choice(
        self,
        locked: LockedConnection,
        link: InstallLink,
        tokens: Tokens,
        accounts: Sequence[Account],
    ) -> Outcome:
        code = Secret(secrets.token_urlsafe(32))
        await self._pending_grants.store(
            locked,
            UNCHOSEN,
            tokens,
            accounts[0],
            code,
            CHOICE_LIFETIME,
            link.return_url,
            choices=accounts,
            session_id=link.session_id,
        )
        return Outcome("choose-account", link.app, code=code, accounts=tuple(accounts))


def _only_account(accounts: Sequence[Account], present: str | None) -> Account | None:
    """The account where there is nothing to choose: the only one, or the one that is connected."""
    if len(accounts) == 1:
        return accounts[0]
    return next((each for each in accounts if each.account_id == present), None)
