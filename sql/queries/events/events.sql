-- name: insert_events
-- Write events.
--   $1 workspace, $2 app, $3 ids, $4 types, $5 user references, $6 payloads
INSERT INTO event (workspace_id, app_id, id, type, user_ref, payload)
SELECT workspace.id, $2, given.id, given.type, given.user_ref, given.payload
  FROM workspace
 CROSS JOIN unnest($3::uuid[], $4::text[], $5::text[], $6::text[])
            AS given (id, type, user_ref, payload)
 WHERE workspace.id = $1;

-- name: enqueue_deliveries
-- wakes: deliveries
-- Enqueue events for each endpoint of the app that wants them.
--   $1 workspace, $2 app, $3 ids, $4 types
INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, due_at, expires_at)
SELECT endpoint.workspace_id, gen_random_uuid(), endpoint.id, happened.id,
       now(), now() + interval '3 days'
  FROM endpoint
 CROSS JOIN unnest($3::uuid[], $4::text[]) AS happened (id, type)
 WHERE endpoint.workspace_id = $1
   AND endpoint.app_id = $2
   AND EXISTS (SELECT
                 FROM unnest(endpoint.events) AS wanted (pattern)
                WHERE wanted.pattern = happened.type
                   OR (right(wanted.pattern, 1) = '*'
                       AND starts_with(happened.type, left(wanted.pattern, -1))));

-- delete: publish

-- name: purge_events
-- Delete some events of a month ago, with their deliveries.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM event
     WHERE created_at < now() - interval '30 days'
     LIMIT $1
)
DELETE FROM event
 USING old
 WHERE event.workspace_id = old.workspace_id
   AND event.id = old.id;

-- name: delete_events_of_app
-- A removed app is erased: none of its events stays.
--   $1 workspace, $2 app
WITH batches AS (
    DELETE FROM webhook_inbox WHERE workspace_id = $1 AND app_id = $2
), marks AS (
    DELETE FROM seen_event WHERE workspace_id = $1 AND app_id = $2
)
DELETE FROM event
 WHERE workspace_id = $1
   AND app_id = $2;

-- name: insert_event
-- Write an event without owing it to anybody yet.
--   $1 workspace, $2 app, $3 id, $4 type, $5 payload
INSERT INTO event (workspace_id, app_id, id, type, payload)
VALUES ($1, $2, $3, $4, $5);

-- name: deliveries_of_event
-- What became of an event at each endpoint that wants it.
--   $1 workspace, $2 app, $3 event
SELECT delivery.id, delivery.endpoint_id, endpoint.url, delivery.state, delivery.attempts,
       delivery.due_at, delivery.last_status, delivery.last_error, delivery.attempted_at
  FROM delivery
  JOIN endpoint
    ON endpoint.workspace_id = delivery.workspace_id
   AND endpoint.id = delivery.endpoint_id
 WHERE delivery.workspace_id = $1
   AND endpoint.app_id = $2
   AND delivery.event_id = $3
 ORDER BY delivery.number;

-- name: event_of_app
-- An event with what became of it.
--   $1 workspace, $2 app, $3 event
SELECT event.id, event.type, event.user_ref, event.payload, event.created_at,
       count(delivery.id) FILTER (WHERE delivery.state = 'delivered') AS delivered,
       count(delivery.id) FILTER (WHERE delivery.state = 'waiting') AS waiting,
       count(delivery.id) FILTER (WHERE delivery.state = 'dead') AS dead
  FROM event
  LEFT JOIN delivery
    ON delivery.workspace_id = event.workspace_id
   AND delivery.event_id = event.id
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.id = $3
 GROUP BY event.id, event.type, event.user_ref, event.payload, event.created_at;

-- name: events_page
-- An app's events in whose type, user or message id a text occurs, newest first, with what became
-- of them.
--   $1 workspace, $2 app, $3 text with LIKE's wildcards escaped, $4 before this time, $5 and before
--   this id at that time, $6 limit
SELECT event.id, event.type, event.user_ref, event.payload, event.created_at,
       count(delivery.id) FILTER (WHERE delivery.state = 'delivered') AS delivered,
       count(delivery.id) FILTER (WHERE delivery.state = 'waiting') AS waiting,
       count(delivery.id) FILTER (WHERE delivery.state = 'dead') AS dead
  FROM (SELECT workspace_id, id, type, user_ref, payload, created_at
          FROM event
         WHERE workspace_id = $1
           AND app_id = $2
           AND concat_ws(' ', type, user_ref, 'evt_' || replace(id::text, '-', ''))
               ILIKE '%' || $3 || '%'
           AND (created_at, id) < ($4, $5)
         ORDER BY created_at DESC, id DESC
         LIMIT $6) AS event
  LEFT JOIN delivery
    ON delivery.workspace_id = $1
   AND delivery.event_id = event.id
 GROUP BY event.id, event.type, event.user_ref, event.payload, event.created_at
 ORDER BY event.created_at DESC, event.id DESC;
