"""A won deal becomes one invoice in QuickBooks or Xero, and the deal shows what became of it."""

import asyncio
import json

import pytest

from broker.domain.runs import Run, StepContext
from broker.sandbox.core.faults import Fault
from tests.fixtures.broker_client import CLIENT_ID
from tests.flows.recipes.deals import SETTINGS, START, USER
from tests.until import until

BOTH = pytest.mark.parametrize("ledger", ["quickbooks", "xero"], indirect=True)
CREATIONS = {"quickbooks": "*/invoice", "xero": "*/Invoices"}


def error_of(ledger, deal):
    return ledger.shown(deal).get("invoice_sync_error", "")


@BOTH
async def test_a_deal_becomes_one_invoice_however_often_it_is_started(ledger):
    deal = ledger.deal("80.50")

    dry = await ledger.starts(deal, dryRun=True)
    untouched = (ledger.invoices(), ledger.shown(deal).get("invoice_sync_id"))
    answers = await asyncio.gather(*(ledger.starts(deal) for _ in range(3)))
    again = await ledger.starts(deal)

    assert dry.status == 200, dry.body
    assert untouched == ([], None)
    assert dry.json()["wouldSend"]["customer"]
    assert dry.json()["wouldSend"]["invoice"]
    assert dry.json()["wouldWrite"]["deal"]["invoice_sync_status"] == "created"
    assert {each.status for each in answers} == {201}, answers[0].body
    assert again.status == 200
    (invoice,) = ledger.invoices()
    result, shown = again.json(), ledger.shown(deal)
    assert float(result["total"]) == 80.5
    assert (result["customerCreated"], result["writtenBack"]) == (True, True)
    assert shown["invoice_sync_id"] == f"{ledger.account_id}:{result['invoiceId']}"
    assert shown["invoice_sync_number"] == result["invoiceNumber"]
    assert shown["invoice_sync_status"] == result["status"] == "created"
    assert error_of(ledger, deal) == ""
    assert f"hubspot-101-{deal}" in json.dumps(invoice, default=str)


@BOTH
async def test_a_deal_that_lacks_something_is_refused_before_anything_is_written(ledger):
    contact = ledger.contact()
    mismatched = ledger.deal("100.00", contact)
    ledger.item(mismatched, name="Lamp", price="45", quantity="2")
    foreign = ledger.deal("90", contact)
    ledger.item(foreign, name="Lamp", price="90", hs_line_item_currency_code="EUR")
    deals = {
        ledger.deal(contact=None): "has no contact",
        ledger.deal(None, contact): "neither an amount nor line items",
        ledger.deal("-5", contact): "nothing to bill",
        ledger.deal("5", contact, "GBP"): "GBP",
        ledger.deal("5", ledger.contact(email="", firstname="", lastname="")): "neither a name nor",
        mismatched: "its line items to 90.00",
        foreign: "is in EUR, the deal in USD",
    }
    before = len(ledger.customers())

    for deal, words in deals.items():
        answer = await ledger.starts(deal)
        assert (answer.status, answer.code) == (422, "input-refused"), answer.body
        assert words in answer.json()["detail"]
        assert error_of(ledger, deal) == answer.json()["detail"]
    gone = await ledger.starts("1")

    assert "no deal 1" in gone.json()["detail"]
    assert (ledger.invoices(), len(ledger.customers())) == ([], before)


@BOTH
async def test_a_deal_that_was_corrected_gets_its_invoice_by_a_retry(ledger):
    deal = ledger.deal(None)
    refused = await ledger.starts(deal)
    portal = ledger.broker.hubspot.portals[101]
    kind = portal.type("deals")
    portal.of(kind).by_id[deal].properties["amount"] = "12"

    retried = await ledger.broker.asks("POST", f"/api/recipes/runs/{refused.json()['runId']}/retry")
    await ledger.works()

    assert retried.status in {200, 202}, retried.body
    assert len(ledger.invoices()) == 1
    assert error_of(ledger, deal) == ""


