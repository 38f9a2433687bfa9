"""The sandbox's Admin API: scopes, orders and customers, pages, points."""

import aiohttp
import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.admin.search import Term, parse
from broker.sandbox.shopify.store.kinds import KINDS, place
from tests.sandbox.shopify import queries
from tests.sandbox.shopify.client import running

DAY = 86_400


@pytest.fixture
async def shopify():
    async with running() as made:
        yield made.granted()


def gid(order):
    return {"id": f"gid://shopify/Order/{order.id}"}


async def shown(shopify, order):
    return (await shopify.query(queries.ORDER, gid(order)))["data"]["order"]


async def names(shopify, query):
    answer = await shopify.query(queries.ORDER_NAMES, {"query": query})
    return [each["name"] for each in answer["data"]["orders"]["nodes"]]


@pytest.mark.parametrize(("status", "message"), [(402, "Unavailable"), (423, "unavailable"), (430, "Rejection"), (540, "Disabled")])  # fmt: skip
async def test_a_frozen_store_answers_nothing(shopify, status, message):
    shopify.world.levers.frozen = status

    got, body, _ = await shopify.post_query(queries.SHOP)

    assert got == status
    assert message in body["errors"]


async def test_a_token_that_is_unknown_or_missing_is_refused(shopify):
    for token in ("", "shpat_none"):
        status, body, _ = await shopify.post_query(queries.SHOP, token=token)
        assert status == 401
        assert body["errors"].startswith("[API] Invalid API key or access token")


async def test_a_body_that_is_not_a_query_is_refused(shopify):
    headers = {"X-Shopify-Access-Token": shopify.token}
    path = "/admin/api/2026-10/graphql.json"
    found = [
        (await shopify.post(path, headers=headers, data=body))[0]
        for body in (b"", b"[]", b'{"query": 1}', b'{"query": "{", "variables": []}', b"\xff")
    ]

    assert found == [400, 400, 400, 200, 400]


async def test_a_field_that_does_not_exist_is_named(shopify):
    body = await shopify.query("{ shop { nope } }")

    error = body["errors"][0]
    assert error["message"] == "Field 'nope' doesn't exist on type 'Shop'"
    assert error["extensions"] == {
        "code": "undefinedField",
        "typeName": "Shop",
        "fieldName": "nope",
    }
    assert "data" not in body


async def test_a_missing_variable_is_an_error_without_data(shopify):
    body = await shopify.query(queries.ORDER)

    assert body["errors"][0]["extensions"]["code"] == "INVALID_VARIABLE"
    assert "data" not in body


async def test_a_missing_scope_is_an_error_with_status_200(shopify):
    order = place(shopify.merchant)
    shopify.granted(["read_customers"])

    body = await shopify.query(queries.ORDER, gid(order))

    error = body["errors"][0]
    assert body["data"] == {"order": None}
    assert error["path"] == ["order"]
    assert error["extensions"]["code"] == "ACCESS_DENIED"
    assert error["extensions"]["requiredAccess"] == "`read_orders` access scope."


async def test_errors_and_data_come_together_when_one_field_is_denied(shopify):
    place(shopify.merchant)
    shopify.granted(["read_orders"])

    body = await shopify.query(queries.ORDER_EDGES)

    assert body["data"]["orders"]["edges"][0]["node"] == {"name": "#1001", "customer": None}
    assert body["errors"][0]["path"] == ["orders", "edges", 0, "node", "customer"]


async def test_an_app_without_protected_data_sees_no_orders_and_with_level_one_no_people(shopify):
    order = place(shopify.merchant)
    shopify.app.protected_data = 0
    refused = await shopify.query(queries.ORDER, gid(order))
    shopify.app.protected_data = 1
    bare = await shown(shopify, order)
    shopify.app.protected_data = 2
    shopify.world.levers.pii = False
    also_bare = await shown(shopify, order)

    assert "not approved to access the Order object" in refused["errors"][0]["message"]
    assert bare == also_bare
    assert [bare["email"], bare["billingAddress"]] == [None, None]
    assert bare["customer"]["defaultEmailAddress"] is None
    assert bare["totalPriceSet"]["shopMoney"]["amount"] == "64.0"


