"""What `broker migrate --distribute` asks of Citus, by a stand-in that keeps Citus' books."""

import asyncpg
import pytest

from broker.stores.core import distribution, migrations
from tests.faults.test_database import option

STAND_IN = """
CREATE SCHEMA citus;
CREATE TABLE citus.pg_dist_partition (logicalrelid regclass, method "char");
CREATE FUNCTION citus.entered(target regclass, method "char") RETURNS void AS $$
BEGIN
    -- As Citus says it: a table is distributed after those that it references.
    IF EXISTS (SELECT FROM pg_constraint
                WHERE conrelid = target AND contype = 'f' AND confrelid <> target
                  AND confrelid NOT IN (SELECT logicalrelid FROM citus.pg_dist_partition)) THEN
        RAISE 'referenced table must be a distributed table or a reference table';
    END IF;
    INSERT INTO citus.pg_dist_partition VALUES (target, method);
END $$ LANGUAGE plpgsql;
CREATE FUNCTION citus.create_distributed_table(
    target regclass, by text, colocate_with text DEFAULT 'default') RETURNS void AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = target AND attname = by) THEN
        RAISE 'column does not exist';
    END IF;
    IF colocate_with <> 'default' AND NOT EXISTS (
        SELECT FROM citus.pg_dist_partition WHERE logicalrelid = colocate_with::regclass) THEN
        RAISE 'relation % is not distributed', colocate_with;
    END IF;
    PERFORM citus.entered(target, 'h');
END $$ LANGUAGE plpgsql;
CREATE FUNCTION citus.relation_is_a_known_shard(target regclass) RETURNS bool AS $$
    SELECT target::text LIKE '%_102008';
$$ LANGUAGE sql;
CREATE FUNCTION citus.create_reference_table(target regclass) RETURNS void AS $$
    SELECT citus.entered(target, 'n');
$$ LANGUAGE sql;
"""


@pytest.fixture
async def cluster(empty_dsn):
    """The URL of a database in which Citus seems to be, and a session."""
    session = await asyncpg.connect(empty_dsn)
    await session.execute(STAND_IN)
    yield option(empty_dsn, "options", "-csearch_path=public,citus"), session
    await session.close()


async def placed(session):
    rows = await session.fetch(
        "SELECT logicalrelid::text AS name, method FROM citus.pg_dist_partition"
    )
    return {row["name"]: row["method"].decode() for row in rows}


async def test_without_citus_the_tables_cannot_be_distributed(empty_dsn):
    await migrations.upgrade(empty_dsn)

    with pytest.raises(migrations.CannotMigrate, match="CREATE EXTENSION citus"):
        await distribution.distribute(empty_dsn, begin=True)
    assert await distribution.distribute(empty_dsn, begin=False) == []


async def test_every_table_is_distributed_by_workspace_or_whole_on_every_node(cluster):
    dsn, session = cluster
    await migrations.upgrade(dsn)
    assert await distribution.distribute(dsn, begin=False) == []

    done = await distribution.distribute(dsn, begin=True)

    found = await placed(session)
    whole = {name for name, method in found.items() if method == "n"}
    assert whole == {"sealing_key", "vendor_account", "_pogo_migration", "_pogo_version"}
    rows = await session.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') "
        "AND NOT relispartition AND relnamespace = 'public'::regnamespace"
    )
    assert set(found) == {row[0] for row in rows} == set(done)


async def test_a_table_that_a_later_migration_makes_is_distributed_too(cluster):
    dsn, session = cluster
    await migrations.upgrade(dsn)
    await distribution.distribute(dsn, begin=True)
    await session.execute("CREATE TABLE _pogo_migration_102008 (id uuid PRIMARY KEY)")  # a shard
    await session.execute(
        "CREATE TABLE later (workspace_id uuid REFERENCES workspace, id uuid, "
        "PRIMARY KEY (workspace_id, id))"
    )

    assert await distribution.distribute(dsn, begin=False) == ["later"]
    assert (await placed(session))["later"] == "h"
    assert await distribution.distribute(dsn, begin=True) == []
