"""`broker demo`: the main job for real on one machine, step by step, over HTTP."""

import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import asyncpg
import typer

from broker.bootstrap.components import Components
from broker.bootstrap.server import serving, wait_for_shutdown_signal
from broker.cli.demo_consent import consent
from broker.cli.demo_day import DayScenario
from broker.cli.demo_setting import USER, choose_port, next_steps
from broker.cli.runtime import (
    Runtime,
    echo,
    fail,
    open_components,
    prepare_runtime,
    read_settings,
    run,
)
from broker.domain.model import Key
from broker.providers.catalog import SETTINGS
from broker.recipes.enrichment.demo import EnrichmentScenario
from broker.recipes.invoices.demo import INVOICE_SCOPES, InvoicesScenario
from broker.recipes.kyb.demo import COMPANY_SCOPES, KybScenario
from broker.recipes.leads.demo import LeadsScenario
from broker.recipes.orders.demo import ORDER_SCOPES, OrdersScenario
from broker.sandbox.fml.server import RunningFml
from broker.sandbox.hubspot.server import Running
from broker.sandbox.suite.suite import Suite, running
from broker.settings import Address, Settings
from broker.telemetry.log_setup import configure_logging

SCOPES = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    *COMPANY_SCOPES,
    *(scope for scope in ORDER_SCOPES if not scope.startswith("crm.objects.contacts")),
    *INVOICE_SCOPES,
]

ANOTHER_DEMO = "another demo is running on this machine"
IS_IN_USE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'broker_demo')"


def demo(*, once: bool, port: int | None) -> None:
    """Start everything, walk the main job, keep serving unless `once`. Without a port the first
    free one is used.
    """
    settings = read_settings()
    if port is None:
        wanted = settings.listen.port
        port = choose_port(wanted)
        if port != wanted:
            echo(f"Port {wanted} is in use; the demo uses {port} instead.")
    configure_logging(settings.log_format)
    logging.getLogger().setLevel(logging.WARNING)
    echo("Starting Postgres ...")
    found = prepare_runtime(settings)

    async def command() -> None:
        async with contextlib.AsyncExitStack() as stack:
            dsn = await _own_database(found) if found.embedded else found.dsn
            suite = await _start_sandboxes(stack, port)
            await _run_and_serve(found, dsn, suite, port, once=once)

    run(command)


async def _start_sandboxes(stack: contextlib.AsyncExitStack, port: int) -> Suite:
    """Every sandbox, at the ports after the broker's, or at free ones when one of them is taken."""
    redirects = [f"http://localhost:{port}/*"]
    try:
        return await stack.enter_async_context(
            running("127.0.0.1", port + 1 if port else 0, redirects)
        )
    except OSError:
        return await stack.enter_async_context(running("127.0.0.1", 0, redirects))


async def _run_and_serve(found: Runtime, dsn: str, suite: Suite, port: int, *, once: bool) -> None:
    public_url = f"http://localhost:{port}"
    urls = {name.removeprefix("BROKER_").lower(): url for name, url in suite.settings.items()}
    settings = found.settings.model_copy(
        update={
            **{
                name: url
                for name, url in urls.items()
                if name in {*Settings.model_fields, *SETTINGS}
            },
            "public_url": public_url,
            "work_in_serve": True,
            "allow_private_endpoints": True,
        }
    )
    sandbox, fml = suite.started["hubspot"].running, suite.started["fml"].running
    runtime = Runtime(settings, dsn, found.keyring, embedded=True)
    async with open_components(runtime) as broker:
        try:
            async with serving(broker, Address("127.0.0.1", port)):
                walk = DemoScenario(broker, suite, sandbox, fml, public_url)
                ended_well = await walk.all()
                if once or not ended_well:
                    raise typer.Exit(0 if ended_well else 1)
                echo(next_steps(replace(found, settings=settings), walk))
                await wait_for_shutdown_signal()
        except OSError as error:
            fail(f"port {port} is taken ({error.strerror}); choose another with --port")


async def _own_database(found: Runtime) -> str:
    """An empty database next to the broker's own, so that every demo starts from nothing."""
    session = await asyncpg.connect(found.dsn)
    try:
        # DROP DATABASE would wait five seconds for the other's sessions to end.
        if await session.fetchval(IS_IN_USE):
            fail(ANOTHER_DEMO)
        await session.execute("DROP DATABASE IF EXISTS broker_demo")
        await session.execute("CREATE DATABASE broker_demo")
    except (asyncpg.ObjectInUseError, asyncpg.UniqueViolationError, asyncpg.DuplicateDatabaseError):
        fail(ANOTHER_DEMO)
    finally:
        await session.close()
    return found.dsn.replace("/postgres?", "/broker_demo?")


