//! Logins in a SQL database, through the application's own sqlx pool.
//!
//! SQLite and PostgreSQL share everything but how a transaction begins and how rows that are over are
//! picked. What must be one step is one statement with its condition in `WHERE`. What takes several
//! has the owner to itself: in SQLite because only one writes, in PostgreSQL by an advisory lock, so
//! that a login does not slip in between what a log out deletes first and last.
//!
//! sqlx up to 0.9.0 may leave a transaction open when the future of `begin` is dropped, and hands the
//! connection to whoever comes next. The manager drops futures whose time is over, and so does
//! actix-web when a client hangs up. So transactions here run in tasks of their own, which nobody
//! drops. And since the application uses the same pool, everything written here is in a transaction
//! that is committed here: in one that the application left open, a log out would be taken back.

use std::{fmt, future::Future, time::Instant};

use sqlx::{Database, Executor, Row, pool::PoolConnection, query::Query};

use super::{
    FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore, MaxLogins,
    StoreError, TokenFamily,
};

/// The version of the tables.
const VERSION: i64 = 1;

macro_rules! record_columns {
    () => {
        "key, user_type, user_id, created_at, authenticated_at, last_seen, expires_at, fresh, allow_inactive, \
         method, client, user_agent, address, hash, family"
    };
}

macro_rules! family_columns {
    () => {
        "key, user_type, user_id, seed, version, generation, rotated_at, seen_at, restored_at, \
         authenticated_at, expires_at, hash, lifetime"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO login_records (",
    record_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
);
const IS_THERE: &str = "SELECT COUNT(*) FROM login_records WHERE key = $1 AND expires_at > $2";
const DELETE_OVER: &str = "DELETE FROM login_records WHERE key = $1 AND expires_at <= $2";
const COUNT: &str =
    "SELECT COUNT(*) FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3";
/// All that are live but the newest `$4`. The limit is there because SQLite wants one.
const END_OLDEST: &str = "\
    DELETE FROM login_records WHERE key IN (\
        SELECT key FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3 \
        ORDER BY created_at DESC, key DESC LIMIT 9223372036854775807 OFFSET $4)";
const FIND: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM login_records WHERE key = $1 AND expires_at > $2",
);
const LIST: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM login_records WHERE user_type = $1 AND user_id = $2 AND expires_at > $3 \
     ORDER BY created_at DESC, key",
);
const TOUCH: &str = "UPDATE login_records SET last_seen = $2 WHERE key = $1 AND last_seen < $2";
const MAKE_STALE: &str = "UPDATE login_records SET fresh = $2 WHERE key = $1";
const END: &str = "DELETE FROM login_records WHERE key = $1";
const END_OF: &str =
    "DELETE FROM login_records WHERE user_type = $1 AND user_id = $2 AND key <> $3";
const END_FAMILIES_OF: &str =
    "DELETE FROM login_families WHERE user_type = $1 AND user_id = $2 AND key <> $3";
const END_OF_FAMILY: &str = "DELETE FROM login_records WHERE family = $1";
const END_FAMILY: &str = "DELETE FROM login_families WHERE key = $1";
/// Logins may be left of a family that is over.
const OWNER_OF_FAMILY: &str = "\
    SELECT user_type, user_id FROM login_families WHERE key = $1 \
    UNION SELECT user_type, user_id FROM login_records WHERE family = $1";
const END_ALL: &str = "DELETE FROM login_records";
const END_ALL_FAMILIES: &str = "DELETE FROM login_families";
const INSERT_FAMILY: &str = concat!(
    "INSERT INTO login_families (",
    family_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
);
const FIND_FAMILY: &str = concat!(
    "SELECT ",
    family_columns!(),
    " FROM login_families WHERE key = $1 AND expires_at > $2",
);
const CLAIM_FAMILY: &str = "\
    UPDATE login_families SET user_type = $2, user_id = $3, seed = $4, version = $5, \
        generation = $6, rotated_at = $7, seen_at = $8, restored_at = $9, authenticated_at = $10, \
        expires_at = $11, hash = $12, lifetime = $13 \
    WHERE key = $1 AND version = $14";
