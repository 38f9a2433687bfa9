"""What was read a moment ago, so that a busy connection costs no query."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from broker.errors import Busy

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FRESH_S = 5.0
"""For how long a value is used without asking: how long something revoked may go on working."""

STALE_IF_ERROR_S = 60.0
"""For how long it is used while the database is away and cannot be asked."""

LOAD_TIMEOUT_S = 0.25
"""How long the database may take before it counts as away, for what is remembered."""


class TtlCache(Generic[K, V]):
    """A bounded memory of values by key. Many who miss the same key at once share one load."""

    def __init__(self, load: Callable[[K], Awaitable[V]], size: int = 10_000) -> None:
        self._load = load
        self._size = size
        self._values: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, asyncio.Task[V]] = {}
        self._age = 0

    def peek(self, key: K) -> V | None:
        """The value if it is here and at most a few seconds old: for those in a hurry."""
        found = self._values.get(key)
        if found is not None and time.monotonic() - found[0] < FRESH_S:
            return found[1]
        return None

    async def get(self, key: K) -> V:
        """The value, at most a few seconds old. Raises what `load` raises."""
        found = self._values.get(key)
        now = time.monotonic()
        if found is not None and now - found[0] < FRESH_S:
            return found[1]
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._remember(key))
            loading.add_done_callback(lambda done: self._loaded(key, done))
        known = found is not None and now - found[0] < STALE_IF_ERROR_S
        try:
            # One caller giving up must not cancel the load that others wait for.
            async with asyncio.timeout(LOAD_TIMEOUT_S if known else None):
                return await asyncio.shield(loading)
        except (Busy, TimeoutError):
            if found is None or not known:
                raise
            return found[1]

    def discard(self, key: K) -> None:
        """Read this key anew next time."""
        self._values.pop(key, None)
        self._loading.pop(key, None)

    def clear(self) -> None:
        """Read everything anew; a load under way is not remembered either."""
        self._age += 1
        self._values.clear()
        self._loading.clear()

    async def _remember(self, key: K) -> V:
        age, asked_at = self._age, time.monotonic()
        value = await self._load(key)
        if age == self._age:
            if len(self._values) >= self._size:
                self._values.pop(next(iter(self._values)))
            # Its age counts from the question, for the answer may have been old when it came.
            self._values.pop(key, None)
            self._values[key] = (asked_at, value)
        return value

    def _loaded(self, key: K, done: "asyncio.Task[V]") -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        failure = None if done.cancelled() else done.exception()
        if failure is not None and not isinstance(failure, Busy):
            # What no longer exists must not live on as an older value.
            self._values.pop(key, None)
