-- name: write_calls
-- Write down calls, each once however often it is tried.
--   $1 workspaces, $2 ids, $3 apps, $4 times, $5 connections, $6 users, $7 keys, $8 request ids,
--   $9 methods, $10 paths, $11 statuses, $12 errors, $13 bytes, $14 milliseconds, $15 retries,
--   $16 whether renewed (one each)
INSERT INTO proxied_call
       (workspace_id, id, app_id, at, connection_id, user_ref, key_id, request_id, method, path,
        status, error, bytes, ms, retries, renewed)
SELECT *
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[], $6::text[],
              $7::uuid[], $8::text[], $9::text[], $10::text[], $11::integer[], $12::text[],
              $13::bigint[], $14::integer[], $15::integer[], $16::boolean[])
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
