-- name: create_run
-- A new run, unless its subject has one.
--   $1 workspace, $2 id, $3 app, $4 recipe, $5 version, $6 subject, $7 user reference, $8 hub,
--   $9 input, $10 claim, $11 lease, $12 when what triggered it happened, null for now
-- wakes: runs
INSERT INTO recipe_run (workspace_id, id, app_id, recipe, version, subject, user_ref, hub_id,
                        input, claim, due_at, triggered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now() + $11::interval, $12)
ON CONFLICT ON CONSTRAINT run_once_per_subject DO NOTHING
RETURNING id;

-- name: lock_run_of_subject
-- Lock the run of a subject.
--   $1 workspace, $2 app, $3 recipe, $4 subject
SELECT id, state, hub_id, claim
  FROM recipe_run
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND subject = $4
   FOR UPDATE;

-- name: lock_run
-- Lock a run.
--   $1 workspace, $2 id
SELECT id, state, hub_id, claim
  FROM recipe_run
 WHERE workspace_id = $1
   AND id = $2
   FOR UPDATE;

-- name: restart_run
-- Let a failed or dismissed run go on; with another input it acts for the user who sent that.
--   $1 workspace, $2 id, $3 input or null, $4 version, $5 by how much the claim moves, $6 lease,
--   $7 user reference, $8 hub
-- wakes: runs
UPDATE recipe_run
   SET state = 'running', problem = NULL, ended_at = NULL, claim = claim + $5,
       restarts = restarts + 1,
       input = coalesce($3, input), version = $4, due_at = now() + $6::interval,
       user_ref = CASE WHEN $3::text IS NULL THEN user_ref ELSE $7 END,
       hub_id = CASE WHEN $3::text IS NULL THEN hub_id ELSE $8 END
 WHERE workspace_id = $1
   AND id = $2
   AND state IN ('failed', 'dismissed')
RETURNING claim;

-- name: dismiss_run
-- A failed run will not be mended.
--   $1 workspace, $2 id
UPDATE recipe_run
   SET state = 'dismissed'
 WHERE workspace_id = $1
   AND id = $2
   AND state = 'failed';

-- name: run_has_effects
-- Whether a run has changed something outside, or may have.
--   $1 workspace, $2 run, $3 steps with effects
SELECT EXISTS (SELECT 1
                 FROM recipe_step
                WHERE workspace_id = $1
                  AND run_id = $2
                  AND name = ANY ($3::text[])
                  AND (state = 'done' OR outcome_unknown));

-- name: delete_steps
-- A run begins again from nothing.
--   $1 workspace, $2 run
DELETE FROM recipe_step
 WHERE workspace_id = $1
   AND run_id = $2;

-- name: restart_steps
-- Reset the failed step, and all steps while nothing was changed outside: then records are read again.
--   $1 workspace, $2 run, $3 steps with effects
UPDATE recipe_step
   SET state = 'waiting', failures = 0, outcome = NULL, error = NULL
 WHERE workspace_id = $1
   AND run_id = $2
   AND (state <> 'done'
        OR (name <> ALL ($3::text[])
            AND NOT EXISTS (SELECT 1
                              FROM recipe_step AS done
                             WHERE done.workspace_id = $1
                               AND done.run_id = $2
                               AND done.name = ANY ($3::text[])
                               AND done.state = 'done')));

-- name: claimed_run
-- A run that is claimed, with what its steps need.
--   $1 workspace, $2 id
SELECT run.workspace_id, run.id, run.app_id, app.slug, run.recipe, run.version, run.subject,
       run.user_ref, run.hub_id, run.input, run.claim
  FROM recipe_run AS run
  JOIN app
    ON app.workspace_id = run.workspace_id
   AND app.id = run.app_id
 WHERE run.workspace_id = $1
   AND run.id = $2;

