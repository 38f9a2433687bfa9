"""The sockets of an address: one for each of a name's addresses, and both families for `[::]`."""

import errno
import socket
from contextlib import ExitStack

from broker.settings import Address

BACKLOG = 1024
ANY_IPV6 = "::"


def listening_sockets(address: Address, *, reuse_port: bool = False) -> list[socket.socket]:
    """Sockets that listen on every address that the host stands for, all on one port.

    `[::]` takes IPv4, too, where the system can; `localhost` is 127.0.0.1 and ::1. Raises OSError
    when the port is taken on one of them, or none of them is of this machine.
    """
    hosts = dict.fromkeys(
        (family, str(where[0]))
        for family, *_, where in socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    )
    if address.host == "localhost":
        hosts |= dict.fromkeys([(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
    found: list[socket.socket] = []
    missing: OSError | None = None
    with ExitStack() as opened:
        port = address.port
        for family, host in hosts:
            try:
                listener = _listen(family, host, port, reuse_port=reuse_port)
            except _NotHere as error:
                missing = error
                continue
            found.append(opened.enter_context(listener))
            port = listener.getsockname()[1]
        if not found:
            raise missing or OSError(f"{address.host} has no address")
        opened.pop_all()
    return found


class _NotHere(OSError):
    """The address, or its family, is not one of this machine's."""


def _listen(family: int, host: str, port: int, *, reuse_port: bool) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NotHere(error.errno, error.strerror) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            both = host == ANY_IPV6 and socket.has_dualstack_ipv6()
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        try:
            listener.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise _NotHere(error.errno, error.strerror) from error
            raise
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
