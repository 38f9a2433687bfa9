"""Orders in the console: settings that offer what the account has, runs, and who sees them."""

import re

from tests.flows.console.test_console import sees, signs_in
from tests.flows.recipes.test_orders import LINE, START, records, till
from tests.flows.recipes.test_orders_poll import polls
from tests.until import until

__all__ = ["till"]

HTML = "<img src=x onerror=alert(1)>"


def form_of(page):
    """The settings' fields as a browser would send them."""
    form = re.search(r'action="[^"]*/orders/settings">(.*?)</form>', page, re.DOTALL)[1]
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*?value="([^"]*)"', form))
    fields |= dict.fromkeys(re.findall(r'type="checkbox" name="(\w+)" checked', form), "on")
    for name, options in re.findall(
        r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL
    ):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        fields[name] = chosen[1] or chosen[2]
    return fields


async def test_the_settings_offer_what_the_account_has_and_store_what_is_chosen(shops, till):
    portal = shops.broker.hubspot.portals[101]
    crm = shops.broker.hubspot.crm(portal)
    assert crm is not None
    portal.definitions(portal.type("deals"))["amount"]["label"] = HTML
    cookie = await signs_in(shops.broker)
    page = (await sees(shops.broker, "/orders/settings?app=hbdev", cookie)).body.decode()
    fields = form_of(page)
    changed = fields | {"amount": "total", "deal.orderName": "", "contact.company": "company"}
    changed["stages.open"] = "contractsent"
    saved = await sees(shops.broker, "/orders/settings", cookie, "POST", data=changed)
    wrong = await sees(
        shops.broker, "/orders/settings", cookie, "POST", data=fields | {"deal.amount": "No Name"}
    )
    stored = (await shops.broker.asks("GET", "/api/apps/hbdev/recipes/orders")).json()

    assert '<optgroup label="Sales Pipeline">' in page
    assert '<option value="closedwon" selected>' in page
    assert '<option value="phone">Phone number</option>' in page
    assert '<option value="createdate">' not in page  # HubSpot computes it
    assert "<option selected>shop</option>" in page
    assert HTML not in page
    assert "&lt;img" in page
    assert fields["deal.name"] == "dealname"
    assert saved.status == 303, saved.body
    assert (stored["amount"], stored["stages"]["open"]) == ("total", "contractsent")
    assert (stored["deal"]["orderName"], stored["contact"]["company"]) == (None, "company")
    assert wrong.status == 400
    assert "internal name" in wrong.body.decode()


