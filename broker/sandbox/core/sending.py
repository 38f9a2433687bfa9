"""Requests that a sandbox sends by itself while it is served, such as webhooks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from aiohttp import web

TICK_S = 0.02
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


class Sender(Protocol):
    """Something with requests to send."""

    @property
    def pending(self) -> bool:
        """Whether any request waits, due or not."""

    async def tick(self, session: aiohttp.ClientSession) -> None:
        """Send the requests that are due."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a receiver."""

    status: int
    body: bytes
    sets_cookies: bool

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: dict[str, str],
    limit: float | aiohttp.ClientTimeout,
) -> Reply | None:
    """Send one request without following redirects; None when no answer came in time.

    A number as `limit` is in seconds, for the whole request.
    """
    timeout = aiohttp.ClientTimeout(total=limit) if isinstance(limit, int | float) else limit
    try:
        async with session.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            content = await response.read()
            return Reply(response.status, content, "Set-Cookie" in response.headers)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


def sending(
    *senders: Sender, version: aiohttp.HttpVersion = aiohttp.HttpVersion11
) -> Callable[[web.Application], AsyncIterator[None]]:
    """A cleanup context in which senders send, through a session that handlers find as `SESSION`.

    Requests under way are cancelled when the application ends.
    """

    async def running(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, version=version) as session:
            app[SESSION] = session
            loop = asyncio.create_task(_loop(senders, session))
            yield
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    return running


async def _loop(senders: tuple[Sender, ...], session: aiohttp.ClientSession) -> None:
    # Ticks are not awaited: a receiver that hangs must not delay the others.
    async with asyncio.TaskGroup() as group:
        while True:
            for sender in senders:
                if sender.pending:
                    group.create_task(sender.tick(session))
            await asyncio.sleep(TICK_S)
