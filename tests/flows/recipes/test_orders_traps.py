"""What shops do that users trip over (4.4, 4.8, 4.9, 5), each as a run meets it."""

import json
from datetime import UTC, datetime, timedelta

from broker.sandbox.core.faults import Fault
from broker.sandbox.shopify.store import kinds
from tests.flows.providers.shops import ACME, OTHER
from tests.flows.recipes.test_orders import LINE, SETTINGS, START, USER, records, starts, till
from tests.flows.recipes.test_orders_poll import keeper, polls, reports, runs

__all__ = ["keeper", "till"]

GRAPHQL = "*/graphql.json"


def deal(shops, order, shop=ACME):
    """The properties of an order's deal."""
    key = f"{shop}:{order.id}"
    (found,) = [
        each for each in records(shops, "deals") if each.properties["shop_order_key"] == key
    ]
    return found.properties


def linked(shops, order, shop=ACME):
    """The contacts of an order's deal."""
    key, portal = f"{shop}:{order.id}", shops.broker.hubspot.portals[101]
    (found,) = [
        each for each in records(shops, "deals") if each.properties["shop_order_key"] == key
    ]
    by_id = portal.of(portal.type("contacts")).by_id
    return [by_id[each].properties for each in portal.links.of("0-3", found.id, "0-1")]


def orders_answer(shops, **changes):
    """Shopify's answer to the query for one order, with some fields changed."""
    node = {
        "legacyResourceId": "1", "name": "#1", "email": None, "phone": None, "test": False,
        "processedAt": "2026-11-28T10:00:00Z", "updatedAt": "2026-11-28T10:00:00Z",
        "cancelledAt": None, "currencyCode": "USD", "displayFinancialStatus": "PAID",
        **{
            f"{name}Set": {"shopMoney": {"amount": "80.0"}}
            for name in ("totalPrice", "currentTotalPrice", "netPayment")
        },
        "customer": None, "billingAddress": None, **changes,
    }  # fmt: skip
    return json.dumps({"data": {"order": node}})


async def test_every_kind_of_order_is_a_deal_in_shop_money_and_a_person_only_where_there_is_one(
    shops, till
):
    """4.8, 4.9 row 3 and 8."""
    found = {}
    for kind in kinds.KINDS:
        order = kinds.place(till, kind)
        answer = await starts(shops, order)
        assert answer.status == (200 if kind == "test" else 201), (kind, answer.body)
        found[kind] = answer.json() | {"order": order}

    stages = {kind: each.get("stage") for kind, each in found.items()}
    without = {kind for kind, each in found.items() if each.get("contactId") is None}
    euros = deal(shops, found["multi_currency"]["order"])
    contacts = [each.properties["email"] for each in records(shops, "contacts")]
    assert found["test"]["skipped"] == "test"
    assert {stages[kind] for kind in ("pending", "authorized")} == {"appointmentscheduled"}
    assert {stages[kind] for kind in ("plain", "guest", "pos", "free", "long")} == {"closedwon"}
    assert without == {"guest", "pos", "test"}
    assert found["pos"]["notes"] == [
        "The order names no e-mail address and no customer: it has no contact."
    ]
    assert contacts == ["ada.lovelace@example.com"]
    assert (euros["deal_currency_code"], float(euros["amount"])) == ("USD", 64)
    assert not [each for each in shops.broker.hubspot.seen if "/search" in each.raw_path]


async def test_edits_partial_refunds_with_and_without_lines_and_cancellations_are_followed(
    shops, till
):
    """4.8 and 4.9 row 9, for each of the amounts that the settings may name."""
    amounts = {}
    for amount in ("net", "current", "total"):
        await shops.broker.asks("PUT", SETTINGS, json={"shopApp": "shop", "amount": amount})
        order = till.place([LINE, {"title": "Bulb", "price": "20.00", "quantity": 1}])
        seen = [await starts(shops, order)]
        till.refund(order, "10.00")  # without lines
        seen.append(await starts(shops, order))
        till.refund(order, lines=[(order.lines[0].id, 1)])
        seen.append(await starts(shops, order))
        till.edit(order, [{"title": "Shade", "price": "5.00"}], [])
        seen.append(await starts(shops, order))
        till.cancel(order)
        seen.append(await starts(shops, order))
        amounts[amount] = [float(each.json()["amount"]) for each in seen]
        stages = [each.json()["stage"] for each in seen]
        assert stages == ["closedwon"] * 4 + ["closedlost"]
        assert deal(shops, order)["shop_financial_status"] == "REFUNDED"

    assert amounts == {
        "net": [100, 90, 50, 50, 0],
        "current": [100, 100, 60, 65, 0],
        "total": [100, 100, 100, 105, 105],
    }


