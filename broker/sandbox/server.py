"""A running sandbox."""

from dataclasses import dataclass

from aiohttp import web

from broker.sandbox.application import build
from broker.sandbox.world import Sandbox


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers at `url`."""

    url: str
    sandbox: Sandbox
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(host: str, port: int, *, sandbox: Sandbox | None = None) -> Running:
    """Start a sandbox; port 0 takes a free one. Raises OSError when the port is taken."""
    sandbox = sandbox or Sandbox()
    runner = web.AppRunner(
        build(sandbox),
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=1,
        max_line_size=32_768,
        max_field_size=32_768,
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    bound = runner.addresses[0][1]
    return Running(f"http://localhost:{bound}", sandbox, runner)
