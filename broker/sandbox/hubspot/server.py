"""A running sandbox."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from broker.sandbox.core.serving import listen
from broker.sandbox.hubspot import keeping
from broker.sandbox.hubspot.application import build
from broker.sandbox.hubspot.seed import plant
from broker.sandbox.hubspot.world import Sandbox

KEEP_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers at `url`."""

    url: str
    sandbox: Sandbox
    _runner: web.AppRunner
    _keeper: asyncio.Task[None] | None = None
    _data: Path | None = None

    async def close(self) -> None:
        """End, with everything written down when data is kept."""
        await self._runner.cleanup()
        if self._keeper is not None and self._data is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            keeping.write(self.sandbox, self._data)


async def serve(
    host: str,
    port: int,
    *,
    sandbox: Sandbox | None = None,
    data: Path | None = None,
    seed: bool = False,
) -> Running:
    """Start a sandbox; port 0 takes a free one.

    `data` is a folder that keeps everything over restarts; a kill loses at most the last second.
    `seed` fills portals that have no records with believable ones. Raises OSError when the port
    is taken or the folder takes no file, ValueError when it holds data of another format.

    """
    sandbox = sandbox or Sandbox()
    if data is not None:
        keeping.read(sandbox, data)
        keeping.write(sandbox, data)
    if seed:
        for portal in sandbox.portals.values():
            if not any(records.by_id for records in portal.records.values()):
                plant(sandbox, portal)
    runner, url = await listen(build(sandbox), host, port, auto_decompress=False)
    keeper = asyncio.create_task(_keep(sandbox, data)) if data is not None else None
    return Running(url, sandbox, runner, keeper, data)


async def _keep(sandbox: Sandbox, data: Path) -> None:
    written = -1
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        if sandbox.answered != written:
            written = sandbox.answered
            keeping.write(sandbox, data)
