"""Postgres as it is found: refusing, read-only, full, of another encoding; and the pool before it."""

import asyncio
import contextlib
import logging
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest

from broker.domain.tenancy import WORKSPACE
from broker.errors import Busy
from broker.stores.core import migrations
from broker.stores.core.database import connect
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT, explain
from broker.stores.core.postgres.gates import BACKGROUND
from tests.until import until


@pytest.fixture
async def database_of(dsn):
    """Open pools on the test's database."""
    opened = []

    async def open_pool(address=dsn, **options):
        opened.append(await connect(address, **options))
        return opened[-1]

    yield open_pool
    for each in opened:
        await each.close()


@pytest.fixture
async def admin(dsn):
    session = await asyncpg.connect(dsn)
    yield session
    await session.close()


def option(dsn, name, value):
    return f"{dsn}&{name}={quote(value, safe='')}"


def user(dsn, name):
    return dsn.replace("postgresql://postgres@", f"postgresql://{name}@")


# What is refused, and in which words.


async def explained(dsn):
    with pytest.raises(CANNOT_CONNECT) as refused:
        await DatabaseUrl.parse(dsn).connect("broker")
    line = explain(refused.value)
    assert "\n" not in line
    assert "canary" not in line
    return line


async def test_what_keeps_a_connection_from_being_made_is_one_line_that_says_what_to_do(
    dsn, unused_tcp_port
):
    """F8."""
    here = f"postgresql://u:canary@127.0.0.1:{unused_tcp_port}/d?connect_timeout=2"

    assert "create the database" in await explained(dsn.replace("test_", "none_"))
    assert "unknown to this Postgres" in await explained(option(dsn, "options", "-cnonsense=1"))
    assert "check the user" in await explained(user(dsn, "nobody_at_all"))
    assert "none of the hosts" not in await explained(here)
    assert "nothing listens" in await explained(here)
    assert "check the host" in await explained("postgresql://u:canary@no.such.host.invalid/d")


async def test_a_server_that_does_not_speak_tls_and_one_that_says_nothing_are_told_apart():
    ended = asyncio.Event()

    async def refuse(reader, writer):
        writer.write(b"N")
        await say_nothing(reader, writer)

    async def say_nothing(reader, writer):
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    for answer, words in ((refuse, "check the address, and sslmode"), (say_nothing, "no answer")):
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        line = await explained(
            f"postgresql://u:canary@127.0.0.1:{port}/d?sslmode=require&connect_timeout=1"
        )
        assert words in line
        server.close()
        await asyncio.wait_for(ended.wait(), 10)
        ended.clear()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_hold_every_name_is_refused_at_once(postgres, encoding):
    """F10."""
    name = f"other_{encoding.lower()}"
    session = await asyncpg.connect(postgres)
    await session.execute(
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
        " TEMPLATE template0"
    )
    try:
        with pytest.raises(migrations.UnfitDatabase, match=f"{encoding}.*ENCODING 'UTF8'"):
            await migrations.upgrade(postgres.replace("/postgres?", f"/{name}?"))
    finally:
        await session.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await session.close()


def test_a_server_that_is_too_old_is_refused_by_its_number():
    assert migrations.unfit(14, "UTF8") == "Postgres 14 is too old: 15 or newer is needed"
    assert migrations.unfit(15, "UTF8") is None


# Migrations.


async def test_tables_are_made_in_the_schema_that_the_role_has_first(empty_dsn):
    """F21."""
    session = await asyncpg.connect(empty_dsn)
    name = await session.fetchval("SELECT current_database()")
    await session.execute(f"CREATE SCHEMA app; ALTER DATABASE {name} SET search_path = app")
    await session.close()

    assert await migrations.upgrade(empty_dsn) == ["0001-schema"]
    assert await migrations.upgrade(empty_dsn) == []
    await migrations.check(empty_dsn)
    session = await asyncpg.connect(empty_dsn)
    assert await session.fetchval("SELECT to_regclass('app.api_key') IS NOT NULL")
    await session.close()


async def test_a_search_path_to_nowhere_is_explained(empty_dsn):
    """F21."""
    with pytest.raises(migrations.CannotMigrate, match=r"nowhere.*create that schema"):
        await migrations.upgrade(option(empty_dsn, "options", "-csearch_path=nowhere"))


