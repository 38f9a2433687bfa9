-- A call's key is its place in the order that the log is read in: one index the less to write
-- depends: 0005-recipes

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '300s';

ALTER TABLE proxied_call DROP CONSTRAINT proxied_call_pkey;
ALTER TABLE proxied_call ADD PRIMARY KEY (workspace_id, app_id, at, id);
DROP INDEX proxied_call_by_time;
-- The request's id is the call's own.
ALTER TABLE proxied_call DROP COLUMN request_id;
-- A call for a user without a connection is logged too.
ALTER TABLE proxied_call ALTER COLUMN connection_id DROP NOT NULL;

-- migrate: rollback
DELETE FROM proxied_call WHERE connection_id IS NULL;
ALTER TABLE proxied_call ALTER COLUMN connection_id SET NOT NULL;
ALTER TABLE proxied_call ADD COLUMN request_id text NOT NULL DEFAULT '';
UPDATE proxied_call SET request_id = replace(id::text, '-', '');
ALTER TABLE proxied_call ALTER COLUMN request_id DROP DEFAULT;
CREATE INDEX proxied_call_by_time ON proxied_call (workspace_id, app_id, at, id);
ALTER TABLE proxied_call DROP CONSTRAINT proxied_call_pkey;
ALTER TABLE proxied_call ADD PRIMARY KEY (workspace_id, id);
