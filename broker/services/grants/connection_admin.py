"""Connections on an operator's or product's word: bring in, renew now, end."""

import logging
from uuid import UUID

from broker.domain.model import Account, App, Secret, Tokens
from broker.errors import (
    BrokerError,
    ConnectionNotFound,
    CredentialsRefused,
    ExchangeFailed,
    wrong_field,
)
from broker.providers.hubspot.client import HubSpot
from broker.providers.hubspot.oauth import GrantEnded
from broker.services.grants.renewals import Grants, refusal_of
from broker.services.grants.revocations import Revoker
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections

log = logging.getLogger(__name__)


class ConnectionAdmin:
    """What may be done to a connection besides calling through it."""

    def __init__(
        self,
        apps: Apps,
        connections: Connections,
        grants: Grants,
        revoker: Revoker,
        hubspot: HubSpot,
    ) -> None:
        self._apps = apps
        self._connections = connections
        self._grants = grants
        self._revoker = revoker
        self._hubspot = hubspot

    async def delete(self, app: App, user_ref: str, actor: str) -> str:
        """Wipe a connection, then tell HubSpot; what became of its grant there.

        Raises ConnectionNotFound. The wipe is final before HubSpot is asked; a revocation that
        cannot be made now is made later.
        """
        connection_id = await self._id(app, user_ref)
        async with self._connections.lock(app.workspace_id, connection_id) as held:
            owed = await held.delete(actor)
        return await self._revoke(owed)

    async def renew(self, app: App, user_ref: str) -> None:
        """Renew now. Raises as `Grants.renew` does."""
        connection = await self._connections.of_user(app.workspace_id, app.slug, user_ref)
        if connection.grant is None:
            raise refusal_of(connection)
        await self._grants.renew(connection)

    async def import_grant(
        self,
        app: App,
        user_ref: str,
        actor: str,
        refresh_token: Secret | None,
        access_token: Secret | None,
    ) -> None:
        """Make a connection of a grant from elsewhere, proved by using it.

        A refresh token is proved by renewing, a private app's access token (which never runs out)
        by introspection or one read. Raises InvalidRequest when HubSpot does not take it.
        """
        if refresh_token is not None:
            tokens, account = await self._prove_refresh_token(app, refresh_token)
        elif access_token is not None:
            tokens = Tokens(access_token, None, None)
            account = await self._prove_access_token(access_token)
        else:
            raise wrong_field("refreshToken", "is needed, or else an accessToken")
        async with self._connections.lock_user(app, user_ref) as held:
            if held.connection.hub_id not in {None, account.hub_id}:
                await held.enqueue_revocation()
            await held.connect(user_ref, tokens, account, actor)

    async def _prove_refresh_token(self, app: App, refresh_token: Secret) -> tuple[Tokens, Account]:
        try:
            tokens = await self._hubspot.refresh(app.client_id, app.client_secret, refresh_token)
        except CredentialsRefused:
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        except (GrantEnded, ExchangeFailed) as refused:
            raise wrong_field("refreshToken", "is not one that HubSpot renews") from refused
        account = await self._hubspot.introspect(app, tokens.access_token)
        if account is None:
            raise wrong_field("refreshToken", "does not say whose account it is")
        kept = tokens.refresh_token or refresh_token
        return Tokens(tokens.access_token, kept, tokens.lifetime), account

    async def _prove_access_token(self, access_token: Secret) -> Account:
        account = await self._hubspot.account(access_token)
        if account is None:
            raise wrong_field("accessToken", "is not one that HubSpot takes")
        return account

    async def _id(self, app: App, user_ref: str) -> UUID:
        connection_id = await self._connections.find_id(app, user_ref)
        if connection_id is None:
            raise ConnectionNotFound
        return connection_id

    async def _revoke(self, owed: UUID | None) -> str:
        if owed is None:
            return "nothing-to-revoke"
        try:
            return await self._revoker.revoke_now(owed)
        except BrokerError:  # the database went away; the worker will find the row
            return "pending"
