"""The sockets of an address."""

import errno
import socket

import pytest

from broker.bootstrap.listening import listening_sockets
from broker.settings import Address

HAS_IPV6 = socket.has_dualstack_ipv6()


@pytest.fixture
def listen():
    opened = []

    def open_at(host, port=0):
        found = listening_sockets(Address.parse(f"{host}:{port}"))
        opened.extend(found)
        return found

    yield open_at
    for each in opened:
        each.close()


def answers(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
@pytest.mark.parametrize("host", ["[::]", "localhost"])
def test_both_families_are_served_on_one_port(listen, host):
    """U2."""
    port = listen(host)[0].getsockname()[1]

    assert answers("127.0.0.1", port)
    assert answers("::1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_address_of_ipv4_serves_ipv4_only(listen, host):
    port = listen(host)[0].getsockname()[1]

    assert answers("127.0.0.1", port)
    assert not answers("::1", port)


def test_a_port_that_is_taken_is_refused_and_nothing_stays_open(listen):
    port = listen("127.0.0.1")[0].getsockname()[1]

    with pytest.raises(OSError) as refusal:
        listen("localhost", port)

    assert refusal.value.errno == errno.EADDRINUSE
    assert not answers("::1", port)


def test_an_address_of_another_machine_is_refused(listen):
    with pytest.raises(OSError) as refusal:
        listen("192.0.2.1", 8080)

    assert refusal.value.errno == errno.EADDRNOTAVAIL
