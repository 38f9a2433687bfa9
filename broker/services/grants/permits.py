"""Permits for renewals: callers who wait for one never queue behind background work."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class RenewalPermits:
    """A number of permits, of which background renewals may hold some at most."""

    def __init__(self, total: int, background: int) -> None:
        self._free = total
        self._free_background = background
        self._callers: deque[asyncio.Future[None]] = deque()
        self._background: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self, *, background: bool) -> AsyncIterator[None]:
        """Hold a permit while the block runs. Of those who wait, callers are served first."""
        queue = self._background if background else self._callers
        waiter = asyncio.get_running_loop().create_future()
        queue.append(waiter)
        self._serve()
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._release(background=background)
            elif waiter in queue:
                queue.remove(waiter)
            raise
        try:
            yield
        finally:
            self._release(background=background)

    def _release(self, *, background: bool) -> None:
        self._free += 1
        self._free_background += background
        self._serve()

    def _serve(self) -> None:
        while self._free and (waiter := self._next()) is not None:
            self._free -= 1
            waiter.set_result(None)

    def _next(self) -> "asyncio.Future[None] | None":
        while self._callers:
            waiter = self._callers.popleft()
            if not waiter.done():
                return waiter
        while self._background and self._free_background:
            waiter = self._background.popleft()
            if not waiter.done():
                self._free_background -= 1
                return waiter
        return None
