"""TTL cache with single-flight loading, so that a busy connection costs no query."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from broker.errors import Busy

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

FRESH_S = 5.0
"""For how long a value is used without a query: how long something revoked may go on working."""

STALE_IF_ERROR_S = 60.0
"""For how long it is used while the database is unavailable."""

LOAD_TIMEOUT_S = 0.25
"""How long the database may take before it counts as unavailable, where a value is cached."""

MAX_ENTRIES = 10_000
"""How many values one cache holds by default; the oldest make room."""


class TtlCache(Generic[K, V]):
    """A bounded cache of values by key. Callers who miss the same key at once share one load."""

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        size: int = MAX_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock`: the seconds by which values age."""
        self._load = load
        self._size = size
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}
        self._loading: dict[K, asyncio.Task[V]] = {}

    def peek(self, key: K) -> V | None:
        """The value if it is cached and fresh."""
        entry = self._values.get(key)
        if entry is not None and self._clock() - entry[0] < FRESH_S:
            return entry[1]
        return None

    async def get(self, key: K) -> V:
        """The value, at most a few seconds old. Raises what `load` raises."""
        entry = self._values.get(key)
        now = self._clock()
        if entry is not None and now - entry[0] < FRESH_S:
            return entry[1]
        loading = self._loading.get(key)
        if loading is None:
            loading = self._loading[key] = asyncio.create_task(self._load_and_store(key))
            loading.add_done_callback(lambda done: self._loaded(key, done))
        usable = entry is not None and now - entry[0] < STALE_IF_ERROR_S
        try:
            # One caller giving up must not cancel the load that others wait for.
            async with asyncio.timeout(LOAD_TIMEOUT_S if usable else None):
                return await asyncio.shield(loading)
        except (Busy, TimeoutError):
            if entry is None or not usable:
                raise
            return entry[1]

    def discard(self, key: K) -> None:
        """Load this key again next time; a load under way is not stored."""
        self._values.pop(key, None)
        self._loading.pop(key, None)

    def discard_where(self, matches: Callable[[K, V], bool]) -> None:
        """Load again what matches; of loads under way, none is stored."""
        for key in [key for key, (_, value) in self._values.items() if matches(key, value)]:
            del self._values[key]
        self._loading.clear()

    def clear(self) -> None:
        """Load everything again; loads under way are not stored either."""
        self._values.clear()
        self._loading.clear()

    async def _load_and_store(self, key: K) -> V:
        loading, loaded_at = asyncio.current_task(), self._clock()
        value = await self._load(key)
        if self._loading.get(key) is loading:  # not discarded meanwhile
            if len(self._values) >= self._size:
                self._values.pop(next(iter(self._values)))
            # Its age counts from the query, for the answer may have been old when it came.
            self._values.pop(key, None)
            self._values[key] = (loaded_at, value)
        return value

    def _loaded(self, key: K, done: "asyncio.Task[V]") -> None:
        if self._loading.get(key) is done:
            del self._loading[key]
        failure = None if done.cancelled() else done.exception()
        if failure is not None and not isinstance(failure, Busy):
            # What no longer exists must not live on as an older value.
            self._values.pop(key, None)
