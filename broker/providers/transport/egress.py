"""The forward proxy of a closed network: which one a connection goes through, and the tunnel to it.

`HTTPS_PROXY` (or `https_proxy`) names a proxy for connections over TLS, `NO_PROXY` the hosts that
are reached without one: names with their subdomains, addresses, networks (`10.0.0.0/8`), `*`.
Plain http goes out directly. Certificate authorities of one's own come from `SSL_CERT_FILE`, which
OpenSSL reads.
"""

import asyncio
import base64
import ipaddress
import logging
import os
import re
import socket
from contextlib import suppress

from yarl import URL

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 16_384
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class ProxyRefused(OSError):
    """The forward proxy made no tunnel, so nothing was sent."""


def proxy_for(url: URL) -> URL | None:
    """The proxy through which an address is reached; None where it is reached directly."""
    if url.scheme != "https" or not (value := _environment("https_proxy")):
        return None
    if _is_bypassed(url, _environment("no_proxy")):
        return None
    proxy = URL(value if "://" in value else f"http://{value}")
    # A proxy that is itself reached over TLS is refused where a connection is to be made.
    return proxy if proxy.host else None


async def open_tunnel(line: socket.socket, proxy: URL, host: str, port: int) -> asyncio.Transport:
    """A tunnel to a host through the proxy to which the socket is connected; nothing went through
    it yet. Raises ProxyRefused.
    """
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Connecting, sock=line)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.user is not None:
        pair = f"{proxy.user}:{proxy.password or ''}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    try:
        transport.write("\r\n".join([*lines, "", ""]).encode())
        _check_established(await protocol.head, proxy)
    except BaseException:
        transport.abort()
        raise
    return transport


def _check_established(head: bytes, proxy: URL) -> None:
    found = STATUS.match(head)
    status = int(found[1]) if found else 0
    # TLS begins with us: whatever a proxy sends after its head is no part of the tunnel.
    if not 200 <= status < 300 or not head.endswith(b"\r\n\r\n"):
        log.warning("proxy_refused", extra={"proxy": proxy.host, "status": status})
        raise ProxyRefused("The forward proxy made no tunnel.")


class _Connecting(asyncio.Protocol):
    """Reads the head of a proxy's answer."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received or len(self._received) > MAX_HEAD_BYTES:
            self._end()

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.head.done():
            self.head.set_result(self._received)


def _environment(name: str) -> str:
    return (os.environ.get(name) or os.environ.get(name.upper()) or "").strip()


def _is_bypassed(url: URL, rules: str) -> bool:
    host, port = (url.host or "").lower().rstrip("."), url.port
    for rule in re.split(r"[\s,]+", rules.lower()):
        name, _, rule_port = rule.partition(":") if rule.count(":") == 1 else (rule, "", "")
        if rule_port and rule_port != str(port):
            continue
        if name == "*" or (name and _matches(host, name.strip("[]"))):
            return True
    return False


def _matches(host: str, name: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    name = name.lstrip("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
