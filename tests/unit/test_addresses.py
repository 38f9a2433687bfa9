"""Where nothing may be sent, in whatever spelling."""

import pytest

from broker.errors import InvalidRequest
from broker.providers.transport.addresses import is_private
from broker.receivers.addresses import check_url

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:7f00:1::",
    "2001::1",
    "2001:db8::1",
    "::7f00:1",
    "::8.8.8.8",
    "64:ff9b:1::7f00:1",
    "64:ff9b:1::808:808",
    "fec0::1",
    "100::1",
    "4000::1",
    "3fff::1",
    "168.63.129.16",
    "192.88.99.1",
    "not an address",
    "",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "198.20.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "168.63.129.17",
]


def test_private_addresses_are_known():
    """P5, 2.15."""
    assert [each for each in PRIVATE if not is_private(each)] == []
    assert [each for each in PUBLIC if is_private(each)] == []


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://[{each}]/x" if ":" in each else f"https://{each}/x" for each in PRIVATE[:-2]),
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://127.1/",
        "https://0/",
        "https://[::ffff:7f00:1]/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "http://product.example/",
        "ftp://product.example/",
        "//product.example/",
        "product.example",
        "https://",
        "https:///x",
        "https://user@product.example/",
        "https://user:pass@product.example/",
        "https://product.example/#x",
        "https://product.example/ x",
        "https://product.example\\@127.0.0.1/",
        "https://product.example:99999/",
        "https://[::1/",
        "https://prod\u00fcct.example/",
        "https://product.example/\x7f",
        "javascript:alert(1)",
    ],
)
def test_an_endpoint_cannot_be_there(url):
    """P6, D3."""
    with pytest.raises(InvalidRequest):
        check_url(url, allow_private=False)


def test_an_endpoint_can_be_there():
    for url in (
        "https://product.example/in?x=%20y",
        "https://8.8.8.8:8443/",
        "https://10.example/",
    ):
        check_url(url, allow_private=False)
    for url in ("http://localhost:3000/in", "http://127.0.0.1:9/", "https://10.0.0.1/"):
        check_url(url, allow_private=True)
