"""A little forward proxy: CONNECT and nothing else, to where it was told each name leads."""

import asyncio
import base64
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def listening(serve, **options):
    """The port of a server on streams, all of whose connections end with it."""
    under_way = {}

    async def handle(reader, writer):
        under_way[asyncio.current_task()] = writer
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever called has left
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in under_way.values():
            writer.transport.abort()
        if under_way:
            await asyncio.wait(under_way, timeout=5)


async def _copy(reader, writer):
    with suppress(ConnectionError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    writer.close()


async def _join(reader, writer, port):
    onward = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_copy(reader, onward[1]), _copy(onward[0], writer))


class ForwardProxy:
    """`routes`: the port on this machine for each `host:port`. `asked` has every target."""

    def __init__(self, routes, credentials=None):
        self.routes = routes
        self.credentials = credentials
        self.targets = []
        self.port = 0

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        self.targets.append(target)
        expected = self.credentials and base64.b64encode(self.credentials.encode()).decode()
        if method != "CONNECT" or target not in self.routes:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        elif expected and f"Proxy-Authorization: Basic {expected}" not in head:
            writer.write(b"HTTP/1.1 407 Who Are You\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _join(reader, writer, self.routes[target])


@asynccontextmanager
async def forward_proxy(routes, credentials=None):
    """A proxy that listens."""
    proxy = ForwardProxy(routes, credentials)
    async with listening(proxy.serve) as proxy.port:
        yield proxy


@asynccontextmanager
async def tls_front(context, port):
    """A port that speaks TLS in front of a port that does not."""

    async def serve(reader, writer):
        await _join(reader, writer, port)

    async with listening(serve, ssl=context) as front:
        yield front
