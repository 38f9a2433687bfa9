-- name: lock_app_settings
-- Lock an app's recipe settings, there or not: two writers see what the other has stored.
--   $1 workspace, $2 app
SELECT id
  FROM app
 WHERE workspace_id = $1
   AND id = $2
   AND deleted_at IS NULL
   FOR NO KEY UPDATE;

-- name: put_recipe_setting
-- Write an app's settings of a recipe.
--   $1 workspace, $2 app, $3 recipe, $4 settings, $5 secrets, $6 triggers or null, $7 polled app or null
INSERT INTO recipe_setting (workspace_id, app_id, recipe, settings, secrets, triggers, polled_app)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace_id, app_id, recipe) DO UPDATE
   SET settings = $4, secrets = $5, triggers = $6, polled_app = $7, updated_at = EXCLUDED.updated_at;

-- name: recipe_setting_of_app
-- An app's settings of a recipe.
--   $1 workspace, $2 app, $3 recipe
SELECT settings, secrets, created_at, updated_at
  FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: recipe_setting_of_slug
-- A live app's settings of a recipe, by the app's slug.
--   $1 workspace, $2 slug, $3 recipe
SELECT recipe_setting.app_id, recipe_setting.settings, recipe_setting.secrets,
       recipe_setting.created_at, recipe_setting.updated_at
  FROM recipe_setting
  JOIN app
    ON app.workspace_id = recipe_setting.workspace_id
   AND app.id = recipe_setting.app_id
 WHERE app.workspace_id = $1
   AND app.slug = $2
   AND app.deleted_at IS NULL
   AND recipe_setting.recipe = $3;

-- name: delete_recipe_setting
-- Delete an app's settings of a recipe.
--   $1 workspace, $2 app, $3 recipe
DELETE FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: settings_with_triggers
-- The recipes of an app that changes of records start.
--   $1 workspace, $2 app
SELECT recipe, triggers, settings, created_at, updated_at
  FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND triggers IS NOT NULL;

-- name: settings_naming
-- Live apps' settings of a recipe in which a field has a value.
--   $1 workspace, $2 recipe, $3 field, $4 value
SELECT recipe_setting.app_id, app.slug, recipe_setting.settings, recipe_setting.created_at,
       recipe_setting.updated_at
  FROM recipe_setting
  JOIN app
    ON app.workspace_id = recipe_setting.workspace_id
   AND app.id = recipe_setting.app_id
 WHERE recipe_setting.workspace_id = $1
   AND recipe_setting.recipe = $2
   AND recipe_setting.settings::jsonb ->> $3::text = $4
   AND app.deleted_at IS NULL
 ORDER BY app.slug;

-- name: recipes_in_use
-- The recipes that any live app has settings for.
SELECT DISTINCT recipe_setting.recipe
  FROM recipe_setting
  JOIN app
    ON app.workspace_id = recipe_setting.workspace_id
   AND app.id = recipe_setting.app_id
 WHERE app.deleted_at IS NULL;
