-- name: open_journals
-- Begin to read the journal of apps that ask for it.
INSERT INTO journal (workspace_id, app_id)
SELECT workspace_id, id
  FROM app
 WHERE journal
   AND deleted_at IS NULL
ON CONFLICT DO NOTHING;

-- name: close_journals
-- Read the journal of apps no more that do not ask for it.
DELETE FROM journal
 USING app
 WHERE app.workspace_id = journal.workspace_id
   AND app.id = journal.app_id
   AND (app.deleted_at IS NOT NULL OR NOT app.journal);

-- name: due_journals
-- Which journals should be looked at.
--   $1 how many
SELECT workspace_id, app_id
  FROM journal
 WHERE due_at <= now()
 ORDER BY due_at
 LIMIT $1;

-- name: claim_journal
-- Take a journal that should still be looked at; others leave it alone for a minute, until `due_at`.
--   $1 workspace, $2 app
WITH due AS (
    SELECT app_id
      FROM journal
     WHERE workspace_id = $1
       AND app_id = $2
       AND due_at <= now()
       FOR UPDATE SKIP LOCKED
)
UPDATE journal
   SET due_at = now() + interval '60 seconds'
  FROM due, app
 WHERE journal.workspace_id = $1
   AND journal.app_id = due.app_id
   AND app.workspace_id = $1
   AND app.id = due.app_id
RETURNING journal.workspace_id, journal.app_id, journal.position, journal.read_to,
          journal.failures, journal.due_at, app.slug, app.client_id, app.client_secret;

-- delete: claim_journals

-- name: advance_journal
-- Write how far the journal was read, unless another process has read on since; its reader
-- gets another minute.
--   $1 workspace, $2 app, $3 the position before, $4 the position now, $5 read to
UPDATE journal
   SET position = $4, read_to = greatest(read_to, $5), due_at = now() + interval '60 seconds'
 WHERE workspace_id = $1
   AND app_id = $2
   AND position IS NOT DISTINCT FROM $3;

-- name: reschedule_journal
-- Nothing more to read just now, or not readable: look again later.
--   $1 workspace, $2 app, $3 read to or null, $4 error or null, $5 time until then
-- plans: journals
UPDATE journal
   SET read_to = coalesce($3, read_to), last_error = $4,
       failures = CASE WHEN $4::text IS NULL THEN 0 ELSE failures + 1 END,
       due_at = now() + $5::interval
 WHERE workspace_id = $1
   AND app_id = $2;
