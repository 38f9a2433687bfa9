-- columns: endpoint of endpoint
-- An endpoint without its secret.
workspace_id, id, app_id, url, events, failures, failing_since, resumes_at, disabled_at, disabled_because, created_at,
updated_at;

-- name: create_endpoint
-- Register where an app's events are sent, unless the app has many endpoints already. Citus finds the columns
-- of RETURNING by the alias.
--   $1 workspace, $2 id, $3 app, $4 URL, $5 event patterns, $6 sealed secret, $7 how many at most
INSERT INTO endpoint AS endpoint (workspace_id, id, app_id, url, events, secret)
SELECT workspace.id, $2, $3, $4, $5, $6
  FROM workspace
 WHERE workspace.id = $1
   AND (SELECT count(*)
          FROM endpoint
         WHERE workspace_id = $1
           AND app_id = $3) < $7::integer
RETURNING {endpoint};

-- name: endpoints_of_app
-- An app's endpoints, oldest first.
--   $1 workspace, $2 app
SELECT {endpoint}
  FROM endpoint
 WHERE workspace_id = $1
   AND app_id = $2
 ORDER BY created_at, id;

-- name: endpoint_of_app
-- One of an app's endpoints.
--   $1 workspace, $2 app, $3 id
SELECT {endpoint}
  FROM endpoint
 WHERE workspace_id = $1
   AND app_id = $2
   AND id = $3;

-- name: change_endpoint
-- Change what is not null. An endpoint that is enabled again starts without failures.
--   $1 workspace, $2 app, $3 id, $4 URL, $5 event patterns, $6 whether it should be enabled
UPDATE endpoint
   SET url = coalesce($4, url),
       events = coalesce($5::text[], events),
       disabled_at = CASE WHEN $6 THEN NULL
                          WHEN NOT $6 THEN coalesce(disabled_at, clock.now)
                          ELSE disabled_at END,
       disabled_because = CASE WHEN $6 THEN NULL
                               WHEN NOT $6 THEN coalesce(disabled_because, 'asked')
                               ELSE disabled_because END,
       failures = CASE WHEN $6 OR $4 IS NOT NULL THEN 0 ELSE failures END,
       failing_since = CASE WHEN $6 OR $4 IS NOT NULL THEN NULL ELSE failing_since END,
       resumes_at = CASE WHEN $6 OR $4 IS NOT NULL THEN NULL ELSE resumes_at END,
       updated_at = now()
  FROM (SELECT now() AS now) AS clock
 WHERE workspace_id = $1
   AND app_id = $2
   AND id = $3
RETURNING {endpoint};

-- name: lock_endpoint_secret
-- Lock an endpoint to change its secret.
--   $1 workspace, $2 app, $3 id
SELECT secret
  FROM endpoint
 WHERE workspace_id = $1
   AND app_id = $2
   AND id = $3
   FOR UPDATE;

-- name: rotate_endpoint_secret
-- A new secret; the old one signs too for a day.
--   $1 workspace, $2 id, $3 sealed secret, $4 sealed former secret
UPDATE endpoint
   SET secret = $3, previous_secret = $4, previous_secret_until = now() + interval '24 hours',
       updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: purge_previous_secrets
-- Wipe secrets whose overlap is over.
UPDATE endpoint
   SET previous_secret = NULL, previous_secret_until = NULL
 WHERE previous_secret_until < now();

-- name: remove_endpoint
-- Send nothing there any more.
--   $1 workspace, $2 app, $3 id
DELETE FROM endpoint
 WHERE workspace_id = $1
   AND app_id = $2
   AND id = $3;

-- name: remove_endpoints_of_app
-- A removed app sends no more events.
--   $1 workspace, $2 app
DELETE FROM endpoint
 WHERE workspace_id = $1
   AND app_id = $2;

-- name: record_endpoint_success
-- An endpoint that failed before has taken a delivery.
--   $1 workspace, $2 id
UPDATE endpoint
   SET failures = 0, failing_since = NULL, resumes_at = NULL
 WHERE workspace_id = $1
   AND id = $2
   AND failures > 0;

-- name: record_endpoint_failure
-- An endpoint did not take a delivery; after some in a row nothing is sent there for a while.
--   $1 workspace, $2 id, $3 failures that are borne, $4 first pause, $5 longest pause, $6 which part of
--   the pause it lasts
WITH next AS (
    SELECT id, now() AS failed_at,
           CASE WHEN failures + 1 >= $3
                THEN now() + least($5::interval,
                                   $4::interval * 2 ^ least(failures + 1 - $3, 20))
                             * $6::float8 END AS resumes_at
      FROM endpoint
     WHERE workspace_id = $1
       AND id = $2
       FOR UPDATE
)
UPDATE endpoint
   SET failures = endpoint.failures + 1, resumes_at = next.resumes_at,
       failing_since = coalesce(endpoint.failing_since, next.failed_at)
  FROM next
 WHERE endpoint.workspace_id = $1
   AND endpoint.id = next.id
RETURNING endpoint.failures;

-- name: disable_endpoint
-- The receiver says that it is gone for good.
--   $1 workspace, $2 id, $3 why
UPDATE endpoint
   SET disabled_at = now(), disabled_because = $3, updated_at = now()
 WHERE workspace_id = $1
   AND id = $2
   AND disabled_at IS NULL;