-- name: workspaces_with_runs
-- Workspaces in which an app has due runs of a recipe, in no order. Nothing is read of apps while no run is
-- due at all.
--   $1 recipe, $2 version, $3 apps that have no room, $4 how many
SELECT setting.workspace_id
  FROM recipe_setting AS setting
 WHERE EXISTS (SELECT 1
                 FROM recipe_run AS anywhere
                WHERE anywhere.state = 'running'
                  AND anywhere.due_at <= now())
   AND setting.recipe = $1
   AND setting.app_id <> ALL ($3::uuid[])
   AND EXISTS (SELECT 1
                 FROM recipe_run AS run
                WHERE run.workspace_id = setting.workspace_id
                  AND run.app_id = setting.app_id
                  AND run.recipe = $1
                  AND run.due_at <= now()
                  AND run.version <= $2)
 GROUP BY setting.workspace_id
 ORDER BY random()
 LIMIT $4;

-- name: claim_runs
-- Take runs of a workspace that are due, from each app no more than it has room for: one app's long queue
-- does not delay another's. Runs of a newer version are left to newer processes. What is due is looked for
-- without a state, so that only the index of one app's can be read, whatever the statistics say.
--   $1 workspace, $2 recipe, $3 version, $4 how many in all, $5 how many of an app, $6 apps under way here,
--   $7 runs under way of each, $8 lease
WITH busy AS (
    SELECT counted.app_id, counted.under_way
      FROM unnest($6::uuid[], $7::integer[]) AS counted (app_id, under_way)
), open AS (
    SELECT setting.app_id, app.slug, $5 - coalesce(busy.under_way, 0) AS room
      FROM recipe_setting AS setting
      JOIN app
        ON app.workspace_id = setting.workspace_id
       AND app.id = setting.app_id
       AND app.deleted_at IS NULL
      LEFT JOIN busy
        ON busy.app_id = setting.app_id
     WHERE setting.workspace_id = $1
       AND setting.recipe = $2
), taken AS (
    SELECT due.id, open.slug
      FROM open
     CROSS JOIN LATERAL (SELECT run.id, run.due_at
                           FROM recipe_run AS run
                          WHERE run.workspace_id = $1
                            AND run.app_id = open.app_id
                            AND run.recipe = $2
                            AND run.due_at <= now()
                            AND run.version <= $3
                          ORDER BY run.due_at
                          LIMIT greatest(open.room, 0)
                            FOR UPDATE SKIP LOCKED) AS due
     ORDER BY due.due_at
     LIMIT $4
)
UPDATE recipe_run AS run
   SET due_at = now() + $8::interval, claim = run.claim + 1
  FROM taken
 WHERE run.workspace_id = $1
   AND run.id = taken.id
RETURNING run.workspace_id, run.id, run.app_id, taken.slug, run.recipe, run.version, run.subject,
          run.user_ref, run.hub_id, run.input, run.claim;

-- name: outcomes_of_run
-- The outcomes of the steps of a run so far.
--   $1 workspace, $2 run
SELECT name, outcome
  FROM recipe_step
 WHERE workspace_id = $1
   AND run_id = $2
   AND state = 'done';

-- name: begin_step
-- Record that a step is about to be tried, by the process that still has the run, and renew its lease.
--   $1 workspace, $2 run, $3 claim, $4 step, $5 position, $6 lease
WITH claimed AS (
    UPDATE recipe_run
       SET due_at = now() + $6::interval
     WHERE workspace_id = $1
       AND id = $2
       AND claim = $3
       AND state = 'running'
    RETURNING workspace_id, id
)
INSERT INTO recipe_step AS step (workspace_id, run_id, name, position, state)
SELECT workspace_id, id, $4, $5, 'running'
  FROM claimed
ON CONFLICT (workspace_id, run_id, name) DO UPDATE
   SET attempts = step.attempts + 1, outcome_unknown = step.outcome_unknown OR step.state = 'running',
       state = 'running', started_at = EXCLUDED.started_at
RETURNING step.outcome_unknown, step.failures, step.checkpoint;

-- name: extend_run_leases
-- Renew the leases of a workspace's runs under way. A process that rescheduled one has given up its claim.
--   $1 workspace, $2 ids, $3 claims, $4 lease
UPDATE recipe_run AS run
   SET due_at = now() + $4::interval
  FROM unnest($2::uuid[], $3::integer[]) AS claimed (id, claim)
 WHERE run.workspace_id = $1
   AND run.id = claimed.id
   AND run.claim = claimed.claim
   AND run.state = 'running';

