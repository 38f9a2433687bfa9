"""The sandboxes of partner systems, for recipes that join HubSpot with them."""

from tests.fixtures.leads import leads
from tests.flows.providers.conftest import orgs, salesforce_sandbox, shopify_sandbox, shops

__all__ = ["leads", "orgs", "salesforce_sandbox", "shopify_sandbox", "shops"]
