"""One rate limit of a vendor's client for all replicas.

A vendor counts calls by client. Each call reserves the next slot of its client's limit in Postgres.
A slot that is far away is stored in the step's checkpoint, and the step is tried again when it
comes; so a queue of calls holds no connection and no task.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from broker.domain.runs import RetryLater
from broker.domain.vendors import Throttled, VendorAccount
from broker.stores.recipes.vendors import VendorClients

WAIT_INLINE_S = 1.0
"""A slot that is at most this far away is waited for."""

WAKE_EARLY_S = 0.4
"""How much before its slot a step is tried again, so that it is there in time."""

SLOT_EXPIRES_S = 2.0
"""How late a slot may be used; the calls of the next minute count on it."""


class RateLimit:
    """Waits for a slot before each call, and for the end of a vendor's Retry-After."""

    def __init__(self, clients: VendorClients) -> None:
        self._clients = clients

    async def wait(self, account: VendorAccount, kind: str, checkpoint: Mapping[str, Any]) -> None:
        """Return when a call of a kind ("call" or "token") may be made. `checkpoint` is the step's
        own. Raises RetryLater when that takes long.
        """
        # Times are the database's, for the clocks of replicas differ.
        paused_until, now = await self._clients.paused_until(account, kind)
        if paused_until - now > WAIT_INLINE_S:
            raise RetryLater(paused_until - now, f"{account.title} is throttling")
        slot = float(checkpoint.get("slot", 0))
        if now - slot > SLOT_EXPIRES_S:
            slot, now = await self._clients.reserve_slot(account, kind)
        away = slot - now
        if away > WAIT_INLINE_S:
            reserved = {**checkpoint, "slot": slot} if kind == "call" else None
            raise RetryLater(
                away - WAKE_EARLY_S, "waiting for a slot of the vendor's limit", reserved
            )
        await asyncio.sleep(max(0.0, away))

    async def pause(self, account: VendorAccount, kind: str, throttled: Throttled) -> RetryLater:
        """Let no replica call before a vendor's Retry-After has passed; what a step raises then."""
        await self._clients.pause(account, kind, throttled.after_s)
        return RetryLater(throttled.after_s, f"{account.title} is throttling")
