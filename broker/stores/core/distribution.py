"""Spreading the tables over the nodes of a Citus cluster, by workspace.

Which table goes where follows from its primary key: one that leads with the workspace is
distributed by it, `workspace` itself by its id, and all others are whole on every node.
"""

import asyncpg

from broker.stores.core.migrations import LOCK, CannotMigrate
from broker.stores.core.postgres.connection_url import DatabaseUrl

CITUS = "SELECT to_regclass('pg_dist_partition') IS NOT NULL"

DISTRIBUTED = "SELECT logicalrelid::oid FROM pg_dist_partition"

TABLES = r"""
SELECT table_.oid, table_.relname AS name,
       (SELECT attname
          FROM pg_constraint AS key
          JOIN pg_attribute AS first
            ON first.attrelid = table_.oid AND first.attnum = key.conkey[1]
         WHERE key.conrelid = table_.oid AND key.contype = 'p') AS leading,
       ARRAY(SELECT confrelid
               FROM pg_constraint AS reference
              WHERE reference.conrelid = table_.oid AND reference.contype = 'f') AS referenced
  FROM pg_class AS table_
 WHERE (relnamespace = current_schema()::regnamespace OR relname LIKE '\_pogo%')
   AND relkind IN ('r', 'p')
   AND NOT relispartition
   AND NOT relation_is_a_known_shard(table_.oid::regclass)
   AND NOT EXISTS (SELECT
                     FROM pg_depend
                    WHERE objid = table_.oid AND deptype = 'e')
 ORDER BY relname
"""


async def distribute(dsn: str, *, begin: bool) -> list[str]:
    """Distribute the tables that are not yet; their names, in order.

    `begin`: also where none is; without it a database that is not a cluster's stays as it is.
    Raises CannotMigrate where Citus is wanted and missing, and what `failures.explain` explains.
    """
    session = await DatabaseUrl.parse(dsn).connect("broker migrate", statement_cache_size=0)
    try:
        async with session.transaction():
            if not await session.fetchval(CITUS):
                if begin:
                    raise CannotMigrate(
                        "this database has no Citus: CREATE EXTENSION citus on the coordinator "
                        "first, as docs/scaling.md describes"
                    )
                return []
            await session.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            done = {row[0] for row in await session.fetch(DISTRIBUTED)}
            if not done and not begin:
                return []
            waiting = [row for row in await session.fetch(TABLES) if row["oid"] not in done]
            return await _distribute(session, waiting)
    finally:
        await session.close()


async def _distribute(
    session: "asyncpg.Connection[asyncpg.Record]", waiting: list[asyncpg.Record]
) -> list[str]:
    """Distribute tables: the workspaces first, then each after those that it references."""
    names = []
    for row in [row for row in waiting if row["name"] == "workspace"]:
        await _place(session, row)
        names.append(row["name"])
        waiting.remove(row)
    while waiting:
        left = {row["oid"] for row in waiting}
        ready = [row for row in waiting if not left & (set(row["referenced"]) - {row["oid"]})]
        for row in ready:
            await _place(session, row)
            names.append(row["name"])
        waiting = [row for row in waiting if row not in ready]
    return names


async def _place(session: "asyncpg.Connection[asyncpg.Record]", row: asyncpg.Record) -> None:
    if row["name"] == "workspace":
        query = "SELECT create_distributed_table($1::oid::regclass, 'id')"
    elif row["leading"] == "workspace_id":
        query = (
            "SELECT create_distributed_table($1::oid::regclass, 'workspace_id', "
            "colocate_with => 'workspace')"
        )
    else:
        query = "SELECT create_reference_table($1::oid::regclass)"
    await session.execute(query, row["oid"])
