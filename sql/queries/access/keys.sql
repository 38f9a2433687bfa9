-- columns: key of api_key
id, workspace_id, client_id, name, scopes, app_slugs, policy, created_at, revoked_at, last_used_at;

-- name: create_workspace
-- Make a tenant.
--   $1 id, $2 name
INSERT INTO workspace (id, name)
VALUES ($1, $2)
RETURNING id, name, created_at;

-- name: workspace_of_id
-- A tenant by its id.
--   $1 workspace
SELECT id, name, created_at
  FROM workspace
 WHERE id = $1;

-- name: all_workspaces
-- Every tenant of the installation, oldest first.
SELECT id, name, created_at
  FROM workspace
 ORDER BY created_at, id;

-- name: create_key
-- Give a workspace a credential.
--   $1 workspace, $2 id, $3 client id, $4 hash of the secret, $5 name, $6 scopes, $7 app slugs or null,
--   $8 policy or null
INSERT INTO api_key (workspace_id, id, client_id, secret_hash, name, scopes, app_slugs, policy)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING {key};

-- name: keys_of_workspace
-- All credentials of a workspace, oldest first.
--   $1 workspace
SELECT {key}
  FROM api_key
 WHERE workspace_id = $1
 ORDER BY created_at, id;

-- name: workspace_of_key
-- The workspace of a credential, whichever it is.
--   $1 id
SELECT workspace_id
  FROM api_key
 WHERE id = $1
 LIMIT 1;

-- name: key_of_credential
-- The credential, live or revoked, with this secret or with an access token that is still kept.
--   $1 workspace, $2 hash of the secret or token
SELECT {key}
  FROM api_key
 WHERE workspace_id = $1
   AND (secret_hash = $2
        OR id = (SELECT key_id
                   FROM access_token
                  WHERE workspace_id = $1
                    AND token_hash = $2));

-- name: lock_live_keys
-- Lock the live credentials of a workspace, so that the last one that manages keys stays.
--   $1 workspace
SELECT {key}
  FROM api_key
 WHERE workspace_id = $1
   AND revoked_at IS NULL
 ORDER BY id
   FOR UPDATE;

-- name: change_key
-- Write a credential's new name and limits.
--   $1 workspace, $2 id, $3 name, $4 scopes, $5 app slugs or null, $6 policy or null
UPDATE api_key
   SET name = $3, scopes = $4, app_slugs = $5, policy = $6
 WHERE workspace_id = $1
   AND id = $2
RETURNING {key};

-- name: revoke_key
-- End a credential.
--   $1 workspace, $2 id
UPDATE api_key
   SET revoked_at = now()
 WHERE workspace_id = $1
   AND id = $2
   AND revoked_at IS NULL;

-- name: record_keys_used
-- When a workspace's credentials were last used, for all that can be written without waiting and were not
-- written a moment ago.
--   $1 workspace, $2 ids, $3 how long ago in seconds, one each
WITH used AS (
    SELECT api_key.id, now() - make_interval(secs => latest.ago) AS at
      FROM api_key
      JOIN unnest($2::uuid[], $3::float8[]) AS latest (id, ago)
        ON latest.id = api_key.id
     WHERE api_key.workspace_id = $1
       AND (api_key.last_used_at IS NULL
            OR api_key.last_used_at < now() - make_interval(secs => latest.ago + 30))
       FOR UPDATE OF api_key SKIP LOCKED
)
UPDATE api_key
   SET last_used_at = used.at
  FROM used
 WHERE api_key.workspace_id = $1
   AND api_key.id = used.id;

-- name: caller_of_secret
-- Who holds this secret.
--   $1 workspace, $2 hash of the secret
SELECT id, client_id, scopes, app_slugs, policy
  FROM api_key
 WHERE workspace_id = $1
   AND secret_hash = $2
   AND revoked_at IS NULL;

-- name: caller_of_token
-- Who holds this access token; it cannot do more than its key can now.
--   $1 workspace, $2 hash of the token
SELECT api_key.id, api_key.client_id, api_key.app_slugs, api_key.policy,
       ARRAY(SELECT unnest(access_token.scopes)
             INTERSECT
             SELECT unnest(api_key.scopes)) AS scopes
  FROM access_token
  JOIN api_key
    ON api_key.workspace_id = access_token.workspace_id
   AND api_key.id = access_token.key_id
 WHERE access_token.workspace_id = $1
   AND access_token.token_hash = $2
   AND access_token.expires_at > now()
   AND api_key.revoked_at IS NULL;

-- name: key_of_client_id
-- The live credential with this client id, with the hash of its secret.
--   $1 workspace, $2 client id
SELECT id, client_id, secret_hash, scopes, app_slugs
  FROM api_key
 WHERE workspace_id = $1
   AND client_id = $2
   AND revoked_at IS NULL;

-- name: store_token
-- Keep the hash of an issued access token.
--   $1 workspace, $2 hash of the token, $3 key, $4 scopes, $5 lifetime
INSERT INTO access_token (workspace_id, token_hash, key_id, scopes, expires_at)
VALUES ($1, $2, $3, $4, now() + $5::interval);

-- name: purge_tokens
-- Delete some access tokens that ran out.
--   $1 how many
WITH old AS (
    SELECT workspace_id, token_hash
      FROM access_token
     WHERE expires_at < now()
     LIMIT $1
)
DELETE FROM access_token
 USING old
 WHERE access_token.workspace_id = old.workspace_id
   AND access_token.token_hash = old.token_hash;

-- name: notify_invalidation
-- Tell every process what changed, so that it discards the cached value.
--   $1 what changed; empty for anything
SELECT pg_notify('broker_invalidation', $1);
