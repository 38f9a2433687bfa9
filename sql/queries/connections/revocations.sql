-- name: due_revocations
-- Which refresh tokens are to be revoked now.
--   $1 how many
SELECT workspace_id, id
  FROM revocation
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_revocations
-- Take refresh tokens of a workspace that are to be revoked. `shared`: a live connection, or a grant
-- pending for one, uses the same token; or belongs to the account in which the revocation would end all
-- grants.
--   $1 workspace, $2 ids, $3 whether they are revoked before they are due
WITH due AS (
    SELECT id
      FROM revocation
     WHERE workspace_id = $1
       AND id = ANY ($2::uuid[])
       AND outcome = 'pending'
       AND ($3 OR due_at <= now())
       FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE revocation
       SET due_at = now() + interval '60 seconds', attempts = attempts + 1
      FROM due
     WHERE revocation.workspace_id = $1
       AND revocation.id = due.id
    RETURNING revocation.workspace_id, revocation.id, revocation.app_id, revocation.sealed_as,
              revocation.refresh_token, revocation.refresh_fingerprint, revocation.details,
              revocation.attempts
)
SELECT taken.workspace_id, taken.id, taken.app_id, taken.sealed_as, taken.refresh_token,
       taken.details, taken.attempts, app.provider, app.options, app.client_id, app.client_secret,
       EXISTS (SELECT 1
                 FROM connection_grant
                 JOIN connection
                   ON connection.workspace_id = connection_grant.workspace_id
                  AND connection.id = connection_grant.connection_id
                WHERE connection_grant.workspace_id = $1
                  AND connection_grant.refresh_fingerprint = taken.refresh_fingerprint
                  AND connection.app_id = taken.app_id)
       OR EXISTS (SELECT 1
                    FROM pending_grant
                   WHERE pending_grant.workspace_id = $1
                     AND pending_grant.app_id = taken.app_id
                     AND pending_grant.refresh_fingerprint = taken.refresh_fingerprint)
       OR EXISTS (SELECT 1
                    FROM connection
                   WHERE connection.workspace_id = $1
                     AND connection.app_id = taken.app_id
                     AND connection.account_id = taken.details->>'endsAccount'
                     AND connection.status = 'ACTIVE')
       OR EXISTS (SELECT 1
                    FROM pending_grant
                   WHERE pending_grant.workspace_id = $1
                     AND pending_grant.app_id = taken.app_id
                     AND pending_grant.account_id = taken.details->>'endsAccount'
                     AND pending_grant.access_token IS NOT NULL
                     AND pending_grant.code_expires_at > now()) AS shared
  FROM taken
  JOIN app
    ON app.id = taken.app_id
 WHERE app.workspace_id = $1;

-- name: end_revocation
-- The outcome is known: the token is wiped.
--   $1 workspace, $2 id, $3 outcome
UPDATE revocation
   SET outcome = $3, refresh_token = NULL, due_at = NULL, ended_at = now()
 WHERE workspace_id = $1
   AND id = $2;

-- name: reschedule_revocation
-- The provider could not be reached; try again later.
--   $1 workspace, $2 id, $3 time until the next try
UPDATE revocation
   SET due_at = now() + $3::interval
 WHERE workspace_id = $1
   AND id = $2;

-- name: outcomes_since
-- What became of an app's revocations.
--   $1 workspace, $2 app slug, $3 since
SELECT revocation.outcome, count(*) AS how_many
  FROM revocation
  JOIN app
    ON app.workspace_id = revocation.workspace_id
   AND app.id = revocation.app_id
 WHERE revocation.workspace_id = $1
   AND app.slug = $2
   AND revocation.created_at >= $3
 GROUP BY revocation.outcome;

-- name: enqueue_revocation
-- Enqueue the revocation of a token that no row keeps.
--   $1 workspace, $2 id, $3 app, $4 sealed as, $5 sealed refresh token, $6 its fingerprint,
--   $7 details
INSERT INTO revocation (workspace_id, id, app_id, sealed_as, refresh_token, refresh_fingerprint, details,
                        due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now());
