-- Recipes: their settings, their runs, a vendor's tokens and limits, cases and what a vendor tells
-- depends: 0004-pages

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- What an app wants of a recipe. The secrets are one sealed JSON object.
CREATE TABLE recipe_setting (
    workspace_id     uuid        NOT NULL,
    app_id           uuid        NOT NULL,
    recipe           text        NOT NULL,
    settings         text        NOT NULL,
    secrets          bytea       NOT NULL,  -- sealed
    trigger_property text,
    trigger_value    text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, recipe),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);

-- One execution of a recipe, one for each subject. Whoever claims it moves `due_at` ahead, which is
-- the lease, and `claim` up, which is the fence. A run that has ended is due never.
CREATE TABLE recipe_run (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    number       bigint      GENERATED ALWAYS AS IDENTITY,
    app_id       uuid        NOT NULL,
    recipe       text        NOT NULL,
    version      integer     NOT NULL,
    subject      text        NOT NULL,
    user_ref     text,
    hub_id       bigint,
    input        text        NOT NULL,
    state        text        NOT NULL DEFAULT 'running',
    result       text,
    problem      text,
    claim        integer     NOT NULL DEFAULT 0,
    due_at       timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT run_once_per_subject UNIQUE (workspace_id, app_id, recipe, subject),
    CONSTRAINT run_state_is_known CHECK (state IN ('running', 'done', 'failed')),
    CONSTRAINT run_due_while_running CHECK ((due_at IS NOT NULL) = (state = 'running'))
);
CREATE INDEX run_due ON recipe_run (workspace_id, app_id, recipe, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX run_by_number ON recipe_run (workspace_id, app_id, recipe, number);
CREATE INDEX run_by_end ON recipe_run (ended_at) WHERE state = 'done';

-- How far a run is: what each step gave, stored before the next begins. `unsure` says that an
-- attempt began whose outcome nobody learnt; `note` is the step's own memory between attempts.
CREATE TABLE recipe_step (
    workspace_id uuid        NOT NULL,
    run_id       uuid        NOT NULL,
    name         text        NOT NULL,
    position     integer     NOT NULL,
    state        text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 1,
    failures     integer     NOT NULL DEFAULT 0,
    unsure       boolean     NOT NULL DEFAULT false,
    note         text,
    outcome      text,
    error        text,
    began_at     timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (workspace_id, run_id, name),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT step_state_is_known CHECK (state IN ('running', 'waiting', 'done', 'failed'))
);

-- A workflow action of HubSpot's that waits for a run's end.
CREATE TABLE recipe_action (
    workspace_id uuid        NOT NULL,
    run_id       uuid        NOT NULL,
    callback_id  text        NOT NULL,
    user_ref     text        NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, run_id, callback_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX action_due ON recipe_action (due_at);

-- A client of a vendor's API with its token, for all replicas. While `minting_until` lies ahead
-- somebody asks for a new one.
CREATE TABLE vendor_client (
    workspace_id  uuid        NOT NULL,
    vendor        text        NOT NULL,
    client_id     text        NOT NULL,
    access_token  bytea,      -- sealed
    secret_hash   bytea,
    expires_at    timestamptz,
    minting_until timestamptz,
    PRIMARY KEY (workspace_id, vendor, client_id)
);

-- How much of a vendor's limit is used, by all replicas: when each of the last calls was due.
CREATE TABLE vendor_pace (
    workspace_id uuid          NOT NULL,
    vendor       text          NOT NULL,
    client_id    text          NOT NULL,
    kind         text          NOT NULL,
    position     integer       NOT NULL,
    slots        timestamptz[] NOT NULL,
    held_until   timestamptz,
    PRIMARY KEY (workspace_id, vendor, client_id, kind)
);

-- A case at First Mile Labs and what the Company should show of it. What is owed to the Company is
-- due; `revision` is the fence against a writer who does not know the latest.
CREATE TABLE kyb_case (
    workspace_id  uuid        NOT NULL,
    run_id        uuid        NOT NULL,
    app_id        uuid        NOT NULL,
    crm_source    text        NOT NULL,
    crm_record_id text        NOT NULL,
    case_id       text,
    status        text,
    status_at     timestamptz,
    stage         text,
    stage_at      timestamptz,
    decision      text,
    decision_at   timestamptz,
    last_event_at timestamptz,
    revision      integer     NOT NULL DEFAULT 0,
    attempts      integer     NOT NULL DEFAULT 0,
    due_at        timestamptz,
    last_error    text,
    PRIMARY KEY (workspace_id, run_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX kyb_case_by_case ON kyb_case (workspace_id, app_id, case_id);
CREATE INDEX kyb_case_by_record ON kyb_case (workspace_id, app_id, crm_record_id);
CREATE INDEX kyb_case_due ON kyb_case (due_at) WHERE due_at IS NOT NULL;

-- What First Mile Labs told, once by its id. It is relayed once, even if it is applied later, when
-- its run comes. The body is forgotten long before the id.
CREATE TABLE vendor_event (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    event_id     text        NOT NULL,
    name         text        NOT NULL,
    case_id      text,
    record_id    text,
    body         text,
    state        text        NOT NULL DEFAULT 'waiting',
    failures     integer     NOT NULL DEFAULT 0,
    due_at       timestamptz,
    received_at  timestamptz NOT NULL DEFAULT now(),
    relayed_at   timestamptz,
    PRIMARY KEY (workspace_id, app_id, event_id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT vendor_event_state_is_known CHECK (state IN ('waiting', 'applied', 'parked')),
    CONSTRAINT vendor_event_due_while_waiting CHECK ((due_at IS NOT NULL) = (state = 'waiting'))
);
CREATE INDEX vendor_event_due ON vendor_event (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX vendor_event_parked ON vendor_event (workspace_id, app_id, received_at)
    WHERE state = 'parked';
CREATE INDEX vendor_event_by_time ON vendor_event (received_at) WHERE body IS NOT NULL;

-- migrate: rollback
DROP TABLE vendor_event, kyb_case, vendor_pace, vendor_client, recipe_action, recipe_step, recipe_run,
    recipe_setting;
