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

-- migrate: rollback
DROP TABLE quota_share, quota;
