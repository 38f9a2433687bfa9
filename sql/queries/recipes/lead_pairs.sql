-- part: lead_place
workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND org_id = $4

-- name: add_lead_pair
-- A contact's pair, unless there is one.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact
INSERT INTO lead_pair (workspace_id, app_id, hub_id, org_id, contact_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (workspace_id, app_id, hub_id, org_id, contact_id) DO NOTHING;

-- name: lock_lead_pair
-- Be the run that works on a contact's pair; no row while another does.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 lease
UPDATE lead_pair
   SET claim = claim + 1, locked_until = now() + $6::interval
 WHERE {lead_place}
   AND contact_id = $5
   AND (locked_until IS NULL OR locked_until <= now())
RETURNING contact_id, lead_id, seen, claim, locked_until, written_at, stopped_at, unlinked_at;

-- name: end_lead_pair
-- What is known of a pair after a run has worked on it; `claim` shows that no other has taken it meanwhile.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 contact, $6 claim, $7 lead, $8 seen,
--   $9 when it was written within the hour, $10 since when it is stopped, $11 since when it is unlinked
UPDATE lead_pair
   SET lead_id = $7, seen = $8, written_at = $9, stopped_at = $10, unlinked_at = $11,
       locked_until = NULL
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
   AND claim = $6
RETURNING contact_id;

-- name: store_lead_checkpoint
-- What the step of a run is about to write, for the attempt after one that has no end.
--   $1 workspace, $2 run, $3 claim, $4 step, $5 checkpoint
UPDATE recipe_step AS step
   SET checkpoint = $5
  FROM recipe_run AS run
 WHERE run.workspace_id = $1
   AND run.id = $2
   AND run.claim = $3
   AND run.state = 'running'
   AND step.workspace_id = run.workspace_id
   AND step.run_id = run.id
   AND step.name = $4
RETURNING step.name;

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
SELECT contact_id, lead_id, seen, unlinked_at
  FROM lead_pair
 WHERE {lead_place}
   AND contact_id = $5;

-- name: lead_pairs_of_leads
-- The pairs of some leads.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 leads
SELECT contact_id, lead_id, seen, unlinked_at
  FROM lead_pair
 WHERE {lead_place}
   AND lead_id = ANY ($5::text[]);

-- name: sample_lead_pairs
-- Some pairs, chosen at random.
--   $1 workspace, $2 app, $3 hub, $4 org, $5 how many
SELECT contact_id, lead_id, seen, unlinked_at
  FROM lead_pair
 WHERE {lead_place}
   AND lead_id IS NOT NULL
   AND seen IS NOT NULL
   AND unlinked_at IS NULL
   AND stopped_at IS NULL
 ORDER BY random()
 LIMIT $5;

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