const BURY: &str = "\
    INSERT INTO login_revoked_sessions (key, until) VALUES ($1, $2) \
    ON CONFLICT (key) DO UPDATE SET until = excluded.until \
    WHERE login_revoked_sessions.until < excluded.until";
const IS_REVOKED: &str = "SELECT 1 FROM login_revoked_sessions WHERE key = $1 AND until > $2";
const MIGRATED: &str = "SELECT COALESCE(MAX(version), 0) FROM login_schema";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::new(error)
    }
}

/// The tables are of another version of this crate.
#[derive(Debug)]
struct NewerTables(i64);

impl fmt::Display for NewerTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the login tables have version {}, and this program knows {VERSION}",
            self.0
        )
    }
}

impl std::error::Error for NewerTables {}

/// For whom a transaction has the store to itself.
#[derive(Clone, Copy)]
enum Lock<'a> {
    /// Nobody: one statement waits at its row, if it has to.
    None,
    /// What is a user's: for what adds or deletes several of its rows.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "SQLite has one who writes, and no owner to lock")
    )]
    LoginOwner(LoginOwner<'a>),
    /// Everything.
    All,
}

/// Runs something to its end, even if nobody waits for it any longer.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        Err(error) => Err(StoreError::new(error)),
    }
}

/// A column holds something that this crate did not put there.
fn bytes<const N: usize>(column: Vec<u8>) -> Result<[u8; N], StoreError> {
    column
        .try_into()
        .map_err(|_| StoreError::new("a key in the login tables has the wrong length"))
}

/// A key, or what no key equals.
fn or_none(key: Option<&[u8]>) -> Vec<u8> {
    key.unwrap_or_default().to_vec()
}

