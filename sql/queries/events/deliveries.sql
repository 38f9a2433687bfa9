-- name: workspaces_with_deliveries
-- Workspaces in which an endpoint is open that has due deliveries, in no order. Nothing is read of endpoints
-- while no delivery is due at all.
--   $1 endpoints that have no room, $2 how many
SELECT endpoint.workspace_id
  FROM endpoint
 WHERE EXISTS (SELECT 1
                 FROM delivery AS anywhere
                WHERE anywhere.state = 'waiting'
                  AND anywhere.due_at <= now())
   AND endpoint.disabled_at IS NULL
   AND (endpoint.resumes_at IS NULL OR endpoint.resumes_at <= now())
   AND endpoint.id <> ALL ($1::uuid[])
   AND EXISTS (SELECT 1
                 FROM delivery
                WHERE delivery.workspace_id = endpoint.workspace_id
                  AND delivery.endpoint_id = endpoint.id
                  AND delivery.due_at <= now()
                  AND delivery.expires_at > now())
 GROUP BY endpoint.workspace_id
 ORDER BY random()
 LIMIT $2;

-- name: claim_deliveries
-- Take deliveries of a workspace that are due, from each endpoint no more than it has room for: a dead
-- endpoint with a long queue does not delay the others. What is due is looked for without a state, so
-- that only the index of one endpoint's can be read, and not one of all, whatever the statistics say;
-- and the event by a key that is known, not among all of its app's.
--   $1 workspace, $2 how many in all, $3 how many at a time to one endpoint, $4 failures that close it,
--   $5 endpoints under way here, $6 deliveries under way to each, $7 lease
WITH busy AS (
    SELECT given.endpoint_id, given.under_way
      FROM unnest($5::uuid[], $6::integer[]) AS given (endpoint_id, under_way)
), open AS (
    SELECT endpoint.id,
           CASE WHEN endpoint.failures >= $4 THEN 1 ELSE $3 END
               - coalesce(busy.under_way, 0) AS room
      FROM endpoint
      LEFT JOIN busy
        ON busy.endpoint_id = endpoint.id
     WHERE endpoint.workspace_id = $1
       AND endpoint.disabled_at IS NULL
       AND (endpoint.resumes_at IS NULL OR endpoint.resumes_at <= now())
), taken AS (
    SELECT due.event_id, due.endpoint_id
      FROM open
     CROSS JOIN LATERAL (SELECT delivery.event_id, delivery.endpoint_id, delivery.due_at
                           FROM delivery
                          WHERE delivery.workspace_id = $1
                            AND delivery.endpoint_id = open.id
                            AND delivery.due_at <= now()
                            AND delivery.expires_at > now()
                          ORDER BY delivery.due_at
                          LIMIT greatest(open.room, 0)
                            FOR UPDATE SKIP LOCKED) AS due
     ORDER BY due.due_at
     LIMIT $2
)
UPDATE delivery
   SET due_at = now() + $7::interval, attempts = attempts + 1, claim = claim + 1, attempted_at = now()
  FROM taken, endpoint
 CROSS JOIN LATERAL (SELECT event.payload
                       FROM event
                      WHERE event.workspace_id = $1
                        AND event.app_id = endpoint.app_id
                        AND event.id = taken.event_id
                      LIMIT 1) AS event
 WHERE delivery.workspace_id = $1
   AND delivery.event_id = taken.event_id
   AND delivery.endpoint_id = taken.endpoint_id
   AND endpoint.workspace_id = $1
   AND endpoint.id = taken.endpoint_id
RETURNING {claimed_delivery};

-- part: claimed_delivery
-- What an attempt of a delivery needs.
delivery.workspace_id, delivery.id, delivery.endpoint_id, delivery.event_id,
          delivery.attempts, delivery.claim, delivery.is_replay, event.payload, endpoint.url,
          endpoint.secret, endpoint.failures,
          CASE WHEN endpoint.previous_secret_until > delivery.attempted_at
               THEN endpoint.previous_secret END AS previous_secret;

