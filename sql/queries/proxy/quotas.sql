-- name: lock_quota
-- Lock a quota, inserted with these values when it is new; what is known of it.
--   $1 workspace, $2 app, $3 account, $4 kind, $5 size, $6 interval in milliseconds
INSERT INTO quota (workspace_id, app_id, account_id, kind, size, interval_ms)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (workspace_id, app_id, account_id, kind) DO UPDATE
   SET synced_at = EXCLUDED.synced_at
RETURNING size, interval_ms, size_known,
          extract(epoch FROM exhausted_until - synced_at)::float8 AS exhausted_for;

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
   SET permits = $6, users = $7, waiting = $8, expires_at = EXCLUDED.expires_at;

-- name: notify_quota
-- Tell the other processes that permits of a quota are wanted, or were returned.
--   $1 "wanted" or "available", the holder and the quota's name
SELECT pg_notify('broker_quota', $1);

-- part: share_and_whether_wanted
-- A share of this process that was just given a time to expire, so many seconds ahead (`left`), and
-- whether another process waits for permits of its quota.
mine.workspace_id, mine.app_id, mine.account_id, mine.kind,
          EXISTS (SELECT 1
                    FROM quota_share AS other
                   WHERE other.workspace_id = $1
                     AND other.app_id = mine.app_id
                     AND other.account_id = mine.account_id
                     AND other.kind = mine.kind
                     AND other.holder <> $2
                     AND other.waiting
                     AND mine.expires_at - other.expires_at
                         < make_interval(secs => named.ahead)) AS wanted;

-- name: extend_shares
-- Keep this process's shares in a workspace from expiring; those that have not, and whether others wait.
--   $1 workspace, $2 holder, $3 apps, $4 accounts, $5 kinds (one each), $6 seconds until they expire
UPDATE quota_share AS mine
   SET expires_at = now() + make_interval(secs => $6)
  FROM (SELECT app_id, account_id, kind, $6::float8 AS ahead
          FROM unnest($3::uuid[], $4::text[], $5::text[]) AS given (app_id, account_id, kind)) AS named
 WHERE mine.workspace_id = $1
   AND mine.app_id = named.app_id
   AND mine.account_id = named.account_id
   AND mine.kind = named.kind
   AND mine.holder = $2
   AND mine.expires_at > now()
RETURNING {share_and_whether_wanted};

-- name: release_shares
-- Let this process's shares of some quotas of a workspace expire, each after a while; whether others wait.
--   $1 workspace, $2 holder, $3 apps, $4 accounts, $5 kinds, $6 seconds (one each)
WITH named AS (
    SELECT share.app_id, share.account_id, share.kind, given.ahead,
           now() + make_interval(secs => given.ahead) AS expires_at
      FROM quota_share AS share
      JOIN unnest($3::uuid[], $4::text[], $5::text[], $6::float8[])
           AS given (app_id, account_id, kind, ahead)
        ON given.app_id = share.app_id
       AND given.account_id = share.account_id
       AND given.kind = share.kind
     WHERE share.workspace_id = $1
       AND share.holder = $2
       FOR UPDATE OF share
)
UPDATE quota_share AS mine
   SET expires_at = named.expires_at, waiting = false
  FROM named
 WHERE mine.workspace_id = $1
   AND mine.app_id = named.app_id
   AND mine.account_id = named.account_id
   AND mine.kind = named.kind
   AND mine.holder = $2
RETURNING {share_and_whether_wanted};

-- name: purge_expired_shares
-- Delete some shares that have expired.
--   $1 how many
WITH old AS (
    SELECT workspace_id, app_id, account_id, kind, holder
      FROM quota_share
     WHERE expires_at < now()
     LIMIT $1
)
DELETE FROM quota_share
 USING old
 WHERE quota_share.workspace_id = old.workspace_id
   AND quota_share.app_id = old.app_id
   AND quota_share.account_id = old.account_id
   AND quota_share.kind = old.kind
   AND quota_share.holder = old.holder;

-- name: purge_unused_quotas
-- Delete some quotas without a call for a week; their size is learnt again.
--   $1 how many
WITH old AS (
    SELECT workspace_id, app_id, account_id, kind
      FROM quota
     WHERE synced_at < now() - interval '7 days'
     LIMIT $1
)
DELETE FROM quota
 USING old
 WHERE quota.workspace_id = old.workspace_id
   AND quota.app_id = old.app_id
   AND quota.account_id = old.account_id
   AND quota.kind = old.kind;
