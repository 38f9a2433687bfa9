"""The embedded Postgres without a process: where it may live, and the key kept beside it."""

import base64
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from broker.embedded import programs
from broker.embedded.folder import EmbeddedUnavailable, default_data_dir
from broker.embedded.key import sealing_key
from broker.embedded.server import start


@pytest.fixture
def data():
    folder = Path(tempfile.mkdtemp(prefix="broker-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_without_the_extra_the_refusal_names_it(data, monkeypatch):
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EmbeddedUnavailable, match=r"pip install '.\[embedded\]'"):
        start(data)


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(data):
    with pytest.raises(EmbeddedUnavailable, match="bytes too long for a Postgres socket"):
        start(data / ("x" * 90))

    assert list(data.iterdir()) == []


def test_a_path_that_no_dsn_can_name_is_refused(data):
    with pytest.raises(EmbeddedUnavailable, match="comma"):
        start(data / "a,b")


def test_a_folder_that_cannot_be_made_is_reported_in_one_line(data):
    (data / "file").touch()
    (data / "file").chmod(0o755)

    with pytest.raises(EmbeddedUnavailable, match="Not a directory") as refusal:
        sealing_key(data / "file" / "broker")

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("user", "named", "expected"),
    [
        pytest.param(0, "/data", "/var/lib/broker", id="root"),
        pytest.param(1000, "/data", "/data/broker", id="XDG_DATA_HOME"),
        pytest.param(1000, "data", "/users/ann/.local/share/broker", id="relative is ignored"),
        pytest.param(1000, None, "/users/ann/.local/share/broker", id="home"),
    ],
)
def test_the_default_folder_fits_the_user(user, named, expected, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("HOME", "/users/ann")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    if named:
        monkeypatch.setenv("XDG_DATA_HOME", named)

    assert default_data_dir() == Path(expected)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_may_read_or_write_is_refused(data, mode):
    sealing_key(data)
    (data / "sealing.key").chmod(mode)

    with pytest.raises(EmbeddedUnavailable, match="chmod 600"):
        sealing_key(data)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"canary", id="no id"),
        pytest.param(b"k1:" + base64.b64encode(b"canary"), id="too short"),
        pytest.param(b"k1:" + base64.b64encode(b"c" * 33), id="too long"),
        pytest.param(b":" + base64.b64encode(b"c" * 32), id="empty id"),
        pytest.param(b"a,b:" + base64.b64encode(b"c" * 32), id="two ids"),
        pytest.param(b"k1:canary\xff", id="not text"),
    ],
)
def test_a_damaged_key_is_neither_used_nor_replaced_nor_shown(data, content):
    path = data / "sealing.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(EmbeddedUnavailable, match="holds no key") as refusal:
        sealing_key(data)

    assert path.read_bytes() == content
    assert "canary" not in str(refusal.value)


def test_a_key_behind_a_symbolic_link_is_refused(data):
    (data / "elsewhere").touch(mode=0o600)
    (data / "sealing.key").symlink_to(data / "elsewhere")

    with pytest.raises(EmbeddedUnavailable, match="symbolic links"):
        sealing_key(data)


def test_the_key_is_made_once_for_its_owner_only(data):
    key = sealing_key(data / "broker")
    name, _, secret = key.partition(":")

    assert sealing_key(data / "broker") == key
    assert name.isalnum()
    assert len(base64.b64decode(secret, validate=True)) == 32
    assert (data / "broker" / "sealing.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (data / "broker").iterdir()] == ["sealing.key"]


def test_two_folders_have_two_keys(data):
    assert sealing_key(data / "a") != sealing_key(data / "b")
