-- name: record_audit
-- Write down who did what, chained to the entry before; the head's row lock orders the entries.
--   $1 workspace, $2 time, $3 actor, $4 via, $5 address or null, $6 action, $7 app slug or null,
--   $8 user reference or null, $9 detail or null, $10 the content that the hash covers
WITH head AS (
    INSERT INTO audit_head AS known (workspace_id, sequence, hash)
    VALUES ($1, 1, sha256(int8send(1::bigint) || $10::bytea))
    ON CONFLICT (workspace_id) DO UPDATE
       SET sequence = known.sequence + 1,
           hash = sha256(known.hash || int8send(known.sequence + 1) || $10::bytea)
    RETURNING sequence, hash
)
INSERT INTO audit (workspace_id, sequence, at, actor, via, address, action, app_slug, user_ref,
                   detail, hash)
SELECT $1, head.sequence, $2, $3, $4, $5, $6, $7, $8, $9, head.hash
  FROM head;

-- name: audit_page
-- Entries of a workspace, newest first.
--   $1 workspace, $2 from this time or null, $3 actor or null, $4 action or null,
--   $5 beginning of actions or null, $6 app slugs or null, $7 before this sequence or null, $8 limit
SELECT audit.sequence, audit.at, audit.actor, api_key.name AS actor_name, audit.via, audit.address,
       audit.action, audit.app_slug, audit.user_ref, audit.detail, audit.hash
  FROM audit
  LEFT JOIN api_key
    ON api_key.workspace_id = audit.workspace_id
   AND api_key.id::text = audit.actor
 WHERE audit.workspace_id = $1
   AND ($2::timestamptz IS NULL OR audit.at >= $2)
   AND ($3::text IS NULL OR audit.actor = $3)
   AND ($4::text IS NULL OR audit.action = $4)
   AND ($5::text IS NULL OR starts_with(audit.action, $5))
   AND ($6::text[] IS NULL OR audit.app_slug = ANY ($6))
   AND ($7::bigint IS NULL OR audit.sequence < $7)
 ORDER BY audit.sequence DESC
 LIMIT $8;

-- name: audit_head_of
-- The last entry of a workspace.
--   $1 workspace
SELECT sequence, hash
  FROM audit_head
 WHERE workspace_id = $1;

-- name: audit_from
-- Entries after a sequence, up to another, in their order.
--   $1 workspace, $2 after this sequence, $3 the last one, $4 limit
SELECT sequence, at, actor, via, address, action, app_slug, user_ref, detail, hash
  FROM audit
 WHERE workspace_id = $1
   AND sequence > $2
   AND sequence <= $3
 ORDER BY sequence
 LIMIT $4;