@dataclass(slots=True)
class DemoScenario:
    """The main job, each step printed with its result."""

    broker: Components
    suite: Suite
    sandbox: Running
    fml: RunningFml
    public_url: str
    secret: str = ""
    key: Key | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    kyb: KybScenario = field(init=False)
    others: tuple[OrdersScenario | InvoicesScenario | EnrichmentScenario | LeadsScenario, ...] = ()

    def __post_init__(self) -> None:
        started = {name: each.running for name, each in self.suite.started.items()}
        hubspot = self.sandbox.sandbox
        self.kyb = KybScenario(self.json, hubspot, self.fml, USER)
        self.others = (
            OrdersScenario(self.json, hubspot, started["woocommerce"], USER),
            InvoicesScenario(self.json, hubspot, started["quickbooks"], USER),
            EnrichmentScenario(self.json, started["enrichment"], USER),
            LeadsScenario(self.json, hubspot, started["salesforce"], USER),
        )

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox HubSpot is."""
        return self.sandbox.url

    @property
    def case_url(self) -> str:
        """Where the sandbox's cases are."""
        return self.fml.url

    @property
    def recipe_path(self) -> str:
        """Where the recipe of the walk's second half is started."""
        return "/api/recipes/kyb/demo"

    @property
    def company(self) -> str:
        """The Company of the KYB steps."""
        return str(self.kyb.known["company"])

    async def all(self) -> bool:
        """Walk; whether every step ended well."""
        steps: list[tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]] = [
            ("Create a workspace with an API key", self.workspace),
            ("Register a HubSpot app", self.register),
            ("Create an install link for one user", self.link),
            ("Consent at HubSpot, in a browser", self.consent),
            ("Check that the tokens are stored encrypted", self.sealed),
            ("Create a contact through the proxy", self.create),
            ("Read it back through StackGo's API", self.read),
            ("Let the token expire, and call again", self.renew),
            *self.kyb.steps(),
            *(step for each in self.others for step in each.steps()),
            ("Make up a day of calls, for the console to show", self.fill_day),
        ]
        async with aiohttp.ClientSession() as session:
            for number, (title, step) in enumerate(steps, start=1):
                started = time.perf_counter()
                try:
                    result = await step(session)
                except Exception as error:  # noqa: BLE001  # any failure is a failed step
                    echo(f"{number}. {title}: FAILED ({type(error).__name__}: {error})")
                    return False
                echo(
                    f"{number}. {title}: {result} ({(time.perf_counter() - started) * 1000:.0f} ms)"
                )
        return True

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    async def workspace(self, _session: aiohttp.ClientSession) -> str:
        workspace, issued = await self.broker.keys.create_workspace("demo")
        self.key, self.secret = issued.key, issued.client_secret.reveal()
        return f"workspace {workspace.id}"

    async def register(self, session: aiohttp.ClientSession) -> str:
        registration = {
            "slug": "demo",
            "clientId": "demo-client",
            "clientSecret": "demo-client-secret",
            "appId": "4242",
            "scopes": SCOPES,
            # Where docs/examples/backend.py listens.
            "returnUrls": ["http://127.0.0.1:3000/"],
            "origins": ["http://127.0.0.1:3000"],
        }
        app = await self.json(session, "POST", "/api/apps", json=registration)
        # What a person does at HubSpot: paste the redirect URL into the app's settings there.
        self.sandbox.sandbox.register_app(
            "demo-client", "demo-client-secret", 4242, SCOPES, [app["redirectUrl"]]
        )
        return f"redirect URL {app['redirectUrl']}"

    async def link(self, session: aiohttp.ClientSession) -> str:
        path = f"/api/hubspot/auth/demo?userForeignIdentifier={USER}"
        self.facts["link"] = (await self.json(session, "GET", path))["url"]
        return f"for {USER}"

    async def consent(self, session: aiohttp.ClientSession) -> str:
        await consent(session, self.facts["link"], 101)
        path = f"/api/saas-org-user/get-user/demo?userForeignIdentifier={USER}"
        known = await self.json(session, "GET", path)
        return f"connected: {known['connected']}, {known['userForeignIdentifiers'][0]['status']}"

    async def sealed(self, _session: aiohttp.ClientSession) -> str:
        issued = [*self.sandbox.sandbox.grants.access_tokens]
        issued += self.sandbox.sandbox.grants.refresh_tokens
        database = await asyncpg.connect(self.broker.database_url)
        try:
            rows = await database.fetch(
                "SELECT stored::text AS everything FROM connection_grant AS stored"
            )
        finally:
            await database.close()
        stored = "".join(row["everything"] for row in rows)
        if any(token in stored or token.encode().hex() in stored for token in issued):
            raise RuntimeError("a token is readable in the database")
        return f"{len(issued)} tokens issued, none readable in the database"

    async def create(self, session: aiohttp.ClientSession) -> str:
        path = f"/proxy/demo/{USER}/crm/v3/objects/contacts"
        contact = {"properties": {"email": "jane@acme.example", "firstname": "Jane"}}
        made = await self.json(session, "POST", path, json=contact)
        self.facts["contact"] = made["id"]
        return f"contact {made['id']}"

    async def read(self, session: aiohttp.ClientSession) -> str:
        call = {
            "method": "GET",
            "url": f"https://api.hubapi.com/crm/v3/objects/contacts/{self.facts['contact']}",
            "userForeignIdentifier": USER,
        }
        answer = await self.json(session, "POST", "/api/raw/demo", json=call)
        return f"{answer['data']['properties']['email']}"

    async def renew(self, session: aiohttp.ClientSession) -> str:
        before = self.sandbox.sandbox.refreshes
        self.sandbox.sandbox.expire_access_tokens()
        path = f"/proxy/demo/{USER}/crm/v3/objects/contacts/{self.facts['contact']}"
        await self.json(session, "GET", path)
        return f"200 after {self.sandbox.sandbox.refreshes - before} renewal"

    async def fill_day(self, session: aiohttp.ClientSession) -> str:
        if self.key is None:
            raise RuntimeError("there is no workspace yet")
        return await DayScenario(self.broker, self.sandbox.sandbox, self.json).fill(
            session, self.key
        )

    async def json(
        self, session: aiohttp.ClientSession, method: str, path: str, **rest: Any
    ) -> Any:
        async with session.request(
            method, self.public_url + path, headers=self.headers, **rest
        ) as answer:
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path} answered {answer.status}")
            return await answer.json(content_type=None)
