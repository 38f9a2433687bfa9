"""Bodies to and from the sandbox, held against Xero's own OpenAPI document."""

import copy
from decimal import Decimal

from tests.sandbox.xero.client import invoice, line
from tests.sandbox.xero.openapi import faults, published


def plain(value):
    """A body as a JSON parser without decimals reads it."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) if isinstance(value, Decimal) else value


async def test_what_the_sandbox_answers_is_what_xero_documents(books):
    contact = await books.contact(EmailAddress="a@x.io", ContactNumber="hubspot-1")
    lines = [line(UnitAmount=33.333, Quantity=3), line(TaxType="ZERORATED", DiscountRate=10)]
    made = await books.invoice(contact, lines, Reference="hubspot-deal-1")
    payment = {
        "Invoice": {"InvoiceID": made["InvoiceID"]},
        "Account": {"Code": "090"},
        "Date": "2026-11-28",
        "Amount": 10,
    }
    await books.ok("PUT", "Payments", {"Payments": [payment]})
    found = {
        kind: await books.ok("GET", kind)
        for kind in ("Contacts", "Invoices", "Accounts", "TaxRates", "Items", "Currencies")
    }
    found["Organisations"] = await books.ok("GET", "Organisation")
    found["Payments"] = await books.ok("GET", "Payments")

    findings = {}
    for kind, answer in found.items():
        assert answer[kind], kind
        shown = {name: value for name, value in answer.items() if name == kind}
        findings[kind] = faults(published(), kind, plain(shown))

    assert {kind: each for kind, each in findings.items() if each} == {}


def test_a_body_that_xero_does_not_document_is_told_from_one_that_it_does():
    good = {"Invoices": [invoice({"ContactID": "2b1e4d7c-2f6a-4c36-9d3f-0c5f0a1d2e3f"}, [line()])]}
    unknown, mistyped = copy.deepcopy(good), copy.deepcopy(good)
    unknown["Invoices"][0]["Colour"] = "red"
    mistyped["Invoices"][0]["LineItems"][0]["Quantity"] = "2"

    assert faults(published(), "Invoices", good) == []
    assert faults(published(), "Invoices", unknown)
    assert faults(published(), "Invoices", mistyped)
