"""The SQL of the project, held to its own rules."""

import re
from pathlib import Path

import asyncpg
import pytest

from broker.stores.core import migrations
from broker.stores.core.queries import sql

ROOT = Path(__file__).parents[2]

CATALOG = """
SELECT 'column' AS kind, table_name || '.' || column_name AS name,
       concat_ws(' ', data_type, is_nullable, column_default, is_identity) AS definition
  FROM information_schema.columns
 WHERE table_schema = 'public' AND table_name NOT LIKE '\\_pogo%'
UNION ALL
SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '\\_pogo%'
UNION ALL
SELECT 'index', indexname, indexdef
  FROM pg_indexes
 WHERE schemaname = 'public' AND tablename NOT LIKE '\\_pogo%'
 ORDER BY 1, 2
"""


@pytest.mark.parametrize("name", sorted(sql.by_name))
def test_every_query_says_what_it_is_for_and_is_used(name):
    text = "\n".join(file.read_text() for file in (ROOT / "sql" / "queries").rglob("*.sql"))
    code = "\n".join(file.read_text() for file in (ROOT / "broker" / "stores").rglob("*.py"))

    comment = re.search(rf"-- name: {name}\n-- (.+)", text)

    assert comment is not None
    assert comment[1].rstrip().endswith((".", ",")) or comment[1][0].isupper()
    assert re.search(rf"\bsql\.{name}\b", code), f"{name} is not used by any store"


def test_every_use_of_a_query_has_one():
    used = {
        found
        for file in (ROOT / "broker").rglob("*.py")
        for found in re.findall(r"(?<![\w.\"/])sql\.([a-z_]+)", file.read_text())
    }

    assert used - {"by_name", "due_at_once", "due_later"} <= set(sql.by_name)


async def test_postgres_accepts_every_query(database):
    for query in sql.by_name.values():
        await database.prepare(query)


async def test_the_schema_to_read_is_what_the_migrations_make(database, empty_dsn):
    migrated = await database.fetch(CATALOG)

    session = await asyncpg.connect(empty_dsn)
    try:
        await session.execute((ROOT / "sql" / "schema.sql").read_text())
        written = await session.fetch(CATALOG)
    finally:
        await session.close()

    assert [tuple(row) for row in written] == [tuple(row) for row in migrated]


async def test_every_table_leads_with_the_workspace(database):
    rows = await database.fetch(
        """
        SELECT conrelid::regclass::text AS name,
               (SELECT attname FROM pg_attribute
                 WHERE attrelid = conrelid AND attnum = conkey[1]) AS first
          FROM pg_constraint
         WHERE contype = 'p' AND connamespace = 'public'::regnamespace
        """
    )

    leading = {row["name"]: row["first"] for row in rows if not row["name"].startswith("_pogo")}

    assert leading.pop("workspace") == "id"
    assert leading.pop("sealing_key") == "key_id"
    assert leading.pop("vendor_account") == "vendor"  # of the installation, as the vendor sees it
    assert set(leading.values()) == {"workspace_id"}


def test_what_a_statement_wakes_is_asked_for_when_nothing_is_written():
    text = "\n".join(file.read_text() for file in (ROOT / "sql" / "queries").rglob("*.sql"))
    named = {
        kind
        for kinds in re.findall(r"^-- (?:wakes|plans): (.+)$", text, re.MULTILINE)
        for kind in kinds.split(", ")
    }
    listed = set(re.findall(r"SELECT '([\w ]+)'(?: AS work)?, extract", sql.next_due))

    assert named <= listed
    assert len(listed) == 12


async def test_the_hot_read_uses_indexes_only(database):
    await database.execute(
        """
        WITH workspaces AS (
            INSERT INTO workspace (id, name)
            SELECT gen_random_uuid(), 'w' FROM generate_series(1, 3)
            RETURNING id
        ), apps AS (
            INSERT INTO app (workspace_id, id, slug, client_id, client_secret, hubspot_app_id, scopes,
                             optional_scopes, return_urls, origins, confirm, pkce)
            SELECT id, gen_random_uuid(), 'hbdev', 'c', '', '1', '{}', '{}', '{}', '{}', 'auto', false
              FROM workspaces
            RETURNING workspace_id, id
        )
        INSERT INTO connection (workspace_id, id, app_id, user_ref, status, scopes)
        SELECT workspace_id, gen_random_uuid(), id, 'u' || n, 'PENDING', '{}'
          FROM apps, generate_series(1, 300) AS n
        """
    )
    await database.execute("ANALYZE")
    await database.execute("SET enable_seqscan = off")

    plan = await database.fetch(
        f"EXPLAIN {sql.connection_of_user}".replace("$1", "gen_random_uuid()")
        .replace("$2", "'hbdev'")
        .replace("$3", "'u1'")
    )

    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert "connection_once_per_user" in text
    assert "connection_grant_pkey" in text


async def test_sealed_columns_hold_bytes(database):
    schema = (ROOT / "sql" / "schema.sql").read_text()

    sealed = re.findall(r"^ +(\w+) +(\w+).*-- sealed", schema, re.MULTILINE)

    assert len(sealed) >= 9
    assert {kind for _, kind in sealed} == {"bytea"}


async def test_migrations_can_be_asked_for_twice(empty_dsn):
    first = await migrations.upgrade(empty_dsn)
    second = await migrations.upgrade(empty_dsn)

    assert first == sorted(file.stem for file in (ROOT / "sql" / "migrations").glob("*.sql"))
    assert second == []
