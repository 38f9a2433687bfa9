"""Who may have a database session: waiting happens here, before one is taken.

A pool alone is first come, first served: one workspace, or what waits for one locked row, could
hold all of it. So each waits in front of the pool, for its workspace's share, for the background's,
or for the row. Code that holds a session already and needs a second one does not wait: part of the
pool is kept for that, and waiting could only end in a deadlock.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar

from broker.domain.tenancy import WORKSPACE
from broker.errors import Busy

BACKGROUND: ContextVar[bool] = ContextVar("background work", default=False)
"""Whether the current task works for no caller."""

_HOLDS: ContextVar[bool] = ContextVar("holds a session", default=False)

WAIT_S = 5.0
"""How long to wait for a share of the pool."""

ROW_WAIT_S = 10.0
"""How long to wait for a row that this process has locked: for about as long as a provider may take
to renew a grant."""


class _Keyed:
    """Semaphores by key, which exist while they are used."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._semaphores: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        semaphore, users = self._semaphores.get(key, (asyncio.Semaphore(self._limit), 0))
        self._semaphores[key] = semaphore, users + 1
        try:
            async with semaphore:
                yield
        finally:
            users = self._semaphores[key][1] - 1
            if users:
                self._semaphores[key] = semaphore, users
            else:
                del self._semaphores[key]


class Gates:
    """What each kind of work may hold of a pool of `size` sessions."""

    def __init__(self, size: int) -> None:
        # All of them may wait for providers, so that others keep two sessions at least.
        self.max_row_holders = max(2, size * 3 // 5)
        self._workspaces = _Keyed(max(1, size // 2))
        self._rows = _Keyed(1)
        self._row_holders = asyncio.Semaphore(self.max_row_holders)
        self._background = asyncio.Semaphore(max(1, size // 3))
        self._all = asyncio.Semaphore(max(1, size - 2))

    @asynccontextmanager
    async def hold(self, row: Hashable | None = None) -> AsyncIterator[None]:
        """Wait for a share, and hold it while the block runs. `row`: a row that the block will
        lock, perhaps for as long as a provider takes; one block at a time in this process.

        Raises Busy when it takes too long.
        """
        if _HOLDS.get():
            yield
            return
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(WAIT_S if row is None else ROW_WAIT_S):
                    if row is not None:
                        await stack.enter_async_context(self._rows.hold(row))
                        await stack.enter_async_context(self._row_holders)
                    workspace = WORKSPACE.get()
                    if workspace is not None:
                        await stack.enter_async_context(self._workspaces.hold(workspace))
                    elif row is None and BACKGROUND.get():
                        await stack.enter_async_context(self._background)
                    await stack.enter_async_context(self._all)
            except TimeoutError:
                raise Busy from None
            token = _HOLDS.set(True)
            try:
                yield
            finally:
                _HOLDS.reset(token)
