"""Invoices in the console: settings that offer what both accounts have, and runs."""

import re

from tests.flows.console.test_console import sees, signs_in
from tests.flows.recipes.test_orders_console import HTML, form_of


async def test_the_settings_offer_what_both_accounts_have_and_store_what_is_chosen(quickbooks):
    broker, company = quickbooks.broker, quickbooks.company
    company.records["Item"]["2"]["Name"] = HTML
    await quickbooks.puts(health={"minSuccessRate": 0.5})
    cookie = await signs_in(broker)
    page = (await sees(broker, "/invoices/settings?app=hbdev", cookie)).body.decode()
    fields = form_of(page.replace("/invoices/settings", "/orders/settings"))
    changed = fields | {
        "item": "3",
        "taxCode": "TAX",
        "trigger.value": "closedwon",
        "dueDays": "14",
        "writeBack.number": "",
        "sendEmail": "on",
    }
    saved = await sees(broker, "/invoices/settings", cookie, "POST", data=changed)
    wrong = await sees(
        broker, "/invoices/settings", cookie, "POST", data=fields | {"dueDays": "-1"}
    )
    stored = (await broker.asks("GET", "/api/apps/hbdev/recipes/invoices")).json()
    part = {"app": "hbdev", "user": "u1"}
    watched = fields | {"health": "on", "health.minSuccessRate": "97.5", "health.maxP95S": ""}
    watched |= {"health.window": "20", "trigger.value": "closedwon"}
    sets = [
        await sees(broker, "/invoices/settings", cookie, "POST", data=each)
        for each in (watched, watched | {"health.minSuccessRate": "many", "health.window": "1"})
    ]
    notice = await sees(broker, sets[0].headers["Location"].partition("/console")[2], cookie)
    limits = (await broker.asks("GET", "/api/apps/hbdev/recipes/invoices")).json()["health"]
    runs = (await sees(broker, "/invoices?app=hbdev", cookie)).body.decode()
    limited = (await sees(broker, "/invoices/settings?app=hbdev", cookie)).body.decode()
    del watched["health"]
    await sees(broker, "/invoices/settings", cookie, "POST", data=watched)
    unlimited = (await broker.asks("GET", "/api/apps/hbdev/recipes/invoices")).json()["health"]
    checked = await sees(broker, "/invoices/check", cookie, "POST", data=part)
    prepared = await sees(broker, "/invoices/prepare", cookie, "POST", data=part)
    stages = broker.hubspot.portals[101].pipelines["0-3"]["default"]["stages"]
    next(each for each in stages if each["id"] == "contractsent")["label"] = "Signed <b>"
    await quickbooks.puts(trigger={"property": "dealstage", "value": "contractsent"})
    named = (await sees(broker, "/invoices/settings?app=hbdev", cookie)).body.decode()
    company.settings.access = False
    trouble = (await sees(broker, "/invoices/settings?app=hbdev", cookie)).body.decode()

    assert '<optgroup label="Sales Pipeline">' in page
    assert "Subscription (3)" in page
    assert "<option selected>books</option>" in page
    assert HTML not in page
    assert saved.status == 303, saved.body
    assert (stored["item"], stored["taxCode"], stored["dueDays"]) == ("3", "TAX", 14)
    assert stored["trigger"] == {"property": "dealstage", "value": "closedwon"}
    assert (stored["writeBack"]["number"], stored["sendEmail"]) == (None, True)
    assert stored["health"]["minSuccessRate"] == 0.5
    assert (fields["health.minSuccessRate"], fields["health"]) == ("50", "on")
    assert [each.status for each in sets] == [303, 400], sets[0].body
    sentence = "Deals that are in the stage already get no invoice by themselves."
    assert f'<p role="status"><strong>Saved.</strong> {sentence}</p>' in notice.body.decode()
    assert "Saved." not in limited
    assert limits == {"minSuccessRate": 0.975, "maxP95S": None, "window": 20}
    assert "Starts by itself when a deal reaches the stage Closed Won." in limited
    assert "HubSpot has to report deal.propertyChange of dealstage" in limited
    assert "Starts by itself when a deal reaches the stage Closed won." in runs
    assert "when a deal reaches the stage Signed &lt;b&gt;." in named
    assert 'value="97.5"' in limited
    assert "More than 0, at most 100." in sets[1].body.decode()
    assert 'value="many"' in sets[1].body.decode()
    assert "A number from 5 to 1000." in sets[1].body.decode()
    assert unlimited is None
    assert wrong.status == 400
    assert "dueDays" in wrong.body.decode()
    assert (checked.status, prepared.status) == (200, 200)
    assert "has no access to the company any more" in trouble