-- name: claim_delivery
-- Take one delivery now, whatever its endpoint's state.
--   $1 workspace, $2 event, $3 endpoint, $4 lease
UPDATE delivery
   SET due_at = now() + $4::interval, attempts = attempts + 1, claim = claim + 1, attempted_at = now()
  FROM endpoint, event
 WHERE delivery.workspace_id = $1
   AND delivery.event_id = $2
   AND delivery.endpoint_id = $3
   AND delivery.state = 'waiting'
   AND endpoint.workspace_id = $1
   AND endpoint.id = $3
   AND event.workspace_id = $1
   AND event.app_id = endpoint.app_id
   AND event.id = $2
RETURNING {claimed_delivery};

-- name: finish_delivery
-- Write what became of an attempt, unless the delivery has been claimed again since.
--   $1 workspace, $2 event, $3 endpoint, $4 claim, $5 state, $6 status, $7 error, $8 time until the next
--   attempt, null where there is none
-- plans: deliveries
UPDATE delivery
   SET state = $5, due_at = now() + $8::interval, last_status = $6, last_error = $7
 WHERE workspace_id = $1
   AND event_id = $2
   AND endpoint_id = $3
   AND claim = $4
   AND state = 'waiting';

-- name: late_deliveries
-- Which deliveries could not be made for three days.
--   $1 how many
SELECT workspace_id, event_id, endpoint_id
  FROM delivery
 WHERE state = 'waiting'
   AND expires_at <= now()
   AND due_at <= now()
 LIMIT $1;

