"""A storm over pairs of contacts and leads: edits of people on both sides, two processes of the
broker, kill -9, lost answers, webhooks that come twice, sessions that end.
"""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from broker.recipes.leads.fields import mapped_fields
from broker.recipes.leads.models import LeadsSettings
from broker.sandbox.core.faults import Fault
from tests.fixtures.leads import ANN
from tests.until import until

PAIRS = 10
BATCH = 25
KILL_EVERY = 5
SESSIONS_END_EVERY = 3
"""Batches between two kills, and between two ends of all sessions at Salesforce."""

REFRESH_S = 0.03
"""How long Salesforce takes to refresh, so that two processes meet, and kills hit it."""

STARTING_S, SETTLING_S = 120.0, 240.0
"""How long a process may take to start, and the end of a storm to settle, on a busy machine."""

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
EXPIRE = (
    "UPDATE lead_pair SET locked_until = now() WHERE locked_until > now()",
    "UPDATE recipe_run SET due_at = now() WHERE due_at > now()",
    "UPDATE recipe_poll SET due_at = now() WHERE due_at > now()",
    "UPDATE webhook_inbox SET due_at = now() WHERE due_at > now()",
)
"""A minute after all processes died, as far as their leases go."""

WAITING_RUNS = (
    "UPDATE recipe_run SET due_at = now() WHERE due_at > now()"
    " AND EXISTS (SELECT FROM recipe_step AS step WHERE step.workspace_id = recipe_run.workspace_id"
    " AND step.run_id = recipe_run.id AND step.state = 'waiting')"
)
"""The end of pauses; leases of runs that are under way stay."""


@dataclass
class Edits:
    """What people wrote, by contact and property: the value of each side that no person has
    replaced since, and those that a process replaced. `hidden` are those that Salesforce's time does
    not show, for it counts in seconds: the lead was written twice within one.
    """

    standing: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    last_side: dict[tuple[str, str], str] = field(default_factory=dict)
    replaced: list[tuple[str, str, str, str]] = field(default_factory=list)
    hidden: set[tuple[str, ...]] = field(default_factory=set)

    def add(self, place: tuple[str, str], side: str, value: str, shown: str) -> None:
        """A person at a side who sees `shown` writes a value."""
        standing = self.standing.setdefault(place, {})
        if standing.get(side, shown) != shown:
            self.replaced.append((*place, side, standing[side]))
        for other in set(standing) - {side}:
            if standing[other] == shown:
                del standing[other]
        standing[side] = value
        self.last_side[place] = side

    def overwritten(self, shown: dict[tuple[str, str], dict[str, str]]) -> set[tuple[str, ...]]:
        """The edits that a process replaced, given what both sides show in the end."""
        return {*self.replaced} | {
            (*place, side, value)
            for place, standing in self.standing.items()
            for side, value in standing.items()
            if shown[place][side] != value
        }


