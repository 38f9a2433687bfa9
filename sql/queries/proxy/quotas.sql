-- name: lock_quota
-- Lock a quota, inserted with these values when it is new; what is known of it.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 size, $6 interval in milliseconds
INSERT INTO quota (workspace_id, app_id, account_id, kind, size, interval_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, app_id, account_id, kind) DO UPDATE
   SET synced_at = now()
RETURNING size, interval_ms, size_known,
          extract(epoch FROM exhausted_until - now())::float8 AS exhausted_for;

-- name: set_quota_size
-- Write the size of a locked quota as the provider's headers reported it.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 size, $6 interval in milliseconds
UPDATE quota
   SET size = $5, interval_ms = $6, size_known = true
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND kind = $4;

-- name: mark_quota_exhausted
-- The provider reported that an account's daily limit is used up.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 seconds until it is worth asking again
UPDATE quota
   SET exhausted_until = now() + make_interval(secs => $5)
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND kind = $4;

-- name: other_shares_of_quota
-- What the other processes hold of a quota, and how many of them have waiting calls.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 holder
SELECT coalesce(sum(permits), 0)::bigint AS permits,
       count(*) FILTER (WHERE waiting) AS waiting,
       coalesce(sum(permits) FILTER (WHERE waiting), 0)::bigint AS waiting_permits,
       coalesce(sum(users) FILTER (WHERE waiting), 0)::bigint AS users
  FROM quota_share
 WHERE workspace_id = $1
   AND app_id = $2
   AND account_id = $3
   AND kind = $4
   AND holder <> $5
   AND expires_at > now();

-- name: write_share
-- Write what one process holds of a quota, and whether it waits for more.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 holder, $6 permits, $7 users, $8 waiting,
--   $9 seconds until it expires
INSERT INTO quota_share
       (workspace_id, app_id, account_id, kind, holder, permits, users, waiting, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9))
ON CONFLICT (workspace_id, app_id, account_id, kind, holder) DO UPDATE
   SET permits = $6, users = $7, waiting = $8, expires_at = now() + make_interval(secs => $9);

-- name: notify_quota
-- Tell the other processes that permits of a quota are wanted, or were returned.
--   $1 "wanted" or "available", the holder and the quota's name
SELECT pg_notify('broker_quota', $1);

-- part: share_and_whether_wanted
-- A share of this process, and whether another process waits for permits of its quota.
mine.workspace_id, mine.app_id, mine.account_id, mine.kind,
          EXISTS (SELECT 1
                    FROM quota_share AS other
                   WHERE other.workspace_id = mine.workspace_id
                     AND other.app_id = mine.app_id
                     AND other.account_id = mine.account_id
                     AND other.kind = mine.kind
                     AND other.holder <> $1
                     AND other.waiting
                     AND other.expires_at > now()) AS wanted;

-- name: extend_shares
-- Keep this process's shares from expiring; those that have not, and whether others wait.
--   $1 holder, $2 workspaces, $3 apps, $4 accounts, $5 kinds (one each), $6 seconds until they expire
UPDATE quota_share AS mine
   SET expires_at = now() + make_interval(secs => $6)
  FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[])
       AS named (workspace_id, app_id, account_id, kind)
 WHERE mine.workspace_id = named.workspace_id
   AND mine.app_id = named.app_id
   AND mine.account_id = named.account_id
   AND mine.kind = named.kind
   AND mine.holder = $1
   AND mine.expires_at > now()
RETURNING {share_and_whether_wanted};

-- name: release_shares
-- Let this process's shares of some quotas expire, each after a while; whether others wait.
--   $1 holder, $2 workspaces, $3 apps, $4 accounts, $5 kinds, $6 seconds (one each)
UPDATE quota_share AS mine
   SET expires_at = now() + make_interval(secs => named.seconds), waiting = false
  FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::float8[])
       AS named (workspace_id, app_id, account_id, kind, seconds)
 WHERE mine.workspace_id = named.workspace_id
   AND mine.app_id = named.app_id
   AND mine.account_id = named.account_id
   AND mine.kind = named.kind
   AND mine.holder = $1
RETURNING {share_and_whether_wanted};

-- name: purge_expired_shares
-- Delete some shares that have expired.
--   $1 how many
DELETE FROM quota_share
 WHERE ctid = ANY (ARRAY(SELECT ctid
                           FROM quota_share
                          WHERE expires_at < now()
                          LIMIT $1));

-- name: purge_unused_quotas
-- Delete some quotas without a call for a week; their size is learnt again.
--   $1 how many
DELETE FROM quota
 WHERE ctid = ANY (ARRAY(SELECT ctid
                           FROM quota
                          WHERE synced_at < now() - interval '7 days'
                          LIMIT $1));
