"""What QuickBooks refuses, and what the deal advises the person to do about it (vendors' rows of
section 6.7 and 6.10).
"""

import asyncio
import json

from broker.sandbox.core.faults import Fault
from broker.sandbox.quickbooks.books.defaults import plant_own_records
from broker.sandbox.quickbooks.books.entities import ENTITIES
from broker.sandbox.quickbooks.books.writing import write
from broker.sandbox.quickbooks.levers import Levers
from tests.flows.recipes.deals import QB_UK
from tests.until import until


def sets(ledger, **settings):
    """Change what the company's owner decides."""
    for name, value in settings.items():
        setattr(ledger.company.settings, name, value)
    plant_own_records(ledger.company)


async def refused(ledger, words, status=422, deal=None):
    """A deal whose run fails in these words, which the deal shows."""
    deal = deal or ledger.deal("100.00")
    answer = await ledger.starts(deal)
    assert answer.status == status, answer.body
    assert words in answer.json()["detail"], answer.body
    assert ledger.shown(deal)["invoice_sync_error"] == answer.json()["detail"]
    return deal


async def test_a_taken_name_ends_in_a_name_of_its_own_and_never_in_a_loop(quickbooks):
    """6240: a name is taken by a vendor, an employee, an inactive customer or another person."""
    company = quickbooks.company
    for number, entity in enumerate(("Vendor", "Employee", "Customer", "Customer")):
        name = f"Ada O'Neil {number}"
        person = {"DisplayName": name, "PrimaryEmailAddr": {"Address": "other@x.example"}}
        record = write(company, Levers(), ENTITIES[entity], person, "")
        if number == 2:
            company.save(ENTITIES[entity], {**record, "Active": False})
        contact = quickbooks.contact(lastname=f"O'Neil {number}")
        answer = await quickbooks.starts(quickbooks.deal("10.00", contact))
        assert answer.status == 201, answer.body
        named = company.get("Customer", answer.json()["customerId"])["DisplayName"]
        assert named == f"{name} (HubSpot 101-contact-{contact})"
        again = await quickbooks.starts(quickbooks.deal("11.00", contact))
        assert again.json()["customerId"] == answer.json()["customerId"]
    contact = quickbooks.contact(lastname="O'Neil 5", email="new@x.example")
    for name in ("Ada O'Neil 5", f"Ada O'Neil 5 (HubSpot 101-contact-{contact})"):
        write(company, Levers(), ENTITIES["Vendor"], {"DisplayName": name}, "")
    await refused(quickbooks, "are taken in QuickBooks", deal=quickbooks.deal("5", contact))


async def test_a_customer_is_found_by_one_of_its_addresses_by_name_and_by_the_stored_id(quickbooks):
    """6.5, 6.10#4 and 5: several addresses in one field, apostrophes, the second contact of a
    company.
    """
    company = quickbooks.company
    two = {"DisplayName": "X", "PrimaryEmailAddr": {"Address": "a@x.example, B@x.example"}}
    known = write(company, Levers(), ENTITIES["Customer"], two, "")
    contact = quickbooks.contact(email="b@x.example")
    deal = quickbooks.deal("5", contact)
    by_email = await quickbooks.starts(deal)
    company.save(
        ENTITIES["Customer"], {**company.get("Customer", known["Id"]), "PrimaryEmailAddr": None}
    )
    by_id = await quickbooks.starts(quickbooks.deal("6", contact))
    firm = quickbooks.record("companies", name="Fox: Sons' Ltd", domain="fox.example")
    ids = []
    for _ in range(2):
        deal = quickbooks.deal("7", quickbooks.contact())
        quickbooks.links("deals", deal, "companies", firm)
        ids.append((await quickbooks.starts(deal)).json()["customerId"])

    assert by_email.json()["customerId"] == by_id.json()["customerId"] == known["Id"]
    assert ids[0] == ids[1]
    assert company.get("Customer", ids[0])["DisplayName"] == "Fox Sons' Ltd"
    assert quickbooks.shown(firm, "companies")["accounting_customer_id"].endswith(f":{ids[0]}")


