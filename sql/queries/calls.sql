-- name: write_calls
-- Write down calls, each once however often it is tried.
--   $1 the calls as a JSON list of objects
INSERT INTO proxied_call
       (workspace_id, id, app_id, at, connection_id, user_ref, key_id, request_id, method, path,
        status, error, bytes, ms, retries, renewed)
SELECT workspace_id, id, app_id, to_timestamp(at), connection_id, user_ref, key_id, request_id,
       method, path, status, error, bytes, ms, retries, renewed
  FROM jsonb_to_recordset($1::jsonb)
       AS call (workspace_id uuid, id uuid, app_id uuid, at float8, connection_id uuid,
                user_ref text, key_id uuid, request_id text, method text, path text,
                status integer, error text, bytes bigint, ms integer, retries integer,
                renewed boolean)
    ON CONFLICT (workspace_id, id) DO NOTHING;

-- name: calls_page
-- Calls of an app, newest first, before a place in that order.
--   $1 workspace, $2 app, $3 user or null, $4 least status, $5 greatest status, $6 since,
--   $7 before this time, $8 and before this id at that time, $9 how many
SELECT id, at, user_ref, key_id, request_id, method, path, status, error, bytes, ms, retries,
       renewed
  FROM proxied_call
 WHERE workspace_id = $1
   AND app_id = $2
   AND ($3::text IS NULL OR user_ref = $3)
   AND status BETWEEN $4 AND $5
   AND at >= $6
   AND (at, id) < ($7, $8)
 ORDER BY at DESC, id DESC
 LIMIT $9;

-- name: forget_calls
-- Remove some calls that are old enough.
--   $1 age, $2 how many
DELETE FROM proxied_call
 WHERE ctid = ANY (ARRAY(SELECT ctid
                           FROM proxied_call
                          WHERE at < now() - $1::interval
                          LIMIT $2));
