"""Events while processes are killed and the database goes away: none lost, none astray."""

import asyncio
import os
import random
import signal

import aiohttp
import asyncpg

from tests.until import until

KILLS = int(os.environ.get("FAULT_KILLS", "6"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
"""How often a process is killed, and how chance begins; `make test` is content with few."""

PORTALS = {101: "u1", 102: "u2"}


class Feed:
    """HubSpot as it sends to two workspaces: again and again until it hears 200."""

    def __init__(self, broker, workspaces, seed):
        self.broker = broker
        self.workspaces = workspaces
        self.random = random.Random(seed)
        self.expected = set()
        self.sent = 0
        self.refused = 0
        self.url = ""

    async def send_one(self):
        workspace = self.random.choice(self.workspaces)
        numbers = range(self.sent, self.sent + self.random.randint(1, 20))
        self.sent += len(numbers)
        batch = [
            {
                "eventId": number,
                "portalId": self.random.choice([101, 102, 103]),
                "occurredAt": 1_764_000_000_000 + number,
                "subscriptionType": "contact.creation",
                "objectId": number,
                "attemptNumber": 0,
            }
            for number in numbers
        ]
        while not await self.acknowledged(batch, workspace):
            self.refused += 1
            for each in batch:
                each["attemptNumber"] += 1
            await asyncio.sleep(0.05)
        if self.random.random() < 0.2:  # HubSpot sends duplicates unasked
            await self.acknowledged(batch, workspace)
        self.expected |= {
            (workspace, PORTALS[each["portalId"]], each["eventId"])
            for each in batch
            if each["portalId"] in PORTALS
        }

    async def acknowledged(self, batch, workspace):
        try:
            answer = await self.broker.receives_webhook(batch, url=self.url, workspace=workspace)
        except (aiohttp.ClientError, OSError):
            return False
        assert answer.status in {200, 503}, answer.body
        return answer.status == 200


async def two_workspaces(broker_with_local_endpoints, receiver):
    """Two workspaces with an app of the same slug, u1 at 101, u2 at 102, an endpoint each."""
    made = []
    for number in (1, 2):
        if number == 2:
            await broker_with_local_endpoints.makes_workspace()
            await broker_with_local_endpoints.registers()
        await broker_with_local_endpoints.connects("u1", portal=101)
        await broker_with_local_endpoints.connects("u2", portal=102)
        await broker_with_local_endpoints.sends_to(
            f"{receiver.url}/{broker_with_local_endpoints.workspace}", "hubspot.*"
        )
        made.append(broker_with_local_endpoints.workspace)
    return made


def heard(receiver):
    """What arrived, as the feed counts: (workspace, user, event), with the names it came under."""
    names = {}
    for each in receiver.got:
        data = each.json()["data"]
        key = each.path.strip("/"), data["userForeignIdentifier"], data["eventId"]
        names.setdefault(key, set()).add(each.id)
    return names


async def drain(broker_with_local_endpoints, database):
    """Let the leases of the dead run out and everything that is owed arrive."""
    for _ in range(8):
        await database.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")
        await database.execute(
            "UPDATE webhook_inbox SET due_at = now() WHERE quarantined_at IS NULL"
        )
        await database.execute("UPDATE endpoint SET resumes_at = NULL")
        await broker_with_local_endpoints.run_background_work()


async def test_killed_anywhere_nothing_acknowledged_is_lost(
    broker_with_local_endpoints, receiver, start_process, database
):
    """D6, W8: at least once, under one name, to nobody else."""
    feed = Feed(
        broker_with_local_endpoints,
        await two_workspaces(broker_with_local_endpoints, receiver),
        SEED,
    )
    flaky = random.Random(SEED)

    async def sometimes(_request):
        await asyncio.sleep(flaky.random() * 0.02)
        return aiohttp.web.Response(status=500 if flaky.random() < 0.1 else 200)

    for workspace in feed.workspaces:
        receiver.answers[f"/{workspace}"] = sometimes
    stop = asyncio.Event()

    async def feeding():
        while not stop.is_set():
            await feed.send_one()
            await asyncio.sleep(0.03)  # about what one process delivers

    settings = {
        "BROKER_PUBLIC_URL": broker_with_local_endpoints.url,
        "BROKER_ALLOW_PRIVATE_ENDPOINTS": "true",
    }
    process, feed.url = await start_process(**settings)
    feeders = [asyncio.create_task(feeding()) for _ in range(2)]
    for _ in range(KILLS):
        await asyncio.sleep(feed.random.uniform(0, 0.6))
        await database.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process, feed.url = await start_process(**settings)
    stop.set()
    await asyncio.gather(*feeders)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await drain(broker_with_local_endpoints, database)

    names = heard(receiver)
    print(  # noqa: T201  # the evidence, shown by -s
        f"kills {KILLS + 1}, events acknowledged {feed.sent}, refusals {feed.refused}, "
        f"owed {len(feed.expected)}, heard {len(names)}, attempts {len(receiver.got)}, "
        f"lost {len(feed.expected - set(names))}, astray {len(set(names) - feed.expected)}"
    )
    assert feed.refused, "nothing was killed while it mattered"
    assert set(names) == feed.expected
    assert {len(each) for each in names.values()} == {1}
    assert await database.fetchval("SELECT count(*) FROM webhook_inbox") == 0


async def test_without_postgres_nothing_is_acknowledged_and_later_nothing_is_missing(
    broker_with_local_endpoints, receiver, start_process, database, postgres, dsn
):
    """W9: sessions are ended and refused for a while; HubSpot comes again."""
    feed = Feed(
        broker_with_local_endpoints, await two_workspaces(broker_with_local_endpoints, receiver), 7
    )
    name = dsn.partition("?")[0].rpartition("/")[2]
    _, feed.url = await start_process(
        BROKER_PUBLIC_URL=broker_with_local_endpoints.url, BROKER_ALLOW_PRIVATE_ENDPOINTS="true"
    )
    await feed.send_one()
    admin = await asyncpg.connect(postgres)

    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = $1 AND application_name LIKE 'broker%'",
        name,
    )
    sending = [asyncio.create_task(feed.send_one()) for _ in range(5)]
    await until(lambda: feed.refused >= 10)
    acknowledged_meanwhile = sum(task.done() for task in sending)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.close()
    await asyncio.gather(*sending)
    await until(lambda: set(heard(receiver)) == feed.expected)

    names = heard(receiver)
    assert acknowledged_meanwhile == 0
    assert set(names) == feed.expected
    assert {len(each) for each in names.values()} == {1}
