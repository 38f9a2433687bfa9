"""What the sweep for due renewals costs when nearly nothing is due."""

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
