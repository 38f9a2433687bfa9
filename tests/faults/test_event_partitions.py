"""Partitions of events, their deliveries and marks: nothing is lost in them, nor told twice."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from broker.domain.events import InboxBatch
from broker.domain.uuid7 import another_uuid7_of, first_id
from broker.stores.core import partitions
from broker.stores.events import replays
from broker.stores.events.retention import EVENT_PARTITIONS
from broker.stores.events.webhook_inbox import LockedBatch
from tests.until import until

MIDNIGHT = datetime(2026, 3, 4, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ENDPOINTS = "/api/apps/hbdev/endpoints"


async def parts_of(database, table):
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = $1::text::regclass ORDER BY relname",
        table,
    )
    return [row[0].removeprefix(f"{table}_") for row in rows]


class Splits:
    """Transactions that split batches of one app at once, each at its own time of the database."""

    def __init__(self, broker, row, stack):
        self.pool = broker.parts.database
        self.batch = InboxBatch(*row, "hbdev", "hubspot", "webhook", {}, b"", MIDNIGHT, False)
        self.stack = stack

    async def begin(self, at):
        """What ends the transaction, and its batch."""
        ending = await self.stack.enter_async_context(AsyncExitStack())
        session = await ending.enter_async_context(self.pool.transaction())
        return ending, LockedBatch(session, None, self.batch, at)


@pytest.fixture
async def splits(broker, database):
    row = await database.fetchrow("SELECT workspace_id, id, id FROM app")
    async with AsyncExitStack() as stack:
        yield Splits(broker, row, stack)


async def takes(locked, mark):
    """Whether a split publishes the event of a mark, as the splitter decides it."""
    if mark in await locked.already_seen([mark]):
        return False
    return mark in await locked.remember_seen([mark])


@pytest.mark.parametrize("made", [False, True])
async def test_an_event_split_twice_at_once_is_published_once_whatever_the_day(
    splits, dsn, database, made
):
    """Before, over and after midnight, with a clock that is behind, and with a process that ends."""
    if made:
        await partitions.maintain(dsn, EVENT_PARTITIONS, (MIDNIGHT - DAY).date())
    pairs = [
        (MIDNIGHT - 9 * HOUR, MIDNIGHT - 8 * HOUR),
        (MIDNIGHT - SECOND, MIDNIGHT + SECOND),
        (MIDNIGHT - 59 * SECOND, MIDNIGHT + HOUR - SECOND),
        (MIDNIGHT + SECOND, MIDNIGHT - SECOND),
        (MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR),
    ]
    for number, (first_at, second_at) in enumerate(pairs):
        for ends in ("commits", "is killed"):
            mark = bytes([number, ends == "commits"]) * 8
            first_end, first = await splits.begin(first_at)
            second_end, second = await splits.begin(second_at)
            assert await takes(first, mark)
            waiting = asyncio.create_task(takes(second, mark))
            await until(lambda: is_blocked(database))

            if ends == "is killed":
                with pytest.raises(InterruptedError):
                    async with first_end:
                        raise InterruptedError
            else:
                await first_end.aclose()

            assert await waiting is (ends == "is killed"), (number, ends)
            await second_end.aclose()
            for later in (
                second_at - DAY,
                second_at,
                second_at + DAY,
                min(first_at, second_at) + 8 * DAY,
            ):
                end, locked = await splits.begin(later)
                assert not await takes(locked, mark), (number, ends, later)
                await end.aclose()


async def is_blocked(database):
    """Whether some statement waits for another transaction."""
    return await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


async def test_days_of_marks_are_dropped_when_no_provider_repeats_them(splits, dsn, database):
    await partitions.maintain(dsn, EVENT_PARTITIONS, MIDNIGHT.date())
    end, locked = await splits.begin(MIDNIGHT + 12 * HOUR)
    assert await takes(locked, b"m" * 16)
    await end.aclose()

    await partitions.maintain(dsn, EVENT_PARTITIONS, (MIDNIGHT + 8 * DAY).date())
    assert "20260304" in await parts_of(database, "seen_event")
    await partitions.maintain(dsn, EVENT_PARTITIONS, (MIDNIGHT + 9 * DAY).date())

    assert "20260304" not in await parts_of(database, "seen_event")
    assert await database.fetchval("SELECT count(*) FROM seen_event") == 0


@pytest.fixture
async def old(broker_with_local_endpoints, receiver, dsn, database):
    """Two old events in their week's partition, of which the first waits to be delivered: a
    broker, the endpoint's id and a day of that week.
    """
    broker = broker_with_local_endpoints
    made = (await broker.sends_to(f"{receiver.url}/in", "made.*")).json()["id"]
    at = datetime.now(UTC) - timedelta(days=45)
    await partitions.maintain(dsn, EVENT_PARTITIONS, at.date())
    ids = sorted(another_uuid7_of(first_id(at)) for _ in range(2))
    await database.execute(
        "INSERT INTO event (workspace_id, id, app_id, type, payload) "
        "SELECT workspace_id, given, id, 'made.up', '{}' FROM app, unnest($1::uuid[]) AS given",
        ids,
    )
    await database.execute(
        "INSERT INTO delivery (workspace_id, event_id, endpoint_id, id, due_at, expires_at) "
        "SELECT workspace_id, $1, id, $1, now(), now() + interval '1 hour' FROM endpoint",
        ids[0],
    )
    return broker, made, at


async def weeks(database, at):
    """In which tables the week of a moment has a partition."""
    name = f"{EVENT_PARTITIONS[0].begin(at.date()):%Y%m%d}"
    return [t for t in ("event", "delivery") if name in await parts_of(database, t)]


async def test_a_week_is_dropped_only_when_nobody_waits_for_its_events(
    old, receiver, dsn, database, monkeypatch
):
    """A delivery that waits, one that is replayed, and a replay that has still to come to an
    event keep the partition; so does a lock on it, and whoever replays meanwhile.
    """
    broker, endpoint, at = old
    monkeypatch.setattr(replays, "SLICE", 1)
    monkeypatch.setattr(partitions, "LOCK_WAIT", "50ms")

    async def maintained():
        await partitions.maintain(dsn, EVENT_PARTITIONS)
        return await weeks(database, at)

    assert await maintained() == ["event", "delivery"]
    await broker.run_background_work()
    assert len(receiver.got) == 1
    (shown,) = (await broker.asks("GET", f"{ENDPOINTS}/{endpoint}/deliveries")).json()["deliveries"]
    replay = f"/api/apps/hbdev/deliveries/{shown['id']}/replay"
    assert (await broker.asks("POST", replay)).status == 202
    assert await maintained() == ["event", "delivery"]
    await broker.run_background_work()
    assert len(receiver.got) == 2

    span = {"from": (at - DAY).isoformat(), "to": (at + DAY).isoformat()}
    begun = await broker.asks("POST", f"{ENDPOINTS}/{endpoint}/replay", params=span)
    assert begun.json()["replayed"] == 2
    await database.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")
    await broker.run_background_work()
    assert await maintained() == ["event", "delivery"]
    while await database.fetchval("SELECT count(*) FROM replay"):
        await database.execute("UPDATE replay SET due_at = now()")
        await broker.parts.replays.enqueue_due()
    await database.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")
    await broker.run_background_work()
    assert len(receiver.got) == 4

    async with database.transaction():
        await database.execute("LOCK TABLE event IN ACCESS SHARE MODE")
        assert await maintained() == ["event", "delivery"]
    monkeypatch.setattr(partitions, "LOCK_WAIT", "8s")
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute(
            "UPDATE delivery SET state = 'waiting', due_at = now() FROM event WHERE event.id = event_id"
        )
        dropping = asyncio.create_task(partitions.maintain(dsn, EVENT_PARTITIONS))
        await until(lambda: is_blocked(database))
    await other.close()
    await dropping
    assert await weeks(database, at) == ["event", "delivery"]
    await broker.run_background_work()
    assert await maintained() == []
    gone = await broker.asks("POST", replay)
    assert (gone.status, gone.code) == (404, "delivery-not-found")


async def test_a_process_that_ends_between_the_two_drops_leaves_the_second_to_the_next(
    old, dsn, database, monkeypatch
):
    _, _, at = old
    monkeypatch.setattr(partitions, "LOCK_WAIT", "50ms")
    await database.execute("UPDATE delivery SET state = 'dead', due_at = NULL")
    holder = await asyncpg.connect(dsn)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE delivery IN ACCESS SHARE MODE")
            await partitions.maintain(dsn, EVENT_PARTITIONS)
            assert await weeks(database, at) == ["delivery"]
    finally:
        await holder.close()

    await partitions.maintain(dsn, EVENT_PARTITIONS)

    assert await weeks(database, at) == []
    assert await database.fetchval("SELECT count(*) FROM delivery") == 0


async def test_one_process_at_a_time_maintains_partitions(dsn, database):
    await database.execute(partitions.TRY_LOCK)
    assert await partitions.maintain(dsn, EVENT_PARTITIONS) == 0
    await database.execute("SELECT pg_advisory_unlock_all()")
    assert await partitions.maintain(dsn, EVENT_PARTITIONS) >= 6


async def test_what_is_in_no_partition_is_deleted_when_it_is_old_and_nobody_waits_for_it(
    broker_with_local_endpoints, receiver, database
):
    """With a role that may not make partitions, or a clock that is a month behind."""
    broker = broker_with_local_endpoints
    await broker.sends_to(f"{receiver.url}/in", "made.*")
    now = datetime.now(UTC)
    ids = [another_uuid7_of(first_id(now - timedelta(days=days))) for days in (29, 31, 40)]
    await database.execute(
        "INSERT INTO event (workspace_id, id, app_id, type, payload) "
        "SELECT workspace_id, given, id, 'made.up', '{}' FROM app, unnest($1::uuid[]) AS given",
        ids,
    )
    await database.execute(
        "INSERT INTO delivery (workspace_id, event_id, endpoint_id, id, due_at, expires_at) "
        "SELECT workspace_id, given, id, given, now(), now() + interval '1 hour' "
        "  FROM endpoint, unnest($1::uuid[]) AS given",
        ids,
    )
    await database.execute(
        "INSERT INTO seen_event SELECT workspace_id, id, gen_random_uuid(), current_date - n "
        "FROM app, generate_series(7, 10) AS n"
    )

    assert await broker.parts.events.purge() == 0
    await broker.run_background_work()
    assert len(receiver.got) == 3
    assert await broker.parts.events.purge() == 4
    assert await broker.parts.webhook_inbox.purge_seen() == 2

    assert [row[0] for row in await database.fetch("SELECT id FROM event")] == ids[:1]
    assert [row[0] for row in await database.fetch("SELECT event_id FROM delivery")] == ids[:1]
