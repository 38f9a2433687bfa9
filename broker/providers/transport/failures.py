"""What a request to a provider that brought no answer means."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

from broker.errors import ProviderTimeout, ProviderUnavailable
from broker.providers.transport.budget import NotConnected
from broker.providers.transport.pool import ConnectTimeout

T = TypeVar("T")

UNSENT = (
    NotConnected,
    ConnectTimeout,
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
)
"""What is raised before there is a connection to send anything on."""


@dataclass(frozen=True, slots=True)
class Failures:
    """The errors that stand for one provider's trouble, and what people call it."""

    label: str
    unavailable: type[ProviderUnavailable] = ProviderUnavailable
    timeout: type[ProviderTimeout] = ProviderTimeout

    def refusal(self, error: BaseException) -> ProviderUnavailable | ProviderTimeout:
        """What to raise instead of an error of the transport, `unsent` when the provider certainly
        received nothing.
        """
        refusal: ProviderUnavailable | ProviderTimeout
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            refusal = self.timeout(f"{self.label} did not answer within the deadline.")
        else:
            refusal = self.unavailable(f"{self.label} could not be reached.")
        refusal.unsent = isinstance(error, UNSENT)
        return refusal


async def with_deadline(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Raises TimeoutError when it is not there in time.

    A process that was frozen wakes with its time over and the answer in its socket. It looks once
    more before it gives up, for a rotated refresh token is in no other place.
    """
    task = asyncio.create_task(work)
    try:
        for patience in (seconds, 0.1):
            done, _ = await asyncio.wait({task}, timeout=patience)
            if done:
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
