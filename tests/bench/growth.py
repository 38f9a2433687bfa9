"""What twenty times the data does to what the broker asks of Postgres, and to an idle worker.

    python -m tests.bench.growth --times 20 --write

Fills two databases of one Postgres of its own, one small and one grown, and runs the same statements
on both: a ratio near 1 means that the work costs what there is to do, not what there is. `--write`
puts the table into docs/scaling.md.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import psutil

from broker.domain.model import Secret
from broker.embedded import server as embedded
from broker.sealing import Keyring, Place, Sealer
from broker.services.access.ttl_cache import TtlCache
from broker.stores.connections.connections import Connections
from broker.stores.core import migrations, partitions
from broker.stores.core.database import Database, connect
from broker.stores.core.queries import sql
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.retention import EVENT_PARTITIONS
from broker.stores.proxy.calls import BEGINNING, END, LAST, call_log
from tests.bench.intake import KEY

SCALING = Path(__file__).parents[2] / "docs" / "scaling.md"
MARKS = "<!-- growth -->", "<!-- end of growth -->"
ROUNDS = 15
IDLE_S = 20
CACHED = 10_000
COMMITTED = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"

FILL = (
    """
    INSERT INTO workspace (id, name) SELECT gen_random_uuid(), 'w' || n FROM generate_series(1, {workspaces}) AS n
    """,
    """
    INSERT INTO app (workspace_id, id, slug, client_id, client_secret, hubspot_app_id, scopes,
                     optional_scopes, return_urls, origins, confirm, pkce)
    SELECT id, gen_random_uuid(), 'bench', 'c', '\\x00', '1', '{{}}', '{{}}', '{{}}', '{{}}', 'auto', false
      FROM workspace
    """,
    """
    INSERT INTO connection (workspace_id, id, app_id, user_ref, status, account_id, hub_id, scopes)
    SELECT workspace_id, gen_random_uuid(), id, 'user-' || n, 'ACTIVE', n::text, n,
           '{{crm.objects.contacts.read}}'
      FROM app, generate_series(1, {connections} / {workspaces}) AS n
    """,
    # Tokens as long as HubSpot's are.
    """
    INSERT INTO connection_grant (workspace_id, connection_id, access_token, refresh_token,
                                  refresh_fingerprint, generation, expires_at, renewed_at,
                                  last_used_at)
    SELECT workspace_id, id,
           (SELECT string_agg(sha256((id || n::text)::bytea), '') FROM generate_series(1, 9) AS n),
           sha256(id::text::bytea) || sha256(id::text::bytea), sha256(id::text::bytea), 1,
           now() + interval '30 minutes', now(), now()
      FROM connection
    """,
    """
    INSERT INTO renewal (workspace_id, connection_id, due_at)
    SELECT workspace_id, id, now() + interval '1 day' + hub_id * interval '1 millisecond'
      FROM connection
    """,
    """
    INSERT INTO endpoint (workspace_id, id, app_id, url, events, secret)
    SELECT workspace_id, gen_random_uuid(), id, 'https://x.example/' || n, '{{*}}', '\\x00'
      FROM app, generate_series(1, {endpoints} / {workspaces}) AS n
    """,
    """
    INSERT INTO proxied_call (workspace_id, id, app_id, at, connection_id, user_ref, key_id, request_id,
                              method, path, status, error, bytes, ms, retries, renewed)
    SELECT workspace_id, gen_random_uuid(), app_id, now() - random() * interval '{days} days', id,
           user_ref, workspace_id, md5(n || user_ref), 'GET', '/crm/v3/objects/contacts/{{id}}',
           CASE WHEN random() < 0.01 THEN 502 ELSE 200 END, NULL, 900, 80, 0, false
      FROM connection, generate_series(1, {calls} / {connections}) AS n
    """,
    """
    INSERT INTO event (workspace_id, id, app_id, type, user_ref, payload)
    SELECT workspace_id,
           (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || right(md5(id::text), 19))::uuid,
           app_id, 'contact.changed', user_ref, '{{}}'
      FROM connection
    """,
    """
    INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, state, due_at, expires_at)
    SELECT event.workspace_id, gen_random_uuid(), first.id, event.id, 'delivered', NULL, now()
      FROM event
      JOIN (SELECT DISTINCT ON (workspace_id) workspace_id, id FROM endpoint) AS first
     USING (workspace_id)
    """,
)


@dataclass(frozen=True, slots=True)
class Size:
    """How much a database holds."""

    workspaces: int
    connections: int
    endpoints: int
    calls: int
    days: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A filled database, and one workspace of it to look at."""

    dsn: str
    session: Any
    pool: Database
    workspace: UUID
    app: UUID
    last_user: str
    size: Size


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--workspaces", type=int, default=50)
    options.add_argument("--connections", type=int, default=5_000, help="of the small database")
    options.add_argument("--endpoints", type=int, default=500, help="of the small database")
    options.add_argument("--calls", type=int, default=20_000, help="of the small database")
    options.add_argument("--days", type=int, default=10, help="over which calls are spread")
    options.add_argument("--times", type=int, default=20, help="how much larger the other is")
    options.add_argument("--write", action="store_true", help="put the table into docs/scaling.md")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="growth-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        lines = asyncio.run(run(embedded.start(folder / "data"), chosen))
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(lines))
    if chosen.write:
        text = SCALING.read_text()
        block = "\n".join([MARKS[0], *lines, MARKS[1]])
        pattern = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
        SCALING.write_text(pattern.sub(lambda _: block, text))


