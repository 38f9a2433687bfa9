"""The doorbell: one connection that listens, so that what must stop everywhere stops at once.

A ring says "forget what you remember" and carries nothing, or names a quota that another process
waits for. Whoever misses one forgets within the memory's few seconds, and looks at its quotas as
often, anyway.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import asyncpg

log = logging.getLogger(__name__)

CHANNEL = "broker_doorbell"
QUOTA_CHANNEL = "broker_quota"
PING_S = 2.0


class InvalidationListener:
    """Calls `answer` whenever somebody rings, and as soon as it listens (again); `share` with the
    name of a quota that another process waits for.
    """

    def __init__(
        self, dsn: str, on_invalidate: Callable[[], None], on_quota_wanted: Callable[[str], None]
    ) -> None:
        self._dsn = dsn
        self._on_invalidate = on_invalidate
        self._on_quota_wanted = on_quota_wanted

    async def listen(self) -> None:
        """Listen until cancelled, connecting again after every loss."""
        while True:
            try:
                await self._listen_once()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("doorbell lost", extra={"reason": type(error).__name__})
            # What is remembered stays: while Postgres is away it is all there is, and it has its
            # own bound. Whoever listens anew forgets first, for a ring may have been missed.
            await asyncio.sleep(0.5)

    async def _listen_once(self) -> None:
        session = await asyncpg.connect(
            self._dsn,
            timeout=5,
            command_timeout=5,
            server_settings={"application_name": "broker doorbell"},
        )
        try:
            await session.add_listener(CHANNEL, self._on_notify)
            await session.add_listener(QUOTA_CHANNEL, self._on_quota_notify)
            self._on_invalidate()
            while True:
                await asyncio.sleep(PING_S)
                await session.execute("SELECT")
        finally:
            session.terminate()

    def _on_notify(self, *_: Any) -> None:
        self._on_invalidate()

    def _on_quota_notify(self, _connection: Any, _pid: int, _channel: str, name: Any) -> None:
        self._on_quota_wanted(name)
