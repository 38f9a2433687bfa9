"""The broker as its callers meet it, on a real Postgres, against a sandbox HubSpot."""

import base64
import gc
import hashlib
import hmac
import io
import itertools
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from broker.bootstrap.assembly import open_broker
from broker.bootstrap.components import Components
from broker.bootstrap.server import serving
from broker.domain.model import PolicyRule
from broker.embedded import server as embedded
from broker.recipes.catalog import RECIPES
from broker.sandbox.fml.server import RunningFml
from broker.sandbox.fml.server import serve as serve_fml
from broker.sandbox.fml.world import FirstMileLabs
from broker.sandbox.hubspot.server import Running
from broker.sandbox.hubspot.server import serve as serve_sandbox
from broker.sandbox.hubspot.world import Sandbox
from broker.sealing import Keyring
from broker.settings import Address, Settings
from broker.stores.core import migrations
from broker.telemetry.log_setup import configure_logging

CLIENT_ID = "client-of-hbdev"
CLIENT_SECRET = "canary-client-secret"
SCOPES = ["oauth", "crm.objects.contacts.read", "crm.objects.contacts.write"]
RETURN_URL = "https://product.example/settings?tab=integrations"
SEALING_KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="

_numbers = itertools.count(1)
_started: "list[BrokerUnderTest]" = []


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A Postgres of the session's own; its `template_broker` has the schema."""
    # In memory where that is roomy: most tests make a database, which is four hundred files.
    memory = Path("/dev/shm")  # a folder of a random name in it
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**30
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir=memory if roomy else "/tmp"))
    folder.chmod(0o755)
    try:
        yield embedded.start(folder / "data")
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


def named(dsn: str, database: str) -> str:
    """The DSN of another database of the same server."""
    return dsn.replace("/postgres?", f"/{database}?")


@pytest.fixture
async def empty_dsn(postgres: str) -> AsyncIterator[str]:
    """A database with nothing in it."""
    async with _database(postgres, "template1") as dsn:
        yield dsn


@pytest.fixture
async def dsn(postgres: str) -> AsyncIterator[str]:
    """A database of the test's own, with the schema."""
    session = await asyncpg.connect(postgres)
    try:
        if not await session.fetchval(
            "SELECT 1 FROM pg_database WHERE datname = 'template_broker'"
        ):
            await session.execute("CREATE DATABASE template_broker")
            await migrations.upgrade(named(postgres, "template_broker"))
    finally:
        await session.close()
    async with _database(postgres, "template_broker") as dsn:
        yield dsn


@asynccontextmanager
async def _database(postgres: str, template: str) -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    session = await asyncpg.connect(postgres)
    try:
        await session.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield named(postgres, name)
        await session.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await session.close()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Any]:
    """A look into the test's database, behind the broker's back."""
    session = await asyncpg.connect(dsn)
    yield session
    await session.close()


@pytest.fixture
async def hubspot() -> AsyncIterator[Sandbox]:
    """A HubSpot with portals 101 and 102, where every consent is given for 101."""
    sandbox = Sandbox()
    sandbox.grants.marker = "canary"
    sandbox.auto_consent = 101
    running = await serve_sandbox("127.0.0.1", 0, sandbox=sandbox)
    sandbox.url = running.url  # type: ignore[attr-defined]
    yield sandbox
    await running.close()


FML_CLIENT = "pk_live_tests"
FML_SECRET = "sk_live_canary_of_fml"
FML_WEBHOOK_SECRET = "canary-fml-webhook-secret"


@pytest.fixture
async def fml() -> AsyncIterator[RunningFml]:
    """A First Mile Labs with one client."""
    world = FirstMileLabs()
    world.marker = "canary"
    world.add_client(FML_CLIENT, FML_SECRET)
    running = await serve_fml("127.0.0.1", 0, world)
    yield running
    await running.close()


