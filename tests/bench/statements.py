"""Statements that a broker sends to Postgres for a warm call, by Postgres's own log.

The log is switched on for a pass of its own, after everything is measured. What a broker sends at
rest is counted for as long, to tell periodic work from calls.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.brokers import DATABASE, Postgres
from tests.bench.load import Subject, measure
from tests.bench.workloads import WORKLOADS

_LINE = re.compile(r"^(\S+) LOG:  (?:execute [^:]*|statement): ?(.*)$")
_NAME = re.compile(r"^-- (\w+)")
_FLUSH_S = 2.0
"""Call-log rows and the like are written within it."""

_ON = (
    "ALTER SYSTEM SET log_statement = 'all'",
    "ALTER SYSTEM SET log_line_prefix = '%d '",
    "ALTER SYSTEM SET log_parameter_max_length = 0",
    "SELECT pg_reload_conf()",
)
_OFF = ("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


@dataclass(frozen=True)
class Statements:
    """How many statements there were for how many calls, at rest in the same time, and which."""

    calls: int
    count: int
    at_rest: int
    most: str

    @property
    def per_call(self) -> float:
        """All statements meanwhile, batches and periodic work included, by calls."""
        return self.count / self.calls


def names_in(log: str) -> Counter[str]:
    """The broker's statements in a piece of Postgres's log, by their name or their first word."""
    found: Counter[str] = Counter()
    for line in log.splitlines():
        if (statement := _LINE.match(line)) and statement[1] == DATABASE:
            text = statement[2].strip()
            name = _NAME.match(text)
            found[name[1] if name else text.split(" ", 1)[0].rstrip(";").upper()] += 1
    return found


def count(server: Postgres, subject: Subject, seconds: int, cores: Sequence[int]) -> Statements:
    """Call a warm broker for some seconds with Postgres's log on."""
    asyncio.run(server.execute(*_ON))
    try:
        time.sleep(_FLUSH_S)
        start = server.log.stat().st_size
        calls = measure(subject, WORKLOADS["read"], 16, seconds, cores).calls
        time.sleep(_FLUSH_S)
        middle = server.log.stat().st_size
        time.sleep(seconds + _FLUSH_S)
    finally:
        asyncio.run(server.execute(*_OFF))
    with server.log.open("rb") as log:
        log.seek(start)
        busy = names_in(log.read(middle - start).decode(errors="replace"))
        at_rest = names_in(log.read().decode(errors="replace"))
    most = ", ".join(f"{name} {times}" for name, times in busy.most_common(3))
    return Statements(calls, busy.total(), at_rest.total(), most)
