"""Secrets at rest."""

import base64
import os
from uuid import UUID, uuid4

import pytest

from broker.domain.model import Secret
from broker.errors import SealBroken
from broker.sealing import Keyring, Place, Sealer, key_of

WORKSPACE = UUID(int=1)
PLACE = Place(WORKSPACE, "connection/1", "access_token")


def ring(*ids):
    return ",".join(f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}" for key_id in ids)


def test_what_is_sealed_opens_in_its_place():
    sealer = Sealer(Keyring.parse(ring("k1")))

    opened = sealer.open(sealer.seal(Secret("canary ü"), PLACE), PLACE)

    assert opened.reveal() == "canary ü"


@pytest.mark.parametrize(
    "place",
    [
        Place(WORKSPACE, "connection/2", "access_token"),
        Place(WORKSPACE, "connection/1", "refresh_token"),
        Place(uuid4(), "connection/1", "access_token"),
        Place(None, "connection/1", "access_token"),
    ],
)
def test_what_is_sealed_opens_nowhere_else(place):
    """T2."""
    sealer = Sealer(Keyring.parse(ring("k1")))

    with pytest.raises(SealBroken):
        sealer.open(sealer.seal(Secret("canary"), PLACE), place)


def test_one_changed_byte_anywhere_keeps_it_shut():
    sealer = Sealer(Keyring.parse(ring("k1")))
    sealed = sealer.seal(Secret("canary"), PLACE)

    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(SealBroken):
            sealer.open(changed, PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(sealed[:length], PLACE)


def test_the_same_secret_never_seals_the_same_twice():
    """T3."""
    sealer = Sealer(Keyring.parse(ring("k1")))

    nonces = {sealer.seal(Secret("canary"), PLACE)[4:16] for _ in range(20_000)}

    assert len(nonces) == 20_000


def test_the_newest_key_seals_and_every_key_opens():
    old, new = ring("old"), ring("new")
    sealed = Sealer(Keyring.parse(old)).seal(Secret("canary"), PLACE)
    sealer = Sealer(Keyring.parse(f"{new},{old}"))

    assert sealer.open(sealed, PLACE).reveal() == "canary"
    assert key_of(sealer.seal(Secret("canary"), PLACE)) == "new"
    with pytest.raises(SealBroken):
        Sealer(Keyring.parse(new)).open(sealed, PLACE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:",
        "k1:!!!",
        "k1:" + base64.b64encode(b"short").decode(),
        "k1:" + base64.b64encode(bytes(32)).decode(),
        ":" + base64.b64encode(os.urandom(32)).decode(),
        "k1:{0},k1:{0}".format(base64.b64encode(os.urandom(32)).decode()),
    ],
)
def test_keys_that_are_none_are_refused_without_being_shown(text):
    """T5."""
    with pytest.raises(ValueError) as refusal:
        Keyring.parse(text)

    encoded = text.partition(":")[2].partition(",")[0]
    assert not encoded or encoded not in str(refusal.value)


def test_a_secret_hides_from_every_way_of_printing():
    secret = Secret("canary")

    assert "canary" not in f"{secret} {secret!r} {[secret]} {secret!s}"