@dataclass
class Received:
    """A delivery as it arrived at a receiver."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """A product's server that takes events; `answers` by path are statuses or handlers."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[Received] = []
        self.answers: dict[str, Any] = {}

    def at(self, path: str) -> list[Received]:
        return [each for each in self.got if each.path == path]

    async def take(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(Received(request.path, headers, await request.read()))
        answer = self.answers.get(request.path, 204)
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on a socket of its own."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@dataclass
class Answered:
    """An answer, read to its end."""

    status: int
    headers: Any
    body: bytes

    @property
    def content_type(self) -> str:
        return str(self.headers.get("Content-Type", "")).partition(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> Any:
        """The problem's code."""
        return self.json().get("code")

    @property
    def location(self) -> tuple[str, dict[str, str], dict[str, str]]:
        """Where a redirect leads: address, query, fragment."""
        parts = urlsplit(self.headers["Location"])
        query, fragment = parse_qsl(parts.query), parse_qsl(parts.fragment)
        return f"{parts.scheme}://{parts.netloc}{parts.path}", dict(query), dict(fragment)


@dataclass
class BrokerUnderTest:
    """A serving broker with a workspace, a key and the app `hbdev`; speaks the caller's language."""

    url: str
    parts: Components
    hubspot: Sandbox
    session: aiohttp.ClientSession
    key: str = ""
    client_id: str = ""
    workspace: str = ""
    redirect_url: str = ""
    secrets: list[str] = field(default_factory=list)

    async def asks(self, method: str, path: str, key: str | None = None, **rest: Any) -> Answered:
        """One request with an API key (`key=""` for none), redirects not followed."""
        headers = dict(rest.pop("headers", None) or {})
        key = self.key if key is None else key
        if key:
            headers.setdefault("Authorization", f"Bearer {key}")
        url = path if path.startswith("http") else self.url + path
        async with self.session.request(
            method, url, headers=headers, allow_redirects=False, **rest
        ) as answer:
            return Answered(answer.status, answer.headers, await answer.read())

    async def makes_workspace(self) -> None:
        workspace, issued = await self.parts.keys.create_workspace("Acme")
        self.workspace = str(workspace.id)
        self.client_id = issued.key.client_id
        self.key = issued.client_secret.reveal()
        self.secrets.append(self.key)

    async def makes_key(
        self,
        *scopes: str,
        apps: tuple[str, ...] | None = None,
        policy: tuple[PolicyRule, ...] | None = None,
    ) -> str:
        """The secret of another key of the workspace."""
        workspace = UUID(self.workspace)
        issued = await self.parts.keys.create(workspace, "another", scopes, apps, policy)
        self.secrets.append(issued.client_secret.reveal())
        return issued.client_secret.reveal()

    async def registers(self, slug: str = "hbdev", **changes: Any) -> Answered:
        """Register an app, here and at HubSpot."""
        body = {
            "slug": slug,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "appId": "1234567",
            "scopes": SCOPES,
            "returnUrls": [RETURN_URL],
            **changes,
        }
        answer = await self.asks("POST", "/api/apps", json=body)
        if answer.status == 201:
            app = self.hubspot.apps.get(body["clientId"])
            urls = app.redirect_urls if app else []
            self.redirect_url = answer.json()["redirectUrl"]
            self.hubspot.register_app(
                body["clientId"],
                body["clientSecret"],
                int(body["appId"]),
                body["scopes"],
                [*urls, self.redirect_url],
                body.get("optionalScopes", []),
            )
        return answer

    async def links(self, user: str = "u1", slug: str = "hbdev", **query: str) -> str:
        """A fresh install link."""
        answer = await self.asks(
            "GET",
            f"/api/hubspot/auth/{slug}",
            params={"userForeignIdentifier": user, **query},
        )
        assert answer.status == 200, answer.body
        url = answer.json()["url"]
        self.secrets.append(parse_qs(urlsplit(url).query)["state"][0])
        return str(url)

    async def consents(self, url: str, portal: int = 101) -> str:
        """Consent at HubSpot; the callback's address with its code and state."""
        self.hubspot.auto_consent = portal
        answer = await self.asks("GET", url, key="")
        assert answer.status == 302, answer.body
        return str(answer.headers["Location"])

    async def connects(
        self, user: str = "u1", portal: int = 101, slug: str = "hbdev", **query: str
    ) -> Answered:
        """The whole way: link, consent, callback; the callback's answer."""
        back = await self.consents(await self.links(user, slug, **query), portal)
        return await self.asks("GET", back, key="")

    async def proxies(
        self,
        path: str = "/crm/v3/objects/contacts",
        user: str = "u1",
        method: str = "GET",
        slug: str = "hbdev",
        **rest: Any,
    ) -> Answered:
        """A transparent call as a user."""
        return await self.asks(method, f"/proxy/{slug}/{quote(user, safe='')}{path}", **rest)

    async def receives_webhook(
        self,
        events: Any,
        secret: str = CLIENT_SECRET,
        slug: str = "hbdev",
        ago_ms: int = 0,
        url: str | None = None,
        workspace: str | None = None,
        **headers: str,
    ) -> Answered:
        """A webhook batch as HubSpot signs and sends it; `events` are raw bytes or values."""
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        path = f"/hubspot/{slug}-{workspace or self.workspace}/webhooks"
        sent_at = str(int(time.time() * 1000) - ago_ms)
        signed = f"POST{self.parts.settings.public_url}{path}".encode() + body + sent_at.encode()
        digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
        return await self.asks(
            "POST",
            (url or self.url) + path,
            key="",
            data=io.BytesIO(body),
            headers={
                "Content-Type": "application/json",
                "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
                "X-HubSpot-Request-Timestamp": sent_at,
                **headers,
            },
        )

    async def sends_to(self, url: str, *events: str, slug: str = "hbdev") -> Answered:
        """Register an endpoint."""
        body = {"url": url, "events": list(events) or ["*"]}
        answer = await self.asks("POST", f"/api/apps/{slug}/endpoints", json=body)
        if answer.status == 201:
            self.secrets.append(answer.json()["secret"])
        return answer

    async def run_background_work(self) -> None:
        """Let the background work split and deliver what is due now."""
        while await self.parts.splitter.split_due(50):
            pass
        while await self.parts.deliverer.deliver_due():
            await self.parts.deliverer.join()

    async def makes_stale(self, database: Any) -> None:
        """Let every grant look as if it had run out, here and at HubSpot."""
        await database.execute("UPDATE connection SET expires_at = now() - interval '1 minute'")
        self.hubspot.expire_access_tokens()
        self.parts.proxy.clear_cache()


def settings_for(hubspot: Sandbox, url: str, **changes: Any) -> Settings:
    return Settings.model_validate(
        {
            "public_url": url,
            "hubspot_api_url": hubspot.url,  # type: ignore[attr-defined]
            "hubspot_app_url": hubspot.url,  # type: ignore[attr-defined]
            "work_in_serve": False,
            **changes,
        }
    )


@pytest.fixture
async def start_broker(
    dsn: str, hubspot: Sandbox, unused_tcp_port_factory: Any
) -> AsyncIterator[Any]:
    """Start brokers on the test's database; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(
            keys: str = SEALING_KEY, recipes: Any = RECIPES, **changes: Any
        ) -> BrokerUnderTest:
            port = unused_tcp_port_factory()
            url = f"http://localhost:{port}"
            settings = settings_for(hubspot, url, **changes)
            parts = await stack.enter_async_context(
                open_broker(settings, dsn, Keyring.parse(keys), recipes)
            )
            await stack.enter_async_context(serving(parts, Address("localhost", port)))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
            )
            started = BrokerUnderTest(url, parts, hubspot, session)
            _started.append(started)
            return started

        yield start


@pytest.fixture
async def broker(start_broker: Any) -> BrokerUnderTest:
    """A broker with a workspace, a key and the app `hbdev`."""
    started: BrokerUnderTest = await start_broker()
    await started.makes_workspace()
    assert (await started.registers()).status == 201
    return started


@pytest.fixture
async def broker_with_local_endpoints(start_broker: Any) -> BrokerUnderTest:
    """The same, allowed to send events to this machine."""
    started: BrokerUnderTest = await start_broker(allow_private_endpoints=True)
    await started.makes_workspace()
    assert (await started.registers()).status == 201
    return started


@pytest.fixture
async def second_broker(start_broker: Any, broker: BrokerUnderTest) -> BrokerUnderTest:
    """Another process of the same installation, as far as Postgres can tell."""
    other: BrokerUnderTest = await start_broker()
    other.workspace, other.key, other.client_id = broker.workspace, broker.key, broker.client_id
    return other


KYB_SCOPES = [
    "oauth",
    "automation",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
]
KYB = {
    "clientId": FML_CLIENT,
    "clientSecret": FML_SECRET,
    "webhookSecret": FML_WEBHOOK_SECRET,
}


@dataclass
class KybUnderTest:
    """A broker whose app `hbdev` is set up for KYB, for user u1 of portal 101."""

    broker: BrokerUnderTest
    fml: RunningFml
    settings: dict[str, Any]

    @property
    def portal(self) -> Any:
        return self.broker.hubspot.portals[101]

    @property
    def companies(self) -> Any:
        return self.portal.of(self.portal.type("companies"))

    def company(self, portal: int = 101, **properties: str) -> str:
        """A Company as a person makes it; its id."""
        found = self.broker.hubspot.portals[portal]
        named = {
            "name": "Acme Holdings Ltd",
            "country": "United Kingdom",
            "kyb_contact_email": "jane@acme.example",
            "kyb_contact_name": "Jane Doe",
            **properties,
        }
        crm = self.broker.hubspot.crm(found)
        return str(crm.create(found.type("companies"), {"properties": named}).id)

    def change(self, company: str, **properties: str) -> None:
        """Change a Company as a person does."""
        crm, kind = self.broker.hubspot.crm(self.portal), self.portal.type("companies")
        crm.update(kind, crm.find(kind, company), properties)

    def shows(self, company: str) -> dict[str, Any]:
        """The properties of a Company that the recipe writes."""
        found = self.companies.by_id[company].properties
        return {name: value for name, value in found.items() if name.startswith("fml_")}

    async def kicks_off(
        self, company: str, broker: BrokerUnderTest | None = None, **more: Any
    ) -> Answered:
        """A backend's kickoff of a Company."""
        body = {"userForeignIdentifier": "u1", "companyId": company, **more}
        return await (broker or self.broker).asks("POST", "/api/recipes/kyb/hbdev", json=body)

    async def sends_fml_event(
        self, event: dict[str, Any] | bytes, secret: str = FML_WEBHOOK_SECRET, **headers: str
    ) -> Answered:
        """An event as First Mile Labs signs and sends it."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        url = self.settings["webhookUrl"]
        signed = {"X-FML-Signature": f"sha256={digest}", **headers}
        return await self.broker.asks("POST", url, key="", data=body, headers=signed)

    async def run_background_work(self) -> None:
        """Let the background work do what is due now."""
        recipes = self.broker.parts.recipes
        while await self.broker.parts.splitter.split_due(50):
            pass
        await recipes.runs.join()
        while await recipes.runs.work_due():
            await recipes.runs.join()
        for task in recipes.built["kyb"].periodic_tasks():
            while await task[2]():
                pass
        while await recipes.tasks.work_due():
            pass

    async def run(self, run_id: str) -> Any:
        return (await self.broker.asks("GET", f"/api/recipes/runs/{run_id}")).json()

    def requests_to_fml(self, path: str = "/v1/cases") -> list[Any]:
        """The requests that First Mile Labs got."""
        return [each for each in self.fml.fml.seen if each.path == path]

    def writes(self) -> list[Any]:
        """The requests that changed anything at HubSpot."""
        seen = self.broker.hubspot.seen
        return [each for each in seen if each.method != "GET" and "/crm/" in each.raw_path]


@pytest.fixture
async def kyb(start_broker: Any, fml: RunningFml) -> KybUnderTest:
    """A broker with the app `hbdev`, set up for KYB, and u1 connected."""
    broker: BrokerUnderTest = await start_broker(fml_url=fml.url, allow_private_endpoints=True)
    await broker.makes_workspace()
    assert (await broker.registers(scopes=KYB_SCOPES)).status == 201
    assert (await broker.connects("u1")).status in {200, 303}
    answer = await broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=KYB)
    assert answer.status == 200, answer.body
    made = await broker.asks(
        "POST", "/api/recipes/kyb/hbdev/setup", json={"userForeignIdentifier": "u1"}
    )
    assert made.status == 200, made.body
    broker.hubspot.seen.clear()
    return KybUnderTest(broker, fml, answer.json())


@pytest.fixture
async def subscribed_receiver(kyb: KybUnderTest, receiver: Receiver) -> Receiver:
    """A product that is told everything about the app."""
    assert (await kyb.broker.sends_to(f"{receiver.url}/all")).status == 201
    return receiver


@pytest.fixture
async def second_kyb(start_broker: Any, kyb: KybUnderTest) -> BrokerUnderTest:
    """Another process of the same installation."""
    first = kyb.broker
    other: BrokerUnderTest = await start_broker(fml_url=kyb.fml.url)
    other.workspace, other.key, other.client_id = first.workspace, first.key, first.client_id
    return other


@pytest.fixture(autouse=True)
def no_secret_in_the_logs() -> Iterator[io.StringIO]:
    """Fail any test that logs a secret: everything at DEBUG, through the chain that operators get."""
    stream = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logging("json", stream)
    logging.getLogger().setLevel(logging.DEBUG)
    yield stream
    logging.getLogger().handlers[:], level = before
    logging.getLogger().setLevel(level)
    logged = stream.getvalue()
    secrets = ["canary"]
    for under_test in _started:
        secrets += under_test.secrets
        secrets += _verifiers(under_test.hubspot)
    _started.clear()
    leaked = [secret for secret in secrets if secret in logged]
    assert not leaked, f"a log line holds a secret: {leaked[0][:12]}..."


def _verifiers(hubspot: Sandbox) -> list[str]:
    bodies = [seen.body.decode(errors="replace") for seen in hubspot.seen]
    return [found for body in bodies for found in parse_qs(body).get("code_verifier", [])]


__all__ = ["Answered", "BrokerUnderTest", "Running"]


def pytest_collection_finish() -> None:
    """What was imported stays; looking at it again and again is a tenth of the time."""
    gc.collect()
    gc.freeze()