async def test_a_person_s_choice_of_a_stage_stays_until_the_order_is_won_or_lost(shops, till):
    """A closed deal is not moved back unless the settings say so."""
    paid, lost, reopened = (till.place([LINE], paid=paid) for paid in (True, False, False))
    for order in (paid, lost, reopened):
        await starts(shops, order)
    deal(shops, paid)["dealstage"] = "contractsent"
    deal(shops, lost)["dealstage"] = deal(shops, reopened)["dealstage"] = "closedlost"
    till.refund(paid, "1.00")
    till.pay(lost)
    kept, stays = await starts(shops, paid), await starts(shops, lost)
    await shops.broker.asks("PUT", SETTINGS, json={"shopApp": "shop", "reopen": True})
    till.pay(reopened)
    opened = await starts(shops, reopened)
    till.refund(paid)
    left = await starts(shops, paid)

    assert (kept.json()["stage"], left.json()["stage"]) == ("contractsent", "closedlost")
    assert (stays.json()["stage"], opened.json()["stage"]) == ("closedlost", "closedwon")
    assert stays.json()["notes"][-1].startswith("The order is paid, and its deal stays lost")
    assert float(deal(shops, lost)["amount"]) == 80


async def test_what_shopify_leaves_out_is_not_written_as_pending(shops, till):
    """4.9 row 4: a missing field says nothing."""
    order = till.place([LINE])
    await starts(shops, order)
    missing = orders_answer(shops, legacyResourceId=str(order.id), displayFinancialStatus=None)
    fault = Fault(GRAPHQL, "status", status=200, body=missing)
    shops.world.faults.add(fault)
    answer = await starts(shops, order)
    shops.world.faults.clear()

    assert answer.status == 200, answer.body
    shown = deal(shops, order)
    assert (shown["dealstage"], shown["shop_financial_status"]) == ("closedwon", "PAID")
    assert shown["shop_order_state"] == "won"


async def test_topics_of_other_objects_start_nothing_and_an_update_may_come_before_the_creation(
    shops, till
):
    """4.9 rows 1 and 7."""
    order = till.place([LINE])
    await reports(shops, order, "checkouts/create")
    await reports(shops, order, "draft_orders/update")
    nothing = await runs(shops)
    await reports(shops, order, "orders/updated")
    await reports(shops, order, "orders/create")

    assert nothing == []
    assert [each["result"].get("skipped") for each in await runs(shops)] == ["unchanged", None]
    assert len(records(shops, "deals")) == 1


async def test_identities_are_joined_by_address_and_by_customer_and_never_by_name(shops, till):
    """4.9 row 11, and customers who are merged."""
    other = type(till)(shops.world, shops.world.shops[OTHER])
    await shops.broker.connects("u2")
    await shops.connects("u2", OTHER)
    named = {"billing": {"first_name": "Ann", "last_name": "Lee"}}
    guests = [till.place([LINE], email=f"{each}@x.example", **named) for each in "ab"]
    here, there = till.place([LINE], email="C@x.example"), other.place([LINE], email="c@x.example")
    counter = till.add_customer(first_name="Till", last_name="Roe")
    first = till.place([LINE], customer=counter)
    for order in (*guests, here, first):
        assert (await starts(shops, order)).status == 201
    assert (await starts(shops, there, userForeignIdentifier="u2")).status == 201
    by_key = [each for each in records(shops, "contacts") if not each.properties.get("email")]
    counter.email = "roe@x.example"
    later = till.place([LINE], customer=counter)
    await starts(shops, later)
    kept = till.add_customer(email="kept@x.example", first_name="Kim")
    till.merge(kept, counter)
    later.email = None
    till.touch(later, note="merged")
    await starts(shops, later)

    emails = sorted(each.properties["email"] for each in records(shops, "contacts"))
    assert emails == [
        "a@x.example",
        "b@x.example",
        "c@x.example",
        "kept@x.example",
        "roe@x.example",
    ]
    assert by_key[0].properties["email"] == "roe@x.example"
    assert {each["email"] for each in linked(shops, first)} == {"roe@x.example"}
    assert {each["email"] for each in linked(shops, later)} == {"roe@x.example", "kept@x.example"}
    assert linked(shops, here)[0]["email"] == linked(shops, there, OTHER)[0]["email"]


