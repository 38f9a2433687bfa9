"""Invoices, payments and settings of the sandbox Xero."""

from decimal import Decimal

import aiohttp
import pytest

from tests.sandbox.xero.client import NZ, invoice, line


async def test_an_invoice_gets_a_number_totals_and_dates(books):
    contact = await books.contact()
    made = await books.invoice(
        contact,
        [line(UnitAmount=33.333, Quantity=3), line(TaxType="ZERORATED", DiscountRate=10)],
        Reference="hubspot-deal-123",
    )
    assert made["InvoiceNumber"] == "INV-0001"
    assert [each["UnitAmount"] for each in made["LineItems"]] == [Decimal("33.33"), 50]
    assert [each["LineAmount"] for each in made["LineItems"]] == [Decimal("99.99"), 90]
    assert (made["SubTotal"], made["TotalTax"]) == (Decimal("189.99"), Decimal("15.00"))
    assert made["Total"] == made["AmountDue"] == Decimal("204.99")
    assert (made["AmountPaid"], made["CurrencyCode"], made["Status"]) == (0, "NZD", "AUTHORISED")
    assert made["Contact"] == {"ContactID": contact["ContactID"], "Name": "Ada Lovelace"}
    assert made["DateString"] == "2026-11-29T00:00:00"
    assert made["DueDate"] == "/Date(1798416000000+0000)/"
    assert made["UpdatedDateUTC"] == "/Date(1795867200500+0000)/"
    precise = (await books.ok(
        "PUT", "Invoices", invoice(contact, [line(UnitAmount=33.3333, Quantity=3)]), unitdp="4"
    ))["Invoices"][0]  # fmt: skip
    assert precise["LineItems"][0]["UnitAmount"] == Decimal("33.3333")
    assert precise["SubTotal"] == Decimal("100.00")
    inclusive = await books.invoice(contact, LineAmountTypes="Inclusive")
    assert (inclusive["SubTotal"], inclusive["TotalTax"], inclusive["Total"]) == (
        Decimal("86.96"),
        Decimal("13.04"),
        100,
    )
    untaxed = await books.invoice(contact, LineAmountTypes="NoTax")
    assert (untaxed["Total"], untaxed["LineItems"][0]["TaxType"]) == (100, "NONE")


async def test_a_wrong_invoice_is_refused_with_all_its_messages(books):
    contact = await books.contact()
    for element, message in (
        ({"Type": "SALE"}, "Invoice Type must be either ACCREC or ACCPAY"),
        ({"Contact": None}, "A Contact must be specified for this type of transaction."),
        ({"Contact": {"ContactID": "no"}}, "The contact ID could not be found."),
        ({"LineItems": []}, "One or more line items must be specified"),
        ({"DueDate": None}, "Due Date cannot be empty"),
        ({"DueDate": "soon"}, "'soon' is not a valid date"),
        ({"CurrencyCode": "EUR"}, "Organisation is not subscribed to currency EUR"),
        ({"Status": "PAID"}, "Invoice Status is not valid"),
        ({"LineItems": [line(AccountCode=None)]}, "Account code must be specified"),
        (
            {"LineItems": [line(AccountCode="090")]},
            "Account code '090' is not a valid code for this document.",
        ),
        ({"LineItems": [line(TaxType=None)]}, "Tax type must be specified"),
        (
            {"LineItems": [line(TaxType="VAT")]},
            "The TaxType code 'VAT' does not exist or cannot be used for this type of transaction.",
        ),
        ({"LineItems": [line(Description="")]}, "Description must be at least 1 char."),
        (
            {"LineItems": [line(LineAmount=99)]},
            "The line total 99 does not match the expected line total 100.00",
        ),
    ):
        assert await books.refused("Invoices", {**invoice(contact), **element}) == [message]
    both = await books.refused(
        "Invoices", invoice(contact, [line(TaxType="VAT"), line(AccountCode="999")])
    )
    assert len(both) == 2
    assert (await books.ok("GET", "Invoices"))["Invoices"] == []


async def test_a_draft_forgives_what_an_approved_invoice_needs(books):
    draft = await books.invoice(
        await books.contact(), [{"Description": "later"}], Status="DRAFT", DueDate=None
    )
    assert draft["LineItems"][0]["LineAmount"] == 0
    approve = {"InvoiceID": draft["InvoiceID"], "Status": "AUTHORISED"}
    assert await books.refused("Invoices", approve, method="POST") == ["Due Date cannot be empty"]


