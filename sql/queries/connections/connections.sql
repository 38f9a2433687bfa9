-- columns: connection_fields of connection
-- What a connection's own row says to people.
id, number, user_ref, status, account_id, account_name, hub_id, scopes, installed_by, created_at;

-- columns: grant_fields of connection_grant
-- What its grant says to them; never a token.
expires_at, renewed_at, last_used_at, last_error;

-- part: connection_record
-- A connection as people see it.
{connection_fields}, {grant_fields},
       greatest(connection.updated_at, connection_grant.renewed_at) AS updated_at
  FROM connection
  JOIN connection_grant
    ON connection_grant.workspace_id = connection.workspace_id
   AND connection_grant.connection_id = connection.id;

-- name: connection_of_user
-- The hot path's one read: all that a proxied call needs. A row without a connection id means
-- that the app exists and the user does not. The connection is found by a value, not by a join with the
-- app, for which the planner would read all connections of the app.
--   $1 workspace, $2 app slug, $3 user reference
SELECT app.workspace_id, app.id AS app_id, app.slug, app.provider, app.policy,
       connection.id, connection.user_ref, connection.status, connection.account_id,
       connection.hub_id, connection.api_url, connection.details,
       connection.scopes, connection_grant.access_token, connection_grant.generation,
       extract(epoch FROM connection_grant.expires_at - now())::float8 AS expires_in,
       greatest(0, least(30, 0.1 * extract(epoch FROM
           connection_grant.expires_at
           - coalesce(connection_grant.renewed_at, connection.created_at)
       )))::float8 AS margin
  FROM app
  LEFT JOIN connection
    ON connection.workspace_id = $1
   AND connection.app_id = (SELECT named.id
                              FROM app AS named
                             WHERE named.workspace_id = $1
                               AND named.slug = $2
                               AND named.deleted_at IS NULL)
   AND connection.user_ref = $3
  LEFT JOIN connection_grant
    ON connection_grant.workspace_id = connection.workspace_id
   AND connection_grant.connection_id = connection.id
 WHERE app.workspace_id = $1
   AND app.slug = $2
   AND app.deleted_at IS NULL;

-- name: limit_idle_transaction
-- A process that stops inside this transaction loses it, and with it the row.
SET LOCAL idle_in_transaction_session_timeout = '15s';

-- name: record_renewal_attempt
-- The renewal of a generation is about to be requested; the generation of the last request whose response
-- never arrived.
--   $1 workspace, $2 connection, $3 generation
WITH before AS (
    SELECT attempted_generation
      FROM renewal
     WHERE workspace_id = $1
       AND connection_id = $2
       FOR UPDATE
)
UPDATE renewal
   SET attempted_generation = $3
  FROM before
 WHERE renewal.workspace_id = $1
   AND renewal.connection_id = $2
RETURNING before.attempted_generation;

-- name: clear_renewal_attempt
-- The renewal was answered, or its outcome no longer matters.
--   $1 workspace, $2 connection
UPDATE renewal
   SET attempted_generation = NULL
 WHERE workspace_id = $1
   AND connection_id = $2
   AND attempted_generation IS NOT NULL;

-- name: lock_connection
-- Lock a connection for a change. What it is now is read by a statement of its own: one that had to wait
-- for the lock would read the other tables as they were before.
--   $1 workspace, $2 connection
SELECT connection_id
  FROM connection_grant
 WHERE workspace_id = $1
   AND connection_id = $2
   FOR UPDATE;