async def test_the_query_of_the_recipe_is_answered_whole(shopify):
    order = place(shopify.merchant, billing={"last_name": "Lovelace", "country_code": "US"})

    node = await shown(shopify, order)

    assert node["legacyResourceId"] == str(order.id)
    assert (node["name"], node["number"]) == ("#1001", 1001)
    assert node["displayFinancialStatus"] == "PAID"
    assert node["customer"]["defaultEmailAddress"]["emailAddress"] == "Ada.Lovelace@Example.com"
    assert node["billingAddress"]["countryCodeV2"] == "US"
    assert node["createdAt"] == "2026-11-30T00:00:00Z"
    assert [line["sku"] for line in node["lineItems"]["nodes"]] == ["MUG-1", "APR-2"]
    assert [line["discountedTotalSet"]["shopMoney"]["amount"] for line in node["lineItems"]["nodes"]] == ["29.0", "35.0"]  # fmt: skip


async def test_guest_and_till_orders_have_no_customer_and_no_address(shopify):
    for kind in ("guest", "pos"):
        node = await shown(shopify, place(shopify.merchant, kind))
        assert (node["customer"], node["email"], node["phone"]) == (None, None, None)


async def test_two_currencies_never_mix(shopify):
    node = await shown(shopify, place(shopify.merchant, "multi_currency"))

    assert (node["currencyCode"], node["presentmentCurrencyCode"]) == ("USD", "EUR")
    assert node["totalPriceSet"] == {
        "shopMoney": {"amount": "64.0", "currencyCode": "USD"},
        "presentmentMoney": {"amount": "59.12", "currencyCode": "EUR"},
    }


async def test_a_refund_without_lines_changes_the_net_payment_only(shopify):
    order = place(shopify.merchant)
    shopify.merchant.refund(order, "10.00", note="late")
    part = await shown(shopify, order)
    shopify.merchant.refund(order)
    whole = await shown(shopify, order)
    refunds = (await shopify.query(queries.REFUNDS, gid(order)))["data"]["order"]["refunds"]

    sums = [
        (
            node["displayFinancialStatus"],
            *(node[name]["shopMoney"]["amount"] for name in ("currentTotalPriceSet", "totalRefundedSet", "netPaymentSet")),
        )
        for node in (part, whole)
    ]  # fmt: skip
    assert sums == [
        ("PARTIALLY_REFUNDED", "64.0", "10.0", "54.0"),
        ("REFUNDED", "64.0", "64.0", "0.0"),
    ]
    assert [each["note"] for each in refunds] == ["late", None]


async def test_returns_and_edits_change_the_current_total_only(shopify):
    order = place(shopify.merchant)
    shopify.merchant.refund(order, lines=[(order.lines[0].id, 1)])
    returned = await shown(shopify, order)
    shopify.merchant.edit(order, [{"title": "Gift box", "price": "5"}], [order.lines[1].id])
    edited = await shown(shopify, order)

    assert returned["totalPriceSet"]["shopMoney"]["amount"] == "64.0"
    assert returned["currentTotalPriceSet"]["shopMoney"]["amount"] == "49.5"
    assert returned["lineItems"]["nodes"][0]["currentQuantity"] == 1
    assert edited["currentTotalPriceSet"]["shopMoney"]["amount"] == "19.5"
    assert edited["edited"] is True


async def test_a_cancelled_order_is_voided_or_refunded(shopify):
    paid, pending = place(shopify.merchant), place(shopify.merchant, "pending")
    for order in (paid, pending):
        shopify.merchant.cancel(order, "FRAUD")

    nodes = [await shown(shopify, order) for order in (paid, pending)]

    assert [node["displayFinancialStatus"] for node in nodes] == ["REFUNDED", "VOIDED"]
    assert {node["cancelReason"] for node in nodes} == {"FRAUD"}


async def test_yen_have_no_digits_and_dinars_three(shopify):
    shopify.shop.currency = "JPY"
    yen = await shown(shopify, place(shopify.merchant, lines=[{"title": "x", "price": "1000"}]))
    shopify.shop.currency = "KWD"
    fils = await shown(shopify, place(shopify.merchant, lines=[{"title": "x", "price": "1.234"}]))

    assert yen["totalPriceSet"]["shopMoney"]["amount"] == "1000.0"
    assert fils["totalPriceSet"]["shopMoney"]["amount"] == "1.234"


async def test_sixty_days_are_reached_and_no_more_without_the_scope(shopify):
    old = place(shopify.merchant, created_at=shopify.clock.at - 61 * DAY)
    place(shopify.merchant)
    before = await names(shopify, ""), await shown(shopify, old)
    shopify.granted(["read_orders", "read_customers", "read_all_orders"])
    after = await names(shopify, ""), await shown(shopify, old)

    assert before == (["#1002"], None)
    assert (after[0], after[1]["name"]) == (["#1001", "#1002"], "#1001")


