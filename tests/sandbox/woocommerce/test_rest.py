"""The sandbox WooCommerce's REST API: keys, listings, orders, refunds, errors."""

import base64
import hashlib
import hmac
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from tests.sandbox.woocommerce.client import running

AUTH_ERROR = "woocommerce_rest_authentication_error"


@pytest.fixture
async def woo():
    async with running() as made:
        yield made


async def test_without_a_key_only_the_index_of_the_site_is_shown(woo):
    order = woo.people.place()
    found = [
        await woo.refused(method, route, body, keyed=False)
        for method, route, body in (
            ("GET", "orders", None),
            ("GET", f"orders/{order.id}", None),
            ("POST", "orders", {}),
            ("PUT", f"orders/{order.id}", {}),
            ("DELETE", f"orders/{order.id}", None),
            ("GET", "customers", None),
            ("GET", "webhooks", None),
        )
    ]
    status, index, _ = await woo.request("GET", f"{woo.url}/wp-json/", keyed=False)

    assert found == [
        (401, "woocommerce_rest_cannot_view"),
        (401, "woocommerce_rest_cannot_view"),
        (401, "woocommerce_rest_cannot_create"),
        (401, "woocommerce_rest_cannot_edit"),
        (401, "woocommerce_rest_cannot_delete"),
        (401, "woocommerce_rest_cannot_view"),
        (401, "woocommerce_rest_cannot_view"),
    ]
    assert (status, "wc/v3" in index["namespaces"]) == (200, True)


async def test_a_wrong_secret_and_an_unknown_key_have_different_errors(woo):
    def signed(name, secret):
        value = base64.b64encode(f"{name}:{secret}".encode()).decode()
        return {"headers": {"Authorization": f"Basic {value}"}}

    status, wrong, headers = await woo.request(
        "GET", "orders", **signed(woo.key.consumer_key, "no")
    )
    unknown = await woo.refused("GET", "orders", **signed("ck_none", "cs_none"))

    assert (status, wrong["code"]) == (401, AUTH_ERROR)
    assert wrong["message"] == "Consumer secret is invalid."
    assert headers["WWW-Authenticate"].startswith('Basic realm="WooCommerce API')
    assert unknown == (401, "woocommerce_rest_cannot_view")


async def test_a_key_does_what_its_permissions_and_its_users_rights_allow(woo):
    woo.key.permissions = "read"
    reads = (await woo.request("GET", "orders"))[0], await woo.refused("POST", "orders", {})
    woo.key.permissions = "write"
    writes = await woo.refused("GET", "orders"), (await woo.request("POST", "orders", {}))[0]
    woo.key.permissions, woo.key.manages = "read_write", False
    neither = await woo.refused("GET", "orders")

    assert reads == (200, (401, AUTH_ERROR))
    assert writes == ((401, AUTH_ERROR), 201)
    assert neither == (403, "woocommerce_rest_cannot_view")


async def test_a_host_that_strips_the_header_leaves_the_query(woo):
    await woo.control("POST", "levers", {"strip_auth_header": True})
    stripped = await woo.refused("GET", "orders")
    query = urlencode(
        {"consumer_key": woo.key.consumer_key, "consumer_secret": woo.key.consumer_secret}
    )
    in_query, _, _ = await woo.request("GET", f"orders?{query}", keyed=False)
    seen = await woo.control("GET", "requests")

    assert stripped == (401, "woocommerce_rest_cannot_view")
    assert in_query == 200
    assert woo.key.consumer_secret not in str(seen)
    assert seen[0]["key_sha256"] == hashlib.sha256(woo.key.consumer_key.encode()).hexdigest()


def oauth(woo, route, nonce="n1", at=None, secret=None, method="HMAC-SHA256", **query):
    """A URL signed as RFC 5849 specifies, without code of the sandbox."""
    params = {
        **query,
        "oauth_consumer_key": woo.key.consumer_key,
        "oauth_timestamp": str(int(woo.clock.at if at is None else at)),
        "oauth_nonce": nonce,
        "oauth_signature_method": method,
    }
    url = f"{woo.url}/wp-json/wc/v3/{route}"
    pairs = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in params.items())
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    text = "&".join(["GET", quote(url, safe="~"), quote(joined, safe="~")])
    key = f"{secret or woo.key.consumer_secret}&".encode()
    digest = getattr(hashlib, method.removeprefix("HMAC-").lower(), hashlib.md5)
    params["oauth_signature"] = base64.b64encode(
        hmac.new(key, text.encode(), digest).digest()
    ).decode()
    return f"{url}?{urlencode(params, quote_via=quote)}"