async def test_runs_are_started_tried_out_listed_and_shown(quickbooks):
    broker, cookie = quickbooks.broker, await signs_in(quickbooks.broker)
    deal, lacking = quickbooks.deal("12.00"), quickbooks.deal(None)
    body = {"app": "hbdev", "userForeignIdentifier": "u1", "dealId": deal}
    dry = await sees(
        broker,
        "/invoices",
        cookie,
        "POST",
        data=body | {"dryRun": "yes"},
        headers={"HX-Request": "1"},
    )
    nothing = quickbooks.invoices()
    started = await sees(broker, "/invoices", cookie, "POST", data=body)
    failed = await sees(broker, "/invoices", cookie, "POST", data=body | {"dealId": lacking})
    typed = await sees(broker, "/invoices", cookie, "POST", data=body | {"dealId": "Big deal"})
    await quickbooks.works()
    listed = (await sees(broker, "/invoices?app=hbdev", cookie)).body.decode()
    await quickbooks.puts(sendEmail=True)
    later = (await sees(broker, "/invoices?app=hbdev", cookie)).body.decode()
    (invoice,) = quickbooks.invoices()
    quickbooks.pays(invoice, "12.00")
    await quickbooks.receives(quickbooks.event(invoice))
    await quickbooks.works()
    paid = (await sees(broker, "/invoices?app=hbdev", cookie)).body.decode()
    run = (await sees(broker, started.headers["Location"].partition("/console")[2], cookie)).body
    other = (await sees(broker, failed.headers["Location"].partition("/console")[2], cookie)).body
    again = await sees(broker, "/invoices", cookie, "POST", data=body)
    repeated = await sees(broker, again.headers["Location"].partition("/console")[2], cookie)

    preview = dry.body.decode()
    assert "Would be sent to the accounting system" in preview
    assert "<dt>A customer would be created</dt><dd><bdi>yes</bdi>" in preview
    assert re.search(r"An invoice of 12(\.00)? USD, before tax. It is not e-mailed.", preview)
    assert "<dt>Line 1</dt><dd><dl" in preview
    assert not re.findall(r"Decimal|True|\{", preview)
    assert (nothing, started.status, failed.status) == ([], 303, 303)
    assert re.search(rf"<bdi>Big deal</bdi></a><br><small>Deal {deal} of account 101<", listed)
    assert re.search(r"invoice \d+, 12\S* USD, <strong>open, not e-mailed</strong>", listed)
    assert '<span class="state good">done</span>' in listed
    assert '<span class="state ">done, not e-mailed</span>' in later
    assert re.search(r"invoice \d+, 12\S* USD, <strong>paid</strong>", paid)
    assert typed.status == 400
    assert "A deal id is a number, for example 9876543210;" in typed.body.decode()
    assert "no stage is chosen" in listed
    assert "Find or make the customer and the invoice" in run.decode()
    assert "made by this run" in run.decode()
    assert b"had a run already" not in run
    assert b"This record already has a run" in repeated.body
    assert len(quickbooks.invoices()) == 1
    assert "neither an amount nor line items" in other.decode()
