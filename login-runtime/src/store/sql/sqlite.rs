//! How SQLite runs transactions.

use sqlx::{Connection, Database, Sqlite, SqlitePool, TransactionManager, pool::PoolConnection};

use super::statements::Statement;
use crate::{
    core::{LoginOwner, throttle::CounterKey},
    error::StoreError,
};

pub(super) const SCHEMA: &str = include_str!("sqlite.sql");
pub(super) const HAS_TABLES: &str =
    "SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'login_schema'";
/// The time of the machine.
pub(super) const CLOCK: &str = "SELECT CAST(strftime('%s', 'now') AS INTEGER)";
pub(super) const PURGE: [&str; 6] = [
    "DELETE FROM login_records WHERE key IN (\
         SELECT key FROM login_records WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM login_records WHERE key IN (\
         SELECT key FROM login_records WHERE last_seen < $1 ORDER BY last_seen LIMIT $2)",
    "DELETE FROM login_families WHERE key IN (\
         SELECT key FROM login_families WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
    "DELETE FROM login_revoked_sessions WHERE key IN (\
         SELECT key FROM login_revoked_sessions WHERE until <= $1 ORDER BY until LIMIT $2)",
    "DELETE FROM login_tries WHERE key IN (\
         SELECT key FROM login_tries WHERE forgotten_at <= $1 ORDER BY forgotten_at LIMIT $2)",
    "DELETE FROM login_known_clients WHERE key IN (\
         SELECT key FROM login_known_clients WHERE until <= $1 ORDER BY until LIMIT $2)",
];
/// Deletes a few counters that were forgotten `$2` seconds before `$1`, and before the time of the machine.
pub(super) const FORGET_OLD_TRIES: &str = "\
    DELETE FROM login_tries WHERE key IN (\
        SELECT key FROM login_tries \
        WHERE forgotten_at <= MIN($1, CAST(strftime('%s', 'now') AS INTEGER)) - $2 \
        ORDER BY forgotten_at LIMIT 8)";

/// A transaction takes the write lock when it begins: one that reads first would fail if another
/// transaction wrote in the meantime.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// How many calls of this process write at the same time.
///
/// SQLite allows one writer. Without this queue, the others would poll for the write lock, and each
/// would occupy a connection that readers could use.
pub(super) const WRITERS: usize = 1;

/// How many rows one statement of a purge deletes at most.
///
/// Raising it makes a purge faster; all other writes wait while a statement runs.
pub(super) const PURGE_BATCH: u64 = 100;

/// A purge pauses after each statement for as long as the statement ran. Other processes poll for the
/// write lock, and could miss the short time between two statements.
pub(super) const PURGE_PAUSES: bool = true;

/// A transaction locks the whole database anyway.
pub(super) fn lock(_: Option<LoginOwner<'_>>) -> Option<Statement<Sqlite>> {
    None
}

/// A transaction locks the whole database anyway.
pub(super) fn lock_counters(_: &[CounterKey; 3]) -> Option<Statement<Sqlite>> {
    None
}

/// A connection without an open transaction. In one that the application left open, reads would see
/// the logins as they were when it began, and writes could be rolled back.
pub(super) async fn connect(pool: &SqlitePool) -> Result<PoolConnection<Sqlite>, StoreError> {
    let mut connection = pool.acquire().await?;
    while connection.is_in_transaction() {
        // Closing the connection instead would delete a database in memory.
        <Sqlite as Database>::TransactionManager::rollback(&mut connection).await?;
    }
    Ok(connection)
}
