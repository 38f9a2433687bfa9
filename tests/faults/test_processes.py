"""Real processes of one installation, killed where it hurts."""

import asyncio
import os
import re
import signal
import socket
import statistics
import sys
import time
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
CALL = "/_echo/x"


async def through(broker, url, path=CALL, **rest):
    return await broker.asks("GET", f"{url}/proxy/hbdev/u1{path}", **rest)


@pytest.mark.parametrize("rotates", [False, True])
async def test_a_process_killed_during_a_renewal_leaves_a_connection_that_works_or_says_why(
    broker, hubspot, database, start_process, rotates
):
    """R2, F14."""
    hubspot.rotates_refresh_tokens = rotates
    await broker.connects("u1")
    first, first_url = await start_process(BROKER_WORK_IN_SERVE="false")
    _, second_url = await start_process(BROKER_WORK_IN_SERVE="false")
    await broker.makes_stale(database)
    fault = hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.5, times=1))

    calling = asyncio.create_task(through(broker, first_url))
    await until(lambda: fault.hits)
    first.send_signal(signal.SIGKILL)
    await asyncio.gather(calling, return_exceptions=True)
    await asyncio.sleep(0.6)  # HubSpot finishes what it was asked
    answer = await through(broker, second_url)

    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    if rotates:
        assert answer.status in {200, 409}
        if answer.status == 409:
            assert shown["lastError"] == "rotation-lost"
    else:
        assert answer.status == 200
        assert shown["status"] == "ACTIVE"


async def test_a_revocation_owed_by_a_killed_process_is_made_by_another(
    broker, hubspot, database, start_process
):
    """T9."""
    await broker.connects("u1")
    first, first_url = await start_process(BROKER_WORK_IN_SERVE="false")
    fault = hubspot.faults.add(Fault("/oauth/*/revoke", "hang", times=1))

    deleting = asyncio.create_task(
        broker.asks("DELETE", f"{first_url}/api/apps/hbdev/connections/u1")
    )
    await until(lambda: fault.hits)
    first.send_signal(signal.SIGKILL)
    await asyncio.gather(deleting, return_exceptions=True)

    assert await database.fetchval("SELECT count(*) FROM connection") == 0
    await database.execute("UPDATE revocation SET due_at = now()")
    await start_process()
    await until(lambda: hubspot.revocations)
    assert len(hubspot.revocations) == 1


async def test_a_process_told_to_stop_finishes_its_calls(broker, hubspot, start_process):
    """J10."""
    await broker.connects("u1")
    process, url = await start_process()
    fault = hubspot.faults.add(Fault("/_echo/*", "delay", seconds=0.8))

    calling = asyncio.create_task(through(broker, url))
    await until(lambda: fault.hits)
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    ready = await broker.asks("GET", f"{url}/readyz", key="")

    assert (await calling).status == 200
    assert ready.status == 503
    assert await asyncio.wait_for(process.wait(), 15) == 0


def children_of(pid):
    tasks = Path(f"/proc/{pid}/task")
    return {
        int(each) for task in tasks.iterdir() for each in (task / "children").read_text().split()
    }


def received(manager):
    """What a process told the service manager, if anything."""
    try:
        return manager.recv(100)
    except BlockingIOError:
        return None


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
async def test_the_processes_that_share_a_port_are_replaced_and_end_with_their_parent(
    start_process, tmp_path, unused_tcp_port_factory
):
    stderr, metrics = tmp_path / "stderr", unused_tcp_port_factory()
    listen = {"BROKER_METRICS_LISTEN": f"127.0.0.1:{metrics}"}

    async def restarts():
        async with aiohttp.ClientSession() as session:
            pages = [
                await (await session.get(f"http://127.0.0.1:{port}/metrics")).text()
                for port in (metrics, metrics + 1)
            ]
        return sum(
            float(re.search(r"^broker_process_restarts_total (\S+)", page, re.MULTILINE)[1])
            for page in pages
        )

    with stderr.open("wb") as file:
        parent, _ = await start_process("serve", "--workers", "2", stderr=file, within=60, **listen)
        await asyncio.wait_for(parent.stdout.readline(), 60)
        killed, other = children_of(parent.pid)
        assert await restarts() == 0
        os.kill(killed, signal.SIGKILL)
        await asyncio.wait_for(parent.stdout.readline(), 60)
        assert f'"pid": {killed}' in stderr.read_text() or f"pid={killed}" in stderr.read_text()
        assert '"returncode": -9' in stderr.read_text() or "returncode=-9" in stderr.read_text()
        (new,) = children_of(parent.pid) - {other}
        assert await restarts() == 1

        parent.kill()

        await until(lambda: not is_running(new) and not is_running(other), within=20)


