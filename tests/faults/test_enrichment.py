"""Enrichment through kill -9, lost answers, repeats and two replicas: every contact is filled, no
address is being looked up twice at a time, and none is billed more than twice.
"""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest

from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.fixtures.enrichment import START, person
from tests.until import until

pytestmark = pytest.mark.drill

USERS = {101: "u1", 102: "u2"}
"""Two HubSpot accounts, in which the same people are contacts."""

PATCH = "/crm/v3/objects/contacts/*"


class Drill:
    """Two processes, and chance."""

    def __init__(self, enrichment, database, session, start_process, seed):
        self.enrichment, self.database, self.session = enrichment, database, session
        self.start_process, self.chance = start_process, random.Random(seed)
        self.processes, self.counts = [], Counter()

    async def start(self):
        urls = {f"BROKER_{name.upper()}": url for name, url in self.enrichment.urls.items()}
        started = await self.start_process(**urls, BROKER_ALLOW_PRIVATE_ENDPOINTS="true")
        self.processes.append(started)

    async def kill(self):
        process, _ = self.processes.pop(self.chance.randrange(len(self.processes)))
        process.kill()
        self.counts["kills"] += 1
        await self.start()

    async def call(self, user, contact):
        body = {"userForeignIdentifier": user, "contactId": contact}
        headers = {"Authorization": f"Bearer {self.enrichment.broker.key}"}
        _, url = self.chance.choice(self.processes)
        patience = aiohttp.ClientTimeout(total=2)
        with suppress(aiohttp.ClientError, TimeoutError):
            async with self.session.post(
                url + START, json=body, headers=headers, timeout=patience
            ) as answer:
                self.counts[answer.status] += 1

    async def passes_time(self):
        """Let the leases of the dead (lookups of more than three seconds ago) and pauses run out."""
        await self.database.execute(
            "UPDATE enrichment_answer SET claimed_until = now()"
            " WHERE claimed_until < now() + interval '27 seconds'"
        )
        await self.database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at > now()")

    async def has_ended(self):
        await self.passes_time()
        runs = "SELECT count(*) FROM recipe_run WHERE state = 'running'"
        return await self.database.fetchval(runs) == 0

    async def retries(self):
        """What a person does about an address of which two answers were lost."""
        failed = await self.database.fetch("SELECT id FROM recipe_run WHERE state = 'failed'")
        for row in failed:
            path = f"/api/recipes/runs/{row['id']}/retry"
            await self.enrichment.broker.asks("POST", path)
        self.counts["retried"] += len(failed)


async def test_every_contact_is_filled_and_no_address_is_paid_without_end(
    enrichment, database, start_process
):
    """Each address has a contact in each of two accounts; half of all steps go wrong somehow."""
    broker, addresses = enrichment.broker, sized(full=80, gate=8)
    await enrichment.puts(callsPerMinute=10_000, dailyBudget=100_000)
    assert (await broker.connects("u2", 102)).status in {200, 303}
    await broker.asks("POST", f"{START}/setup", json={"userForeignIdentifier": "u2"})
    enrichment.world.levers.second_limit = enrichment.world.levers.minute_limit = 100_000
    enrichment.world.latency = 0.02
    contacts = []
    for number in range(addresses):
        known = enrichment.world.add(person(f"p{number}@x.example", title=f"Job {number}"))
        for portal, user in USERS.items():
            contact = enrichment.contact(portal, email=known.email)
            contacts.append((portal, user, contact, known))
    async with aiohttp.ClientSession() as session:
        drill = Drill(enrichment, database, session, start_process, seed=7)
        await asyncio.gather(drill.start(), drill.start())
        for begin in range(0, len(contacts), 8):
            if drill.chance.random() < 0.5:
                enrichment.world.faults.add(Fault("/hunter/*", "lose-answer", times=1))
            if drill.chance.random() < 0.5:
                broker.hubspot.faults.add(Fault(PATCH, "lose-answer", method="PATCH", times=1))
            part = contacts[begin : begin + 8]
            calls = [drill.call(user, contact) for _, user, contact, _ in part for _ in range(2)]
            under_way = asyncio.gather(*calls)
            await asyncio.sleep(drill.chance.random() * 0.1)
            if drill.chance.random() < 0.5:
                await drill.kill()
            ended = asyncio.create_task(until(drill.has_ended, within=60))
            await asyncio.gather(under_way, ended)
        enrichment.world.faults.clear()
        # A call that was cut before its run began is made again, as its caller would.
        for _, user, contact, _ in contacts:
            await drill.call(user, contact)
        await until(drill.has_ended, within=60)
        await drill.retries()
        await until(drill.has_ended, within=60)

    for portal, _, contact, known in contacts:
        shown = enrichment.shows(contact, portal)
        assert shown["jobtitle"] == known.title, (portal, contact, drill.counts)
    billed = Counter(enrichment.world.billed["hunter"])
    assert set(billed) == {known.email for *_, known in contacts}
    assert max(billed.values()) <= 2 + drill.counts["retried"], billed
    states = await database.fetch("SELECT DISTINCT state FROM recipe_run")
    assert [row["state"] for row in states] == ["done"], drill.counts
