"""One measurement: a client's calls for some seconds, and what they cost who answers them."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.machine import cpu_seconds, rss_mb
from tests.bench.processes import pinned, program
from tests.bench.workloads import Target, Workload, script


class CallsFailed(Exception):
    """Some calls were refused or broken; their figures would be of something else."""


class NothingAnswered(CallsFailed):
    """The time ended before the first answer."""


@dataclass(frozen=True)
class Subject:
    """Something that answers calls: its name, where, and its processes."""

    name: str
    target: Target
    pids: tuple[int, ...]
    processes: int = 1


@dataclass(frozen=True)
class Measured:
    """Calls, calls a second, milliseconds, CPU microseconds a call, MB."""

    calls: int
    rate: float
    p50: float
    p99: float
    cpu: float
    rss: float


def measure(
    subject: Subject, workload: Workload, connections: int, seconds: int, cores: Sequence[int]
) -> Measured:
    """Call a subject over so many connections with wrk. Raises CallsFailed."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:  # it holds the key: mode 0600
        file.write(script(workload, subject.target))
        file.flush()
        command = [*pinned(cores), program("wrk"), "-t1", f"-c{connections}"]
        command += [f"-d{seconds}s", "--timeout", "20s", "-s", file.name, subject.target.origin]
        before = cpu_seconds(subject.pids)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        used = cpu_seconds(subject.pids) - before
    try:
        found = json.loads(done.stdout[done.stdout.rindex("\n{") :])
    except ValueError:
        reason = (done.stderr.strip() or done.stdout.strip())[-200:]
        raise CallsFailed(f"{subject.name}: wrk failed: {reason}") from None
    if not found["calls"]:
        raise NothingAnswered(
            f"{subject.name}, {workload.name}, {connections} connections: no call was answered within "
            f"{seconds} s; give it more with --seconds"
        )
    if found["refused"] or found["failed"]:
        raise CallsFailed(
            f"{subject.name}, {workload.name}, {connections} connections: of {found['calls']} calls "
            f"{found['refused']} were refused and {found['failed']} broke"
        )
    return Measured(
        found["calls"],
        found["calls"] / found["seconds"],
        found["p50"],
        found["p99"],
        used / found["calls"] * 1e6,
        rss_mb(subject.pids),
    )
