"""What the sweep for due renewals costs when nearly nothing is due."""

import json
import time
from datetime import timedelta

from broker.stores.core.queries import sql
from tests.faults.crowd import size

MANY = """
INSERT INTO connection (workspace_id, id, app_id, user_ref, status, hub_id, scopes, access_token,
                        refresh_token, generation, expires_at, renew_at)
SELECT workspace_id, gen_random_uuid(), id, 'c' || n, 'ACTIVE', n, '{}', '\\x01', '\\x02', 1,
       now() + interval '30 minutes', now() + interval '20 minutes' + n * interval '1 millisecond'
  FROM app, generate_series(1, $1::int) AS n
"""


def nodes(plan):
    yield plan
    for each in plan.get("Plans", []):
        yield from nodes(each)


async def test_the_sweep_reads_the_index_and_not_the_table(broker, database, figures):
    """R16. A million connections in the whole evidence; fifty of them are due."""
    count = size(20_000, 1_000_000)
    await database.execute(MANY, count, timeout=300)
    await database.execute("UPDATE connection SET renew_at = now() WHERE hub_id <= 50", timeout=60)
    await database.execute("VACUUM ANALYZE connection", timeout=120)
    query = sql.due_connections.replace("$1", "50")
    explained = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) {query}"))
    used = [(each["Node Type"], each.get("Index Name")) for each in nodes(explained[0]["Plan"])]
    assert used == [("Limit", None), ("Index Scan", "connection_due")]

    began = time.monotonic()
    claimed, _ = await broker.parts.connections.claim_due(50, timedelta(days=30))
    claiming = time.monotonic() - began
    began = time.monotonic()
    nothing, _ = await broker.parts.connections.claim_due(50, timedelta(days=30))
    asking = time.monotonic() - began
    assert (len(claimed), len(nothing)) == (50, 0)
    figures({"rows": count, "claim_50_ms": claiming * 1000, "claim_none_ms": asking * 1000})