@BOTH
async def test_line_items_become_lines_and_a_discount_one_piece_at_its_price(ledger):
    deal = ledger.deal("100.00")
    ledger.item(deal, name="Lamp", price="12.3456", quantity="3", hs_position_on_quote="1")
    ledger.item(
        deal, name="Desk", price="70", quantity="1", amount="62.96", hs_position_on_quote="0"
    )

    answer = await ledger.starts(deal)

    assert answer.status == 201, answer.body
    (invoice,) = ledger.invoices()
    lines = invoice.get("Line", invoice.get("LineItems"))
    described = [each["Description"] for each in lines if "Description" in each]
    assert described == ["Desk", "Lamp"]
    assert float(answer.json()["total"]) == 100.0
    assert "difference" not in answer.json()


@BOTH
async def test_payments_voids_and_repeats_come_back_onto_the_deal_by_webhook(ledger):
    deal = ledger.deal("100.00")
    started = await ledger.starts(deal)
    (invoice,) = ledger.invoices()
    seen = []

    for number, amount in enumerate(("40", "60")):
        ledger.pays(invoice, amount)
        body = ledger.event(invoice, f"2026-11-28T10:00:0{number}Z")
        for _ in range(2):
            assert (await ledger.receives(body)).status == 200
        await ledger.works()
        seen.append(ledger.shown(deal)["invoice_sync_status"])
    other = ledger.deal("7")
    await ledger.starts(other)
    second = ledger.invoices()[-1]
    ledger.voids(second)
    await ledger.receives(ledger.event(second))
    await ledger.works()
    again = await ledger.starts(deal)

    assert seen == ["partly_paid", "paid"]
    assert ledger.shown(other)["invoice_sync_status"] == "voided"
    assert (again.json()["runId"], again.json()["status"]) == (started.json()["runId"], "paid")
    assert len(ledger.invoices()) == 2


@BOTH
async def test_a_poll_finds_what_no_webhook_reported(ledger, database):
    deal = ledger.deal("100.00")
    await ledger.starts(deal)
    (invoice,) = ledger.invoices()
    polls = ledger.broker.parts.recipes.polls
    ledger.pays(invoice, "100.00")

    async def polled():
        await database.execute("UPDATE recipe_poll SET due_at = now()")
        await polls.work_due()
        await polls.join()
        await ledger.works()
        return ledger.shown(deal)["invoice_sync_status"] == "paid"

    await until(polled)


@BOTH
async def test_an_answer_that_was_lost_or_cut_off_makes_no_second_invoice(ledger):
    if ledger.books.provider == "quickbooks":
        ledger.books.world.levers.requestid_ignored = True
    fault = ledger.books.world.faults.add(
        Fault(CREATIONS[ledger.books.provider], "lose-answer", None, times=2)
    )
    fault.method = "POST" if ledger.books.provider == "quickbooks" else "PUT"
    deal = ledger.deal("100.00")

    start = asyncio.create_task(ledger.starts(deal))

    async def ended():
        await ledger.works()
        return start.done()

    await until(ended, within=20)

    assert (await start).json()["ok"] is True, start.result().body
    assert fault.hits > 0
    assert len(ledger.invoices()) == 1


@BOTH
async def test_an_invoice_is_emailed_once_and_only_if_the_settings_say_so(ledger):
    silent = await ledger.starts(ledger.deal("5"))
    await ledger.puts(sendEmail=True)
    without = await ledger.starts(ledger.deal("5", ledger.contact(email="")))
    sent = await ledger.starts(ledger.deal("6", ledger.contact(email="eve@x.example")))
    again = await ledger.starts(ledger.deal("7", ledger.contact(email="eva@x.example")))
    drafts = await ledger.broker.asks("PUT", SETTINGS, json={**ledger.settings, "approve": False})

    assert (silent.json()["emailed"], silent.json()["status"]) == (False, "created")
    assert "no e-mail address to send to" in without.json()["detail"]
    assert (sent.json()["emailed"], sent.json()["status"]) == (True, "sent"), sent.body
    assert again.json()["status"] == "sent"
    assert drafts.json()["errors"][0]["field"] == "sendEmail"


@BOTH
async def test_deals_of_one_contact_at_once_share_one_customer(ledger):
    levers = ledger.books.world.levers
    name = "requests_per_second" if ledger.books.provider == "quickbooks" else "concurrent_limit"
    setattr(levers, name, 1000)
    contact, before = ledger.contact(), len(ledger.customers())
    deals = [ledger.deal(f"{number}.00", contact) for number in range(1, 5)]

    answers = await asyncio.gather(*(ledger.starts(each) for each in deals))

    assert {each.status for each in answers} <= {201, 202}, answers[0].body
    await ledger.works()
    assert len(ledger.invoices()) == 4
    assert len(ledger.customers()) == before + 1


