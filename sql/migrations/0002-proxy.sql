-- What proxied calls share and leave: quotas of HubSpot accounts
-- depends: 0001-main-job

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- How many calls HubSpot takes from one app for one account within an interval; searches are counted
-- apart. `learnt` says that HubSpot's headers told the size.
CREATE TABLE quota (
    workspace_id  uuid        NOT NULL,
    app_id        uuid        NOT NULL,
    hub_id        bigint      NOT NULL,
    kind          text        NOT NULL,
    size          bigint      NOT NULL,
    interval_ms   integer     NOT NULL,
    learnt        boolean     NOT NULL DEFAULT false,
    spent_until   timestamptz,
    settled_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, hub_id, kind),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT quota_kind_is_known CHECK (kind IN ('calls', 'search'))
);
CREATE INDEX quota_by_age ON quota (settled_at);

-- How many places of a quota one process holds until it lapses. The sum of all shares is at most the
-- quota's size; a place that was used is free again after the interval, at the same process.
CREATE TABLE quota_share (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    hub_id       bigint      NOT NULL,
    kind         text        NOT NULL,
    holder       uuid        NOT NULL,
    places       bigint      NOT NULL,
    users        integer     NOT NULL,
    waiting      boolean     NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, app_id, hub_id, kind, holder),
    FOREIGN KEY (workspace_id, app_id, hub_id, kind)
        REFERENCES quota (workspace_id, app_id, hub_id, kind) ON DELETE CASCADE
);
CREATE INDEX quota_share_by_expiry ON quota_share (expires_at);

-- A call that was made, or refused, for a user: who, what kind, what came of it. Never a body, a query
-- or a path's names. No foreign key: it outlives its connection, its key and its app.
CREATE TABLE proxied_call (
    workspace_id  uuid        NOT NULL,
    id            uuid        NOT NULL,
    app_id        uuid        NOT NULL,
    at            timestamptz NOT NULL,
    connection_id uuid        NOT NULL,
    user_ref      text        NOT NULL,
    key_id        uuid        NOT NULL,
    request_id    text        NOT NULL,
    method        text        NOT NULL,
    path          text        NOT NULL,
    status        integer     NOT NULL,
    error         text,
    bytes         bigint      NOT NULL,
    ms            integer     NOT NULL,
    retries       integer     NOT NULL,
    renewed       boolean     NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX proxied_call_by_time ON proxied_call (workspace_id, app_id, at, id);
CREATE INDEX proxied_call_by_user ON proxied_call (workspace_id, app_id, user_ref, at, id);
CREATE INDEX proxied_call_by_age ON proxied_call USING brin (at);

-- A write that its caller named by an Idempotency-Key, of which only a hash is here: made once, its
-- answer kept for a day. `runs_until` is when a call that never ended counts as lost. No foreign key,
-- for its check would wait for a connection that is being renewed.
CREATE TABLE idempotent_call (
    workspace_id  uuid        NOT NULL,
    id            uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    key_hash      bytea       NOT NULL,
    fingerprint   bytea       NOT NULL,
    outcome       text        NOT NULL,
    answer        bytea,      -- sealed
    runs_until    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT idempotent_call_once UNIQUE (workspace_id, connection_id, key_hash),
    CONSTRAINT idempotent_call_outcome_is_known CHECK (outcome IN ('running', 'answered', 'unknown'))
);
CREATE INDEX idempotent_call_by_expiry ON idempotent_call (expires_at);

ALTER TABLE api_key ADD COLUMN policy jsonb;

-- migrate: rollback
ALTER TABLE api_key DROP COLUMN policy;
DROP TABLE idempotent_call, proxied_call, quota_share, quota;
