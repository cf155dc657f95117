//! Logins in a SQL database, through the application's sqlx pool.
//!
//! SQLite and PostgreSQL share everything but how a transaction begins and locks, and how a purge
//! selects rows.
//!
//! 1. A call that changes one row is one statement, with its condition in `WHERE`.
//! 2. A call that changes several rows of a user locks that user's logins first, so that no login is
//!    stored between the deletions of a log out. SQLite has one writer at a time; PostgreSQL takes an
//!    advisory lock.
//! 3. Transactions run in tasks that nothing cancels. sqlx up to 0.9.0 may leave a transaction open
//!    if the future of `begin` is dropped, and returns that connection to the pool. The manager drops
//!    futures at their deadline, and actix-web does so when a client disconnects.
//! 4. Every write is in a transaction that is committed here. The application uses the same pool, and
//!    may leave a transaction open on a connection; if it rolled that back, a log out would be
//!    undone.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{Database, Executor, Row, Transaction, pool::PoolConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{events::sql_event_sink, statements::Statement, throttle::sql_throttle_store};
use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily,
        throttle::{Attempt, Claimed, Counted, Counter, CounterKey, KnownClient},
    },
    error::StoreError,
    store::{
        event_sink::{EventRecord, EventSink},
        login_store::LoginStore,
        throttle_store::{AnyThrottleStore, ThrottleStore},
    },
};

mod events;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod readers;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod throttle;

/// The version of the tables.
const VERSION: i64 = 2;

/// How many seconds a counter is kept at least after it was forgotten.
///
/// Raising it tolerates larger differences between clocks; lowering it keeps the table smaller.
const KEEP_FORGOTTEN: i64 = 60 * 60;

/// PostgreSQL's codes for a table, a column and a schema that do not exist.
const MISSING: [&str; 3] = ["42P01", "42703", "3F000"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // SQLite has one code for all mistakes in a statement, and PostgreSQL speaks many languages.
        let lacks_tables = error.as_database_error().is_some_and(|error| {
            let message = error.message();
            error.code().is_some_and(|code| MISSING.contains(&&*code))
                || message.contains("no such table")
                || message.contains("no such column")
        });
        let error = Self::new(error);
        if lacks_tables {
            error.advise(
                "the login tables are missing, or are those of another version: call the store's \
                 `migrate()` when the application starts, or run its `SCHEMA`",
            )
        } else {
            error
        }
    }
}

/// The permission to write, and a connection for it.
type Writer<D> = (OwnedSemaphorePermit, PoolConnection<D>);

type FoundRow<'a, R> = Pin<Box<dyn Future<Output = Result<Option<R>, StoreError>> + Send + 'a>>;

/// Runs `work` in a task, so that it completes even if the caller is cancelled.
async fn complete<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.map_err(StoreError::new)?
}

/// Reads a column of fixed length. Fails if something else than this crate has written it.
fn bytes<const N: usize>(column: &[u8]) -> Result<[u8; N], StoreError> {
    let wrong_length = |_| StoreError::new("a key in the login tables has the wrong length");
    column.try_into().map_err(wrong_length)
}

