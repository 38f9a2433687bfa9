"""Deliveries out of a closed network, through its forward proxy."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from broker.receivers.client import Receivers
from tests.certificates import certificate
from tests.forward_proxy import forward_proxy, tls_front

NAME = "hooks.product.example"
PUBLIC = "93.184.216.34"
URL = f"https://{NAME}/in?x=1"


@asynccontextmanager
async def closed_network(tmp_path, monkeypatch, receiver, addresses, host=NAME, credentials=None):
    """Receivers whose names lead to `addresses`, and the proxy that is the only way out."""
    server, file = certificate(tmp_path, host, 10)
    trusted = ssl.create_default_context(cafile=file)
    lookups = []

    async def resolve(name, port):
        lookups.append((name, port))
        return addresses

    port = int(receiver.url.rpartition(":")[2])
    async with (
        tls_front(server, port) as front,
        forward_proxy({f"{PUBLIC}:443": front, f"{NAME}:443": front}, credentials) as proxy,
    ):
        user = f"{credentials}@" if credentials else ""
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
        proxy.resolved = lookups
        receivers = Receivers(allow_private=False, total_s=10, resolve=resolve, tls=trusted)
        try:
            yield receivers, proxy
        finally:
            await receivers.close()


@pytest.mark.parametrize("addresses", [["10.0.0.7"], ["127.0.0.1", "::1"], ["64:ff9b::a00:7"], []])
async def test_the_proxy_is_never_asked_for_a_private_address(
    tmp_path, monkeypatch, receiver, addresses
):
    """F18, P6: the name is judged here, not where the proxy looks it up."""
    async with closed_network(tmp_path, monkeypatch, receiver, addresses) as (receivers, proxy):
        reply = await receivers.post(URL, {}, "{}")

    assert (reply.status, reply.error) == (None, "private-address")
    assert proxy.targets == []
    assert receiver.got == []


async def test_the_proxy_is_asked_for_the_very_address_that_was_judged(
    tmp_path, monkeypatch, receiver
):
    """F18: with the receiver's own name in TLS and in Host."""
    addresses = ["10.0.0.7", PUBLIC]
    async with closed_network(
        tmp_path, monkeypatch, receiver, addresses, credentials="us%40er:pa%3Ass"
    ) as (receivers, proxy):
        proxy.credentials = "us@er:pa:ss"
        replies = [await receivers.post(URL, {"webhook-id": "evt_1"}, "{}") for _ in range(2)]

    assert {reply.status for reply in replies} == {204}
    assert set(proxy.targets) == {f"{PUBLIC}:443"}
    assert proxy.resolved == [(NAME, 443)] * 2
    assert {each.headers["host"] for each in receiver.got} == {NAME}
    assert [each.path for each in receiver.got] == ["/in", "/in"]


async def test_a_certificate_of_another_name_is_refused_behind_the_proxy(
    tmp_path, monkeypatch, receiver
):
    async with closed_network(tmp_path, monkeypatch, receiver, [PUBLIC], host="other.example") as (
        receivers,
        _,
    ):
        reply = await receivers.post(URL, {}, "{}")

    assert (reply.status, reply.accepted) == (None, False)
    assert receiver.got == []


async def test_a_proxy_that_refuses_makes_the_receiver_unreachable(tmp_path, monkeypatch, receiver):
    async with closed_network(tmp_path, monkeypatch, receiver, ["8.8.8.8"]) as (receivers, proxy):
        reply = await receivers.post(URL, {}, "{}")

    assert (reply.status, reply.error) == (None, "unreachable")
    assert proxy.targets == ["8.8.8.8:443"]


async def test_a_host_that_no_proxy_names_is_reached_directly(tmp_path, monkeypatch, receiver):
    monkeypatch.setenv("NO_PROXY", ".product.example")
    async with closed_network(tmp_path, monkeypatch, receiver, [PUBLIC]) as (receivers, proxy):
        async with asyncio.timeout(20):
            reply = await receivers.post(URL, {}, "{}")

    assert reply.status is None  # the name leads nowhere from here
    assert proxy.targets == []
