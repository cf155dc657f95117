-- Tables of `SqliteLoginStore`, version 2. Safe to run again.
-- Times are in seconds since the Unix epoch. A copy of these tables cannot be used to log in.

CREATE TABLE IF NOT EXISTS login_schema (
    version INTEGER PRIMARY KEY
);

CREATE TABLE IF NOT EXISTS login_records (
    key BLOB NOT NULL PRIMARY KEY,          -- SHA-256 of the login's id
    user_type TEXT NOT NULL,
    user_id TEXT NOT NULL,                  -- as JSON
    created_at INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    allow_inactive INTEGER NOT NULL,
    method TEXT NOT NULL,
    client INTEGER NOT NULL,                -- an unsigned number, stored as signed
    user_agent TEXT NOT NULL,
    address TEXT NOT NULL,
    hash TEXT,
    family BLOB,
    unseen_token INTEGER
);
CREATE INDEX IF NOT EXISTS login_records_owner ON login_records (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_records_family ON login_records (family) WHERE family IS NOT NULL;
CREATE INDEX IF NOT EXISTS login_records_expires_at ON login_records (expires_at);
CREATE INDEX IF NOT EXISTS login_records_last_seen ON login_records (last_seen);

CREATE TABLE IF NOT EXISTS login_families (
    key BLOB NOT NULL PRIMARY KEY,
    user_type TEXT NOT NULL,
    user_id TEXT NOT NULL,
    seed BLOB NOT NULL,
    version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    seen_at INTEGER,
    restored_at INTEGER,
    authenticated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    hash TEXT,
    lifetime INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS login_families_owner ON login_families (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_families_expires_at ON login_families (expires_at);

CREATE TABLE IF NOT EXISTS login_revoked_sessions (
    key BLOB NOT NULL PRIMARY KEY,          -- SHA-256 of the session's id
    until INTEGER NOT NULL,
    user_type TEXT NOT NULL,
    user_id TEXT NOT NULL             -- as JSON, or empty
);
CREATE INDEX IF NOT EXISTS login_revoked_sessions_owner
    ON login_revoked_sessions (user_type, user_id);
CREATE INDEX IF NOT EXISTS login_revoked_sessions_until ON login_revoked_sessions (until);

-- New in version 2.
CREATE TABLE IF NOT EXISTS login_tries (
    key BLOB NOT NULL PRIMARY KEY,          -- a keyed hash of the account, the client, or both
    empty_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS login_tries_forgotten_at ON login_tries (forgotten_at);

-- New in version 2.
CREATE TABLE IF NOT EXISTS login_known_clients (
    key BLOB NOT NULL PRIMARY KEY,          -- a keyed hash of the account
    client INTEGER NOT NULL,                -- a keyed hash of the client
    until INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS login_known_clients_until ON login_known_clients (until);

-- The audit trail. New in version 2.
CREATE TABLE IF NOT EXISTS login_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order in which events were stored
    id BLOB NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,
    user_type TEXT,
    user_id TEXT,                     -- as JSON
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
