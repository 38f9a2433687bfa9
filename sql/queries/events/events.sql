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
-- Enqueue events for each endpoint of the app that wants them.
--   $1 workspace, $2 app, $3 ids, $4 types
-- wakes: deliveries
INSERT INTO delivery (workspace_id, id, endpoint_id, event_id, due_at, expires_at)
SELECT endpoint.workspace_id, overlay(gen_random_uuid()::text PLACING left(happened.id::text, 15) FROM 1)::uuid, endpoint.id, happened.id,
       now(), now() + interval '3 days'
  FROM endpoint
 CROSS JOIN unnest($3::uuid[], $4::text[]) AS happened (id, type)
 WHERE endpoint.workspace_id = $1
   AND endpoint.app_id = $2
   AND EXISTS (SELECT 1
                 FROM unnest(endpoint.events) AS wanted (pattern)
                WHERE wanted.pattern = happened.type
                   OR (right(wanted.pattern, 1) = '*'
                       AND starts_with(happened.type, left(wanted.pattern, -1))));

-- name: purge_deliveries
-- Delete some finished deliveries of old events, of those that are in no week's partition.
--   $1 the first event that is not old, $2 how many
WITH old AS (
    SELECT workspace_id, event_id, endpoint_id
      FROM delivery_rest
     WHERE event_id < $1
       AND due_at IS NULL
     LIMIT $2
)
DELETE FROM delivery_rest
 USING old
 WHERE delivery_rest.workspace_id = old.workspace_id
   AND delivery_rest.event_id = old.event_id
   AND delivery_rest.endpoint_id = old.endpoint_id;

-- name: purge_events
-- Delete some events that are old enough and nobody waits for, of those that are in no week's partition.
--   $1 the first event that is not old, $2 how many
WITH old AS (
    SELECT event_rest.workspace_id, event_rest.app_id, event_rest.id
      FROM event_rest
     WHERE event_rest.id < $1
       AND NOT EXISTS (SELECT 1
                         FROM delivery
                        WHERE delivery.workspace_id = event_rest.workspace_id
                          AND delivery.event_id = event_rest.id
                          AND delivery.due_at IS NOT NULL)
     LIMIT $2
)
DELETE FROM event_rest
 USING old
 WHERE event_rest.workspace_id = old.workspace_id
   AND event_rest.app_id = old.app_id
   AND event_rest.id = old.id;

-- name: events_in_use
-- A row where some events of a span are still to be delivered, or replayed.
--   $1 the first event, $2 the first one after them
SELECT 1
  FROM delivery
 WHERE event_id >= $1
   AND event_id < $2
   AND due_at IS NOT NULL
UNION ALL
SELECT 1
  FROM replay
 WHERE next_id < $2
   AND end_id > $1
 LIMIT 1;

-- name: deliveries_in_use
-- A row where some events of a span are there.
--   $1 the first event, $2 the first one after them
SELECT 1
  FROM event
 WHERE id >= $1
   AND id < $2
 LIMIT 1;

-- name: delete_events_of_app
-- A removed app is erased: none of its events stays.
--   $1 workspace, $2 app
WITH batches AS (
    DELETE FROM webhook_inbox WHERE workspace_id = $1 AND app_id = $2
), marks AS (
    DELETE FROM seen_event WHERE workspace_id = $1 AND app_id = $2
), deliveries AS (
    DELETE FROM delivery
     USING event
     WHERE delivery.workspace_id = $1
       AND event.workspace_id = $1
       AND event.app_id = $2
       AND event.id = delivery.event_id
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
 ORDER BY endpoint.created_at, endpoint.id;

-- name: event_of_app
-- An event with what became of it.
--   $1 workspace, $2 app, $3 event
SELECT event.id, event.type, event.user_ref, event.payload,
       count(delivery.id) FILTER (WHERE delivery.state = 'delivered') AS delivered,
       count(delivery.id) FILTER (WHERE delivery.state = 'waiting') AS waiting,
       count(delivery.id) FILTER (WHERE delivery.state = 'dead') AS dead
  FROM event
  LEFT JOIN endpoint
    ON endpoint.workspace_id = $1
   AND endpoint.app_id = $2
  LEFT JOIN delivery
    ON delivery.workspace_id = $1
   AND delivery.endpoint_id = endpoint.id
   AND delivery.event_id = $3
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.id = $3
 GROUP BY event.id, event.type, event.user_ref, event.payload;

-- name: events_page
-- An app's events in whose type, user or message id a text occurs, newest first, with what became
-- of them.
--   $1 workspace, $2 app, $3 text with LIKE's wildcards escaped, $4 before this id, $5 limit
SELECT event.id, event.type, event.user_ref, event.payload,
       count(delivery.id) FILTER (WHERE delivery.state = 'delivered') AS delivered,
       count(delivery.id) FILTER (WHERE delivery.state = 'waiting') AS waiting,
       count(delivery.id) FILTER (WHERE delivery.state = 'dead') AS dead
  FROM (SELECT workspace_id, id, type, user_ref, payload
          FROM event
         WHERE workspace_id = $1
           AND app_id = $2
           AND concat_ws(' ', type, user_ref, 'evt_' || replace(id::text, '-', ''))
               ILIKE '%' || $3 || '%'
           AND id < $4
         ORDER BY id DESC
         LIMIT $5) AS event
  LEFT JOIN endpoint
    ON endpoint.workspace_id = $1
   AND endpoint.app_id = $2
  LEFT JOIN delivery
    ON delivery.workspace_id = $1
   AND delivery.endpoint_id = endpoint.id
   AND delivery.event_id = event.id
 GROUP BY event.id, event.type, event.user_ref, event.payload
 ORDER BY event.id DESC;