async def test_a_process_told_to_stop_waits_once_for_what_does_not_end(
    broker, hubspot, start_process, tmp_path
):
    """J10."""
    await broker.connects("u1")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    linux = sys.platform == "linux"
    name = f"@broker-{os.getpid()}" if linux else str(tmp_path / "manager")
    manager.bind(name.replace("@", "\0"))
    manager.setblocking(False)
    process, url = await start_process(NOTIFY_SOCKET=name)
    assert await until(lambda: received(manager)) == b"READY=1"
    fault = hubspot.faults.add(Fault("/_echo/*", "hang"))

    calling = asyncio.create_task(through(broker, url))
    await until(lambda: fault.hits)
    process.send_signal(signal.SIGTERM)

    assert await until(lambda: received(manager)) == b"STOPPING=1"
    manager.close()
    # Two seconds to look away and ten to end; twice ten would outlive what most give a process.
    assert await asyncio.wait_for(process.wait(), 18) == 0
    with pytest.raises(aiohttp.ClientError):
        await calling


async def test_two_hundred_calls_on_three_processes_ask_for_one_renewal(
    broker, hubspot, database, start_process, figures
):
    """R1."""
    await broker.connects("u1")
    await broker.connects("bystander", portal=102)
    urls = [(await start_process(BROKER_WORK_IN_SERVE="false"))[1] for _ in range(3)]

    async def round_of_calls():
        """200 calls of one user, and how long another's takes beside them, in seconds."""
        calls = asyncio.gather(*(through(broker, urls[n % 3]) for n in range(200)))
        await asyncio.sleep(0.01)
        began = time.monotonic()
        assert (await broker.asks("GET", f"{urls[0]}/proxy/hbdev/bystander{CALL}")).status == 200
        durations.append(time.monotonic() - began)
        assert {answer.status for answer in await calls} == {200}

    durations = []
    for _ in range(10):
        await round_of_calls()
    usual, durations = statistics.median(durations), []
    for turn in range(1, 21):
        await database.execute(
            "UPDATE connection_grant SET expires_at = now() - interval '1 minute'"
            " FROM connection WHERE connection.workspace_id = connection_grant.workspace_id"
            " AND id = connection_id AND user_ref = 'u1'"
        )
        hubspot.expire_access_tokens(101)
        await database.execute("SELECT pg_notify('broker_invalidation', '')")
        await asyncio.sleep(0.05)
        await round_of_calls()
        assert hubspot.refreshes == turn
    figures({"usual_ms": usual * 1000, "worst_ms": max(durations) * 1000})


async def test_background_renewal_happens_by_itself_once(broker, hubspot, database, start_process):
    await broker.connects("u1")
    await database.execute("UPDATE renewal SET due_at = now()")

    await start_process()
    await start_process()

    await until(lambda: hubspot.refreshes)
    await asyncio.sleep(0.3)
    assert hubspot.refreshes == 1
    assert await database.fetchval("SELECT generation FROM connection_grant") == 2


async def test_five_who_migrate_an_empty_database_at_once_all_end_well(empty_dsn):
    """F15."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
        "BROKER_DATABASE_URL": empty_dsn,
        "BROKER_SEALING_KEYS": KEY,
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "broker",
            "migrate",
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(5)
    ]
    outputs = [(await process.communicate())[0].decode() for process in processes]

    assert [process.returncode for process in processes] == [0] * 5
    assert sum("applied 0001" in output for output in outputs) == 1
    session = await asyncpg.connect(empty_dsn)
    assert await session.fetchval("SELECT count(*) FROM app") == 0
    await session.close()
