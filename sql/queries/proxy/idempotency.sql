-- name: claim_idempotency_key
-- Take a key for a call, unless it is taken; a key whose day is over is free.
--   $1 workspace, $2 connection, $3 hash of the key, $4 id, $5 fingerprint of the request,
--   $6 for how many seconds the call may run
INSERT INTO idempotent_call AS taken
       (workspace_id, connection_id, key_hash, id, fingerprint, outcome, in_progress_until, expires_at)
VALUES ($1, $2, $3, $4, $5, 'running', now() + make_interval(secs => $6),
        now() + make_interval(secs => $6) + interval '24 hours')
ON CONFLICT ON CONSTRAINT idempotent_call_once DO UPDATE
   SET id = $4, fingerprint = $5, outcome = 'running', answer = NULL,
       in_progress_until = EXCLUDED.in_progress_until, expires_at = EXCLUDED.expires_at
 WHERE EXCLUDED.expires_at - taken.expires_at > make_interval(secs => $6) + interval '24 hours'
RETURNING id;

-- name: call_of_idempotency_key
-- What is known of a key's call.
--   $1 workspace, $2 connection, $3 hash of the key
SELECT id, fingerprint, outcome, answer, outcome = 'running' AND in_progress_until < now() AS overdue
  FROM idempotent_call
 WHERE workspace_id = $1
   AND connection_id = $2
   AND key_hash = $3;

-- name: store_response
-- HubSpot answered.
--   $1 workspace, $2 id, $3 sealed answer
UPDATE idempotent_call
   SET outcome = 'answered', answer = $3, expires_at = now() + interval '24 hours'
 WHERE workspace_id = $1
   AND id = $2;

-- name: mark_outcome_unknown
-- It is unknown whether the call was executed.
--   $1 workspace, $2 id
UPDATE idempotent_call
   SET outcome = 'unknown'
 WHERE workspace_id = $1
   AND id = $2;

-- name: release_idempotency_key
-- HubSpot did not run the call.
--   $1 workspace, $2 id
DELETE FROM idempotent_call
 WHERE workspace_id = $1
   AND id = $2;

-- name: delete_answers_of_connection
-- A connection is wiped, and with it what HubSpot answered for it.
--   $1 workspace, $2 connection
DELETE FROM idempotent_call
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: purge_idempotency_keys
-- Delete some keys whose day is over.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM idempotent_call
     WHERE expires_at < now()
     LIMIT $1
)
DELETE FROM idempotent_call
 USING old
 WHERE idempotent_call.workspace_id = old.workspace_id
   AND idempotent_call.id = old.id;
