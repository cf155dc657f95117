-- Tables of `PostgresLoginStore`, version 2. Safe to run again.
-- Times are in seconds since the Unix epoch. A copy of these tables cannot be used to log in.

CREATE TABLE IF NOT EXISTS login_schema (
    version BIGINT PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS login_records (
    key BYTEA PRIMARY KEY,                  -- SHA-256 of the login's id
    user_type TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,      -- as JSON
    created_at BIGINT NOT NULL,
    authenticated_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    fresh BOOLEAN NOT NULL,
    allow_inactive BOOLEAN NOT NULL,
    method TEXT NOT NULL,
    client BIGINT NOT NULL,                 -- an unsigned number, stored as signed
    user_agent TEXT NOT NULL,
    address TEXT NOT NULL,
    hash TEXT,
    family BYTEA,
    unseen_token BIGINT
);
CREATE INDEX IF NOT EXISTS login_records_owner ON login_records (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_records_family ON login_records (family) WHERE family IS NOT NULL;
CREATE INDEX IF NOT EXISTS login_records_expires_at ON login_records (expires_at);
CREATE INDEX IF NOT EXISTS login_records_last_seen ON login_records (last_seen);

CREATE TABLE IF NOT EXISTS login_families (
    key BYTEA PRIMARY KEY,
    user_type TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    seed BYTEA NOT NULL,
    version BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    seen_at BIGINT,
    restored_at BIGINT,
    authenticated_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    hash TEXT,
    lifetime BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS login_families_owner ON login_families (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_families_expires_at ON login_families (expires_at);

CREATE TABLE IF NOT EXISTS login_revoked_sessions (
    key BYTEA PRIMARY KEY,                  -- SHA-256 of the session's id
    until BIGINT NOT NULL,
    user_type TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL             -- as JSON, or empty
);
CREATE INDEX IF NOT EXISTS login_revoked_sessions_owner
    ON login_revoked_sessions (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_revoked_sessions_until ON login_revoked_sessions (until);

-- New in version 2.
CREATE TABLE IF NOT EXISTS login_tries (
    key BYTEA PRIMARY KEY,                  -- a keyed hash of the account, the client, or both
    empty_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    forgotten_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS login_tries_forgotten_at ON login_tries (forgotten_at);

-- New in version 2.
CREATE TABLE IF NOT EXISTS login_known_clients (
    key BYTEA PRIMARY KEY,                  -- a keyed hash of the account
    client BIGINT NOT NULL,                 -- a keyed hash of the client
    until BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS login_known_clients_until ON login_known_clients (until);

-- The audit trail. New in version 2.
CREATE TABLE IF NOT EXISTS login_events (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in the order in which events were stored
    id BYTEA NOT NULL UNIQUE,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    user_type TEXT COLLATE "C",
    user_id TEXT COLLATE "C",                     -- as JSON
    login TEXT,                             -- a keyed hash of the login
    account TEXT,                           -- a keyed hash of a name that was typed
    address TEXT,
    user_agent TEXT,
    reason TEXT,
    details TEXT NOT NULL                   -- an object in JSON
);
CREATE INDEX IF NOT EXISTS login_events_owner ON login_events (user_type, user_id, number);
CREATE INDEX IF NOT EXISTS login_events_at ON login_events (at);

INSERT INTO login_schema (version) VALUES (2) ON CONFLICT DO NOTHING;
