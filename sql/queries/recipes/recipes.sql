-- name: put_recipe_setting
-- Write what an app wants of a recipe.
--   $1 workspace, $2 app, $3 recipe, $4 settings, $5 secrets, $6 trigger property, $7 its value
INSERT INTO recipe_setting (workspace_id, app_id, recipe, settings, secrets, trigger_property,
                            trigger_value)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace_id, app_id, recipe) DO UPDATE
   SET settings = $4, secrets = $5, trigger_property = $6, trigger_value = $7, updated_at = now();

-- name: recipe_setting_of_app
-- What an app wants of a recipe.
--   $1 workspace, $2 app, $3 recipe
SELECT settings, secrets, created_at, updated_at
  FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: recipe_setting_of_slug
-- What a live app wants of a recipe, by the app's slug.
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
-- An app no longer wants a recipe.
--   $1 workspace, $2 app, $3 recipe
DELETE FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND recipe = $3;

-- name: triggers_of_app
-- Which changes of a Company start which recipe of an app.
--   $1 workspace, $2 app
SELECT recipe, trigger_property, trigger_value
  FROM recipe_setting
 WHERE workspace_id = $1
   AND app_id = $2
   AND trigger_property IS NOT NULL;
