-- Triggers of any object type, dismissed runs, a rate limit in one timestamp, cases of one run
-- depends: 0006-call-log

-- migrate: apply
ALTER TABLE recipe_setting DROP COLUMN trigger_property, DROP COLUMN trigger_value, ADD COLUMN triggers text;
ALTER TABLE recipe_run DROP CONSTRAINT run_state_is_known,
    ADD CONSTRAINT run_state_is_known CHECK (state IN ('running', 'done', 'failed', 'dismissed'));
DROP INDEX run_by_end;
CREATE INDEX run_by_end ON recipe_run (ended_at) WHERE state IN ('done', 'dismissed');
DROP TABLE vendor_pace;
CREATE TABLE vendor_rate_limit (
    workspace_id uuid        NOT NULL,
    vendor       text        NOT NULL,
    client_id    text        NOT NULL,
    kind         text        NOT NULL,
    next_at      timestamptz NOT NULL,
    paused_until timestamptz,
    PRIMARY KEY (workspace_id, vendor, client_id, kind)
);
CREATE TABLE vendor_account (
    vendor         text        NOT NULL,
    client_id      text        NOT NULL,
    hub_id         bigint      NOT NULL,
    reserved_until timestamptz,
    PRIMARY KEY (vendor, client_id)
);
ALTER TABLE kyb_case ADD COLUMN client_id text NOT NULL DEFAULT '';
ALTER TABLE kyb_case ALTER COLUMN client_id DROP DEFAULT;
ALTER TABLE kyb_case ADD CONSTRAINT case_belongs_to_one_run UNIQUE (workspace_id, client_id, case_id);

-- migrate: rollback
SELECT 1;