/// Defines a store. `$dialect` is the module of what is special about its database, and `$readers` looks rows
/// up without the pool.
macro_rules! sql_store {
    ($store:ident, $dialect:ident, $database:ty, $readers:ty) => {
        impl fmt::Debug for $store {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($store)).finish_non_exhaustive()
            }
        }

        impl $store {
            /// The SQL that creates the tables and their indexes, for applications that do not call
            /// [`migrate`](Self::migrate).
            ///
            /// It is safe to run again: it does not change existing tables. If a later version of
            /// this crate needs other tables, its change notes contain the SQL to run.
            pub const SCHEMA: &'static str = $dialect::SCHEMA;

            /// A store in the database of this pool, which the application may use for itself too.
            ///
            /// This does not access the database yet. Create the tables with
            /// [`migrate`](Self::migrate), or by running [`SCHEMA`](Self::SCHEMA).
            pub fn new(pool: sqlx::Pool<$database>) -> Self {
                let writers = Arc::new(Semaphore::new($dialect::WRITERS));
                let readers = <$readers>::of(&pool);
                Self {
                    pool,
                    writers,
                    readers,
                }
            }

            /// Creates the tables if they do not exist.
            ///
            /// Call it when the application starts, on every node: one creates the tables while the
            /// others wait. It does not change existing tables, and is independent of the
            /// application's own sqlx migrations.
            ///
            /// # Errors
            ///
            /// If the database does not answer or does not allow it, and if a later version of this
            /// crate created the tables.
            pub async fn migrate(&self) -> Result<(), StoreError> {
                let (permit, mut connection) = self.writer().await?;
                complete(async move {
                    let _permit = permit;
                    // In PostgreSQL, `IF NOT EXISTS` alone fails if two nodes run it at once.
                    let mut tx = Self::begin(&mut connection, $dialect::lock(None)).await?;
                    let has_tables: bool = sqlx::query_scalar($dialect::HAS_TABLES)
                        .fetch_one(&mut *tx)
                        .await?;
                    let version: i64 = if has_tables {
                        sqlx::query_scalar(statements::TABLES_VERSION)
                            .fetch_one(&mut *tx)
                            .await?
                    } else {
                        0
                    };
                    if version > VERSION {
                        return Err(StoreError::new(format!(
                            "the login tables have version {version}, and this program knows {VERSION}"
                        )));
                    }
                    if version < VERSION {
                        (&mut *tx).execute($dialect::SCHEMA).await?;
                    }
                    tx.commit().await?;
                    Ok(())
                })
                .await?;
                self.readers.check(&self.pool).await;
                Ok(())
            }

            /// Waits until this call may write, and for a connection. A cancelled call leaves the
            /// queue.
            async fn writer(&self) -> Result<Writer<$database>, StoreError> {
                let permit = Arc::clone(&self.writers).acquire_owned().await;
                let permit = permit.map_err(StoreError::new)?;
                Ok((permit, $dialect::connect(&self.pool).await?))
            }

            async fn begin<'a>(
                connection: &'a mut <$database as Database>::Connection,
                lock: Option<Statement<$database>>,
            ) -> Result<Transaction<'a, $database>, StoreError> {
                let mut tx = sqlx::Connection::begin_with(connection, $dialect::BEGIN).await?;
                if let Some(lock) = lock {
                    lock.execute(&mut *tx).await?;
                }
                Ok(tx)
            }

            /// Runs statements in one transaction. Returns how many rows the last one changed.
            async fn write<const N: usize>(
                (permit, mut connection): Writer<$database>,
                lock: Option<Statement<$database>>,
                statements: [Statement<$database>; N],
            ) -> Result<u64, StoreError> {
                complete(async move {
                    let _permit = permit;
                    let mut tx = Self::begin(&mut connection, lock).await?;
                    let mut changed = 0;
                    for statement in statements {
                        changed = statement.execute(&mut *tx).await?.rows_affected();
                    }
                    tx.commit().await?;
                    Ok(changed)
                })
                .await
            }

            /// Runs one statement. Returns how many rows it changed.
            async fn write_one(&self, statement: Statement<$database>) -> Result<u64, StoreError> {
                Self::write(self.writer().await?, None, [statement]).await
            }

            /// The time of the database.
            async fn clock(&self) -> Result<i64, StoreError> {
                let mut connection = $dialect::connect(&self.pool).await?;
                let clock = sqlx::query_scalar($dialect::CLOCK);
                Ok(clock.fetch_one(&mut *connection).await?)
            }

            /// Runs a statement that deletes at most `$2` rows that were over at `$1`, until it has deleted
            /// `limit` rows, or finds no more. Returns how many it deleted.
            async fn delete_before(
                &self,
                statement: &'static str,
                before: i64,
                limit: u64,
            ) -> Result<u64, StoreError> {
                let mut deleted = 0;
                while deleted < limit {
                    // Each batch is one transaction, so that other writers do not wait long.
                    let started = Instant::now();
                    let batch = (limit - deleted).min($dialect::PURGE_BATCH);
                    let delete = sqlx::query(statement).bind(before);
                    let rows = self.write_one(delete.bind(batch.cast_signed())).await?;
                    deleted += rows;
                    if rows < batch {
                        break;
                    }
                    if $dialect::PURGE_PAUSES {
                        tokio::time::sleep(started.elapsed()).await;
                    }
                }
                Ok(deleted)
            }

            fn record(
                row: &<$database as Database>::Row,
            ) -> Result<(LoginKey, LoginRecord), StoreError> {
                let family: Option<&[u8]> = row.try_get(14)?;
                let record = LoginRecord {
                    user_type: row.try_get(1)?,
                    user_id: row.try_get(2)?,
                    created_at: row.try_get(3)?,
                    authenticated_at: row.try_get(4)?,
                    last_seen: row.try_get(5)?,
                    expires_at: row.try_get(6)?,
                    fresh: row.try_get(7)?,
                    allow_inactive: row.try_get(8)?,
                    method: row.try_get(9)?,
                    client: row.try_get::<i64, _>(10)?.cast_unsigned(),
                    user_agent: row.try_get(11)?,
                    address: row.try_get(12)?,
                    hash: row.try_get(13)?,
                    family: family.map(bytes).transpose()?.map(FamilyKey),
                    unseen_token: row.try_get(15)?,
                };
                Ok((LoginKey::from_bytes(bytes(row.try_get(0)?)?), record))
            }

            fn family(row: &<$database as Database>::Row) -> Result<TokenFamily, StoreError> {
                Ok(TokenFamily {
                    user_type: row.try_get(1)?,
                    user_id: row.try_get(2)?,
                    seed: bytes(row.try_get(3)?)?,
                    version: row.try_get(4)?,
                    generation: row.try_get(5)?,
                    rotated_at: row.try_get(6)?,
                    seen_at: row.try_get(7)?,
                    restored_at: row.try_get(8)?,
                    authenticated_at: row.try_get(9)?,
                    expires_at: row.try_get(10)?,
                    hash: row.try_get(11)?,
                    lifetime: row.try_get(12)?,
                })
            }

            /// Finds a login with one of the two statements for it.
            async fn find_by(
                &self,
                statement: &'static str,
                key: LoginKey,
                now: i64,
            ) -> Result<Option<LoginRecord>, StoreError> {
                match self.readers.find(&self.pool, statement, key, now) {
                    Some(found) => Ok(found),
                    None => {
                        let row = self.row(statement, key.as_bytes(), now).await?;
                        let found = row.as_ref().map(Self::record).transpose()?;
                        Ok(found.map(|(_, record)| record))
                    }
                }
            }

            /// Finds the row with this key, through the pool.
            ///
            /// The future is boxed: it is large, and most look-ups of a store with readers need none.
            fn row<'a>(
                &'a self,
                statement: &'static str,
                key: &'a [u8],
                now: i64,
            ) -> FoundRow<'a, <$database as Database>::Row> {
                Box::pin(async move {
                    Ok(sqlx::query(statement)
                        .bind(key)
                        .bind(now)
                        .fetch_optional(&mut *$dialect::connect(&self.pool).await?)
                        .await?)
                })
            }

            /// A statement whose first thirteen arguments are a family.
            fn with_family(
                statement: &'static str,
                key: FamilyKey,
                family: &TokenFamily,
            ) -> Statement<$database> {
                sqlx::query(statement)
                    .bind(key.0.to_vec())
                    .bind(family.user_type.clone())
                    .bind(family.user_id.clone())
                    .bind(family.seed.to_vec())
                    .bind(family.version)
                    .bind(family.generation)
                    .bind(family.rotated_at)
                    .bind(family.seen_at)
                    .bind(family.restored_at)
                    .bind(family.authenticated_at)
                    .bind(family.expires_at)
                    .bind(family.hash.clone())
                    .bind(family.lifetime)
            }
        }

        impl LoginStore for $store {
            async fn insert(
                &self,
                key: LoginKey,
                record: &LoginRecord,
                max: Option<MaxLogins>,
                now: i64,
            ) -> Result<Inserted, StoreError> {
                let (permit, mut connection) = self.writer().await?;
                let record = record.clone();
                complete(async move {
                    let _permit = permit;
                    let lock = $dialect::lock(Some(record.owner()));
                    let mut tx = Self::begin(&mut connection, lock).await?;
                    let key = key.as_bytes().as_slice();
                    let is_stored: bool = sqlx::query_scalar(statements::IS_STORED)
                        .bind(key)
                        .bind(now)
                        .fetch_one(&mut *tx)
                        .await?;
                    if is_stored {
                        tx.rollback().await?;
                        return Ok(Inserted::Done { ended: 0 });
                    }
                    sqlx::query(statements::DELETE_EXPIRED)
                        .bind(key)
                        .bind(now)
                        .execute(&mut *tx)
                        .await?;
                    let mut ended = 0;
                    match max {
                        None => {}
                        Some(MaxLogins::EndOldest(limit)) => {
                            ended = sqlx::query(statements::END_OLDEST)
                                .bind(&record.user_type)
                                .bind(&record.user_id)
                                .bind(now)
                                .bind(i64::from(limit.max(1)) - 1)
                                .execute(&mut *tx)
                                .await?
                                .rows_affected();
                        }
                        Some(MaxLogins::Refuse(limit)) => {
                            let live: i64 = sqlx::query_scalar(statements::COUNT_OF)
                                .bind(&record.user_type)
                                .bind(&record.user_id)
                                .bind(now)
                                .fetch_one(&mut *tx)
                                .await?;
                            if live >= i64::from(limit) {
                                tx.rollback().await?;
                                return Ok(Inserted::Refused);
                            }
                        }
                    }
                    sqlx::query(statements::INSERT)
                        .bind(key)
                        .bind(&record.user_type)
                        .bind(&record.user_id)
                        .bind(record.created_at)
                        .bind(record.authenticated_at)
                        .bind(record.last_seen)
                        .bind(record.expires_at)
                        .bind(record.fresh)
                        .bind(record.allow_inactive)
                        .bind(&record.method)
                        .bind(record.client.cast_signed())
                        .bind(&record.user_agent)
                        .bind(&record.address)
                        .bind(&record.hash)
                        .bind(record.family.as_ref().map(|family| family.0.as_slice()))
                        .bind(record.unseen_token)
                        .execute(&mut *tx)
                        .await?;
                    tx.commit().await?;
                    Ok(Inserted::Done { ended })
                })
                .await
            }

            async fn find(
                &self,
                key: LoginKey,
                now: i64,
            ) -> Result<Option<LoginRecord>, StoreError> {
                self.find_by(statements::FIND, key, now).await
            }

            async fn find_for_auth(
                &self,
                key: LoginKey,
                now: i64,
            ) -> Result<Option<LoginRecord>, StoreError> {
                self.find_by(statements::FIND_FOR_AUTH, key, now).await
            }

            async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
                let touch = sqlx::query(statements::TOUCH).bind(key.0.to_vec());
                self.write_one(touch.bind(last_seen)).await?;
                Ok(())
            }

            async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
                let make_stale = sqlx::query(statements::MAKE_STALE).bind(key.0.to_vec());
                self.write_one(make_stale.bind(false)).await?;
                Ok(())
            }

            async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
                let end = sqlx::query(statements::END).bind(key.0.to_vec());
                Ok(self.write_one(end).await? > 0)
            }

            async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
                let mut writer = self.writer().await?;
                let (lock, statements) = match which {
                    LoginSelector::Of {
                        owner,
                        but,
                        but_family,
                    } => {
                        let of = |statement| {
                            let statement = sqlx::query(statement).bind(owner.user_type.to_owned());
                            statement.bind(owner.user_id.to_owned())
                        };
                        // No key is empty.
                        let but = but.map(|key| key.0.to_vec()).unwrap_or_default();
                        let but_family = but_family.map(|key| key.0.to_vec()).unwrap_or_default();
                        let families = of(statements::END_FAMILIES_OF).bind(but_family);
                        let logins = of(statements::END_OF).bind(but);
                        ($dialect::lock(Some(owner)), [families, logins])
                    }
                    LoginSelector::Family(key) => {
                        // The owner of a family never changes, so this may be read before the lock.
                        let owner: Option<(String, String)> =
                            sqlx::query_as(statements::OWNER_OF_FAMILY)
                                .bind(key.0.as_slice())
                                .fetch_optional(&mut *writer.1)
                                .await?;
                        let Some((user_type, user_id)) = &owner else {
                            return Ok(0);
                        };
                        let of = |statement| sqlx::query(statement).bind(key.0.to_vec());
                        let families = of(statements::END_FAMILY);
                        let logins = of(statements::END_OF_FAMILY);
                        let owner = LoginOwner { user_type, user_id };
                        ($dialect::lock(Some(owner)), [families, logins])
                    }
                    LoginSelector::All => {
                        let families = sqlx::query(statements::END_ALL_FAMILIES);
                        let logins = sqlx::query(statements::END_ALL);
                        ($dialect::lock(None), [families, logins])
                    }
                };
                Self::write(writer, lock, statements).await
            }

            async fn list(
                &self,
                owner: LoginOwner<'_>,
                now: i64,
            ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
                let rows = sqlx::query(statements::LIST_OF)
                    .bind(owner.user_type)
                    .bind(owner.user_id)
                    .bind(now)
                    .fetch_all(&mut *$dialect::connect(&self.pool).await?)
                    .await?;
                rows.iter().map(Self::record).collect()
            }

            async fn insert_family(
                &self,
                key: FamilyKey,
                family: &TokenFamily,
            ) -> Result<(), StoreError> {
                let insert = Self::with_family(statements::INSERT_FAMILY, key, family);
                self.write_one(insert).await?;
                Ok(())
            }

            async fn end_oldest_families(
                &self,
                owner: LoginOwner<'_>,
                keep: u32,
            ) -> Result<u64, StoreError> {
                let end = sqlx::query(statements::END_OLDEST_FAMILIES)
                    .bind(owner.user_type.to_owned())
                    .bind(owner.user_id.to_owned())
                    .bind(i64::from(keep));
                Self::write(self.writer().await?, $dialect::lock(Some(owner)), [end]).await
            }

            async fn find_family(
                &self,
                key: FamilyKey,
                now: i64,
            ) -> Result<Option<TokenFamily>, StoreError> {
                match self.readers.find_family(&self.pool, key, now) {
                    Some(found) => Ok(found),
                    None => {
                        let row = self.row(statements::FIND_FAMILY, &key.0, now).await?;
                        row.as_ref().map(Self::family).transpose()
                    }
                }
            }

            async fn update_family_if(
                &self,
                key: FamilyKey,
                expected: i64,
                family: &TokenFamily,
            ) -> Result<bool, StoreError> {
                let update = Self::with_family(statements::UPDATE_FAMILY_IF, key, family);
                Ok(self.write_one(update.bind(expected)).await? > 0)
            }

            async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
                let of = |statement| sqlx::query(statement).bind(login.0.to_vec());
                let see = of(statements::SEE_TOKEN).bind(now);
                let forget = of(statements::FORGET_TOKEN);
                Self::write(self.writer().await?, None, [see, forget]).await?;
                Ok(())
            }

            async fn purge(
                &self,
                now: i64,
                idle_since: Option<i64>,
                limit: u32,
            ) -> Result<u64, StoreError> {
                let clock = self.clock().await?;
                let ahead = now.saturating_sub(clock).max(0);
                let now = now.saturating_sub(ahead);
                let idle_since = idle_since.map(|since| since.saturating_sub(ahead));
                let before = [Some(now), idle_since, Some(now), Some(now), Some(now), Some(now)];
                let mut left = u64::from(limit);
                for (statement, before) in $dialect::PURGE.into_iter().zip(before) {
                    if let Some(before) = before {
                        let deleted = self.delete_before(statement, before, left).await?;
                        left = left.saturating_sub(deleted);
                    }
                }
                Ok(u64::from(limit) - left)
            }

            async fn revoke_session(
                &self,
                session: LoginKey,
                owner: LoginOwner<'_>,
                until: i64,
                max: u32,
            ) -> Result<(), StoreError> {
                let (user_type, user_id) = (owner.user_type.to_owned(), owner.user_id.to_owned());
                let revoke = sqlx::query(statements::REVOKE)
                    .bind(session.0.to_vec())
                    .bind(until)
                    .bind(user_type.clone())
                    .bind(user_id.clone());
                let limit = sqlx::query(statements::FORGET_REVOKED)
                    .bind(user_type)
                    .bind(user_id)
                    .bind(i64::from(max));
                let lock = $dialect::lock(Some(owner));
                Self::write(self.writer().await?, lock, [revoke, limit]).await?;
                Ok(())
            }

            async fn is_session_revoked(
                &self,
                session: LoginKey,
                now: i64,
            ) -> Result<bool, StoreError> {
                match self.readers.is_revoked(&self.pool, session, now) {
                    Some(is_revoked) => Ok(is_revoked),
                    None => {
                        let row = self.row(statements::IS_REVOKED, session.as_bytes(), now);
                        Ok(row.await?.is_some())
                    }
                }
            }

            fn throttle_store(&self) -> Option<AnyThrottleStore> {
                Some(AnyThrottleStore::new(self.clone()))
            }
        }
    };
}

