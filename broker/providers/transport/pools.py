"""Kept connections to many origins, with one bound on how many there are in all."""

from yarl import URL

from broker.providers.transport.budget import ConnectionBudget
from broker.providers.transport.pool import Pool
from broker.providers.transport.tls import tls_context

MAX_ORIGINS = 10_000
"""Origins that are remembered; of more, those without a connection are forgotten, first those
that came first."""


class Pools:
    """A pool for each origin, on one budget of connections."""

    def __init__(self, connect: float, idle: float, max_connections: int) -> None:
        """`connect` and `idle` are in seconds: for a connection, and between two bytes."""
        self._connect_s = connect
        self._idle_s = idle
        self._budget = ConnectionBudget(max_connections, self._end_oldest_idle)
        # One for all: it holds every certificate authority of the machine.
        self._tls = tls_context()
        self._pools: dict[str, Pool] = {}

    @property
    def max_connections(self) -> int:
        """How many connections there can be at once."""
        return self._budget.limit

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self._budget.in_use

    @property
    def in_flight(self) -> int:
        """How many answers are coming in, or waited for."""
        return sum(pool.in_flight for pool in self._pools.values())

    def pool(self, origin: URL, *, public_only: bool = False) -> Pool:
        """The pool of an origin; with `public_only`, one that reaches no private address."""
        key = f"{origin.scheme}://{origin.raw_authority}{' public' if public_only else ''}"
        found = self._pools.get(key)
        if found is None:
            if len(self._pools) >= MAX_ORIGINS:
                self._drop_unused()
            found = self._pools[key] = Pool(
                origin,
                self._connect_s,
                self._idle_s,
                self._budget,
                self._tls,
                public_only=public_only,
            )
        return found

    def close(self) -> None:
        """End all connections; there will be no others."""
        for pool in self._pools.values():
            pool.close()

    def _end_oldest_idle(self) -> None:
        min(self._pools.values(), key=lambda pool: pool.idle_since).end_idle()

    def _drop_unused(self) -> None:
        unused = [key for key, pool in self._pools.items() if pool.is_unused]
        for key in unused[: MAX_ORIGINS // 10]:
            self._pools.pop(key).close()
