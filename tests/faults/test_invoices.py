"""Deals through kill -9, lost answers, repeats and two replicas: one invoice each, no orphan."""

import asyncio
import random
from collections import Counter
from contextlib import suppress

import aiohttp
import pytest

from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.flows.providers.conftest import quickbooks_sandbox, xero_sandbox
from tests.flows.recipes.conftest import ledger, quickbooks, xero
from tests.flows.recipes.deals import START
from tests.until import until

__all__ = ["ledger", "quickbooks", "quickbooks_sandbox", "xero", "xero_sandbox"]

pytestmark = pytest.mark.drill

BATCH = 4
USERS = {101: ("u1", "u3"), 102: ("u2",)}
"""Who is connected to which HubSpot account; all of them to one company."""

LOSSES = {
    "hubspot": ("/crm/v3/objects/deals/*", "/crm/v3/objects/contacts/*"),
    "quickbooks": ("*/invoice", "*/customer", "*/query"),
    "xero": ("*/Invoices", "*/Contacts"),
}
TRIGGER = {"property": "dealstage", "value": "closedwon"}


class Drill:
    """Two HubSpot accounts with the same deal ids, one company, two processes, and chance."""

    def __init__(self, ledger, session, start_process, seed):
        self.ledger, self.session, self.start_process = ledger, session, start_process
        self.chance = random.Random(seed)
        self.processes, self.deals, self.counts = [], [], Counter()
        self.contacts = {}

    async def start(self):
        books = self.ledger.books
        self.processes.append(
            await self.start_process(
                **{f"BROKER_{books.provider.upper()}_URL": books.running.url},
                BROKER_PUBLIC_URL=self.ledger.broker.parts.settings.public_url,
            )
        )

    async def kill(self):
        process, _ = self.processes.pop(self.chance.randrange(len(self.processes)))
        process.kill()
        self.counts["kills"] += 1
        await self.start()

    def wins(self, number):
        """A deal in the first account, and one of the same id in the second."""
        amount = f"{number + 1}.50"
        found, deal_id = [], None
        for hub_id in USERS:
            who = (hub_id, number % 7)
            if who not in self.contacts:
                fields = {"email": f"b{who[1]}@{hub_id}.example", "lastname": f"{hub_id} {who[1]}"}
                self.contacts[who] = self.ledger.contact(hub_id, **fields)
            if deal_id is not None:
                self.ledger.broker.hubspot.portals[hub_id].next_id = int(deal_id)
            deal_id = self.ledger.deal(amount, self.contacts[who], hub_id=hub_id)
            found.append((hub_id, deal_id, amount))
        assert found[0][1] == found[1][1]
        # The ids after it, for the records to come, are beyond those of both.
        self.ledger.broker.hubspot.portals[101].next_id = int(deal_id) + 1000
        self.deals += found
        return found

    async def report(self, hub_id, deal_id):
        """Have the broker hear of a won deal, by calls and webhooks that repeat."""
        for _ in range(self.chance.randint(1, 4)):
            _, url = self.chance.choice(self.processes)
            with suppress(aiohttp.ClientError):
                if self.chance.random() < 0.5:
                    await self.call(url, hub_id, deal_id)
                else:
                    await self.webhook(url, hub_id, deal_id)

    async def call(self, url, hub_id, deal_id):
        body = {"userForeignIdentifier": self.chance.choice(USERS[hub_id]), "dealId": deal_id}
        headers = {"Authorization": f"Bearer {self.ledger.broker.key}"}
        async with self.session.post(url + START, headers=headers, json=body) as answer:
            self.counts[f"answered {answer.status}"] += 1

    async def webhook(self, url, hub_id, deal_id):
        event = {
            "subscriptionType": "deal.propertyChange",
            "portalId": hub_id,
            "appId": 1,
            "eventId": self.chance.randint(1, 10**9),
            "objectId": int(deal_id),
            "propertyName": TRIGGER["property"],
            "propertyValue": TRIGGER["value"],
            "occurredAt": 1_796_000_000_000,
        }
        await self.ledger.broker.receives_webhook([event], url=url)
        self.counts["webhooks"] += 1

    def lose_answers(self):
        for place in ("hubspot", self.ledger.books.provider):
            world = self.ledger.broker.hubspot if place == "hubspot" else self.ledger.books.world
            for path in LOSSES[place]:
                times = self.chance.randint(0, 1)
                if times:
                    world.faults.add(Fault(path, "lose-answer", times=times))
                    self.counts["lost answers"] += times


