-- name: create_operator_session
-- Sign an operator in to the console.
--   $1 workspace, $2 hash of the cookie, $3 key, $4 lifetime
INSERT INTO operator_session (workspace_id, token_hash, key_id, expires_at)
VALUES ($1, $2, $3, now() + $4::interval);

-- name: refused_sign_ins
-- How many refused sign-ins of the last hour stand in a workspace's audit log; no row without the workspace.
--   $1 workspace
SELECT (SELECT count(*)
          FROM audit
         WHERE audit.workspace_id = $1
           AND audit.action = 'console.sign_in_refused'
           AND audit.at > now() - interval '1 hour') AS number
  FROM workspace
 WHERE workspace.id = $1;

-- name: operator_of_token
-- Who is signed in with this cookie, while the key lives.
--   $1 workspace, $2 hash of the cookie
SELECT api_key.id, api_key.name, api_key.scopes, api_key.app_slugs, api_key.policy,
       workspace.name AS workspace_name
  FROM operator_session
  JOIN api_key
    ON api_key.workspace_id = operator_session.workspace_id
   AND api_key.id = operator_session.key_id
   AND api_key.revoked_at IS NULL
  JOIN workspace
    ON workspace.id = operator_session.workspace_id
 WHERE operator_session.workspace_id = $1
   AND operator_session.token_hash = $2
   AND operator_session.expires_at > now();

-- name: end_operator_session
-- Sign out.
--   $1 workspace, $2 hash of the cookie
DELETE FROM operator_session
 WHERE workspace_id = $1
   AND token_hash = $2;

-- name: purge_operator_sessions
-- Delete some sign-ins that ran out.
--   $1 how many
WITH old AS (
    SELECT workspace_id, token_hash
      FROM operator_session
     WHERE expires_at < now()
     LIMIT $1
)
DELETE FROM operator_session
 USING old
 WHERE operator_session.workspace_id = old.workspace_id
   AND operator_session.token_hash = old.token_hash;
