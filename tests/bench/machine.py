"""What processes use of the machine, and how much of it went to others meanwhile."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_SCHEDULER_CLOCK = 2


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
    """Seconds of CPU by now: by everything, by this process and what it started, stolen."""

    at: float
    everything: float
    own: float
    steal: float

    @classmethod
    def take(cls) -> "Snapshot":
        """Read the kernel's accounts of the machine and of our processes."""
        # user nice system idle iowait irq softirq steal; interrupts are mostly our own packets.
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
        user, nice, system, *_, steal = (int(field) for field in fields[:8])
        own = sum(_with_children(pid) for pid in [os.getpid(), *descendants(os.getpid())])
        busy = (user + nice + system) * _TICK_S
        return cls(time.monotonic(), busy, own * _TICK_S, steal * _TICK_S)

    def load_since(self, before: "Snapshot") -> Load:
        """What was not ours between two snapshots."""
        seconds = max(self.at - before.at, 1e-9)
        others = (self.everything - before.everything) - (self.own - before.own)
        return Load(max(0.0, others) / seconds, (self.steal - before.steal) / seconds)


def _with_children(pid: int) -> int:
    """Ticks of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])
