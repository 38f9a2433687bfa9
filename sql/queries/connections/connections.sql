-- columns: connection_record of connection
-- A connection as people see it; never a token.
id, number, user_ref, status, account_id, account_name, hub_id, scopes, installed_by, expires_at,
renewed_at, last_used_at, last_error, created_at, updated_at;

-- name: connection_of_user
-- The hot path's one read: all that a proxied call needs. A row without a connection id means
-- that the app exists and the user does not.
--   $1 workspace, $2 app slug, $3 user reference
SELECT app.workspace_id, app.id AS app_id, app.slug, app.provider, app.policy,
       connection.id, connection.user_ref, connection.status, connection.account_id,
       connection.hub_id, connection.api_url, connection.details,
       connection.scopes, connection.access_token, connection.generation,
       extract(epoch FROM connection.expires_at - now())::float8 AS expires_in,
       greatest(0, least(30, 0.1 * extract(epoch FROM
           connection.expires_at - coalesce(connection.renewed_at, connection.created_at)
       )))::float8 AS margin
  FROM app
  LEFT JOIN connection
    ON connection.workspace_id = app.workspace_id
   AND connection.app_id = app.id
   AND connection.user_ref = $3
 WHERE app.workspace_id = $1
   AND app.slug = $2
   AND app.deleted_at IS NULL;

-- name: limit_idle_transaction
-- A process that stops inside this transaction loses it, and with it the row.
SET LOCAL idle_in_transaction_session_timeout = '15s';

-- name: attempted_generation
-- The generation whose renewal was requested without a response that arrived.
--   $1 workspace, $2 connection
SELECT generation
  FROM renewal_attempt
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: record_renewal_attempt
-- The renewal of a generation is about to be requested.
--   $1 workspace, $2 connection, $3 generation
INSERT INTO renewal_attempt (workspace_id, connection_id, generation)
VALUES ($1, $2, $3)
ON CONFLICT (workspace_id, connection_id) DO UPDATE
   SET generation = $3, asked_at = EXCLUDED.asked_at;

-- name: clear_renewal_attempt
-- The renewal was answered, or its outcome no longer matters.
--   $1 workspace, $2 connection
DELETE FROM renewal_attempt
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: lock_connection
-- Lock a connection for a change, with its app.
--   $1 workspace, $2 connection
SELECT connection.id, connection.app_id, connection.user_ref, connection.status,
       connection.account_id, connection.hub_id, connection.api_url, connection.details,
       connection.scopes, connection.access_token, connection.refresh_token,
       connection.generation, connection.failures, connection.last_error,
       extract(epoch FROM connection.expires_at - now())::float8 AS expires_in,
       greatest(0, least(30, 0.1 * extract(epoch FROM
           connection.expires_at - coalesce(connection.renewed_at, connection.created_at)
       )))::float8 AS margin,
       extract(epoch FROM now() - connection.failed_at)::float8 AS failed_ago,
       connection.end_notice_at, now() AS now,
       app.workspace_id, app.slug, app.provider, app.options, app.client_id, app.client_secret,
       app.policy, app.credentials_refused_at
  FROM connection
  JOIN app
    ON app.workspace_id = connection.workspace_id
   AND app.id = connection.app_id
 WHERE connection.workspace_id = $1
   AND connection.id = $2
   FOR UPDATE OF connection;

-- name: id_of_user
-- Which connection a user has.
--   $1 workspace, $2 app, $3 user reference
SELECT id
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND user_ref = $3;

-- name: share_app
-- Keep a live app from being removed until the transaction ends; its id.
--   $1 workspace, $2 app
SELECT id
  FROM app
 WHERE workspace_id = $1
   AND id = $2
   AND deleted_at IS NULL
   FOR SHARE;

-- name: begin_connection
-- Make room for a user's connection, unless there is one.
--   $1 workspace, $2 id, $3 app, $4 user reference or null, $5 status
INSERT INTO connection (workspace_id, id, app_id, user_ref, status, scopes)
VALUES ($1, $2, $3, $4, $5, '{}')
ON CONFLICT ON CONSTRAINT connection_once_per_user DO NOTHING;

