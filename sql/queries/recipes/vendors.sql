-- name: vendor_token
-- A client's token, and how many seconds it is good for.
--   $1 workspace, $2 vendor, $3 client, $4 hash of the client's secret
SELECT access_token, extract(epoch FROM expires_at - now())::float8 AS expires_in
  FROM vendor_client
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND secret_hash = $4
   AND access_token IS NOT NULL;

-- name: lock_vendor_token
-- Be the process that asks for a token; no row when another is, or when a token is stored.
--   $1 workspace, $2 vendor, $3 client, $4 how long the others wait, $5 hash of the client's secret
INSERT INTO vendor_client (workspace_id, vendor, client_id, token_locked_until)
VALUES ($1, $2, $3, now() + $4::interval)
ON CONFLICT (workspace_id, vendor, client_id) DO UPDATE
   SET token_locked_until = EXCLUDED.token_locked_until
 WHERE (vendor_client.token_locked_until IS NULL
        OR EXCLUDED.token_locked_until - vendor_client.token_locked_until >= $4::interval)
   AND (vendor_client.access_token IS NULL
        OR vendor_client.secret_hash <> $5
        OR EXCLUDED.token_locked_until - vendor_client.expires_at >= $4::interval)
RETURNING client_id;

-- name: store_vendor_token
-- Store a fresh token.
--   $1 workspace, $2 vendor, $3 client, $4 token, $5 lifetime, $6 hash of the client's secret
UPDATE vendor_client
   SET access_token = $4, expires_at = now() + $5::interval, token_locked_until = NULL, secret_hash = $6
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3;

-- name: unlock_vendor_token
-- No token was issued; another process may ask.
--   $1 workspace, $2 vendor, $3 client
UPDATE vendor_client
   SET token_locked_until = NULL
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3;

-- name: delete_vendor_token
-- A token died before its time, unless it was replaced since.
--   $1 workspace, $2 vendor, $3 client, $4 the sealed token
UPDATE vendor_client
   SET access_token = NULL, expires_at = NULL
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND access_token = $4;

-- name: insert_vendor_rate_limit
-- A client's rate limit that was never used.
--   $1 workspace, $2 vendor, $3 client, $4 kind
INSERT INTO vendor_rate_limit (workspace_id, vendor, client_id, kind, next_at)
VALUES ($1, $2, $3, $4, now())
ON CONFLICT DO NOTHING;

-- name: lock_vendor_slot
-- Lock a rate limit to reserve its next slot (GCRA: `next_at` is when the limit would be unused again): when
-- the slot is and what time it is, in seconds since 1970, and when the limit would be unused after it.
--   $1 workspace, $2 vendor, $3 client, $4 kind, $5 time between slots, $6 how far slots may be ahead
SELECT extract(epoch FROM greatest(
           greatest(next_at, clock_timestamp(), paused_until) - $6::interval, paused_until,
           clock_timestamp()))::float8 AS slot,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       greatest(next_at, clock_timestamp(), paused_until) + $5::interval AS next_at
  FROM vendor_rate_limit
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND kind = $4
   FOR UPDATE;

-- name: reserve_vendor_slot
-- Reserve the slot of a locked rate limit.
--   $1 workspace, $2 vendor, $3 client, $4 kind, $5 when the limit would be unused after it
UPDATE vendor_rate_limit
   SET next_at = $5
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND kind = $4;

-- name: vendor_paused_until
-- Until when a vendor takes no call, and what time it is, in seconds since 1970.
--   $1 workspace, $2 vendor, $3 client, $4 kind
SELECT (SELECT extract(epoch FROM paused_until)::float8
          FROM vendor_rate_limit
         WHERE workspace_id = $1
           AND vendor = $2
           AND client_id = $3
           AND kind = $4) AS paused_until,
       extract(epoch FROM clock_timestamp())::float8 AS now;

-- name: pause_vendor
-- The vendor is rate limiting: no slot before its Retry-After.
--   $1 workspace, $2 vendor, $3 client, $4 kind, $5 how long
WITH pause AS (
    SELECT greatest(paused_until, clock_timestamp() + $5::interval) AS ends_at
      FROM vendor_rate_limit
     WHERE workspace_id = $1
       AND vendor = $2
       AND client_id = $3
       AND kind = $4
       FOR UPDATE
)
UPDATE vendor_rate_limit
   SET paused_until = pause.ends_at
  FROM pause
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND kind = $4;

-- name: reserve_vendor_account
-- Reserve a client for a HubSpot account, unless another account has it; the account that has it.
--   $1 vendor, $2 client, $3 workspace, $4 hub, $5 how long a reservation holds
INSERT INTO vendor_account AS account (vendor, client_id, workspace_id, hub_id, reserved_until)
VALUES ($1, $2, $3, $4, now() + $5::interval)
ON CONFLICT (vendor, client_id) DO UPDATE
   SET hub_id = CASE WHEN EXCLUDED.reserved_until - account.reserved_until > $5::interval THEN $4
                     ELSE account.hub_id END,
       workspace_id = CASE WHEN EXCLUDED.reserved_until - account.reserved_until > $5::interval THEN $3
                           ELSE account.workspace_id END,
       reserved_until = CASE WHEN account.reserved_until IS NULL THEN NULL
                             WHEN account.hub_id = $4
                                  OR EXCLUDED.reserved_until - account.reserved_until > $5::interval
                             THEN EXCLUDED.reserved_until
                             ELSE account.reserved_until END
RETURNING hub_id, reserved_until IS NULL AS confirmed;

-- name: confirm_vendor_account
-- The client's first case is made: it serves this account from now on.
--   $1 vendor, $2 client, $3 hub
UPDATE vendor_account
   SET reserved_until = NULL
 WHERE vendor = $1
   AND client_id = $2
   AND hub_id = $3
   AND reserved_until IS NOT NULL;

-- name: account_of_vendor_client
-- The HubSpot account that a client serves, if a run of this workspace has reserved it.
--   $1 vendor, $2 client, $3 workspace
SELECT hub_id
  FROM vendor_account
 WHERE vendor = $1
   AND client_id = $2
   AND workspace_id = $3
   AND reserved_until IS NULL;
