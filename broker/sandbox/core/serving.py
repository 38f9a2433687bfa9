"""A sandbox on a port of its own."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiohttp import web

World = TypeVar("World")


@dataclass(frozen=True, slots=True)
class Running(Generic[World]):
    """A sandbox that answers at `url`; `world` is its state, which may be changed at any time."""

    url: str
    world: World
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop answering and sending."""
        await self._runner.cleanup()


async def listen(
    app: web.Application, host: str, port: int, **options: Any
) -> tuple[web.AppRunner, str]:
    """Serve an application; port 0 takes a free one. The runner and the base URL.

    `options` go to aiohttp's AppRunner. Raises OSError when the port is taken.
    """
    runner = make_runner(app, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, url_of(host, runner.addresses[0][1])


def url_of(host: str, port: int) -> str:
    """The base URL of a server that listens at a host: its name, or localhost for an IP address."""
    is_name = host.replace("-", "").replace(".", "").isalnum() and not host[-1:].isdigit()
    return f"http://{host if is_name else 'localhost'}:{port}"


def make_runner(app: web.Application, **options: Any) -> web.AppRunner:
    """A runner that takes long request lines and cancels handlers whose caller has gone."""
    defaults = {"max_line_size": 32_768, "max_field_size": 32_768}
    return web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1,
        **{**defaults, **options},
    )
