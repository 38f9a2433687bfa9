"""What the broker holds in memory while much passes through: it must not depend on how much."""

import asyncio
import sys
import time
from collections.abc import Awaitable

import aiohttp

from tests.bench.brokers import broker, postgres
from tests.bench.machine import rss_mb
from tests.bench.processes import free_port, other_cores, running, subject_cores
from tests.bench.revisions import this_tree

GIGABYTE = 1 << 30


async def connect(session: aiohttp.ClientSession, url: str, key: str, hubspot: str) -> str:
    """Install an app at the sandbox; the base of calls as its user."""
    headers = {"Authorization": f"Bearer {key}"}
    app = {
        "slug": "bench",
        "clientId": "bench",
        "clientSecret": "bench",
        "appId": "1",
        "scopes": ["oauth"],
    }
    async with session.post(f"{url}/api/apps", json=app, headers=headers) as answer:
        redirect = (await answer.json())["redirectUrl"]
    await session.post(f"{hubspot}/_sandbox/apps", json={**app, "redirectUrls": [redirect]})
    await session.post(f"{hubspot}/_sandbox/levers", json={"autoConsent": 101})
    link = f"{url}/api/hubspot/auth/bench?userForeignIdentifier=u1"
    async with session.get(link, headers=headers) as answer:
        consent = (await answer.json())["url"]
    async with session.get(consent) as answer:
        assert answer.status == 200, await answer.text()
    return f"{url}/proxy/bench/u1"


async def peak(pids: tuple[int, ...], work: Awaitable[None]) -> tuple[float, float]:
    """MB that processes hold before some work, and at most while it is done."""
    before = most = rss_mb(pids)
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.02)
        most = max(most, rss_mb(pids))
    await task
    return before, most


async def down(session, base, headers, pause=0.0):
    size = 0
    async with session.get(f"{base}/_bytes/{GIGABYTE}", headers=headers) as answer:
        async for chunk in answer.content.iter_chunked(1 << 20):
            size += len(chunk)
            if pause:
                await asyncio.sleep(pause)
                if size > 1 << 26:
                    return
    assert size == GIGABYTE


async def up(session, base, headers):
    async def parts():
        part = b"x" * (1 << 18)
        for _ in range(GIGABYTE // len(part)):
            yield part

    async with session.post(f"{base}/_echo/up", data=parts(), headers=headers) as answer:
        assert (await answer.json())["bodyLength"] == GIGABYTE


async def slow_calls(session, base, headers, count):
    async def one():
        async with session.get(f"{base}/_echo/slow", headers=headers) as answer:
            assert answer.status == 200, answer.status
            await answer.read()

    await asyncio.gather(*(one() for _ in range(count)))


async def measure(url: str, key: str, hubspot: str, pids: tuple[int, ...]) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=600)
    ) as session:
        base = await connect(session, url, key, hubspot)
        await slow_calls(session, base, headers, 50)
        print("| what passes | RSS before MB | most MB | seconds |\n| --- | --- | --- | --- |")

        async def row(name, work):
            start = time.monotonic()
            before, most = await peak(pids, work)
            seconds = time.monotonic() - start
            print(f"| {name} | {before:.0f} | {most:.0f} | {seconds:.1f} |", flush=True)

        await row("1 GB down", down(session, base, headers))
        await row("1 GB up, chunked", up(session, base, headers))
        await row("64 MB of 1 GB to a slow reader", down(session, base, headers, 0.02))
        fault = {"path": "/_echo/slow", "kind": "delay", "seconds": 5}
        await session.post(f"{hubspot}/_sandbox/faults", json=fault)
        await row("1,000 calls that take 5 s, at once", slow_calls(session, base, headers, 1000))


def main() -> None:
    port = free_port(9)  # the sandboxes listen at this one and those after it
    command = [sys.executable, "-m", "broker", "sandbox", "--port", str(port)]
    hubspot = f"http://localhost:{port}"
    settings = {"BROKER_MAX_BODY_MB": "2048", "BROKER_UPSTREAM_TOTAL_S": "600"}
    with (
        running(command, other_cores(), ports=[port], BROKER_LOG_FORMAT="json"),
        postgres(other_cores()) as server,
        broker(this_tree(), server, hubspot, cores=subject_cores(), **settings) as served,
    ):
        url = served.url.replace("127.0.0.1", "localhost")
        asyncio.run(measure(url, served.key, hubspot, served.pids))


if __name__ == "__main__":
    main()