async def test_an_address_that_is_another_one_of_a_contact_is_that_contact_and_no_news_costs_no_write(
    shops, till
):
    """9.3: HubSpot names the contact whose address is taken; an echo writes nothing."""
    portal = shops.broker.hubspot.portals[101]
    kind = portal.type("contacts")
    made = shops.broker.hubspot.crm(portal).create(
        kind, {"properties": {"email": "ann@x.example", "firstname": "Ann"}}
    )
    order = till.place([LINE], email="ann@work.example", billing={"first_name": "Anna"})
    conflict = json.dumps(
        {"status": "error", "message": f"Contact already exists. Existing ID: {made.id}"}
    )
    shops.broker.hubspot.faults.add(
        Fault("/crm/v3/objects/contacts", "status", method="POST", status=409, body=conflict)
    )
    answer = await starts(shops, order)
    shops.broker.hubspot.faults.clear()
    same = till.place([LINE], email="ann@x.example", billing={"first_name": "Anna"})
    shops.broker.hubspot.seen.clear()
    again = await starts(shops, same)
    writes = [
        (each.method, each.raw_path)
        for each in shops.broker.hubspot.seen
        if "/contacts" in each.raw_path
        and each.method != "GET"
        and "associations" not in each.raw_path
    ]

    assert answer.json()["contactId"] == again.json()["contactId"] == str(made.id)
    assert made.properties["firstname"] == "Anna"
    assert (made.properties["email"], writes) == ("ann@x.example", [])


async def test_what_shopify_refuses_says_what_to_do_and_what_passes_is_tried_again(
    shops, till, database
):
    """4.4."""
    order = till.place([LINE])
    denied = {"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}
    cost = {"message": "cost", "extensions": {"code": "MAX_COST_EXCEEDED"}}
    partly = json.loads(orders_answer(shops)) | {"errors": [denied]}
    refusals = {
        "read_orders": (200, json.dumps(partly)),
        "refused the query": (200, json.dumps({"errors": [cost]})),
        "Pay it": (402, "{}"),
        "locked the shop": (423, "{}"),
        "for its security": (430, "{}"),
        "no such shop": (404, "{}"),
    }
    for words, (status, body) in refusals.items():
        shops.world.faults.add(Fault(GRAPHQL, "status", status=status, body=body))
        answer = await starts(shops, order)
        shops.world.faults.clear()
        assert answer.status in {403, 422}, (words, answer.body)
        assert words in answer.json()["detail"]
    assert records(shops, "deals") == []

    throttled = {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]}
    waits = (
        Fault(GRAPHQL, "status", status=200, body=json.dumps(throttled)),
        Fault(GRAPHQL, "status", status=429, headers={"Retry-After": "2.0"}),
        Fault(GRAPHQL, "status", status=540),
        Fault(GRAPHQL, "lose-answer"),
        Fault(GRAPHQL, "html", status=200),
    )
    await reports(shops, order)
    await database.execute("DELETE FROM shop_order")
    for number, fault in enumerate(waits):
        till.touch(order, note=str(number))
        shops.world.faults.add(fault)
        await reports(shops, order)
        assert len(await runs(shops, "running")) == 1, fault
        shops.world.faults.clear()
        await database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at > now()")
        while await shops.broker.parts.recipes.runs.work_due():
            await shops.broker.parts.recipes.runs.join()

    assert {each["state"] for each in await runs(shops)} == {"done"}
    assert len(records(shops, "deals")) == 1


async def test_an_app_that_may_not_see_people_makes_deals_without_them(shops, till):
    """4.7: names and addresses are withheld."""
    shops.world.levers.pii = False
    ann = till.add_customer(email="ann@x.example", first_name="Ann")
    answer = await starts(shops, till.place([LINE], customer=ann))
    (contact,) = records(shops, "contacts")

    assert answer.status == 201, answer.body
    assert contact.properties["shop_customer_key"] == f"{ACME}:{ann.id}"
    assert not contact.properties.get("email")


async def test_orders_older_than_shopify_shows_are_missing_with_a_word(shops, till):
    """4.9 row 10."""
    till.shop.orders.clear()
    till.place([LINE], created_at=shops.world.now() - 90 * 86_400)
    till.place([LINE])
    moments = [datetime.now(UTC) - timedelta(days=days) for days in (100, 10)]
    bodies = [{**USER, "since": each.isoformat()} for each in moments]
    answers = [(await shops.broker.asks("POST", START, json=body)).json() for body in bodies]

    assert [each["written"] for each in answers] == [1, 1]
    assert "read_all_orders" in answers[0]["notes"][0]
    assert answers[1]["notes"] == []


