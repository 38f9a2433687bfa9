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
-- Be the one who asks for a token; nobody, when somebody does already or has just done.
--   $1 workspace, $2 vendor, $3 client, $4 how long the others wait, $5 hash of the client's secret
INSERT INTO vendor_client (workspace_id, vendor, client_id, token_locked_until)
VALUES ($1, $2, $3, now() + $4::interval)
ON CONFLICT (workspace_id, vendor, client_id) DO UPDATE
   SET token_locked_until = now() + $4::interval
 WHERE (vendor_client.token_locked_until IS NULL OR vendor_client.token_locked_until <= now())
   AND (vendor_client.access_token IS NULL
        OR vendor_client.secret_hash <> $5
        OR vendor_client.expires_at <= now())
RETURNING client_id;

-- name: store_vendor_token
-- Keep a fresh token.
--   $1 workspace, $2 vendor, $3 client, $4 token, $5 lifetime, $6 hash of the client's secret
UPDATE vendor_client
   SET access_token = $4, expires_at = now() + $5::interval, token_locked_until = NULL, secret_hash = $6
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3;

-- name: unlock_vendor_token
-- No token came; another may ask.
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

-- name: reserve_vendor_slot
-- Take the next place within a limit of so many calls a minute; how many seconds it is away. The
-- place of the call that many calls ago must be a minute old.
--   $1 workspace, $2 vendor, $3 client, $4 kind, $5 calls a minute, $6 the minute
INSERT INTO vendor_rate_limit AS rate_limit (workspace_id, vendor, client_id, kind, position, slots)
VALUES ($1, $2, $3, $4, 1, ARRAY[clock_timestamp()])
ON CONFLICT (workspace_id, vendor, client_id, kind) DO UPDATE
   SET position = rate_limit.position % $5 + 1,
       slots[rate_limit.position % $5 + 1] = greatest(clock_timestamp(), rate_limit.paused_until,
                                                rate_limit.slots[rate_limit.position % $5 + 1] + $6::interval)
RETURNING extract(epoch FROM rate_limit.slots[rate_limit.position])::float8 AS place,
          extract(epoch FROM clock_timestamp())::float8 AS now;

-- name: vendor_paused_until
-- Until when a vendor wants no call, and what time it is, in seconds since 1970.
--   $1 workspace, $2 vendor, $3 client, $4 kind
SELECT (SELECT extract(epoch FROM paused_until)::float8
          FROM vendor_rate_limit
         WHERE workspace_id = $1
           AND vendor = $2
           AND client_id = $3
           AND kind = $4) AS paused_until,
       extract(epoch FROM clock_timestamp())::float8 AS now;

-- name: pause_vendor
-- The vendor said to wait.
--   $1 workspace, $2 vendor, $3 client, $4 kind, $5 how long
UPDATE vendor_rate_limit
   SET paused_until = greatest(paused_until, clock_timestamp() + $5::interval)
 WHERE workspace_id = $1
   AND vendor = $2
   AND client_id = $3
   AND kind = $4;