async def test_over_plain_http_only_signed_requests_are_accepted(woo):
    await woo.control("POST", "levers", {"plain_http": True})
    basic = await woo.refused("GET", "orders")
    signed = [
        (await woo.request("GET", oauth(woo, "orders", nonce, method=method, search="ada & co"), keyed=False))[0]
        for nonce, method in (("a", "HMAC-SHA256"), ("b", "HMAC-SHA1"))
    ]  # fmt: skip

    assert basic == (401, "woocommerce_rest_cannot_view")
    assert signed == [200, 200]


async def test_a_signature_is_refused_when_it_is_wrong_old_or_used(woo):
    minute = 60

    async def error_of(url):
        status, answer, _ = await woo.request("GET", url, keyed=False)
        assert status == 401
        return answer["message"]

    good = oauth(woo, "orders")
    assert (await woo.request("GET", good, keyed=False))[0] == 200
    assert await error_of(good) == "Invalid nonce - nonce has already been used."
    assert await error_of(oauth(woo, "orders", "n2", secret="no")) == (
        "Invalid signature - provided signature does not match."
    )
    assert await error_of(oauth(woo, "orders", "n3", woo.clock.at - 16 * minute)) == (
        "Invalid timestamp."
    )
    assert await error_of(oauth(woo, "orders", "n4", method="HMAC-MD5")) == (
        "Invalid signature - signature method is invalid."
    )
    part = good.partition("&oauth_nonce")[0]
    assert await error_of(part) == "Missing OAuth parameters oauth_nonce, oauth_signature, oauth_signature_method"  # fmt: skip
    woo.key.consumer_key = "ck_none"
    assert await error_of(oauth(woo, "orders", "n5")) == "Consumer key is invalid."


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("per_page=ten", "per_page"),
        ("page=0", "page"),
        ("status=nope", "status"),
        ("orderby=total", "orderby"),
        ("order=up", "order"),
        ("modified_after=yesterday", "modified_after"),
        ("modified_after=2026-11-30", "modified_after"),
        ("include=a,b", "include"),
    ],
)
async def test_a_parameter_that_cannot_be_is_named(woo, query, name):
    woo.people.place()

    status, answer, _ = await woo.request("GET", f"orders?{query}")

    assert (status, answer["code"]) == (400, "rest_invalid_param")
    assert answer["message"] == f"Invalid parameter(s): {name}"
    assert name in answer["data"]["params"]


async def test_unknown_records_and_routes_are_not_found(woo):
    found = [
        await woo.refused(*each)
        for each in (
            ("GET", "orders/1"),
            ("PUT", "orders/1", {}),
            ("GET", "orders/1/refunds/2"),
            ("GET", "customers/1"),
            ("GET", "webhooks/1"),
            ("PUT", "webhooks/1", {}),
            ("GET", "nope"),
            ("PATCH", "orders"),
        )
    ]

    assert found == [
        (404, "woocommerce_rest_shop_order_invalid_id"),
        (400, "woocommerce_rest_shop_order_invalid_id"),
        (404, "woocommerce_rest_shop_order_refund_invalid_id"),
        (404, "woocommerce_rest_invalid_id"),
        (404, "woocommerce_rest_shop_webhook_invalid_id"),
        (400, "woocommerce_rest_shop_webhook_invalid_id"),
        (404, "rest_no_route"),
        (404, "rest_no_route"),
    ]


async def test_a_body_that_is_not_json_and_a_status_that_does_not_exist_are_refused(woo):
    order = woo.people.place()
    broken = await woo.refused("POST", "orders", data=b"{")
    status = await woo.refused("PUT", f"orders/{order.id}", {"status": "nope"})
    customer = await woo.refused("POST", "orders", {"customer_id": 7})

    assert broken == (400, "rest_invalid_json")
    assert status == (400, "rest_invalid_param")
    assert customer == (400, "woocommerce_rest_invalid_customer_id")


