"""A receiver for what a sandbox sends."""

import json
from dataclasses import dataclass, field

import pytest
from aiohttp import web


@dataclass
class Receiver:
    """A server that records requests; `answers` are functions that make the next answers."""

    url: str = ""
    requests: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    async def receive(self, request):
        body = await request.read()
        url = f"http://localhost:{self.url.rpartition(':')[2]}{request.raw_path}"
        self.requests.append((request.method, url, request.headers, body))
        return self.answers.pop(0)() if self.answers else web.Response()

    @property
    def events(self):
        return [event for _, _, _, body in self.requests for event in json.loads(body)]


@pytest.fixture
async def receiver():
    made = Receiver()
    server = web.Application()
    server.router.add_route("*", "/{rest:.*}", made.receive)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://localhost:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()
