-- name: enqueue_task
-- Something is to be done for a run once the run has ended; enqueued again, it is done again.
--   $1 workspace, $2 run, $3 kind, $4 key, $5 payload
-- wakes: tasks of runs
INSERT INTO recipe_task AS task (workspace_id, run_id, kind, key, payload)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (workspace_id, run_id, kind, key) DO UPDATE
   SET payload = $5, revision = task.revision + 1, attempts = 0, due_at = EXCLUDED.due_at,
       last_error = NULL;

-- name: due_tasks
-- In which workspaces tasks of ended runs are due, a row for each task.
--   $1 kinds, $2 how many
SELECT task.workspace_id
  FROM recipe_task AS task
  JOIN recipe_run AS run
    ON run.workspace_id = task.workspace_id
   AND run.id = task.run_id
   AND run.state <> 'running'
  JOIN app
    ON app.workspace_id = run.workspace_id
   AND app.id = run.app_id
   AND app.deleted_at IS NULL
 WHERE task.due_at <= now()
   AND task.kind = ANY ($1::text[])
 ORDER BY task.due_at
 LIMIT $2;

-- name: claim_tasks
-- Claim due tasks of a workspace's ended runs; they are due again after the lease.
--   $1 workspace, $2 kinds, $3 how many, $4 lease
WITH taken AS (
    SELECT task.run_id, task.kind, task.key, run.app_id, app.slug, run.user_ref, run.hub_id
      FROM recipe_task AS task
      JOIN recipe_run AS run
        ON run.workspace_id = task.workspace_id
       AND run.id = task.run_id
       AND run.state <> 'running'
      JOIN app
        ON app.workspace_id = run.workspace_id
       AND app.id = run.app_id
       AND app.deleted_at IS NULL
     WHERE task.workspace_id = $1
       AND task.due_at <= now()
       AND task.kind = ANY ($2::text[])
     ORDER BY task.due_at
     LIMIT $3
       FOR UPDATE OF task SKIP LOCKED
)
UPDATE recipe_task AS task
   SET due_at = now() + $4::interval, attempts = task.attempts + 1
  FROM taken
 WHERE task.workspace_id = $1
   AND task.run_id = taken.run_id
   AND task.kind = taken.kind
   AND task.key = taken.key
RETURNING task.workspace_id, task.run_id, task.kind, task.key, task.payload, task.revision,
          task.attempts, taken.app_id, taken.slug, taken.user_ref, taken.hub_id;

-- name: settle_task
-- A task is done, or given up with an error; one that was enqueued again meanwhile is due at once.
--   $1 workspace, $2 run, $3 kind, $4 key, $5 revision, $6 error or null
UPDATE recipe_task
   SET due_at = CASE WHEN revision = $5 THEN NULL ELSE clock.now END, last_error = $6
  FROM (SELECT now() AS now) AS clock
 WHERE workspace_id = $1
   AND run_id = $2
   AND kind = $3
   AND key = $4;

-- name: reschedule_task
-- A task could not be done now.
--   $1 workspace, $2 run, $3 kind, $4 key, $5 pause, $6 error
-- plans: tasks of runs
UPDATE recipe_task
   SET due_at = now() + $5::interval, last_error = $6
 WHERE workspace_id = $1
   AND run_id = $2
   AND kind = $3
   AND key = $4;
