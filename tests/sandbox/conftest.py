"""A way to call the sandbox as a granted app, and a receiver for what it sends."""

import json
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from broker.sandbox.salesforce.server import serve as serve_salesforce
from tests.sandbox.salesforce import CALLBACK, Client

SCOPES = [
    "oauth",
    "automation",
    "tickets",
    "crm.objects.owners.read",
    "crm.schemas.custom.read",
    "crm.schemas.custom.write",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    *(
        f"crm.{part}.{kind}.{right}"
        for part in ("objects", "schemas")
        for kind in ("contacts", "companies", "deals")
        for right in ("read", "write")
    ),
]


@dataclass
class Got:
    """An answer."""

    status: int
    headers: dict
    body: object


@dataclass
class App:
    """A granted app that calls the sandbox."""

    hubspot: object
    session: aiohttp.ClientSession
    token: str = ""

    def granted(self, scopes=None, hub_id=101, client_id="app", user="ada@acme.example"):
        scopes = SCOPES if scopes is None else scopes
        if client_id not in self.hubspot.apps:
            number = 70 + len(self.hubspot.apps)
            self.hubspot.register_app(client_id, f"{client_id}-secret", number, scopes, [])
        refresh = self.hubspot.grants.issue_refresh(client_id, hub_id, user, scopes)
        self.token = self.hubspot.grants.issue_access(refresh, self.hubspot.now() + 1800).token
        return self

    async def asks(self, method, path, body=None, headers=None):
        sent = {"data": json.dumps(body)} if body is not None else {}
        every = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        url = self.hubspot.url + path
        async with self.session.request(method, url, headers=every, **sent) as got:
            text = await got.text()
            is_json = "json" in got.headers.get("Content-Type", "")
            return Got(got.status, got.headers, json.loads(text) if is_json else text)

    async def makes(self, kind, **properties):
        got = await self.asks("POST", f"/crm/v3/objects/{kind}", {"properties": properties})
        assert got.status == 201, got.body
        return got.body["id"]


@pytest.fixture
async def app(hubspot):
    hubspot.limits.ten_secondly = hubspot.limits.search = 100_000
    async with aiohttp.ClientSession() as session:
        yield App(hubspot, session).granted()


@dataclass
class Receiver:
    """A server that keeps what it is sent, and answers what it is told to."""

    url: str = ""
    requests: list = field(default_factory=list)
    answers: list = field(default_factory=list)

    async def take(self, request):
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
    server.router.add_route("*", "/{rest:.*}", made.take)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://localhost:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def salesforce():
    """A sandbox Salesforce with one org, and an app that is not connected yet."""
    running = await serve_salesforce("127.0.0.1", 0)
    running.world.add_app("app", "app-secret", [CALLBACK], run_as="ada@acme.example")
    async with aiohttp.ClientSession() as session:
        yield Client(running, session)
    await running.close()


@pytest.fixture
async def connected(salesforce):
    """The same with the app connected by the org's admin."""
    await salesforce.connect()
    return salesforce
