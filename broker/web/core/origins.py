"""Where a request came from: the caller's address, behind proxies that the operator trusts."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from aiohttp import web

Network = IPv4Network | IPv6Network

TRUSTED_PROXIES: web.AppKey[Sequence[Network]] = web.AppKey("networks of trusted proxies", Sequence)


def address_of(request: web.Request) -> str | None:
    """The address nearest to the caller that a trusted proxy vouches for in `X-Forwarded-For`; the
    connection's own where it comes from no such proxy.
    """
    address = request.remote
    trusted = request.app.get(TRUSTED_PROXIES, ())
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while hops and address is not None and _is_in(address, trusted):
        hop = hops.pop().strip()
        try:
            address = str(ip_address(hop))
        except ValueError:
            break  # no address, so nobody vouches for more
    return address


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)
