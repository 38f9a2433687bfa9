"""What it costs to look for what is due, and to take it, whatever the statistics of tables say."""

import json
import time
from datetime import timedelta

from broker.stores.core.queries import sql
from tests.faults.crowd import size

MANY = """
WITH made AS (
    INSERT INTO connection (workspace_id, id, app_id, user_ref, status, hub_id, scopes)
    SELECT workspace_id, gen_random_uuid(), id, 'c' || n, 'ACTIVE', n, '{}'
      FROM app, generate_series(1, $1::int) AS n
    RETURNING workspace_id, id, hub_id
), granted AS (
    INSERT INTO connection_grant (workspace_id, connection_id, access_token, refresh_token,
                                  generation, expires_at)
    SELECT workspace_id, id, '\\x01', '\\x02', 1, now() + interval '30 minutes'
      FROM made
)
INSERT INTO renewal (workspace_id, connection_id, due_at)
SELECT workspace_id, id, now() + interval '20 minutes' + hub_id * interval '1 millisecond'
  FROM made
"""


TENANTS = """
WITH tenant AS (
    INSERT INTO workspace (id, name) SELECT gen_random_uuid(), 'w' || n FROM generate_series(1, 100) AS n
    RETURNING id
), product AS (
    INSERT INTO app (workspace_id, id, slug, client_id, client_secret, hubspot_app_id, scopes,
                     optional_scopes, return_urls, origins, confirm, pkce)
    SELECT id, gen_random_uuid(), 'busy', 'c', '\\x00', '1', '{}', '{}', '{}', '{}', 'auto', false
      FROM tenant
    RETURNING workspace_id, id
), connected AS (
    INSERT INTO connection (workspace_id, id, app_id, user_ref, status, account_id, hub_id, scopes)
    SELECT workspace_id, gen_random_uuid(), id, 'u' || n, 'ACTIVE', n::text, n, '{}'
      FROM product, generate_series(1, 100) AS n
), target AS (
    INSERT INTO endpoint (workspace_id, id, app_id, url, events, secret)
    SELECT workspace_id, gen_random_uuid(), id, 'https://x.example/', '{*}', '\\x00'
      FROM product, generate_series(1, 20)
    RETURNING workspace_id, id
), happened AS (
    INSERT INTO event (workspace_id, app_id, id, type, user_ref, payload)
    SELECT workspace_id, id,
           (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || right(md5(id::text || n), 19))::uuid,
           'x', 'u' || n, '{}'
      FROM product, generate_series(1, 100) AS n
    RETURNING workspace_id, id, user_ref
), delivered AS (
    INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, state, expires_at)
    SELECT happened.workspace_id, gen_random_uuid(), first.id, happened.id, 'delivered',
           now() + interval '3 days'
      FROM happened
      JOIN (SELECT DISTINCT ON (workspace_id) workspace_id, id FROM target) AS first
     USING (workspace_id)
), set_up AS (
    INSERT INTO recipe_setting (workspace_id, app_id, recipe, settings, secrets)
    SELECT workspace_id, id, 'toy', '{}', '\\x00' FROM product
    RETURNING workspace_id, app_id
)
INSERT INTO recipe_run (workspace_id, id, app_id, recipe, version, subject, user_ref, input, state)
SELECT workspace_id, gen_random_uuid(), app_id, 'toy', 1, 's' || n, 'u' || n, '{}', 'done'
  FROM set_up, generate_series(1, 100) AS n
"""

BURST = (
    """
    UPDATE delivery SET state = 'waiting', due_at = now()
      FROM event
     WHERE event.workspace_id = delivery.workspace_id
       AND event.id = delivery.event_id
       AND right(event.user_ref, 1) < '5'
    """,
    "UPDATE recipe_run SET state = 'running', due_at = now() WHERE right(user_ref, 1) < '5'",
)


def nodes(plan):
    yield plan
    for each in plan.get("Plans", []):
        yield from nodes(each)


async def test_the_sweep_reads_the_index_and_not_the_table(broker, database, figures):
    """R16. A million connections in the whole evidence; fifty of them are due."""
    count = size(20_000, 1_000_000)
    await database.execute(MANY, count, timeout=300)
    await database.execute(
        "UPDATE renewal SET due_at = now() FROM connection WHERE id = connection_id AND hub_id <= 50",
        timeout=60,
    )
    await database.execute("VACUUM ANALYZE", timeout=120)
    query = sql.due_connections.replace("$1", "50")
    explained = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) {query}"))
    used = [(each["Node Type"], each.get("Index Name")) for each in nodes(explained[0]["Plan"])]
    assert used == [("Limit", None), ("Index Scan", "renewal_due")]

    began = time.monotonic()
    claimed, _ = await broker.parts.connections.claim_due(50, timedelta(days=30))
    claiming = time.monotonic() - began
    began = time.monotonic()
    nothing, _ = await broker.parts.connections.claim_due(50, timedelta(days=30))
    asking = time.monotonic() - began
    assert (len(claimed), len(nothing)) == (50, 0)
    figures({"rows": count, "claim_50_ms": claiming * 1000, "claim_none_ms": asking * 1000})


async def test_what_is_taken_costs_what_is_taken_whatever_statistics_say(broker, database):
    """Statistics from before a burst say that nothing is due. Then no index of all that is due may
    be read for one tenant's share of it, nor all events of an app for each delivery. And those of
    many tenants say that an app has one connection; then not all of its may be read for a call.
    """
    await database.execute(TENANTS, timeout=60)
    await database.execute("VACUUM ANALYZE", timeout=60)
    for statement in BURST:
        await database.execute(statement, timeout=60)
    workspace = await database.fetchval("SELECT workspace_id FROM recipe_run LIMIT 1")
    lease = timedelta(minutes=1)

    for query, values, rows, blocks in (
        (sql.claim_deliveries, (workspace, 10, 4, 5, [], [], lease), 4, 400),
        (sql.claim_runs, (workspace, "toy", 1, 10, 4, [], [], lease), 4, 400),
        (sql.connection_of_user, (workspace, "busy", "u50"), 1, 30),
    ):
        found = await database.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", *values)
        plan = json.loads(found)[0]["Plan"]
        assert plan["Actual Rows"] == rows
        read = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        of_index = [each for each in nodes(plan) if "Index Name" in each]
        skipped = sum(each.get("Rows Removed by Filter", 0) for each in of_index)
        assert (read < blocks, skipped) == (True, 0), query