@BOTH
async def test_a_stage_starts_the_run_and_a_workflow_or_another_user_finds_it(ledger):
    trigger = {"property": "dealstage", "value": "closedwon"}
    assert (await ledger.puts(trigger=trigger)).status == 200
    wrong = await ledger.broker.asks(
        "PUT",
        SETTINGS,
        json={
            **ledger.settings,
            "trigger": {"property": "invoice_sync_status", "value": "paid"},
        },
    )
    deal = ledger.deal("100.00")
    event = {
        "subscriptionType": "deal.propertyChange",
        "portalId": 101,
        "appId": 1,
        "eventId": 1,
        "objectId": int(deal),
        "propertyName": "dealstage",
        "propertyValue": "closedwon",
        "occurredAt": 1_796_000_000_000,
    }

    for number in range(2):
        await ledger.broker.receives_webhook([{**event, "eventId": number}])
        await ledger.broker.run_background_work()
    await ledger.works()
    await ledger.broker.connects("u2")
    await ledger.connects("u2")
    other = await ledger.starts(deal, userForeignIdentifier="u2")
    runs = await ledger.broker.asks("GET", f"{START}/runs")

    assert wrong.json()["errors"][0]["field"] == "trigger.property"
    assert other.status == 200, other.body
    assert len(ledger.invoices()) == len(runs.json()["runs"]) == 1


@BOTH
async def test_one_deal_id_in_two_portals_is_two_invoices(ledger):
    deal = ledger.deal("100.00")
    portal = ledger.broker.hubspot.portals[102]
    kind = portal.type("deals")
    twin = ledger.deal("50.00", hub_id=102, contact=ledger.contact(102, email="b@x.example"))
    record = portal.of(kind).by_id.pop(twin)
    record.id = deal
    portal.of(kind).by_id[deal] = record
    contacts = portal.of(portal.type("contacts")).by_id
    ledger.links("deals", deal, "contacts", next(reversed(contacts)), 102)
    await ledger.broker.connects("u2", portal=102)
    await ledger.connects("u2")
    user = {"userForeignIdentifier": "u2"}
    await ledger.broker.asks("POST", f"{START}/setup", json=user)

    first = await ledger.starts(deal)
    second = await ledger.starts(deal, **user)

    assert (first.status, second.status) == (201, 201), second.body
    assert len(ledger.invoices()) == 2
    assert first.json()["invoiceId"] != second.json()["invoiceId"]


@BOTH
async def test_check_names_what_every_run_would_fail_for_and_offers_what_there_is(ledger):
    fine = await ledger.checks()
    await ledger.puts(
        item="99",
        account="99" if ledger.books.provider == "xero" else None,
        taxCode="nope",
        trigger={"property": "dealstage", "value": "won"},
    )
    found = await ledger.checks()
    await ledger.broker.asks("DELETE", "/api/apps/books/connections/u1")
    unconnected = await ledger.broker.asks("POST", f"{START}/check", json=USER)

    assert fine == []
    assert "closedwon" in next(each["remedy"] for each in found if each["about"] == "trigger")
    texts = [f"{each['message']} {each['remedy']}" for each in found]
    assert any("99" in each and ("Hours" in each or "Consulting" in each) for each in texts)
    assert any("nope" in each for each in texts)
    assert unconnected.json()["findings"][-1]["about"] == "accounting"


async def test_a_workflow_action_makes_the_invoice_and_returns_its_number(quickbooks):
    settings = (await quickbooks.broker.asks("GET", SETTINGS)).json()

    async def acts(deal):
        body = {
            "clientId": CLIENT_ID,
            "url": settings["actionUrl"],
            "hubId": 101,
            "objectType": "deals",
            "objectId": deal,
        }
        url = f"{quickbooks.broker.hubspot.url}/_sandbox/workflow-actions"
        return (await quickbooks.broker.asks("POST", url, json=body)).json()

    deal = quickbooks.deal("5")
    first, again = await acts(deal), await acts(deal)
    refused = await acts(quickbooks.deal(None))

    assert first["state"] == "SUCCESS", first
    assert again["output"] == first["output"]
    assert first["output"]["invoiceNumber"] == quickbooks.invoices()[0]["DocNumber"]
    assert refused["output"]["ok"] is False
    assert "neither an amount nor line items" in refused["output"]["error"]
    assert len(quickbooks.invoices()) == 1


