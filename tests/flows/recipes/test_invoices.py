"""A won deal becomes one invoice in QuickBooks or Xero, and the deal shows what became of it."""

import asyncio
import json

import pytest

BOTH = pytest.mark.parametrize("ledger", ["quickbooks", "xero"], indirect=True)
CREATION = {"quickbooks": ("*/invoice", "POST"), "xero": ("*/Invoices", "PUT")}


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
    assert shown.get("invoice_sync_error", "") == ""
    assert f"hubspot-101-{deal}" in json.dumps(invoice, default=str)