/// Keeps logins in a SQLite database, and counts failed tries there.
///
/// Use it on one machine: logins and counters survive a restart, and processes that open the same file
/// share them.
/// [`new`](Self::new) takes the pool that the application already has. The names of the tables begin
/// with `login_`.
///
/// A log out is a write, and SQLite allows one writer at a time. So use the write-ahead log, and let
/// a write wait for others:
///
/// ```no_run
/// use std::time::Duration;
///
/// use login_runtime::store::SqliteLoginStore;
/// use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let database = SqliteConnectOptions::new()
///     .filename("app.db")
///     .create_if_missing(true)
///     .journal_mode(SqliteJournalMode::Wal)
///     .busy_timeout(Duration::from_secs(5));
/// let pool = SqlitePoolOptions::new().connect_with(database).await?;
///
/// let store = SqliteLoginStore::new(pool);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Look-ups
///
/// A login is looked up on the thread of the request, through a connection that the store opens itself, and
/// keeps until the pool is closed or the store is dropped. It only reads, and never waits for a lock. There
/// are as many as there are threads that look up a login at the same moment, at most 64.
///
/// The pool is asked if that connection could see something else than the pool: on systems other than Unix;
/// if the database is in memory, encrypted, in a shared cache, or locked by the pool (`locking_mode`); with a
/// `vfs`, `immutable`, or an attached database; and from the moment on when the file is replaced or moved. It
/// is also asked if that connection fails, and for a second after a look-up of more than 200 milliseconds.
///
/// Keep the file on a local disk: while a disk does not answer, a look-up stops the other requests of its
/// worker, and no deadline ends it.
///
/// # In memory
///
/// A database in memory (`sqlite::memory:`) is deleted when its last connection closes, and a pool
/// closes connections that are idle or old. Give it one connection that stays open:
/// `.max_connections(1).idle_timeout(None).max_lifetime(None)`.
///
/// # Security
///
/// Keys are hashes, or are only accepted inside an encrypted cookie, and the seeds of remember tokens are
/// useless without the application's key, so a copy of the file cannot be used to log in. It does show which
/// users were logged in, and from where. A person who can write to the file can log in as any user.
#[cfg(feature = "sqlite")]
#[derive(Clone)]
pub struct SqliteLoginStore {
    pool: sqlx::SqlitePool,
    writers: Arc<Semaphore>,
    readers: Arc<readers::Readers>,
}

