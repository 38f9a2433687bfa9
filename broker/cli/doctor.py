"""`broker doctor`: what would keep an installation from working, and what to do about it."""

import asyncio
import os
import resource
import socket
import ssl
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import typer

from broker.cli.app_doctor import check_app
from broker.cli.checks import Checks
from broker.cli.database_checks import check_database
from broker.cli.runtime import emit, open_components, prepare_runtime, run
from broker.recipes.catalog import RECIPES
from broker.settings import Settings
from broker.telemetry.log_setup import configure_logging
from broker.web.core.descriptors import MAX_LIMIT, RESERVED

WITHIN_S = 5
DESCRIPTORS_A_CALL = 2
FEW_DESCRIPTORS = 512
NEEDED = ("database", "schema", "keys")
"""What has to be right before an app can be looked at."""


def doctor(
    app: Annotated[
        str | None, typer.Option("--app", help="Also check each step of this app at its provider")
    ] = None,
    workspace: Annotated[
        UUID | None,
        typer.Option("--workspace", help="The app's workspace, if several have this slug"),
    ] = None,
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
        recipes = await check_database(found, checks)
        await _check_providers(found.settings, recipes, checks)
        await _check_public_url(found.settings, checks)
        _check_descriptors(found.settings, checks)
        _check_egress(checks)
        if app is not None and not any(checks.bad.get(each) for each in NEEDED):
            async with open_components(found) as broker:
                await check_app(broker, app, workspace, checks)
        emit(checks.as_json(), as_json=as_json, text=checks.as_text())

    run(work)
    if any(checks.bad.values()):
        raise typer.Exit(1)


async def _check_providers(settings: Settings, recipes: set[str], checks: Checks) -> None:
    """Whether what is used can be reached; a vendor of no recipe in use is not judged."""
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        used = {
            webhook.vendor: spec.name in recipes for spec in RECIPES for webhook in spec.inbound
        }
        vendors = [
            (name.upper(), settings.vendor_urls[name], is_used) for name, is_used in used.items()
        ]
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


def _check_descriptors(settings: Settings, checks: Checks) -> None:
    """A call holds a socket to its caller and one to the provider; `serve` raises the soft limit of
    open files to the hard one.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_LIMIT if hard == resource.RLIM_INFINITY else hard
    calls = max(0, limit - RESERVED) // DESCRIPTORS_A_CALL
    upstream = settings.upstream_connections
    enough = "" if calls >= upstream else f", fewer than BROKER_UPSTREAM_CONNECTIONS={upstream}"
    checks.expect(
        "file descriptors",
        limit >= FEW_DESCRIPTORS,
        f"only {limit}: raise the hard limit (ulimit -Hn, LimitNOFILE= in systemd, "
        "--ulimit nofile of a container)",
        f"{limit}: room for about {calls} calls at once{enough}",
    )


def _check_egress(checks: Checks) -> None:
    """What the environment says of a forward proxy and of certificate authorities."""
    bundle = os.environ.get("SSL_CERT_FILE")
    if bundle and not Path(bundle).is_file():
        checks.wrong(
            "SSL_CERT_FILE", f"{bundle} cannot be read: name a file of certificates in PEM"
        )
    elif bundle:
        checks.good("SSL_CERT_FILE", bundle)
    ignored = {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & os.environ.keys()
    if ignored and not bundle:
        checks.good(
            "certificates", f"{', '.join(sorted(ignored))} is not read: set SSL_CERT_FILE instead"
        )
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY") or ""
    if not proxy.strip():
        return
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        checks.wrong("HTTPS_PROXY", "must be http://host:port: it is spoken to without TLS")
        return
    around = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "none"
    checks.good("HTTPS_PROXY", f"{parts.hostname}:{parts.port or 80}; without it: {around}")


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
    return f"the connection failed ({str(cause).splitlines()[0] if str(cause) else 'no reason'})"
