-- name: claim_idempotency_key
-- Take a key for a call, unless it is taken; a key whose day is over is free.
--   $1 workspace, $2 connection, $3 hash of the key, $4 id, $5 fingerprint of the request,
--   $6 for how many seconds the call may run
INSERT INTO idempotent_call AS taken
       (workspace_id, connection_id, key_hash, id, fingerprint, outcome, runs_until, expires_at)
VALUES ($1, $2, $3, $4, $5, 'running', now() + make_interval(secs => $6),
        now() + make_interval(secs => $6) + interval '24 hours')
ON CONFLICT ON CONSTRAINT idempotent_call_once DO UPDATE
   SET id = $4, fingerprint = $5, outcome = 'running', answer = NULL,
       runs_until = EXCLUDED.runs_until, expires_at = EXCLUDED.expires_at
 WHERE taken.expires_at < now()
RETURNING id;

-- name: call_of_idempotency_key
-- What is known of a key's call.
--   $1 workspace, $2 connection, $3 hash of the key
SELECT id, fingerprint, outcome, answer, outcome = 'running' AND runs_until < now() AS overdue
  FROM idempotent_call
 WHERE workspace_id = $1
   AND connection_id = $2
   AND key_hash = $3;

-- name: keep_answer
-- HubSpot answered.
--   $1 workspace, $2 id, $3 sealed answer
UPDATE idempotent_call
   SET outcome = 'answered', answer = $3, expires_at = now() + interval '24 hours'
 WHERE workspace_id = $1
   AND id = $2;

-- name: lose_answer
-- Nobody knows whether HubSpot ran the call.
--   $1 workspace, $2 id
UPDATE idempotent_call
   SET outcome = 'unknown'
 WHERE workspace_id = $1
   AND id = $2;

-- name: free_idempotency_key
-- HubSpot did not run the call.
--   $1 workspace, $2 id
DELETE FROM idempotent_call
 WHERE workspace_id = $1
   AND id = $2;

-- name: forget_answers_of_connection
-- A connection is wiped, and with it what HubSpot answered for it.
--   $1 workspace, $2 connection
DELETE FROM idempotent_call
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: forget_idempotency_keys
-- Remove keys whose day is over.
DELETE FROM idempotent_call
 WHERE expires_at < now();
