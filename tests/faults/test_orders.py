"""Orders through kill -9, lost answers, repeats and two replicas: one deal each, nothing orphaned."""

import asyncio
import base64
import copy
import hmac
import json
import random
from collections import Counter
from contextlib import suppress
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp
import pytest

from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.flows.providers.conftest import shopify_sandbox, shops
from tests.flows.providers.shops import ACME, OTHER, SECRET
from tests.flows.recipes.test_orders import LINE, START, records, till
from tests.until import until

__all__ = ["shopify_sandbox", "shops", "till"]

pytestmark = pytest.mark.drill

BATCH = 5
USERS = {ACME: ("u1", "u3"), OTHER: ("u2",)}
"""Who is connected to which shop; all of them to one HubSpot account."""

LOSSES = (
    ("hubspot", "/crm/v3/objects/deals/batch/upsert"),
    ("hubspot", "/crm/v3/objects/contacts/batch/upsert"),
    ("hubspot", "/crm/v4/objects/*"),
    ("shopify", "/shops/*/admin/api/*/graphql.json"),
)


class Drill:
    """Two shops with the same order ids, two processes, and chance."""

    def __init__(self, shops, merchants, session, start_process, seed):
        self.shops, self.merchants, self.session = shops, merchants, session
        self.start_process, self.chance = start_process, random.Random(seed)
        self.processes, self.orders, self.counts = [], [], Counter()

    async def start(self):
        url = f"{self.shops.running.url}/shops/{{shop}}"
        started = await self.start_process(
            BROKER_SHOPIFY_URL=url, BROKER_ALLOW_PRIVATE_ENDPOINTS="true"
        )
        self.processes.append(started)

    async def kill(self):
        process, _ = self.processes.pop(self.chance.randrange(len(self.processes)))
        process.kill()
        self.counts["kills"] += 1
        await self.start()

    def place(self, number):
        """One order in the first shop and one of the same id, with another buyer, in the other."""
        acme, other = self.merchants
        buyer = {"email": f"b{number % 7}@x.example"} if number % 3 else {}
        customer = None
        if number % 3 == 0 and number % 2:
            customer = acme.add_customer(first_name="Till")
        order = acme.place([LINE], customer=customer, **buyer)
        twin = copy.deepcopy(order)
        twin.customer_id, twin.email = None, f"twin{number}@x.example"
        other.shop.orders[twin.id] = twin
        self.orders += [(acme, order), (other, twin)]
        return [(acme, order), (other, twin)]

    async def report(self, merchant, order):
        """Have the broker hear of an order: by webhooks that repeat, by a call, or not at all."""
        way = self.chance.choice(("webhooks", "webhooks", "call", "nothing"))
        self.counts[way] += 1
        if way == "webhooks":
            topics = ["orders/create", "orders/updated", "orders/paid"]
            ids = [str(uuid4()) for _ in range(2)]
            for _ in range(self.chance.randint(1, 5)):
                await self.webhook(
                    merchant, order, self.chance.choice(topics), self.chance.choice(ids)
                )
        elif way == "call":
            user = self.chance.choice(USERS[merchant.shop.domain])
            body = {"userForeignIdentifier": user, "orderId": str(order.id)}
            headers = {"Authorization": f"Bearer {self.shops.broker.key}"}
            await self.posts(START, headers, json=body)

    async def webhook(self, merchant, order, topic, webhook_id):
        body = json.dumps({"id": order.id, "updated_at": "2026-11-28T00:00:00Z"}).encode()
        signed = hmac.digest(SECRET.encode(), body, "sha256")
        headers = {
            "X-Shopify-Hmac-Sha256": base64.b64encode(signed).decode(),
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": merchant.shop.domain,
            "X-Shopify-Webhook-Id": webhook_id,
            "Content-Type": "application/json",
        }
        await self.posts(urlsplit(self.shops.app["webhookUrl"]).path, headers, data=body)

    async def posts(self, path, headers, **rest):
        _, url = self.chance.choice(self.processes)
        try:
            async with self.session.post(url + path, headers=headers, **rest) as answer:
                self.counts[f"answered {answer.status}"] += 1
        except aiohttp.ClientError:
            self.counts["cut off"] += 1

    def lose_answers(self):
        for place, path in LOSSES:
            world = self.shops.world if place == "shopify" else self.shops.broker.hubspot
            times = self.chance.randint(0, 2)
            if times:
                world.faults.add(Fault(path, "lose-answer", times=times))
                self.counts["lost answers"] += times

    def changes(self):
        """What happens to some of the orders that are there."""
        for merchant, order in self.chance.sample(self.orders, min(4, len(self.orders))):
            if order.cancelled_at is None and order.net_payment > 20:
                if self.chance.random() < 0.2:
                    merchant.cancel(order)
                else:
                    merchant.refund(order, "10.00")
                yield merchant, order