-- name: expire_deliveries
-- What could not be delivered for three days is dead, and waits for a replay.
--   $1 workspace, $2 events, $3 the endpoint of each
WITH late AS (
    SELECT delivery.event_id, delivery.endpoint_id
      FROM delivery
      JOIN unnest($2::uuid[], $3::uuid[]) AS given (event_id, endpoint_id)
        ON given.event_id = delivery.event_id
       AND given.endpoint_id = delivery.endpoint_id
     WHERE delivery.workspace_id = $1
       AND delivery.expires_at <= now()
       AND delivery.due_at <= now()
       FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE delivery
   SET state = 'dead', due_at = NULL, last_error = coalesce(last_error, 'never-attempted')
  FROM late
 WHERE delivery.workspace_id = $1
   AND delivery.event_id = late.event_id
   AND delivery.endpoint_id = late.endpoint_id;

-- name: deliveries_page
-- Deliveries to an endpoint, the newest event first.
--   $1 workspace, $2 endpoint, $3 state or null, $4 before this event, $5 limit
SELECT delivery.id, delivery.event_id, event.type, event.user_ref,
       delivery.state, delivery.attempts, delivery.is_replay, delivery.due_at,
       delivery.last_status, delivery.last_error, delivery.attempted_at, delivery.created_at
  FROM delivery
  JOIN endpoint
    ON endpoint.workspace_id = $1
   AND endpoint.id = delivery.endpoint_id
  JOIN event
    ON event.workspace_id = $1
   AND event.app_id = endpoint.app_id
   AND event.id = delivery.event_id
 WHERE delivery.workspace_id = $1
   AND delivery.endpoint_id = $2
   AND ($3::text IS NULL OR delivery.state = $3)
   AND delivery.event_id < $4
 ORDER BY delivery.event_id DESC
 LIMIT $5;

-- name: deliveries_of_app
-- Deliveries to all endpoints of an app, the newest event first.
--   $1 workspace, $2 app, $3 state or null, $4 part of an event type, a user or an address, or null,
--   $5 before this event, $6 and before this endpoint of that event, $7 limit
SELECT found.*, endpoint.id AS endpoint_id, endpoint.url
  FROM endpoint
 CROSS JOIN LATERAL (SELECT delivery.id, delivery.event_id, event.type, event.user_ref,
                            delivery.state, delivery.attempts, delivery.is_replay, delivery.due_at,
                            delivery.last_status, delivery.last_error, delivery.attempted_at,
                            delivery.created_at
                       FROM delivery
                       JOIN event
                         ON event.workspace_id = $1
                        AND event.app_id = $2
                        AND event.id = delivery.event_id
                      WHERE delivery.workspace_id = $1
                        AND delivery.endpoint_id = endpoint.id
                        AND ($3::text IS NULL OR delivery.state = $3)
                        AND ($4::text IS NULL
                             OR strpos(lower(event.type), lower($4)) > 0
                             OR strpos(lower(event.user_ref), lower($4)) > 0
                             OR strpos(lower(endpoint.url), lower($4)) > 0)
                        AND delivery.event_id <= $5
                        AND (delivery.event_id, delivery.endpoint_id) < ($5, $6)
                      ORDER BY delivery.event_id DESC
                      LIMIT $7) AS found
 WHERE endpoint.workspace_id = $1
   AND endpoint.app_id = $2
 ORDER BY found.event_id DESC, endpoint.id DESC
 LIMIT $7;

-- name: replay_dead_deliveries
-- Enqueue an app's dead deliveries again, as the same events, the oldest first and at a steady pace.
--   $1 workspace, $2 app, $3 how many, $4 how many a second
-- plans: deliveries
WITH dead AS (
    SELECT delivery.event_id, delivery.endpoint_id,
           now() + interval '1 second' * (row_number() OVER (ORDER BY delivery.event_id) / $4::float8)
               AS due_at
      FROM delivery
      JOIN endpoint
        ON endpoint.workspace_id = $1
       AND endpoint.id = delivery.endpoint_id
      JOIN event
        ON event.workspace_id = $1
       AND event.app_id = $2
       AND event.id = delivery.event_id
     WHERE delivery.workspace_id = $1
       AND endpoint.app_id = $2
       AND delivery.state = 'dead'
     ORDER BY delivery.event_id
     LIMIT $3
), timed AS (
    SELECT event_id, endpoint_id, due_at, due_at + interval '3 days' AS expires_at
      FROM dead
)
UPDATE delivery
   SET state = 'waiting', attempts = 0, is_replay = true, claim = claim + 1,
       due_at = timed.due_at, expires_at = timed.expires_at
  FROM timed
 WHERE delivery.workspace_id = $1
   AND delivery.event_id = timed.event_id
   AND delivery.endpoint_id = timed.endpoint_id
   AND delivery.state = 'dead';

-- name: delivery_of_app
-- One delivery to one of an app's endpoints.
--   $1 workspace, $2 app, $3 id, $4 and $5 between which its event's id is
SELECT delivery.id, delivery.event_id, event.type, event.user_ref,
       delivery.state, delivery.attempts, delivery.is_replay, delivery.due_at,
       delivery.last_status, delivery.last_error, delivery.attempted_at, delivery.created_at
  FROM delivery
  JOIN endpoint
    ON endpoint.workspace_id = $1
   AND endpoint.id = delivery.endpoint_id
  JOIN event
    ON event.workspace_id = $1
   AND event.app_id = $2
   AND event.id = delivery.event_id
 WHERE delivery.workspace_id = $1
   AND delivery.id = $3
   AND delivery.event_id BETWEEN $4 AND $5
   AND endpoint.app_id = $2;

-- name: replay_delivery
-- Enqueue a delivery again, as the same event.
--   $1 workspace, $2 app, $3 id, $4 and $5 between which its event's id is
-- wakes: deliveries
UPDATE delivery
   SET state = 'waiting', attempts = 0, is_replay = true, claim = claim + 1,
       due_at = now(), expires_at = now() + interval '3 days'
  FROM endpoint, event
 WHERE delivery.workspace_id = $1
   AND delivery.id = $3
   AND delivery.event_id BETWEEN $4 AND $5
   AND endpoint.workspace_id = $1
   AND endpoint.app_id = $2
   AND endpoint.id = delivery.endpoint_id
   AND event.workspace_id = $1
   AND event.app_id = $2
   AND event.id = delivery.event_id;

-- name: enqueue_delivery
-- Enqueue one event for an endpoint, whatever it subscribes to.
--   $1 workspace, $2 id, $3 endpoint, $4 event
INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, due_at, expires_at)
VALUES ($1, $2, $3, $4, now() + interval '1 minute', now() + interval '1 minute');
