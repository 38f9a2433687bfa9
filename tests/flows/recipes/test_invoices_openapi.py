"""What the invoices recipe sends to Xero, held against Xero's own OpenAPI document."""

import json

import pytest

from tests.sandbox.xero.openapi import faults, published


@pytest.mark.parametrize("ledger", ["xero"], indirect=True)
async def test_customers_and_invoices_are_what_xero_documents(ledger):
    plain = ledger.deal("80.50", closedate="2026-11-28T00:00:00Z")
    itemised = ledger.deal(
        "99.99", ledger.contact(email="b@x.example", phone="+64 21 123 456", company="Acme")
    )
    ledger.item(itemised, name="Consulting", quantity="3", price="33.33")

    for deal in (plain, itemised):
        answer = await ledger.starts(deal)
        assert answer.status == 201, answer.body

    sent = {
        kind: [
            json.loads(each.body)
            for each in ledger.books.world.seen
            if each.method == "PUT" and each.target.partition("?")[0].endswith(f"/{kind}")
        ]
        for kind in ("Contacts", "Invoices")
    }
    assert all(len(bodies) >= 2 for bodies in sent.values())
    for kind, bodies in sent.items():
        for body in bodies:
            assert faults(published(), kind, body) == []
