"""The kept connections to one origin: which call goes out on which, and how long it may take.

One look at the clock for all of them, ten times a second, stands for a timer a call. What is late
is looked at twice, for a process that was frozen may have the answer in its socket.
"""

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohappyeyeballs
from yarl import URL

from broker.providers.transport.addresses import public_of
from broker.providers.transport.budget import ConnectionBudget, NotConnected
from broker.providers.transport.connection import UpstreamConnection
from broker.providers.transport.egress import open_tunnel, proxy_for
from broker.providers.transport.response import InvalidResponse, UpstreamResponse
from broker.providers.transport.tls import tls_context

SWEEP_S = 0.1

KEEPALIVE_S = 30.0
"""How long an idle connection is kept; providers' edges keep them longer, so that
this end closes first."""

DNS_TTL_S = 10.0
"""How long an address is used before its name is looked up again."""


class ConnectTimeout(TimeoutError):
    """A connection did not come about in time, so nothing was sent."""


class Pool:
    """Connections to one origin."""

    def __init__(
        self,
        origin: URL,
        connect: float,
        idle: float,
        budget: ConnectionBudget | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        public_only: bool = False,
    ) -> None:
        """`connect` and `idle` are in seconds: for a connection, and between two bytes.
        `public_only`: the very address of each new connection is judged, also where a forward proxy
        is to make it, and nothing goes to a private one.
        """
        self._budget = budget
        self._public_only = public_only
        self._host, self._port = origin.raw_host or "", origin.port or 443
        self._proxy = proxy_for(origin)
        self._tls = None
        if origin.scheme == "https":
            self._tls = tls_context() if tls is None else tls
        self._connect_s = connect
        self._idle_s = idle
        self._loop = asyncio.get_running_loop()
        self._idle: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._connecting = 0
        self._addresses: asyncio.Task[Any] | None = None
        self._known_until = 0.0
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self,
        request: bytes,
        body: AsyncIterator[bytes] | None,
        within: float,
        *,
        bodiless: bool,
        repeats: bool,
        pending: UpstreamResponse | None = None,
    ) -> UpstreamResponse:
        """Send a request; its response, whose head has arrived.

        `within` is in seconds, to the response's end. `repeats`: whether the request may be sent
        again where a kept connection turns out to be dead. `pending`: what `begin` gave for this
        request, which is waited for first. Raises NotConnected or ConnectTimeout when nothing was
        sent, else as `UpstreamResponse.head`.
        """
        until = self._loop.time() + within
        connection = None
        if pending is None:
            connection = self._take() or await self._connect(until)
        while True:
            if connection is None:
                assert pending is not None  # noqa: S101  # there is one or the other
                fresh, response = False, pending
            else:
                fresh = not connection.responses
                response = connection.send(request, body, until, bodiless=bodiless)
            try:
                await response.head()
            except InvalidResponse:
                if fresh or not repeats or body is not None:
                    raise
                connection = await self._connect(until)
            except BaseException:
                response.close()
                raise
            else:
                return response

    @property
    def has_idle(self) -> bool:
        """Whether `begin` has a connection to send on."""
        return bool(self._idle) and self._is_usable(self._idle[-1])

    def begin(self, request: bytes, within: float) -> UpstreamResponse:
        """Send a request without a body to come, on a connection that is idle: `has_idle`.

        Its response has yet to arrive. It may be that the connection is dead; `send` goes on from
        there.
        """
        connection = self._idle.pop()
        return connection.send(request, None, self._loop.time() + within, bodiless=False)

    @property
    def in_flight(self) -> int:
        """How many answers are coming in, or waited for."""
        return sum(connection.response is not None for connection in self._connections)

    @property
    def is_unused(self) -> bool:
        """Whether there is no connection, nor one on its way."""
        return not self._connections and not self._connecting

    @property
    def is_forgotten(self) -> bool:
        """Whether its owner no longer counts it among the pools."""
        return self._closed

    @property
    def idle_since(self) -> float:
        """Since when the connection has been idle that is idle for longest, on the loop's clock;
        infinite where none is.
        """
        return self._idle[0].idle_since if self._idle else math.inf

    def end_idle(self) -> None:
        """End the connection that has been idle for longest."""
        if self._idle:
            self._idle[0].abort()

    def close(self) -> None:
        """End all connections; there will be no others."""
        self._closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in list(self._connections):
            connection.abort()

    def _take(self) -> UpstreamConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._is_usable(connection):
                return connection
        return None

    def _is_usable(self, connection: UpstreamConnection) -> bool:
        """Whether a request may go out, also where the process was frozen meanwhile."""
        return connection.alive and self._loop.time() - connection.idle_since < KEEPALIVE_S

    async def _connect(self, until: float) -> UpstreamConnection:
        if self._budget is not None:
            self._budget.reserve()
        self._connecting += 1
        try:
            connection = await self._open(until)
        except BaseException:
            if self._budget is not None:
                self._budget.release()
            raise
        finally:
            self._connecting -= 1
        self._connections.add(connection)
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep)
        return connection

    async def _open(self, until: float) -> UpstreamConnection:
        loop = self._loop
        timeout_s = min(self._connect_s, until - loop.time())
        try:
            async with asyncio.timeout(timeout_s):
                sock = await self._dial()
                try:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection = await self._begin(sock)
                except BaseException:
                    sock.close()
                    raise
        except TimeoutError:
            raise ConnectTimeout("No connection was made in time.") from None
        except (OSError, ssl.SSLError) as error:
            raise NotConnected(f"No connection: {type(error).__name__}.") from error
        if self._closed:
            connection.abort()
        if not connection.alive:
            raise NotConnected("The connection ended before anything was sent.")
        return connection

    async def _begin(self, sock: socket.socket) -> UpstreamConnection:
        """A connection on a socket, with its TLS handshake done."""
        loop = self._loop
        if self._proxy is None or self._tls is None:
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self._on_idle, self._on_closed),
                sock=sock,
                ssl=self._tls,
                server_hostname=self._host if self._tls else None,
            )
            return connection
        host = self._host
        if self._public_only:
            found = await loop.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
            host = str(public_of(found)[0][4][0])
        tunnel = await open_tunnel(sock, self._proxy, host, self._port)
        connection = UpstreamConnection(self._on_idle, self._on_closed)
        try:
            transport = await loop.start_tls(
                tunnel, connection, self._tls, server_hostname=self._host
            )
        except BaseException:
            tunnel.abort()
            raise
        if transport is None:
            raise NotConnected("The tunnel ended before its TLS began.")
        connection.connection_made(transport)
        return connection

    async def _dial(self) -> socket.socket:
        """A socket that is connected to the origin, or to the proxy that leads there."""
        proxy = self._proxy
        if proxy is not None and proxy.scheme != "http":
            raise NotConnected("Only proxies with an http address are supported.")
        found = await self._resolve()
        if self._public_only and proxy is None:
            found = public_of(found)
        return await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=0.25, interleave=1
        )

    async def _resolve(self) -> Any:
        """The addresses to connect to, looked up once for all who ask at the same time."""
        loop = self._loop
        known = self._addresses
        if known is None or (known.done() and (known.cancelled() or known.exception())):
            known = None
        if known is None or loop.time() > self._known_until:
            self._known_until = loop.time() + DNS_TTL_S
            proxy = self._proxy
            where = (self._host, self._port) if proxy is None else (proxy.raw_host, proxy.port)
            known = self._addresses = loop.create_task(
                loop.getaddrinfo(*where, type=socket.SOCK_STREAM)
            )
            known.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(known)

    def _on_idle(self, connection: UpstreamConnection) -> None:
        connection.idle_since = self._loop.time()
        self._idle.append(connection)

    def _on_closed(self, connection: UpstreamConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            if self._budget is not None:
                self._budget.release()
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        """End connections whose response takes too long, and those idle for too long."""
        loop = self._loop
        now = loop.time()
        for connection in list(self._connections):
            response = connection.response
            if response is None:
                if now - connection.idle_since > KEEPALIVE_S:
                    connection.abort()
            elif now > response.deadline or (
                response.waiting_on_upstream and now - response.last_activity > self._idle_s
            ):
                if response.overdue:
                    connection.abort(TimeoutError("The provider took too long."))
                response.overdue = True
            else:
                response.overdue = False
        self._sweep_timer = loop.call_later(SWEEP_S, self._sweep) if self._connections else None