async def test_an_order_of_another_kind_of_id_is_not_found_or_refused(shopify):
    order = place(shopify.merchant)

    none = await shopify.query(queries.ORDER, {"id": "gid://shopify/Order/1"})
    bad = await shopify.query(queries.ORDER, {"id": str(order.id)})

    assert none["data"] == {"order": None}
    assert "errors" not in none
    assert bad["errors"][0]["message"] == "Invalid global id"


async def test_pages_follow_the_sort_order_and_not_a_row_number(shopify):
    for _ in range(5):
        place(shopify.merchant)
        shopify.clock.at += 1
    first = await shopify.query(queries.ORDERS, {"first": 2})
    page = first["data"]["orders"]
    shopify.merchant.touch(shopify.shop.orders[int(page["nodes"][0]["id"].rpartition("/")[2])])
    after = {"first": 9, "after": page["pageInfo"]["endCursor"]}
    rest = (await shopify.query(queries.ORDERS, after))["data"]["orders"]

    assert [each["name"] for each in page["nodes"]] == ["#1001", "#1002"]
    assert page["pageInfo"]["hasNextPage"] is True
    assert [each["name"] for each in rest["nodes"]] == ["#1003", "#1004", "#1005", "#1001"]
    assert rest["pageInfo"]["hasNextPage"] is False


