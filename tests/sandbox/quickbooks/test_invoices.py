"""Invoices of the sandbox QuickBooks Online."""

import re
from decimal import Decimal

import aiohttp
import pytest

from tests.sandbox.quickbooks.client import US, invoice


async def test_an_invoice_gets_totals_a_number_and_a_subtotal_line(books):
    customer = await books.customer(BillAddr={"CountrySubDivisionCode": "CA"})
    sent = invoice(
        customer,
        99.99,
        PrivateNote="hubspot-deal-123",
        Balance=0,
        AllowIPNPayment=True,
        detail={"UnitPrice": 49.995, "TaxCodeRef": {"value": "TAX"}},
    )
    made = (await books.ok("POST", "invoice", sent))["Invoice"]

    assert (made["Id"], made["SyncToken"], made["domain"], made["sparse"]) == (
        "1",
        "0",
        "QBO",
        False,
    )
    assert made["DocNumber"] == "1001"
    assert made["TxnDate"] == made["DueDate"] == "2026-11-27"
    assert made["CustomerRef"] == {"value": customer["Id"], "name": "Ada Lovelace"}
    assert made["TxnTaxDetail"]["TotalTax"] == Decimal("7.25")
    assert made["TotalAmt"] == made["Balance"] == made["HomeTotalAmt"] == Decimal("107.24")
    assert [line["DetailType"] for line in made["Line"]] == [
        "SalesItemLineDetail",
        "SubTotalLineDetail",
    ]
    assert made["Line"][0]["Id"] == "1"
    assert made["Line"][0]["SalesItemLineDetail"]["UnitPrice"] == Decimal("49.995")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d-0[78]:00", made["MetaData"]["CreateTime"])
    assert (await books.ok("GET", f"customer/{customer['Id']}"))["Customer"]["Balance"] == Decimal("107.24")  # fmt: skip
    assert isinstance(made["TotalAmt"], Decimal)


async def test_a_wrong_invoice_is_refused_with_its_code(books):
    customer = await books.customer()
    good = invoice(customer)
    line = good["Line"][0]

    def with_line(**changed):
        return {**good, "Line": [{**line, **changed}]}

    def with_detail(**changed):
        return with_line(SalesItemLineDetail={**line["SalesItemLineDetail"], **changed})

    for sent, code in (
        ({"Line": good["Line"]}, "2020"),
        ({"CustomerRef": {"value": "1"}}, "2020"),
        (with_line(DetailType=None), "2020"),
        (with_line(DetailType="Other"), "2170"),
        (with_line(Amount="a lot"), "2090"),
        (with_line(Amount=99), "6070"),
        (with_line(Extra=1), "2010"),
        (with_detail(ItemRef={"value": "99"}), "2500"),
        (with_detail(TaxCodeRef={"value": "20"}), "2500"),
        ({**good, "CustomerRef": {"value": "99"}}, "2500"),
        ({**good, "DocNumber": "x" * 22}, "2050"),
        ({**good, "dealId": "1"}, "2010"),
        ({**good, "TxnDate": "tomorrow"}, "2170"),
        ({**good, "CurrencyRef": {"value": "EUR"}}, "6000"),
    ):
        assert (await books.refused("POST", "invoice", sent))[0] == code, sent
    assert (await books.find("SELECT count(*) FROM Invoice"))["totalCount"] == 0


