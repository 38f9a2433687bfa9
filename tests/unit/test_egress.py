"""Connections to vendors out of a closed network, on each loop that serves."""

from contextlib import asynccontextmanager

import pytest
from yarl import URL

from broker.providers.transport.budget import NotConnected
from broker.providers.transport.egress import proxy_for
from broker.providers.transport.headers import Headers
from broker.providers.transport.pool import ConnectTimeout, Pool
from broker.providers.transport.request import encode_request
from tests.certificates import certificate
from tests.forward_proxy import forward_proxy, listening

ORIGIN = URL("https://api.vendor.test")


@pytest.fixture(autouse=True)
def no_proxy_of_the_machines(monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def vendor(tmp_path, monkeypatch):
    """The port of a vendor that nothing but a proxy leads to, with a certificate for its name."""
    context, file = certificate(tmp_path, "api.vendor.test", 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async with listening(serve, ssl=context) as port:
        yield port


async def ask(pool):
    request, _ = encode_request(
        "GET", "/x", [Headers.of([("Host", "api.vendor.test")])], None, None
    )
    answer = await pool.send(request, None, 5, bodiless=False, repeats=True)
    try:
        return b"".join([part async for part in answer])
    finally:
        answer.close()


@pytest.mark.parametrize("credentials", [None, "jane:p@ss word"])
async def test_a_call_goes_through_the_proxy_to_the_vendors_own_certificate(
    tmp_path, monkeypatch, credentials
):
    """F18: the name is the proxy's to look up, and the bytes in between are TLS."""
    async with (
        vendor(tmp_path, monkeypatch) as port,
        forward_proxy({"api.vendor.test:443": port}, credentials) as proxy,
    ):
        user = "jane:p%40ss%20word@" if credentials else ""
        monkeypatch.setenv("HTTPS_PROXY", f"http://{user}127.0.0.1:{proxy.port}")
        pool = Pool(ORIGIN, 5, 5)
        for _ in range(3):
            assert await ask(pool) == b"hi"
        pool.close()

    assert proxy.targets == ["api.vendor.test:443"]


async def test_a_certificate_for_another_name_is_none_behind_a_proxy_either(tmp_path, monkeypatch):
    async with (
        vendor(tmp_path, monkeypatch) as port,
        forward_proxy({"other.vendor.test:443": port}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        pool = Pool(URL("https://other.vendor.test"), 5, 5)
        with pytest.raises(NotConnected):
            await ask(pool)


async def test_a_proxy_that_refuses_is_no_connection_and_its_password_is_in_no_log(
    tmp_path, monkeypatch, caplog
):
    async with forward_proxy({"api.vendor.test:443": 1}, "jane:right") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://jane:hushhush@127.0.0.1:{proxy.port}")
        with pytest.raises(NotConnected):
            await ask(Pool(ORIGIN, 5, 5))
    with pytest.raises(NotConnected):
        await ask(Pool(ORIGIN, 5, 5))  # nor one that is away

    refused = [each for each in caplog.records if each.msg == "proxy_refused"]
    assert [each.status for each in refused] == [407]
    assert "hushhush" not in caplog.text


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\nmore"])
async def test_what_is_no_answer_to_connect_is_no_tunnel(monkeypatch, answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async with listening(serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NotConnected):
            await ask(Pool(ORIGIN, 5, 5))


async def test_a_proxy_that_says_nothing_takes_no_longer_than_a_connection_may(monkeypatch):
    async def serve(reader, _writer):
        await reader.read(-1)

    async with listening(serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectTimeout):
            await ask(Pool(ORIGIN, 0.3, 5))


@pytest.mark.parametrize(
    ("url", "no_proxy", "through"),
    [
        ("https://api.hubapi.com", "", True),
        ("http://api.hubapi.com", "", False),
        ("https://api.hubapi.com", "*", False),
        ("https://api.hubapi.com", "hubapi.com", False),
        ("https://api.hubapi.com", ".hubapi.com", False),
        ("https://api.hubapi.com", "*.hubapi.com", False),
        ("https://api.hubapi.com", "api.hubapi.com:443", False),
        ("https://api.hubapi.com", "api.hubapi.com:8443", True),
        ("https://nothubapi.com", "hubapi.com", True),
        ("https://API.HubAPI.com", "HUBAPI.com", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://11.1.2.3", "10.0.0.0/8", True),
        ("https://[fd00::1]", "fd00::/8", False),
        ("https://api.hubapi.com", "localhost, 127.0.0.1, .svc", True),
    ],
)
def test_no_proxy_names_what_is_reached_directly(monkeypatch, url, no_proxy, through):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert (proxy_for(URL(url)) is not None) is through


def test_without_a_proxy_everything_is_reached_directly():
    assert proxy_for(ORIGIN) is None
