"""What processes use of the machine, and how much of it went to others meanwhile."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SCHEDULER_CLOCK = 2
_KERNEL = 2
"""The process whose children are the kernel's threads."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU that processes have used, all their threads, in the scheduler's own nanoseconds."""
    # The kernel's way of naming a process's clock: clock_getcpuclockid(3), which Python lacks.
    return sum(time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK) for pid in pids)


def rss_mb(pids: Iterable[int]) -> float:
    """Memory that processes hold."""
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    except OSError:
        pass  # it has ended meanwhile
    return found


@dataclass(frozen=True)
class Load:
    """How much of the machine something else had, in cores: 1.0 is one core all the time."""

    others: float
    steal: float

    def exceeds(self, allowed: float) -> bool:
        """Whether figures taken meanwhile are worth nothing; half as much steal is enough."""
        return self.others > allowed or self.steal > allowed / 2

    def __str__(self) -> str:
        return f"others used {self.others:.2f} cores, the host took {self.steal:.2f}"


@dataclass(frozen=True)
class Snapshot:
    """Seconds of CPU by now: the machine's, ours, that of other processes we see, stolen."""

    at: float
    machine: float
    own: float
    others: float
    steal: float

    @classmethod
    def take(cls) -> "Snapshot":
        """Read the kernel's accounts of the machine and of each process."""
        # user nice system idle iowait irq softirq steal. Time in soft interrupts counts: the kernel
        # adds it to the process that it interrupts as well.
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        fields = [int(field) for field in line.split()[1:]]
        machine = sum(fields[:3]) + sum(fields[5:7])
        own, others = _own_and_others()
        ticks = (machine, own, others, fields[7])
        return cls(time.monotonic(), *(each * _TICK_S for each in ticks))

    def load_since(self, before: "Snapshot") -> Load:
        """What was not ours between two snapshots, by the less favourable of two accounts.

        The machine's account also has what runs in containers that we cannot see, but comes from
        samples; that of the processes is exact.
        """
        seconds = max(self.at - before.at, 1e-9)
        hidden = (self.machine - before.machine) - (self.own - before.own)
        seen = self.others - before.others
        return Load(max(0.0, hidden, seen) / seconds, (self.steal - before.steal) / seconds)


def _own_and_others() -> tuple[int, int]:
    """Ticks of this process with all that it started, and of all others but the kernel's own."""
    parents, ticks = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(entry.name)] = int(fields[1])
        # Children that have ended are in their parent's account.
        ticks[int(entry.name)] = sum(int(field) for field in fields[11:15])

    def line_of(pid: int) -> set[int]:
        found: set[int] = set()
        while pid and pid not in found:
            found.add(pid)
            pid = parents.get(pid, 0)
        return found

    own = others = 0
    for pid, used in ticks.items():
        line = line_of(pid)
        if os.getpid() in line:
            own += used
        elif _KERNEL not in line:
            others += used
    return own, others
