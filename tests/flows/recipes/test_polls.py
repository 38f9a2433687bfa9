"""Polls of a user's partner account: where they begin, go on and stop, and what starts once."""

import asyncio
from datetime import datetime

import pytest

from broker.domain.runs import RunRequest
from broker.recipes.catalog import RECIPES
from tests.flows.providers.shops import ACME, OTHER, Shops
from tests.flows.recipes.test_next_recipe import SCOPES, SETTINGS, START, contact, prepares, toy
from tests.flows.recipes.toy.looking import Feed, looking

ROW = "SELECT *, now() AS now, due_at - now() AS pause FROM recipe_poll"


class Looker:
    """A broker with the polling recipe set up; its shops, its feed, and its rows."""

    def __init__(self, shops, feed, database, specs):
        self.shops, self.feed, self.database, self.specs = shops, feed, database, specs
        self.broker = shops.broker
        self.polls = self.broker.parts.recipes.polls

    async def polls_now(self, polls=None):
        """Do what is due until nothing is."""
        polls = polls or self.polls
        while await polls.work_due():
            await polls.join()

    async def makes_due(self):
        await self.database.execute("UPDATE recipe_poll SET due_at = now()")

    async def row(self):
        return await self.database.fetchrow(ROW)

    async def runs(self):
        return (await self.broker.asks("GET", f"{START}/runs")).json()["runs"]


@pytest.fixture
async def looker(start_broker, shopify_sandbox, database):
    """u1 is connected to HubSpot; to a shop it is not yet."""
    feed = Feed()
    specs = (*RECIPES, looking(toy(), feed))
    url = f"{shopify_sandbox.url}/shops/{{shop}}"
    broker = await start_broker(recipes=specs, shopify_url=url, allow_private_endpoints=True)
    await broker.makes_workspace()
    shops = Shops(shopify_sandbox, broker)
    assert (await shops.registers()).status == 201
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    put = await broker.asks("PUT", SETTINGS, json={"apiKey": "canary-toy", "word": "Shop"})
    assert put.status == 200, put.body
    await prepares(broker)
    return Looker(shops, feed, database, specs)


async def test_a_user_without_a_shop_is_not_polled_and_one_who_connects_begins_at_that_moment(
    looker,
):
    await looker.polls_now()
    nothing = (await looker.row(), list(looker.feed.looks))
    before = await looker.database.fetchval("SELECT now()")
    await looker.shops.connects()
    await looker.polls_now()
    (look,) = looker.feed.looks
    row = await looker.row()

    assert nothing == (None, [])
    assert (look.cursor, look.partner.account_id, look.user.hub_id) == (None, ACME, 101)
    assert before < look.begins_at <= look.started_at
    assert (row["cursor"], row["hub_id"], row["account_id"]) == ('{"from": 0}', 101, ACME)
    assert 50 < row["pause"].total_seconds() <= 66
    assert await looker.polls.work_due() == 0


async def test_what_a_poll_finds_starts_once_and_commits_with_the_cursor(looker):
    await looker.shops.connects()
    await looker.polls_now()
    looker.feed.contacts += [contact(looker.broker, firstname=name) for name in ("Ann", "Bob")]
    await looker.makes_due()
    await looker.polls_now()
    first = await looker.runs()
    await looker.database.execute("UPDATE recipe_poll SET cursor = '{\"from\": 0}', due_at = now()")
    await looker.polls_now()
    again = await looker.runs()

    assert [each["subject"] for each in first] == [
        f"101-{each}" for each in reversed(looker.feed.contacts)
    ]
    assert [each["runId"] for each in again] == [each["runId"] for each in first]
    assert looker.feed.looks[1].cursor == {"from": 0}


async def test_an_outage_keeps_the_cursor_backs_off_and_is_filled_afterwards(looker):
    await looker.shops.connects()
    await looker.polls_now()
    looker.feed.contacts.append(contact(looker.broker, firstname="Ann"))
    looker.shops.world.levers.frozen = 540
    rows = []
    for _ in range(2):
        await looker.makes_due()
        await looker.polls_now()
        rows.append(await looker.row())
    looker.shops.world.levers.frozen = 0
    nothing = await looker.runs()
    await looker.makes_due()
    await looker.polls_now()
    filled = await looker.row()

    assert [(each["failures"], each["cursor"]) for each in rows] == [
        (1, '{"from": 0}'), (2, '{"from": 0}'),
    ]  # fmt: skip
    assert rows[0]["last_error"] == "vendor-unavailable"
    assert 0 < rows[0]["pause"].total_seconds() <= 30 <= rows[1]["pause"].total_seconds() <= 60
    assert (nothing, len(await looker.runs())) == ([], 1)
    assert (filled["failures"], filled["last_error"]) == (0, None)


