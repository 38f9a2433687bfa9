"""The sandboxes of partner systems, for recipes that join HubSpot with them."""

import pytest

from tests.fixtures.leads import leads
from tests.flows.providers.conftest import (
    Books,
    orgs,
    quickbooks_sandbox,
    salesforce_sandbox,
    shopify_sandbox,
    shops,
    xero_sandbox,
)
from tests.flows.recipes.deals import QB_UK, QB_US, XERO_NZ, XERO_SCOPES, ledger_of

__all__ = [
    "leads",
    "orgs",
    "quickbooks_sandbox",
    "salesforce_sandbox",
    "shopify_sandbox",
    "shops",
    "xero_sandbox",
]

ACCOUNTING = ["com.intuit.quickbooks.accounting"]


@pytest.fixture
async def quickbooks(start_broker, quickbooks_sandbox):
    """A company of QuickBooks in the US whose invoices are for hours."""
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    return await ledger_of(books, QB_US, ACCOUNTING, item="2")


@pytest.fixture
async def quickbooks_uk(start_broker, quickbooks_sandbox):
    """A company of QuickBooks in the UK, without a tax code in the settings."""
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    return await ledger_of(books, QB_UK, ACCOUNTING, item="2")


@pytest.fixture
async def xero(start_broker, xero_sandbox):
    """An organisation of Xero in New Zealand that uses dollars of both."""
    broker = await start_broker(xero_url=xero_sandbox.url)
    await broker.makes_workspace()
    books = Books("xero", xero_sandbox, broker)
    return await ledger_of(books, XERO_NZ, XERO_SCOPES, account="200", taxCode="NONE")


@pytest.fixture
def ledger(request):
    """The accounting system that a parameter names."""
    return request.getfixturevalue(request.param)
