CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    role          TEXT,
    is_active     BOOLEAN NOT NULL DEFAULT TRUE,
    password_hash TEXT    NOT NULL
);
CREATE TABLE posts (
    id     INTEGER PRIMARY KEY,
    author INTEGER NOT NULL REFERENCES users (id),
    text   TEXT    NOT NULL
);
