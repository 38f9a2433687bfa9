"""The only module that opens a connection to a receiver."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from broker.domain.events import Reply
from broker.providers.transport.addresses import PrivateAddress, is_private
from broker.providers.transport.egress import proxy_for

TOTAL_S = 15.0
CONNECT_S = 5.0
LINGER_S = 1.0
DRAINED_BYTES = 8_192
"""How long, and how far, a response's body is read to keep its connection for the next delivery."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(where[0]) for *_, where in found]


class Receivers:
    """Receivers over HTTP. Nothing of a response counts but its status and Retry-After.

    Where `HTTPS_PROXY` names a forward proxy, it is requested to connect to the very address that
    was resolved and checked here, so that a name cannot lead it elsewhere.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        total_s: float = TOTAL_S,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls`: verifies receivers' certificates; None for OpenSSL's own authorities."""
        self._allow_private = allow_private
        self._total_s = total_s
        self._resolve = resolve
        self._direct = self._session(tls, None if allow_private else _public_socket)
        # To the proxy itself, which may be anywhere; the receiver's address is judged before.
        self._through_proxy = self._session(tls, None)

    async def close(self) -> None:
        await self._direct.close()
        await self._through_proxy.close()

    async def post(self, url: str, headers: Mapping[str, str], payload: str) -> Reply:
        """Send once; the outcome, whatever the receiver does. Never raises for it."""
        headers = {**headers, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(self._total_s):
                response = await self._send(URL(url, encoded=True), headers, payload.encode())
        except TimeoutError:
            return Reply(None, "timeout")
        except PrivateAddress:
            return Reply(None, "private-address")
        except aiohttp.ClientConnectorError as error:
            private = isinstance(error.os_error, PrivateAddress)
            return Reply(None, "private-address" if private else "unreachable")
        except (aiohttp.ClientHttpProxyError, socket.gaierror):
            return Reply(None, "unreachable")
        except (aiohttp.ClientError, OSError, ValueError):
            return Reply(None, "broken-connection")
        try:
            return Reply(response.status, None, _seconds(response.headers.get("Retry-After")))
        finally:
            await _release(response)

    async def _send(self, url: URL, headers: dict[str, str], body: bytes) -> aiohttp.ClientResponse:
        proxy = proxy_for(url)
        if proxy is None:
            return await self._direct.post(url, data=body, headers=headers, allow_redirects=False)
        name = None
        if not self._allow_private:
            # The proxy connects to an address; the receiver sees its own name, in Host and TLS.
            name, headers = url.host, {**headers, "Host": url.host_port_subcomponent or ""}
            url = url.with_host(await self._public_address(url))
        return await self._through_proxy.post(
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
            server_hostname=name,
        )

    async def _public_address(self, url: URL) -> str:
        for address in await self._resolve(url.host or "", url.port or 443):
            if not is_private(address):
                return address
        raise PrivateAddress

    def _session(
        self, tls: ssl.SSLContext | None, socket_factory: Callable[[Any], socket.socket] | None
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=30,
                use_dns_cache=False,
                socket_factory=socket_factory,
                ssl=tls or True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding"),
            timeout=aiohttp.ClientTimeout(total=self._total_s, sock_connect=CONNECT_S),
            trust_env=False,
        )


def _public_socket(address: Any) -> socket.socket:
    """A socket for the very address that is connected to, so that a name cannot change its mind in
    between and no spelling of an address goes unseen.
    """
    family, kind, protocol, _, where = address
    if is_private(str(where[0])):
        raise PrivateAddress
    return socket.socket(family, kind, protocol)


async def _release(response: aiohttp.ClientResponse) -> None:
    """Reuse the connection when the body is short and complete; else close it."""
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
