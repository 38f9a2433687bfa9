"""Postgres restarted, frozen and cut off under load; sealing keys changed under load."""

import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import asyncpg
import psutil
import pytest

from broker.embedded import server as embedded
from broker.sandbox.core.faults import Fault
from broker.stores.core import migrations
from tests.fixtures.brokers import SEALING_KEY
from tests.until import until

CALL = "/_echo/x"
NEW_KEY = "k2:" + SEALING_KEY.partition(":")[2][::-1].replace("=", "") + "="


@pytest.fixture
def server():
    """A Postgres of the test's own, which may be treated badly."""
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder / "data", embedded.start(folder / "data")
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def dsn(server):
    await migrations.upgrade(server[1])
    return server[1]


def processes_of(data):
    postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    process = psutil.Process(postmaster)
    return [process, *process.children(recursive=True)]


class Load:
    """Calls as a warm connection, again and again, with what came of each."""

    def __init__(self, broker, url):
        self._broker, self._url = broker, url
        self.answers = Counter()
        self.worst = 0.0
        self._running = True

    async def run(self):
        while self._running:
            began = time.monotonic()
            answer = await self._broker.asks("GET", f"{self._url}/proxy/hbdev/u1{CALL}")
            self.worst = max(self.worst, time.monotonic() - began)
            self.answers[answer.status] += 1
            await asyncio.sleep(0.05)

    async def during(self, trouble):
        running = asyncio.create_task(self.run())
        await asyncio.sleep(0.5)
        try:
            await trouble
        finally:
            self._running = False
            await running
        return dict(self.answers)


async def seconds_until(broker, url, status, **rest):
    """How soon a call is answered with a status."""
    began = time.monotonic()

    async def answered():
        return (await broker.asks("GET", url, **rest)).status == status

    await until(answered)
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["restart", "crash", "freeze", "listener"])
async def test_warm_calls_go_on_while_postgres_is_away_and_everything_heals(
    broker, hubspot, server, start_process, figures, how
):
    """F1, F4, F8. The memory is good for a minute while the database cannot be asked."""
    data, dsn = server
    await broker.connects("u1")
    _, url = await start_process()
    another = await broker.makes_key("proxy")
    for key in (broker.key, another):
        assert (await broker.asks("GET", f"{url}/proxy/hbdev/u1{CALL}", key=key)).status == 200

    async def trouble():
        if how == "listener":
            for _ in range(5):
                await cut_listeners(dsn)
                await asyncio.sleep(1)
        elif how == "freeze":
            every = processes_of(data)
            for each in every:
                each.suspend()
            await asyncio.sleep(8)
            for each in every:
                each.resume()
        else:
            sign = signal.SIGINT if how == "restart" else signal.SIGQUIT
            postmaster = processes_of(data)[0]
            postmaster.send_signal(sign)
            await asyncio.to_thread(psutil.wait_procs, [postmaster], 10)
            await asyncio.sleep(6)
            await asyncio.to_thread(embedded.start, data)
        await asyncio.sleep(1)

    load = Load(broker, url)
    answers = await load.during(trouble())
    healed = await seconds_until(broker, f"{url}/readyz", 200, key="")
    session = await asyncpg.connect(dsn)
    await session.execute("UPDATE api_key SET revoked_at = now() WHERE name = 'another'")
    await session.close()
    stopped = await seconds_until(broker, f"{url}/proxy/hbdev/u1{CALL}", 401, key=another)
    figures(
        {
            "how": how,
            "answers": answers,
            "worst": round(load.worst, 2),
            "healed": round(healed, 1),
            "revoked": round(stopped, 1),
        },
    )

    assert set(answers) == {200}


async def cut_listeners(dsn):
    session = await asyncpg.connect(dsn)
    await session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'broker listener'"
    )
    await session.close()


async def test_resealing_is_killed_again_and_again_under_load_and_ends_well(
    broker, hubspot, database, dsn, start_process, figures
):
    """T4. Every process knows both keys; afterwards nothing is left under the old one."""
    both = f"{NEW_KEY},{SEALING_KEY}"
    for number in range(300):
        if number % 100 == 0:
            await broker.connects(f"u{1 + number // 100}")
    await database.execute(
        "INSERT INTO install_link (workspace_id, state_hash, app_id, user_ref, scopes, verifier,"
        " expires_at) SELECT workspace_id, sha256(n::text::bytea), app_id, user_ref, scopes,"
        " NULL, now() FROM connection, generate_series(1, 500) AS n"
        " WHERE user_ref = 'u1'"
    )
    _, url = await start_process(BROKER_SEALING_KEYS=both)
    assert (await broker.asks("GET", f"{url}/proxy/hbdev/u1{CALL}")).status == 200
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
        "BROKER_DATABASE_URL": dsn,
        "BROKER_SEALING_KEYS": both,
    }

    async def reseal(kill_after):
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "broker", "reseal", env=environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            if program.returncode is None:
                program.kill()
        return await program.wait()

    async def trouble():
        chance = random.Random(7)
        for _ in range(6):
            await reseal(chance.uniform(0.3, 1.2))
        assert await reseal(None) == 0

    load = Load(broker, url)
    answers = await load.during(trouble())
    figures(answers)
    assert set(answers) == {200}
    tables = {
        "app": ["client_secret"],
        "connection_grant": ["access_token", "refresh_token"],
    }
    for table, columns in tables.items():
        for column in columns:
            rows = await database.fetch(f"SELECT {column} AS sealed FROM {table}")
            assert all(b"k2" in row["sealed"][:8] for row in rows), (table, column)
    keys = await database.fetch("SELECT key_id FROM sealing_key")
    assert [row["key_id"] for row in keys] == ["k2"]


async def test_an_idle_process_holds_few_sessions(broker, database, start_process):
    """F11: `serve` with all its background work, from its start on."""
    await start_process()

    async def sessions():
        return await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name IN ('broker', 'broker listener') "
        )

    most = 0
    for _ in range(60):
        most = max(most, await sessions())
        await asyncio.sleep(0.05)

    assert most <= 8


async def test_the_call_log_can_be_switched_off(start_broker, database):
    broker = await start_broker(call_log_days=0)
    await broker.makes_workspace()
    await broker.registers()
    await broker.connects("u1")
    assert (await broker.asks("GET", f"/proxy/hbdev/u1{CALL}")).status == 200

    await broker.parts.call_log.flush()

    assert await database.fetchval("SELECT count(*) FROM proxied_call") == 0


async def test_deletions_that_wait_for_a_renewal_hold_up_no_other_caller(broker, hubspot, database):
    """2.10: HubSpot's token endpoint is slow, and 25 deletions wait for the renewed row."""
    await broker.connects("slow")
    fault = hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=5, times=1))
    path = "/api/apps/hbdev/connections/slow"
    renewal = asyncio.create_task(broker.asks("POST", f"{path}/renew"))
    await until(lambda: fault.hits)
    deletions = [asyncio.create_task(broker.asks("DELETE", path)) for _ in range(25)]
    await asyncio.sleep(0.2)

    for _ in range(5):
        broker.parts.callers.clear_cache()
        answer = await broker.asks("GET", "/api/apps/hbdev")
        assert answer.status == 200
    assert not renewal.done()
    assert (await renewal).status == 200
    statuses = {(await each).status for each in deletions}
    assert statuses <= {200, 204, 404}
