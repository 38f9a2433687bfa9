-- The whole schema
-- depends:

-- migrate: apply

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- A tenant. Everything else carries its id, so that tables can be distributed by it.
CREATE TABLE workspace (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workspace_has_a_name CHECK (name <> '')
);

-- Proof that a sealing key in the key ring is the one that sealed these rows. It has no
-- workspace: the key ring belongs to the installation.
CREATE TABLE sealing_key (
    key_id     text        PRIMARY KEY,
    proof      bytea       NOT NULL,  -- sealed
    created_at timestamptz NOT NULL DEFAULT now()
);

-- An API credential of a workspace. Only a hash of the secret is here.
CREATE TABLE api_key (
    workspace_id uuid        NOT NULL REFERENCES workspace (id),
    id           uuid        NOT NULL,
    client_id    text        NOT NULL,
    secret_hash  bytea       NOT NULL,
    name         text        NOT NULL,
    scopes       text[]      NOT NULL,
    app_slugs    text[],
    created_at   timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz,
    policy       jsonb,
    last_used_at timestamptz,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT api_key_client_id_taken UNIQUE (workspace_id, client_id),
    CONSTRAINT api_key_secret_taken UNIQUE (workspace_id, secret_hash)
);

-- A short-lived token made from a key at /oauth/token. Only its hash is here.
CREATE TABLE access_token (
    workspace_id uuid        NOT NULL,
    token_hash   bytea       NOT NULL,
    key_id       uuid        NOT NULL,
    scopes       text[]      NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, token_hash),
    FOREIGN KEY (workspace_id, key_id) REFERENCES api_key (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX access_token_by_expiry ON access_token (expires_at);

-- One client registration at a provider, known by its slug inside a workspace. A removed app stays until
-- the last of its grants has been revoked there. Client id and secret are empty at providers without.
CREATE TABLE app (
    workspace_id           uuid        NOT NULL REFERENCES workspace (id),
    id                     uuid        NOT NULL,
    slug                   text        NOT NULL,
    provider               text        NOT NULL DEFAULT 'hubspot',
    client_id              text        NOT NULL,
    client_secret          bytea       NOT NULL,  -- sealed
    previous_client_secret bytea,                 -- sealed
    previous_secret_until  timestamptz,
    webhook_secret         bytea,                 -- sealed
    previous_webhook_secret bytea,                -- sealed
    previous_webhook_until timestamptz,
    hubspot_app_id         text        NOT NULL,
    options                jsonb       NOT NULL DEFAULT '{}',  -- the provider's own settings of the app
    scopes                 text[]      NOT NULL,
    optional_scopes        text[]      NOT NULL,
    return_urls            text[]      NOT NULL,
    origins                text[]      NOT NULL,
    confirm                text        NOT NULL,
    pkce                   boolean     NOT NULL,
    policy                 jsonb,
    credentials_refused_at timestamptz,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    deleted_at             timestamptz,
    legacy_signatures      boolean     NOT NULL DEFAULT false,
    journal                boolean     NOT NULL DEFAULT false,
    display_name           text,
    logo_url               text,
    install_url            text,
    marketplace            boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT app_slug_is_a_slug CHECK (slug ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    CONSTRAINT app_confirm_is_known CHECK (confirm IN ('auto', 'required'))
);
CREATE UNIQUE INDEX app_slug_taken ON app (workspace_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX app_removed ON app (deleted_at) WHERE deleted_at IS NOT NULL;

-- A single-use, expiring link for one user to connect. Only a hash of the state is here. `credentials`
-- are those that a provider sent for it before the browser came back; they are wiped when it is over.
CREATE TABLE install_link (
    workspace_id uuid        NOT NULL,
    state_hash   bytea       NOT NULL,
    app_id       uuid        NOT NULL,
    user_ref     text        NOT NULL,
    scopes       text[]      NOT NULL,
    verifier     bytea,                  -- sealed
    options      jsonb       NOT NULL DEFAULT '{}',  -- what the provider's link needs, such as a shop
    return_url   text,
    session_id   uuid,
    browser_hash bytea,
    credentials  bytea,                  -- sealed
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    PRIMARY KEY (workspace_id, state_hash),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX install_link_by_expiry ON install_link (expires_at);
CREATE INDEX install_link_by_session ON install_link (workspace_id, session_id)
    WHERE session_id IS NOT NULL;

-- A connection is one user of one app, tied to one account at the app's provider. The user is unknown
-- while a Marketplace install waits to be claimed. `hub_id` is HubSpot's account id as its webhooks name
-- it. `api_url` is where the calls go, null for the provider's one address; `details` is what else the
-- provider knows of the connection, never a secret. What a renewal or a call changes is in
-- `connection_grant` and `renewal`, which each connection has: this row is written when its user connects
-- or is disconnected. The lock of its `connection_grant` is the lock of all three.
CREATE TABLE connection (
    workspace_id        uuid        NOT NULL,
    id                  uuid        NOT NULL,
    number              bigint      GENERATED ALWAYS AS IDENTITY,
    app_id              uuid        NOT NULL,
    user_ref            text,
    status              text        NOT NULL,
    account_id          text,
    account_name        text,
    hub_id              bigint,
    api_url             text,
    details             jsonb       NOT NULL DEFAULT '{}',
    installed_by        text,
    scopes              text[]      NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id),
    CONSTRAINT connection_once_per_user UNIQUE (workspace_id, app_id, user_ref),
    CONSTRAINT connection_status_is_known
        CHECK (status IN ('ACTIVE', 'PENDING', 'REAUTH_REQUIRED', 'UNCLAIMED')),
    CONSTRAINT connection_unclaimed_has_no_user
        CHECK ((user_ref IS NULL) = (status = 'UNCLAIMED'))
);
-- An app's connections are its workspace's: the planner would take them for few.
CREATE STATISTICS connection_of_app (dependencies) ON workspace_id, app_id FROM connection;
CREATE INDEX connection_by_number ON connection (workspace_id, app_id, number);
CREATE INDEX connection_by_account ON connection (workspace_id, app_id, account_id);

-- A connection's tokens, here only while they may be used, and what else each renewal and each use
-- writes: no column that changes then is indexed, so that Postgres writes the new version into the same
-- page and no index (but for the fingerprint, where a provider rotates refresh tokens). The grant ends at
-- `refresh_expires_at` unless it is renewed before, and at `grant_ends_at` anyway.
CREATE TABLE connection_grant (
    workspace_id        uuid        NOT NULL,
    connection_id       uuid        NOT NULL,
    access_token        bytea,      -- sealed
    refresh_token       bytea,      -- sealed
    refresh_fingerprint bytea,
    generation          bigint      NOT NULL DEFAULT 0,
    expires_at          timestamptz,
    refresh_expires_at  timestamptz,
    grant_ends_at       timestamptz,
    renewed_at          timestamptz,
    failures            integer     NOT NULL DEFAULT 0,
    failed_at           timestamptz,
    last_error          text,
    last_used_at        timestamptz,
    PRIMARY KEY (workspace_id, connection_id),
    FOREIGN KEY (workspace_id, connection_id)
        REFERENCES connection (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT grant_is_whole_or_gone
        CHECK (access_token IS NOT NULL
               OR (refresh_token IS NULL AND refresh_fingerprint IS NULL AND expires_at IS NULL))
) WITH (fillfactor = 60);  -- room for the next version of most of its rows
CREATE INDEX connection_grant_by_fingerprint ON connection_grant (workspace_id, refresh_fingerprint)
    WHERE refresh_fingerprint IS NOT NULL;

-- When a connection's grant is to be renewed, and when an event says that it ends. Until `claimed_until`
-- a process that took it renews it. While `attempted_generation` is that of the grant and nobody holds
-- the lock, the response to a renewal was lost: the holder of the lock commits it before the request is
-- sent, in a transaction of its own, so the lock is not this row's.
CREATE TABLE renewal (
    workspace_id         uuid        NOT NULL,
    connection_id        uuid        NOT NULL,
    due_at               timestamptz,
    claimed_until        timestamptz NOT NULL DEFAULT '-infinity',
    attempted_generation bigint,
    end_notice_at        timestamptz,
    PRIMARY KEY (workspace_id, connection_id),
    FOREIGN KEY (workspace_id, connection_id)
        REFERENCES connection (workspace_id, id) ON DELETE CASCADE
) WITH (fillfactor = 60);  -- claims and attempts are written in place
CREATE INDEX renewal_due ON renewal (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX renewal_by_end_notice ON renewal (end_notice_at) WHERE end_notice_at IS NOT NULL;

-- Accounts in which the broker makes webhook subscriptions, and makes them again where the vendor has
-- dropped them; one row, however many users are connected. A claim moves `due_at` ahead, which is the
-- lease, and increments `claim`, which is the fencing token. Without `checked_at` an account was never
-- looked at, or the app has changed since.
CREATE TABLE subscription_check (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    account_id   text        NOT NULL,
    claim        integer     NOT NULL DEFAULT 0,
    failures     integer     NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL DEFAULT now(),
    checked_at   timestamptz,
    PRIMARY KEY (workspace_id, app_id, account_id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX subscription_check_due ON subscription_check (due_at);

-- A grant that may not be used yet: it waits until its code is presented with an API key (a
-- confirmation, or the claim of a Marketplace install), or until one of its accounts is chosen.
CREATE TABLE pending_grant (
    workspace_id        uuid        NOT NULL,
    id                  uuid        NOT NULL,
    code_hash           bytea       NOT NULL,
    app_id              uuid        NOT NULL,
    connection_id       uuid        NOT NULL,
    reason              text        NOT NULL,
    account_id          text        NOT NULL,
    account_name        text,
    hub_id              bigint,
    api_url             text,
    details             jsonb       NOT NULL DEFAULT '{}',
    installed_by        text,
    scopes              text[]      NOT NULL,
    access_token        bytea,      -- sealed
    refresh_token       bytea,      -- sealed
    refresh_fingerprint bytea,
    expires_at          timestamptz NOT NULL,
    renew_at            timestamptz,
    refresh_expires_at  timestamptz,
    grant_ends_at       timestamptz,
    accounts            jsonb,      -- those to choose from, until one is chosen
    session_id          uuid,       -- the connect session in which it began
    return_url          text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    code_expires_at     timestamptz NOT NULL,
    used_at             timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id),
    CONSTRAINT pending_grant_code_taken UNIQUE (workspace_id, code_hash),
    CONSTRAINT pending_grant_reason_is_known
        CHECK (reason IN ('account', 'confirm', 'portal-mismatch', 'claim'))
);
CREATE INDEX pending_grant_by_expiry ON pending_grant (code_expires_at);
CREATE INDEX pending_grant_by_connection ON pending_grant (workspace_id, connection_id);

-- A refresh token that is still to be revoked at its provider. The token stays sealed under the row it came
-- from (`sealed_as`) and is wiped when the outcome is known.
CREATE TABLE revocation (
    workspace_id        uuid        NOT NULL,
    id                  uuid        NOT NULL DEFAULT gen_random_uuid(),
    app_id              uuid        NOT NULL,
    sealed_as           text        NOT NULL,
    refresh_token       bytea,      -- sealed
    refresh_fingerprint bytea,
    details             jsonb       NOT NULL DEFAULT '{}',  -- the connection's
    attempts            integer     NOT NULL DEFAULT 0,
    due_at              timestamptz,
    outcome             text        NOT NULL DEFAULT 'pending',
    created_at          timestamptz NOT NULL DEFAULT now(),
    ended_at            timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id),
    CONSTRAINT revocation_outcome_is_known
        CHECK (outcome IN ('pending', 'revoked', 'shared-grant', 'refused', 'given-up'))
);
CREATE INDEX revocation_due ON revocation (due_at) WHERE due_at IS NOT NULL;

-- Who did what, from where, for the people who must find out later. Never a secret, never a payload.
-- Each entry's hash covers the entry before it: see broker/stores/access/audit.py.
CREATE TABLE audit (
    workspace_id uuid        NOT NULL,
    sequence     bigint      NOT NULL,
    at           timestamptz NOT NULL,
    actor        text        NOT NULL,
    via          text        NOT NULL,
    address      text,
    action       text        NOT NULL,
    app_slug     text,
    user_ref     text,
    detail       text,
    hash         bytea       NOT NULL,
    PRIMARY KEY (workspace_id, sequence)
);
CREATE INDEX audit_by_actor ON audit (workspace_id, actor, sequence);
CREATE INDEX audit_refused_sign_ins ON audit (workspace_id, at) WHERE action = 'console.sign_in_refused';

-- The last entry of each workspace's audit log; its row lock puts entries into one order.
CREATE TABLE audit_head (
    workspace_id uuid   NOT NULL,
    sequence     bigint NOT NULL,
    hash         bytea  NOT NULL,
    PRIMARY KEY (workspace_id)
);

-- How many calls a provider accepts from one app for one account within an interval; what it counts
-- separately is a kind of its own. `size_known`: the size was read from the provider's headers.
CREATE TABLE quota (
    workspace_id    uuid        NOT NULL,
    app_id          uuid        NOT NULL,
    account_id      text        NOT NULL,
    kind            text        NOT NULL,
    size            bigint      NOT NULL,
    interval_ms     integer     NOT NULL,
    size_known      boolean     NOT NULL DEFAULT false,
    exhausted_until timestamptz,
    synced_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, account_id, kind),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT quota_has_a_kind CHECK (kind <> '')
);
CREATE INDEX quota_by_age ON quota (synced_at);

-- How many permits of a quota one process holds until its share expires. The sum of all shares is at
-- most the quota's size; a used permit becomes available again to the same process after the interval.
CREATE TABLE quota_share (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    account_id   text        NOT NULL,
    kind         text        NOT NULL,
    holder       uuid        NOT NULL,
    permits      bigint      NOT NULL,
    users        integer     NOT NULL,
    waiting      boolean     NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, app_id, account_id, kind, holder),
    FOREIGN KEY (workspace_id, app_id, account_id, kind)
        REFERENCES quota (workspace_id, app_id, account_id, kind) ON DELETE CASCADE
) WITH (fillfactor = 50);  -- each is extended every few seconds, in place: no index on its time

-- The call log: a call made, or refused, for a user. Never a body, a query or the names in a path. No
-- foreign keys: an entry outlives its connection, its key and its app. A partition a day, made and dropped by
-- broker/stores/core/partitions.py; what has none is in the rest.
CREATE TABLE proxied_call (
    workspace_id  uuid        NOT NULL,
    id            uuid        NOT NULL,
    app_id        uuid        NOT NULL,
    at            timestamptz NOT NULL,
    connection_id uuid,
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
    provider_request_id text,
    PRIMARY KEY (workspace_id, id, at)
) PARTITION BY RANGE (at);
CREATE INDEX proxied_call_by_provider_request
    ON proxied_call (workspace_id, provider_request_id) WHERE provider_request_id IS NOT NULL;
CREATE INDEX proxied_call_by_time ON proxied_call (workspace_id, app_id, at, id);
CREATE INDEX proxied_call_by_user ON proxied_call (workspace_id, app_id, user_ref, at, id);
CREATE INDEX proxied_call_errors ON proxied_call (workspace_id, app_id, at, id) WHERE status >= 400;
CREATE TABLE proxied_call_rest PARTITION OF proxied_call DEFAULT;
CREATE INDEX proxied_call_rest_by_age ON proxied_call_rest USING brin (at);

-- A write with an Idempotency-Key, of which only a hash is here: executed once, its response stored for
-- a day. After `in_progress_until` a call that never finished counts as lost. No foreign key: its check
-- would wait for a connection that is being renewed.
CREATE TABLE idempotent_call (
    workspace_id      uuid        NOT NULL,
    id                uuid        NOT NULL,
    connection_id     uuid        NOT NULL,
    key_hash          bytea       NOT NULL,
    fingerprint       bytea       NOT NULL,
    outcome           text        NOT NULL,
    answer            bytea,      -- sealed
    in_progress_until timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT idempotent_call_once UNIQUE (workspace_id, connection_id, key_hash),
    CONSTRAINT idempotent_call_outcome_is_known CHECK (outcome IN ('running', 'answered', 'unknown'))
);
CREATE INDEX idempotent_call_by_expiry ON idempotent_call (expires_at);

-- Deliveries of providers' webhooks, and files of HubSpot's journal, as received; deleted once split. No
-- foreign key: its check would wait for a transaction that changes the app.
CREATE TABLE webhook_inbox (
    workspace_id   uuid        NOT NULL,
    id             uuid        NOT NULL,
    app_id         uuid        NOT NULL,
    source         text        NOT NULL,
    headers        jsonb       NOT NULL DEFAULT '{}',  -- those that the provider's reader needs
    body           bytea       NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT now(),
    due_at         timestamptz NOT NULL DEFAULT now(),
    failures       integer     NOT NULL DEFAULT 0,
    quarantined_at timestamptz,
    PRIMARY KEY (workspace_id, id),
    CONSTRAINT webhook_inbox_source_is_known CHECK (source IN ('webhook', 'journal'))
);
CREATE INDEX webhook_inbox_due ON webhook_inbox (due_at) WHERE quarantined_at IS NULL;

-- Events already seen, by a hash of 16 bytes, kept for longer than providers repeat a delivery. A
-- partition a day (UTC), made and dropped by broker/stores/core/partitions.py; what has none is in the rest.
CREATE TABLE seen_event (
    workspace_id uuid NOT NULL,
    app_id       uuid NOT NULL,
    fingerprint  uuid NOT NULL,
    seen_on      date NOT NULL,
    PRIMARY KEY (workspace_id, app_id, fingerprint, seen_on)
) PARTITION BY RANGE (seen_on);
CREATE TABLE seen_event_rest PARTITION OF seen_event DEFAULT;
CREATE INDEX seen_event_rest_by_age ON seen_event_rest USING brin (seen_on);

-- An event as it is delivered to an app's endpoints, mostly about one user. Written in the transaction
-- of the change that it reports. Its id is a UUIDv7, which holds its time. A partition a week, made and
-- dropped with the deliveries' as above. No foreign key, as above.
CREATE TABLE event (
    workspace_id uuid NOT NULL,
    app_id       uuid NOT NULL,
    id           uuid NOT NULL,
    type         text NOT NULL,
    user_ref     text,
    payload      text NOT NULL,
    PRIMARY KEY (workspace_id, app_id, id)
) PARTITION BY RANGE (id);
CREATE TABLE event_rest PARTITION OF event DEFAULT;
CREATE INDEX event_rest_by_age ON event_rest USING brin (id);

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
    failing_since         timestamptz,
    resumes_at            timestamptz,
    disabled_at           timestamptz,
    disabled_because      text,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX endpoint_of_app ON endpoint (workspace_id, app_id);
CREATE INDEX endpoint_failing ON endpoint (failing_since) WHERE failing_since IS NOT NULL;

-- One event to be delivered to one endpoint. A claim moves `due_at` ahead, which is the lease, and
-- increments `claim`, which is the fencing token. A finished delivery has no `due_at`. Its id is of its event's
-- millisecond. Partitions as its event's, after which they are dropped: hence no foreign key to it.
CREATE TABLE delivery (
    workspace_id uuid        NOT NULL,
    endpoint_id  uuid        NOT NULL,
    event_id     uuid        NOT NULL,
    id           uuid        NOT NULL,
    state        text        NOT NULL DEFAULT 'waiting',
    attempts     integer     NOT NULL DEFAULT 0,
    claim        integer     NOT NULL DEFAULT 0,
    is_replay    boolean     NOT NULL DEFAULT false,
    due_at       timestamptz,
    expires_at   timestamptz NOT NULL,
    last_status  integer,
    last_error   text,
    attempted_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, endpoint_id, event_id),
    CONSTRAINT delivery_state_is_known CHECK (state IN ('waiting', 'delivered', 'dead')),
    CONSTRAINT delivery_due_while_waiting CHECK ((due_at IS NOT NULL) = (state = 'waiting'))
) PARTITION BY RANGE (event_id);
CREATE INDEX delivery_due ON delivery (workspace_id, endpoint_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX delivery_by_expiry ON delivery (expires_at) WHERE state = 'waiting';
CREATE INDEX delivery_by_due ON delivery (due_at) WHERE state = 'waiting';
CREATE INDEX delivery_dead ON delivery (workspace_id, endpoint_id, event_id) WHERE state = 'dead';
CREATE TABLE delivery_rest PARTITION OF delivery DEFAULT;
CREATE INDEX delivery_rest_by_age ON delivery_rest USING brin (event_id);

-- A span of events that is being delivered to an endpoint again, a slice at a time: those from `next_id`
-- on are left, up to `end_id`, which is after them. One at a time for each endpoint.
CREATE TABLE replay (
    workspace_id uuid        NOT NULL,
    endpoint_id  uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    user_ref     text,
    next_id      uuid        NOT NULL,
    end_id       uuid        NOT NULL,
    due_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, endpoint_id),
    FOREIGN KEY (workspace_id, endpoint_id) REFERENCES endpoint (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX replay_due ON replay (due_at);

-- How far HubSpot's journal has been read for an app. Nothing before `read_to` was missed.
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

-- A single-use session for one user to connect on the broker's page. Only hashes are here: of its
-- token, and of the cookie that binds it to the browser that began it.
CREATE TABLE connect_session (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    token_hash   bytea       NOT NULL,
    app_id       uuid        NOT NULL,
    user_ref     text        NOT NULL,
    user_label   text,
    return_url   text,
    options      jsonb       NOT NULL DEFAULT '{}',  -- what the provider's link needs
    browser_hash bytea,
    origin       text,
    nonce        text,
    outcome      text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT connect_session_token_taken UNIQUE (workspace_id, token_hash)
);
CREATE INDEX connect_session_by_expiry ON connect_session (expires_at);

-- A console session, signed in with an API key. Only a hash of the cookie is here.
CREATE TABLE operator_session (
    workspace_id uuid        NOT NULL,
    token_hash   bytea       NOT NULL,
    key_id       uuid        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, token_hash),
    FOREIGN KEY (workspace_id, key_id) REFERENCES api_key (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX operator_session_by_expiry ON operator_session (expires_at);

-- The settings of a recipe for an app. The secrets are one sealed JSON object.
CREATE TABLE recipe_setting (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    recipe       text        NOT NULL,
    settings     text        NOT NULL,
    secrets      bytea       NOT NULL,  -- sealed
    triggers     text,
    polled_app   text,       -- the slug of the app whose users' accounts are polled
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, recipe),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);

-- Where a recipe stands in what it polls of a user's partner system (a shop, an accounting system). A
-- claim moves `due_at` ahead, which is the lease, and increments `claim`, which is the fencing token. The
-- cursor holds for two accounts only; before there is one for them, a poll begins at `begins_at`, when the
-- user connected. A poll that is not due waits for the user to connect again.
CREATE TABLE recipe_poll (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    recipe       text        NOT NULL,
    user_ref     text        NOT NULL,
    hub_id       bigint,
    account_id   text,
    cursor       text,
    claim        integer     NOT NULL DEFAULT 0,
    failures     integer     NOT NULL DEFAULT 0,
    last_error   text,
    due_at       timestamptz DEFAULT now(),
    begins_at    timestamptz NOT NULL DEFAULT now(),
    polled_at    timestamptz,
    PRIMARY KEY (workspace_id, app_id, recipe, user_ref),
    FOREIGN KEY (workspace_id, app_id, recipe)
        REFERENCES recipe_setting (workspace_id, app_id, recipe) ON DELETE CASCADE
);
CREATE INDEX recipe_poll_due ON recipe_poll (due_at) WHERE due_at IS NOT NULL;

-- One execution of a recipe, one for each subject. A claim moves `due_at` ahead, which is the lease,
-- and increments `claim`, which is the fencing token. A finished run has no `due_at`. `triggered_at` is
-- when what it follows happened elsewhere, null where a call started it.
CREATE TABLE recipe_run (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
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
    restarts     integer     NOT NULL DEFAULT 0,
    claim        integer     NOT NULL DEFAULT 0,
    due_at       timestamptz,
    triggered_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (workspace_id, id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT run_once_per_subject UNIQUE (workspace_id, app_id, recipe, subject),
    CONSTRAINT run_state_is_known CHECK (state IN ('running', 'done', 'failed', 'dismissed')),
    CONSTRAINT run_due_while_running CHECK ((due_at IS NOT NULL) = (state = 'running'))
);
CREATE INDEX run_due ON recipe_run (workspace_id, app_id, recipe, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX run_of_recipe ON recipe_run (workspace_id, app_id, recipe, id);
CREATE INDEX run_by_due ON recipe_run (due_at) WHERE state = 'running';
CREATE INDEX run_failed ON recipe_run (workspace_id, app_id, recipe) WHERE state = 'failed';
CREATE INDEX run_by_end ON recipe_run (ended_at) WHERE state IN ('done', 'dismissed');

-- Which recipes of apps have thresholds of health, and whether one is crossed. It is due when a run has
-- ended since it was last judged; a claim moves `due_at` ahead.
CREATE TABLE recipe_health (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    recipe       text        NOT NULL,
    due_at       timestamptz,
    unhealthy_at timestamptz,
    crossed      text,
    PRIMARY KEY (workspace_id, app_id, recipe),
    FOREIGN KEY (workspace_id, app_id, recipe)
        REFERENCES recipe_setting (workspace_id, app_id, recipe) ON DELETE CASCADE
);
CREATE INDEX recipe_health_due ON recipe_health (due_at) WHERE due_at IS NOT NULL;

-- A run's progress: each step's outcome, stored before the next step begins. `outcome_unknown`: an
-- attempt started whose outcome was never recorded. `checkpoint`: the step's state between attempts.
CREATE TABLE recipe_step (
    workspace_id    uuid        NOT NULL,
    run_id          uuid        NOT NULL,
    name            text        NOT NULL,
    position        integer     NOT NULL,
    state           text        NOT NULL,
    attempts        integer     NOT NULL DEFAULT 1,
    failures        integer     NOT NULL DEFAULT 0,
    outcome_unknown boolean     NOT NULL DEFAULT false,
    checkpoint      text,
    outcome         text,
    error           text,
    started_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    PRIMARY KEY (workspace_id, run_id, name),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT step_state_is_known CHECK (state IN ('running', 'waiting', 'done', 'failed'))
);

-- Work for a run that follows its end: a workflow's action to complete, a record to update. It is due
-- until it is done; `revision` is the fencing token against a worker that has not seen the latest
-- request for it.
CREATE TABLE recipe_task (
    workspace_id uuid        NOT NULL,
    run_id       uuid        NOT NULL,
    kind         text        NOT NULL,
    key          text        NOT NULL,
    payload      text        NOT NULL,
    revision     integer     NOT NULL DEFAULT 1,
    attempts     integer     NOT NULL DEFAULT 0,
    due_at       timestamptz DEFAULT now(),
    last_error   text,
    PRIMARY KEY (workspace_id, run_id, kind, key),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX recipe_task_due ON recipe_task (due_at) WHERE due_at IS NOT NULL;

-- Which version of a shop's order its deal shows, in one HubSpot account, as far as runs have confirmed:
-- what a webhook and a poll report of one change is written once.
CREATE TABLE shop_order (
    workspace_id uuid        NOT NULL,
    app_id       uuid        NOT NULL,
    hub_id       bigint      NOT NULL,
    shop         text        NOT NULL,
    order_id     text        NOT NULL,
    version      text        NOT NULL,
    deal_id      text        NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, app_id, hub_id, shop, order_id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX shop_order_by_time ON shop_order (written_at);

-- A HubSpot contact and a Salesforce record that are kept equal. `seen` holds, for each field, hashes of
-- the values last seen on both sides: enough to tell what has changed, and no value. While
-- `locked_until` is ahead one run works on the pair, and `claim` is its fence. `written_at` are the
-- moments of the last hour's writes.
CREATE TABLE lead_pair (
    workspace_id uuid          NOT NULL,
    app_id       uuid          NOT NULL,
    hub_id       bigint        NOT NULL,
    org_id       text          NOT NULL,
    contact_id   text          NOT NULL,
    lead_id      text,
    seen         text,
    written_at   timestamptz[] NOT NULL DEFAULT '{}',
    stopped_at   timestamptz,
    unlinked_at  timestamptz,
    claim        integer       NOT NULL DEFAULT 0,
    locked_until timestamptz,
    PRIMARY KEY (workspace_id, app_id, hub_id, org_id, contact_id),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT lead_has_one_contact UNIQUE (workspace_id, app_id, hub_id, org_id, lead_id)
);

-- A client of a vendor's API with its token, shared by all replicas. Until `token_locked_until` one
-- replica is requesting a new token.
CREATE TABLE vendor_client (
    workspace_id       uuid        NOT NULL,
    vendor             text        NOT NULL,
    client_id          text        NOT NULL,
    access_token       bytea,      -- sealed
    secret_hash        bytea,
    expires_at         timestamptz,
    token_locked_until timestamptz,
    PRIMARY KEY (workspace_id, vendor, client_id)
);

-- How much of a vendor's rate limit all replicas have used, as a GCRA: when the limit would be unused
-- again.
CREATE TABLE vendor_rate_limit (
    workspace_id uuid        NOT NULL,
    vendor       text        NOT NULL,
    client_id    text        NOT NULL,
    kind         text        NOT NULL,
    next_at      timestamptz NOT NULL,
    paused_until timestamptz,
    PRIMARY KEY (workspace_id, vendor, client_id, kind)
);

-- The HubSpot account that a vendor's client serves where records are known by bare ids there. The
-- workspace is not in the key: the vendor knows none, so one client serves one account of the
-- installation. While `reserved_until` is set, the first record of the account is under way.
CREATE TABLE vendor_account (
    vendor         text        NOT NULL,
    client_id      text        NOT NULL,
    workspace_id   uuid        NOT NULL,
    hub_id         bigint      NOT NULL,
    reserved_until timestamptz,
    PRIMARY KEY (vendor, client_id)
);

-- A case at First Mile Labs. Each field has the moment of the event that set it.
CREATE TABLE kyb_case (
    workspace_id  uuid        NOT NULL,
    run_id        uuid        NOT NULL,
    app_id        uuid        NOT NULL,
    client_id     text        NOT NULL,
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
    PRIMARY KEY (workspace_id, run_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT case_belongs_to_one_run UNIQUE (workspace_id, client_id, case_id)
);
CREATE INDEX kyb_case_by_case ON kyb_case (workspace_id, app_id, case_id);
CREATE INDEX kyb_case_by_record ON kyb_case (workspace_id, app_id, crm_record_id);

-- The invoice of a deal: one for each deal of a HubSpot account in a workspace. The row is written
-- before the invoice is asked for, so `invoice_id` is null while its outcome is not known; a refusal
-- deletes the row. `token` makes the vendor's idempotency keys, `customers` are those it may be for.
CREATE TABLE deal_invoice (
    workspace_id uuid        NOT NULL,
    hub_id       bigint      NOT NULL,
    deal_id      text        NOT NULL,
    run_id       uuid        NOT NULL,
    partner_app  text        NOT NULL,
    provider     text        NOT NULL,
    account_id   text        NOT NULL,
    token        uuid        NOT NULL,
    customers    text[]      NOT NULL DEFAULT '{}',
    invoice_id   text,
    status       text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, hub_id, deal_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE,
    CONSTRAINT invoice_belongs_to_one_deal UNIQUE (workspace_id, provider, account_id, invoice_id)
);
CREATE INDEX deal_invoice_by_run ON deal_invoice (workspace_id, run_id);

-- Events from First Mile Labs, once by their id. Each is relayed once, even if it is applied later,
-- when its run exists. The body is deleted long before the id.
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
CREATE INDEX vendor_event_due ON vendor_event (due_at) WHERE state = 'waiting';
CREATE INDEX vendor_event_parked ON vendor_event (workspace_id, app_id, received_at)
    WHERE state = 'parked';
CREATE INDEX vendor_event_by_time ON vendor_event (received_at) WHERE body IS NOT NULL;

-- What an enrichment vendor knows about an e-mail address, by a hash of the address, so that it is
-- asked and paid once. While `claimed_until` is ahead a lookup is under way, and `claim` is its fence;
-- `unanswered` counts those whose answer was lost. An owner's objection is stored without an end.
CREATE TABLE enrichment_answer (
    workspace_id   uuid        NOT NULL,
    vendor         text        NOT NULL,
    email_hash     bytea       NOT NULL,
    outcome        text,
    fields         text,
    confidence     double precision,
    min_confidence double precision NOT NULL,
    claim          uuid,
    claimed_until  timestamptz,
    unanswered     integer     NOT NULL DEFAULT 0,
    expires_at     timestamptz,
    PRIMARY KEY (workspace_id, vendor, email_hash),
    CONSTRAINT enrichment_outcome_is_known CHECK (outcome IN ('found', 'not-found', 'opted-out'))
);
CREATE INDEX enrichment_answer_by_expiry ON enrichment_answer (expires_at);

-- The contact and the address that a run is about: what is deleted with the contact.
CREATE TABLE enrichment_contact (
    workspace_id uuid   NOT NULL,
    run_id       uuid   NOT NULL,
    app_id       uuid   NOT NULL,
    hub_id       bigint NOT NULL,
    contact_id   text   NOT NULL,
    email_hash   bytea,
    PRIMARY KEY (workspace_id, run_id),
    FOREIGN KEY (workspace_id, run_id) REFERENCES recipe_run (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX enrichment_contact_by_id ON enrichment_contact (workspace_id, app_id, hub_id, contact_id);

-- How many lookups an app has made on a day (UTC).
CREATE TABLE enrichment_budget (
    workspace_id uuid    NOT NULL,
    app_id       uuid    NOT NULL,
    day          date    NOT NULL,
    lookups      integer NOT NULL,
    PRIMARY KEY (workspace_id, app_id, day),
    FOREIGN KEY (workspace_id, app_id) REFERENCES app (workspace_id, id) ON DELETE CASCADE
);

-- migrate: rollback
DROP TABLE vendor_event, enrichment_budget, enrichment_contact, enrichment_answer, deal_invoice, kyb_case, vendor_account, vendor_rate_limit, vendor_client, lead_pair, shop_order, recipe_task,
recipe_step, recipe_run, recipe_poll, recipe_setting, operator_session, connect_session, journal, replay, delivery,
endpoint, event, seen_event, webhook_inbox, idempotent_call, proxied_call, quota_share, quota, audit,
revocation, pending_grant, subscription_check, renewal, connection_grant, connection, install_link, app, access_token, api_key,
sealing_key, workspace;