-- name: locked_connection
-- A connection that is locked, with its app.
--   $1 workspace, $2 connection
SELECT connection.id, connection.app_id, connection.user_ref, connection.status,
       connection.account_id, connection.hub_id, connection.api_url, connection.details,
       connection.scopes, connection_grant.access_token, connection_grant.refresh_token,
       connection_grant.generation, connection_grant.failures, connection_grant.last_error,
       extract(epoch FROM connection_grant.expires_at - now())::float8 AS expires_in,
       greatest(0, least(30, 0.1 * extract(epoch FROM
           connection_grant.expires_at
           - coalesce(connection_grant.renewed_at, connection.created_at)
       )))::float8 AS margin,
       extract(epoch FROM now() - connection_grant.failed_at)::float8 AS failed_ago,
       renewal.end_notice_at, now() AS now,
       app.workspace_id, app.slug, app.provider, app.options, app.client_id, app.client_secret,
       app.policy, app.credentials_refused_at
  FROM connection
  JOIN connection_grant
    ON connection_grant.workspace_id = connection.workspace_id
   AND connection_grant.connection_id = connection.id
  JOIN renewal
    ON renewal.workspace_id = connection.workspace_id
   AND renewal.connection_id = connection.id
  JOIN app
    ON app.workspace_id = connection.workspace_id
   AND app.id = connection.app_id
 WHERE connection.workspace_id = $1
   AND connection.id = $2;

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
-- Make room for a user's connection, unless there is one; its id if it is new.
--   $1 workspace, $2 id, $3 app, $4 user reference or null, $5 status
INSERT INTO connection (workspace_id, id, app_id, user_ref, status, scopes)
VALUES ($1, $2, $3, $4, $5, '{}')
ON CONFLICT ON CONSTRAINT connection_once_per_user DO NOTHING
RETURNING id;

-- name: begin_grant
-- Make room for a new connection's grant.
--   $1 workspace, $2 connection
INSERT INTO connection_grant (workspace_id, connection_id)
VALUES ($1, $2);

-- name: begin_renewal
-- Make room for when a new connection's grant is to be renewed.
--   $1 workspace, $2 connection
INSERT INTO renewal (workspace_id, connection_id)
VALUES ($1, $2);

-- name: connect_connection
-- Give a locked connection an account.
--   $1 workspace, $2 id, $3 user reference, $4 account, $5 its name, $6 hub or null, $7 installer,
--   $8 scopes, $9 API URL or null, $10 details
UPDATE connection
   SET status = 'ACTIVE', user_ref = $3, account_id = $4, account_name = $5, hub_id = $6,
       installed_by = $7, scopes = $8, api_url = $9, details = $10, updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: store_grant
-- Give a locked connection a new grant.
--   $1 workspace, $2 connection, $3 sealed access token, $4 sealed refresh token, $5 its fingerprint,
--   $6 lifetime, $7 time until the grant ends unless it is renewed, $8 time until it ends anyway
UPDATE connection_grant
   SET access_token = $3, refresh_token = $4, refresh_fingerprint = $5,
       expires_at = now() + $6::interval, refresh_expires_at = now() + $7::interval,
       grant_ends_at = now() + $8::interval, renewed_at = now(), generation = generation + 1,
       failures = 0, last_error = NULL
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: replace_grant
-- Store a renewed grant; the refresh token stays when none came, and so does what else is null.
--   $1 workspace, $2 connection, $3 sealed access token, $4 sealed refresh token or null,
--   $5 its fingerprint or null, $6 lifetime, $7 when the grant ends unless it is renewed, $8 when it
--   ends anyway
UPDATE connection_grant
   SET access_token = $3,
       refresh_token = coalesce($4, refresh_token),
       refresh_fingerprint = coalesce($5, refresh_fingerprint),
       expires_at = now() + $6::interval, renewed_at = now(),
       refresh_expires_at = coalesce($7::timestamptz, refresh_expires_at),
       grant_ends_at = coalesce($8::timestamptz, grant_ends_at),
       generation = generation + 1, failures = 0, last_error = NULL
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: plan_renewal
-- When a new grant is to be renewed, and when an event says that it ends; what was attempted is over.
--   $1 workspace, $2 connection, $3 time until the renewal or null, $4 when the event is due or null
UPDATE renewal
   SET due_at = now() + $3::interval, claimed_until = '-infinity', attempted_generation = NULL,
       end_notice_at = $4
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: revise_connection
-- What a renewal brought that is not the grant's: written where it differs, which is seldom.
--   $1 workspace, $2 id, $3 API URL or null, $4 details or null
UPDATE connection
   SET status = 'ACTIVE', api_url = coalesce($3, api_url), details = coalesce($4, details),
       updated_at = now()
 WHERE workspace_id = $1
   AND id = $2
   AND (status <> 'ACTIVE'
        OR api_url IS DISTINCT FROM coalesce($3, api_url)
        OR details <> coalesce($4::jsonb, details));

