-- name: create_link
-- Remember what a state handle stands for.
--   $1 workspace, $2 hash of the state, $3 app, $4 user reference, $5 scopes, $6 sealed verifier,
--   $7 return URL, $8 lifetime, $9 connect session or null, $10 hash of its browser's cookie or null
INSERT INTO install_link (workspace_id, state_hash, app_id, user_ref, scopes, verifier, return_url,
                          expires_at, session_id, browser_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::interval, $9, $10);

-- name: use_link
-- Consume a state: of many callbacks, one gets the row.
--   $1 workspace, $2 hash of the state, $3 app
UPDATE install_link
   SET used_at = now()
 WHERE workspace_id = $1
   AND state_hash = $2
   AND app_id = $3
   AND used_at IS NULL
   AND expires_at > now()
RETURNING user_ref, scopes, verifier, return_url, session_id, browser_hash;

-- name: find_link
-- What a state handle stands for, used or not.
--   $1 workspace, $2 hash of the state, $3 app
SELECT user_ref, scopes, verifier, return_url, session_id, browser_hash, used_at,
       expires_at <= now() AS expired
  FROM install_link
 WHERE workspace_id = $1
   AND state_hash = $2
   AND app_id = $3;

-- name: reopen_link
-- HubSpot could not be asked: the same link may be tried again.
--   $1 workspace, $2 hash of the state
UPDATE install_link
   SET used_at = NULL
 WHERE workspace_id = $1
   AND state_hash = $2;

-- name: spend_links_of_session
-- A connect session begins anew: states of its earlier visits to HubSpot work no more.
--   $1 workspace, $2 connect session
UPDATE install_link
   SET used_at = now()
 WHERE workspace_id = $1
   AND session_id = $2
   AND used_at IS NULL;

-- name: purge_links
-- Remove links a day after they ran out.
DELETE FROM install_link
 WHERE expires_at < now() - interval '1 day';

-- name: insert_pending_grant
-- Keep a grant that nobody may use yet.
--   $1 workspace, $2 id, $3 hash of the code, $4 app, $5 connection, $6 reason, $7 hub,
--   $8 hub domain, $9 installer, $10 scopes, $11 sealed access token, $12 sealed refresh token,
--   $13 its fingerprint, $14 lifetime of the access token, $15 return URL, $16 lifetime of the code
INSERT INTO pending_grant (workspace_id, id, code_hash, app_id, connection_id, reason, hub_id,
                        hub_domain, installed_by, scopes, access_token, refresh_token,
                        refresh_fingerprint, expires_at, return_url, code_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now() + $14::interval, $15,
        now() + $16::interval);

-- name: lock_pending_grant
-- Lock a held grant by its code.
--   $1 workspace, $2 hash of the code, $3 whether it should be a claim
SELECT pending_grant.id AS held_id, pending_grant.connection_id, pending_grant.reason,
       pending_grant.hub_id, pending_grant.hub_domain, pending_grant.installed_by,
       pending_grant.scopes AS granted, pending_grant.access_token, pending_grant.refresh_token,
       extract(epoch FROM pending_grant.expires_at - now())::float8 AS expires_in,
       pending_grant.return_url, pending_grant.used_at, pending_grant.code_expires_at <= now() AS lapsed,
       connection.user_ref, {app}
  FROM pending_grant
  JOIN app
    ON app.workspace_id = pending_grant.workspace_id
   AND app.id = pending_grant.app_id
   AND app.deleted_at IS NULL
  LEFT JOIN connection
    ON connection.workspace_id = pending_grant.workspace_id
   AND connection.id = pending_grant.connection_id
 WHERE pending_grant.workspace_id = $1
   AND pending_grant.code_hash = $2
   AND (pending_grant.reason = 'claim') = $3
   FOR UPDATE OF pending_grant;

-- name: use_pending_grant
-- The grant has become a connection's: its code is spent and its tokens are wiped here.
--   $1 workspace, $2 id
UPDATE pending_grant
   SET used_at = now(), access_token = NULL, refresh_token = NULL, refresh_fingerprint = NULL
 WHERE workspace_id = $1
   AND id = $2;

-- name: delete_pending_grants
-- A connection ended or was granted otherwise: what was held for it is owed to HubSpot.
--   $1 workspace, $2 connection
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND connection_id = $2
       AND used_at IS NULL
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;

-- name: expired_pending_grants
-- Held grants whose code nobody brought back in time.
--   $1 how many
SELECT workspace_id, id, connection_id
  FROM pending_grant
 WHERE code_expires_at < now()
   AND used_at IS NULL
 LIMIT $1;

-- name: delete_pending_grant
-- Nobody brought the code back: the grant is owed to HubSpot.
--   $1 workspace, $2 id
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND id = $2
       AND used_at IS NULL
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;

-- name: delete_unfinished_connection
-- A connection that waited for a code which lapsed is gone, unless another code is still good.
--   $1 workspace, $2 connection
DELETE FROM connection
 WHERE workspace_id = $1
   AND id = $2
   AND status IN ('PENDING', 'UNCLAIMED')
   AND NOT EXISTS (SELECT
                     FROM pending_grant
                    WHERE pending_grant.workspace_id = $1
                      AND pending_grant.connection_id = $2
                      AND pending_grant.used_at IS NULL);

-- name: purge_used_pending_grants
-- Remove spent codes a day after they lapsed.
DELETE FROM pending_grant
 WHERE used_at IS NOT NULL
   AND code_expires_at < now() - interval '1 day';

-- name: delete_pending_grants_of_app
-- An app is removed: what was held for its users is owed to HubSpot.
--   $1 workspace, $2 app
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND app_id = $2
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;
