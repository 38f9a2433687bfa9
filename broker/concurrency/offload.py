"""Work on large inputs, done in a thread so that the event loop stays free for other callers."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INLINE_BYTES = 65_536
"""Inputs up to this size take a millisecond or two and are worked on at once."""


async def offload(size: int, work: Callable[[], T]) -> T:
    """The result of `work` on an input of so many bytes. It must touch nothing that the loop's
    tasks touch. Raises what it raises.
    """
    if size <= INLINE_BYTES:
        return work()
    return await asyncio.to_thread(work)
