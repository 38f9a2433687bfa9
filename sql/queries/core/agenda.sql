-- name: next_due
-- In how many seconds the earliest work of each kind is due; negative when it is overdue, null where there
-- is none. The kinds are the names of the background tasks.
SELECT 'renewals' AS work, extract(epoch FROM min(due_at) - now())::float8 AS seconds
  FROM renewal
 WHERE due_at IS NOT NULL
   AND claimed_until <= now()
UNION ALL
SELECT 'revocations', extract(epoch FROM min(due_at) - now())::float8
  FROM revocation
 WHERE due_at IS NOT NULL
UNION ALL
SELECT 'subscriptions', extract(epoch FROM min(due_at) - now())::float8
  FROM subscription_check
UNION ALL
SELECT 'webhook_inbox', extract(epoch FROM min(due_at) - now())::float8
  FROM webhook_inbox
 WHERE quarantined_at IS NULL
UNION ALL
SELECT 'deliveries', extract(epoch FROM min(due_at) - now())::float8
  FROM delivery
 WHERE state = 'waiting'
UNION ALL
SELECT 'replays', extract(epoch FROM min(due_at) - now())::float8
  FROM replay
UNION ALL
SELECT 'journals', extract(epoch FROM min(due_at) - now())::float8
  FROM journal
UNION ALL
SELECT 'runs', extract(epoch FROM min(due_at) - now())::float8
  FROM recipe_run
 WHERE state = 'running'
UNION ALL
SELECT 'tasks of runs', extract(epoch FROM min(due_at) - now())::float8
  FROM recipe_task
 WHERE due_at IS NOT NULL
UNION ALL
SELECT 'polls', extract(epoch FROM min(due_at) - now())::float8
  FROM recipe_poll
 WHERE due_at IS NOT NULL
UNION ALL
SELECT 'recipe health', extract(epoch FROM min(due_at) - now())::float8
  FROM recipe_health
 WHERE due_at IS NOT NULL
UNION ALL
SELECT 'case events', extract(epoch FROM min(due_at) - now())::float8
  FROM vendor_event
 WHERE state = 'waiting';

-- name: notify_work
-- Let the processes that do the background work look at once, at kinds of it that stand in a comma-separated
-- list.
--   $1 list
SELECT pg_notify('broker_work', $1);
