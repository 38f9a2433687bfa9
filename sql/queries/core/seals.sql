-- name: sealing_keys
-- The keys that sealed what is here.
SELECT key_id, proof
  FROM sealing_key;

-- name: insert_sealing_key
-- Remember a key by a value sealed with it.
--   $1 key id, $2 proof
INSERT INTO sealing_key (key_id, proof)
VALUES ($1, $2)
ON CONFLICT DO NOTHING;

-- name: delete_sealing_keys
-- Everything is sealed with one key now.
--   $1 key id
DELETE FROM sealing_key
 WHERE key_id <> $1;

-- name: app_secrets
-- Some values of app.client_secret under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'app/' || id AS sealed_as, client_secret AS sealed
  FROM app
 WHERE client_secret IS NOT NULL
   AND substr(client_secret, 3, get_byte(client_secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_app_secret
-- Reseal a value of app.client_secret, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE app
   SET client_secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND client_secret = $3;

-- name: previous_secrets
-- Some values of app.previous_client_secret under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'app/' || id AS sealed_as, previous_client_secret AS sealed
  FROM app
 WHERE previous_client_secret IS NOT NULL
   AND substr(previous_client_secret, 3, get_byte(previous_client_secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_previous_secret
-- Reseal a value of app.previous_client_secret, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE app
   SET previous_client_secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND previous_client_secret = $3;

-- name: app_webhook_secrets
-- Some app.webhook_secret values under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'app/' || id AS sealed_as, webhook_secret AS sealed
  FROM app
 WHERE webhook_secret IS NOT NULL
   AND substr(webhook_secret, 3, get_byte(webhook_secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_webhook_secret
-- Write a app.webhook_secret value again, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE app
   SET webhook_secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND webhook_secret = $3;

-- name: previous_webhook_secrets
-- Some app.previous_webhook_secret values under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'app/' || id AS sealed_as, previous_webhook_secret AS sealed
  FROM app
 WHERE previous_webhook_secret IS NOT NULL
   AND substr(previous_webhook_secret, 3, get_byte(previous_webhook_secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_previous_webhook_secret
-- Write a app.previous_webhook_secret value again, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE app
   SET previous_webhook_secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND previous_webhook_secret = $3;

-- name: verifiers
-- Some values of install_link.verifier under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, state_hash AS id, 'install_link/' || encode(state_hash, 'hex') AS sealed_as, verifier AS sealed
  FROM install_link
 WHERE verifier IS NOT NULL
   AND substr(verifier, 3, get_byte(verifier, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_verifier
-- Reseal a value of install_link.verifier, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE install_link
   SET verifier = $4
 WHERE workspace_id = $1
   AND state_hash = $2
   AND verifier = $3;

-- name: link_credentials
-- Some install_link.credentials values under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, state_hash AS id, 'install_link/' || encode(state_hash, 'hex') AS sealed_as, credentials AS sealed
  FROM install_link
 WHERE credentials IS NOT NULL
   AND substr(credentials, 3, get_byte(credentials, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_link_credentials
-- Reseal a value of install_link.credentials, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE install_link
   SET credentials = $4
 WHERE workspace_id = $1
   AND state_hash = $2
   AND credentials = $3;

-- name: access_tokens
-- Some values of connection_grant.access_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, connection_id AS id, 'connection/' || connection_id AS sealed_as,
       access_token AS sealed
  FROM connection_grant
 WHERE access_token IS NOT NULL
   AND substr(access_token, 3, get_byte(access_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_access_token
-- Reseal a value of connection_grant.access_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE connection_grant
   SET access_token = $4
 WHERE workspace_id = $1
   AND connection_id = $2
   AND access_token = $3;

-- name: refresh_tokens
-- Some values of connection_grant.refresh_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, connection_id AS id, 'connection/' || connection_id AS sealed_as,
       refresh_token AS sealed
  FROM connection_grant
 WHERE refresh_token IS NOT NULL
   AND substr(refresh_token, 3, get_byte(refresh_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_refresh_token
-- Reseal a value of connection_grant.refresh_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE connection_grant
   SET refresh_token = $4
 WHERE workspace_id = $1
   AND connection_id = $2
   AND refresh_token = $3;

-- name: pending_access_tokens
-- Some values of pending_grant.access_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'pending_grant/' || id AS sealed_as, access_token AS sealed
  FROM pending_grant
 WHERE access_token IS NOT NULL
   AND substr(access_token, 3, get_byte(access_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_pending_access_token
-- Reseal a value of pending_grant.access_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE pending_grant
   SET access_token = $4
 WHERE workspace_id = $1
   AND id = $2
   AND access_token = $3;

-- name: pending_refresh_tokens
-- Some values of pending_grant.refresh_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'pending_grant/' || id AS sealed_as, refresh_token AS sealed
  FROM pending_grant
 WHERE refresh_token IS NOT NULL
   AND substr(refresh_token, 3, get_byte(refresh_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_pending_refresh_token
-- Reseal a value of pending_grant.refresh_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE pending_grant
   SET refresh_token = $4
 WHERE workspace_id = $1
   AND id = $2
   AND refresh_token = $3;

-- name: revocation_tokens
-- Some values of revocation.refresh_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, sealed_as AS sealed_as, refresh_token AS sealed
  FROM revocation
 WHERE refresh_token IS NOT NULL
   AND substr(refresh_token, 3, get_byte(refresh_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_revocation_token
-- Reseal a value of revocation.refresh_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE revocation
   SET refresh_token = $4
 WHERE workspace_id = $1
   AND id = $2
   AND refresh_token = $3;

-- name: stored_responses
-- Some values of idempotent_call.answer under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'idempotent_call/' || id AS sealed_as, answer AS sealed
  FROM idempotent_call
 WHERE answer IS NOT NULL
   AND substr(answer, 3, get_byte(answer, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_stored_response
-- Reseal a value of idempotent_call.answer, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE idempotent_call
   SET answer = $4
 WHERE workspace_id = $1
   AND id = $2
   AND answer = $3;

-- name: endpoint_secrets
-- Some values of endpoint.secret under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'endpoint/' || id AS sealed_as, secret AS sealed
  FROM endpoint
 WHERE secret IS NOT NULL
   AND substr(secret, 3, get_byte(secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_endpoint_secret
-- Reseal a value of endpoint.secret, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE endpoint
   SET secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND secret = $3;

-- name: previous_endpoint_secrets
-- Some values of endpoint.previous_secret under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, id, 'endpoint/' || id AS sealed_as, previous_secret AS sealed
  FROM endpoint
 WHERE previous_secret IS NOT NULL
   AND substr(previous_secret, 3, get_byte(previous_secret, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_previous_endpoint_secret
-- Reseal a value of endpoint.previous_secret, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE endpoint
   SET previous_secret = $4
 WHERE workspace_id = $1
   AND id = $2
   AND previous_secret = $3;

-- name: recipe_secrets
-- Some values of recipe_setting.secrets under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, app_id || '/' || recipe AS id,
       'recipe_setting/' || app_id || '/' || recipe AS sealed_as, secrets AS sealed
  FROM recipe_setting
 WHERE substr(secrets, 3, get_byte(secrets, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_recipe_secrets
-- Reseal a value of recipe_setting.secrets, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE recipe_setting
   SET secrets = $4
 WHERE workspace_id = $1
   AND app_id || '/' || recipe = $2
   AND secrets = $3;

-- name: vendor_tokens
-- Some values of vendor_client.access_token under another key than the newest.
--   $1 newest key's id, $2 how many
SELECT workspace_id, vendor || '/' || client_id AS id,
       'vendor_client/' || vendor || '/' || client_id AS sealed_as, access_token AS sealed
  FROM vendor_client
 WHERE access_token IS NOT NULL
   AND substr(access_token, 3, get_byte(access_token, 1)) <> convert_to($1, 'UTF8')
 LIMIT $2;

-- name: reseal_vendor_token
-- Reseal a value of vendor_client.access_token, unless it changed meanwhile.
--   $1 workspace, $2 row, $3 the old value, $4 the new value
UPDATE vendor_client
   SET access_token = $4
 WHERE workspace_id = $1
   AND vendor || '/' || client_id = $2
   AND access_token = $3;
