-- name: create_link
-- Remember what a state handle stands for.
--   $1 workspace, $2 hash of the state, $3 app, $4 user reference, $5 scopes, $6 sealed verifier,
--   $7 return URL, $8 lifetime, $9 connect session or null, $10 hash of its browser's cookie or null,
--   $11 the provider's options
INSERT INTO install_link (workspace_id, state_hash, app_id, user_ref, scopes, verifier, return_url,
                          expires_at, session_id, browser_hash, options)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::interval, $9, $10, $11);

-- name: use_link
-- Consume a state: of many callbacks, one gets the row, with the credentials that came for it.
--   $1 workspace, $2 hash of the state, $3 app, $4 whether credentials must have come
WITH link AS (
    SELECT workspace_id, state_hash, credentials
      FROM install_link
     WHERE workspace_id = $1
       AND state_hash = $2
       AND app_id = $3
       AND used_at IS NULL
       AND expires_at > now()
       AND (credentials IS NOT NULL OR NOT $4)
       FOR UPDATE
)
UPDATE install_link
   SET used_at = now(), credentials = NULL
  FROM link
 WHERE install_link.workspace_id = $1
   AND install_link.workspace_id = link.workspace_id
   AND install_link.state_hash = link.state_hash
RETURNING install_link.user_ref, install_link.scopes, install_link.verifier, install_link.return_url,
          install_link.session_id, install_link.browser_hash, install_link.options, link.credentials;

-- name: find_link
-- What a state handle stands for, used or not.
--   $1 workspace, $2 hash of the state, $3 app
SELECT user_ref, scopes, verifier, return_url, session_id, browser_hash, credentials, options, used_at,
       expires_at <= now() AS expired
  FROM install_link
 WHERE workspace_id = $1
   AND state_hash = $2
   AND app_id = $3;

-- name: reopen_link
-- The provider could not be reached: the same link may be tried again.
--   $1 workspace, $2 hash of the state, $3 sealed credentials or null
UPDATE install_link
   SET used_at = NULL, credentials = $3
 WHERE workspace_id = $1
   AND state_hash = $2;

-- name: bind_link
-- Bind a link to the browser that opens it. Once the provider has sent credentials only the same
-- browser may begin again, without them.
--   $1 workspace, $2 hash of the state, $3 app, $4 hash of the browser's cookie
UPDATE install_link
   SET browser_hash = $4, credentials = NULL
 WHERE workspace_id = $1
   AND state_hash = $2
   AND app_id = $3
   AND session_id IS NULL
   AND (credentials IS NULL OR browser_hash = $4)
   AND used_at IS NULL
   AND expires_at > now()
RETURNING user_ref, scopes, verifier, return_url, session_id, browser_hash, credentials, options;

-- name: store_link_credentials
-- Keep the first credentials that a provider sends for a link that a browser has opened.
--   $1 workspace, $2 hash of the state, $3 app, $4 sealed credentials
UPDATE install_link
   SET credentials = $4
 WHERE workspace_id = $1
   AND state_hash = $2
   AND app_id = $3
   AND browser_hash IS NOT NULL
   AND credentials IS NULL
   AND used_at IS NULL
   AND expires_at > now()
RETURNING state_hash;

-- name: spend_links_of_session
-- A connect session starts again: the states of its earlier visits to HubSpot become invalid.
--   $1 workspace, $2 connect session
UPDATE install_link
   SET used_at = now(), credentials = NULL
 WHERE workspace_id = $1
   AND session_id = $2
   AND used_at IS NULL;

-- name: purge_links
-- Delete some links a day after they ran out.
--   $1 how many
WITH old AS (
    SELECT workspace_id, state_hash
      FROM install_link
     WHERE expires_at < now() - interval '1 day'
     LIMIT $1
)
DELETE FROM install_link
 USING old
 WHERE install_link.workspace_id = old.workspace_id
   AND install_link.state_hash = old.state_hash;

-- name: insert_pending_grant
-- Keep a grant until its code is presented.
--   $1 workspace, $2 id, $3 hash of the code, $4 app, $5 connection, $6 reason, $7 account,
--   $8 its name, $9 hub or null, $10 installer, $11 scopes, $12 sealed access token,
--   $13 sealed refresh token, $14 its fingerprint, $15 lifetime of the access token, $16 time until it
--   should be renewed, $17 time until the grant ends unless it is renewed, $18 time until it ends
--   anyway, $19 API URL or null, $20 details, $21 return URL, $22 lifetime of the code,
--   $23 accounts to choose from or null, $24 connect session or null
INSERT INTO pending_grant (workspace_id, id, code_hash, app_id, connection_id, reason, account_id,
                           account_name, hub_id, installed_by, scopes, access_token, refresh_token,
                           refresh_fingerprint, expires_at, renew_at, refresh_expires_at,
                           grant_ends_at, api_url, details, return_url, code_expires_at,
                           accounts, session_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, now() + $15::interval,
        now() + $16::interval, now() + $17::interval, now() + $18::interval, $19, $20, $21,
        now() + $22::interval, $23, $24);