async def test_pages_go_backwards(shopify):
    for _ in range(5):
        place(shopify.merchant)
    last = (await shopify.query(queries.ORDERS_BEFORE))["data"]["orders"]
    before = {"before": last["pageInfo"]["startCursor"]}
    earlier = (await shopify.query(queries.ORDERS_BEFORE, before))["data"]["orders"]

    assert [each["name"] for each in last["nodes"]] == ["#1004", "#1005"]
    assert [each["name"] for each in earlier["nodes"]] == ["#1002", "#1003"]
    assert (earlier["pageInfo"]["hasPreviousPage"], earlier["pageInfo"]["hasNextPage"]) == (True, True)  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "one of first or last"),
        ({"first": 251}, "between 0 and 250"),
        ({"first": 2, "after": "bm90IGEgY3Vyc29y"}, "Invalid cursor"),
        ({"first": 2, "after": "%%%"}, "Invalid cursor"),
        ({"first": 2, "query": "name:'unfinished"}, "does not understand"),
        ({"first": 2, "query": "a:1 OR b:2"}, "does not understand"),
        ({"first": 2, "query": "updated_at:>=yesterday"}, "yesterday"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(shopify, variables, message):
    place(shopify.merchant)

    body = await shopify.query(queries.ORDERS, variables)

    assert message in body["errors"][0]["message"]


async def test_orders_are_found_by_the_terms_of_a_search(shopify):
    for kind in ("plain", "pending", "test", "guest"):
        place(shopify.merchant, kind)
        shopify.clock.at += 60
    shopify.merchant.cancel(next(iter(shopify.shop.orders.values())))

    found = {
        query: await names(shopify, query)
        for query in (
            "updated_at:>='2026-11-30T00:02:00Z'",
            "updated_at:>2026-11-30T00:02:00Z AND test:false",
            "financial_status:pending",
            "status:cancelled",
            "test:true",
            "-test:true name:#1002",
            "email:'ada.lovelace@example.com' status:open",
            "customer_id:0",
            "Ada.Love name:'#1003'",
        )
    }

    assert list(found.values()) == [
        ["#1001", "#1003", "#1004"],
        ["#1001", "#1004"],
        ["#1002"],
        ["#1001"],
        ["#1003"],
        ["#1002"],
        ["#1002", "#1003"],
        ["#1004"],
        ["#1003"],
    ]


async def test_a_search_field_that_does_not_exist_is_left_out_with_a_warning(shopify):
    place(shopify.merchant)

    body = await shopify.query(queries.ORDER_NAMES, {"query": "nope:1"})

    assert len(body["data"]["orders"]["nodes"]) == 1
    assert body["extensions"]["search"][0]["warnings"][0]["field"] == "nope"


def test_quotes_and_backslashes_are_escaped_with_backslashes():
    assert parse(r"email:'o\'neil\\x' -tag:vip created_at:<=2026-01-01") == [
        Term("email", "", r"o'neil\x", negated=False),
        Term("tag", "", "vip", negated=True),
        Term("created_at", "<=", "2026-01-01", negated=False),
    ]


async def test_counts_stop_at_their_limit(shopify):
    for _ in range(3):
        place(shopify.merchant)

    every = await shopify.query(queries.COUNT)
    one = await shopify.query(queries.COUNT, {"query": "name:#1001"})

    assert every["data"]["ordersCount"] == {"count": 2, "precision": "AT_LEAST"}
    assert one["data"]["ordersCount"] == {"count": 1, "precision": "EXACT"}


async def test_customers_are_listed_and_read(shopify):
    ada = shopify.merchant.add_customer(email="ada@x.example", first_name="Ada", tags=["vip"])
    shopify.merchant.add_customer(email="bob@x.example")

    found = await shopify.query(queries.CUSTOMERS, {"query": "tag:vip"})
    read = await shopify.query(queries.CUSTOMER, {"id": f"gid://shopify/Customer/{ada.id}"})

    assert [each["firstName"] for each in found["data"]["customers"]["nodes"]] == ["Ada"]
    assert read["data"]["customer"]["displayName"] == "Ada"


async def test_the_shop_and_the_installation_describe_themselves(shopify):
    shop = (await shopify.query(queries.SHOP))["data"]["shop"]
    installation = (await shopify.query(queries.INSTALLATION))["data"]["currentAppInstallation"]

    assert shop["myshopifyDomain"] == "acme.myshopify.com"
    assert installation["app"] == {"apiKey": "client", "title": "Broker"}
    assert {each["handle"] for each in installation["accessScopes"]} == {
        "read_orders",
        "read_customers",
    }


async def test_an_unknown_version_falls_forward_to_the_oldest(shopify):
    answered = [
        (await shopify.post_query(queries.VERSIONS, version=each))[2]["X-Shopify-API-Version"]
        for each in ("2026-10", "2024-01", "nope")
    ]
    shopify.world.levers.version_fall_forward = False
    gone, _, _ = await shopify.post_query(queries.VERSIONS, version="2024-01")

    assert answered == ["2026-10", "2026-01", "2026-01"]
    assert gone == 404


async def test_every_answer_shows_its_points_and_refunds_those_not_needed(shopify):
    place(shopify.merchant)

    cost = (await shopify.query(queries.FRAGMENTS))["extensions"]["cost"]

    # 2 for the connection, and 4 for each node: order, bag, money, customer.
    assert (cost["requestedQueryCost"], cost["actualQueryCost"]) == (10, 6)
    assert cost["throttleStatus"] == {
        "maximumAvailable": 2000.0,
        "currentlyAvailable": 1994,
        "restoreRate": 100.0,
    }


async def test_a_mutation_costs_ten(shopify):
    cost = (await shopify.query(queries.UNSUBSCRIBE, {"id": "gid://shopify/x/1"}))["extensions"]

    assert cost["cost"]["requestedQueryCost"] == cost["cost"]["actualQueryCost"] == 10


async def test_a_query_over_a_thousand_points_is_refused_before_it_is_run(shopify):
    body = await shopify.query(queries.BIG)

    assert body["errors"][0]["extensions"]["code"] == "MAX_COST_EXCEEDED"
    assert body["errors"][0]["extensions"]["maxCost"] == 1000
    assert "data" not in body


@pytest.mark.parametrize("status", [200, 429])
async def test_an_empty_bucket_throttles_and_fills_up_with_time(shopify, status):
    shopify.world.levers.bucket, shopify.world.levers.throttled_status = 12.0, status
    shopify.world.levers.restore_rate = 1.0
    order = place(shopify.merchant, "guest")
    one = "{ shop { name } }"
    spent = [await shopify.query(one) for _ in range(12)]
    got, body, _ = await shopify.post_query(one)
    shopify.clock.at += 1
    later = await shopify.query(one)

    assert [each["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"] for each in spent][-1] == 0  # fmt: skip
    assert got == status
    assert body["errors"] == [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]
    assert body["extensions"]["cost"]["actualQueryCost"] is None
    assert "data" not in body
    assert later["data"]["shop"]["name"] == "Acme"
    assert order.id in shopify.shop.orders


async def test_a_lost_answer_leaves_its_effect(shopify):
    await shopify.control("POST", "faults", {"path": "*/graphql.json", "kind": "lose-answer", "times": 1})  # fmt: skip
    query = {"topic": "ORDERS_CREATE", "to": {"uri": "https://x.example/hook"}}
    with pytest.raises(aiohttp.ClientError):
        await shopify.post_query(queries.SUBSCRIBE, query)

    assert len(shopify.world.webhooks.subscriptions) == 1


async def test_every_kind_of_order_is_shown(shopify):
    for kind in KINDS:
        assert await shown(shopify, place(shopify.merchant, kind))
    long = next(order for order in shopify.shop.orders.values() if len(order.lines) == 60)
    assert (await shown(shopify, long))["lineItems"]["pageInfo"]["hasNextPage"] is True