async def test_an_error_of_the_recipe_itself_is_tried_again_too(looker):
    await looker.shops.connects()
    await looker.database.execute("UPDATE recipe_poll SET account_id = 'x'")
    looker.feed.contacts = None  # a look at it raises TypeError
    await looker.polls_now()
    row = await looker.row()

    assert (row["failures"], row["last_error"], row["cursor"]) == (1, "internal", None)


async def test_disconnecting_stops_a_poll_on_either_side_and_connecting_begins_at_now(looker):
    await looker.shops.connects()
    await looker.polls_now()
    stopped = []
    for slug, connects in (
        ("shop", looker.shops.connects),
        ("hbdev", lambda: looker.broker.connects("u1")),
    ):
        await looker.broker.asks("DELETE", f"/api/apps/{slug}/connections/u1")
        await looker.makes_due()
        await looker.polls_now()
        stopped.append(await looker.row())
        looker.feed.contacts.append(contact(looker.broker, firstname="Ann"))
        await connects()
        await looker.polls_now()

    assert stopped == [None, None]
    assert [each.cursor for each in looker.feed.looks] == [None, None, None]
    assert await looker.runs() == []


async def test_another_shop_of_the_user_does_not_go_on_at_the_cursor_of_the_one_before(looker):
    await looker.shops.connects()
    await looker.polls_now()
    await looker.broker.asks("DELETE", "/api/apps/shop/connections/u1")
    await looker.shops.connects("u1", OTHER)
    await looker.polls_now()

    assert [each.partner.account_id for each in looker.feed.looks] == [ACME, OTHER]
    assert looker.feed.looks[1].cursor is None
    assert (await looker.row())["account_id"] == OTHER


async def test_an_ended_grant_parks_the_poll_until_the_user_connects_again_which_fills_the_gap(
    looker,
):
    await looker.shops.connects()
    await looker.polls_now()
    await looker.database.execute(
        "UPDATE connection_grant SET access_token = NULL, refresh_token = NULL,"
        " refresh_fingerprint = NULL, expires_at = NULL"
        " FROM connection WHERE connection.workspace_id = connection_grant.workspace_id"
        " AND id = connection_id AND hub_id IS NULL"
    )
    await looker.database.execute(
        "UPDATE connection SET status = 'REAUTH_REQUIRED' WHERE hub_id IS NULL"
    )
    await looker.makes_due()
    await looker.polls_now()
    parked = await looker.row()
    looker.feed.contacts.append(contact(looker.broker, firstname="Ann"))
    await looker.shops.connects()
    await looker.polls_now()

    assert (parked["due_at"], parked["last_error"]) == (None, "reauth-required")
    assert looker.feed.looks[-1].cursor == {"from": 0}
    assert len(await looker.runs()) == 1


async def test_settings_begin_polls_for_users_who_are_connected_and_end_them_with_the_recipe(
    looker,
):
    await looker.shops.connects()
    await looker.polls_now()
    await looker.broker.asks("PUT", SETTINGS, json={"word": "elsewhere"})
    await looker.polls_now()
    without = await looker.row()
    await looker.broker.asks("PUT", SETTINGS, json={"word": "Shop"})
    await looker.polls_now()
    looks = len(looker.feed.looks)
    await looker.broker.asks("DELETE", SETTINGS)

    assert (without, looks) == (None, 2)
    assert await looker.row() is None


async def test_two_processes_look_once_and_a_late_one_writes_nothing(looker, start_broker):
    await looker.shops.connects()
    url = f"{looker.shops.running.url}/shops/{{shop}}"
    other = await start_broker(recipes=looker.specs, shopify_url=url, allow_private_endpoints=True)
    both = (looker.polls, other.parts.recipes.polls)
    for _ in range(3):
        await looker.makes_due()
        await asyncio.gather(*(each.work_due() for each in both))
        await asyncio.gather(*(each.join() for each in both))
    looks = len(looker.feed.looks)

    looker.feed.contacts.append(contact(looker.broker, firstname="Ann"))
    await looker.makes_due()
    store = looker.polls._store  # noqa: SLF001  # a process that claims and then stands still
    (claimed,) = await store.claim(["greeting"], [], 5, datetime.resolution)
    await looker.polls_now(other.parts.recipes.polls)
    fresh = await looker.row()
    await store.postpone(claimed, datetime.resolution, "late", 1)
    await store.delete(claimed)
    late = RunRequest(claimed.workspace_id, claimed.app_id, "greeting", "late", "u1", 101, {})
    greeting = looker.polls._steps["greeting"]  # noqa: SLF001
    begun = await store.advance(
        claimed, greeting, 101, ACME, {"from": 9}, datetime.resolution, [late], []
    )

    assert (looks, begun) == (3, 0)
    assert len(await looker.runs()) == 1
    assert dict(await looker.row()) | {"now": 0, "pause": 0} == dict(fresh) | {"now": 0, "pause": 0}
