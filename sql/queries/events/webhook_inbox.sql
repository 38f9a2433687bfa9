-- name: insert_batch
-- Store a delivery before it is acknowledged to the provider.
--   $1 workspace, $2 id, $3 app, $4 source, $5 body, $6 headers
-- wakes: webhook_inbox
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

-- name: due_batches
-- Which batches wait, the one that waits longest first.
--   $1 how many
SELECT workspace_id, id
  FROM webhook_inbox
 WHERE quarantined_at IS NULL
   AND due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_batch
-- Lock a batch that still waits; its app may be gone.
--   $1 workspace, $2 id
SELECT webhook_inbox.workspace_id, webhook_inbox.id, webhook_inbox.app_id, webhook_inbox.source,
       webhook_inbox.headers, webhook_inbox.body, webhook_inbox.received_at, webhook_inbox.failures,
       app.slug, app.provider, app.journal, now() AS claimed_at
  FROM webhook_inbox
  LEFT JOIN app
    ON app.workspace_id = webhook_inbox.workspace_id
   AND app.id = webhook_inbox.app_id
   AND app.deleted_at IS NULL
 WHERE webhook_inbox.workspace_id = $1
   AND webhook_inbox.id = $2
   AND webhook_inbox.quarantined_at IS NULL
   AND webhook_inbox.due_at <= now()
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
-- plans: webhook_inbox
WITH next AS (
    SELECT id, now() + interval '1 second' * 2 ^ failures AS due_at,
           CASE WHEN failures + 1 >= $3 THEN now() END AS quarantined_at
      FROM webhook_inbox
     WHERE workspace_id = $1
       AND id = $2
       FOR UPDATE
)
UPDATE webhook_inbox
   SET failures = webhook_inbox.failures + 1, due_at = next.due_at, quarantined_at = next.quarantined_at
  FROM next
 WHERE webhook_inbox.workspace_id = $1
   AND webhook_inbox.id = next.id;

-- name: purge_quarantined_batches
-- Delete some of what could not be split a month ago.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM webhook_inbox
     WHERE quarantined_at < now() - interval '30 days'
     LIMIT $1
)
DELETE FROM webhook_inbox
 USING old
 WHERE webhook_inbox.workspace_id = old.workspace_id
   AND webhook_inbox.id = old.id;

-- name: remember_seen
-- Remember events as seen on some days; the fingerprints that were not, once for each day.
--   $1 workspace, $2 app, $3 fingerprints, $4 days
INSERT INTO seen_event (workspace_id, app_id, fingerprint, seen_on)
SELECT workspace.id, $2, given.fingerprint, seen.day
  FROM workspace
 CROSS JOIN unnest($3::uuid[]) AS given (fingerprint)
 CROSS JOIN unnest($4::date[]) AS seen (day)
 WHERE workspace.id = $1
 ORDER BY given.fingerprint, seen.day
ON CONFLICT DO NOTHING
RETURNING fingerprint;

-- name: already_seen
-- Which of some fingerprints were seen on a day or later.
--   $1 workspace, $2 app, $3 fingerprints, $4 day
SELECT fingerprint
  FROM seen_event
 WHERE workspace_id = $1
   AND app_id = $2
   AND fingerprint = ANY ($3::uuid[])
   AND seen_on >= $4;

-- name: purge_seen_events
-- Delete some of what providers no longer repeat, of what is in no day's partition.
--   $1 the first day to keep, $2 how many
WITH old AS (
    SELECT workspace_id, app_id, fingerprint, seen_on
      FROM seen_event_rest
     WHERE seen_on < $1
     LIMIT $2
)
DELETE FROM seen_event_rest
 USING old
 WHERE seen_event_rest.workspace_id = old.workspace_id
   AND seen_event_rest.app_id = old.app_id
   AND seen_event_rest.fingerprint = old.fingerprint
   AND seen_event_rest.seen_on = old.seen_on;

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
-- One transaction at a time deduplicates the events of an app that two sources report: its journal is one.
--   $1 workspace, $2 app
SELECT app_id
  FROM journal
 WHERE workspace_id = $1
   AND app_id = $2
   FOR UPDATE;

-- name: grants_before
-- Lock the connections to an account whose grants are older than a moment.
--   $1 workspace, $2 app, $3 account id, $4 moment
SELECT connection.id
  FROM connection
  JOIN connection_grant
    ON connection_grant.workspace_id = connection.workspace_id
   AND connection_grant.connection_id = connection.id
 WHERE connection.workspace_id = $1
   AND connection.app_id = $2
   AND connection.account_id = $3
   AND connection_grant.access_token IS NOT NULL
   AND connection_grant.renewed_at < $4
 ORDER BY connection.id
   FOR UPDATE OF connection_grant;
