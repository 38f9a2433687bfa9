"""Secrets at rest: AES-256-GCM under a list of keys, each value bound to where it is stored.

A sealed value is `version(1) | length of key id(1) | key id | nonce(12) | ciphertext and tag`.
The place (workspace, table, row, column) is authenticated with it, so a value pasted into another
row or column does not open. Nonces are random: a key should seal fewer than 2**32 values, which
`broker reseal` under a new key resets.
"""

import base64
import binascii
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.domain.model import Secret
from broker.errors import SealBroken, SealingKeyMissing

log = logging.getLogger(__name__)

VERSION = 1
NONCE_BYTES = 12
MAX_KEY_ID = 32
REPORT_S = 60.0
"""How often a key that is missing is logged."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs: `row` names the table and the row in it."""

    workspace_id: UUID | None
    row: str
    column: str

    def bound(self) -> bytes:
        return f"{self.workspace_id}/{self.row}/{self.column}".encode()


class Keyring:
    """Sealing keys by id, newest first. Its text never shows key material."""

    def __init__(self, keys: Iterable[tuple[str, bytes]]) -> None:
        self._keys = dict(keys)
        self.newest = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read `id:base64-of-32-bytes`, comma separated, newest first.

        Raises ValueError with a message that names the entry by its position and never holds
        key material.
        """
        keys: dict[str, bytes] = {}
        for position, entry in enumerate(text.split(","), start=1):
            key_id, colon, encoded = entry.strip().partition(":")
            if not colon or not _is_key_id(key_id):
                raise ValueError(f"entry {position} is not id:base64-of-32-bytes")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error as error:
                raise ValueError(f"entry {position} is not base64 after its id") from error
            if len(key) != 32:
                raise ValueError(f"entry {position} holds {len(key)} bytes, not 32")
            if len(set(key)) < 8:
                raise ValueError(f"entry {position} is not a random key")
            if key_id in keys:
                raise ValueError(f"entry {position} repeats an id")
            keys[key_id] = key
        return cls(keys.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __getitem__(self, key_id: str) -> bytes:
        return self._keys[key_id]

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"


class Sealer:
    """Seals under the newest key and opens under any key that it has."""

    def __init__(self, keyring: Keyring) -> None:
        self._ciphers = {key_id: AESGCM(keyring[key_id]) for key_id in keyring}
        self.newest = keyring.newest
        self._header = bytes([VERSION, len(self.newest)]) + self.newest.encode()
        self._reported: dict[str, float] = {}

    def seal(self, secret: Secret, place: Place) -> bytes:
        """The sealed form of `secret`, which opens in `place` only."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.newest].encrypt(
            nonce, secret.reveal().encode(), self._header + place.bound()
        )
        return self._header + nonce + sealed

    def open(self, sealed: bytes, place: Place) -> Secret:
        """The secret sealed for `place`.

        Raises SealBroken when the value was changed or belongs elsewhere; an operator must look,
        the caller can do nothing. Raises SealingKeyMissing when another process sealed it under a
        key that this one does not have: a process that has it can serve the caller.
        """
        key_id = key_of(sealed)
        start = 2 + len(key_id)
        cipher = self._ciphers.get(key_id)
        if not sealed or sealed[0] != VERSION or not _is_key_id(key_id):
            raise SealBroken
        if cipher is None:
            self.report_missing(key_id)
            raise SealingKeyMissing
        nonce, ciphertext = sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :]
        try:
            opened = cipher.decrypt(nonce, ciphertext, sealed[:start] + place.bound())
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error
        return Secret(opened.decode())

    def knows(self, key_id: str) -> bool:
        return key_id in self._ciphers

    def report_missing(self, key_id: str) -> None:
        """Log, now and then, that values under this key cannot be opened here."""
        now = time.monotonic()
        if now - self._reported.get(key_id, -REPORT_S) >= REPORT_S:
            self._reported[key_id] = now
            log.error(
                "sealing_key_missing", extra={"key": key_id, "setting": "BROKER_SEALING_KEYS"}
            )


def key_of(sealed: bytes) -> str:
    """The id of the key that a value is sealed with."""
    return sealed[2 : 2 + sealed[1]].decode("ascii", errors="replace") if len(sealed) > 2 else ""


def _is_key_id(text: str) -> bool:
    return 0 < len(text) <= MAX_KEY_ID and text.isascii() and text.isprintable()