/// What both stores have. `$dialect` brings what they differ in.
macro_rules! sql_store {
    ($store:ident, $dialect:ident, $database:ty) => {
        impl fmt::Debug for $store {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($store)).finish_non_exhaustive()
            }
        }

        impl $store {
            /// The SQL that creates the tables and their indexes, for who runs migrations otherwise.
            ///
            /// It may run again: it leaves alone what is there. A later version of this crate that
            /// needs other tables says in its change notes what to run.
            pub const SCHEMA: &'static str = $dialect::SCHEMA;

            /// A store in the database of this pool, which the application may use for itself too.
            ///
            /// Nothing is asked of the database yet. The tables are made by
            /// [`migrate`](Self::migrate), or by who runs [`SCHEMA`](Self::SCHEMA).
            pub fn new(pool: sqlx::Pool<$database>) -> Self {
                Self {
                    pool,
                    turns: $dialect::LocalMutex::default(),
                }
            }

            /// Makes the tables, if they are not there.
            ///
            /// Call it when the application starts, on every node: one does it, the others wait. It
            /// changes nothing if the tables are there, and has nothing to do with the application's
            /// own sqlx migrations.
            ///
            /// # Errors
            ///
            /// If the database does not answer or allow it, and if the tables were made by a later
            /// version of this crate.
            pub async fn migrate(&self) -> Result<(), StoreError> {
                let (turn, mut connection) = self.turn().await?;
                to_the_end(async move {
                    let _turn = turn;
                    // `IF NOT EXISTS` alone fails in PostgreSQL when two do it at once.
                    let mut tx = $dialect::begin(&mut connection, Lock::All).await?;
                    let has_tables: bool = sqlx::query_scalar($dialect::HAS_TABLES)
                        .fetch_one(&mut *tx)
                        .await?;
                    let version: i64 = if has_tables {
                        sqlx::query_scalar(MIGRATED).fetch_one(&mut *tx).await?
                    } else {
                        0
                    };
                    if version > VERSION {
                        return Err(StoreError::new(NewerTables(version)));
                    }
                    if version < VERSION {
                        (&mut *tx).execute($dialect::SCHEMA).await?;
                    }
                    tx.commit().await?;
                    Ok(())
                })
                .await
            }

            /// Waits for its turn to write, and for a connection. Who gives up here leaves the queue.
            async fn turn(
                &self,
            ) -> Result<($dialect::LocalMutexGuard, PoolConnection<$database>), StoreError> {
                let turn = self.turns.next().await;
                Ok((turn, $dialect::connect(&self.pool).await?))
            }

            /// Runs one statement in a transaction of its own. How many rows it changed.
            async fn write(
                &self,
                statement: Query<'static, $database, <$database as Database>::Arguments<'static>>,
            ) -> Result<u64, StoreError> {
                let (turn, mut connection) = self.turn().await?;
                to_the_end(async move {
                    let _turn = turn;
                    let mut tx = $dialect::begin(&mut connection, Lock::None).await?;
                    let done = statement.execute(&mut *tx).await?;
                    tx.commit().await?;
                    Ok(done.rows_affected())
                })
                .await
            }

            fn record(
                row: &<$database as Database>::Row,
            ) -> Result<(LoginKey, LoginRecord), StoreError> {
                let family: Option<Vec<u8>> = row.try_get(14)?;
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

            /// A statement about a family, with the family as its first thirteen arguments.
            fn with_family(
                statement: &'static str,
                key: FamilyKey,
                family: &TokenFamily,
            ) -> Query<'static, $database, <$database as Database>::Arguments<'static>> {
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
                let (turn, mut connection) = self.turn().await?;
                let record = record.clone();
                to_the_end(async move {
                    let _turn = turn;
                    let lock = Lock::LoginOwner(record.owner());
                    let mut tx = $dialect::begin(&mut connection, lock).await?;
                    let is_there: i64 = sqlx::query_scalar(IS_THERE)
                        .bind(key.as_bytes().as_slice())
                        .bind(now)
                        .fetch_one(&mut *tx)
                        .await?;
                    if is_there > 0 {
                        tx.rollback().await?;
                        return Ok(Inserted::Done { ended: 0 });
                    }
                    sqlx::query(DELETE_OVER)
                        .bind(key.as_bytes().as_slice())
                        .bind(now)
                        .execute(&mut *tx)
                        .await?;
                    let mut ended = 0;
                    match max {
                        None => {}
                        Some(MaxLogins::EndOldest(limit)) => {
                            ended = sqlx::query(END_OLDEST)
                                .bind(&record.user_type)
                                .bind(&record.user_id)
                                .bind(now)
                                .bind(i64::from(limit.max(1)) - 1)
                                .execute(&mut *tx)
                                .await?
                                .rows_affected();
                        }
                        Some(MaxLogins::Refuse(limit)) => {
                            let live: i64 = sqlx::query_scalar(COUNT)
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
                    sqlx::query(INSERT)
                        .bind(key.as_bytes().as_slice())
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
                        .bind(record.family.map(|family| family.0.to_vec()))
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
                let row = sqlx::query(FIND)
                    .bind(key.as_bytes().as_slice())
                    .bind(now)
                    .fetch_optional(&mut *$dialect::connect(&self.pool).await?)
                    .await?;
                Ok(row
                    .as_ref()
                    .map(Self::record)
                    .transpose()?
                    .map(|(_, record)| record))
            }

            async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
                let key = key.as_bytes().to_vec();
                self.write(sqlx::query(TOUCH).bind(key).bind(last_seen))
                    .await?;
                Ok(())
            }

            async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
                let key = key.as_bytes().to_vec();
                self.write(sqlx::query(MAKE_STALE).bind(key).bind(false))
                    .await?;
                Ok(())
            }

            async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
                let key = key.as_bytes().to_vec();
                Ok(self.write(sqlx::query(END).bind(key)).await? > 0)
            }

            async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
                let (turn, mut connection) = self.turn().await?;
                match which {
                    LoginSelector::Of {
                        owner,
                        but,
                        but_family,
                    } => {
                        let (user_type, user_id) =
                            (owner.user_type.to_owned(), owner.user_id.to_owned());
                        to_the_end(async move {
                            let _turn = turn;
                            let lock = Lock::LoginOwner(LoginOwner {
                                user_type: &user_type,
                                user_id: &user_id,
                            });
                            let mut tx = $dialect::begin(&mut connection, lock).await?;
                            let done = sqlx::query(END_OF)
                                .bind(&user_type)
                                .bind(&user_id)
                                .bind(or_none(but.as_ref().map(|key| key.as_bytes().as_slice())))
                                .execute(&mut *tx)
                                .await?;
                            sqlx::query(END_FAMILIES_OF)
                                .bind(&user_type)
                                .bind(&user_id)
                                .bind(or_none(but_family.as_ref().map(|key| key.0.as_slice())))
                                .execute(&mut *tx)
                                .await?;
                            tx.commit().await?;
                            Ok(done.rows_affected())
                        })
                        .await
                    }
                    LoginSelector::Family(key) => {
                        to_the_end(async move {
                            let _turn = turn;
                            // A family never changes hands, so this may be read before the lock.
                            let owner: Option<(String, String)> = sqlx::query_as(OWNER_OF_FAMILY)
                                .bind(key.0.as_slice())
                                .fetch_optional(&mut *connection)
                                .await?;
                            let Some((user_type, user_id)) = &owner else {
                                return Ok(0);
                            };
                            let lock = Lock::LoginOwner(LoginOwner { user_type, user_id });
                            let mut tx = $dialect::begin(&mut connection, lock).await?;
                            let done = sqlx::query(END_OF_FAMILY)
                                .bind(key.0.as_slice())
                                .execute(&mut *tx)
                                .await?;
                            sqlx::query(END_FAMILY)
                                .bind(key.0.as_slice())
                                .execute(&mut *tx)
                                .await?;
                            tx.commit().await?;
                            Ok(done.rows_affected())
                        })
                        .await
                    }
                    LoginSelector::All => {
                        to_the_end(async move {
                            let _turn = turn;
                            let mut tx = $dialect::begin(&mut connection, Lock::All).await?;
                            let done = sqlx::query(END_ALL).execute(&mut *tx).await?;
                            sqlx::query(END_ALL_FAMILIES).execute(&mut *tx).await?;
                            tx.commit().await?;
                            Ok(done.rows_affected())
                        })
                        .await
                    }
                }
            }

            async fn list(
                &self,
                owner: LoginOwner<'_>,
                now: i64,
            ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
                let rows = sqlx::query(LIST)
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
                self.write(Self::with_family(INSERT_FAMILY, key, family))
                    .await?;
                Ok(())
            }

            async fn find_family(
                &self,
                key: FamilyKey,
                now: i64,
            ) -> Result<Option<TokenFamily>, StoreError> {
                let row = sqlx::query(FIND_FAMILY)
                    .bind(key.0.as_slice())
                    .bind(now)
                    .fetch_optional(&mut *$dialect::connect(&self.pool).await?)
                    .await?;
                row.as_ref().map(Self::family).transpose()
            }

            async fn update_family_if(
                &self,
                key: FamilyKey,
                expected: i64,
                family: &TokenFamily,
            ) -> Result<bool, StoreError> {
                let claim = Self::with_family(CLAIM_FAMILY, key, family).bind(expected);
                Ok(self.write(claim).await? > 0)
            }

            async fn purge(
                &self,
                now: i64,
                idle_since: Option<i64>,
                limit: u32,
            ) -> Result<u64, StoreError> {
                let limit = u64::from(limit);
                let mut purged = 0;
                let before = [Some(now), idle_since, Some(now), Some(now)];
                for (statement, before) in $dialect::PURGE.into_iter().zip(before) {
                    let Some(before) = before else {
                        continue;
                    };
                    while purged < limit {
                        // Each a step of its own, short enough not to keep others waiting.
                        let started = Instant::now();
                        let batch = (limit - purged).min($dialect::PURGE_BATCH);
                        let statement = sqlx::query(statement).bind(before);
                        let deleted = self.write(statement.bind(batch.cast_signed())).await?;
                        purged += deleted;
                        if deleted < batch {
                            break;
                        }
                        $dialect::rest(started.elapsed()).await;
                    }
                }
                Ok(purged)
            }

            async fn revoke_session(
                &self,
                session: LoginKey,
                until: i64,
            ) -> Result<(), StoreError> {
                let session = session.as_bytes().to_vec();
                self.write(sqlx::query(BURY).bind(session).bind(until))
                    .await?;
                Ok(())
            }

            async fn is_session_revoked(
                &self,
                session: LoginKey,
                now: i64,
            ) -> Result<bool, StoreError> {
                let row = sqlx::query(IS_REVOKED)
                    .bind(session.as_bytes().as_slice())
                    .bind(now)
                    .fetch_optional(&mut *$dialect::connect(&self.pool).await?)
                    .await?;
                Ok(row.is_some())
            }
        }
    };
}

