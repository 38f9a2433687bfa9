"""Calls to a vendor's API with an app's own credentials: one token and one rate limit for all
replicas.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from broker.domain.model import Secret
from broker.domain.runs import RetryLater, VendorCredentialsRefused
from broker.domain.vendors import MintedToken, Throttled, TokenRefused, VendorAccount
from broker.services.vendors.rate_limit import RateLimit
from broker.stores.recipes.vendors import StoredToken, VendorClients

REFRESH_AT = 0.9
"""How much of a token's life is used."""

TOKEN_LEASE = timedelta(seconds=25)
"""For how long one replica may ask for a token before another does."""

Mint = Callable[[VendorAccount], Awaitable[MintedToken]]
T = TypeVar("T")


class VendorApi:
    """One vendor's API."""

    def __init__(self, mint: Mint, clients: VendorClients) -> None:
        """`mint` asks the vendor's token endpoint. It raises Throttled,
        VendorCredentialsRefused or VendorUnavailable.
        """
        self._mint = mint
        self._clients = clients
        self._limit = RateLimit(clients)

    async def call(
        self,
        account: VendorAccount,
        checkpoint: Mapping[str, Any],
        send: Callable[[Secret], Awaitable[T]],
    ) -> T:
        """What `send` returns for an access token. `checkpoint` is the step's own.

        `send` raises Throttled, or TokenRefused when the token is not accepted: then one fresh
        token is tried. Raises RetryLater when the client's limit has no room yet,
        VendorCredentialsRefused, and what `send` raises otherwise.
        """
        token = await self._token(account)
        await self._limit.wait(account, "call", checkpoint)
        try:
            return await send(token.token)
        except Throttled as throttled:
            raise await self._limit.pause(account, "call", throttled) from throttled
        except TokenRefused:
            await self._clients.delete_token(account, token)
        token = await self._token(account)
        await self._limit.wait(account, "call", {})
        try:
            return await send(token.token)
        except Throttled as throttled:
            raise await self._limit.pause(account, "call", throttled) from throttled
        except TokenRefused as refused:
            raise VendorCredentialsRefused(
                f"{account.title} refuses a token that it has just issued: its client was revoked. "
                "Put a live client into the recipe's settings, then retry the run.",
                vendorError=refused.vendor_error,
            ) from None

    async def fresh_token(self, account: VendorAccount) -> MintedToken:
        """A new token, whatever is stored: proves the client id and secret. Raises RetryLater, and
        what `mint` raises.
        """
        await self._limit.wait(account, "token", {})
        try:
            minted = await self._mint(account)
        except Throttled as throttled:
            raise await self._limit.pause(account, "token", throttled) from throttled
        await self._clients.store_token(account, minted.access_token, minted.lifetime * REFRESH_AT)
        return minted

    async def _token(self, account: VendorAccount) -> StoredToken:
        until = time.monotonic() + TOKEN_LEASE.total_seconds()
        while True:
            stored = await self._clients.token(account)
            if stored is not None and stored.expires_in > 0:
                return stored
            if await self._clients.lock_token(account, TOKEN_LEASE):
                try:
                    await self.fresh_token(account)
                except BaseException:
                    await self._clients.unlock_token(account)
                    raise
            elif time.monotonic() > until:
                raise RetryLater(5, "waiting for a token")
            else:
                await asyncio.sleep(0.1)
