"""Where the demo runs when somebody else was there first."""

import socket
from pathlib import Path

import pytest

from broker.cli import demo_setting
from broker.cli.runtime import Runtime
from broker.sealing import Keyring
from broker.settings import Settings

KEY = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="


@pytest.fixture
def taken():
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        yield occupant.getsockname()[1]


def test_a_port_in_use_is_passed_over(monkeypatch, taken, unused_tcp_port):
    monkeypatch.setattr(demo_setting, "OTHERS", [taken, unused_tcp_port])
    assert demo_setting.choose_port(taken) == unused_tcp_port

    monkeypatch.setattr(demo_setting, "OTHERS", [taken])
    with socket.socket() as any_other:
        any_other.bind(("127.0.0.1", demo_setting.choose_port(taken)))


class Walked:
    secret = "bs_secret"
    company = "227"
    sandbox_url = "http://localhost:8181"
    case_url = "http://localhost:8182"
    recipe_path = "/api/recipes/kyb/demo"


@pytest.mark.parametrize("embedded", [True, False])
def test_the_demo_ends_with_what_to_do_and_what_it_leaves(embedded, tmp_path):
    settings = Settings.model_validate(
        {"public_url": "http://localhost:8180", "data_dir": Path(tmp_path)}
    )
    found = Runtime(settings, "", Keyring.parse(KEY), embedded=embedded)

    text = demo_setting.next_steps(found, Walked())

    assert "http://localhost:8180/console   sign in with bs_secret" in text
    assert "export B=http://localhost:8180 KEY=bs_secret" in text
    assert "http://localhost:8180/docs/hubspot" in text
    assert "press Ctrl-C to stop it" in text
    assert (f"rm -rf {tmp_path}" in text) is embedded