-- part: pending_grant_by_code
SELECT pending_grant.id AS grant_id, pending_grant.connection_id, pending_grant.reason,
       pending_grant.account_id, pending_grant.account_name, pending_grant.hub_id,
       pending_grant.installed_by, pending_grant.api_url, pending_grant.details,
       extract(epoch FROM pending_grant.renew_at - now())::float8 AS renew_in,
       extract(epoch FROM pending_grant.refresh_expires_at - now())::float8 AS refresh_expires_in,
       extract(epoch FROM pending_grant.grant_ends_at - now())::float8 AS ends_in,
       pending_grant.scopes AS granted, pending_grant.access_token, pending_grant.refresh_token,
       extract(epoch FROM pending_grant.expires_at - now())::float8 AS expires_in,
       pending_grant.return_url, pending_grant.accounts, pending_grant.session_id,
       pending_grant.used_at, pending_grant.code_expires_at,
       pending_grant.code_expires_at <= now() AS expired,
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
   AND (pending_grant.reason = 'claim') = $3;

-- name: find_pending_grant
-- A pending grant by its code.
--   $1 workspace, $2 hash of the code, $3 whether it should be a claim
{pending_grant_by_code};

-- name: lock_pending_grant
-- Lock a pending grant by its code.
--   $1 workspace, $2 hash of the code, $3 whether it should be a claim
{pending_grant_by_code}
   FOR UPDATE OF pending_grant;

-- name: unchosen_grant
-- The grant for which a user of an app has yet to choose an account, with the accounts.
--   $1 workspace, $2 app, $3 user reference
SELECT pending_grant.code_hash, pending_grant.accounts
  FROM pending_grant
  JOIN connection
    ON connection.workspace_id = pending_grant.workspace_id
   AND connection.id = pending_grant.connection_id
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND connection.user_ref = $3
   AND pending_grant.reason = 'account'
   AND pending_grant.used_at IS NULL
   AND pending_grant.code_expires_at > now();

-- name: choose_account
-- One of a pending grant's accounts is chosen, and it waits for something else now.
--   $1 workspace, $2 id, $3 account, $4 its name, $5 details, $6 what it waits for
UPDATE pending_grant
   SET account_id = $3, account_name = $4, details = $5, reason = $6, accounts = NULL
 WHERE workspace_id = $1
   AND id = $2;

-- name: use_pending_grant
-- The grant has become a connection's: its code is spent and its tokens are wiped here.
--   $1 workspace, $2 id
UPDATE pending_grant
   SET used_at = now(), access_token = NULL, refresh_token = NULL, refresh_fingerprint = NULL
 WHERE workspace_id = $1
   AND id = $2;

-- name: delete_pending_grants
-- A connection ended or was granted otherwise: revoke the grants that were pending for it.
--   $1 workspace, $2 connection
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND connection_id = $2
       AND used_at IS NULL
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint, details
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, details,
                        due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, details, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;

-- name: expired_pending_grants
-- Pending grants whose code was not presented in time.
--   $1 how many
SELECT workspace_id, id, connection_id
  FROM pending_grant
 WHERE code_expires_at < now()
   AND used_at IS NULL
 LIMIT $1;

-- name: delete_pending_grant
-- The code was not presented in time: revoke the grant.
--   $1 workspace, $2 id
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND id = $2
       AND used_at IS NULL
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint, details
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, details,
                        due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, details, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;

-- name: delete_unfinished_connection
-- Delete a connection whose code has expired, unless another code for it is still good.
--   $1 workspace, $2 connection
DELETE FROM connection
 WHERE workspace_id = $1
   AND id = $2
   AND status IN ('PENDING', 'UNCLAIMED')
   AND NOT EXISTS (SELECT 1
                     FROM pending_grant
                    WHERE pending_grant.workspace_id = $1
                      AND pending_grant.connection_id = $2
                      AND pending_grant.used_at IS NULL);

-- name: purge_used_pending_grants
-- Delete some spent codes a day after they expired.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM pending_grant
     WHERE used_at IS NOT NULL
       AND code_expires_at < now() - interval '1 day'
     LIMIT $1
)
DELETE FROM pending_grant
 USING old
 WHERE pending_grant.workspace_id = old.workspace_id
   AND pending_grant.id = old.id;

-- name: delete_pending_grants_of_app
-- An app is removed: revoke the grants that were pending for its users.
--   $1 workspace, $2 app
WITH dropped AS (
    DELETE FROM pending_grant
     WHERE workspace_id = $1
       AND app_id = $2
    RETURNING workspace_id, id, app_id, refresh_token, refresh_fingerprint, details
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, details,
                        due_at)
SELECT workspace_id, app_id, 'pending_grant/' || id, refresh_token, refresh_fingerprint, details, now()
  FROM dropped
 WHERE refresh_token IS NOT NULL;