async def test_an_order_is_shown_with_its_odd_types(woo):
    woo.world.levers.site_offset_minutes = -300
    order = woo.people.place()

    _, shown, _ = await woo.request("GET", f"orders/{order.id}")

    assert (shown["id"], shown["number"]) == (order.id, str(order.id))
    assert (shown["status"], shown["currency"]) == ("processing", "USD")
    assert (shown["total"], shown["total_tax"]) == ("69.80", "5.80")
    assert shown["date_created"] == "2026-11-29T19:00:00"
    assert shown["date_created_gmt"] == shown["date_paid_gmt"] == "2026-11-30T00:00:00"
    assert shown["billing"]["email"] == "Ada.Lovelace@Example.com"
    assert shown["line_items"][0]["price"] == 14.5
    assert shown["line_items"][1]["total"] == "35.00"
    assert shown["date_completed_gmt"] is None


async def test_guests_have_no_customer_and_plugins_change_numbers_and_currencies(woo):
    woo.world.levers.number_prefix = "WEB-"
    guest = woo.people.place("guest")
    euros = woo.people.place("multi_currency")

    _, shown, _ = await woo.request("GET", f"orders/{guest.id}")
    _, other, _ = await woo.request("GET", f"orders/{euros.id}")

    assert (shown["customer_id"], shown["number"]) == (0, f"WEB-{guest.id}")
    assert (other["currency"], other["customer_id"] > 0) == ("EUR", True)


async def test_a_refund_leaves_the_total_and_a_full_one_sets_the_status(woo):
    order = woo.people.place()
    route = f"orders/{order.id}/refunds"
    made = await woo.request("POST", route, {"amount": "10.00", "reason": "broken"})
    _, part, _ = await woo.request("GET", f"orders/{order.id}")
    too_much = await woo.request("POST", route, {"amount": "100"})
    await woo.request("POST", route, {"amount": "59.80"})
    _, whole, _ = await woo.request("GET", f"orders/{order.id}")
    _, listed, _ = await woo.request("GET", route)
    _, one, _ = await woo.request("GET", f"{route}/{made[1]['id']}")

    assert (made[0], made[1]["amount"]) == (201, "10.00")
    assert (part["total"], part["status"]) == ("69.80", "processing")
    assert part["refunds"] == [{"id": made[1]["id"], "reason": "broken", "total": "-10.00"}]
    assert (too_much[0], too_much[1]["code"]) == (
        500,
        "woocommerce_rest_cannot_create_order_refund",
    )
    assert (whole["total"], whole["status"]) == ("69.80", "refunded")
    assert [each["amount"] for each in listed] == ["59.80", "10.00"]
    assert one["reason"] == "broken"


async def test_a_refund_of_no_order_is_answered_with_500_as_the_source_has_it(woo):
    status, answer, _ = await woo.request("POST", "orders/1/refunds", {"amount": "1"})
    listed = await woo.request("GET", "orders/1/refunds")

    assert (status, answer["code"], answer["data"]) == (
        500,
        "woocommerce_rest_invalid_order_id",
        404,
    )
    assert listed[:2] == (200, [])


async def test_pages_have_totals_and_links_that_carry_no_credentials(woo):
    for _ in range(5):
        woo.people.place()
    keys = {"consumer_key": woo.key.consumer_key, "consumer_secret": woo.key.consumer_secret}
    query = urlencode({"per_page": 2, "page": 2, "status": "any", **keys})
    status, page, headers = await woo.request("GET", f"orders?{query}", keyed=False)
    links = headers.getall("Link")
    after = await woo.request("GET", "orders?per_page=2&page=9")

    assert (status, len(page)) == (200, 2)
    assert (headers["X-WP-Total"], headers["X-WP-TotalPages"]) == ("5", "3")
    assert [link.rpartition("; ")[2] for link in links] == ['rel="prev"', 'rel="next"']
    target = urlsplit(links[1].partition(">")[0][1:])
    assert dict(parse_qsl(target.query)) == {"per_page": "2", "page": "3", "status": "any"}
    assert after[1] == []
    assert after[2]["X-WP-Total"] == "5"


async def test_a_poll_by_change_is_in_order_and_leaves_out_the_second_it_names(woo):
    woo.world.levers.site_offset_minutes = 120
    orders = []
    for _ in range(3):
        orders.append(woo.people.place("guest"))
        woo.clock.at += 1
    woo.people.change(orders[0], status="completed")
    base = "orders?orderby=modified&order=asc&status=any&modified_after="

    gmt = (await woo.request("GET", f"{base}2026-11-30T00:00:01&dates_are_gmt=true"))[1]
    local = (await woo.request("GET", f"{base}2026-11-30T02:00:01"))[1]
    zulu = (await woo.request("GET", f"{base}2026-11-30T00:00:01Z"))[1]

    for found in (gmt, local, zulu):
        assert [each["id"] for each in found] == [orders[2].id, orders[0].id]