async def test_check_says_what_of_the_settings_does_not_fit_the_account_and_offers_what_does(
    shops, till
):
    """1: a pipeline that does not exist, a stage of another, a currency and properties that lack."""
    till.shop.currency = "JPY"
    check, asks = f"{START}/check", shops.broker.asks
    body = {
        "shopApp": "shop",
        "deal": {"amount": "closedate", "orderName": "no_such", "closeDate": "createdate"},
        "contact": {"company": "jobtitle"},
        "stages": {"open": "appointmentscheduled", "won": "closedwon", "lost": "Lost"},
    }
    await asks("PUT", SETTINGS, json=body)
    found = {
        each["about"]: each for each in (await asks("POST", check, json=USER)).json()["findings"]
    }
    await asks("PUT", SETTINGS, json={"shopApp": "shop", "pipeline": "e-commerce"})
    pipeline = (await asks("POST", check, json=USER)).json()["findings"][0]

    assert set(found) == {
        "stages.lost",
        "currency",
        "deal.amount",
        "deal.orderName",
        "deal.closeDate",
    }
    assert "closedlost (" in found["stages.lost"]["remedy"]
    assert "JPY" in found["currency"]["message"]
    assert "USD, EUR, GBP" in found["currency"]["remedy"]
    assert "type datetime" in found["deal.amount"]["message"]
    assert "computes it" in found["deal.closeDate"]["message"]
    assert "default (Sales Pipeline)" in pipeline["remedy"]
    portal = shops.broker.hubspot.portals[101]
    portal.definitions(portal.type("deals"))["shop_order_key"]["hasUniqueValue"] = False
    shared = (await asks("POST", check, json=USER)).json()["findings"]
    assert "shop_order_key" in {each["about"] for each in shared}


async def test_a_deal_that_a_person_deleted_comes_back_with_the_next_change_of_its_order(
    shops, till
):
    order = till.place([LINE])
    await starts(shops, order)
    portal = shops.broker.hubspot.portals[101]
    (first,) = records(shops, "deals")
    shops.broker.hubspot.crm(portal).archive(portal.type("deals"), first.id)
    till.refund(order, "30.00")
    answer = await starts(shops, order)

    assert answer.json()["created"] is True
    assert answer.json()["dealId"] != first.id


async def test_woocommerce_statuses_currencies_and_numbers_of_plugins_are_taken_as_they_are(
    shop, keeper
):
    """5: numbers and statuses that plugins change, a currency for each order, gross totals, a
    failed payment that succeeds, and what is in the trash."""
    world = shop.site.world
    world.levers.custom_statuses, world.levers.number_prefix = ("shipped",), "WEB-"
    line = {"name": "Lamp", "price": "40.00", "quantity": 2}
    order = keeper.place(lines=[line], status="failed")
    answers = [await starts(shop, order)]
    for status in ("processing", "shipped"):
        keeper.change(order, status=status)
        answers.append(await starts(shop, order))
    keeper.trash(order)
    answers.append(await starts(shop, order))
    keeper.restore(order)
    euros = keeper.place(lines=[line], status="processing")
    euros.currency = "EUR"
    answers.append(await starts(shop, euros))
    (deal,) = [
        each.properties
        for each in records(shop, "deals")
        if each.properties["shop_order_key"].endswith(f":{order.id}")
    ]

    assert [each.json()["stage"] for each in answers] == [
        "appointmentscheduled", "closedwon", "closedwon", "closedlost", "closedwon",
    ]  # fmt: skip
    assert (deal["dealname"], deal["shop_order_name"]) == (
        f"Order #WEB-{order.id}", f"#WEB-{order.id}",
    )  # fmt: skip
    assert answers[-1].json()["currency"] == "EUR"


async def test_what_woocommerce_refuses_says_what_to_do_and_what_passes_is_tried_again(
    shop, keeper, database
):
    """5: rights, a fatal error in HTML, maintenance, firewalls."""
    line = {"name": "Lamp", "price": "40.00", "quantity": 2}
    order = keeper.place(lines=[line], status="processing")
    path = "*/wc/v3/orders/*"
    lacking = json.dumps({"code": "woocommerce_rest_cannot_view", "message": "Sorry"})
    shop.site.world.faults.add(Fault(path, "status", status=403, body=lacking))
    refused = await starts(shop, order)
    shop.site.world.faults.clear()
    shop.site.world.faults.add(Fault(path, "html", status=500, times=1))
    away = await starts(shop, order)
    shop.site.world.faults.clear()
    shop.site.world.levers.maintenance = True
    await polls(shop, database)
    failures = await database.fetchval("SELECT failures FROM recipe_poll")
    shop.site.world.levers.maintenance = False
    await polls(shop, database)

    assert refused.status == 403
    assert "an account that manages the shop" in refused.json()["detail"]
    assert (away.status, away.code) == (502, "vendor-unavailable")
    assert failures == 1
    assert len(records(shop, "deals")) == 1
