"""Turn an authorization code into tokens and the account that they belong to."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from broker.domain.grants import Account, Tokens
from broker.domain.model import App
from broker.errors import (
    CredentialsRefused,
    ExchangeFailed,
    ProviderTimeout,
    ProviderUnavailable,
)
from broker.providers.base import Provider
from broker.providers.oauth import GrantEnded
from broker.providers.values import Exchange
from broker.services.grants.revocations import Revoker
from broker.stores.connections.apps import Apps

log = logging.getLogger(__name__)


class CodeExchange:
    """Exchanges codes; a grant whose account cannot be known is revoked."""

    def __init__(self, apps: Apps, revoker: Revoker, providers: Mapping[str, Provider]) -> None:
        self._apps = apps
        self._revoker = revoker
        self._providers = providers

    async def exchange(self, app: App, request: Exchange) -> tuple[Tokens, tuple[Account, ...]]:
        """Tokens and their accounts, mostly one. Raises ExchangeFailed, CredentialsRefused, and
        ProviderUnavailable or ProviderTimeout while the code may be unspent.
        """
        provider = self._providers[app.provider]
        label = provider.spec.label
        try:
            tokens = await provider.exchange(app, request)
        except GrantEnded as ended:
            raise ExchangeFailed(f"{label} did not accept the authorization code.") from ended
        except CredentialsRefused:
            log.warning("app_credentials_refused", extra={"app": app.slug})
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        try:
            accounts = tuple(await provider.accounts(app, tokens))
        except (ProviderUnavailable, ProviderTimeout):
            # The code is spent: a grant that names its account is worth more than the rest.
            accounts = () if tokens.account is None else (tokens.account,)
        if not accounts:
            await self._revoker.revoke_orphan(app, tokens)
            raise ExchangeFailed(f"{label} returned no account for the grant.")
        return tokens, tuple(
            replace(account, scopes=account.scopes or tokens.scopes) for account in accounts
        )