-- name: end_step
-- Store a step's outcome, by the process that still has the run.
--   $1 workspace, $2 run, $3 claim, $4 step, $5 outcome
UPDATE recipe_step AS step
   SET state = 'done', outcome = $5, error = NULL, ended_at = now()
  FROM recipe_run AS run
 WHERE run.workspace_id = $1
   AND run.id = $2
   AND run.claim = $3
   AND run.state = 'running'
   AND step.workspace_id = run.workspace_id
   AND step.run_id = run.id
   AND step.name = $4;

-- name: reschedule_step
-- Reschedule a step, for whichever process claims the run then.
--   $1 workspace, $2 run, $3 claim, $4 step, $5 pause, $6 failures more, $7 outcome unknown, $8 error, $9 checkpoint
-- plans: runs
WITH claimed AS (
    UPDATE recipe_run
       SET due_at = now() + $5::interval, claim = claim + 1
     WHERE workspace_id = $1
       AND id = $2
       AND claim = $3
       AND state = 'running'
    RETURNING id
)
UPDATE recipe_step AS step
   SET state = 'waiting', failures = step.failures + $6, outcome_unknown = step.outcome_unknown OR $7, error = $8,
       checkpoint = coalesce($9, step.checkpoint)
  FROM claimed
 WHERE step.workspace_id = $1
   AND step.run_id = claimed.id
   AND step.name = $4;

-- name: fail_step
-- Record that a step has failed until a person acts.
--   $1 workspace, $2 run, $3 step, $4 error, $5 checkpoint, $6 outcome unknown
UPDATE recipe_step
   SET state = 'failed', failures = failures + 1, error = $4, ended_at = now(),
       checkpoint = coalesce($5, checkpoint), outcome_unknown = outcome_unknown OR $6
 WHERE workspace_id = $1
   AND run_id = $2
   AND name = $3;

-- name: release_run
-- Release a run: another process may go on at once.
--   $1 workspace, $2 id, $3 claim
-- wakes: runs
UPDATE recipe_run
   SET due_at = now(), claim = claim + 1
 WHERE workspace_id = $1
   AND id = $2
   AND claim = $3
   AND state = 'running';

-- name: end_run
-- End a run, by the process that still has it; how long after its trigger, in seconds, and how often
-- a person has started it again.
--   $1 workspace, $2 id, $3 claim, $4 state, $5 result, $6 problem
-- wakes: tasks of runs
UPDATE recipe_run
   SET state = $4, result = $5, problem = $6, due_at = NULL, ended_at = now()
 WHERE workspace_id = $1
   AND id = $2
   AND claim = $3
   AND state = 'running'
RETURNING restarts,
          greatest(extract(epoch FROM ended_at - coalesce(triggered_at, created_at)), 0)::float8 AS seconds;

-- name: run_of_workspace
-- A run as people look at it.
--   $1 workspace, $2 id
{run_record}
 WHERE run.workspace_id = $1
   AND run.id = $2
   AND app.deleted_at IS NULL;

-- part: run_record
-- Runs as people look at them, with their apps.
SELECT run.id, app.slug, run.recipe, run.subject, run.user_ref, run.hub_id, run.state,
       run.result, run.problem, run.due_at, run.created_at, run.ended_at
  FROM recipe_run AS run
  JOIN app
    ON app.workspace_id = run.workspace_id
   AND app.id = run.app_id;

-- name: run_of_subject
-- The run of a subject as people look at it, if there is one.
--   $1 workspace, $2 app, $3 recipe, $4 subject
{run_record}
 WHERE run.workspace_id = $1
   AND run.app_id = $2
   AND run.recipe = $3
   AND run.subject = $4
   AND app.deleted_at IS NULL;

-- name: ended_runs
-- Which of some runs of a workspace have ended.
--   $1 workspace, $2 ids
SELECT id
  FROM recipe_run
 WHERE workspace_id = $1
   AND id = ANY ($2::uuid[])
   AND state <> 'running';

-- name: runs_page
-- Runs of an app, newest first.
--   $1 workspace, $2 app, $3 recipe, $4 state or null, $5 before this run, $6 limit
{run_record}
 WHERE run.workspace_id = $1
   AND run.app_id = $2
   AND run.recipe = $3
   AND ($4::text IS NULL OR run.state = $4)
   AND run.id < $5
 ORDER BY run.id DESC
 LIMIT $6;