-- name: grant_connection
-- Give a locked connection a new grant, and with it an account.
--   $1 workspace, $2 id, $3 user reference, $4 account, $5 its name, $6 hub or null, $7 installer,
--   $8 scopes, $9 sealed access token, $10 sealed refresh token, $11 its fingerprint, $12 lifetime,
--   $13 time until it should be renewed, $14 time until the grant ends unless it is renewed,
--   $15 time until it ends anyway, $16 API URL or null, $17 details, $18 time until an event says
--   that it ends
UPDATE connection
   SET status = 'ACTIVE', user_ref = $3, account_id = $4, account_name = $5, hub_id = $6,
       installed_by = $7, scopes = $8, access_token = $9, refresh_token = $10,
       refresh_fingerprint = $11, expires_at = now() + $12::interval,
       renew_at = now() + $13::interval, refresh_expires_at = now() + $14::interval,
       grant_ends_at = now() + $15::interval, end_notice_at = now() + $18::interval, api_url = $16,
       details = $17,
       renewed_at = now(), generation = generation + 1, failures = 0, last_error = NULL,
       updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: replace_grant
-- Store a renewed grant; the refresh token stays when none came, and so does what else is null.
--   $1 workspace, $2 id, $3 sealed access token, $4 sealed refresh token or null,
--   $5 its fingerprint or null, $6 lifetime, $7 time until the next renewal, $8 when the grant ends
--   unless it is renewed, $9 when it ends anyway, $10 API URL, $11 details, $12 when an event says
--   that it ends
UPDATE connection
   SET status = 'ACTIVE', access_token = $3,
       refresh_token = coalesce($4, refresh_token),
       refresh_fingerprint = coalesce($5, refresh_fingerprint),
       expires_at = now() + $6::interval, renew_at = now() + $7::interval, renewed_at = now(),
       refresh_expires_at = coalesce($8::timestamptz, refresh_expires_at),
       grant_ends_at = coalesce($9::timestamptz, grant_ends_at),
       end_notice_at = coalesce($12::timestamptz, end_notice_at),
       api_url = coalesce($10, api_url), details = coalesce($11, details),
       generation = generation + 1, failures = 0, last_error = NULL, updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: end_grant
-- The provider ended the grant: nothing of it is kept.
--   $1 workspace, $2 id, $3 why
UPDATE connection
   SET status = 'REAUTH_REQUIRED', access_token = NULL, refresh_token = NULL,
       refresh_fingerprint = NULL, expires_at = NULL, renew_at = NULL,
       refresh_expires_at = NULL, grant_ends_at = NULL, end_notice_at = NULL, last_error = $3,
       updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: postpone_renewal
-- A renewal failed for now; another may be tried after a while.
--   $1 workspace, $2 id, $3 why, $4 time until the next try
UPDATE connection
   SET failures = failures + 1, failed_at = now(), last_error = $3,
       renew_at = now() + $4::interval
 WHERE workspace_id = $1
   AND id = $2;

-- name: reschedule_renewal
-- A renewal was not tried; it may be after a while.
--   $1 workspace, $2 id, $3 time until then
UPDATE connection
   SET renew_at = now() + $3::interval
 WHERE workspace_id = $1
   AND id = $2
   AND renew_at IS NOT NULL;

-- name: enqueue_revocation_of_connection
-- Enqueue, in the transaction that wipes the tokens, the revocation of a connection's grant.
--   $1 workspace, $2 connection
INSERT INTO revocation AS revocation (workspace_id, app_id, sealed_as, refresh_token,
                                      refresh_fingerprint, details, due_at)
SELECT workspace_id, app_id, 'connection/' || id, refresh_token, refresh_fingerprint, details,
       now() + interval '30 seconds'
  FROM connection
 WHERE workspace_id = $1
   AND id = $2
   AND refresh_token IS NOT NULL
RETURNING id;

-- name: delete_connection
-- Wipe a connection with its tokens.
--   $1 workspace, $2 id
DELETE FROM connection
 WHERE workspace_id = $1
   AND id = $2;

-- name: due_connections
-- Which connections' grants should be renewed.
--   $1 how many
SELECT workspace_id, id
  FROM connection
 WHERE renew_at <= now()
 ORDER BY renew_at
 LIMIT $1;