async def test_another_currency_needs_multicurrency_and_a_customer_of_its_own(quickbooks):
    contact = quickbooks.contact()
    home = await quickbooks.starts(quickbooks.deal("5", contact))
    deal = quickbooks.deal("5", contact, "EUR")
    await refused(quickbooks, "has only USD. Turn multicurrency on", deal=deal)
    sets(quickbooks, multicurrency=True)
    euro = await quickbooks.starts(deal)
    again = await quickbooks.starts(quickbooks.deal("6", contact, "EUR"))

    assert euro.status == 201, euro.body
    assert euro.json()["customerId"] != home.json()["customerId"]
    assert again.json()["customerId"] == euro.json()["customerId"]
    named = quickbooks.company.get("Customer", euro.json()["customerId"])
    assert named["DisplayName"] == "Ada O'Neil (EUR)"
    assert quickbooks.invoices()[-1]["CurrencyRef"]["value"] == "EUR"


async def test_outside_the_us_every_line_has_a_tax_code(quickbooks_uk):
    """6000: the refusal comes before anything is written, and check offers the codes."""
    ledger, before = quickbooks_uk, len(quickbooks_uk.customers())
    found = await ledger.checks()
    await refused(ledger, "every line needs a tax code", deal=ledger.deal("100", currency="GBP"))
    assert len(ledger.customers()) == before
    await ledger.puts(taxCode="2")
    taxed = await ledger.starts(ledger.deal("100", currency="GBP"))

    remedies = [each["remedy"] for each in found if "tax code" in each["message"]]
    assert "2 (20.0% S)" in remedies[0]
    assert float(taxed.json()["total"]) == 120.0
    assert "difference" not in taxed.json()
    assert ledger.invoices()[0]["GlobalTaxCalculation"] == "TaxExcluded"


async def test_closed_books_custom_numbers_and_service_dates(quickbooks):
    """6210, 6140, 6.10#10 to 12."""
    sets(quickbooks, closed_until="2999-01-01")
    found = await quickbooks.checks()
    deal = await refused(quickbooks, "closed until 2999-01-01. Move the closing date")
    assert "closed until" in found[0]["message"]
    sets(quickbooks, closed_until="", custom_numbers=True)
    assert "custom numbers" in (await quickbooks.checks())[0]["message"]
    await refused(quickbooks, "Put a numberPrefix", deal=deal)
    sets(quickbooks, needs_service_date=True)
    await quickbooks.puts(numberPrefix="HS-")
    numbered = await quickbooks.starts(deal)
    other = quickbooks.deal("7")
    own = quickbooks.invoices()[0]
    quickbooks.company.save(ENTITIES["Invoice"], {**own, "DocNumber": f"HS-{other}"})
    await refused(quickbooks, "Another invoice in QuickBooks has this number", deal=other)

    assert numbered.json()["invoiceNumber"] == f"HS-{deal}"
    line = own["Line"][0]["SalesItemLineDetail"]
    assert line["ServiceDate"] == own["TxnDate"]


async def test_what_is_inactive_ended_or_shut_out_says_what_to_do_and_goes_on_afterwards(
    quickbooks,
):
    """2500, 6190, 120, 3100, each corrected and started again: one invoice."""
    ledger, company = quickbooks, quickbooks.company
    company.save(ENTITIES["Item"], {**company.get("Item", "2"), "Active": False})
    assert "no active item 2" in (await ledger.checks())[0]["message"]
    deal = await refused(ledger, "is inactive or gone. Run the recipe's check")
    company.save(ENTITIES["Item"], {**company.get("Item", "2"), "Active": True})
    company.settings.subscription = "ended"
    await refused(ledger, "subscription has ended", deal=deal)
    company.settings.subscription = "active"
    company.settings.access = False
    await refused(ledger, "has no access to the company any more", 403, deal)
    company.settings.access = True
    company.settings.environment = "production"
    await refused(ledger, "the app's environment is the other one", 403, deal)
    company.settings.environment = "sandbox"

    done = await ledger.starts(deal)

    assert done.status == 201, done.body
    assert ledger.shown(deal).get("invoice_sync_error", "") == ""
    assert len(ledger.invoices()) == 1


