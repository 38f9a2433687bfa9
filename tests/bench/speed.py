"""`make bench`: how fast the broker is beside what it is compared with; tables for docs/speed.md.

Subjects take turns round by round, so that a busy machine is as bad for one as for another; the
subject has one core, the client (wrk) and the upstream (nginx) have the other. Ratios are made pair
by pair within a round, then the median is taken.
"""

import argparse
import asyncio
import platform
import re
import statistics
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import asyncpg
from subjects import OTHER_CORE, Subject, everybody, program

CONNECTIONS = (1, 16, 64)
PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"


@dataclass
class Measured:
    """One run of wrk: calls a second, milliseconds, CPU microseconds a call, MB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    rss: float


def run(subject: Subject, connections: int, seconds: int) -> Measured:
    headers = [part for header in subject.headers for part in ("-H", header)]
    command = ["taskset", "-c", OTHER_CORE, program("wrk"), "--latency", "-t1"]
    command += [f"-c{connections}", f"-d{seconds}s", *headers, subject.url]
    before = subject.cpu_seconds()
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    used = subject.cpu_seconds() - before
    calls = int(re.search(r"(\d+) requests in", text)[1])
    if found := re.search(r"Non-2xx.*|Socket errors.*", text):
        raise SystemExit(f"bench: {subject.name}: {found[0]}")
    return Measured(
        float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        _ms(re.search(r"\n\s+50%\s+(\S+)", text)[1]),
        _ms(re.search(r"\n\s+99%\s+(\S+)", text)[1]),
        used / calls * 1e6,
        subject.rss_mb(),
    )


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


async def statements(dsn: str) -> int:
    """Transactions that the database has committed for anybody."""
    session = await asyncpg.connect(dsn)
    try:
        await session.execute("SELECT pg_stat_clear_snapshot()")
        return await session.fetchval("SELECT sum(xact_commit)::bigint FROM pg_stat_database")
    finally:
        await session.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    options.add_argument("--write", action="store_true", help="write docs/speed.md")
    chosen = options.parse_args()
    found: dict[tuple[str, int], list[Measured]] = defaultdict(list)
    with everybody() as (subjects, dsn):
        for subject in subjects:
            for connections in CONNECTIONS:
                run(subject, connections, 1)
        before = asyncio.run(statements(dsn))
        broker_calls = 0.0
        for turn in range(chosen.rounds):
            for connections in CONNECTIONS:
                for subject in subjects[turn % 2 :] + subjects[: turn % 2]:
                    measured = run(subject, connections, chosen.seconds)
                    found[subject.name, connections].append(measured)
                    if subject.name == "broker":
                        broker_calls += measured.rate * chosen.seconds
            print(f"round {turn + 1} of {chosen.rounds}", flush=True)
        commits = asyncio.run(statements(dsn)) - before
    names = [subject.name for subject in subjects]
    text = page(found, names, chosen, commits, broker_calls)
    print(text)
    if chosen.write:
        whole = PAGE.read_text()
        head, tail = whole.partition(BEGIN)[0], whole.partition(END)[2]
        PAGE.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


def page(found, names, chosen, commits, broker_calls) -> str:
    """The measured part of docs/speed.md."""
    versions = f"Python {platform.python_version()}, aiohttp {version('aiohttp')}, uvloop"
    lines = [
        f"{versions}; {chosen.rounds} rounds of {chosen.seconds} s a cell, medians.",
        "",
        "| connections | what answers | calls/s | p50 ms | p99 ms | CPU µs a call | RSS MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for connections in CONNECTIONS:
        for name in names:
            runs = found[name, connections]
            rate, p50, p99, cpu, rss = (
                statistics.median(getattr(each, what) for each in runs)
                for what in ("rate", "p50", "p99", "cpu", "rss")
            )
            lines.append(
                f"| {connections} | {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {cpu:.0f} | {rss:.0f} |"
            )
    lines += [
        "",
        "| connections | broker : bare aiohttp, calls/s | CPU a call | broker : nginx, calls/s | added to direct, p50 ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for connections in CONNECTIONS:
        broker, bare, nginx, direct = (
            found[name, connections] for name in ("broker", "bare aiohttp", "nginx", "direct")
        )

        def ratio(mine, other, what):
            pairs = zip(mine, other, strict=True)
            return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)

        added = statistics.median(a.p50 - b.p50 for a, b in zip(broker, direct, strict=True))
        lines.append(
            f"| {connections} | {ratio(broker, bare, 'rate'):.2f} | {ratio(broker, bare, 'cpu'):.2f} "
            f"| {ratio(broker, nginx, 'rate'):.2f} | {added:.2f} |"
        )
    done = f"{commits:,} transactions while the broker answered {broker_calls:,.0f} calls"
    lines += ["", f"Postgres committed {done}; none of them was in a call's way.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