async def run(dsn: str, chosen: argparse.Namespace) -> list[str]:
    found = []
    for name, times in (("small", 1), ("grown", chosen.times)):
        size = Size(
            chosen.workspaces,
            chosen.connections * times,
            chosen.endpoints * times,
            chosen.calls * times,
            chosen.days,
        )
        subject = await fill(dsn, name, size)
        try:
            found.append((size, await measure(subject)))
        finally:
            await subject.pool.close()
            await subject.session.close()
    (small, before), (grown, after) = found
    return [*heading(small, grown), *(row(name, before[name], after[name]) for name in before)]


def heading(small: Size, grown: Size) -> list[str]:
    def described(size: Size) -> str:
        return (
            f"{size.connections:,} connections, {size.endpoints:,} endpoints, "
            f"{size.calls:,} calls of {size.days} days"
        )

    return [
        f"Small: {described(small)}. Grown: {described(grown)}. Both in {small.workspaces} workspaces.",
        "",
        "| work | small | grown | ratio | reads whole |",
        "| --- | --- | --- | --- | --- |",
    ]


def row(name: str, small: tuple[float, str], grown: tuple[float, str]) -> str:
    ratio = f"{grown[0] / small[0]:.1f}" if small[0] else "-"
    return f"| {name} | {small[0]:.2f} | {grown[0]:.2f} | {ratio} | {grown[1] or '-'} |"


async def fill(dsn: str, name: str, size: Size) -> Subject:
    began = time.monotonic()
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    dsn = dsn.replace("/postgres?", f"/{name}?")
    await migrations.upgrade(dsn)
    today = datetime.now(UTC).date()
    for ago in range(size.days, -1, -1):
        await partitions.maintain(dsn, [call_log(3650)], today - timedelta(days=ago))
    await partitions.maintain(dsn, EVENT_PARTITIONS, today)
    session = await asyncpg.connect(dsn)
    values = {each: getattr(size, each) for each in Size.__slots__}
    await session.execute("SET maintenance_work_mem = '512MB'")
    async with built_after(session, "proxied_call"):
        for statement in FILL:
            await session.execute(statement.format(**values), timeout=3600)
    await session.execute("VACUUM ANALYZE", timeout=3600)
    app = await session.fetchrow("SELECT workspace_id, id FROM app LIMIT 1")
    last = f"user-{size.connections // size.workspaces}"
    print(f"{name}: filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
    pool = await connect(dsn)
    return Subject(dsn, session, pool, app["workspace_id"], app["id"], last, size)


@contextlib.asynccontextmanager
async def built_after(session: Any, table: str) -> AsyncIterator[None]:
    """Build the indexes of a table after it was filled: a row at a time takes many times as long."""
    indexes = await session.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition "
        "FROM pg_index WHERE indrelid = $1::regclass AND NOT indisprimary",
        table,
    )
    key = await session.fetchrow(
        "SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint "
        "WHERE conrelid = $1::regclass AND contype = 'p'",
        table,
    )
    for index in indexes:
        await session.execute(f"DROP INDEX {index['name']}")
    await session.execute(f"ALTER TABLE {table} DROP CONSTRAINT {key['name']}")
    yield
    whole = f"ALTER TABLE {table} ADD CONSTRAINT {key['name']} {key['definition']}"
    for statement in (
        whole,
        *(each["definition"].replace(" ON ONLY ", " ON ") for each in indexes),
    ):
        await session.execute(statement, timeout=3600)


