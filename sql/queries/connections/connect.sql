-- name: create_connect_session
-- Let one user connect on a page of ours.
--   $1 workspace, $2 id, $3 hash of the token, $4 app, $5 user reference, $6 label of the user or null,
--   $7 return URL, $8 lifetime, $9 options of the provider's link
INSERT INTO connect_session (workspace_id, id, token_hash, app_id, user_ref, user_label, return_url,
                             options, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $9, now() + $8::interval)
RETURNING expires_at;

-- part: connect_session
-- A connect session with its app.
SELECT connect_session.id AS session_id, connect_session.user_ref, connect_session.user_label,
       connect_session.return_url, connect_session.options AS link_options,
       connect_session.browser_hash, connect_session.origin, connect_session.nonce,
       connect_session.outcome, connect_session.ended_at IS NOT NULL AS ended,
       connect_session.expires_at <= now() AS expired, workspace.name AS workspace_name,
       {app}
  FROM connect_session
  JOIN app
    ON app.workspace_id = connect_session.workspace_id
   AND app.id = connect_session.app_id
   AND app.deleted_at IS NULL
  JOIN workspace
    ON workspace.id = connect_session.workspace_id;

-- name: connect_session_of_token
-- A connect session with its app, by its token.
--   $1 workspace, $2 hash of the token
{connect_session}
 WHERE connect_session.workspace_id = $1
   AND connect_session.token_hash = $2;

-- name: connect_session_of_id
-- A connect session with its app, by its id.
--   $1 workspace, $2 id
{connect_session}
 WHERE connect_session.workspace_id = $1
   AND connect_session.id = $2;

-- name: begin_connect_session
-- Bind a session to the browser that begins it: of many browsers, one gets it, and may begin again
-- until it is connected.
--   $1 workspace, $2 id, $3 hash of the browser's cookie, $4 origin or null, $5 nonce or null
UPDATE connect_session
   SET browser_hash = $3, origin = $4, nonce = $5, outcome = NULL
 WHERE workspace_id = $1
   AND id = $2
   AND ended_at IS NULL
   AND expires_at > now()
   AND (browser_hash IS NULL OR browser_hash = $3);

-- name: record_connect_outcome
-- Write down how a visit to HubSpot ended; a grant ends the session.
--   $1 workspace, $2 id, $3 outcome, $4 whether a grant came of it
UPDATE connect_session
   SET outcome = $3, ended_at = CASE WHEN $4 THEN clock.now END
  FROM (SELECT now() AS now) AS clock
 WHERE workspace_id = $1
   AND id = $2
   AND ended_at IS NULL;

-- name: purge_connect_sessions
-- Delete some sessions a day after they ran out.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM connect_session
     WHERE expires_at < now() - interval '1 day'
     LIMIT $1
)
DELETE FROM connect_session
 USING old
 WHERE connect_session.workspace_id = old.workspace_id
   AND connect_session.id = old.id;
