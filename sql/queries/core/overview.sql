-- name: connections_by_status
-- How many connections there are, by status, over all workspaces.
SELECT status, count(*) AS number
  FROM connection
 GROUP BY status;

-- name: estimated_connections
-- What Postgres' statistics know of all connections: how many there are about, their statuses, and the share
-- of each. Null where there are none.
SELECT pg_class.reltuples::bigint AS number, pg_stats.most_common_vals::text::text[] AS statuses,
       pg_stats.most_common_freqs::float8[] AS shares
  FROM pg_class
  LEFT JOIN pg_stats
    ON pg_stats.schemaname = pg_class.relnamespace::regnamespace::text
   AND pg_stats.tablename = pg_class.relname
   AND pg_stats.attname = 'status'
 WHERE pg_class.oid = 'connection'::regclass;

-- name: closed_endpoints
-- How many endpoints are closed after failures in a row, and for how long the longest of them has refused all,
-- in seconds. Disabled ones are sent nothing.
--   $1 failures that close an endpoint
SELECT count(*) AS number, extract(epoch FROM now() - min(failing_since))::float8 AS seconds
  FROM endpoint
 WHERE failing_since IS NOT NULL
   AND failures >= $1
   AND disabled_at IS NULL;

-- name: overdue
-- For how long the oldest work of each kind has been due, in seconds. What waits for an endpoint that
-- is being spared is not due.
SELECT 'renewals' AS work, extract(epoch FROM now() - min(due_at))::float8 AS seconds
  FROM renewal
 WHERE due_at <= now()
   AND claimed_until <= now()
UNION ALL
SELECT 'revocations', extract(epoch FROM now() - min(due_at))::float8
  FROM revocation
 WHERE due_at <= now()
UNION ALL
SELECT 'webhooks', extract(epoch FROM now() - min(due_at))::float8
  FROM webhook_inbox
 WHERE quarantined_at IS NULL
   AND due_at <= now()
UNION ALL
SELECT 'deliveries', extract(epoch FROM now() - min(delivery.due_at))::float8
  FROM delivery
  JOIN endpoint
    ON endpoint.workspace_id = delivery.workspace_id
   AND endpoint.id = delivery.endpoint_id
 WHERE delivery.state = 'waiting'
   AND delivery.due_at <= now()
   AND endpoint.disabled_at IS NULL
   AND endpoint.failures = 0
UNION ALL
SELECT 'runs', extract(epoch FROM now() - min(due_at))::float8
  FROM recipe_run
 WHERE state = 'running'
   AND due_at <= now()
UNION ALL
SELECT 'polls', extract(epoch FROM now() - min(due_at))::float8
  FROM recipe_poll
 WHERE due_at <= now();