def statements(subject: Subject) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Statements to time, with their values."""
    key = subject.workspace, subject.app
    any_call, hour = (None,) * 5, datetime.now(UTC) - timedelta(hours=1)
    newest = *any_call, END, LAST, 50
    accounts = [str(n) for n in range(1, 11)]
    return {
        "first call: the connection": (
            sql.connection_of_user,
            (subject.workspace, "bench", subject.last_user),
        ),
        "webhook: users of ten accounts": (sql.users_of_accounts, (*key, accounts)),
        "API: page of connections": (sql.connections_page, (*key, None, None, 0, 100, 0)),
        "console: search connections": (
            sql.search_connections,
            (*key, subject.last_user, None, 2**62, 50),
        ),
        "console: connections by status": (sql.count_by_status, (subject.workspace,)),
        "console: page of calls": (sql.calls_page, (*key, BEGINNING, END, None, 0, 999, *newest)),
        "console: page of failed calls": (
            sql.failed_calls_page,
            (*key, BEGINNING, END, None, 500, 599, *newest),
        ),
        "console: chart of an hour": (
            sql.call_chart,
            (*key, hour, END, None, 0, 999, *any_call, timedelta(minutes=1)),
        ),
        "look for renewals, none due": (sql.due_connections, (50,)),
        "look for deliveries, none due": (sql.workspaces_with_deliveries, ([], 200)),
        "metrics: connections by status": (sql.connections_by_status, ()),
        "metrics: overdue work": (sql.overdue, ()),
        "metrics: closed endpoints": (sql.closed_endpoints, (5,)),
    }


async def measure(subject: Subject) -> dict[str, tuple[float, str]]:
    """Milliseconds of each work (median), with the tables that are read whole."""
    found = {}
    rows = await subject.session.fetch("SELECT relname FROM pg_class WHERE reltuples >= 1000")
    large = {row["relname"] for row in rows}
    for name, (query, values) in statements(subject).items():
        plan = await subject.session.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *values)
        found[f"{name}, ms"] = (
            await median_ms(lambda query=query, values=values: subject.pool.fetch(query, *values)),
            ", ".join(read_whole(json.loads(plan)[0]["Plan"], large)),
        )
    for name, cost in (await idle(subject)).items():
        found[f"idle worker: {name}"] = cost, ""
    sealer = Sealer(Keyring.parse(KEY))
    connections, deliveries = Connections(subject.pool, sealer), Deliveries(subject.pool, sealer)
    found[f"{CACHED:,} cached connections, MB"] = await cached_mb(subject, connections, sealer), ""

    async def renewals() -> None:
        await subject.session.execute(
            "UPDATE renewal SET due_at = now(), claimed_until = '-infinity' FROM connection "
            "WHERE connection.id = connection_id AND hub_id = 1 AND connection.workspace_id IN "
            "(SELECT id FROM workspace LIMIT 50)"
        )

    found["claim 50 due renewals, ms"] = (
        await median_ms(lambda: connections.claim_due(50, timedelta(days=30)), renewals),
        "",
    )
    await subject.session.execute(
        "UPDATE delivery SET state = 'waiting', due_at = now(), expires_at = now() + interval '1 day' "
        "FROM event WHERE event.workspace_id = delivery.workspace_id AND event.id = delivery.event_id "
        "AND event.user_ref IN ('user-1', 'user-2', 'user-3', 'user-4')"
    )

    async def again() -> None:
        await subject.session.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")

    async def take() -> None:
        lease = timedelta(minutes=1)
        query = sql.workspaces_with_deliveries
        for each in await subject.pool.fetch(query, [], 200):
            values = each["workspace_id"], 200, 4, 5, [], [], lease
            await subject.pool.fetch(sql.claim_deliveries, *values)

    found["claim 200 due deliveries, ms"] = await median_ms(take, again), ""
    found["expire deliveries, none late, ms"] = await median_ms(deliveries.expire), ""
    began = time.monotonic()
    await partitions.maintain(
        subject.dsn, [call_log(1)], datetime.now(UTC).date() - timedelta(days=subject.size.days - 3)
    )
    found["drop a day or two of calls, ms"] = (time.monotonic() - began) * 1000, ""
    found["migrate, nothing to apply, ms"] = (
        await median_ms(lambda: migrations.upgrade(subject.dsn)),
        "",
    )
    connection = "unnest(ARRAY['connection', 'connection_grant', 'renewal']::regclass[]) AS relid"
    for table, name, parts in (
        ("connection", "connection", connection),
        ("proxied_call", "logged call", "pg_partition_tree('proxied_call')"),
    ):
        size = await subject.session.fetchval(
            "SELECT sum(pg_total_relation_size(relid)) / (SELECT count(*) FROM "
            f"{table}) FROM {parts}"
        )
        found[f"bytes of a {name}, with indexes"] = float(size), ""
    return found


async def median_ms(
    work: Callable[[], Awaitable[Any]], before: Callable[[], Awaitable[Any]] | None = None
) -> float:
    taken = []
    for _ in range(ROUNDS):
        if before is not None:
            await before()
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def read_whole(plan: dict[str, Any], large: set[str]) -> list[str]:
    """The large tables that a plan reads from their beginning to their end."""
    table = plan.get("Relation Name", "")
    own = {table} & large if plan["Node Type"] == "Seq Scan" else set()
    return sorted(
        {*own, *(name for part in plan.get("Plans", []) for name in read_whole(part, large))}
    )


async def cached_mb(subject: Subject, connections: Connections, sealer: Sealer) -> float:
    """What a process allocates for the connections that it caches for calls, with their tokens."""
    found = await subject.session.fetch(
        "SELECT workspace_id, id, user_ref FROM connection LIMIT $1", CACHED
    )
    token = Secret("CO" + "x" * 290)
    sealed = [
        (
            *row[:2],
            sealer.seal(token, Place(row[0], f"connection/{row[1]}", "access_token")),
        )
        for row in found
    ]
    await subject.session.executemany(
        "UPDATE connection_grant SET access_token = $3 WHERE workspace_id = $1 AND connection_id = $2",
        sealed,
    )
    cache = TtlCache(lambda key: connections.of_user(*key), CACHED)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for row in found:
        await cache.get((row["workspace_id"], "bench", row["user_ref"]))
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / len(found) * CACHED / 1e6


async def idle(subject: Subject) -> dict[str, float]:
    """What a worker without work costs in a second: milliseconds of CPU, its own and those of its
    sessions of Postgres, and transactions, each of which is a statement.
    """
    dsn = subject.dsn
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
        "BROKER_DATABASE_URL": dsn,
        "BROKER_SEALING_KEYS": KEY,
        "BROKER_METRICS_LISTEN": "127.0.0.1:0",
        "BROKER_LOG_FORMAT": "json",
    }
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broker", "work"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        await asyncio.sleep(20)  # its start, and its first turns, which every task takes at once
        process = psutil.Process(worker.pid)
        before, began = spent(process), time.monotonic()
        in_postgres, committed = of_postgres(dsn), await subject.session.fetchval(COMMITTED)
        await asyncio.sleep(IDLE_S)
        statements = await subject.session.fetchval(COMMITTED) - committed
        in_postgres, seconds = of_postgres(dsn) - in_postgres, time.monotonic() - began
        return {
            "its CPU, ms a second": (spent(process) - before) * 1000 / seconds,
            "Postgres' CPU, ms a second": in_postgres * 1000 / seconds,
            "statements a second": statements / seconds,
        }
    finally:
        worker.terminate()
        async with asyncio.timeout(60):
            await worker.wait()


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def of_postgres(dsn: str) -> float:
    """CPU seconds of all sessions of a database so far."""
    name = re.search(r"/(\w+)\?", dsn)
    assert name is not None
    total = 0.0
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if line.startswith("postgres:") and f" {name[1]} " in f"{line} ":
            total += spent(process)
    return total


if __name__ == "__main__":
    main()
