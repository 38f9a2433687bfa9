"""First Mile Labs within its limits: one token and one queue for all replicas.

Their limits are counted by client: 30 tokens and 120 calls a minute
(https://www.firstmilelabs.com/docs/api). Whoever wants to call takes the next place in a queue that
lies in Postgres. A place that is far away is kept in the step's note, and the step asks again when
it comes.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from broker.domain.runs import RetryLater, VendorCredentialsRefused
from broker.providers.fml.client import FirstMileLabs
from broker.providers.fml.protocol import CaseResult, Throttled, TokenRefused
from broker.stores.recipes.vendors import StoredToken, VendorAccount, VendorClients

WAIT_INLINE_S = 1.0
"""A place that is at most this far away is waited for."""

WAKE_EARLY_S = 0.4
"""How much before its place a step is asked again, so that it is there in time."""

SLOT_EXPIRES_S = 2.0
"""How late a place may be used; the call of a minute later counts on it."""

REFRESH_AT = 0.9
"""How much of a token's life is used."""

TOKEN_LEASE = timedelta(seconds=25)
"""For how long one replica may ask for a token before another does."""


class FmlApi:
    """Calls to First Mile Labs."""

    def __init__(self, client: FirstMileLabs, vendors: VendorClients) -> None:
        self._client = client
        self._vendors = vendors

    async def create_case(
        self, account: VendorAccount, key: str, request: Mapping[str, Any], note: Mapping[str, Any]
    ) -> CaseResult:
        """Make a case under an idempotency key. `note` is the step's own.

        Raises Later when it is not the step's turn, and what the client raises.
        """
        token = await self._token(account)
        await self._wait_for_slot(account, "call", note)
        try:
            return await self._client.create_case(token.token, key, request)
        except Throttled as throttled:
            raise await self._pause(account, "call", throttled) from throttled
        except TokenRefused:
            await self._vendors.delete_token(account, token)
        token = await self._token(account)
        await self._wait_for_slot(account, "call", {})
        try:
            return await self._client.create_case(token.token, key, request)
        except Throttled as throttled:
            raise await self._pause(account, "call", throttled) from throttled
        except TokenRefused as refused:
            raise VendorCredentialsRefused(
                "First Mile Labs refuses a token that it has just given: its client was revoked. "
                "Put a live client into the recipe's settings, then retry the run.",
                vendorError=refused.vendor_error,
            ) from None

    async def _token(self, account: VendorAccount) -> StoredToken:
        until = time.monotonic() + TOKEN_LEASE.total_seconds()
        while True:
            kept = await self._vendors.token(account)
            if kept is not None and kept.expires_in > 0:
                return kept
            if await self._vendors.lock_token(account, TOKEN_LEASE):
                await self._request_token(account)
            elif time.monotonic() > until:
                raise RetryLater(5, "waiting for a token")
            else:
                await asyncio.sleep(0.1)

    async def _request_token(self, account: VendorAccount) -> None:
        try:
            await self._wait_for_slot(account, "token", {})
            minted = await self._client.mint(account.client_id, account.client_secret)
        except Throttled as throttled:
            await self._vendors.unlock_token(account)
            raise await self._pause(account, "token", throttled) from throttled
        except BaseException:
            await self._vendors.unlock_token(account)
            raise
        await self._vendors.store_token(account, minted.access_token, minted.lifetime * REFRESH_AT)

    async def _wait_for_slot(
        self, account: VendorAccount, kind: str, note: Mapping[str, Any]
    ) -> None:
        # Times are the database's, for the clocks of replicas differ.
        held, now = await self._vendors.paused_until(account, kind)
        if held - now > WAIT_INLINE_S:
            raise RetryLater(held - now, "First Mile Labs wants no call just now")
        place = float(note.get("place", 0))
        if now - place > SLOT_EXPIRES_S:
            place, now = await self._vendors.reserve_slot(account, kind)
        away = place - now
        if away > WAIT_INLINE_S:
            kept = {"place": place} if kind == "call" else None
            raise RetryLater(away - WAKE_EARLY_S, "waiting for a place within the limit", kept)
        await asyncio.sleep(max(0.0, away))

    async def _pause(self, account: VendorAccount, kind: str, throttled: Throttled) -> RetryLater:
        await self._vendors.pause(account, kind, throttled.after_s)
        return RetryLater(throttled.after_s, "First Mile Labs is throttling")
