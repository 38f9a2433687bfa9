"""How soon HubSpot hears 200 while every receiver is dead, and how soon the inbox is empty again.

    python tests/bench/intake.py --seconds 30 --rate 200 --events 100

Starts a Postgres of its own and one `broker serve` that also works; the sender shares the machine with
them. Batches are sent on time, whether or not earlier ones were answered (an open loop), so a stall shows
as a late answer and not as a lower rate.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from broker.embedded import server as embedded
from broker.stores.core import migrations

KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
SECRET = "bench-secret"
ACCOUNTS = 50


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=20)
    options.add_argument("--rate", type=float, default=200, help="batches a second")
    options.add_argument("--events", type=int, default=100, help="events in a batch")
    options.add_argument("--endpoints", type=int, default=2, help="dead receivers")
    options.add_argument(
        "--drain", type=float, default=120, help="seconds to watch the inbox after"
    )
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        asyncio.run(run(embedded.start(folder / "data"), chosen))
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


async def run(dsn: str, chosen: argparse.Namespace) -> None:
    await migrations.upgrade(dsn)
    session = await asyncpg.connect(dsn)
    silent = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    async with broker(dsn) as url:
        workspace = await furnish(
            dsn, session, silent.sockets[0].getsockname()[1], chosen.endpoints
        )
        path = f"/hubspot/bench-{workspace}/webhooks"
        latencies, statuses = await send(url, path, chosen)
        ended = time.monotonic()
        print(
            f"sent {len(latencies)} batches of {chosen.events} in {chosen.seconds:.0f} s; {statuses}"
        )
        print(
            "ms to answer: " + ", ".join(f"{name} {value:.1f}" for name, value in spread(latencies))
        )
        left = await session.fetchval("SELECT count(*) FROM webhook_inbox")
        published = await session.fetchval("SELECT count(*) FROM event")
        print(f"at the end of the load: {left} batches wait, {published} events published")
        while left and time.monotonic() - ended < chosen.drain:
            await asyncio.sleep(1)
            left = await session.fetchval("SELECT count(*) FROM webhook_inbox")
        published = await session.fetchval("SELECT count(*) FROM event")
        seconds = time.monotonic() - ended
        print(f"{seconds:.0f} s later: {left} batches wait, {published} events published")
        if not left:
            print(f"lost: {statuses.get(200, 0) * chosen.events - published}")
    silent.close()
    await session.close()


async def never_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass


class broker:  # noqa: N801  # used as a word
    """One `broker serve`."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    async def __aenter__(self) -> str:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker",
            "serve",
            env={
                **os.environ,
                "BROKER_DATABASE_URL": self.dsn,
                "BROKER_SEALING_KEYS": KEY,
                "BROKER_LISTEN": "127.0.0.1:18080",
                "BROKER_PUBLIC_URL": "http://127.0.0.1:18080",
                "BROKER_METRICS_LISTEN": "127.0.0.1:18090",
                "BROKER_ALLOW_PRIVATE_ENDPOINTS": "true",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await self.process.stdout.readline()
        return "http://127.0.0.1:18080"

    async def __aexit__(self, *_: object) -> None:
        self.process.kill()
        await self.process.wait()


async def furnish(
    dsn: str, session: "asyncpg.Connection[asyncpg.Record]", silent: int, endpoints: int
) -> UUID:
    """An app through the API, with a user in each account (whose tokens nothing here needs)."""
    from broker.bootstrap.assembly import open_broker  # after the arguments are read
    from broker.sealing import Keyring
    from broker.settings import Settings

    async with open_broker(Settings(), dsn, Keyring.parse(KEY)) as parts:
        workspace, issued = await parts.keys.create_workspace("bench")
    headers = {"Authorization": f"Bearer {issued.client_secret.reveal()}"}
    app = {
        "slug": "bench",
        "clientId": "c",
        "clientSecret": SECRET,
        "appId": "1",
        "scopes": ["oauth"],
    }
    async with aiohttp.ClientSession("http://127.0.0.1:18080", headers=headers) as caller:
        async with caller.post("/api/apps", json=app) as answer:
            assert answer.status == 201, await answer.text()
        for number in range(endpoints):
            port = silent if number % 2 else 9  # nobody there, or somebody who never answers
            body = {"url": f"http://127.0.0.1:{port}/"}
            async with caller.post("/api/apps/bench/endpoints", json=body) as answer:
                assert answer.status == 201, await answer.text()
    await session.executemany(
        "INSERT INTO connection (workspace_id, id, app_id, user_ref, status, hub_id, scopes) "
        "SELECT workspace_id, $1, id, $2, 'REAUTH_REQUIRED', $3, '{}' FROM app",
        [(uuid4(), f"u{hub}", hub) for hub in range(ACCOUNTS)],
    )
    return workspace.id


def batch(number: int, events: int) -> bytes:
    now = int(time.time() * 1000)
    return json.dumps(
        [
            {
                "eventId": number * events + each,
                "subscriptionId": 686627,
                "portalId": each % ACCOUNTS,
                "appId": 7906213,
                "occurredAt": now,
                "subscriptionType": "contact.propertyChange",
                "attemptNumber": 0,
                "objectId": number * events + each,
                "propertyName": "firstname",
                "propertyValue": "Ada",
                "changeSource": "CRM_UI",
                "sourceId": "userId:882761034",
            }
            for each in range(events)
        ]
    ).encode()


async def send(
    url: str, path: str, chosen: argparse.Namespace
) -> tuple[list[float], dict[int, int]]:
    latencies: list[float] = []
    statuses: dict[int, int] = {}

    async def one(caller: aiohttp.ClientSession, number: int) -> None:
        body = batch(number, chosen.events)
        began, sent_at = time.perf_counter(), str(int(time.time() * 1000))
        signed = f"POST{url}{path}".encode() + body + sent_at.encode()
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        headers = {
            "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
            "X-HubSpot-Request-Timestamp": sent_at,
        }
        async with caller.post(path, data=body, headers=headers) as answer:
            await answer.read()
        latencies.append((time.perf_counter() - began) * 1000)
        statuses[answer.status] = statuses.get(answer.status, 0) + 1

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as caller:
        start, tasks = time.perf_counter(), []
        for number in range(int(chosen.seconds * chosen.rate)):
            await asyncio.sleep(max(0.0, start + number / chosen.rate - time.perf_counter()))
            tasks.append(asyncio.create_task(one(caller, number)))
        await asyncio.gather(*tasks)
    return latencies, statuses


def spread(latencies: list[float]) -> list[tuple[str, float]]:
    cuts = statistics.quantiles(latencies, n=1000)
    return [("p50", cuts[499]), ("p95", cuts[949]), ("p99", cuts[989]), ("max", max(latencies))]


if __name__ == "__main__":
    main()
