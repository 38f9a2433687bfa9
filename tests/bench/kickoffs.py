"""How soon a kickoff is answered, and how much of First Mile Labs' limit many of them use.

    python tests/bench/kickoffs.py --kickoffs 1000 --limit 1200 --single 100

Starts a Postgres of its own, a sandbox HubSpot, a sandbox First Mile Labs and one broker in this process; all
share its time. `--limit` calls a minute are allowed by the sandbox and kept by the broker. The first figure is
a Company's kickoff from call to answer, one after the other; the second the time from the first to the last
case of all the others, queued at once, beside what the limit alone would take: a minute for each full minute's worth but the last.
"""

import argparse
import asyncio
import base64
import os
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path

import aiohttp

from broker.bootstrap.assembly import open_broker
from broker.bootstrap.server import serving
from broker.domain.runs import RunRequest
from broker.embedded import server as embedded
from broker.sandbox.fml.server import serve as serve_fml
from broker.sandbox.hubspot.server import serve as serve_hubspot
from broker.sealing import Keyring
from broker.settings import Address, Settings
from tests.until import until

SCOPES = [
    "oauth",
    *(
        f"crm.{part}.companies.{right}"
        for part in ("objects", "schemas")
        for right in ("read", "write")
    ),
]


async def measure(dsn, kickoffs, limit, single):
    hubspot, fml = await serve_hubspot("127.0.0.1", 0), await serve_fml("127.0.0.1", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    settings = Settings.model_validate(
        {
            "public_url": url,
            "hubspot_api_url": hubspot.url,
            "hubspot_app_url": hubspot.url,
            "fml_url": fml.url,
            "migrate_on_start": True,
        }
    )
    keyring = Keyring.parse("k1:" + base64.b64encode(os.urandom(32)).decode())
    async with (
        open_broker(settings, dsn, keyring) as broker,
        serving(broker, Address("127.0.0.1", port)),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        _, issued = await broker.keys.create_workspace("bench")
        headers = {"Authorization": f"Bearer {issued.client_secret.reveal()}"}

        async def ask(method, path, **rest):
            async with session.request(method, url + path, headers=headers, **rest) as answer:
                return answer.status, await answer.json(content_type=None)

        app = {"slug": "b", "clientId": "c", "clientSecret": "s", "appId": "1", "scopes": SCOPES}
        _, made = await ask("POST", "/api/apps", json=app)
        hubspot.sandbox.register_app("c", "s", 1, SCOPES, [made["redirectUrl"]])
        hubspot.sandbox.auto_consent = 101
        hubspot.sandbox.limits.ten_secondly = 10**9
        fml.fml.add_client("pk", "sk")
        fml.fml.levers.call_limit = 10**9
        _, link = await ask("GET", "/api/hubspot/auth/b?userForeignIdentifier=u")
        async with session.get(link["url"]) as landed:
            assert landed.status == 200
        kyb = {"clientId": "pk", "clientSecret": "sk", "callsPerMinute": 100_000}
        await ask("PUT", "/api/apps/b/recipes/kyb", json=kyb)
        await ask("POST", "/api/recipes/kyb/b/setup", json={"userForeignIdentifier": "u"})
        portal = hubspot.sandbox.portals[101]
        kind = portal.type("companies")
        latencies = []
        for _ in range(single):
            record = {"name": "A", "country": "FR", "kyb_contact_email": "a@acme.example"}
            company = hubspot.sandbox.crm(portal).create(kind, {"properties": record})
            body = {"userForeignIdentifier": "u", "companyId": str(company.id)}
            began = time.perf_counter()
            status, _ = await ask("POST", "/api/recipes/kyb/b", json=body)
            latencies.append((time.perf_counter() - began) * 1000)
            assert status == 201
        latencies.sort()
        print(
            f"single kickoff: p50 {statistics.median(latencies):.0f} ms, p95 {latencies[int(len(latencies) * 0.95)]:.0f} ms"
        )

        await ask(
            "PUT",
            "/api/apps/b/recipes/kyb",
            json={**kyb, "clientId": "pk2", "callsPerMinute": limit},
        )
        fml.fml.add_client("pk2", "sk")
        fml.fml.levers.call_limit = limit
        before = len(fml.fml.cases)
        fml.fml.seen.clear()
        app_id = await broker.database.fetchval("SELECT id FROM app")
        fields = {"customerEmail": "a@acme.example"}
        for number in range(kickoffs):
            body = {
                "source": "bench",
                "recordId": f"lead-{number}",
                "overrides": fields,
                "sendInvite": None,
            }
            subject = f"bench-lead-{number}"
            await broker.recipes.runs.start(
                RunRequest(issued.key.workspace_id, app_id, "kyb", subject, None, None, body)
            )
        await until(lambda: len(fml.fml.cases) - before >= kickoffs, within=3600)
        at = [each.at for each in fml.fml.seen if each.path == "/v1/cases"]
        seconds = at[-1] - at[0]
        # The first minute's worth may go at once; each further one a minute later.
        ideal = 60 * ((kickoffs - 1) // limit)
        used = f", {100 * ideal / seconds:.1f} % of it" if ideal else ""
        print(
            f"{kickoffs} kickoffs at {limit} a minute: {seconds:.1f} s, the limit alone takes {ideal} s{used}"
        )
        print(f"refused by FML for haste: {fml.fml.refused_calls}, requests: {len(at)}")
    await fml.close()
    await hubspot.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kickoffs", type=int, default=1000)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--single", type=int, default=100)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        dsn = embedded.start(folder / "data")
        asyncio.run(measure(dsn, chosen.kickoffs, chosen.limit, chosen.single))
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
