//! How PostgreSQL runs transactions.

use sha2::{Digest, Sha256};
use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::sync::Semaphore;

use super::statements::Statement;
use crate::{
    core::{FamilyKey, LoginKey, LoginOwner, LoginRecord, TokenFamily, throttle::CounterKey},
    error::StoreError,
};

pub(super) const SCHEMA: &str = include_str!("postgres.sql");
pub(super) const HAS_TABLES: &str = "SELECT to_regclass('login_schema') IS NOT NULL";
/// The time of the database.
pub(super) const CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM now()) AS BIGINT)";
/// A purge skips locked rows, so it neither waits nor takes part in a deadlock.
pub(super) const PURGE: [&str; 6] = [
    "DELETE FROM login_records WHERE key = ANY(ARRAY(\
         SELECT key FROM login_records WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM login_records WHERE key = ANY(ARRAY(\
         SELECT key FROM login_records WHERE last_seen < $1 ORDER BY last_seen LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM login_families WHERE key = ANY(ARRAY(\
         SELECT key FROM login_families WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM login_revoked_sessions WHERE key = ANY(ARRAY(\
         SELECT key FROM login_revoked_sessions WHERE until <= $1 ORDER BY until LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM login_tries WHERE key = ANY(ARRAY(\
         SELECT key FROM login_tries WHERE forgotten_at <= $1 ORDER BY forgotten_at LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
    "DELETE FROM login_known_clients WHERE key = ANY(ARRAY(\
         SELECT key FROM login_known_clients WHERE until <= $1 ORDER BY until LIMIT $2 \
         FOR UPDATE SKIP LOCKED))",
];
/// Deletes a few counters that were forgotten `$2` seconds before `$1`, and before the time of the
/// database.
pub(super) const FORGET_OLD_TRIES: &str = "\
    DELETE FROM login_tries WHERE key = ANY(ARRAY(\
        SELECT key FROM login_tries \
        WHERE forgotten_at <= LEAST($1, CAST(EXTRACT(EPOCH FROM now()) AS BIGINT)) - $2 \
        ORDER BY forgotten_at LIMIT 8 FOR UPDATE SKIP LOCKED))";

/// Each statement sees what was committed before it, whatever the database's default is.
///
/// If the application left a transaction open on the connection, this continues and commits it.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Transactions of different users run at the same time.
pub(super) const WRITERS: usize = Semaphore::MAX_PERMITS;

/// How many rows one statement of a purge deletes at most. No other call waits for it.
pub(super) const PURGE_BATCH: u64 = 10_000;
pub(super) const PURGE_PAUSES: bool = false;

/// Locks the logins of one owner, or of all, until the transaction ends.
pub(super) fn lock(owner: Option<LoginOwner<'_>>) -> Option<Statement<Postgres>> {
    let all = lock_number(None);
    Some(match owner {
        Some(owner) => {
            sqlx::query("SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)")
                .bind(all)
                .bind(lock_number(Some(owner)))
        }
        None => sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(all),
    })
}

/// The number of an advisory lock. Two owners with the same number only wait for each other.
fn lock_number(owner: Option<LoginOwner<'_>>) -> i64 {
    let mut hash = Sha256::new_with_prefix("login-runtime");
    if let Some(LoginOwner { user_type, user_id }) = owner {
        for part in [user_type, user_id] {
            hash.update([0]);
            hash.update(part);
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk().copied().map_or(0, i64::from_be_bytes)
}

/// Locks the counters of a try until the transaction ends, whether they have rows or not.
///
/// All transactions lock in the same order, so that none of them waits for another in a circle. A lock of a
/// row would not do: a counter that is empty has none.
pub(super) fn lock_counters(counters: &[CounterKey; 3]) -> Option<Statement<Postgres>> {
    let mut numbers = counters.map(|CounterKey(key)| {
        // The key is a hash, so its start is as good as a hash of it.
        key.first_chunk().copied().map_or(0, i64::from_be_bytes)
    });
    numbers.sort_unstable();
    let lock = sqlx::query(
        "SELECT pg_advisory_xact_lock($1), pg_advisory_xact_lock($2), pg_advisory_xact_lock($3)",
    );
    Some(
        numbers
            .into_iter()
            .fold(lock, |lock, number| lock.bind(number)),
    )
}

pub(super) async fn connect(pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
    Ok(pool.acquire().await?)
}

/// Each look-up asks the pool: it waits for the network anyway.
#[derive(Clone)]
pub(super) struct Readers;

impl Readers {
    pub(super) fn of(_: &PgPool) -> Self {
        Self
    }

    pub(super) async fn check(&self, _: &PgPool) {}

    pub(super) fn find(
        &self,
        _: &PgPool,
        _: &'static str,
        _: LoginKey,
        _: i64,
    ) -> Option<Option<LoginRecord>> {
        None
    }

    pub(super) fn find_family(
        &self,
        _: &PgPool,
        _: FamilyKey,
        _: i64,
    ) -> Option<Option<TokenFamily>> {
        None
    }

    pub(super) fn is_revoked(&self, _: &PgPool, _: LoginKey, _: i64) -> Option<bool> {
        None
    }
}
