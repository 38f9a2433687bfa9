-- name: wake_polls_of_user
-- A user has connected: the recipes that poll for this user begin, or go on, now.
--   $1 workspace, $2 app, $3 its slug, $4 user reference
-- wakes: polls
INSERT INTO recipe_poll AS poll (workspace_id, app_id, recipe, user_ref)
SELECT workspace_id, app_id, recipe, $4
  FROM recipe_setting
 WHERE workspace_id = $1
   AND (app_id = $2 OR polled_app = $3)
   AND polled_app IS NOT NULL
ON CONFLICT (workspace_id, app_id, recipe, user_ref) DO UPDATE
   SET due_at = EXCLUDED.due_at, begins_at = EXCLUDED.begins_at, claim = poll.claim + 1,
       failures = 0;

-- name: wake_polls_of_setting
-- Settings have changed: polls begin, or go on, for each connected user of the app.
--   $1 workspace, $2 app, $3 recipe
-- wakes: polls
INSERT INTO recipe_poll AS poll (workspace_id, app_id, recipe, user_ref)
SELECT workspace_id, app_id, $3, user_ref
  FROM connection
 WHERE workspace_id = $1
   AND app_id = $2
   AND status = 'ACTIVE'
ON CONFLICT (workspace_id, app_id, recipe, user_ref) DO UPDATE
   SET due_at = EXCLUDED.due_at, claim = poll.claim + 1, failures = 0;

-- name: stop_polls_of_setting
-- Settings no longer ask for polls.
--   $1 workspace, $2 app, $3 recipe
DELETE FROM recipe_poll
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: due_polls
-- Polls that are due, except those of apps that have enough under way in this process.
--   $1 recipes, $2 apps, $3 how many
SELECT poll.workspace_id, poll.app_id, poll.recipe, poll.user_ref, poll.claim, app.slug,
       now() AS looked_at
  FROM recipe_poll AS poll
  JOIN app
    ON app.workspace_id = poll.workspace_id
   AND app.id = poll.app_id
 WHERE poll.due_at <= now()
   AND poll.recipe = ANY ($1::text[])
   AND poll.app_id <> ALL ($2::uuid[])
 ORDER BY poll.due_at
 LIMIT $3;

-- name: claim_poll
-- Take a poll that is due, unless another process has taken it.
--   $1 workspace, $2 app, $3 recipe, $4 user reference, $5 claim, $6 lease
UPDATE recipe_poll
   SET due_at = now() + $6::interval, claim = claim + 1
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND user_ref = $4
   AND claim = $5
   AND due_at <= now()
RETURNING hub_id, account_id, cursor, begins_at, failures;

-- name: advance_poll
-- Write where the next poll begins, by the process that still has this one.
--   $1 workspace, $2 app, $3 recipe, $4 user reference, $5 claim, $6 hub, $7 account, $8 cursor, $9 pause
-- plans: polls
UPDATE recipe_poll
   SET hub_id = $6, account_id = $7, cursor = $8, due_at = now() + $9::interval, failures = 0,
       last_error = NULL, polled_at = now()
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND user_ref = $4
   AND claim = $5;

-- name: postpone_poll
-- A poll could not be done now; the cursor stays. Without a pause it waits until the user connects again.
--   $1 workspace, $2 app, $3 recipe, $4 user reference, $5 claim, $6 pause or null, $7 failures more, $8 error
-- plans: polls
UPDATE recipe_poll
   SET due_at = now() + $6::interval, failures = failures + $7, last_error = $8
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND user_ref = $4
   AND claim = $5;

-- name: delete_poll
-- The user is no longer connected: nothing is polled.
--   $1 workspace, $2 app, $3 recipe, $4 user reference, $5 claim
DELETE FROM recipe_poll
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
   AND user_ref = $4
   AND claim = $5;

-- name: polls_of_app
-- Polls for an app's users as people look at them, those in trouble first.
--   $1 workspace, $2 app, $3 recipe, $4 limit
SELECT user_ref, account_id, failures, last_error, polled_at, due_at, cursor
  FROM recipe_poll
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3
 ORDER BY last_error IS NULL, user_ref
 LIMIT $4;
