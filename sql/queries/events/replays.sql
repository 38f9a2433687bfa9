-- name: begin_replay
-- wakes: replays
-- Note that an endpoint is to get a span of events again, unless it is getting one.
--   $1 workspace, $2 endpoint, $3 app, $4 user reference or null, $5 from, $6 to
INSERT INTO replay (workspace_id, endpoint_id, app_id, user_ref, position_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING;

-- name: end_of_replay
-- Where a span has to end so that it holds no more events than allowed; null: it holds fewer.
--   $1 workspace, $2 app, $3 from, $4 to, $5 how many events
SELECT event.created_at
  FROM event
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.created_at >= $3
   AND event.created_at < $4
 ORDER BY event.created_at
OFFSET $5
 LIMIT 1;

-- name: count_replay
-- How many events of a span an endpoint wants.
--   $1 workspace, $2 app, $3 endpoint, $4 from, $5 to, $6 user reference or null
SELECT count(*)
  FROM event
  JOIN endpoint
    ON endpoint.workspace_id = event.workspace_id
   AND endpoint.app_id = event.app_id
   AND endpoint.id = $3
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.created_at >= $4
   AND event.created_at < $5
   AND ($6::text IS NULL OR event.user_ref = $6)
   AND EXISTS (SELECT
                 FROM unnest(endpoint.events) AS wanted (pattern)
                WHERE wanted.pattern = event.type
                   OR (right(wanted.pattern, 1) = '*'
                       AND starts_with(event.type, left(wanted.pattern, -1))));

-- name: limit_replay
-- Let a replay end sooner.
--   $1 workspace, $2 endpoint, $3 to
UPDATE replay
   SET ends_at = $3
 WHERE workspace_id = $1
   AND endpoint_id = $2;

-- name: lock_replay
-- Take one endpoint's replay, which was just begun.
--   $1 workspace, $2 endpoint
SELECT workspace_id, endpoint_id, app_id, user_ref, position_at, position_id, ends_at
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
SELECT workspace_id, endpoint_id, app_id, user_ref, position_at, position_id, ends_at
  FROM replay
 WHERE workspace_id = $1
   AND endpoint_id = $2
   AND due_at <= now()
   FOR UPDATE SKIP LOCKED;

-- name: enqueue_slice
-- plans: deliveries
-- Enqueue for an endpoint what it wants of a replay's next events, delivered or not, at a steady pace; how
-- many were looked at, the last of them, and how many were enqueued.
--   $1 workspace, $2 app, $3 endpoint, $4 after (time), $5 after (id), $6 to,
--   $7 user reference or null, $8 how many events, $9 how many deliveries a second
WITH looked AS MATERIALIZED (
    SELECT event.id, event.type, event.user_ref, event.created_at
      FROM event
     WHERE event.workspace_id = $1
       AND event.app_id = $2
       AND event.created_at >= $4
       AND event.created_at < $6
       AND (event.created_at, event.id) > ($4, $5)
     ORDER BY event.created_at, event.id
     LIMIT $8
), wanted AS (
    SELECT looked.id, row_number() OVER (ORDER BY looked.created_at, looked.id) AS position
      FROM looked
     CROSS JOIN endpoint
     WHERE endpoint.workspace_id = $1
       AND endpoint.app_id = $2
       AND endpoint.id = $3
       AND ($7::text IS NULL OR looked.user_ref = $7)
       AND EXISTS (SELECT
                     FROM unnest(endpoint.events) AS wanted (pattern)
                    WHERE wanted.pattern = looked.type
                       OR (right(wanted.pattern, 1) = '*'
                           AND starts_with(looked.type, left(wanted.pattern, -1))))
), enqueued AS (
    INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, is_replay, due_at, expires_at)
    SELECT $1, gen_random_uuid(), $3, wanted.id, true,
           now() + interval '1 second' * (wanted.position / $9::float8),
           now() + interval '3 days' + interval '1 second' * (wanted.position / $9::float8)
      FROM wanted
    ON CONFLICT ON CONSTRAINT delivery_once_per_endpoint DO UPDATE
       SET state = 'waiting', attempts = 0, is_replay = true, claim = delivery.claim + 1,
           due_at = excluded.due_at, expires_at = excluded.expires_at
    RETURNING 1
), latest AS (
    SELECT looked.created_at, looked.id
      FROM looked
     ORDER BY looked.created_at DESC, looked.id DESC
     LIMIT 1
)
SELECT (SELECT count(*) FROM looked) AS looked,
       (SELECT count(*) FROM enqueued) AS enqueued,
       (SELECT created_at FROM latest) AS last_at,
       (SELECT id FROM latest) AS last_id;

-- name: advance_replay
-- plans: replays
-- Go on after these events, when the endpoint has had time for them.
--   $1 workspace, $2 endpoint, $3 last event's time, $4 its id, $5 seconds
UPDATE replay
   SET position_at = $3, position_id = $4, due_at = now() + make_interval(secs => $5)
 WHERE workspace_id = $1
   AND endpoint_id = $2;

-- name: end_replay
-- The endpoint has got all of a span, or is about to.
--   $1 workspace, $2 endpoint
DELETE FROM replay
 WHERE workspace_id = $1
   AND endpoint_id = $2;
