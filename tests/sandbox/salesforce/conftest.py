"""The sandbox Salesforce, with an app that is connected or not yet."""

import pytest

from tests.sandbox.salesforce.client import salesforce

__all__ = ["connected", "salesforce"]


@pytest.fixture
async def connected(salesforce):
    """The sandbox Salesforce with the app connected by the org's admin."""
    await salesforce.connect()
    return salesforce
