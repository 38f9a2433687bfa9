"""What Xero refuses, and what the deal advises the person to do about it (vendors' section 7)."""

from broker.sandbox.core.faults import Fault
from tests.flows.recipes.deals import XERO_NZ
from tests.flows.recipes.test_invoices_quickbooks import refused


def saves(ledger, kind, key, **fields):
    """A record of the organisation's, as a person makes it."""
    return ledger.company.save(kind, key, fields)


def contact_of(ledger, **fields):
    own = {"ContactStatus": "ACTIVE", "Name": "Ada O'Neil", "EmailAddress": ""}
    return saves(ledger, "Contacts", "ContactID", **{**own, **fields})


async def test_an_archived_contact_is_a_persons_choice(xero):
    contact = xero.contact(email="old@x.example")
    kept = contact_of(xero, EmailAddress="old@x.example", ContactStatus="ARCHIVED")
    deal = xero.deal("5", contact)
    before = len(xero.customers())

    await refused(xero, "is archived in Xero. Restore it there", deal=deal)
    assert len(xero.customers()) == before
    saves(xero, "Contacts", "ContactID", **{**kept, "ContactStatus": "ACTIVE"})
    done = await xero.starts(deal)

    assert done.status == 201, done.body
    assert done.json()["customerId"] == kept["ContactID"]


async def test_contacts_are_found_by_number_merged_ones_followed_and_a_taken_name_gets_another(
    xero,
):
    person = xero.contact()
    first = await xero.starts(xero.deal("5", person))
    made = first.json()["customerId"]
    assert xero.company.records["Contacts"][made]["ContactNumber"] == (
        f"hubspot-101-contact-{person}"
    )
    other = contact_of(xero, Name="Survivor")
    xero.company.records["Contacts"][made] |= {
        "MergedToContactID": other["ContactID"],
        "ContactStatus": "ARCHIVED",
    }
    merged = await xero.starts(xero.deal("6", person))
    contact_of(xero, Name="Eve Fox", EmailAddress="eve@y.example")
    eve = xero.contact(firstname="Eve", lastname="Fox")
    renamed = await xero.starts(xero.deal("7", eve))
    quoted = await xero.starts(xero.deal("8", xero.contact(firstname='Al "Ace"', lastname="Fox")))

    assert merged.json()["customerId"] == other["ContactID"], merged.body
    named = xero.company.records["Contacts"][renamed.json()["customerId"]]["Name"]
    assert named == f"Eve Fox (HubSpot 101-contact-{eve})"
    assert quoted.status == 201, quoted.body


async def test_accounts_tax_types_currencies_and_lock_dates(xero):
    deal = xero.deal("5", currency="GBP")
    await refused(xero, "GBP, which Acme NZ in Xero does not use. Add the currency", deal=deal)
    await xero.puts(account="400")
    assert "no active revenue account 400" in (await xero.checks())[0]["message"]
    await refused(xero, "Put the code of an active revenue account")
    await xero.puts(account=None)
    await refused(xero, "neither an account nor an item")
    await xero.puts(account="200", taxCode=None)
    await refused(xero, "no tax type. Put one as taxCode")
    await xero.puts(taxCode="INPUT9")
    await refused(xero, "Put a tax type that the organisation has")
    await xero.puts(taxCode="OUTPUT2")
    xero.company.settings.lock_date = "2999-01-01"
    assert "locked until" in (await xero.checks())[0]["message"]
    await refused(xero, "Move the lock date in Xero")
    xero.company.settings.lock_date = ""
    taxed = await xero.starts(xero.deal("100"))
    await xero.puts(account=None, taxCode=None, item="CONSULT")
    item = await xero.starts(xero.deal("100"))

    assert float(taxed.json()["total"]) == float(item.json()["total"]) == 115.0
    assert "difference" not in taxed.json()


async def test_numbers_are_unique_and_drafts_stay_drafts(xero):
    await xero.puts(numberPrefix="HS-", approve=False)
    deal, other = xero.deal("5"), xero.deal("6")
    draft = await xero.starts(deal)
    taken = xero.invoices()[0]
    saves(xero, "Invoices", "InvoiceID", **{**taken, "InvoiceNumber": f"HS-{other}"})
    await refused(xero, "Another invoice in Xero has this number", deal=other)

    assert (draft.json()["invoiceNumber"], draft.json()["status"]) == (f"HS-{deal}", "draft")
    assert xero.shown(deal)["invoice_sync_status"] == "draft"


async def test_errors_inside_a_success_and_a_disconnected_organisation(xero):
    inside = (
        '{"Status":"OK","Invoices":[{"InvoiceID":"00000000-0000-0000-0000-000000000000",'
        '"StatusAttributeString":"ERROR","HasErrors":true,'
        '"ValidationErrors":[{"Message":"Account code must be specified"}]}]}'
    )
    xero.books.world.faults.add(
        Fault(
            "*/Invoices",
            "status",
            "PUT",
            times=1,
            status=200,
            body=inside,
        )
    )
    deal = await refused(xero, "Account code must be specified")
    xero.books.world.grants.disconnect(XERO_NZ)
    answer = await xero.starts(deal)

    assert answer.status in {403, 409}, answer.body
    assert "connect" in answer.json()["detail"].lower()
    assert xero.invoices() == []