async def test_failures_that_pass_are_waited_out(quickbooks):
    """10000, 429, and a company that answers 500."""
    quickbooks.books.world.faults.add(Fault("*/customer", "status", "POST", times=1, status=500))
    fault = '{"Fault":{"Error":[{"Message":"x","Detail":"y","code":"10000"}],"type":"SystemFault"}}'
    quickbooks.books.world.faults.add(
        Fault("*/invoice", "status", "POST", times=1, status=400, body=fault)
    )
    deal = quickbooks.deal("5")
    start = asyncio.create_task(quickbooks.starts(deal))

    async def ended():
        await quickbooks.works()
        return start.done()

    await until(ended, within=30)

    assert (await start).json()["ok"] is True, start.result().body
    assert len(quickbooks.invoices()) == 1


async def test_a_net_amount_other_than_the_deals_is_reported(quickbooks):
    """The vendor's sum is compared with the deal's: it is reported, not hidden."""
    deal = quickbooks.deal("100.00")
    world = quickbooks.books.world
    lost = world.faults.add(Fault("*/invoice", "lose-answer", "POST", times=1))
    start = asyncio.create_task(quickbooks.starts(deal))
    await until(lambda: lost.hits)
    (invoice,) = quickbooks.invoices()
    quickbooks.company.save(ENTITIES["Invoice"], {**invoice, "TotalAmt": invoice["TotalAmt"] + 1})

    async def ended():
        await quickbooks.works()
        return start.done()

    await until(ended, within=20)

    assert float((await start).json()["difference"]) == 1.0, start.result().body
    assert "differs by 1.00 USD" in quickbooks.shown(deal)["invoice_sync_error"]


async def test_a_deleted_invoice_is_shown_as_deleted_and_not_made_again(quickbooks):
    deal = quickbooks.deal("5")
    await quickbooks.starts(deal)
    (invoice,) = quickbooks.invoices()
    quickbooks.deletes(invoice)
    await quickbooks.receives(quickbooks.event(invoice))
    await quickbooks.works()
    again = await quickbooks.starts(deal)

    assert quickbooks.shown(deal)["invoice_sync_status"] == "deleted"
    assert (again.status, again.json()["status"]) == (200, "deleted")
    assert quickbooks.invoices() == []


async def test_a_deal_whose_invoice_may_be_in_one_company_gets_none_in_another(
    quickbooks, database
):
    """A run acts in the two accounts in which it began, and one deal has one invoice."""
    deal = quickbooks.deal("5")
    quickbooks.company.settings.subscription = "ended"
    first = await quickbooks.starts(deal)
    quickbooks.company.settings.subscription = "active"
    await database.execute(
        "INSERT INTO deal_invoice (workspace_id, hub_id, deal_id, run_id, partner_app, provider,"
        " account_id, token) SELECT workspace_id, 101, $1, id, 'books', 'quickbooks', $2,"
        " gen_random_uuid() FROM recipe_run",
        deal,
        QB_UK,
    )

    second = await quickbooks.starts(deal)

    assert first.status == 422
    assert (second.status, second.code) == (409, "other-account"), second.body
    assert "in another company" in quickbooks.shown(deal)["invoice_sync_error"]
    assert quickbooks.invoices() == []


async def test_the_older_form_of_webhooks_is_understood_too(quickbooks):
    """6.10#13."""
    deal = quickbooks.deal("5")
    await quickbooks.starts(deal)
    (invoice,) = quickbooks.invoices()
    quickbooks.pays(invoice, "5")
    entity = {
        "name": "Invoice",
        "id": invoice["Id"],
        "operation": "Update",
        "lastUpdated": "2026-11-28T10:00:00Z",
    }
    notification = {
        "realmId": quickbooks.account_id,
        "dataChangeEvent": {"entities": [entity]},
    }
    body = json.dumps({"eventNotifications": [notification]}).encode()
    assert (await quickbooks.receives(body)).status == 200
    await quickbooks.works()

    assert quickbooks.shown(deal)["invoice_sync_status"] == "paid"
