"""The sandboxes of partner systems, for recipes that join HubSpot with them."""

from tests.flows.providers.conftest import shopify_sandbox, shops

__all__ = ["shopify_sandbox", "shops"]
