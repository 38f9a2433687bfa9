-- part: lead_place
workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND org_id = $4

-- name: lock_lead_pair
-- Be the run that works on a contact's pair, which is made when there is none; no row while another does.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 lease
INSERT INTO lead_pair AS pair (workspace_id, app_id, hub_id, org_id, contact_id, claim, locked_until)
VALUES ($1, $2, $3, $4, $5, 1, now() + $6::interval)
ON CONFLICT (workspace_id, app_id, hub_id, org_id, contact_id) DO UPDATE
   SET claim = pair.claim + 1, locked_until = EXCLUDED.locked_until
 WHERE pair.locked_until IS NULL
    OR pair.locked_until <= now()
RETURNING contact_id, lead_id, seen, claim, stopped_at IS NOT NULL AS is_stopped,
          unlinked_at IS NOT NULL AS is_unlinked,
          (SELECT count(*) FROM unnest(written_at) AS each WHERE each > now() - interval '1 hour') AS writes;

-- name: end_lead_pair
-- What is known of a pair after a run has worked on it; `claim` shows that no other has taken it meanwhile.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 claim, $7 lead, $8 seen, $9 whether it was written,
--   $10 whether it is stopped, $11 whether it is unlinked
UPDATE lead_pair
   SET lead_id = $7, seen = $8, locked_until = NULL,
       written_at = ARRAY(
           SELECT each FROM unnest(written_at) AS each WHERE each > now() - interval '1 hour'
       ) || CASE WHEN $9 THEN ARRAY[now()] ELSE '{}'::timestamptz[] END,
       stopped_at = CASE WHEN $10 THEN coalesce(stopped_at, now()) END,
       unlinked_at = CASE WHEN $11 THEN coalesce(unlinked_at, now()) END
 WHERE {lead_place}
   AND contact_id = $5
   AND claim = $6;

-- name: intend_lead_pair
-- What a run is about to write to a pair.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 claim, $7 lead, $8 seen
UPDATE lead_pair
   SET lead_id = $7, seen = $8, unlinked_at = NULL
 WHERE {lead_place}
   AND contact_id = $5
   AND claim = $6;

-- name: unlock_lead_pair
-- A run has changed nothing about a pair.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 claim
UPDATE lead_pair
   SET locked_until = NULL
 WHERE {lead_place}
   AND contact_id = $5
   AND claim = $6;

-- name: lead_pair_of_contact
-- A contact's pair.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact
SELECT contact_id, lead_id, seen, unlinked_at IS NOT NULL AS is_unlinked
  FROM lead_pair
 WHERE {lead_place}
   AND contact_id = $5;

-- name: lead_pairs_of_leads
-- The pairs of some leads.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 leads
SELECT contact_id, lead_id, seen, unlinked_at IS NOT NULL AS is_unlinked
  FROM lead_pair
 WHERE {lead_place}
   AND lead_id = ANY ($5::text[]);

-- name: give_up_lead
-- A lead belongs to another contact from now on: the pair that had it has none.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact
UPDATE lead_pair
   SET lead_id = NULL, seen = NULL, unlinked_at = now()
 WHERE {lead_place}
   AND contact_id = $5;

-- name: clear_lead_pair
-- A contact was deleted: what is known of its values is deleted too.
--   $1 workspace, $2 app, $3 hub, $4 contact
UPDATE lead_pair
   SET seen = NULL
 WHERE workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND contact_id = $4;
