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

SAVE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers at `url`."""

    url: str
    sandbox: Sandbox
    _runner: web.AppRunner
    _saver: asyncio.Task[None] | None = None
    _data: Path | None = None

    async def close(self) -> None:
        """Stop, and save the data when there is a folder for it."""
        await self._runner.cleanup()
        if self._saver is not None and self._data is not None:
            self._saver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._saver
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
    saver = asyncio.create_task(_save_regularly(sandbox, data)) if data is not None else None
    return Running(url, sandbox, runner, saver, data)


async def _save_regularly(sandbox: Sandbox, data: Path) -> None:
    written = -1
    while True:
        await asyncio.sleep(SAVE_EVERY_S)
        if sandbox.answered != written:
            written = sandbox.answered
            keeping.write(sandbox, data)