async def test_listings_filter_by_status_customer_ids_and_words(woo):
    ada = woo.people.place()
    draft, guest = woo.people.place("draft"), woo.people.place("guest")
    woo.people.trash(guest)

    async def ids(query):
        return [each["id"] for each in (await woo.request("GET", f"orders?{query}"))[1]]

    assert await ids("") == [draft.id, ada.id]
    assert await ids("status=trash") == [guest.id]
    assert await ids("status=processing,checkout-draft&order=asc") == [ada.id, draft.id]
    assert await ids("status[]=processing") == [ada.id]
    assert await ids(f"customer={ada.customer_id}") == [ada.id]
    assert await ids(f"include={draft.id}") == [draft.id]
    assert await ids(f"exclude={draft.id}") == [ada.id]
    assert await ids("search=LOVELACE&per_page=1") == [draft.id]
    assert await ids("search=nobody") == []
    assert await ids("offset=1") == [ada.id]


async def test_orders_are_made_changed_trashed_and_deleted(woo):
    line = {"name": "Mug", "quantity": 2, "total": "20.00"}
    payload = {"set_paid": True, "line_items": [line], "billing": {"email": "a@x.example"}}
    status, made, headers = await woo.request("POST", "orders", payload)
    route = f"orders/{made['id']}"
    meta = [{"key": "hubspot", "value": "1"}]
    _, changed, _ = await woo.request("PUT", route, {"status": "completed", "meta_data": meta})
    _, trashed, _ = await woo.request("DELETE", route)
    again = await woo.refused("DELETE", route)
    gone, _, _ = await woo.request("DELETE", f"{route}?force=true")

    assert (status, made["status"], made["total"]) == (201, "processing", "20.00")
    assert headers["Location"].endswith(f"/wp-json/wc/v3/{route}")
    assert (changed["status"], changed["date_completed_gmt"]) == (
        "completed",
        "2026-11-30T00:00:00",
    )
    assert changed["meta_data"] == meta
    assert trashed["status"] == "trash"
    assert again == (410, "woocommerce_rest_already_trashed")
    assert (gone, woo.world.orders) == (200, {})


async def test_customers_are_made_once_and_found(woo):
    _, made, _ = await woo.request("POST", "customers", {"email": "Bob@x.example"})
    twice = await woo.refused("POST", "customers", {"email": "bob@X.example"})
    missing = await woo.refused("POST", "customers", {})
    _, found, _ = await woo.request("GET", "customers?email=bob@x.example")
    _, read, _ = await woo.request("GET", f"customers/{made['id']}")

    assert twice == (400, "registration-error-email-exists")
    assert missing == (400, "rest_missing_callback_param")
    assert [each["id"] for each in found] == [made["id"]]
    assert (read["username"], read["is_paying_customer"]) == ("Bob", False)


async def test_plain_permalinks_have_the_route_in_the_query(woo):
    order = woo.people.place()
    await woo.control("POST", "levers", {"permalinks": "plain"})
    pretty = await woo.request("GET", "orders")
    plain = await woo.request("GET", f"{woo.url}/?rest_route=/wc/v3/orders/{order.id}")

    assert (pretty[0], "<html" in pretty[1]) == (404, True)
    assert (plain[0], plain[1]["id"]) == (200, order.id)


async def test_maintenance_and_fatal_errors_come_as_html(woo):
    await woo.control("POST", "levers", {"maintenance": True})
    maintenance = await woo.request("GET", "orders")
    await woo.control("POST", "levers", {"maintenance": False})
    await woo.control("POST", "faults", {"path": "/wp-json/*", "kind": "html", "status": 500})
    fatal = await woo.request("GET", "orders")
    await woo.control("DELETE", "faults")

    assert (maintenance[0], "<html" in maintenance[1]) == (503, True)
    assert (fatal[0], "<html" in fatal[1]) == (500, True)
    assert (await woo.request("GET", "orders"))[0] == 200


async def test_the_system_status_shows_the_currency(woo):
    _, status, _ = await woo.request("GET", "system_status")

    assert status["settings"] == {"currency": "USD", "number_of_decimals": 2}
