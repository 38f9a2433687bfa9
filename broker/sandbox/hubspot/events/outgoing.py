"""What the sandbox sends by itself: webhooks and second tries of workflow actions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from broker.sandbox.hubspot.world import Sandbox

TICK_S = 0.02
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


class Outgoing:
    """Runs as long as the sandbox is served."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._under_way: set[asyncio.Task[None]] = set()

    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Start with the application, end with it."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            app[SESSION] = session
            loop = asyncio.create_task(self._go_on(session))
            yield
            for task in (loop, *self._under_way):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(loop, *self._under_way, return_exceptions=True)

    async def _go_on(self, session: aiohttp.ClientSession) -> None:
        webhooks, workflows = self._sandbox.webhooks, self._sandbox.workflows
        while True:
            if webhooks.queue:
                # Not awaited: a receiver that hangs must not hold up the others.
                self._start(webhooks.tick(session))
            if workflows.executions:
                self._start(workflows.tick(session))
            await asyncio.sleep(TICK_S)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