/// Keeps logins in a SQLite database.
///
/// For one machine: logins outlive a restart, and processes that open the same file share them.
/// [`new`](Self::new) takes the pool that the application has anyway. The tables are called `login_*`.
///
/// A log out is one write, and SQLite writes one at a time, so use the write-ahead log and let a
/// write wait its turn:
///
/// ```no_run
/// use std::time::Duration;
///
/// use login_runtime::SqliteLoginStore;
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
/// A database in memory (`sqlite::memory:`) goes with its last connection, and a pool closes those that
/// are idle or old. Give it one that stays: `.max_connections(1).idle_timeout(None).max_lifetime(None)`.
///
/// # Security
///
/// Keys are hashes and the seeds of remember tokens need the application's key, so a copy of the file
/// logs nobody in. It does say who was logged in from where, and who can write to it can write
/// themselves a login.
#[cfg(feature = "sqlite")]
#[derive(Clone)]
pub struct SqliteLoginStore {
    pool: sqlx::SqlitePool,
    turns: sqlite::LocalMutex,
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::{sync::Arc, time::Duration};

    use sqlx::{
        Connection, Database, Sqlite, SqliteConnection, SqlitePool, Transaction,
        TransactionManager, pool::PoolConnection,
    };
    use tokio::sync::{Mutex, OwnedMutexGuard};

