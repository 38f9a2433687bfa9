"""Connections changed by an operator or a product: imported, renewed now, deleted."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from broker.domain.grants import Account, Tokens
from broker.domain.model import App, Secret
from broker.errors import (
    BrokerError,
    Busy,
    ConnectionNotFound,
    CredentialsRefused,
    ExchangeFailed,
    wrong_field,
)
from broker.providers.base import Provider
from broker.providers.oauth import GrantEnded
from broker.providers.values import Renewable
from broker.services.grants.renewals import Grants, refusal_of
from broker.services.grants.revocations import Revoker
from broker.services.grants.storing import store_tokens
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections

log = logging.getLogger(__name__)


class ConnectionAdmin:
    """Changes of connections by those who manage them."""

    def __init__(
        self,
        apps: Apps,
        connections: Connections,
        grants: Grants,
        revoker: Revoker,
        providers: Mapping[str, Provider],
    ) -> None:
        self._apps = apps
        self._connections = connections
        self._grants = grants
        self._revoker = revoker
        self._providers = providers

    async def delete(self, app: App, user_ref: str, actor: str) -> str:
        """Wipe a connection, then revoke its grant; the outcome of the revocation.

        Raises ConnectionNotFound. The wipe is final before the provider is asked; a revocation
        that cannot be made now is made later.
        """
        connection_id = await self._id(app, user_ref)
        async with self._connections.lock(app.workspace_id, connection_id) as locked:
            revocation_id = await locked.delete(actor)
        return await self._revoke(app.workspace_id, revocation_id)

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
        credentials: Mapping[str, Secret],
    ) -> None:
        """Make a connection of a grant from elsewhere, proved by using it.

        A refresh token is proved by renewing, an access token without an end by introspection or
        one read; `credentials` are what the provider takes instead of tokens, or needs with a
        refresh token. Raises InvalidRequest
        when the provider does not accept it.
        """
        unknown = credentials.keys() - self._providers[app.provider].spec.import_fields
        if unknown:
            raise wrong_field(min(unknown), "unknown field")
        if refresh_token is not None:
            tokens, account = await self._prove_refresh_token(app, refresh_token, credentials)
        elif access_token is not None:
            tokens = Tokens(access_token, None, None)
            account = await self._prove_access_token(app, access_token)
        else:
            tokens, account = await self._prove_credentials(app, credentials)

        async def store() -> None:
            async with self._connections.lock_user(app, user_ref) as locked:
                if locked.connection.account_id not in {None, account.account_id}:
                    await locked.enqueue_revocation()
                await locked.connect(user_ref, tokens, account, actor)

        try:
            await store_tokens(store)
        except Busy:
            if refresh_token is None or tokens.refresh_token == refresh_token:
                raise  # the same import can be tried again
            with suppress(BrokerError):
                await self._revoker.revoke_orphan(app, tokens)
            raise Busy(
                "The grant could not be stored, and the provider has replaced its refresh token "
                "meanwhile: let the user connect again."
            ) from None

    async def _prove_refresh_token(
        self, app: App, refresh_token: Secret, fields: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        provider = self._providers[app.provider]
        details = provider.import_details(fields)
        try:
            tokens = await provider.refresh(app.client, Renewable(refresh_token, None, details))
        except CredentialsRefused:
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        except (GrantEnded, ExchangeFailed) as refused:
            raise wrong_field(
                "refreshToken", f"is not accepted by {provider.spec.label}"
            ) from refused
        tokens = replace(tokens, details={**details, **(tokens.details or {})})
        account = await provider.identify(app, tokens)
        if account is None:
            reason = "belongs to no account, or to another"
            if tokens.refresh_token is not None and tokens.refresh_token != refresh_token:
                with suppress(BrokerError):
                    await self._revoker.revoke_orphan(app, tokens)
                reason += ", and was replaced by being proved: let the user connect again"
            raise wrong_field("refreshToken", reason)
        return replace(tokens, refresh_token=tokens.refresh_token or refresh_token), account

    async def _prove_credentials(
        self, app: App, credentials: Mapping[str, Secret]
    ) -> tuple[Tokens, Account]:
        try:
            tokens, account = await self._providers[app.provider].prove_credentials(
                app, credentials
            )
        except CredentialsRefused:
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        return tokens, replace(account, scopes=account.scopes or tokens.scopes)

    async def _prove_access_token(self, app: App, access_token: Secret) -> Account:
        provider = self._providers[app.provider]
        account = await provider.prove_access_token(app, access_token)
        if account is None:
            raise wrong_field("accessToken", f"is not accepted by {provider.spec.label}")
        return account

    async def _id(self, app: App, user_ref: str) -> UUID:
        connection_id = await self._connections.find_id(app, user_ref)
        if connection_id is None:
            raise ConnectionNotFound
        return connection_id

    async def _revoke(self, workspace_id: UUID, revocation_id: UUID | None) -> str:
        if revocation_id is None:
            return "nothing-to-revoke"
        try:
            return await self._revoker.revoke_now(workspace_id, revocation_id)
        except BrokerError:  # the database went away; the worker will find the row
            return "pending"
