"""The sealing key kept beside the embedded Postgres."""

import base64
import binascii
import contextlib
import os
import re
import secrets
from pathlib import Path

from broker.embedded.folder import (
    EmbeddedUnavailable,
    as_unavailable,
    make_folder,
    name_of,
    resolved,
)

_LARGEST_KEY_FILE = 1024


def sealing_key(data: Path) -> str:
    """Return the key that seals what the embedded Postgres keeps: `id:base64-of-32-bytes`.

    Made on first use and the same for everyone after. Raises EmbeddedUnavailable when it cannot
    be kept, when another user could read it, or when the file holds something else.
    """
    data = resolved(data)
    path = data / "sealing.key"
    with as_unavailable(f"the sealing key cannot be kept in {data}"):
        make_folder(data)
        if not path.exists():
            _make_key(path)
        return _read_key(path)


def _make_key(path: Path) -> None:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    unfinished = path.with_name(f".sealing.key.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"k{secrets.token_hex(4)}:{key}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all, and never replaces the key of who came first.
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        unfinished.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_key(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        found = os.fstat(file.fileno())
        content = file.read(_LARGEST_KEY_FILE)
    if found.st_uid not in {0, os.geteuid()}:
        raise EmbeddedUnavailable(f"{path} belongs to {name_of(found.st_uid)}: it may know the key")
    if found.st_mode & 0o077:
        raise EmbeddedUnavailable(f"other users may read {path}: chmod 600 it, or replace the key")
    try:
        text = content.decode("ascii").strip()
        name, _, key = text.partition(":")
        whole = len(base64.b64decode(key, validate=True)) == 32
    except (UnicodeDecodeError, binascii.Error):
        whole = False
    if not whole or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise EmbeddedUnavailable(
            f"{path} holds no key: restore it from a backup, without it no grant can be opened"
        )
    return text