async def test_orders_through_kills_lost_answers_and_repeats_are_one_deal_each_without_orphans(
    shops, till, start_process, database, figures
):
    shops.world.levers.bucket = shops.world.levers.restore_rate = 1_000_000.0
    shops.broker.hubspot.limits.ten_secondly = 100_000
    for user, shop in (("u2", OTHER), ("u3", ACME)):
        await shops.broker.connects(user)
        await shops.connects(user, shop)
    other = type(till)(shops.world, shops.world.shops[OTHER])
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        drill = Drill(shops, (till, other), session, start_process, seed=7)
        await asyncio.gather(drill.start(), drill.start())
        for first in range(0, sized(100, 10), BATCH):
            drill.lose_answers()
            placed = [each for number in range(BATCH) for each in drill.place(first + number)]
            heard = [*placed, *drill.changes()]
            await database.execute("UPDATE recipe_poll SET due_at = now()")
            reports = [asyncio.create_task(drill.report(*each)) for each in heard]
            await asyncio.sleep(drill.chance.uniform(0.02, 0.6))
            await drill.kill()
            await asyncio.gather(*reports)

    shops.world.faults.clear()
    shops.broker.hubspot.faults.clear()
    since = await database.fetchval("SELECT now()")

    async def settled():
        """Nothing is under way, and every shop was looked at to its end once more."""
        return not await database.fetchval(
            "SELECT (SELECT count(*) FROM recipe_run WHERE state = 'running')"
            " + (SELECT count(*) FROM recipe_poll"
            "     WHERE polled_at < $1 OR cursor::jsonb ? 'page' OR cursor IS NULL)",
            since,
        )

    async with asyncio.timeout(180):
        while not await settled():  # leases of the dead run out, and pauses end
            for kind in ("run", "poll"):
                await database.execute(
                    f"UPDATE recipe_{kind} SET due_at = now() WHERE due_at > now()"
                )
            with suppress(TimeoutError):
                await until(settled, within=25)

    deals, contacts = records(shops, "deals"), records(shops, "contacts")
    portal = shops.broker.hubspot.portals[101]
    by_key = {deal.properties["shop_order_key"]: deal for deal in deals}
    buyers = {}
    for merchant, order in drill.orders:
        shop, customer = merchant.shop.domain, order.customer_id
        known = order.email or (f"{shop}:{customer}" if customer else None)
        deal = by_key[f"{shop}:{order.id}"]
        assert float(deal.properties["amount"]) == float(order.net_payment), order.financial
        lost = order.cancelled_at is not None or order.net_payment == 0
        assert deal.properties["dealstage"] == ("closedlost" if lost else "closedwon")
        buyers[f"{shop}:{order.id}"] = known
    linked = {key: portal.links.of("0-3", deal.id, "0-1") for key, deal in by_key.items()}
    names = {
        contact.id: contact.properties.get("email") or contact.properties["shop_customer_key"]
        for contact in contacts
    }
    states = dict(await database.fetch("SELECT state, count(*) FROM recipe_run GROUP BY state"))
    times = await database.fetchrow(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ended_at - created_at) AS p50,"
        " percentile_cont(0.95) WITHIN GROUP (ORDER BY ended_at - created_at) AS p95"
        " FROM recipe_run WHERE state = 'done'"
    )
    figures({"orders": len(drill.orders), "deals": len(deals), "contacts": len(contacts),
             "runs": states, "p50": times["p50"].total_seconds(),
             "p95": times["p95"].total_seconds(), **drill.counts})  # fmt: skip
    assert len(deals) == len(by_key) == len(drill.orders)
    assert sorted(names.values()) == sorted({each for each in buyers.values() if each})
    assert {key: [names[each] for each in found] for key, found in linked.items()} == {
        key: [known] if known else [] for key, known in buyers.items()
    }
    assert set(states) == {"done"}