-- name: claim_due
-- Take those of a workspace's connections whose grants should still be renewed. Whoever takes them has a
-- minute before another process may. One that was not used for a while is not taken but rescheduled: until two
-- fifths of the time are over for which its grant lives without a renewal, else until it is called.
--   $1 workspace, $2 ids, $3 how long ago a connection may have been used to be renewed
WITH due AS (
    SELECT connection.id, used.lately OR keep.from_then <= now() AS claimed,
           CASE WHEN used.lately OR keep.from_then <= now() THEN now() + interval '60 seconds'
                ELSE keep.from_then END AS next_at
      FROM connection
     CROSS JOIN LATERAL (SELECT greatest(connection.last_used_at, connection.created_at)
                                > now() - $3::interval AS lately) AS used
     CROSS JOIN LATERAL (SELECT connection.renewed_at
                                + 0.4 * (connection.refresh_expires_at - connection.renewed_at)
                                AS from_then) AS keep
     WHERE connection.workspace_id = $1
       AND connection.id = ANY ($2::uuid[])
       AND connection.renew_at <= now()
       FOR UPDATE OF connection SKIP LOCKED
)
UPDATE connection
   SET renew_at = due.next_at
  FROM due
 WHERE connection.workspace_id = $1
   AND connection.id = due.id
RETURNING connection.workspace_id, connection.id, connection.generation,
          coalesce(due.claimed, false) AS claimed;

-- name: due_end_notices
-- Connections of which an event should say that their grant ends.
--   $1 how many
SELECT workspace_id, id
  FROM connection
 WHERE end_notice_at <= now()
 ORDER BY end_notice_at
 LIMIT $1;

-- name: ends_of_connection
-- When a locked connection's grant ends, where a notice of it is due.
--   $1 workspace, $2 id
SELECT refresh_expires_at, grant_ends_at, now() AS now
  FROM connection
 WHERE workspace_id = $1
   AND id = $2
   AND end_notice_at <= now();

-- name: plan_end_notice
-- When the next event should say that a grant ends.
--   $1 workspace, $2 id, $3 when, or null
UPDATE connection
   SET end_notice_at = $3
 WHERE workspace_id = $1
   AND id = $2;

-- name: record_last_used
-- When a workspace's connections were last used, for all that can be written without waiting and were not
-- written a moment ago.
--   $1 workspace, $2 ids, $3 how long ago in seconds, one each
WITH used AS (
    SELECT connection.id, now() - make_interval(secs => latest.ago) AS at
      FROM connection
      JOIN unnest($2::uuid[], $3::float8[]) AS latest (id, ago)
        ON latest.id = connection.id
     WHERE connection.workspace_id = $1
       AND (connection.last_used_at IS NULL
            OR connection.last_used_at < now() - make_interval(secs => latest.ago + 30))
       FOR UPDATE OF connection SKIP LOCKED
)
UPDATE connection
   SET last_used_at = used.at
  FROM used
 WHERE connection.workspace_id = $1
   AND connection.id = used.id;

-- name: connections_page
-- Connections of an app as people look at them, oldest first.
--   $1 workspace, $2 app, $3 status or null, $4 account or null, $5 after number, $6 limit, $7 offset
SELECT {connection_record}
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND ($3::text IS NULL OR status = $3)
   AND ($4::text IS NULL OR account_id = $4)
   AND number > $5
 ORDER BY number
 LIMIT $6
OFFSET $7;

-- name: count_users
-- How many users of an app have a connection.
--   $1 workspace, $2 app
SELECT count(*)
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND user_ref IS NOT NULL;

-- name: users_page
-- Connections of an app that have a user, oldest first.
--   $1 workspace, $2 app, $3 limit, $4 offset
SELECT {connection_record}
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND user_ref IS NOT NULL
 ORDER BY number
 LIMIT $3
OFFSET $4;

-- name: record_of_user
-- One user's connection as people look at it.
--   $1 workspace, $2 app, $3 user reference
SELECT {connection_record}
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND user_ref = $3;

-- name: search_connections
-- Connections of an app in which a text occurs (user, account or installer), newest first.
--   $1 workspace, $2 app, $3 text with LIKE's wildcards escaped, $4 status or null, $5 before number,
--   $6 limit
SELECT {connection_record}
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND concat_ws(' ', user_ref, account_id, account_name, installed_by) ILIKE '%' || $3 || '%'
   AND ($4::text IS NULL OR status = $4)
   AND number < $5
 ORDER BY number DESC
 LIMIT $6;

-- name: count_by_status
-- How many connections each app of a workspace has, by status.
--   $1 workspace
SELECT app_id, status, count(*) AS number
  FROM connection
 WHERE workspace_id = $1
 GROUP BY app_id, status;
