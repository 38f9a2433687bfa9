"""The folder that the embedded Postgres lives in, and who may walk into it."""

import contextlib
import os
import pwd
import stat
import time
from collections.abc import Iterator
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
# The shortest sun_path of the systems we run on (macOS: 104 bytes with its closing NUL).
_LONGEST_SOCKET = 103


class EmbeddedUnavailable(RuntimeError):
    """The embedded Postgres or its sealing key cannot be had; one line says what to do."""


def default_data_dir() -> Path:
    """Where the embedded Postgres lives unless the operator says otherwise.

    For root a system folder, because Postgres refuses to be root and its own user cannot walk
    into root's home. Raises EmbeddedUnavailable when the user has no home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/broker")
    named = os.environ.get("XDG_DATA_HOME", "")
    if Path(named).is_absolute():
        return Path(named) / "broker"
    try:
        return Path.home() / ".local" / "share" / "broker"
    except RuntimeError:
        message = "this user has no home folder: set BROKER_DATA_DIR"
        raise EmbeddedUnavailable(message) from None


def resolved(data: Path) -> Path:
    try:
        return data.expanduser().resolve()
    except (OSError, RuntimeError) as problem:
        raise EmbeddedUnavailable(
            f"{data} leads nowhere ({problem}): set BROKER_DATA_DIR"
        ) from None


def cluster_in(data: Path) -> Path:
    return data / "postgres"


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


@contextlib.contextmanager
def as_unavailable(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = f": {problem.filename}" if problem.filename else ""
        raise EmbeddedUnavailable(f"{what} ({problem.strerror}{where})") from problem


def refuse_unfit_name(data: Path) -> None:
    excess = len(os.fsencode(cluster_in(data) / SOCKET)) - _LONGEST_SOCKET
    if excess > 0:
        raise EmbeddedUnavailable(
            f"{data} is {excess} bytes too long for a Postgres socket: "
            "set BROKER_DATA_DIR to a shorter path"
        )
    if "," in str(data):
        raise EmbeddedUnavailable(f"{data} has a comma in it: set BROKER_DATA_DIR to another path")


def make_folder(data: Path) -> None:
    root = os.geteuid() == 0
    if root and closed_to_others(data):
        # Perhaps by another start, which is about to open the folder that it just made.
        time.sleep(0.1)
        if closed := closed_to_others(data):
            raise EmbeddedUnavailable(
                f"running as root, Postgres runs as another user, and {closed} is private: "
                "set BROKER_DATA_DIR to a path such as /var/lib/broker"
            )
    # Others may walk through root's folder, not list it.
    mode = 0o711 if root else 0o700
    for folder in [part for part in [*reversed(data.parents), data] if not part.exists()]:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=mode)
            folder.chmod(mode)  # whatever the umask took


def closed_to_others(path: Path) -> Path | None:
    for part in [*reversed(path.parents), path]:
        if part.exists() and not part.stat().st_mode & stat.S_IXOTH:
            return part
    return None
