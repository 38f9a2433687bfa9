"""Answers of partner systems that are JSON and not what their APIs promise."""

import pytest

from broker.sandbox.core.faults import Fault
from tests.fixtures.leads import ANN
from tests.fixtures.leads import START as LEADS
from tests.flows.recipes.test_orders import START, USER, till

__all__ = ["till"]

ODD = ["null", "[]", "[1]", "{}", '{"data": null}', '{"data": {}}', '{"data": [1]}', "7"]


async def test_an_odd_answer_of_a_shop_is_the_shops_trouble(shops, till):
    found = []
    for body in ODD:
        fault = Fault("*/graphql.json", "status", status=200, body=body)
        shops.world.faults.add(fault)
        start = await shops.broker.asks("POST", START, json={**USER, "orderId": "7"})
        check = await shops.broker.asks("POST", f"{START}/check", json=USER)
        shops.world.faults.clear()
        found.append((body, start.status, check.status, start.body[:200]))

    assert {each[1] for each in found} <= {422, 502, 503}, found
    assert {each[2] for each in found} == {200}, found


@pytest.mark.parametrize("ledger", ["quickbooks", "xero"], indirect=True)
async def test_an_odd_answer_of_books_is_the_books_trouble(ledger):
    found = []
    broker = ledger.books.broker
    for body in [*ODD, '{"QueryResponse": null}', '{"Organisations": null}', '{"CompanyInfo": 1}']:
        fault = Fault("*", "status", status=200, body=body)
        ledger.books.world.faults.add(fault)
        path = "/api/recipes/invoices/hbdev"
        start = {**USER, "dealId": "1", "dryRun": True}
        dry = await broker.asks("POST", path, json=start)
        check = await broker.asks("POST", f"{path}/check", json=USER)
        ledger.books.world.faults.clear()
        found.append((body, dry.status, check.status, dry.body[:100]))

    assert {each[1] for each in found} <= {422, 502, 503}, found
    assert {each[2] for each in found} == {200}, found


async def test_an_odd_answer_of_salesforce_is_salesforces_trouble(leads):
    contact = leads.contact(**ANN)
    found = []
    for body in [*ODD, '{"fields": null}', '{"fields": [1]}', '{"records": [null]}']:
        leads.orgs.world.faults.add(Fault("/services/data/*", "status", status=200, body=body))
        dry = await leads.starts(contactId=contact, dryRun=True)
        check = await leads.broker.asks("POST", f"{LEADS}/check", json=USER)
        leads.orgs.world.faults.clear()
        found.append((body, dry.status, check.status, dry.body[:100]))

    assert {each[1] for each in found} <= {422, 502, 503}, found
    assert {each[2] for each in found} == {200}, found
    assert leads.lead_writes() == []
