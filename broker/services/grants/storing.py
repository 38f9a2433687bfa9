"""Storing tokens that exist nowhere else: with patience, for there is no second copy."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from broker.concurrency.backoff import Backoff
from broker.errors import Busy

T = TypeVar("T")

BACKOFF = Backoff(first=0.3, longest=3.0, attempts=5)
"""About five seconds of pauses, while a person looks at a page that is loading."""


async def store_tokens(store: Callable[[], Awaitable[T]]) -> T:
    """Store tokens by a transaction that may be repeated. Raises Busy when none of the attempts was
    committed, as far as is known here.
    """
    failures = 0
    while True:
        try:
            return await store()
        except Busy:
            failures += 1
            if BACKOFF.is_exhausted(failures):
                raise
            await asyncio.sleep(BACKOFF.pause(failures))
