"""Which network addresses nothing may be sent to that a caller chose. No I/O."""

import ipaddress
import socket
from typing import Any

REFUSED = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
        "192.88.99.0/24",
        "2001::/32",
        "2002::/16",
        "3fff::/20",
    )
)
"""Networks of this machine, of private sites, of no host, of a cloud's own services (168.63.129.16
is Azure's), and those that stand for an address of the other family."""

UNICAST = ipaddress.ip_network("2000::/3")
"""All that IANA has allocated of IPv6: what is outside embeds IPv4 (::/96, 64:ff9b::/96,
64:ff9b:1::/48), is local, or leads nowhere."""


class PrivateAddress(OSError):
    """A name leads to an address that nothing may be sent to."""


def is_private(address: str) -> bool:
    """Whether nothing may be sent to an address; what is not an address counts as private."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if parsed.version == 6 and parsed not in UNICAST:
        return True
    return not parsed.is_global or any(
        parsed in network for network in REFUSED if network.version == parsed.version
    )


def names_private(host: str) -> bool:
    """Whether a host is itself a private address, in whatever spelling."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    if ":" in host:
        return is_private(host)
    try:
        # The C library's reading, as a resolver has it: 0x7f.1, 2130706433 and 127.1 are addresses.
        packed = socket.inet_aton(host)
    except OSError:
        return False
    return is_private(socket.inet_ntoa(packed))


def public_of(found: Any) -> Any:
    """Those of resolved addresses that anything may be sent to. Raises PrivateAddress."""
    public = [each for each in found if not is_private(str(each[4][0]))]
    if not public:
        raise PrivateAddress
    return public
