"""Connections to many origins, with one bound."""

import asyncio

import pytest
from yarl import URL

from broker.providers.transport.budget import NotConnected
from broker.providers.transport.pools import Pools
from tests.until import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Origin(asyncio.Protocol):
    """A server's side of a connection: every request is answered, once the gate is open."""

    def __init__(self, gate):
        self.gate = gate

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, _data):
        self.answering = asyncio.ensure_future(self.answer())

    async def answer(self):
        if self.gate is not None:
            await self.gate.wait()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def serve(gate=None):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Origin(gate), "127.0.0.1", 0)
    return server, URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def end(pools, *servers):
    pools.close()
    for server in servers:
        server.close()
    await asyncio.sleep(0.05)  # both sides of each connection see its end


async def send(pool):
    answer = await pool.send(REQUEST, None, 5, bodiless=False, repeats=True)
    answer.close()
    return answer.status


async def test_an_idle_connection_to_another_origin_makes_room():
    servers = [await serve() for _ in range(3)]
    pools = Pools(5, 5, max_connections=2)
    try:
        for _ in range(3):
            for _, origin in servers:
                assert await send(pools.pool(origin)) == 200
                assert pools.connections <= 2
        assert pools.max_connections == 2
    finally:
        await end(pools, *(server for server, _ in servers))


async def test_with_all_connections_in_use_a_call_is_refused_unsent():
    gate = asyncio.Event()
    server, origin = await serve(gate)
    pools = Pools(5, 5, max_connections=2)
    try:
        busy = [asyncio.create_task(send(pools.pool(origin))) for _ in range(2)]
        await until(lambda: pools.in_flight >= 2, within=5)
        with pytest.raises(NotConnected):
            await send(pools.pool(origin))
        gate.set()
        assert await asyncio.gather(*busy) == [200, 200]
        assert await send(pools.pool(origin)) == 200
    finally:
        await end(pools, server)


async def test_connections_that_fail_are_not_counted(unused_tcp_port):
    pools = Pools(5, 5, max_connections=2)
    for _ in range(5):
        with pytest.raises(NotConnected):
            await send(pools.pool(URL(f"http://127.0.0.1:{unused_tcp_port}")))
    assert pools.connections == 0
    pools.close()