    use super::{super::StoreError, Lock};

    pub(super) const SCHEMA: &str = include_str!("sql/sqlite.sql");
    pub(super) const HAS_TABLES: &str =
        "SELECT COUNT(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'login_schema'";
    pub(super) const PURGE: [&str; 4] = [
        "DELETE FROM login_records WHERE key IN (\
             SELECT key FROM login_records WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM login_records WHERE key IN (\
             SELECT key FROM login_records WHERE last_seen < $1 ORDER BY last_seen LIMIT $2)",
        "DELETE FROM login_families WHERE key IN (\
             SELECT key FROM login_families WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM login_revoked_sessions WHERE key IN (\
             SELECT key FROM login_revoked_sessions WHERE until <= $1 ORDER BY until LIMIT $2)",
    ];

    /// Lets one of this process write at a time. SQLite would not let more either, but have each try
    /// again and again, and keep a connection from those who read.
    #[derive(Clone, Default)]
    pub(super) struct LocalMutex(Arc<Mutex<()>>);

    pub(super) type LocalMutexGuard = OwnedMutexGuard<()>;

    impl LocalMutex {
        pub(super) async fn next(&self) -> LocalMutexGuard {
            Arc::clone(&self.0).lock_owned().await
        }
    }

    /// How many rows one statement of a purge deletes at most.
    ///
    /// Raising it makes a purge quicker; everybody else's writes wait while a statement runs.
    pub(super) const PURGE_BATCH: u64 = 100;

    /// Stays out of the way for as long as the others had to wait. They look again only now and then,
    /// and would not find a moment between two writes that follow each other.
    pub(super) async fn rest(waited: Duration) {
        tokio::time::sleep(waited).await;
    }