async def test_put_refuses_a_taken_number_and_post_overwrites(books):
    contact = await books.contact()
    first = await books.invoice(contact, InvoiceNumber="D-1")
    twice = await books.refused("Invoices", invoice(contact, InvoiceNumber="D-1"))
    posted = await books.ok(
        "POST", "Invoices", invoice(contact, [line(UnitAmount=1)], InvoiceNumber="D-1")
    )
    assert twice == ["Invoice # must be unique."]
    assert posted["Invoices"][0]["InvoiceID"] == first["InvoiceID"]
    assert posted["Invoices"][0]["SubTotal"] == 2
    by_number = await books.ok("GET", "Invoices/D-1")
    assert by_number["Invoices"][0]["InvoiceID"] == first["InvoiceID"]


async def test_errors_are_summarized_or_listed_by_element(books):
    contact = await books.contact()
    both = {"Invoices": [invoice(contact), invoice(contact, [])]}
    status, summary = await books.call("PUT", "Invoices", both)
    assert (status, len(summary["Elements"])) == (400, 1)
    assert (await books.ok("GET", "Invoices"))["Invoices"] == []
    each = (await books.ok("PUT", "Invoices", both, summarizeErrors="false"))["Invoices"]
    assert [one["StatusAttributeString"] for one in each] == ["OK", "ERROR"]
    assert each[1]["HasErrors"] is True
    assert each[1]["ValidationErrors"] == [{"Message": "One or more line items must be specified"}]
    assert len((await books.ok("GET", "Invoices"))["Invoices"]) == 1


async def test_an_idempotency_key_replays_for_a_while_and_refuses_another_request(books):
    contact = await books.contact()
    body = {"Invoices": [invoice(contact)]}
    key = {"Idempotency-Key": "run-1"}
    first = await books.ok("PUT", "Invoices", body, headers=key)
    again = await books.ok("PUT", "Invoices", body, headers=key)
    other = {"Invoices": [invoice(contact, Reference="x")]}
    conflict = await books.call("PUT", "Invoices", other, headers=key)
    long = await books.call("PUT", "Invoices", body, headers={"Idempotency-Key": "x" * 129})
    books.world.jump(361)
    late = await books.ok("PUT", "Invoices", body, headers=key)

    assert first == again
    assert conflict[0] == long[0] == 400
    assert late["Invoices"][0]["InvoiceID"] != first["Invoices"][0]["InvoiceID"]


async def test_a_lost_answer_leaves_the_invoice_and_the_key_finds_it(books):
    body = {"Invoices": [invoice(await books.contact())]}
    # The client retries a PUT on a reused connection once by itself.
    fault = {"path": "*/Invoices", "kind": "lose-answer", "times": 2}
    await books.control("POST", "faults", fault)
    key = {"Idempotency-Key": "run-1"}
    with pytest.raises(aiohttp.ClientError):
        await books.call("PUT", "Invoices", body, headers=key)
    await books.ok("PUT", "Invoices", body, headers=key)
    assert len((await books.ok("GET", "Invoices"))["Invoices"]) == 1


async def test_lists_without_pages_leave_lines_out(books):
    made = await books.invoice(await books.contact())
    plain = (await books.ok("GET", "Invoices"))["Invoices"][0]
    paged = (await books.ok("GET", "Invoices", page="1"))["Invoices"][0]
    alone = (await books.ok("GET", f"Invoices/{made['InvoiceID']}"))["Invoices"][0]
    assert (len(plain["LineItems"]), len(paged["LineItems"]), len(alone["LineItems"])) == (0, 1, 1)
    assert (await books.ok("GET", "Invoices", Statuses="DRAFT,PAID"))["Invoices"] == []
    contact = made["Contact"]["ContactID"]
    assert (await books.ok("GET", "Invoices", where=f'Contact.ContactID==Guid("{contact}")'))["Invoices"]  # fmt: skip
    assert (await books.call("GET", "Invoices/nothing"))[0] == 404