-- name: end_connection
-- The provider ended a connection's grant.
--   $1 workspace, $2 id
UPDATE connection
   SET status = 'REAUTH_REQUIRED', updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: end_grant
-- The provider ended the grant: nothing of it is kept.
--   $1 workspace, $2 connection, $3 why
UPDATE connection_grant
   SET access_token = NULL, refresh_token = NULL, refresh_fingerprint = NULL, expires_at = NULL,
       refresh_expires_at = NULL, grant_ends_at = NULL, last_error = $3
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: note_failure
-- A renewal failed for now.
--   $1 workspace, $2 connection, $3 why
UPDATE connection_grant
   SET failures = failures + 1, failed_at = now(), last_error = $3
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: reschedule_renewal
-- A renewal failed or was not tried; another may be tried after a while.
--   $1 workspace, $2 connection, $3 time until then, $4 whether also where none is due
UPDATE renewal
   SET due_at = now() + $3::interval, claimed_until = '-infinity'
 WHERE workspace_id = $1
   AND connection_id = $2
   AND ($4 OR due_at IS NOT NULL);

-- name: enqueue_revocation_of_connection
-- Enqueue, in the transaction that wipes the tokens, the revocation of a connection's grant.
--   $1 workspace, $2 connection
INSERT INTO revocation AS revocation (workspace_id, app_id, sealed_as, refresh_token,
                                      refresh_fingerprint, details, due_at)
SELECT connection.workspace_id, connection.app_id, 'connection/' || connection.id,
       connection_grant.refresh_token, connection_grant.refresh_fingerprint, connection.details,
       now() + interval '30 seconds'
  FROM connection
  JOIN connection_grant
    ON connection_grant.workspace_id = connection.workspace_id
   AND connection_grant.connection_id = connection.id
 WHERE connection.workspace_id = $1
   AND connection.id = $2
   AND connection_grant.refresh_token IS NOT NULL
RETURNING id;

-- name: delete_connection
-- Wipe a locked connection, and with it its tokens.
--   $1 workspace, $2 id
DELETE FROM connection
 WHERE workspace_id = $1
   AND id = $2;

-- name: due_connections
-- Which connections' grants should be renewed.
--   $1 how many
SELECT workspace_id, connection_id AS id
  FROM renewal
 WHERE due_at <= now()
   AND claimed_until <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_due
-- Take those of a workspace's connections whose grants should still be renewed. Whoever takes them has a
-- minute before another process may. One that was not used for a while is not taken but rescheduled: until two
-- fifths of the time are over for which its grant lives without a renewal, else until it is called.
--   $1 workspace, $2 ids, $3 how long ago a connection may have been used to be renewed
WITH looked AS (
    SELECT renewal.connection_id, connection_grant.generation,
           coalesce(used.lately OR keep.from_then <= now(), false) AS claimed,
           renewal.due_at, keep.from_then, now() + interval '60 seconds' AS until
      FROM renewal
      JOIN connection_grant
        ON connection_grant.workspace_id = renewal.workspace_id
       AND connection_grant.connection_id = renewal.connection_id
      JOIN connection
        ON connection.workspace_id = renewal.workspace_id
       AND connection.id = renewal.connection_id
     CROSS JOIN LATERAL (SELECT greatest(connection_grant.last_used_at, connection.created_at)
                                > now() - $3::interval AS lately) AS used
     CROSS JOIN LATERAL (SELECT connection_grant.renewed_at
                                + 0.4 * (connection_grant.refresh_expires_at
                                         - connection_grant.renewed_at)
                                AS from_then) AS keep
     WHERE renewal.workspace_id = $1
       AND renewal.connection_id = ANY ($2::uuid[])
       AND renewal.due_at <= now()
       AND renewal.claimed_until <= now()
       FOR UPDATE OF renewal, connection_grant SKIP LOCKED
)
UPDATE renewal
   SET claimed_until = CASE WHEN looked.claimed THEN looked.until
                            ELSE renewal.claimed_until END,
       due_at = CASE WHEN looked.claimed THEN looked.due_at ELSE looked.from_then END
  FROM looked
 WHERE renewal.workspace_id = $1
   AND renewal.connection_id = looked.connection_id
