-- The call log: a call for a user without a connection stands in it too
-- depends: 0005-recipes

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE proxied_call ALTER COLUMN connection_id DROP NOT NULL;

-- migrate: rollback
DELETE FROM proxied_call WHERE connection_id IS NULL;
ALTER TABLE proxied_call ALTER COLUMN connection_id SET NOT NULL;
