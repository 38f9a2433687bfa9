-- name: watch_health
-- A recipe of an app has thresholds: judge it.
--   $1 workspace, $2 app, $3 recipe
-- wakes: recipe health
INSERT INTO recipe_health (workspace_id, app_id, recipe, due_at)
VALUES ($1, $2, $3, now())
ON CONFLICT (workspace_id, app_id, recipe) DO UPDATE
   SET due_at = excluded.due_at;

-- name: stop_watching_health
-- A recipe of an app has no thresholds any more.
--   $1 workspace, $2 app, $3 recipe
DELETE FROM recipe_health
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: wake_health
-- A run has ended: judge its recipe soon, where there are thresholds.
--   $1 workspace, $2 app, $3 recipe, $4 pause
-- plans: recipe health
UPDATE recipe_health
   SET due_at = now() + $4::interval
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND (due_at IS NULL OR due_at > now() + $4::interval);

-- name: due_health
-- Recipes that are due to be judged.
--   $1 at most so many
SELECT workspace_id, app_id, recipe
  FROM recipe_health
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_health
-- Claim a recipe that is due, unless another process has; `due_at` is the fence.
--   $1 workspace, $2 app, $3 recipe, $4 lease
UPDATE recipe_health AS health
   SET due_at = now() + $4::interval
  FROM recipe_setting AS setting, app
 WHERE health.workspace_id = $1
   AND health.app_id = $2
   AND health.recipe = $3
   AND health.due_at <= now()
   AND setting.workspace_id = health.workspace_id
   AND setting.app_id = health.app_id
   AND setting.recipe = health.recipe
   AND app.workspace_id = health.workspace_id
   AND app.id = health.app_id
RETURNING health.due_at, app.slug, setting.settings;

-- name: health_of_window
-- How the newest runs that have ended went; the latency in seconds, of those that needed nobody.
--   $1 workspace, $2 app, $3 recipe, $4 how many
SELECT count(*) AS runs,
       count(*) FILTER (WHERE state = 'done') AS succeeded,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95
  FROM (SELECT state,
               CASE WHEN state = 'done' AND restarts = 0
                    THEN greatest(extract(epoch FROM ended_at
                                      - coalesce(triggered_at, created_at)), 0)::float8 END AS seconds
          FROM recipe_run
         WHERE workspace_id = $1
           AND app_id = $2
           AND recipe = $3
           AND state <> 'running'
         ORDER BY id DESC
         LIMIT $4) AS newest;

-- name: lock_health
-- Lock what was found last, if nobody else judges it meanwhile.
--   $1 workspace, $2 app, $3 recipe
SELECT unhealthy_at, now() AS judged_at
  FROM recipe_health
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   FOR UPDATE;

-- name: judge_health
-- What was found; due again only when a run has ended meanwhile.
--   $1 workspace, $2 app, $3 recipe, $4 the claim's due_at, $5 since when it is unhealthy or null,
--   $6 which thresholds are crossed
UPDATE recipe_health
   SET due_at = CASE WHEN due_at = $4 THEN NULL ELSE due_at END,
       unhealthy_at = $5,
       crossed = $6
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: found_health
-- What was found last.
--   $1 workspace, $2 app, $3 recipe
SELECT unhealthy_at, crossed
  FROM recipe_health
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: count_unhealthy
-- How many apps have a recipe that is unhealthy now.
SELECT recipe, count(*) FILTER (WHERE unhealthy_at IS NOT NULL) AS unhealthy
  FROM recipe_health
 GROUP BY recipe;
