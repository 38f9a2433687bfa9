-- name: insert_batch
-- Store a delivery before it is acknowledged to the provider.
--   $1 workspace, $2 id, $3 app, $4 source, $5 body, $6 headers
INSERT INTO webhook_inbox (workspace_id, id, app_id, source, body, headers)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: webhook_secrets_of_app
-- The secrets that may have signed a webhook of a live app.
--   $1 workspace, $2 slug
SELECT id, provider, client_secret, webhook_secret, legacy_signatures,
       CASE WHEN previous_secret_until > now() THEN previous_client_secret END AS previous,
       CASE WHEN previous_webhook_until > now() THEN previous_webhook_secret END AS previous_webhook
  FROM app
 WHERE workspace_id = $1
   AND slug = $2
   AND deleted_at IS NULL;

-- name: claim_batch
-- Lock the batch that waits longest; its app may be gone.
SELECT webhook_inbox.workspace_id, webhook_inbox.id, webhook_inbox.app_id, webhook_inbox.source,
       webhook_inbox.headers, webhook_inbox.body, webhook_inbox.received_at, webhook_inbox.failures,
       app.slug, app.provider, app.journal
  FROM webhook_inbox
  LEFT JOIN app
    ON app.workspace_id = webhook_inbox.workspace_id
   AND app.id = webhook_inbox.app_id
   AND app.deleted_at IS NULL
 WHERE webhook_inbox.quarantined_at IS NULL
   AND webhook_inbox.due_at <= now()
 ORDER BY webhook_inbox.due_at
 LIMIT 1
   FOR UPDATE OF webhook_inbox SKIP LOCKED;

-- name: delete_batch
-- A batch is split.
--   $1 workspace, $2 id
DELETE FROM webhook_inbox
 WHERE workspace_id = $1
   AND id = $2;

-- name: reschedule_batch
-- A batch could not be split: again later, and not for ever.
--   $1 workspace, $2 id, $3 failures at most
UPDATE webhook_inbox
   SET failures = failures + 1,
       due_at = now() + interval '1 second' * 2 ^ failures,
       quarantined_at = CASE WHEN failures + 1 >= $3 THEN now() END
 WHERE workspace_id = $1
   AND id = $2;

-- name: purge_quarantined_batches
-- Delete some of what could not be split a month ago.
--   $1 how many
DELETE FROM webhook_inbox
 WHERE ctid = ANY (ARRAY(SELECT ctid
                           FROM webhook_inbox
                          WHERE quarantined_at < now() - interval '30 days'
                          LIMIT $1));

-- name: remember_seen
-- Remember events as seen; the fingerprints that are new.
--   $1 workspace, $2 app, $3 fingerprints
INSERT INTO seen_event (workspace_id, app_id, fingerprint)
SELECT $1, $2, fingerprint
  FROM unnest($3::bytea[]) AS given (fingerprint)
 ORDER BY fingerprint
ON CONFLICT DO NOTHING
RETURNING fingerprint;

-- name: already_seen
-- Which of some fingerprints are there.
--   $1 workspace, $2 app, $3 fingerprints
SELECT fingerprint
  FROM seen_event
 WHERE workspace_id = $1
   AND app_id = $2
   AND fingerprint = ANY ($3::bytea[]);

-- name: purge_seen_events
-- Delete some of what providers no longer repeat: HubSpot retries for a day, its journal keeps three.
--   $1 how many
DELETE FROM seen_event
 WHERE ctid = ANY (ARRAY(SELECT ctid
                           FROM seen_event
                          WHERE seen_at < now() - interval '8 days'
                          LIMIT $1));

-- name: users_of_accounts
-- Whose connections some accounts belong to.
--   $1 workspace, $2 app, $3 account ids
SELECT account_id, user_ref
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = ANY ($3::text[])
   AND user_ref IS NOT NULL
   AND status IN ('ACTIVE', 'REAUTH_REQUIRED')
 ORDER BY number;

-- name: quarantine_batch
-- Store events that cannot be read, for people to look at.
--   $1 workspace, $2 id, $3 app, $4 source, $5 body, $6 headers
INSERT INTO webhook_inbox (workspace_id, id, app_id, source, body, headers, quarantined_at)
VALUES ($1, $2, $3, $4, $5, $6, now());

-- name: lock_dedup
-- One transaction at a time deduplicates the events of an app, where two sources report the same.
--   $1 app
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: grants_before
-- Lock the connections to an account whose grants are older than a moment.
--   $1 workspace, $2 app, $3 account id, $4 moment
SELECT id
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND status = 'ACTIVE'
   AND renewed_at < $4
 ORDER BY id
   FOR UPDATE;