class Storm:
    """Ten pairs, two processes, and chance."""

    def __init__(self, leads, start_process, database, seed):
        self.leads, self.start_process, self.database = leads, start_process, database
        self.chance = random.Random(seed)
        self.processes, self.starting = [], []
        self.pairs, self.counts = {}, Counter()
        self.edits, self.last = Edits(), 0

    async def begin(self, direction):
        """Ten pairs that are equal, and two processes."""
        leads = self.leads
        leads.broker.hubspot.limits.ten_secondly = 100_000
        leads.org.levers.api_budget = 10_000_000
        leads.orgs.world.levers.refresh_seconds = REFRESH_S
        await leads.puts(maxWritesPerHour=10_000, direction="both")
        for number in range(PAIRS):
            contact = leads.contact(**{**ANN, "email": f"a{number}@x.example"})
            made = await leads.starts(contactId=contact)
            assert made.status == 201, made.body
        await leads.puts(maxWritesPerHour=10_000, direction=direction)
        rows = await self.database.fetch("SELECT contact_id, lead_id FROM lead_pair")
        self.pairs = {row["contact_id"]: row["lead_id"] for row in rows}
        self.count_writes()
        self.counts.clear()
        await asyncio.gather(self.start(), self.start())

    async def go_on(self, batch):
        """One batch of edits, with what goes wrong around it."""
        self.lose_answers()
        if batch % SESSIONS_END_EVERY == 0:
            self.leads.orgs.end_sessions()
            self.counts["ends of sessions"] += 1
        await self.edit()
        await self.database.execute("UPDATE recipe_poll SET due_at = now()")
        await asyncio.sleep(self.chance.uniform(0.05, 0.7))  # edits come while runs go on
        if batch % KILL_EVERY == 0:
            await self.kill(self.chance.choice([1, 2]))
        self.count_writes()
        await self.reconnect_lost_grant()

    async def start(self):
        started = await self.start_process(
            within=STARTING_S,
            BROKER_SALESFORCE_URL=self.leads.orgs.running.login_url,
            BROKER_PUBLIC_URL=self.leads.broker.parts.settings.public_url,
        )
        self.processes.append(started)

    async def all_started(self):
        """Wait until both processes live."""
        await asyncio.gather(*self.starting)
        self.starting = []

    async def kill(self, number):
        """Kill one process, or both, after which a minute passes. Edits go on while others start."""
        await self.all_started()
        self.chance.shuffle(self.processes)
        for process, _ in self.processes[:number]:
            process.kill()
            await process.wait()
            self.counts["kills"] += 1
        del self.processes[:number]
        if not self.processes:
            for statement in EXPIRE:
                await self.database.execute(statement)
        self.starting = [asyncio.create_task(self.start()) for _ in range(number)]

    async def edit(self):
        """A batch of edits, and HubSpot's webhooks about its own, some of them twice."""
        events = []
        for _ in range(BATCH):
            contact, lead = self.chance.choice(list(self.pairs.items()))
            name = self.chance.choice(list(PROPERTIES))
            self.last += 1
            value = f"v{self.last}"
            self.counts["edits"] += 1
            shown = self.shown(contact, name)
            if self.chance.random() < 0.5:
                self.edits.add((contact, name), "hubspot", value, shown["hubspot"])
                self.leads.edit_contact(contact, **{name: value})
                event = {"objectId": int(contact), "propertyName": name, "propertyValue": value}
                events += [event] * self.chance.randint(1, 2)
            else:
                self.edits.add((contact, name), "salesforce", value, shown["salesforce"])
                org = self.leads.org
                if org.tables["Lead"][lead]["LastModifiedDate"] == org.stamp():
                    self.edits.hidden.add((contact, name, "salesforce", value))
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
                with suppress(aiohttp.ClientError, IndexError):
                    _, url = self.chance.choice(self.processes)
                    answer = await self.leads.broker.receives_webhook(body, url=url)
                    if answer.status in {200, 204}:
                        return
                self.counts["repeated deliveries"] += bool(self.processes)
                await asyncio.sleep(0.05)

    def lose_answers(self):
        for place, path in LOSSES:
            world = self.leads.orgs.world if place == "salesforce" else self.leads.broker.hubspot
            times = self.chance.randint(0, 1)
            if times:
                world.faults.add(Fault(path, "lose-answer", times=times))
                self.counts["lost answers"] += times

    async def reconnect_lost_grant(self):
        """Where Salesforce's answer with the new token died with a process, the user connects
        again, and what failed meanwhile is retried.
        """
        shown = await self.leads.orgs.shows()
        if shown["status"] != "ACTIVE":
            assert shown["lastError"] == "rotation-lost", shown
            self.counts["grants lost with a killed process"] += 1
            await self.leads.orgs.connects()
        for row in await self.database.fetch("SELECT id FROM recipe_run WHERE state = 'failed'"):
            await self.all_started()
            _, url = self.chance.choice(self.processes)
            with suppress(aiohttp.ClientError):
                await self.leads.broker.asks("POST", f"{url}/api/recipes/runs/{row['id']}/retry")
            self.counts["retries of failed runs"] += 1

    async def settle(self):
        """Nothing goes wrong any more: wait until all that was reported is done."""
        self.leads.orgs.world.faults.clear()
        self.leads.broker.hubspot.faults.clear()
        await self.kill(2)
        await self.all_started()
        since = await self.database.fetchval("SELECT now()")

        async def settled():
            return not await self.database.fetchval(
                "SELECT (SELECT count(*) FROM recipe_run WHERE state IN ('running', 'failed'))"
                " + (SELECT count(*) FROM webhook_inbox)"
                " + (SELECT count(*) FROM recipe_poll WHERE polled_at < $1)",
                since,
            )

        async with asyncio.timeout(SETTLING_S):
            while not await settled():
                await self.reconnect_lost_grant()
                await self.database.execute(WAITING_RUNS)
                await self.database.execute("UPDATE recipe_poll SET due_at = now()")
                with suppress(TimeoutError):
                    await until(settled, within=2)
        self.count_writes()

    def count_writes(self):
        """Count what both vendors were asked to write since, lost answers and all."""
        hubspot, salesforce = self.leads.broker.hubspot.seen, self.leads.orgs.world.seen
        self.counts["writes to hubspot"] += sum(
            each.method in {"PATCH", "POST"}
            and "/objects/contacts" in each.raw_path
            and not each.raw_path.endswith(("/read", "/search"))
            for each in hubspot
        )
        self.counts["writes to salesforce"] += sum(
            each.method != "GET" and "/sobjects/" in each.target and each.status != 401
            for each in salesforce
        )
        hubspot.clear()
        salesforce.clear()

    @property
    def writes(self):
        return self.counts["writes to hubspot"] + self.counts["writes to salesforce"]

    def shown(self, contact, name):
        """A field's value on both sides."""
        portal = self.leads.broker.hubspot.portals[101]
        record = portal.of(portal.type("contacts")).by_id[contact]
        lead = self.leads.org.tables["Lead"][self.pairs[contact]]
        return {
            "hubspot": record.properties.get(name) or "",
            "salesforce": lead[PROPERTIES[name]] or "",
        }

    def differing(self):
        """The fields in which pairs differ."""
        fields = mapped_fields(
            LeadsSettings(salesforceApp="crm"), dict.fromkeys(PROPERTIES.values(), "string")
        )
        return [
            (contact, each.hubspot)
            for contact in self.pairs
            for each in fields
            if not each.equal(*self.shown(contact, each.hubspot).values())
        ]

    async def unreported(self):
        """Edits that were overwritten and stand in no run, less the hidden ones."""
        rows = await self.database.fetch("SELECT result FROM recipe_run WHERE state = 'done'")
        reported = {
            (result["contactId"], change["hubspot"], change["side"], change["before"])
            for row in rows
            for result in (json.loads(row["result"]),)
            for change in result.get("changed") or ()
        }
        shown = {place: self.shown(*place) for place in self.edits.standing}
        overwritten = self.edits.overwritten(shown)
        unreported = overwritten - reported
        self.counts["overwritten edits"] = len(overwritten)
        self.counts["overwritten within a second"] = len(unreported & self.edits.hidden)
        return sorted(unreported - self.edits.hidden)
