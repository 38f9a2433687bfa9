-- Connect sessions, and operators signed in to the console
-- depends: 0003-events

-- migrate: apply
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- A single-use way for one user to connect, begun on a page of ours. Only a hash of its token is
-- here, and of the cookie that binds it to the browser which began it.
CREATE TABLE connect_session (
    workspace_id uuid        NOT NULL,
    id           uuid        NOT NULL,
    token_hash   bytea       NOT NULL,
    app_id       uuid        NOT NULL,
    user_ref     text        NOT NULL,
    return_url   text,
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

ALTER TABLE install_link
    ADD COLUMN session_id uuid,
    ADD COLUMN browser_hash bytea;
CREATE INDEX install_link_by_session ON install_link (workspace_id, session_id)
    WHERE session_id IS NOT NULL;

-- Somebody signed in to the console with a key. Only a hash of the cookie is here.
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

-- migrate: rollback
ALTER TABLE install_link DROP COLUMN session_id, DROP COLUMN browser_hash;
DROP TABLE operator_session, connect_session;