async def test_payments_close_an_invoice_which_then_cannot_be_changed(books):
    made = await books.invoice(await books.contact())
    which = {"InvoiceID": made["InvoiceID"]}
    payment = {"Invoice": which, "Account": {"Code": "090"}, "Amount": 100}

    assert await books.refused("Payments", {**payment, "Amount": 116}) == [
        "Payment amount exceeds the amount outstanding on this document"
    ]
    assert await books.refused("Payments", {**payment, "Account": {"Code": "200"}}) == [
        "The account must be a bank account or have payments enabled."
    ]
    paid = (await books.ok("PUT", "Payments", {"Payments": [payment]}))["Payments"][0]
    assert (paid["Amount"], paid["PaymentType"]) == (100, "ACCRECPAYMENT")
    void = {**which, "Status": "VOIDED"}
    assert await books.refused("Invoices", void, method="POST") == [
        "Invoice cannot be voided as it has payments allocated to it."
    ]
    await books.ok("PUT", "Payments", {**payment, "Amount": 15})
    closed = (await books.ok("GET", f"Invoices/{made['InvoiceID']}"))["Invoices"][0]
    assert (closed["Status"], closed["AmountDue"], closed["AmountPaid"]) == ("PAID", 0, 115)
    assert len(closed["Payments"]) == 2
    assert await books.refused("Invoices", {**which, "Reference": "x"}, method="POST") == [
        "Invoice not of valid status for modification"
    ]


async def test_invoices_are_voided_deleted_emailed_and_shown_online(books):
    contact = await books.contact()
    approved = await books.invoice(contact)
    draft = await books.invoice(contact, Status="DRAFT")
    path = f"Invoices/{approved['InvoiceID']}"

    assert (await books.call("POST", f"{path}/Email", {}))[0] == 400
    change = {"ContactID": contact["ContactID"], "EmailAddress": "a@x.io"}
    await books.ok("POST", "Contacts", change)
    assert (await books.call("POST", f"{path}/Email", {}))[0] == 204
    online = await books.ok("GET", f"{path}/OnlineInvoice")
    assert online["OnlineInvoices"][0]["OnlineInvoiceUrl"].startswith("https://in.xero.com/")
    voided = await books.ok("POST", path, {"Status": "VOIDED"})
    assert (voided["Invoices"][0]["Status"], voided["Invoices"][0]["AmountDue"]) == ("VOIDED", 0)
    delete = {"InvoiceID": draft["InvoiceID"], "Status": "DELETED"}
    assert (await books.ok("POST", "Invoices", delete))["Invoices"][0]["Status"] == "DELETED"


async def test_a_locked_period_refuses_documents(books):
    await books.control("POST", f"organisations/{NZ}", {"lock_date": "2026-10-31"})
    contact = await books.contact()
    refused = await books.refused("Invoices", invoice(contact, Date="2026-10-31"))
    await books.invoice(contact, Date="2026-11-01")
    assert refused == [
        "The document date cannot be before the period lock date, currently set at 31 October 2026"
    ]


async def test_settings_can_be_read_and_items_written(books):
    accounts = (await books.ok("GET", "Accounts", where='Class=="REVENUE"'))["Accounts"]
    rates = (await books.ok("GET", "TaxRates"))["TaxRates"]
    organisation = (await books.ok("GET", "Organisation"))["Organisations"][0]
    currencies = (await books.ok("GET", "Currencies"))["Currencies"]
    item = {"Code": "NEW", "Name": "New", "SalesDetails": {"UnitPrice": 12.5, "AccountCode": "200"}}
    made = (await books.ok("PUT", "Items", {"Items": [item]}))["Items"][0]

    assert [each["Code"] for each in accounts] == ["200", "260"]
    assert rates[0]["TaxType"] == "OUTPUT2"
    assert rates[0]["EffectiveRate"] == 15
    assert (organisation["BaseCurrency"], organisation["CountryCode"]) == ("NZD", "NZ")
    assert [each["Code"] for each in currencies] == ["NZD", "USD"]
    assert made["SalesDetails"]["UnitPrice"] == Decimal("12.5")
    assert await books.refused("Items", item) == ["Price List Item with Code 'NEW' already exists"]
    by_item = [{"ItemCode": "SUB", "Quantity": 1, "UnitAmount": 99}]
    billed = await books.invoice(await books.contact(), by_item)
    assert billed["LineItems"][0]["AccountCode"] == "200"


async def test_without_an_accept_header_the_answer_is_xml(books):
    await books.contact("Tom & Co")
    headers = {"Accept": "*/*"}
    _, text = await books.call("GET", "Contacts", headers=headers)
    status, refused = await books.call("PUT", "Contacts", {"Contacts": [{}]}, headers=headers)
    assert "<Contacts><Contact>" in text
    assert "<Name>Tom &amp; Co</Name>" in text
    assert "<UpdatedDateUTC>2026-11-28T12:00:00.500</UpdatedDateUTC>" in text
    assert (status, "<ValidationError><Message>" in refused) == (400, True)
