//! The statements that both SQL stores use.

use sqlx::{Database, query::Query};

/// A statement with its arguments.
pub(super) type Statement<D> = Query<'static, D, <D as Database>::Arguments<'static>>;

macro_rules! record_columns {
    () => {
        "key, user_type, user_id, created_at, authenticated_at, last_seen, expires_at, fresh, allow_inactive, \
         method, client, user_agent, address, hash, family, unseen_token"
    };
}

macro_rules! family_columns {
    () => {
        "key, user_type, user_id, seed, version, generation, rotated_at, seen_at, restored_at, \
         authenticated_at, expires_at, hash, lifetime"
    };
}

pub(super) const INSERT: &str = concat!(
    "INSERT INTO login_records (",
    record_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
);
pub(super) const IS_STORED: &str =
    "SELECT COUNT(*) > 0 FROM login_records WHERE key = $1 AND expires_at > $2";
pub(super) const DELETE_EXPIRED: &str =
    "DELETE FROM login_records WHERE key = $1 AND expires_at <= $2";
pub(super) const COUNT_OF: &str =
    "SELECT COUNT(*) FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3";
/// Deletes all valid logins but the newest `$4`. SQLite allows no offset without a limit.
pub(super) const END_OLDEST: &str = "\
    DELETE FROM login_records WHERE key IN (\
        SELECT key FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3 \
        ORDER BY created_at DESC, key DESC LIMIT 9223372036854775807 OFFSET $4)";
pub(super) const FIND: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM login_records WHERE key = $1 AND expires_at > $2",
);
/// The same without what is only shown to people.
pub(super) const FIND_FOR_AUTH: &str = "\
    SELECT key, user_type, user_id, created_at, authenticated_at, last_seen, expires_at, fresh, \
        allow_inactive, '', client, '', '', hash, family, unseen_token \
    FROM login_records WHERE key = $1 AND expires_at > $2";
pub(super) const LIST_OF: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3 \
     ORDER BY created_at DESC, key",
);
pub(super) const TOUCH: &str =
    "UPDATE login_records SET last_seen = $2 WHERE key = $1 AND last_seen < $2";
pub(super) const MAKE_STALE: &str = "UPDATE login_records SET fresh = $2 WHERE key = $1";
pub(super) const END: &str = "DELETE FROM login_records WHERE key = $1";
pub(super) const END_OF: &str =
    "DELETE FROM login_records WHERE user_type = $1 AND user_id = $2 AND key <> $3";
pub(super) const END_FAMILIES_OF: &str =
    "DELETE FROM login_families WHERE user_type = $1 AND user_id = $2 AND key <> $3";
pub(super) const END_OF_FAMILY: &str = "DELETE FROM login_records WHERE family = $1";
pub(super) const END_FAMILY: &str = "DELETE FROM login_families WHERE key = $1";
/// A family may have expired before its logins.
pub(super) const OWNER_OF_FAMILY: &str = "\
    SELECT user_type, user_id FROM login_families WHERE key = $1 \
    UNION SELECT user_type, user_id FROM login_records WHERE family = $1";
pub(super) const END_ALL: &str = "DELETE FROM login_records";
pub(super) const END_ALL_FAMILIES: &str = "DELETE FROM login_families";
pub(super) const INSERT_FAMILY: &str = concat!(
    "INSERT INTO login_families (",
    family_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
);
pub(super) const FIND_FAMILY: &str = concat!(
    "SELECT ",
    family_columns!(),
    " FROM login_families WHERE key = $1 AND expires_at > $2",
);
pub(super) const UPDATE_FAMILY_IF: &str = "\
    UPDATE login_families SET user_type = $2, user_id = $3, seed = $4, version = $5, \
        generation = $6, rotated_at = $7, seen_at = $8, restored_at = $9, authenticated_at = $10, \
        expires_at = $11, hash = $12, lifetime = $13 \
    WHERE key = $1 AND version = $14";
pub(super) const SEE_TOKEN: &str = "\
    UPDATE login_families SET seen_at = $2, version = version + 1 \
    WHERE seen_at IS NULL \
        AND key = (SELECT family FROM login_records WHERE key = $1) \
        AND generation = (SELECT unseen_token FROM login_records WHERE key = $1)";
pub(super) const FORGET_TOKEN: &str = "UPDATE login_records SET unseen_token = NULL WHERE key = $1";
pub(super) const REVOKE: &str = "\
    INSERT INTO login_revoked_sessions (key, until, user_type, user_id) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (key) DO UPDATE SET until = excluded.until \
    WHERE login_revoked_sessions.until < excluded.until";
/// Deletes all revocations of a user but the latest `$3`.
pub(super) const FORGET_REVOKED: &str = "\
    DELETE FROM login_revoked_sessions WHERE key IN (\
        SELECT key FROM login_revoked_sessions WHERE user_type = $1 AND user_id = $2 \
        ORDER BY until DESC, key DESC LIMIT 9223372036854775807 OFFSET $3)";
/// Deletes all families of a user but the `$3` whose tokens were replaced last.
pub(super) const END_OLDEST_FAMILIES: &str = "\
    DELETE FROM login_families WHERE key IN (\
        SELECT key FROM login_families WHERE user_type = $1 AND user_id = $2 \
        ORDER BY rotated_at DESC, key DESC LIMIT 9223372036854775807 OFFSET $3)";
pub(super) const IS_REVOKED: &str =
    "SELECT 1 FROM login_revoked_sessions WHERE key = $1 AND until > $2";
/// The counters of a try, and the client at its place for a known one. The first column tells them apart.
pub(super) const FIND_TRIES: &str = "\
    SELECT FALSE, key, empty_at, next_at FROM login_tries WHERE key IN ($1, $2, $3) \
    UNION ALL SELECT TRUE, key, client, until FROM login_known_clients WHERE key = $4";
pub(super) const PUT_TRIES: &str = "\
    INSERT INTO login_tries (key, empty_at, next_at, forgotten_at) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (key) DO UPDATE SET empty_at = excluded.empty_at, next_at = excluded.next_at, \
        forgotten_at = excluded.forgotten_at";
pub(super) const FORGET_TRIES: &str = "DELETE FROM login_tries WHERE key = $1";
pub(super) const PUT_KNOWN_CLIENT: &str = "\
    INSERT INTO login_known_clients (key, client, until) VALUES ($1, $2, $3) \
    ON CONFLICT (key) DO UPDATE SET client = excluded.client, until = excluded.until";
pub(super) const INSERT_EVENT: &str = "\
    INSERT INTO login_events (id, at, event, user_type, user_id, login, account, address, user_agent, \
        reason, details) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING";
pub(super) const RECENT_EVENTS: &str = "\
    SELECT id, at, event, user_type, user_id, login, account, address, user_agent, reason, details \
    FROM login_events WHERE user_type = $1 AND user_id = $2 ORDER BY number DESC LIMIT $3";
pub(super) const PURGE_EVENTS: &str = "\
    DELETE FROM login_events WHERE number IN (\
        SELECT number FROM login_events WHERE at < $1 ORDER BY at LIMIT $2)";
pub(super) const TABLES_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM login_schema";