@pytest.mark.parametrize(("country", "word"), [("CA", "GST/HST"), ("UK", "VAT"), ("AU", "GST")])
async def test_outside_the_us_every_line_needs_a_tax_code(books, country, word):
    await books.control("POST", f"companies/{US}", {"country": country})
    customer = await books.customer()
    bare = invoice(customer, GlobalTaxCalculation="TaxExcluded")
    taxed = invoice(customer, detail={"TaxCodeRef": {"value": "2"}})

    without = await books.refused("POST", "invoice", bare)
    us_code = await books.refused(
        "POST", "invoice", invoice(customer, GlobalTaxCalculation="TaxExcluded", detail={"TaxCodeRef": {"value": "TAX"}})
    )  # fmt: skip
    no_calculation = await books.refused("POST", "invoice", taxed)
    good = await books.ok("POST", "invoice", {**taxed, "GlobalTaxCalculation": "TaxExcluded"})
    inside = await books.ok("POST", "invoice", {**taxed, "GlobalTaxCalculation": "TaxInclusive"})
    none = await books.ok("POST", "invoice", {**bare, "GlobalTaxCalculation": "NotApplicable"})

    assert (
        without
        == us_code
        == (
            "6000",
            f"Business Validation Error: Make sure all your transactions have a {word} rate before you save.",
        )
    )
    assert no_calculation[0] == "6000"
    rate = {"CA": Decimal(0), "UK": Decimal(20), "AU": Decimal(10)}[country]
    assert good["Invoice"]["TotalAmt"] == 100 + rate
    assert inside["Invoice"]["TotalAmt"] == none["Invoice"]["TotalAmt"] == 100


async def test_a_foreign_currency_needs_multicurrency_and_stays_with_the_customer(books):
    assert (await books.refused("POST", "customer", {"DisplayName": "E", "CurrencyRef": {"value": "EUR"}}))[0] == "6000"  # fmt: skip
    await books.control("POST", f"companies/{US}", {"multicurrency": True})
    customer = await books.customer("E", CurrencyRef={"value": "EUR"})
    home = await books.refused("POST", "invoice", invoice(customer, CurrencyRef={"value": "USD"}))
    made = await books.ok("POST", "invoice", invoice(customer, CurrencyRef={"value": "EUR"}))
    change = {"Id": customer["Id"], "SyncToken": "0", "sparse": True}
    moved = await books.refused("POST", "customer", {**change, "CurrencyRef": {"value": "USD"}})

    assert home[0] == moved[0] == "6000"
    assert made["Invoice"]["ExchangeRate"] == Decimal("1.080000")
    assert made["Invoice"]["HomeTotalAmt"] == Decimal("108.00")
    preferences = (await books.ok("GET", "preferences"))["Preferences"]
    assert preferences["CurrencyPrefs"] == {
        "MultiCurrencyEnabled": True,
        "HomeCurrency": {"value": "USD"},
    }


async def test_numbers_are_assigned_checked_or_left_empty_by_the_companys_settings(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer, DocNumber="1001"))
    twice = await books.refused("POST", "invoice", invoice(customer, DocNumber="1001"))
    allowed = await books.ok(
        "POST", "invoice", invoice(customer, DocNumber="1001"), include="allowduplicatedocnum"
    )
    following = await books.ok("POST", "invoice", invoice(customer))
    await books.control("POST", f"companies/{US}", {"custom_numbers": True})
    empty = await books.ok("POST", "invoice", invoice(customer))

    assert twice[0] == "6140"
    assert twice[1].endswith("DocNumber=1001 is assigned to TxnType=Invoice with TxnId=1")
    assert allowed["Invoice"]["DocNumber"] == "1001"
    assert following["Invoice"]["DocNumber"] == "1002"
    assert "DocNumber" not in empty["Invoice"]


async def test_closed_books_and_required_service_dates_refuse(books):
    customer = await books.customer()
    await books.control("POST", f"companies/{US}", {"closed_until": "2026-06-30"})
    closed = await books.refused("POST", "invoice", invoice(customer, TxnDate="2026-06-30"))
    await books.ok("POST", "invoice", invoice(customer, TxnDate="2026-07-01"))
    await books.control("POST", f"companies/{US}", {"needs_service_date": True})
    undated = await books.refused("POST", "invoice", invoice(customer, TxnDate="2026-07-01"))

    assert closed[0] == "6210"
    assert undated[0] == "6000"


async def test_the_same_requestid_makes_one_invoice_unless_it_is_ignored(books):
    customer = await books.customer()
    first = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    again = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    other = await books.ok("POST", "invoice", invoice(customer), requestid="r-2")
    books.levers.requestid_ignored = True
    twice = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    ids = [each["Invoice"]["Id"] for each in (first, again, other, twice)]

    assert ids == ["1", "1", "2", "3"]
    assert (await books.refused("POST", "invoice", invoice(customer), requestid="x" * 51))[
        0
    ] == "2050"