@BOTH
async def test_attempts_of_one_step_that_overlap_leave_one_invoice_and_one_customer(
    ledger, database
):
    levers = ledger.books.world.levers
    name = "requests_per_second" if ledger.books.provider == "quickbooks" else "concurrent_limit"
    setattr(levers, name, 1000)
    deal, before = ledger.deal("5"), len(ledger.customers())
    await ledger.puts(accountingApp="none")
    await ledger.starts(deal)
    await ledger.puts(accountingApp="books")
    row = await database.fetchrow("SELECT id, workspace_id, app_id FROM recipe_run")
    steps = {each.name: each for each in ledger.broker.parts.recipes.built["invoices"].steps()}
    run = Run(
        row["workspace_id"], row["id"], row["app_id"], "hbdev", "invoices", 1, f"101-{deal}", "u1",
        101, {"dealId": deal}, 1,
    )  # fmt: skip
    read = await steps["read-deal"].run(StepContext(run, {}))
    again = StepContext(run, {"read-deal": read}, outcome_unknown=True)

    outcomes = await asyncio.gather(*(steps["create-invoice"].run(again) for _ in range(4)))

    assert len({each["invoiceId"] for each in outcomes}) == 1
    assert (len(ledger.invoices()), len(ledger.customers())) == (1, before + 1)


@BOTH
async def test_a_write_back_that_is_retried_late_does_not_take_a_payment_back(ledger):
    """The deal shows what the vendor says now, not what it said when the invoice was made."""
    deal = ledger.deal("100.00")
    hubspot = ledger.broker.hubspot
    hubspot.faults.add(Fault("/crm/v3/objects/deals/*", "status", method="PATCH", status=403))
    failed = await ledger.starts(deal)
    hubspot.faults.clear()
    (invoice,) = ledger.invoices()
    ledger.pays(invoice, "100.00")
    await ledger.receives(ledger.event(invoice))
    await ledger.works()
    paid = ledger.shown(deal)["invoice_sync_status"]
    run_id = failed.json()["runId"]
    await ledger.broker.asks("POST", f"/api/recipes/runs/{run_id}/retry")
    await ledger.works()
    again = (await ledger.starts(deal)).json()

    assert paid == "paid"
    assert ledger.shown(deal)["invoice_sync_status"] == "paid"
    assert (again["writtenBack"], again["status"]) == (True, "paid")


@pytest.mark.parametrize("ledger", ["quickbooks"], indirect=True)
async def test_a_deal_of_more_line_items_than_are_read_is_refused_and_not_billed_in_part(ledger):
    deal = ledger.deal(None)
    for _ in range(501):
        ledger.item(deal, name="Hour", price="1.00", quantity="1")

    refused = await ledger.starts(deal)

    assert refused.status == 422, refused.body
    assert "500 line items or more" in refused.json()["detail"]
    assert ledger.invoices() == []


@pytest.mark.parametrize("ledger", ["quickbooks"], indirect=True)
async def test_a_deal_of_which_a_line_item_cannot_be_read_is_not_billed_in_part(ledger):
    deal = ledger.deal(None)
    for name in ("Hour", "Day"):
        ledger.item(deal, name=name, price="1.00", quantity="1")
    (first, *_) = (
        ledger.broker.hubspot.portals[101]
        .of(ledger.broker.hubspot.portals[101].type("line_items"))
        .by_id
    )
    one = {"id": str(first), "properties": {"name": "Hour", "price": "1.00", "quantity": "1"}}
    ledger.broker.hubspot.faults.add(
        Fault("*/batch/read", "status", status=207, body=json.dumps({"results": [one]}))
    )

    refused = await ledger.starts(deal)

    assert refused.status == 422, refused.body
    assert "cannot be read" in refused.json()["detail"]
    assert ledger.invoices() == []