-- name: health_of_runs
-- How the newest runs of an app's recipe have gone since a moment; latencies in seconds, of those that
-- needed nobody.
--   $1 workspace, $2 app, $3 recipe, $4 since, $5 at most so many runs
SELECT count(*) AS runs,
       count(*) FILTER (WHERE state = 'done') AS succeeded,
       count(*) FILTER (WHERE state IN ('failed', 'dismissed')) AS failed,
       count(*) FILTER (WHERE state = 'running') AS waiting,
       count(*) FILTER (WHERE restarts > 0 OR state IN ('failed', 'dismissed')) AS manual,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
  FROM (SELECT state, restarts,
               CASE WHEN state = 'done' AND restarts = 0
                    THEN greatest(extract(epoch FROM ended_at
                                      - coalesce(triggered_at, created_at)), 0)::float8 END AS seconds
          FROM recipe_run
         WHERE workspace_id = $1
           AND app_id = $2
           AND recipe = $3
           AND created_at >= $4
         ORDER BY id DESC
         LIMIT $5) AS newest;

-- name: runs_over_time
-- How the newest runs of an app's recipe have gone, in spans of time from the oldest on.
--   $1 workspace, $2 app, $3 recipe, $4 since, $5 span, $6 at most so many runs
SELECT date_bin($5::interval, created_at, $4) AS begins_at,
       count(*) FILTER (WHERE state = 'done') AS succeeded,
       count(*) FILTER (WHERE state IN ('failed', 'dismissed')) AS failed,
       count(*) FILTER (WHERE state = 'running') AS waiting,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
  FROM (SELECT state, created_at,
               CASE WHEN state = 'done' AND restarts = 0
                    THEN greatest(extract(epoch FROM ended_at
                                      - coalesce(triggered_at, created_at)), 0)::float8 END AS seconds
          FROM recipe_run
         WHERE workspace_id = $1
           AND app_id = $2
           AND recipe = $3
           AND created_at >= $4
         ORDER BY id DESC
         LIMIT $6) AS newest
 GROUP BY begins_at
 ORDER BY begins_at;

-- name: errors_of_runs
-- The problems of the newest failed runs of an app's recipe since a moment, by code. (A problem begins
-- with its code; the rest may hold what jsonb does not take.)
--   $1 workspace, $2 app, $3 recipe, $4 since, $5 at most so many runs
SELECT code, count(*) AS how_many, max(ended_at) AS last_at,
       (array_agg(problem ORDER BY id DESC))[1] AS newest
  FROM (SELECT coalesce(substring(problem FROM '^[{]"code": "([a-z-]+)"'), 'internal') AS code,
               ended_at, problem, id
          FROM recipe_run
         WHERE workspace_id = $1
           AND app_id = $2
           AND recipe = $3
           AND created_at >= $4
           AND problem IS NOT NULL
         ORDER BY id DESC
         LIMIT $5) AS newest
 GROUP BY code
 ORDER BY how_many DESC, code;

-- name: steps_of_run
-- The steps of a run as people look at them.
--   $1 workspace, $2 run
SELECT name, state, attempts, failures, error, outcome, checkpoint, started_at, ended_at
  FROM recipe_step
 WHERE workspace_id = $1
   AND run_id = $2
 ORDER BY position;

-- name: outcomes_of_runs
-- What a step of some runs has found.
--   $1 workspace, $2 runs, $3 step
SELECT run_id, outcome
  FROM recipe_step
 WHERE workspace_id = $1
   AND run_id = ANY ($2::uuid[])
   AND name = $3
   AND outcome IS NOT NULL;

-- name: purge_runs
-- Delete the inputs and steps of some runs that ended three months ago; their results stay.
--   $1 how many
WITH old AS (
    SELECT workspace_id, id
      FROM recipe_run
     WHERE state IN ('done', 'dismissed')
       AND ended_at < now() - interval '90 days'
       AND input <> '{}'
     ORDER BY ended_at
     LIMIT $1
), steps AS (
    DELETE FROM recipe_step
     USING old
     WHERE recipe_step.workspace_id = old.workspace_id
       AND recipe_step.run_id = old.id
)
UPDATE recipe_run
   SET input = '{}'
  FROM old
 WHERE recipe_run.workspace_id = old.workspace_id
   AND recipe_run.id = old.id;
