-- name: attention
-- What of some apps may need a person, by kind: failed runs, recipes that are unhealthy, deliveries that
-- were given up, endpoints that refuse, and calls of the last hour: all, those answered 429, and those
-- answered 5xx.
--   $1 workspace, $2 apps
SELECT app_id, 'failed-runs' AS kind, recipe, count(*) AS number
  FROM recipe_run
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND state = 'failed'
 GROUP BY app_id, recipe
UNION ALL
SELECT app_id, 'unhealthy-recipe', recipe, 1
  FROM recipe_health
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND unhealthy_at IS NOT NULL
UNION ALL
SELECT endpoint.app_id, 'dead-deliveries', NULL, count(*)
  FROM delivery
  JOIN endpoint
    ON endpoint.workspace_id = delivery.workspace_id
   AND endpoint.id = delivery.endpoint_id
 WHERE delivery.workspace_id = $1
   AND endpoint.app_id = ANY ($2::uuid[])
   AND delivery.state = 'dead'
 GROUP BY endpoint.app_id
UNION ALL
SELECT app_id, 'endpoints', NULL, count(*)
  FROM endpoint
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND (failures > 0 OR disabled_because IS NOT NULL)
 GROUP BY app_id
UNION ALL
SELECT app_id, 'calls', NULL, count(*)
  FROM proxied_call
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND at >= now() - interval '1 hour'
 GROUP BY app_id
UNION ALL
SELECT app_id, 'limited-calls', NULL, count(*)
  FROM proxied_call
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND at >= now() - interval '1 hour'
   AND status = 429
 GROUP BY app_id
UNION ALL
SELECT app_id, 'failed-calls', NULL, count(*)
  FROM proxied_call
 WHERE workspace_id = $1
   AND app_id = ANY ($2::uuid[])
   AND at >= now() - interval '1 hour'
   AND status >= 500
 GROUP BY app_id;