#[cfg(feature = "sqlite")]
sql_store!(SqliteLoginStore, sqlite, sqlx::Sqlite, readers::Readers);
#[cfg(feature = "sqlite")]
sql_throttle_store!(SqliteLoginStore, sqlite, sqlx::Sqlite);
#[cfg(feature = "sqlite")]
sql_event_sink!(SqliteLoginStore, sqlite, sqlx::Sqlite);

/// Keeps logins in a PostgreSQL database, and counts failed tries there.
///
/// Use it for any number of nodes. [`new`](Self::new) takes the pool that the application already
/// has. The names of the tables begin with `login_`; the tables are in the first schema of the
/// connection's `search_path`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use login_runtime::store::PostgresLoginStore;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     // A request should not wait longer for a connection than for an answer.
///     .acquire_timeout(Duration::from_secs(2))
///     .connect("postgres://app@localhost/app")
///     .await?;
///
/// let store = PostgresLoginStore::new(pool);
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
///
/// A log in takes transaction-level advisory locks whose numbers are hashes of the user and the client, so
/// connection poolers in transaction mode work.
///
/// # Security
///
/// Keys are hashes, or are only accepted inside an encrypted cookie, and the seeds of remember tokens are
/// useless without the application's key, so a copy of the tables cannot be used to log in. It does show which
/// users were logged in, and from where. A person who can write to the tables can log in as any user. A standby that takes over
/// before it has received a log out restores that login; use synchronous commit where this matters.
#[cfg(feature = "postgres")]
#[derive(Clone)]
pub struct PostgresLoginStore {
    pool: sqlx::PgPool,
    writers: Arc<Semaphore>,
    readers: postgres::Readers,
}

#[cfg(feature = "postgres")]
sql_store!(
    PostgresLoginStore,
    postgres,
    sqlx::Postgres,
    postgres::Readers
);
#[cfg(feature = "postgres")]
sql_throttle_store!(PostgresLoginStore, postgres, sqlx::Postgres);
#[cfg(feature = "postgres")]
sql_event_sink!(PostgresLoginStore, postgres, sqlx::Postgres);
