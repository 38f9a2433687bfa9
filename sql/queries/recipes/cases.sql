-- name: open_case
-- A run is about to ask for a case.
--   $1 workspace, $2 run, $3 app, $4 client at the vendor, $5 CRM, $6 record
INSERT INTO kyb_case (workspace_id, run_id, app_id, client_id, crm_source, crm_record_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, run_id) DO UPDATE
   SET client_id = $4, crm_record_id = $6
 WHERE kyb_case.case_id IS NULL;

-- name: record_case
-- The case that a run has; an event may have set its status already.
--   $1 workspace, $2 run, $3 case, $4 status
UPDATE kyb_case
   SET case_id = $3, status = coalesce(status, $4)
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: unpark_events
-- Apply parked events about a case again, now that its run is known.
--   $1 workspace, $2 app, $3 case, $4 record
-- wakes: case events
UPDATE vendor_event
   SET state = 'waiting', due_at = now(), failures = 0
 WHERE workspace_id = $1
   AND app_id = $2
   AND state = 'parked'
   AND body IS NOT NULL
   AND (case_id = $3 OR record_id = $4);

-- name: case_of_run
-- The state of a run's case.
--   $1 workspace, $2 run
SELECT case_id, crm_record_id, status, stage, decision, last_event_at
  FROM kyb_case
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: cases_of_runs
-- The states of the cases of some runs.
--   $1 workspace, $2 runs
SELECT run_id, case_id, crm_record_id, status, stage, decision, last_event_at
  FROM kyb_case
 WHERE workspace_id = $1
   AND run_id = ANY ($2::uuid[]);

-- name: lock_case
-- Lock the case that an event is about: by its id, else by the record of the CRM that is named,
-- where the record's case is not known yet.
--   $1 workspace, $2 app, $3 case, $4 record, $5 CRM or null
SELECT kyb_case.run_id, run.user_ref, run.hub_id
  FROM kyb_case
  JOIN recipe_run AS run
    ON run.workspace_id = kyb_case.workspace_id
   AND run.id = kyb_case.run_id
 WHERE kyb_case.workspace_id = $1
   AND kyb_case.app_id = $2
   AND (kyb_case.case_id = $3
        OR (kyb_case.crm_record_id = $4
            AND ($5::text IS NULL OR kyb_case.crm_source = $5)
            AND ($3::text IS NULL OR kyb_case.case_id IS NULL)))
 ORDER BY kyb_case.case_id = $3 DESC NULLS LAST
 LIMIT 1
   FOR UPDATE OF kyb_case;

-- name: apply_to_case
-- Apply an event to a case, each field unless a later event has set it.
--   $1 workspace, $2 run, $3 status, $4 stage, $5 decision, $6 when
UPDATE kyb_case
   SET status = CASE WHEN $3::text IS NULL OR status_at > $6 THEN status ELSE $3 END,
       status_at = CASE WHEN $3::text IS NULL THEN status_at ELSE greatest(status_at, $6) END,
       stage = CASE WHEN $4::text IS NULL OR stage_at > $6 THEN stage ELSE $4 END,
       stage_at = CASE WHEN $4::text IS NULL THEN stage_at ELSE greatest(stage_at, $6) END,
       decision = CASE WHEN $5::text IS NULL OR decision_at > $6 THEN decision ELSE $5 END,
       decision_at = CASE WHEN $5::text IS NULL THEN decision_at ELSE greatest(decision_at, $6) END,
       last_event_at = greatest(last_event_at, $6)
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: insert_vendor_event
-- Store an event of First Mile Labs, once by its id.
--   $1 workspace, $2 app, $3 event, $4 name, $5 case, $6 record, $7 body
-- wakes: case events
INSERT INTO vendor_event (workspace_id, app_id, event_id, name, case_id, record_id, body, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now())
ON CONFLICT DO NOTHING;

-- name: due_vendor_events
-- Which events are due, the one that has been for longest first.
--   $1 how many
SELECT event.workspace_id, event.app_id, event.event_id
  FROM vendor_event AS event
  JOIN app
    ON app.workspace_id = event.workspace_id
   AND app.id = event.app_id
   AND app.deleted_at IS NULL
 WHERE event.state = 'waiting'
   AND event.due_at <= now()
 ORDER BY event.due_at
 LIMIT $1;

-- name: claim_vendor_event
-- Lock an event that is still due.
--   $1 workspace, $2 app, $3 event
SELECT event.workspace_id, event.app_id, event.event_id, event.name, event.case_id, event.record_id,
       event.body, event.received_at, event.relayed_at, app.slug
  FROM vendor_event AS event
  JOIN app
    ON app.workspace_id = event.workspace_id
   AND app.id = event.app_id
   AND app.deleted_at IS NULL
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.event_id = $3
   AND event.due_at <= now()
   FOR UPDATE OF event SKIP LOCKED;

-- name: finish_vendor_event
-- An event is applied, or parked for people to look at; either way it was relayed.
--   $1 workspace, $2 app, $3 event, $4 state
UPDATE vendor_event
   SET state = $4, due_at = NULL, relayed_at = coalesce(relayed_at, clock.now)
  FROM (SELECT now() AS now) AS clock
 WHERE workspace_id = $1
   AND app_id = $2
   AND event_id = $3;

-- name: reschedule_vendor_event
-- An event could not be applied: again later, and not for ever.
--   $1 workspace, $2 app, $3 event, $4 failures at most
-- plans: case events
WITH next AS (
    SELECT event_id, CASE WHEN failures + 1 < $4
                          THEN now() + interval '1 second' * 2 ^ failures END AS due_at
      FROM vendor_event
     WHERE workspace_id = $1
       AND app_id = $2
       AND event_id = $3
       FOR UPDATE
)
UPDATE vendor_event AS event
   SET failures = event.failures + 1, due_at = next.due_at,
       state = CASE WHEN next.due_at IS NULL THEN 'parked' ELSE 'waiting' END
  FROM next
 WHERE event.workspace_id = $1
   AND event.app_id = $2
   AND event.event_id = next.event_id;

-- name: parked_events
-- Events that fit no run, newest first.
--   $1 workspace, $2 app, $3 limit
SELECT event_id, name, case_id, record_id, received_at
  FROM vendor_event
 WHERE workspace_id = $1
   AND app_id = $2
   AND state = 'parked'
 ORDER BY received_at DESC
 LIMIT $3;

-- name: purge_event_bodies
-- A month later an event is only known by its id.
--   $1 how many
WITH old AS (
    SELECT workspace_id, app_id, event_id
      FROM vendor_event
     WHERE body IS NOT NULL
       AND received_at < now() - interval '30 days'
     ORDER BY received_at
     LIMIT $1
)
UPDATE vendor_event AS event
   SET body = NULL, state = CASE WHEN event.state = 'waiting' THEN 'parked' ELSE event.state END,
       due_at = NULL
  FROM old
 WHERE event.workspace_id = old.workspace_id
   AND event.app_id = old.app_id
   AND event.event_id = old.event_id;