async def test_a_migration_that_waits_says_for_whom_and_gives_up_with_what_to_do(empty_dsn, caplog):
    """F9: the lock of a session that a pooler keeps."""
    holder = await asyncpg.connect(empty_dsn, server_settings={"application_name": "stranded"})
    await holder.execute(f"SELECT pg_advisory_lock({migrations.LOCK})")
    pid = holder.get_server_pid()

    with pytest.raises(migrations.CannotMigrate, match=rf"pg_terminate_backend\({pid}\)"):
        await migrations.upgrade(empty_dsn, wait_s=0.1)
    assert "stranded" in next(
        each.holder for each in caplog.records if each.message == "migration_waits"
    )

    waiting = asyncio.create_task(migrations.upgrade(empty_dsn))
    await asyncio.sleep(0)
    await holder.close()
    assert await asyncio.wait_for(waiting, 20) == ["0001-schema"]


async def test_a_migration_that_is_killed_half_way_leaves_nothing(empty_dsn, monkeypatch):
    reached, release = asyncio.Event(), asyncio.Event()
    apply = migrations.migrate.apply

    async def stop_after(session, *args, **options):
        await apply(session, *args, **options)
        reached.set()
        await release.wait()

    monkeypatch.setattr(migrations.migrate, "apply", stop_after)
    first = asyncio.create_task(migrations.upgrade(empty_dsn))
    await asyncio.wait_for(reached.wait(), 20)
    session = await asyncpg.connect(empty_dsn)
    await session.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'broker migrate' AND datname = current_database()"
    )
    release.set()
    with pytest.raises(CANNOT_CONNECT):
        await first
    assert await session.fetchval("SELECT to_regclass('app') IS NULL")
    await session.close()

    monkeypatch.setattr(migrations.migrate, "apply", apply)
    assert await asyncio.wait_for(migrations.upgrade(empty_dsn), 20) == ["0001-schema"]


# Errors are translated around statements only.


@pytest.mark.parametrize("error", [FileNotFoundError, TimeoutError, ConnectionResetError])
async def test_an_error_of_the_block_is_not_taken_for_an_outage(database_of, error):
    database = await database_of()

    async def fail(block):
        async with block as session:
            await session.execute("SELECT")
            raise error("of the block")

    with pytest.raises(error, match="of the block"):
        await fail(database.transaction())
    with pytest.raises(error, match="of the block"):
        await fail(database.session())
    assert database.availability.problem is None
    assert await database.fetchval("SELECT 1") == 1


async def test_a_commit_whose_answer_is_lost_does_not_promise_that_nothing_was_done(
    database_of, admin
):
    database = await database_of()

    async def change():
        async with database.transaction() as session:
            pid = await session.fetchval("SELECT pg_backend_pid()")
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
            await until(lambda: _is_gone(admin, pid))

    with pytest.raises(Busy, match="may or may not have been made"):
        await change()


async def _is_gone(admin, pid):
    return not await admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)


async def test_a_row_locked_elsewhere_is_busy_and_the_session_goes_on(database_of, admin):
    database = await database_of()
    await admin.execute("CREATE TABLE row (id int); INSERT INTO row VALUES (1)")

    async def change():
        async with database.transaction() as session:
            await session.execute("SET LOCAL lock_timeout = '50ms'")
            await session.execute("SELECT id FROM row FOR UPDATE")

    async with admin.transaction():
        await admin.execute("SELECT id FROM row FOR UPDATE")
        with pytest.raises(Busy, match="Another change of the same record"):
            await change()

    assert await database.fetchval("SELECT count(*) FROM row") == 1
    assert database.open_sessions == 1


async def test_a_read_only_and_a_full_postgres_are_busy_and_logged_once(database_of, admin, caplog):
    """What a failover or a storage guard does, and what Postgres says when its disk is full."""
    await admin.execute(
        "CREATE TABLE t (id int);"
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'No space left'; END $$"
    )
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = await database_of()
    for _ in range(5):
        with pytest.raises(Busy, match="does not accept writes"):
            await database.execute("INSERT INTO t VALUES (1)")
    assert database.availability.problem == "read-only"

    await admin.execute("SET default_transaction_read_only = off")
    await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    await admin.execute("CREATE TRIGGER full_disk BEFORE INSERT ON t EXECUTE FUNCTION fill()")
    database = await database_of()
    for _ in range(5):
        with pytest.raises(Busy, match="out of disk"):
            await database.fetchval("INSERT INTO t VALUES (1) RETURNING id")
    await admin.execute("DROP TRIGGER full_disk ON t")
    await database.execute("INSERT INTO t VALUES (1)")

    assert database.availability.problem is None
    lines = [(each.message, each.reason) for each in caplog.records if hasattr(each, "reason")]
    assert lines == [
        ("database_refused", "read-only"),
        ("database_refused", "full"),
        ("database_accepts_writes", "full"),
    ]


