"""What a call to HubSpot that brought no answer means."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

from broker.errors import BrokerError, HubSpotTimeout, HubSpotUnavailable
from broker.providers.transport.pool import ConnectTimeout, NotConnected

T = TypeVar("T")

UNSENT = (
    NotConnected,
    ConnectTimeout,
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
)
"""What is raised before there is a connection to send anything on."""


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


def to_refusal(error: BaseException) -> BrokerError:
    """What to raise instead of aiohttp's error: HubSpotTimeout or HubSpotUnavailable, `unsent` when
    HubSpot surely got nothing.
    """
    refusal: HubSpotTimeout | HubSpotUnavailable
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        refusal = HubSpotTimeout("HubSpot did not answer within the deadline.")
    else:
        refusal = HubSpotUnavailable("HubSpot could not be reached.")
    refusal.unsent = isinstance(error, UNSENT)
    return refusal
