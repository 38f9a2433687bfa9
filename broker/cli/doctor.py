"""`broker doctor`: what would keep an installation from working, and what to do about it."""

import asyncio
import resource
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import typer

from broker.cli.runtime import Runtime, emit, open_components, prepare_runtime, run
from broker.errors import BrokerError
from broker.recipes.catalog import RECIPES
from broker.settings import Settings
from broker.stores.core import migrations
from broker.stores.core.seals import WrongSealingKey
from broker.stores.recipes.recipe_settings import recipes_in_use
from broker.telemetry.log_setup import configure_logging

WITHIN_S = 5
DESCRIPTORS_A_CALL = 2
FEW_DESCRIPTORS = 512
POOL_SIZE = 20


@dataclass(slots=True)
class Checks:
    """What was looked at. `bad` says what is wrong and what to do; `notes` what is good to know."""

    bad: dict[str, str | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def good(self, name: str, note: str = "") -> None:
        self.bad[name] = None
        self.notes[name] = note

    def wrong(self, name: str, message: str) -> None:
        self.bad[name] = message

    def expect(self, name: str, met: bool, message: str, note: str = "") -> None:
        """Good if the condition is met, else wrong with the message."""
        if met:
            self.good(name, note)
        else:
            self.wrong(name, message)

    def as_text(self) -> str:
        lines = []
        for name, message in self.bad.items():
            note = message or self.notes[name]
            lines.append(f"{'BAD' if message else 'ok '} {name}{f': {note}' if note else ''}")
        return "\n".join(lines)


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else")
    ] = False,
) -> None:
    """Check settings, database, schema, keys, clock and reachability, and say what to do."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format)
    checks = Checks()
    checks.good("settings")

    async def work() -> None:
        recipes = await _check_database(found, checks)
        await _check_providers(found.settings, recipes, checks)
        await _check_public_url(found.settings, checks)
        _check_descriptors(checks)
        shown = {name: message or "ok" for name, message in checks.bad.items()}
        emit(shown, as_json=as_json, text=checks.as_text())

    run(work)
    if any(checks.bad.values()):
        raise typer.Exit(1)


async def _check_database(found: Runtime, checks: Checks) -> set[str]:
    """Check Postgres and what is in it; the names of the recipes that are set up."""
    try:
        session = await asyncpg.connect(found.dsn, timeout=WITHIN_S)
    except (OSError, asyncpg.PostgresError, TimeoutError, ValueError) as error:
        checks.wrong("database", f"{explain(error)}: check BROKER_DATABASE_URL")
        return set()
    try:
        version = session.get_server_version()
        checks.expect(
            "database",
            version.major >= 15,
            f"Postgres {version.major} is too old: 15 or newer is needed",
            f"Postgres {version.major}.{version.minor}",
        )
        skew = abs(float(await session.fetchval("SELECT extract(epoch FROM now())")) - time.time())
        checks.expect("clock", skew < 5, f"{skew:.0f} s off the database's: set this clock")
        await _check_pool(session, checks)
        behind = await migrations.missing(session) and not found.embedded
        checks.expect("schema", not behind, "behind: run `broker migrate`")
        if behind:
            return set()
        recipes = await recipes_in_use(session)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        checks.wrong("database", f"{explain(error)}: check BROKER_DATABASE_URL")
        return set()
    finally:
        await session.close()
    try:
        async with open_components(found):
            checks.good("keys")
    except (BrokerError, WrongSealingKey) as error:
        checks.wrong("keys", f"{error}: put the previous key back into BROKER_SEALING_KEYS")
    return recipes


async def _check_pool(session: Any, checks: Checks) -> None:
    """Whether Postgres admits as many sessions as one process may open."""
    row = await session.fetchrow(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int AS server,"
        " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role"
    )
    admitted = row["server"] if row["role"] < 0 else min(row["server"], row["role"])
    checks.expect(
        "database sessions",
        admitted > POOL_SIZE,
        f"each process opens up to {POOL_SIZE + 1}, and Postgres admits {admitted}: raise "
        "max_connections or the role's CONNECTION LIMIT",
        f"up to {POOL_SIZE + 1} a process, {admitted} admitted: at most "
        f"{admitted // (POOL_SIZE + 1)} processes",
    )


async def _check_providers(settings: Settings, recipes: set[str], checks: Checks) -> None:
    """Whether what is used can be reached; a vendor of no recipe in use is not judged."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        used = {
            webhook.vendor for spec in RECIPES if spec.name in recipes for webhook in spec.inbound
        }
        vendors = [(name.upper(), url, name in used) for name, url in settings.vendor_urls.items()]
        for name, url, is_used in (("HubSpot", settings.hubspot_api_url, True), *vendors):
            if not is_used:
                checks.good(name, "not checked: no app has a recipe that uses it")
                continue
            try:
                async with session.get(url, allow_redirects=False) as response:
                    status = response.status
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                checks.wrong(name, f"{explain(error)}: allow connections to {url}")
            else:
                checks.expect(name, status < 500, f"{url} responded {status}: try again later")


async def _check_public_url(settings: Settings, checks: Checks) -> None:
    """Whether browsers and HubSpot can reach this installation, as far as seen from here."""
    public = urlsplit(settings.public_url)
    local = public.hostname in {"localhost", "127.0.0.1"}
    if public.scheme != "https" and not local:
        checks.wrong("public URL", "BROKER_PUBLIC_URL must be https for HubSpot")
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(WITHIN_S):
            await loop.getaddrinfo(public.hostname, public.port or 443)
    except (OSError, TimeoutError) as error:
        checks.wrong("public URL", f"{explain(error)}: check BROKER_PUBLIC_URL and your DNS")
        return
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(f"{settings.public_url}/healthz") as response,
        ):
            alive = response.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        if not isinstance(error, aiohttp.ClientConnectorCertificateError):
            checks.good("public URL", f"nothing answers there now ({explain(error)})")
            return
        checks.wrong("public URL", f"{explain(error)}: install a certificate that browsers trust")
        return
    checks.good("public URL", "" if alive else "something else than the broker answers there")


def _check_descriptors(checks: Checks) -> None:
    """A call holds a socket to its caller and one to the provider."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    calls = limit // DESCRIPTORS_A_CALL
    checks.expect(
        "file descriptors",
        limit >= FEW_DESCRIPTORS,
        f"only {limit}: raise the limit (ulimit -n 65536, LimitNOFILE= in systemd)",
        f"{limit}: room for about {calls} calls at once",
    )


def explain(error: BaseException) -> str:
    """A failure to connect, in words and without names of classes."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        host = f" {error.host}" if isinstance(error, aiohttp.ClientConnectorError) else ""
        return f"the host name{host} does not resolve"
    if isinstance(cause, ssl.SSLError | aiohttp.ClientConnectorCertificateError):
        return "the TLS certificate is not trusted"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(cause, TimeoutError):
        return f"no response within {WITHIN_S} s"
    if isinstance(cause, asyncpg.PostgresError):
        return f"Postgres says: {str(cause).splitlines()[0]}"
    return f"the connection failed ({str(cause).splitlines()[0] if str(cause) else 'no reason'})"
