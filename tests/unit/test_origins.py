"""Where a request came from, behind proxies."""

from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from broker.settings import Settings, SettingsProblems
from broker.web.core.origins import TRUSTED_PROXIES, address_of

PROXIES = "10.0.0.0/8, ::1"


def seen(peer, forwarded=(), trusted=PROXIES):
    app = web.Application()
    app[TRUSTED_PROXIES] = Settings.model_validate({"trusted_proxies": trusted}).trusted_proxies
    request = make_mocked_request(
        "GET", "/", [("X-Forwarded-For", each) for each in forwarded], app=app
    )
    return address_of(request.clone(remote=peer))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.2.3.4", "198.51.100.1, 10.2.3.4"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.2.3.4"], "10.2.3.4"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("::1", ["10.0.0.7"], "10.0.0.7"),
        (None, ["198.51.100.1"], None),
    ],
)
def test_only_what_a_trusted_proxy_vouches_for_is_believed(peer, forwarded, address):
    assert seen(peer, forwarded) == address


def test_nobody_is_trusted_unless_named():
    assert seen("127.0.0.1", ["198.51.100.1"], trusted="") == "127.0.0.1"


def test_a_proxy_that_is_no_network_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingsProblems, match="BROKER_TRUSTED_PROXIES: must be addresses"):
        Settings.from_env({"BROKER_TRUSTED_PROXIES": "10.0.0.0/8, nginx"}, tmp_path / "none", ())
    assert Settings.from_env({}, tmp_path / "none", ()).trusted_proxies == ()
    assert (
        ip_network("::1") in Settings.model_validate({"trusted_proxies": PROXIES}).trusted_proxies
    )
