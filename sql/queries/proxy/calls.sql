-- name: write_calls
-- Write down calls, each once however often it is tried.
--   $1 the calls as a JSON list of objects
INSERT INTO proxied_call
       (workspace_id, id, app_id, at, connection_id, user_ref, key_id, request_id, method, path,
        status, error, bytes, ms, retries, renewed, provider_request_id)
SELECT workspace_id, request_id::uuid, app_id, to_timestamp(at), connection_id, user_ref, key_id,
       request_id, method, path, status, error, bytes, ms, retries, renewed, provider_request_id
  FROM json_to_recordset($1::json)
       AS call (workspace_id uuid, app_id uuid, at float8, connection_id uuid,
                user_ref text, key_id uuid, request_id text, method text, path text,
                status integer, error text, bytes bigint, ms integer, retries integer,
                renewed boolean, provider_request_id text)
    ON CONFLICT (workspace_id, id, at) DO NOTHING;

-- part: matching_calls
-- Calls of an app that match.
--   $1 workspace, $2 app, $3 since, $4 until, $5 user or null, $6 least status, $7 greatest status,
--   $8 method or null, $9 part of a path or null, $10 a whole path or null, $11 error or null,
--   $12 key or null
proxied_call.workspace_id = $1
   AND proxied_call.app_id = $2
   AND proxied_call.at >= $3
   AND proxied_call.at < $4
   AND ($5::text IS NULL OR proxied_call.user_ref = $5)
   AND proxied_call.status BETWEEN $6 AND $7
   AND ($8::text IS NULL OR proxied_call.method = $8)
   AND ($9::text IS NULL
        OR strpos(lower(proxied_call.path), lower($9)) > 0
        OR proxied_call.path = $10)
   AND ($11::text IS NULL OR proxied_call.error = $11)
   AND ($12::uuid IS NULL OR proxied_call.key_id = $12);

-- part: calls_before
SELECT {logged_call}
  FROM proxied_call
 WHERE {matching_calls}
   AND (at, id) < ($13, $14);

-- name: calls_page
-- Calls of an app, newest first, before a place in that order.
--   $1 to $12 which calls match, $13 before this time, $14 and before this id at that time, $15 how many
{calls_before}
 ORDER BY at DESC, id DESC
 LIMIT $15;

-- name: failed_calls_page
-- The same, where the least status is 400 or more: from the index of those.
--   $1 to $12 which calls match, $13 before this time, $14 and before this id at that time, $15 how many
{calls_before}
   AND proxied_call.status >= 400
 ORDER BY at DESC, id DESC
 LIMIT $15;

-- name: calls_of_request
-- The calls of some apps with a request id, the broker's or the provider's.
--   $1 workspace, $2 apps, $3 the broker's id or null, $4 the provider's
SELECT {logged_call}, proxied_call.app_id
  FROM proxied_call
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND (id = $3 OR provider_request_id = $4)
 ORDER BY at DESC, id DESC
 LIMIT 100;

-- columns: logged_call of proxied_call
id, at, user_ref, key_id, request_id, method, path, status, error, bytes, ms, retries, renewed, provider_request_id;

-- name: purge_calls
-- Delete some calls that are old enough, of those that are in no day's partition.
--   $1 age, $2 how many
WITH old AS (
    SELECT workspace_id, id, at
      FROM proxied_call_rest
     WHERE at < now() - $1::interval
     LIMIT $2
)
DELETE FROM proxied_call_rest
 USING old
 WHERE proxied_call_rest.workspace_id = old.workspace_id
   AND proxied_call_rest.id = old.id
   AND proxied_call_rest.at = old.at;

-- name: call_chart
-- An app's calls in steps of time: how many, how many went wrong in which way, and how long they took.
--   $1 to $12 which calls match, $13 step
SELECT date_bin($13::interval, at, '2000-01-01 00:00:00+00') AS step, count(*) AS calls,
       count(*) FILTER (WHERE status = 429) AS limited,
       count(*) FILTER (WHERE status BETWEEN 400 AND 499 AND status <> 429) AS refused,
       count(*) FILTER (WHERE status >= 500) AS failed,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY ms) AS p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY ms) AS p95
  FROM proxied_call
 WHERE {matching_calls}
 GROUP BY step
 ORDER BY step;

-- name: call_errors
-- What went wrong with an app's calls, most often first: codes of ours, and statuses of the provider's.
--   $1 to $12 which calls match
SELECT error, status, count(*) AS number, max(at) AS last
  FROM (SELECT error, CASE WHEN error IS NULL THEN status END AS status, at
          FROM proxied_call
         WHERE {matching_calls}
           AND status >= 400) AS failed
 GROUP BY error, status
 ORDER BY number DESC, error, status
 LIMIT 20;

-- name: call_accounts
-- The HubSpot accounts that an app called most, with their quota.
--   $1 workspace, $2 app, $3 span
SELECT connection.account_id, count(*) AS calls,
       count(*) FILTER (WHERE proxied_call.status = 429) AS limited,
       count(*) FILTER (WHERE proxied_call.at >= now() - interval '1 minute') AS lately,
       (SELECT quota.size || ' in ' || quota.interval_ms / 1000 || ' s'
          FROM quota
         WHERE quota.workspace_id = $1
           AND quota.app_id = $2
           AND quota.account_id = connection.account_id
           AND quota.kind = 'calls') AS quota,
       (SELECT quota.size::bigint * 60000 / quota.interval_ms
          FROM quota
         WHERE quota.workspace_id = $1
           AND quota.app_id = $2
           AND quota.account_id = connection.account_id
           AND quota.kind = 'calls') AS a_minute
  FROM proxied_call
  JOIN connection
    ON connection.workspace_id = proxied_call.workspace_id
   AND connection.id = proxied_call.connection_id
 WHERE proxied_call.workspace_id = $1
   AND proxied_call.app_id = $2
   AND proxied_call.at >= now() - $3::interval
 GROUP BY connection.account_id
 ORDER BY calls DESC
 LIMIT 20;
