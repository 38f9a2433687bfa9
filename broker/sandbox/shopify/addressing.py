"""Which shop a request is for: by host, by a path of the sandbox's own, or the only one there is.

Shopify has a host for each shop. Here `acme.myshopify.com` in the Host header names one, so does
`acme.localhost`, and every path also exists under `/shops/acme.myshopify.com`.
"""

from aiohttp import web

from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify

PREFIX = "/shops/{shop}"


def paths(path: str) -> tuple[str, str]:
    """A path of a shop, without and with the sandbox's prefix."""
    return path, PREFIX + path


def shop_of(world: Shopify, request: web.Request) -> Shop | None:
    """The shop that is addressed, if there is such a shop."""
    named = request.match_info.get("shop")
    if named is None:
        host = request.host.partition(":")[0].lower()
        if host.endswith(".myshopify.com"):
            named = host
        elif host.endswith(".localhost"):
            named = host.partition(".")[0]
    if named is None:
        return next(iter(world.shops.values())) if len(world.shops) == 1 else None
    domain = named if named.endswith(".myshopify.com") else f"{named}.myshopify.com"
    return world.shops.get(domain)