@pytest.mark.parametrize(
    ("ledger", "full", "gate"), [("quickbooks", 80, 8), ("xero", 20, 2)], indirect=["ledger"]
)
async def test_deals_through_kills_lost_answers_and_repeats_are_one_invoice_each_without_orphans(
    ledger, full, gate, start_process, database, figures
):
    levers, broker = ledger.books.world.levers, ledger.broker
    if ledger.books.provider == "quickbooks":
        levers.requests_per_second = levers.requests_per_minute = 100_000
        levers.requestid_ignored = True
    else:
        levers.minute_limit = levers.concurrent_limit = 100_000
    broker.hubspot.limits.ten_secondly = 100_000
    await ledger.puts(trigger=TRIGGER)
    for user, portal in (("u2", 102), ("u3", 101)):
        await broker.connects(user, portal=portal)
        await ledger.connects(user)
    setup = await broker.asks("POST", f"{START}/setup", json={"userForeignIdentifier": "u2"})
    assert setup.status == 200, setup.body
    customers = len(ledger.customers())
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        drill = Drill(ledger, session, start_process, seed=7)
        await asyncio.gather(drill.start(), drill.start())
        size = sized(full, gate)
        for first in range(0, size, BATCH):
            drill.lose_answers()
            numbers = range(first, min(first + BATCH, size))
            won = [each for number in numbers for each in drill.wins(number)]
            reports = [
                asyncio.create_task(drill.report(hub_id, deal_id)) for hub_id, deal_id, _ in won
            ]
            await asyncio.sleep(drill.chance.uniform(0.02, 0.8))
            await drill.kill()
            await asyncio.gather(*reports)
        ledger.books.world.faults.clear()
        broker.hubspot.faults.clear()
        for hub_id, deal_id, _ in drill.deals:  # what no process heard, for it was killed
            with suppress(aiohttp.ClientError, TimeoutError):
                await drill.call(drill.processes[0][1], hub_id, deal_id)

    async def settled():
        return not await database.fetchval(
            "SELECT count(*) FROM recipe_run WHERE state = 'running'"
        )

    async with asyncio.timeout(300):
        while not await settled():  # leases of the dead run out, and pauses end
            await database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at > now()")
            with suppress(TimeoutError):
                await until(settled, within=25)

    invoices = ledger.invoices()
    states = dict(await database.fetch("SELECT state, count(*) FROM recipe_run GROUP BY state"))
    problems = await database.fetch("SELECT problem FROM recipe_run WHERE problem IS NOT NULL")
    name = "PrivateNote" if ledger.books.provider == "quickbooks" else "Reference"
    totals = {each[name]: float(each.get("TotalAmt", each.get("Total"))) for each in invoices}
    owner = "CustomerRef" if ledger.books.provider == "quickbooks" else "Contact"
    billed = {str(sorted(each[owner].items())) for each in invoices}
    times = await database.fetchrow(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ended_at - created_at) AS p50,"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY ended_at - created_at) AS p95"
        " FROM recipe_run WHERE state = 'done'"
    )
    made = len(ledger.customers()) - customers
    figures({"deals": len(drill.deals), "invoices": len(invoices), "customers": made,
             "runs": states, "p50": times["p50"].total_seconds(),
             "p95": times["p95"].total_seconds(), **drill.counts})  # fmt: skip
    assert [each["problem"] for each in problems] == []
    assert len(invoices) == len(totals) == len(drill.deals)
    assert totals == {
        f"hubspot-{hub_id}-{deal_id}": float(amount) for hub_id, deal_id, amount in drill.deals
    }
    assert made == len(billed) == len(drill.contacts)
    for hub_id, deal_id, _ in drill.deals:
        shown = ledger.shown(deal_id, hub_id=hub_id)
        assert shown["invoice_sync_status"] == "created"
