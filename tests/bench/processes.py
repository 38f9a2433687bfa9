"""Processes of the benchmark: started on cores of their own, waited for, ended with their block."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ALL_CORES = sorted(os.sched_getaffinity(0))


def subject_cores(processes: int = 1) -> list[int]:
    """Cores that what is measured runs on: one for each of its processes."""
    return ALL_CORES[:processes]


def other_cores(processes: int = 1) -> list[int]:
    """Cores of client, upstream and Postgres: those that the subject leaves, at least the last."""
    return ALL_CORES[processes:] or ALL_CORES[-1:]


def program(name: str) -> str:
    """Where a program is; ends the run with advice when it is missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        sys.exit(f"bench: {name} is missing; on Debian: apt install wrk nginx-light")
    return found


def free_port(count: int = 1) -> int:
    """The first of `count` free ports in a row; a run gets none of them twice."""
    # Below those that the kernel takes for outgoing connections, of which a benchmark has many.
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        ports = range(first := secrets.randbelow(lowest - 11_000) + 10_000, first + count)
        if _handed_out.isdisjoint(ports) and all(_is_free(port) for port in ports):
            _handed_out.update(ports)
            return first
    sys.exit(f"bench: no {count} free ports in a row below {lowest}")


_handed_out: set[int] = set()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def pinned(cores: Sequence[int]) -> list[str]:
    """The beginning of a command that runs on these cores only."""
    return ["taskset", "-c", ",".join(str(core) for core in cores)]


@contextmanager
def running(
    command: Sequence[str],
    cores: Sequence[int],
    *,
    ports: Sequence[int] = (),
    cwd: str | os.PathLike[str] | None = None,
    **environment: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on its cores that answers on its ports; ended with the block."""
    with tempfile.TemporaryFile() as problems:
        process = subprocess.Popen(
            [*pinned(cores), *command],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
            stderr=problems,
        )
        try:
            for port in ports:
                if not _answers(process, port):
                    problems.seek(0)
                    lines = problems.read().decode(errors="replace").strip().splitlines()
                    last = "\n".join(lines[-5:])
                    sys.exit(f"bench: {' '.join(command[:4])} does not answer\n{last}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], port: int, within: float = 30) -> bool:
    deadline = time.monotonic() + within
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@contextmanager
def started_on(cores: Sequence[int]) -> Iterator[None]:
    """What this process starts in the block stays on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