async def test_a_lost_answer_leaves_the_invoice_and_the_requestid_finds_it(books):
    customer = await books.customer()
    fault = {"path": "*/invoice", "kind": "lose-answer", "times": 1}
    assert (await books.control("POST", "faults", fault))[0] == 201
    with pytest.raises(aiohttp.ClientError):
        await books.call("POST", "invoice", invoice(customer), requestid="r-1")
    again = await books.ok("POST", "invoice", invoice(customer), requestid="r-1")
    assert again["Invoice"]["Id"] == "1"
    assert (await books.find("SELECT count(*) FROM Invoice"))["totalCount"] == 1


async def test_an_invoice_is_sent_paid_voided_and_deleted(books):
    customer = await books.customer()
    made = (await books.ok("POST", "invoice", invoice(customer)))["Invoice"]
    octets = {"Content-Type": "application/octet-stream"}

    typed = await books.refused("POST", "invoice/1/send", "{}", headers={"Content-Type": "application/json"}, sendTo="a@b.c")  # fmt: skip
    nowhere = await books.refused("POST", "invoice/1/send", headers=octets)
    sent = await books.ok("POST", "invoice/1/send", headers=octets, sendTo="a@b.c")
    await books.control("POST", f"companies/{US}/invoices/1/pay", {"amount": 40})
    partly = (await books.ok("GET", "invoice/1"))["Invoice"]
    key = {"Id": "1", "SyncToken": partly["SyncToken"]}
    linked = await books.refused("POST", "invoice", key, operation="delete")
    voided = (await books.ok("POST", "invoice", key, operation="void"))["Invoice"]
    key["SyncToken"] = voided["SyncToken"]
    deleted = await books.ok("POST", "invoice", key, operation="delete")
    gone = await books.refused("GET", "invoice/1")

    assert (
        typed
        == nowhere
        == (
            "2020",
            "Required parameter DeliveryAddress.Address is missing in the request",
        )
    )
    assert sent["Invoice"]["EmailStatus"] == "EmailSent"
    assert sent["Invoice"]["BillEmail"] == {"Address": "a@b.c"}
    assert made["TotalAmt"] == 100
    assert partly["Balance"] == 60
    assert partly["LinkedTxn"][0]["TxnType"] == "Payment"
    assert linked[0] == "6440"
    assert (voided["TotalAmt"], voided["Balance"], voided["PrivateNote"]) == (0, 0, "Voided")
    assert deleted["Invoice"] == {"domain": "QBO", "status": "Deleted", "Id": "1"}
    assert gone[0] == "610"


async def test_a_sparse_update_of_an_invoice_keeps_lines_and_a_full_one_needs_them(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer))
    change = {"Id": "1", "SyncToken": "0", "PrivateNote": "note"}
    full = await books.refused("POST", "invoice", change)
    sparse = await books.ok("POST", "invoice", {**change, "sparse": True})
    assert full[0] == "2020"
    assert sparse["Invoice"]["TotalAmt"] == 100
    assert sparse["Invoice"]["DocNumber"] == "1001"
    assert sparse["Invoice"]["SyncToken"] == "1"


async def test_changes_since_a_moment_list_updates_and_deletions(books):
    customer = await books.customer()
    await books.ok("POST", "invoice", invoice(customer))
    await books.ok("POST", "invoice", invoice(customer))
    books.world.jump(600)
    since = books.world.moment().isoformat()
    books.world.jump(1)
    await books.ok("POST", "invoice", {"Id": "2", "SyncToken": "0"}, operation="delete")
    await books.ok("POST", "invoice", invoice(customer))

    answer = await books.ok("GET", "cdc", entities="Customer,Invoice", changedSince=since)
    customers, changed = answer["CDCResponse"][0]["QueryResponse"]
    assert customers == {}
    assert [(each["Id"], each.get("status")) for each in changed["Invoice"]] == [
        ("3", None),
        ("2", "Deleted"),
    ]
    old = await books.refused("GET", "cdc", entities="Invoice", changedSince="2020-01-01T00:00:00Z")
    assert old[0] == "6000"