RETURNING renewal.workspace_id, renewal.connection_id AS id, looked.generation, looked.claimed;

-- name: due_end_notices
-- Connections of which an event should say that their grant ends.
--   $1 how many
SELECT workspace_id, connection_id AS id
  FROM renewal
 WHERE end_notice_at <= now()
 ORDER BY end_notice_at
 LIMIT $1;

-- name: ends_of_connection
-- When a locked connection's grant ends, where a notice of it is due.
--   $1 workspace, $2 id
SELECT connection_grant.refresh_expires_at, connection_grant.grant_ends_at, now() AS now
  FROM connection_grant
  JOIN renewal
    ON renewal.workspace_id = connection_grant.workspace_id
   AND renewal.connection_id = connection_grant.connection_id
 WHERE connection_grant.workspace_id = $1
   AND connection_grant.connection_id = $2
   AND renewal.end_notice_at <= now();

-- name: plan_end_notice
-- When the next event should say that a grant ends.
--   $1 workspace, $2 id, $3 when, or null
UPDATE renewal
   SET end_notice_at = $3
 WHERE workspace_id = $1
   AND connection_id = $2;

-- name: record_last_used
-- When a workspace's connections were last used, for all that can be written without waiting and were not
-- written a moment ago.
--   $1 workspace, $2 ids, $3 how long ago in seconds, one each
WITH used AS (
    SELECT stored.connection_id, now() - make_interval(secs => latest.ago) AS at
      FROM connection_grant AS stored
      JOIN unnest($2::uuid[], $3::float8[]) AS latest (id, ago)
        ON latest.id = stored.connection_id
     WHERE stored.workspace_id = $1
       AND (stored.last_used_at IS NULL
            OR stored.last_used_at < now() - make_interval(secs => latest.ago + 30))
       FOR UPDATE OF stored SKIP LOCKED
)
UPDATE connection_grant
   SET last_used_at = used.at
  FROM used
 WHERE connection_grant.workspace_id = $1
   AND connection_grant.connection_id = used.connection_id;

-- name: connections_page
-- Connections of an app as people look at them, oldest first.
--   $1 workspace, $2 app, $3 status or null, $4 account or null, $5 after number, $6 limit, $7 offset
SELECT {connection_record}
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND ($3::text IS NULL OR connection.status = $3)
   AND ($4::text IS NULL OR connection.account_id = $4)
   AND connection.number > $5
 ORDER BY connection.number
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
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND connection.user_ref IS NOT NULL
 ORDER BY connection.number
 LIMIT $3
OFFSET $4;

-- name: record_of_user
-- One user's connection as people look at it.
--   $1 workspace, $2 app, $3 user reference
SELECT {connection_record}
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND connection.user_ref = $3;

-- name: search_connections
-- Connections of an app in which a text occurs (user, account or installer), newest first.
--   $1 workspace, $2 app, $3 text with LIKE's wildcards escaped, $4 status or null, $5 before number,
--   $6 limit
SELECT {connection_record}
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND concat_ws(' ', connection.user_ref, connection.account_id, connection.account_name,
                 connection.installed_by) ILIKE '%' || $3 || '%'
   AND ($4::text IS NULL OR connection.status = $4)
   AND connection.number < $5
 ORDER BY connection.number DESC
 LIMIT $6;

-- name: count_by_status
-- How many connections each app of a workspace has, by status.
--   $1 workspace
SELECT app_id, status, count(*) AS number
  FROM connection
 WHERE workspace_id = $1
 GROUP BY app_id, status;
