"""Contacts and leads through a storm of edits on both sides, with kill -9, lost answers, repeats and
two replicas: both sides end equal.
"""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest

from broker.recipes.leads.fields import mapped_fields
from broker.recipes.leads.models import LeadsSettings
from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.fixtures.leads import ANN, leads
from tests.flows.providers.conftest import orgs, salesforce_sandbox
from tests.until import until

__all__ = ["leads", "orgs", "salesforce_sandbox"]

pytestmark = pytest.mark.drill

PAIRS = 10
BATCH = 25
KILL_EVERY = 4
"""Batches between two kills."""

LOSSES = (
    ("hubspot", "/crm/v3/objects/contacts/*"),
    ("salesforce", "/services/data/*/sobjects/Lead/*"),
)
PROPERTIES = {
    "firstname": "FirstName",
    "lastname": "LastName",
    "phone": "Phone",
    "jobtitle": "Title",
    "company": "Company",
}


class Storm:
    """Ten pairs, two processes, and chance."""

    def __init__(self, leads, start_process, seed):
        self.leads, self.start_process = leads, start_process
        self.chance = random.Random(seed)
        self.processes, self.pairs, self.counts = [], {}, Counter()

    async def start(self):
        started = await self.start_process(
            BROKER_SALESFORCE_URL=self.leads.orgs.running.login_url,
            BROKER_PUBLIC_URL=self.leads.broker.parts.settings.public_url,
        )
        self.processes.append(started)

    async def kill(self):
        process, _ = self.processes.pop(self.chance.randrange(len(self.processes)))
        process.kill()
        self.counts["kills"] += 1
        await self.start()

    async def edits(self):
        """A batch of edits, and HubSpot's webhooks about its own, some of them twice."""
        events = []
        for _ in range(BATCH):
            contact, lead = self.chance.choice(list(self.pairs.items()))
            name = self.chance.choice(list(PROPERTIES))
            value = f"v{self.chance.randrange(40)}"
            self.counts["edits"] += 1
            if self.chance.random() < 0.5:
                self.leads.edit_contact(contact, **{name: value})
                event = {"objectId": int(contact), "propertyName": name, "propertyValue": value}
                events += [event] * self.chance.randint(1, 2)
            else:
                self.leads.edit_lead(lead, **{PROPERTIES[name]: value})
        await self.report(events)

    async def report(self, events):
        """HubSpot sends a batch until a process takes it."""
        body = json.dumps(
            [
                {
                    "eventId": self.chance.randrange(2**40),
                    "subscriptionId": 7,
                    "portalId": 101,
                    "occurredAt": 1_790_000_000_000 + self.chance.randrange(2**30),
                    "attemptNumber": 0,
                    "changeSource": "CRM_UI",
                    "subscriptionType": "contact.propertyChange",
                    **event,
                }
                for event in events
            ]
        ).encode()
        async with asyncio.timeout(60):
            while True:
                _, url = self.chance.choice(self.processes)
                with suppress(aiohttp.ClientError):
                    answer = await self.leads.broker.receives_webhook(body, url=url)
                    if answer.status in {200, 204}:
                        return
                self.counts["repeated deliveries"] += 1
                await asyncio.sleep(0.05)

    def lose_answers(self):
        for place, path in LOSSES:
            world = self.leads.orgs.world if place == "salesforce" else self.leads.broker.hubspot
            times = self.chance.randint(0, 1)
            if times:
                world.faults.add(Fault(path, "lose-answer", times=times))
                self.counts["lost answers"] += times

    def differing(self):
        """The fields in which pairs differ."""
        fields = mapped_fields(
            LeadsSettings(salesforceApp="crm"), dict.fromkeys(PROPERTIES.values(), "string")
        )
        contacts, records = self.leads.contacts(), self.leads.leads()
        return [
            (contact, each.hubspot)
            for contact, lead in self.pairs.items()
            for each in fields
            if not each.equal(
                contacts[contact].get(each.hubspot) or "", records[lead][each.salesforce] or ""
            )
        ]


@pytest.mark.parametrize("seed", range(sized(20, 1)))
async def test_a_storm_of_edits_settles_with_both_sides_equal_and_at_most_two_writes_an_edit(
    leads, start_process, database, figures, seed
):
    leads.broker.hubspot.limits.ten_secondly = 100_000
    leads.org.levers.api_budget = 10_000_000
    await leads.puts(maxWritesPerHour=10_000)
    for number in range(PAIRS):
        contact = leads.contact(**{**ANN, "email": f"a{number}@x.example"})
        made = await leads.starts(contactId=contact)
        assert made.status == 201, made.body
    storm = Storm(leads, start_process, seed)
    rows = await database.fetch("SELECT contact_id, lead_id FROM lead_pair")
    storm.pairs = {row["contact_id"]: row["lead_id"] for row in rows}
    await asyncio.gather(storm.start(), storm.start())
    for batch in range(sized(10_000, 500) // BATCH):
        storm.lose_answers()
        await storm.edits()
        await database.execute("UPDATE recipe_poll SET due_at = now()")
        await asyncio.sleep(storm.chance.uniform(0.05, 1.0))  # edits come while runs go on
        if batch % KILL_EVERY == 0:
            await storm.kill()
    leads.orgs.world.faults.clear()
    leads.broker.hubspot.faults.clear()
    since = await database.fetchval("SELECT now()")

    async def settled():
        return not await database.fetchval(
            "SELECT (SELECT count(*) FROM recipe_run WHERE state = 'running')"
            " + (SELECT count(*) FROM webhook_inbox)"
            " + (SELECT count(*) FROM recipe_poll WHERE polled_at < $1)",
            since,
        )

    async with asyncio.timeout(180):
        while not await settled():  # leases of the dead run out, and pauses end
            await database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at > now()")
            await database.execute("UPDATE recipe_poll SET due_at = now() WHERE due_at > now()")
            await database.execute("UPDATE lead_pair SET locked_until = NULL")
            with suppress(TimeoutError):
                await until(settled, within=5)

    states = dict(await database.fetch("SELECT state, count(*) FROM recipe_run GROUP BY state"))
    results = await database.fetch("SELECT result FROM recipe_run WHERE state = 'done'")
    writes = sum(
        len({change["side"] for change in json.loads(row["result"]).get("changed") or ()})
        for row in results
    )
    stopped = await database.fetchval("SELECT count(*) FROM lead_pair WHERE stopped_at IS NOT NULL")
    figures({"pairs": PAIRS, "writes": writes, "runs": states, **storm.counts})
    assert storm.differing() == []
    assert set(states) == {"done"}
    assert (stopped, len(leads.contacts()), len(leads.leads())) == (0, PAIRS, PAIRS)
    assert writes <= 2 * storm.counts["edits"]
