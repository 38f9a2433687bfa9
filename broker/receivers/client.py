"""The only module that opens a connection to a receiver."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from broker.domain.events import Reply
from broker.receivers.addresses import is_private

TOTAL_S = 15.0
CONNECT_S = 5.0
LINGER_S = 1.0
DRAINED_BYTES = 8_192
"""How long, and how far, an answer's body is read to keep its connection for the next delivery."""


class PrivateAddress(OSError):
    """A receiver's name leads to an address that nothing may be sent to."""


class Receivers:
    """Receivers over HTTP. Nothing of an answer counts but its status and Retry-After."""

    def __init__(self, *, allow_private: bool, total_s: float = TOTAL_S) -> None:
        self._total_s = total_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=30,
                use_dns_cache=False,
                socket_factory=None if allow_private else _public_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S),
            trust_env=False,
        )

    async def close(self) -> None:
        await self._session.close()

    async def post(self, url: str, headers: Mapping[str, str], payload: str) -> Reply:
        """Send once and say what came of it; never raises for what a receiver does."""
        try:
            async with asyncio.timeout(self._total_s):
                response = await self._session.post(
                    URL(url, encoded=True),
                    data=payload.encode(),
                    headers={**headers, "Content-Type": "application/json"},
                    allow_redirects=False,
                )
        except TimeoutError:
            return Reply(None, "timeout")
        except aiohttp.ClientConnectorError as error:
            private = isinstance(error.os_error, PrivateAddress)
            return Reply(None, "private-address" if private else "unreachable")
        except (aiohttp.ClientError, OSError, ValueError):
            return Reply(None, "broken-connection")
        try:
            return Reply(response.status, None, _seconds(response.headers.get("Retry-After")))
        finally:
            await _let_go(response)


def _public_socket(address: Any) -> socket.socket:
    """A socket for the very address that is connected to, so that no name can change its mind in
    between and no spelling of an address goes unseen.
    """
    family, kind, protocol, _, where = address
    if is_private(str(where[0])):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


async def _let_go(response: aiohttp.ClientResponse) -> None:
    """Keep the connection when the body is short and there; close it on one that has no end."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, asyncio.TimeoutError):
        async with asyncio.timeout(LINGER_S):
            left = DRAINED_BYTES
            while left > 0 and (part := await response.content.read(left)):
                left -= len(part)
    response.close() if not response.content.at_eof() else response.release()


def _seconds(retry_after: str | None) -> float | None:
    """A Retry-After in seconds; a date counts as none, for clocks differ."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdecimal():
        return None
    return float(retry_after[:6])
