-- Events: what HubSpot tells, what the broker tells, endpoints, deliveries, the journal
-- depends: 0002-proxy

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Which signatures of HubSpot's are taken, and whether HubSpot's journal is read for the app.
ALTER TABLE app
    ADD COLUMN legacy_signatures boolean NOT NULL DEFAULT false,
    ADD COLUMN journal           boolean NOT NULL DEFAULT false;

-- What HubSpot's webhooks or journal told about an app, as it came; gone once it is split. No
-- foreign key, for its check would wait for whoever changes the app.
CREATE TABLE batch (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    source       text        NOT NULL,
    body         bytea       NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),
    failures     integer     NOT NULL DEFAULT 0,
    parked_at    timestamptz,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT batch_source_is_known CHECK (source IN ('webhook', 'journal'))
);
CREATE INDEX batch_due ON batch (due_at) WHERE parked_at IS NULL;

-- What was told already, by a hash, for longer than HubSpot repeats itself.
CREATE TABLE told (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    fingerprint  bytea       NOT NULL,
    told_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, fingerprint)
);
CREATE INDEX told_by_time ON told (told_at);

-- Something that happened, mostly to one user of an app, as its endpoints are told. Written in the
-- transaction of the fact. No foreign key, as above.
CREATE TABLE event (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    type         text        NOT NULL,
    user_ref     text,
    payload      text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX event_by_time ON event (workspace_id, app_id, created_at);
CREATE INDEX event_by_age ON event (created_at);

-- Where an app's events are sent. `failures` counts failed attempts in a row, and while
-- `resumes_at` lies ahead nothing is sent there.
CREATE TABLE endpoint (
    workspace_id          uuid        NOT NULL,
    id                    uuid        NOT NULL,
    app_id                uuid        NOT NULL,
    url                   text        NOT NULL,
    events                text[]      NOT NULL,
    secret                bytea       NOT NULL,  -- sealed
    previous_secret       bytea,                 -- sealed
    previous_secret_until timestamptz,
    failures              integer     NOT NULL DEFAULT 0,
    resumes_at            timestamptz,
    disabled_at           timestamptz,
    disabled_because      text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX endpoint_of_app ON endpoint (workspace_id, app_id);

-- One event owed to one endpoint, until it is taken. Whoever claims it moves `due_at` ahead, which
-- is the lease, and `claim` up, which is the fence. A settled delivery is due never.
CREATE TABLE delivery (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    number       bigint      GENERATED ALWAYS AS IDENTITY,
    endpoint_id  uuid        NOT NULL,
    event_id     uuid        NOT NULL,
    state        text        NOT NULL DEFAULT 'waiting',
    attempts     integer     NOT NULL DEFAULT 0,
    claim        integer     NOT NULL DEFAULT 0,
    replayed     boolean     NOT NULL DEFAULT false,
    due_at       timestamptz,
    gives_up_at  timestamptz NOT NULL,
    last_status  integer,
    last_error   text,
    tried_at     timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, event_id) REFERENCES event (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT delivery_once_per_endpoint UNIQUE (workspace_id, event_id, endpoint_id),
    CONSTRAINT delivery_state_is_known CHECK (state IN ('waiting', 'delivered', 'dead')),
    CONSTRAINT delivery_due_while_waiting CHECK ((due_at IS NOT NULL) = (state = 'waiting'))
);
CREATE INDEX delivery_due ON delivery (workspace_id, endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_giving_up ON delivery (gives_up_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_by_number ON delivery (workspace_id, endpoint_id, number);

-- How far HubSpot's journal has been read for an app. Until `read_to` nothing was missed.
CREATE TABLE journal (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    position     text,
    read_to      timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),
    failures     integer     NOT NULL DEFAULT 0,
    last_error   text,
    PRIMARY KEY (workspace_id, app_id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX journal_due ON journal (due_at);

-- migrate: rollback
DROP TABLE journal, delivery, endpoint, event, told, batch;
ALTER TABLE app DROP COLUMN legacy_signatures, DROP COLUMN journal;
