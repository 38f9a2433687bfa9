-- name: versions_of_shop_orders
-- Which versions of some orders of a shop the deals of a HubSpot account show.
--   $1 workspace, $2 app, $3 hub, $4 shop, $5 order ids
SELECT order_id, version, deal_id
  FROM shop_order
 WHERE workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND shop = $4
   AND order_id = ANY ($5::text[]);

-- name: page_of_shop_orders
-- Orders of a shop after one, with the versions that the deals of a HubSpot account show.
--   $1 workspace, $2 app, $3 hub, $4 shop, $5 order id, $6 limit
SELECT order_id, version
  FROM shop_order
 WHERE workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND shop = $4
   AND order_id > $5
 ORDER BY order_id
 LIMIT $6;

-- name: record_shop_order
-- A deal shows this version of its order.
--   $1 workspace, $2 app, $3 hub, $4 shop, $5 order id, $6 version, $7 deal
INSERT INTO shop_order (workspace_id, app_id, hub_id, shop, order_id, version, deal_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (workspace_id, app_id, hub_id, shop, order_id) DO UPDATE
   SET version = $6, deal_id = $7, written_at = EXCLUDED.written_at;

-- name: discard_shop_order
-- It is not known which version of an order its deal shows.
--   $1 workspace, $2 app, $3 hub, $4 shop, $5 order id
DELETE FROM shop_order
 WHERE workspace_id = $1
   AND app_id = $2
   AND hub_id = $3
   AND shop = $4
   AND order_id = $5;

-- name: purge_shop_orders
-- Delete some of the versions that no poll finds any more: they were written a month ago.
--   $1 how many
WITH old AS (
    SELECT workspace_id, app_id, hub_id, shop, order_id
      FROM shop_order
     WHERE written_at < now() - interval '30 days'
     ORDER BY written_at
     LIMIT $1
)
DELETE FROM shop_order
 USING old
 WHERE shop_order.workspace_id = old.workspace_id
   AND shop_order.app_id = old.app_id
   AND shop_order.hub_id = old.hub_id
   AND shop_order.shop = old.shop
   AND shop_order.order_id = old.order_id;