# Sessions that end, and who may hold them.


async def test_sessions_that_the_server_ended_cost_no_request(database_of, admin):
    """F11."""
    database = await database_of(size=6)
    await admin.execute("CREATE TABLE t (id int)")

    async def write(number):
        async with database.transaction() as session:
            await session.execute("INSERT INTO t VALUES ($1)", number)

    for turn in range(5):
        await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.01)") for _ in range(6)))
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'broker' AND datname = current_database()"
        )
        # At once: the end of the sessions is not read yet.
        await asyncio.gather(
            *(write(turn * 10 + number) for number in range(4)),
            *(database.fetchval("SELECT 1") for _ in range(4)),
        )
    assert await database.fetchval("SELECT count(*) FROM t") == 20


async def test_an_outage_is_one_line_when_it_begins_and_one_when_it_ends(
    database_of, admin, caplog, dsn
):
    caplog.set_level(logging.INFO)
    database = await database_of()
    name = await admin.fetchval("SELECT current_database()")
    outside = await asyncpg.connect(dsn.replace(f"/{name}?", "/postgres?"))
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await outside.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
        " AND application_name = 'broker'",
        name,
    )
    for _ in range(20):
        with pytest.raises(Busy):
            await database.fetchval("SELECT 1")
    assert database.availability.problem == "unreachable"
    await outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await outside.close()

    async def is_back():
        with contextlib.suppress(Busy):
            await database.fetchval("SELECT 1")
        return database.availability.problem is None

    await until(is_back, within=10)
    lines = [each.message for each in caplog.records if each.name.startswith("broker.stores")]
    assert [line for line in lines if line != "database_refused"] == [
        "database_unavailable",
        "database_available",
    ]


async def test_one_workspace_holds_half_of_the_pool_and_background_work_a_third(database_of):
    """2.10."""
    database = await database_of(size=6)
    inside, release = [], asyncio.Event()

    async def hold(workspace, background):
        WORKSPACE.set(workspace)
        BACKGROUND.set(background)
        async with database.transaction():
            inside.append((workspace, background))
            await release.wait()

    greedy = uuid4()
    tasks = [asyncio.create_task(hold(greedy, False)) for _ in range(20)]
    tasks += [asyncio.create_task(hold(None, True)) for _ in range(20)]
    await until(lambda: len(inside) == 4)

    assert inside.count((greedy, False)) <= 3
    assert inside.count((None, True)) <= 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    inside.clear()
    tasks = [asyncio.create_task(hold(greedy, False)) for _ in range(20)]
    await until(lambda: len(inside) == 3)
    WORKSPACE.set(uuid4())
    assert await asyncio.wait_for(database.fetchval("SELECT 1"), 2) == 1
    release.set()
    await asyncio.gather(*tasks)
    assert len(inside) == 20


async def test_those_who_wait_for_one_locked_row_hold_no_session(database_of):
    """2.10: 25 deletions of a connection whose renewal waits for a provider."""
    database = await database_of(size=6)
    release = asyncio.Event()

    async def change():
        async with database.transaction(row="connection"):
            await release.wait()
            # A second session while the first is held: no gate stands before it.
            await database.fetchval("SELECT 1")

    tasks = [asyncio.create_task(change()) for _ in range(25)]
    for _ in range(10):
        assert await asyncio.wait_for(database.fetchval("SELECT 1"), 2) == 1
    assert database.open_sessions <= 2
    release.set()
    await asyncio.gather(*tasks)


async def test_retention_is_done_in_batches_by_one_process_at_a_time(database_of, admin):
    await admin.execute("CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 2500)")
    database, other = await database_of(), await database_of()
    statement = "-- purge_t\nDELETE FROM t WHERE ctid = ANY (ARRAY(SELECT ctid FROM t LIMIT $1))"

    assert await database.purge(statement) == 1000
    async with database.transaction() as session:
        await session.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended('-- purge_t', 0))"
        )
        assert await other.purge(statement) == 0
    assert await other.purge(statement) == 1000
    assert await database.purge(statement) == 500
    assert await database.purge(statement) == 0