    /// A connection that is in no transaction. One that somebody left open would show logins as they
    /// were when it began, and take back what is written in it.
    pub(super) async fn connect(pool: &SqlitePool) -> Result<PoolConnection<Sqlite>, StoreError> {
        let mut connection = pool.acquire().await?;
        while connection.is_in_transaction() {
            // Not closed: that would be the end of a database in memory.
            <Sqlite as Database>::TransactionManager::rollback(&mut connection).await?;
        }
        Ok(connection)
    }

    /// A transaction that writes from its start: one that reads first would have to give up if
    /// another wrote in the meantime.
    pub(super) async fn begin<'a>(
        connection: &'a mut SqliteConnection,
        _: Lock<'_>,
    ) -> Result<Transaction<'a, Sqlite>, StoreError> {
        Ok(connection.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[cfg(feature = "sqlite")]
sql_store!(SqliteLoginStore, sqlite, sqlx::Sqlite);

/// Keeps logins in a PostgreSQL database.
///
/// For any number of nodes. [`new`](Self::new) takes the pool that the application has anyway. The
/// tables are called `login_*` and are in the first schema of the connection's `search_path`.
///
/// ```no_run
/// use std::time::Duration;
///
/// use login_runtime::PostgresLoginStore;
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
/// Logging in takes a transaction-level advisory lock whose number is a hash of the user, so poolers
/// in transaction mode will do.
///
/// # Security
///
/// Keys are hashes and the seeds of remember tokens need the application's key, so a copy of the
/// tables logs nobody in. It does say who was logged in from where, and who can write to them can
/// write themselves a login. A standby that takes over before it has seen a log out brings that login
/// back; commit synchronously where this matters.
#[cfg(feature = "postgres")]
#[derive(Clone)]
pub struct PostgresLoginStore {
    pool: sqlx::PgPool,
    turns: postgres::LocalMutex,
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use sha2::{Digest, Sha256};
    use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction, pool::PoolConnection};

    use super::{
        super::{LoginOwner, StoreError},
        Lock,
    };

    pub(super) const SCHEMA: &str = include_str!("sql/postgres.sql");
    pub(super) const HAS_TABLES: &str = "SELECT to_regclass('login_schema') IS NOT NULL";
    /// Everybody writes at once.
    #[derive(Clone, Copy, Default)]
    pub(super) struct LocalMutex;

    pub(super) type LocalMutexGuard = LocalMutex;

    impl LocalMutex {
        pub(super) async fn next(self) -> LocalMutexGuard {
            self
        }
    }

    /// Nobody waits for a purge here, however many rows it deletes at a time.
    pub(super) const PURGE_BATCH: u64 = 10_000;
    // Rows that somebody holds are skipped: a purge neither waits nor takes part in a deadlock.
    pub(super) const PURGE: [&str; 4] = [
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
    ];

    // Each statement sees what was committed before it, whatever the database's default is.
    const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

    /// The number of an advisory lock. Two things that share one wait for each other, no worse.
    fn lock(owner: Option<LoginOwner<'_>>) -> i64 {
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

    pub(super) async fn rest(_: Duration) {}

    pub(super) async fn connect(pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(pool.acquire().await?)
    }

    /// A transaction of ours. If somebody left one open on this connection, it goes on with that,
    /// and commits it.
    pub(super) async fn begin<'a>(
        connection: &'a mut PgConnection,
        whose: Lock<'_>,
    ) -> Result<Transaction<'a, Postgres>, StoreError> {
        let mut tx = connection.begin_with(BEGIN).await?;
        let all = lock(None);
        let locks = match whose {
            Lock::None => return Ok(tx),
            Lock::LoginOwner(owner) => {
                sqlx::query("SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)")
                    .bind(all)
                    .bind(lock(Some(owner)))
            }
            Lock::All => sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(all),
        };
        locks.execute(&mut *tx).await?;
        Ok(tx)
    }
}

#[cfg(feature = "postgres")]
sql_store!(PostgresLoginStore, postgres, sqlx::Postgres);
