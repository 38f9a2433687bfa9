-- name: begin_replay
-- Note that an endpoint is to get a span of events again, unless it is getting one.
--   $1 workspace, $2 endpoint, $3 app, $4 user reference or null, $5 from this event, $6 to before this one
-- wakes: replays
INSERT INTO replay (workspace_id, endpoint_id, app_id, user_ref, next_id, end_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING;

-- name: end_of_replay
-- Where a span has to end so that it holds no more events than allowed; null: it holds fewer.
--   $1 workspace, $2 app, $3 from this event, $4 to before this one, $5 how many events
SELECT event.id
  FROM event
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.id >= $3
   AND event.id < $4
 ORDER BY event.id
OFFSET $5
 LIMIT 1;

-- name: count_replay
-- How many events of a span an endpoint wants.
--   $1 workspace, $2 app, $3 endpoint, $4 from this event, $5 to before this one, $6 user reference or null
SELECT count(*)
  FROM event
  JOIN endpoint
    ON endpoint.workspace_id = event.workspace_id
   AND endpoint.app_id = event.app_id
   AND endpoint.id = $3
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.id >= $4
   AND event.id < $5
   AND ($6::text IS NULL OR event.user_ref = $6)
   AND EXISTS (SELECT 1
                 FROM unnest(endpoint.events) AS wanted (pattern)
                WHERE wanted.pattern = event.type
                   OR (right(wanted.pattern, 1) = '*'
                       AND starts_with(event.type, left(wanted.pattern, -1))));

-- name: limit_replay
-- Let a replay end sooner.
--   $1 workspace, $2 endpoint, $3 to before this event
UPDATE replay
   SET end_id = $3
 WHERE workspace_id = $1
   AND endpoint_id = $2;

-- name: lock_replay
-- Take one endpoint's replay, which was just begun.
--   $1 workspace, $2 endpoint
SELECT workspace_id, endpoint_id, app_id, user_ref, next_id, end_id
  FROM replay
 WHERE workspace_id = $1
   AND endpoint_id = $2
   FOR UPDATE;

-- name: due_replays
-- Which replays are due, the one that has been for longest first.
--   $1 how many
SELECT workspace_id, endpoint_id
  FROM replay
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_replay
-- Take a replay that is still due.
--   $1 workspace, $2 endpoint
SELECT workspace_id, endpoint_id, app_id, user_ref, next_id, end_id
  FROM replay
 WHERE workspace_id = $1
   AND endpoint_id = $2
   AND due_at <= now()
   FOR UPDATE SKIP LOCKED;

-- name: enqueue_slice
-- Enqueue for an endpoint what it wants of a replay's next events, delivered or not, at a steady pace; how
-- many were looked at, the last of them, and how many were enqueued.
--   $1 workspace, $2 app, $3 endpoint, $4 from this event, $5 to before this one,
--   $6 user reference or null, $7 how many events, $8 how many deliveries a second
-- plans: deliveries
WITH looked AS MATERIALIZED (
    SELECT event.id, event.type, event.user_ref
      FROM event
     WHERE event.workspace_id = $1
       AND event.app_id = $2
       AND event.id >= $4
       AND event.id < $5
     ORDER BY event.id
     LIMIT $7
), wanted AS (
    SELECT looked.id, row_number() OVER (ORDER BY looked.id) AS position
      FROM looked
     CROSS JOIN endpoint
     WHERE endpoint.workspace_id = $1
       AND endpoint.app_id = $2
       AND endpoint.id = $3
       AND ($6::text IS NULL OR looked.user_ref = $6)
       AND EXISTS (SELECT 1
                     FROM unnest(endpoint.events) AS wanted (pattern)
                    WHERE wanted.pattern = looked.type
                       OR (right(wanted.pattern, 1) = '*'
                           AND starts_with(looked.type, left(wanted.pattern, -1))))
), enqueued AS (
    INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, is_replay, due_at, expires_at)
    SELECT $1, overlay(gen_random_uuid()::text PLACING left(wanted.id::text, 15) FROM 1)::uuid, $3, wanted.id, true,
           now() + interval '1 second' * (wanted.position / $8::float8),
           now() + interval '3 days' + interval '1 second' * (wanted.position / $8::float8)
      FROM wanted
    ON CONFLICT (workspace_id, endpoint_id, event_id) DO UPDATE
       SET state = 'waiting', attempts = 0, is_replay = true, claim = delivery.claim + 1,
           due_at = excluded.due_at, expires_at = excluded.expires_at
    RETURNING 1
)
SELECT (SELECT count(*) FROM looked) AS looked,
       (SELECT count(*) FROM enqueued) AS enqueued,
       (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last_id;

-- name: advance_replay
-- Go on with this event, when the endpoint has had time for those before.
--   $1 workspace, $2 endpoint, $3 event, $4 seconds
-- plans: replays
UPDATE replay
   SET next_id = $3, due_at = now() + make_interval(secs => $4)
 WHERE workspace_id = $1
   AND endpoint_id = $2;

-- name: end_replay
-- The endpoint has got all of a span, or is about to.
--   $1 workspace, $2 endpoint
DELETE FROM replay
 WHERE workspace_id = $1
   AND endpoint_id = $2;
