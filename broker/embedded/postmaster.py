"""The server process: started once, found again, stopped when no process needs it."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from broker.embedded.folder import SOCKET, EmbeddedUnavailable, cluster_in
from broker.embedded.programs import environment, identity, reason

# Recovery after a crash replays the log, and that may take minutes.
_START_S = 600.0
_STOP_S = 30.0
_SETTINGS = {
    "listen_addresses": "",
    # Our statements' errors reach us as errors; what they quote stays out of the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}

_servers: dict[Path, subprocess.Popen[bytes]] = {}


def run(data: Path, programs: Path) -> None:
    deadline = time.monotonic() + _START_S
    server: subprocess.Popen[bytes] | None = None
    while not _ready(cluster_in(data)):
        running = pid_of(cluster_in(data))
        if server is not None and server.poll() is not None:
            if running is None:
                log = (data / "postgres.log").read_bytes()
                raise EmbeddedUnavailable(f"Postgres does not start in {data}: {reason(log)}")
            server = None  # one that was left starting came first
        elif server is None and running is None:
            server = _launch(data, programs)
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(
                f"Postgres in {data} is not ready after {_START_S:.0f} s: "
                f"see {data / 'postgres.log'}, and try again"
            )
        time.sleep(0.01)


def _launch(data: Path, programs: Path) -> subprocess.Popen[bytes]:
    cluster, log = cluster_in(data), data / "postgres.log"
    _reap(data)
    _remove_stale_locks(cluster)
    if log.exists():
        log.replace(log.with_suffix(".log.before"))
    settings = {**_SETTINGS, "unix_socket_directories": f'"{cluster}"'}
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # Started without pg_ctl, whose shell would expand what is in the path. The session of
        # its own keeps our Ctrl-C from it.
        server = subprocess.Popen(  # noqa: S603 - our own programs
            [programs / "postgres", "-D", cluster, *(f"--{n}={v}" for n, v in settings.items())],
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            **identity(),
        )
    finally:
        os.close(descriptor)
    _servers[data] = server
    return server


def _remove_stale_locks(cluster: Path) -> None:
    """Remove lock files with a pid that is another program's now; Postgres would believe them.

    Files with a dead pid are left to Postgres, which also asks whether the dead server's
    shared memory is still in use.
    """
    for lock in (cluster / "postmaster.pid", cluster / f"{SOCKET}.lock"):
        pid = _pid(lock)
        if lock.exists() and (pid is None or _alive(pid)):
            lock.unlink(missing_ok=True)


def _pid(lock: Path) -> int | None:
    try:
        # A standalone backend writes its pid as a negative number.
        return abs(int(lock.read_text().split("\n", 1)[0])) or None
    except (FileNotFoundError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pid_of(cluster: Path) -> int | None:
    """Find the pid of the server that runs this cluster, if one does."""
    import psutil  # noqa: PLC0415 - comes with the extra only

    pid = _pid(cluster / "postmaster.pid")
    if pid is None:
        return None
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    return pid if str(cluster) in command else None


def _ready(cluster: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(cluster / SOCKET))
        except OSError:
            return False
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[7:8] != [] and lines[7].strip() == "ready"


def stop_server(data: Path) -> None:
    cluster = cluster_in(data)
    # Fast first: roll back and close cleanly. Then at once: the next start recovers.
    for how in (signal.SIGINT, signal.SIGQUIT):
        pid = pid_of(cluster)
        if pid is None:
            break
        os.kill(pid, how)
        deadline = time.monotonic() + _STOP_S
        while pid_of(cluster) is not None and time.monotonic() < deadline:
            _reap(data)
            time.sleep(0.01)
    _reap(data)


def _reap(data: Path) -> None:
    server = _servers.get(data)
    if server is not None and server.poll() is not None:
        del _servers[data]
