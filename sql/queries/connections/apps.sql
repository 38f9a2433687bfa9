-- columns: app of app
-- Everything that is read of an app.
workspace_id, id, slug, provider, options, client_id, client_secret, hubspot_app_id, scopes,
optional_scopes, return_urls,
origins, confirm, pkce, policy, legacy_signatures, journal, display_name, logo_url, install_url,
marketplace, webhook_secret, credentials_refused_at, created_at, updated_at;

-- name: create_app
-- Register an app under a slug.
--   $1 workspace, $2 id, $3 slug, $4 client id, $5 sealed client secret, $6 HubSpot app id,
--   $7 scopes, $8 optional scopes, $9 return URLs, $10 origins, $11 confirm, $12 pkce, $13 policy,
--   $14 legacy signatures, $15 journal, $16 display name, $17 logo URL, $18 install URL,
--   $19 marketplace, $20 options, $21 provider, $22 sealed webhook secret or null
INSERT INTO app (workspace_id, id, slug, client_id, client_secret, hubspot_app_id,
                 scopes, optional_scopes, return_urls, origins, confirm, pkce, policy,
                 legacy_signatures, journal, display_name, logo_url, install_url, marketplace, options,
                 provider, webhook_secret)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
        $22)
RETURNING {app};

-- name: app_of_slug
-- A live app by its slug.
--   $1 workspace, $2 slug
SELECT {app}
  FROM app
 WHERE workspace_id = $1
   AND slug = $2
   AND deleted_at IS NULL;

-- name: apps_of_workspace
-- The live apps of a workspace, by slug.
--   $1 workspace
SELECT {app}
  FROM app
 WHERE workspace_id = $1
   AND deleted_at IS NULL
 ORDER BY slug;

-- name: lock_app
-- Lock a live app for a change.
--   $1 workspace, $2 slug
SELECT {app}
  FROM app
 WHERE workspace_id = $1
   AND slug = $2
   AND deleted_at IS NULL
   FOR UPDATE;

-- name: change_app
-- Write an app's new settings; a new secret keeps the old one for a day of webhook signatures.
--   $1 workspace, $2 id, $3 client id, $4 sealed client secret, $5 sealed previous secret or null,
--   $6 HubSpot app id, $7 scopes, $8 optional scopes, $9 return URLs, $10 origins, $11 confirm,
--   $12 pkce, $13 policy, $14 legacy signatures, $15 journal, $16 display name, $17 logo URL,
--   $18 install URL, $19 marketplace, $20 options, $21 sealed webhook secret or null,
--   $22 sealed previous webhook secret or null
UPDATE app
   SET client_id = $3,
       client_secret = $4,
       previous_client_secret = coalesce($5, previous_client_secret),
       previous_secret_until = CASE WHEN $5::bytea IS NULL THEN previous_secret_until
                                    ELSE clock.tomorrow END,
       credentials_refused_at = CASE WHEN $5::bytea IS NULL AND client_id = $3
                                     THEN credentials_refused_at END,
       hubspot_app_id = $6,
       scopes = $7,
       optional_scopes = $8,
       return_urls = $9,
       origins = $10,
       confirm = $11,
       pkce = $12,
       policy = $13,
       legacy_signatures = $14,
       journal = $15,
       display_name = $16,
       logo_url = $17,
       install_url = $18,
       marketplace = $19,
       options = $20,
       webhook_secret = $21,
       previous_webhook_secret = coalesce($22, previous_webhook_secret),
       previous_webhook_until = CASE WHEN $22::bytea IS NULL THEN previous_webhook_until
                                     ELSE clock.tomorrow END,
       updated_at = now()
  FROM (SELECT now() + interval '24 hours' AS tomorrow) AS clock
 WHERE workspace_id = $1
   AND id = $2
RETURNING {app};

-- name: remove_app
-- Make an app look as if it never existed.
--   $1 workspace, $2 id
UPDATE app
   SET deleted_at = now(), updated_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: flag_credentials
-- Mark that the provider refuses the app's credentials; a row comes back the first time only.
--   $1 workspace, $2 app
UPDATE app
   SET credentials_refused_at = now()
 WHERE workspace_id = $1
   AND id = $2
   AND credentials_refused_at IS NULL
RETURNING slug;

-- name: unflag_credentials
-- Mark that the provider accepts the app's credentials again.
--   $1 workspace, $2 app
UPDATE app
   SET credentials_refused_at = NULL
 WHERE workspace_id = $1
   AND id = $2
   AND credentials_refused_at IS NOT NULL;

-- name: end_grants_of_app
-- Wipe the grants of a removed app's connections, which locks them, and enqueue their revocation.
--   $1 workspace, $2 app
WITH ended AS (
    DELETE FROM connection_grant
     USING connection
     WHERE connection_grant.workspace_id = $1
       AND connection.workspace_id = $1
       AND connection.app_id = $2
       AND connection_grant.connection_id = connection.id
    RETURNING connection.workspace_id, connection.id, connection.app_id,
              connection_grant.refresh_token, connection_grant.refresh_fingerprint,
              connection.details
)
INSERT INTO revocation (workspace_id, app_id, sealed_as, refresh_token, refresh_fingerprint, details,
                        due_at)
SELECT workspace_id, app_id, 'connection/' || id, refresh_token, refresh_fingerprint, details, now()
  FROM ended
 WHERE refresh_token IS NOT NULL;

-- name: delete_connections_of_app
-- Wipe the connections of a removed app, whose grants are wiped.
--   $1 workspace, $2 app
DELETE FROM connection
 WHERE workspace_id = $1
   AND app_id = $2;

-- name: removed_apps
-- Removed apps with no grant left to revoke.
SELECT workspace_id, id
  FROM app
 WHERE deleted_at IS NOT NULL
   AND NOT EXISTS (SELECT
                     FROM revocation
                    WHERE revocation.workspace_id = app.workspace_id
                      AND revocation.app_id = app.id
                      AND revocation.outcome = 'pending')
   AND NOT EXISTS (SELECT
                     FROM pending_grant
                    WHERE pending_grant.workspace_id = app.workspace_id
                      AND pending_grant.app_id = app.id)
   AND NOT EXISTS (SELECT
                     FROM connection
                    WHERE connection.workspace_id = app.workspace_id
                      AND connection.app_id = app.id)
 LIMIT 100;

-- name: delete_revocations_of_app
-- Delete the finished revocations of a removed app.
--   $1 workspace, $2 app
DELETE FROM revocation
 WHERE workspace_id = $1
   AND app_id = $2
   AND outcome <> 'pending';

-- name: delete_app
-- Delete a removed app with its secret.
--   $1 workspace, $2 app
DELETE FROM app
 WHERE workspace_id = $1
   AND id = $2
   AND deleted_at IS NOT NULL;
