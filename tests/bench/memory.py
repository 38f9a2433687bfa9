"""What the broker holds in memory while much passes through: it must not depend on how much."""

import asyncio
import sys
import time

import aiohttp
from subjects import OTHER_CORE, Subject, broker, free_port, running, wait_for

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


async def peak(subject: Subject, work) -> tuple[float, float]:
    """MB held before, and at most while something goes on."""
    before = most = subject.rss_mb()
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.sleep(0.02)
        most = max(most, subject.rss_mb())
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


async def measure(url: str, key: str, hubspot: str, subject: Subject) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=600)
    ) as session:
        base = await connect(session, url, key, hubspot)
        await slow_calls(session, base, headers, 50)
        print("| what passes | RSS before MB | most MB | seconds |\n| --- | --- | --- | --- |")

        async def row(name, work):
            began = time.monotonic()
            before, most = await peak(subject, work)
            took = time.monotonic() - began
            print(f"| {name} | {before:.0f} | {most:.0f} | {took:.1f} |", flush=True)

        await row("1 GB down", down(session, base, headers))
        await row("1 GB up, chunked", up(session, base, headers))
        await row("64 MB of 1 GB to a slow reader", down(session, base, headers, 0.02))
        fault = {"path": "/_echo/slow", "kind": "delay", "seconds": 5}
        await session.post(f"{hubspot}/_sandbox/faults", json=fault)
        await row("1,000 calls that take 5 s, at once", slow_calls(session, base, headers, 1000))


def main() -> None:
    port = free_port()
    command = [sys.executable, "-m", "broker", "sandbox", "--port", str(port)]
    hubspot = f"http://localhost:{port}"
    with running(OTHER_CORE, *command, BROKER_LOG_FORMAT="json"):
        wait_for(port)
        settings = {"BROKER_MAX_BODY_MB": "2048", "BROKER_UPSTREAM_TOTAL_S": "600"}
        with broker(hubspot, **settings) as (process, url, key, _dsn):
            subject = Subject("broker", url, (), (process.pid,))
            asyncio.run(measure(url.replace("127.0.0.1", "localhost"), key, hubspot, subject))


if __name__ == "__main__":
    main()
