-- name: enrichment_answer
-- What is stored about an address, and whether a lookup is under way.
--   $1 workspace, $2 vendor, $3 hash of the address
SELECT outcome, fields, confidence, min_confidence, unanswered,
       coalesce(claimed_until > now(), false) AS is_claimed,
       coalesce(expires_at <= now(), false) AS is_expired
  FROM enrichment_answer
 WHERE workspace_id = $1
   AND vendor = $2
   AND email_hash = $3;

-- name: claim_enrichment
-- Be the one that looks an address up; no row while another does, where an answer is stored, or
-- after too many answers were lost. A miss that was looked up with a higher confidence counts for
-- no lower one.
--   $1 workspace, $2 vendor, $3 hash, $4 claim, $5 lease, $6 at most so many lost, $7 confidence
INSERT INTO enrichment_answer AS stored
       (workspace_id, vendor, email_hash, claim, claimed_until, min_confidence, unanswered, expires_at)
VALUES ($1, $2, $3, $4, now() + $5::interval, $7, 1, now() + interval '1 day')
ON CONFLICT (workspace_id, vendor, email_hash) DO UPDATE
   SET claim = $4, claimed_until = EXCLUDED.claimed_until, min_confidence = $7,
       unanswered = stored.unanswered + 1, expires_at = EXCLUDED.expires_at,
       outcome = NULL, fields = NULL, confidence = NULL
 WHERE (stored.claimed_until IS NULL OR EXCLUDED.claimed_until - stored.claimed_until >= $5::interval)
   AND stored.unanswered < $6
   AND (stored.outcome IS NULL
        OR EXCLUDED.expires_at - stored.expires_at >= interval '1 day'
        OR (stored.outcome = 'not-found' AND stored.min_confidence > $7))
RETURNING claim;

-- name: store_enrichment
-- Store what a lookup found, unless an answer is stored or the contact was deleted. It was paid, so
-- it counts even if another lookup has begun meanwhile.
--   $1 workspace, $2 vendor, $3 hash, $4 outcome, $5 fields, $6 confidence, $7 for how long, null
--   for ever
UPDATE enrichment_answer
   SET outcome = $4, fields = $5, confidence = $6, expires_at = now() + $7::interval,
       claim = NULL, claimed_until = NULL, unanswered = 0
 WHERE workspace_id = $1
   AND vendor = $2
   AND email_hash = $3
   AND outcome IS NULL;

-- name: release_enrichment
-- A lookup has ended without anything to store: it is not one whose answer was lost.
--   $1 workspace, $2 vendor, $3 hash, $4 claim
UPDATE enrichment_answer
   SET claim = NULL, claimed_until = NULL, unanswered = greatest(unanswered - 1, 0)
 WHERE workspace_id = $1
   AND vendor = $2
   AND email_hash = $3
   AND claim = $4;

-- name: allow_enrichment
-- Let an address be looked up again whose answers were lost.
--   $1 workspace, $2 vendor, $3 hash
UPDATE enrichment_answer
   SET unanswered = 0
 WHERE workspace_id = $1
   AND vendor = $2
   AND email_hash = $3;

-- name: spend_enrichment
-- Count a lookup in the day's budget; no row when it is used up.
--   $1 workspace, $2 app, $3 budget
INSERT INTO enrichment_budget AS used (workspace_id, app_id, day, lookups)
VALUES ($1, $2, (now() AT TIME ZONE 'UTC')::date, 1)
ON CONFLICT (workspace_id, app_id, day) DO UPDATE
   SET lookups = used.lookups + 1
 WHERE used.lookups < $3
RETURNING day;

-- name: refund_enrichment
-- A lookup that was counted cost nothing.
--   $1 workspace, $2 app, $3 day
UPDATE enrichment_budget
   SET lookups = lookups - 1
 WHERE workspace_id = $1
   AND app_id = $2
   AND day = $3
   AND lookups > 0;

-- name: until_tomorrow
-- How many seconds the day (UTC) still has.
SELECT extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day'
                          - now() AT TIME ZONE 'UTC')::float8 AS seconds;

-- name: record_enrichment_contact
-- The contact and the address that a run is about.
--   $1 workspace, $2 run, $3 app, $4 hub, $5 contact, $6 hash or null
INSERT INTO enrichment_contact (workspace_id, run_id, app_id, hub_id, contact_id, email_hash)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, run_id) DO UPDATE
   SET email_hash = $6;

-- name: delete_enrichment_contact
-- Delete what is stored about a contact that was deleted: answers and runs. An objection stays.
--   $1 workspace, $2 app, $3 hub, $4 contact
WITH gone AS (
    SELECT run_id, email_hash
      FROM enrichment_contact
     WHERE workspace_id = $1
       AND app_id = $2
       AND hub_id = $3
       AND contact_id = $4
), answers AS (
    DELETE FROM enrichment_answer
     USING gone
     WHERE enrichment_answer.workspace_id = $1
       AND enrichment_answer.email_hash = gone.email_hash
       AND enrichment_answer.outcome IS DISTINCT FROM 'opted-out'
)
DELETE FROM recipe_run
 USING gone
 WHERE recipe_run.workspace_id = $1
   AND recipe_run.id = gone.run_id;

-- name: purge_enrichment_answers
-- Delete answers that have expired.
--   $1 at most so many
DELETE FROM enrichment_answer
 WHERE (workspace_id, vendor, email_hash) IN (
       SELECT workspace_id, vendor, email_hash
         FROM enrichment_answer
        WHERE expires_at < now()
        ORDER BY expires_at
        LIMIT $1);

-- name: purge_enrichment_budgets
-- Delete the budgets of past days.
--   $1 at most so many
DELETE FROM enrichment_budget
 WHERE (workspace_id, app_id, day) IN (
       SELECT workspace_id, app_id, day
         FROM enrichment_budget
        WHERE day < (now() AT TIME ZONE 'UTC')::date - 7
        LIMIT $1);