async def test_runs_are_started_tried_out_listed_and_retried(shops, till, database):
    broker, cookie = shops.broker, await signs_in(shops.broker)
    order = till.place([LINE], email="ann@x.example")
    lacking = till.place([LINE])
    lacking.currency = "JPY"
    body = {"app": "hbdev", "userForeignIdentifier": "u1", "orderId": str(order.id), "since": ""}
    dry = await sees(
        broker,
        "/orders",
        cookie,
        "POST",
        data=body | {"dryRun": "yes"},
        headers={"HX-Request": "1"},
    )
    nothing = records(shops, "deals")
    started = await sees(broker, "/orders", cookie, "POST", data=body)
    failing = body | {"orderId": str(lacking.id)}
    failed = await sees(broker, "/orders", cookie, "POST", data=failing)
    await broker.parts.recipes.runs.join()
    await polls(shops, database)
    listed = (await sees(broker, "/orders?app=hbdev", cookie)).body.decode()
    run = failed.headers["Location"].partition("/console")[2]
    shown = (await sees(broker, run, cookie)).body.decode()
    question = (await sees(broker, f"{run}&dismiss=ask", cookie)).body.decode()
    lacking.currency = "USD"
    retried = await sees(
        broker, "/orders/retry", cookie, "POST", data={"id": run.partition("id=")[2]}
    )
    await broker.parts.recipes.runs.join()
    again = await sees(broker, "/orders", cookie, "POST", data=body | {"orderId": "one of May"})
    unwanted = till.place([LINE])
    unwanted.currency = "JPY"
    unwanted_body = body | {"orderId": str(unwanted.id)}
    unwanted_run = (await sees(broker, "/orders", cookie, "POST", data=unwanted_body)).headers[
        "Location"
    ]
    await broker.parts.recipes.runs.join()
    dismissed = {"id": unwanted_run.partition("id=")[2]}
    await sees(broker, "/orders/dismiss", cookie, "POST", data=dismissed)
    dismissed_run = await sees(broker, unwanted_run.partition("/console")[2], cookie)
    assert ">dismissed</span> after it failed at " in dismissed_run.body.decode()
    till.refund(order)
    await sees(broker, "/orders", cookie, "POST", data=body)
    await broker.parts.recipes.runs.join()
    twice = (await sees(broker, "/orders?app=hbdev", cookie)).body.decode()
    done = (await sees(broker, started.headers["Location"].partition("/console")[2], cookie)).body
    mended = (await sees(broker, run, cookie)).body.decode()
    settings = (await sees(broker, "/orders/settings?app=hbdev", cookie)).body.decode()

    assert (nothing, started.status, failed.status, retried.status) == ([], 303, 303, 303)
    assert b"Nothing was changed." in dry.body
    assert b"ann@x.example" in dry.body
    assert not re.findall(rb"Decimal|True|\{", dry.body)
    assert "does not have the currency JPY" in shown
    assert "orders/dismiss" not in shown
    assert re.search(r'href="[^"]+&amp;dismiss=ask">Dismiss', shown)
    assert question.index("Dismiss this run?") < question.index(">Dismiss it</button>")
    assert "does not have the currency JPY" in listed
    assert "USD" in listed
    assert b"Write the deal" in done
    assert again.status == 400
    assert "An order id is a number, for example 5123456789;" in again.body.decode()
    names = re.findall(r"<bdi>(Order #\d+, [a-z ]+)</bdi></a><br><small>Order (\d+) of", twice)
    assert [name.partition(", ")[2] for name, number in names if number == str(order.id)] == [
        "refunded",
        "paid",
    ]
    assert "new deal" in twice
    assert "deal changed" in twice
    assert "<h2>Result</h2>" in mended
    assert "acme.myshopify.com" in settings


async def test_a_history_is_brought_over_and_shows_how_far_it_is(shops, till):
    broker, cookie = shops.broker, await signs_in(shops.broker)
    till.shop.orders.clear()
    for _ in range(21):
        till.place([LINE])
    body = {
        "app": "hbdev",
        "userForeignIdentifier": "u1",
        "orderId": "",
        "since": "2020-01-01T00:00",
    }
    started = await sees(broker, "/orders", cookie, "POST", data=body)
    await broker.parts.recipes.runs.join()
    run = started.headers["Location"].partition("/console")[2]
    under_way = (await sees(broker, run, cookie)).body.decode()

    async def ended():
        await broker.parts.recipes.runs.work_due()
        await broker.parts.recipes.runs.join()
        return "Orders written" in (await sees(broker, run, cookie)).body.decode()

    await until(ended)
    done = (await sees(broker, run, cookie)).body.decode()

    assert "20 written so far" in under_way
    assert "Orders of acme.myshopify.com since 2020-01-01T00:00:00+00:00" in under_way
    assert "<code>21</code>" in done
    assert "read_all_orders" in done


async def test_nobody_else_sees_or_starts_them(shops, till):
    broker = shops.broker
    run = (
        await broker.asks("POST", START, json={"userForeignIdentifier": "u1", "orderId": "1"})
    ).json()
    path = f"/orders/run?id={run['runId']}"
    without = await signs_in(broker, await broker.makes_key("console", "apps"))
    other = await signs_in(broker, await broker.makes_key("console", "recipes", apps=("another",)))
    seen = await signs_in(broker)

    assert [(await sees(broker, each, without)).status for each in ("/orders", path)] == [403, 403]
    assert (await sees(broker, path, other)).status == 404
    assert (await sees(broker, f"/kyb/run?id={run['runId']}", seen)).status == 404
    assert (await sees(broker, path, seen)).status == 200
    assert "no-order" in (await sees(broker, path, seen)).body.decode()
