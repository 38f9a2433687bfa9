"""Invalidation of caches: one notification for every change, heard by every process.

A notification names what changed, or nothing, which stands for everything. A process that misses
one reads again when the cached value expires, a few seconds later, and looks at its quotas as
often. What this process itself commits it discards at once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from broker.concurrency.backoff import Backoff
from broker.domain.invalidation import Invalidation, read_invalidation
from broker.stores.core.postgres.availability import Availability
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT, reason_of
from broker.stores.core.queries import sql

log = logging.getLogger(__name__)

CHANNEL = "broker_invalidation"
QUOTA_CHANNEL = "broker_quota"
WORK_CHANNEL = "broker_work"
PING_S = 2.0
RECONNECT = Backoff(first=0.3, longest=5)

_in_transaction: ContextVar[list[Invalidation]] = ContextVar("invalidations in transaction")


async def notify(session: Any, change: Invalidation) -> None:
    """Notify every process of a change, once the transaction of this session is committed."""
    await session.execute(sql.notify_invalidation, change.payload)
    _in_transaction.get([]).append(change)


@contextmanager
def collected() -> Iterator[list[Invalidation]]:
    """The changes that `notify` is called with in the block."""
    changes: list[Invalidation] = []
    token = _in_transaction.set(changes)
    try:
        yield changes
    finally:
        _in_transaction.reset(token)


class InvalidationListener:
    """Calls `on_invalidate` with each change that is notified, and with None for one that names
    nothing and whenever it listens (again): a notification may have been missed. Calls
    `on_quota_notification` with what other processes notify about quotas, and `on_work` with the
    kinds of background work that they have written, and with none whenever it listens (again).
    """

    def __init__(
        self,
        dsn: str,
        on_invalidate: Callable[[Invalidation | None], None],
        on_quota_notification: Callable[[str], None],
        availability: Availability,
        on_work: Callable[[str], None] | None = None,
    ) -> None:
        self._url = DatabaseUrl.parse(dsn)
        self._availability = availability
        self._on_invalidate = on_invalidate
        self._on_quota_notification = on_quota_notification
        self._on_work = on_work
        self._failures = 0
        self._logged = False

    async def listen(self) -> None:
        """Listen until cancelled, connecting again after every loss."""
        while True:
            try:
                await self._listen_once()
            except CANNOT_CONNECT as error:
                self._failures += 1
                # An outage has its own line, once for the process.
                if self._failures == 2 and self._availability.problem is None:
                    log.warning("listener_disconnected", extra={"reason": reason_of(error)})
                    self._logged = True
            # Cached values stay: while Postgres is away they are all there is, and they have a
            # bound of their own.
            await asyncio.sleep(RECONNECT.pause(self._failures))

    async def _listen_once(self) -> None:
        try:
            session = await self._url.connect("broker listener", command_timeout=5)
        except CANNOT_CONNECT as error:
            self._availability.not_connected(error)
            raise
        try:
            await session.add_listener(CHANNEL, self._on_notify)
            await session.add_listener(QUOTA_CHANNEL, self._on_quota_notify)
            if self._on_work is not None:
                await session.add_listener(WORK_CHANNEL, self._on_work_notify)
                self._on_work("")
            self._on_invalidate(None)
            self._availability.answered()
            if self._logged:
                log.info("listener_connected", extra={"failures": self._failures})
            self._failures, self._logged = 0, False
            while True:
                await asyncio.sleep(PING_S)
                await session.execute("SELECT")
                self._availability.answered()
        finally:
            session.terminate()

    def _on_notify(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        self._on_invalidate(read_invalidation(payload))

    def _on_quota_notify(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        self._on_quota_notification(payload)

    def _on_work_notify(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        if self._on_work is not None:
            self._on_work(payload)
