//! Look-ups in a SQLite database on the thread of the request, without the pool.
//!
//! SQLite finds a row in a few microseconds. Through the pool, the same look-up costs many times as much:
//! sqlx tests the connection before and after, and sends each statement to another thread.
//!
//! 1. A reader answers only with what SQLite has read. If anything fails, the pool is asked, and its
//!    answer counts.
//! 2. A reader does not wait for a lock: while it waited, no other request of the worker could run.
//! 3. A reader has no transaction open between two look-ups, so each look-up sees all transactions that
//!    were committed before it.
//! 4. Readers are used only if they see the database that the pool sees. This is proved once: while a
//!    connection of the pool holds the write lock, a reader must not get it. Afterwards, each look-up
//!    checks that the pool has the same options, and that the file is the same.
//! 5. If these change, readers are never used again. Connections of the pool may be in the old file and
//!    in the new one then.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, TransactionBehavior,
};
use sqlx::{ConnectOptions, Row as _, SqlitePool, sqlite::SqliteConnectOptions};
use tokio::runtime::Handle;

use super::{sqlite, statements};
use crate::core::{FamilyKey, LoginKey, LoginRecord, TokenFamily};

/// How many readers a store has at most.
///
/// Each has two open files, and up to half a megabyte of memory. A store needs as many as there are
/// threads that look up a login at the same moment; if it needs more, the pool is asked.
const MAX_READERS: usize = 64;

/// A look-up that takes longer than this stops the next ones: the disk is slow, and no other request of
/// the worker can run meanwhile.
///
/// Lowering it lets a busy machine stop them too, and the pool costs such a machine even more.
const SLOW: Duration = Duration::from_millis(200);

/// How long the pool is asked instead after a slow look-up, or one that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the pool is asked instead if it could not be found out whether readers may be used.
///
/// Lowering it takes the write lock more often.
const CHECK_PAUSE: Duration = Duration::from_secs(10);

/// Whether readers may be used.
mod state {
    /// It is not known yet.
    pub(super) const UNKNOWN: u8 = 0;
    /// It is being found out.
    pub(super) const CHECKING: u8 = 1;
    pub(super) const USED: u8 = 2;
    pub(super) const NEVER: u8 = 3;
}

/// Identifies a file, even if another one has its name later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;

        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// The standard library cannot tell two files apart here.
    #[cfg(not(unix))]
    fn of(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The readers of a store.
pub(super) struct Readers {
    /// The options of the pool when the store was made.
    options: Arc<SqliteConnectOptions>,
    path: PathBuf,
    state: AtomicU8,
    made_at: Instant,
    /// The pool is asked until then, in milliseconds since `made_at`.
    paused_until: AtomicU64,
    shelf: Mutex<Shelf>,
}

/// The readers that no thread uses at the moment.
#[derive(Default)]
struct Shelf {
    idle: Vec<Connection>,
    /// How many readers there are, with those that are used.
    open: usize,
    /// The file that the readers read. That of the time when the store was made, if it existed.
    file: Option<FileId>,
}

/// Why readers are not used.
enum Unusable {
    /// Because of something that may pass, such as a pool that has no connection left.
    Now,
    Ever(&'static str),
}

impl From<sqlx::Error> for Unusable {
    fn from(_: sqlx::Error) -> Self {
        Self::Now
    }
}

impl From<rusqlite::Error> for Unusable {
    fn from(_: rusqlite::Error) -> Self {
        // For instance, because the application decrypts the file.
        Self::Ever("another connection cannot read the database")
    }
}

impl Readers {
    pub(super) fn of(pool: &SqlitePool) -> Arc<Self> {
        let options = pool.connect_options();
        let path = options.get_filename().to_owned();
        let file = FileId::of(&path).ok();
        Arc::new(Self {
            options,
            path,
            state: AtomicU8::new(state::UNKNOWN),
            made_at: Instant::now(),
            paused_until: AtomicU64::new(0),
            shelf: Mutex::new(Shelf {
                file,
                ..Shelf::default()
            }),
        })
    }

    /// Finds a login. `None` if the pool has to be asked.
    pub(super) fn find(
        self: &Arc<Self>,
        pool: &SqlitePool,
        statement: &'static str,
        key: LoginKey,
        now: i64,
    ) -> Option<Option<LoginRecord>> {
        self.look_up(pool, statement, key.as_bytes(), now, record)
    }

    /// Finds a family of remember tokens. `None` if the pool has to be asked.
    pub(super) fn find_family(
        self: &Arc<Self>,
        pool: &SqlitePool,
        key: FamilyKey,
        now: i64,
    ) -> Option<Option<TokenFamily>> {
        self.look_up(pool, statements::FIND_FAMILY, &key.0, now, family)
    }

    /// Whether a session was revoked. `None` if the pool has to be asked.
    pub(super) fn is_revoked(
        self: &Arc<Self>,
        pool: &SqlitePool,
        session: LoginKey,
        now: i64,
    ) -> Option<bool> {
        let key = session.as_bytes();
        let found = self.look_up(pool, statements::IS_REVOKED, key, now, |_| Ok(()));
        found.map(|found| found.is_some())
    }

    /// Reads the row with this key. `None` if the pool has to be asked.
    fn look_up<T>(
        self: &Arc<Self>,
        pool: &SqlitePool,
        statement: &'static str,
        key: &[u8],
        now: i64,
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Option<Option<T>> {
        let reader = self.take(pool)?;
        let started = Instant::now();
        let found = reader
            .prepare_cached(statement)
            .and_then(|mut statement| statement.query_row((key, now), read))
            .optional();
        if started.elapsed() > SLOW {
            self.pause(PAUSE);
        }
        match found {
            Ok(found) => {
                self.put_back(reader);
                Some(found)
            }
            Err(error) if is_busy(&error) => {
                self.put_back(reader);
                None
            }
            Err(_) => {
                drop(reader);
                self.shelf().open -= 1;
                self.pause(PAUSE);
                None
            }
        }
    }

    /// A reader for one look-up, if readers may be used.
    fn take(self: &Arc<Self>, pool: &SqlitePool) -> Option<Connection> {
        match self.state.load(Ordering::Acquire) {
            state::USED => {}
            state::UNKNOWN if !self.is_paused() => {
                if let Ok(runtime) = Handle::try_current()
                    && let Some(check) = Check::begin(self)
                {
                    let pool = pool.clone();
                    runtime.spawn(async move { check.run(&pool).await });
                }
                return None;
            }
            _ => return None,
        }
        if pool.is_closed() {
            self.end("the pool is closed");
            return None;
        }
        if !Arc::ptr_eq(&pool.connect_options(), &self.options) {
            self.end("the pool has got other options");
            return None;
        }
        if self.is_paused() {
            return None;
        }
        let file = FileId::of(&self.path).ok();
        let mut shelf = self.shelf();
        if file.is_none() || file != shelf.file {
            drop(shelf);
            self.end("the file was replaced or removed");
            return None;
        }
        if let Some(reader) = shelf.idle.pop() {
            return Some(reader);
        }
        if shelf.open >= MAX_READERS {
            return None;
        }
        shelf.open += 1;
        drop(shelf);
        let opened = open(&self.path).and_then(restrict);
        // The file may have been replaced before it was opened.
        match opened {
            Ok(reader) if FileId::of(&self.path).ok() == file => Some(reader),
            _ => {
                self.shelf().open -= 1;
                self.pause(PAUSE);
                None
            }
        }
    }

    fn put_back(&self, reader: Connection) {
        let mut shelf = self.shelf();
        // The state changes under this lock, so no reader outlives the end.
        if self.state.load(Ordering::Acquire) == state::USED {
            shelf.idle.push(reader);
        } else {
            shelf.open -= 1;
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_paused(&self) -> bool {
        let until = self.paused_until.load(Ordering::Relaxed);
        until > 0 && millis(self.made_at.elapsed()) < until
    }

    fn pause(&self, pause: Duration) {
        let until = millis(self.made_at.elapsed().saturating_add(pause));
        self.paused_until.fetch_max(until, Ordering::Relaxed);
    }

    /// Closes the readers. From now on, only the pool is asked.
    fn end(&self, why: &'static str) {
        let mut shelf = self.shelf();
        if self.state.swap(state::NEVER, Ordering::AcqRel) != state::NEVER {
            tracing::debug!(target: "login", "logins are looked up through the pool: {why}");
        }
        let idle = std::mem::take(&mut shelf.idle);
        shelf.open -= idle.len();
        // Closing a reader may write to the disk.
        drop(shelf);
        drop(idle);
    }

    /// Finds out whether readers may be used, if nobody else does so at the moment.
    pub(super) async fn check(self: &Arc<Self>, pool: &SqlitePool) {
        if let Some(check) = Check::begin(self) {
            check.run(pool).await;
        }
    }

    /// Opens a reader, and compares what it sees with what a connection of the pool sees.
    async fn compare(&self, pool: &SqlitePool) -> Result<(Connection, FileId), Unusable> {
        if !has_plain_file(&self.options) {
            return Err(Unusable::Ever("the database is not a plain file"));
        }
        let mut connection = sqlite::connect(pool).await.map_err(|_| Unusable::Now)?;
        let databases = sqlx::query("PRAGMA database_list")
            .fetch_all(&mut *connection)
            .await?;
        for database in databases {
            let (name, file): (String, String) = (database.try_get(1)?, database.try_get(2)?);
            match &*name {
                "main" if !file.is_empty() => {}
                "temp" => {}
                _ => {
                    return Err(Unusable::Ever(
                        "the pool has several databases, or none on disk",
                    ));
                }
            }
        }
        let locking: String = sqlx::query_scalar("PRAGMA locking_mode")
            .fetch_one(&mut *connection)
            .await?;
        if !locking.eq_ignore_ascii_case("normal") {
            return Err(Unusable::Ever("the pool locks out other connections"));
        }
        let mut tx = sqlx::Connection::begin_with(&mut *connection, sqlite::BEGIN).await?;
        let schema: i64 = sqlx::query_scalar("PRAGMA schema_version")
            .fetch_one(&mut *tx)
            .await?;
        let seen = self.look_at(schema);
        tx.rollback().await?;
        seen
    }

    /// Opens a reader while a connection of the pool has the write lock, and sees this version of the
    /// schema.
    fn look_at(&self, schema: i64) -> Result<(Connection, FileId), Unusable> {
        let moved = |_| Unusable::Ever("the file was replaced or removed");
        let file = FileId::of(&self.path).map_err(moved)?;
        let mut reader = open(&self.path)?;
        match reader.transaction_with_behavior(TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) => {}
            _ => return Err(Unusable::Ever("another connection opens another database")),
        }
        let seen: i64 = reader.query_row("PRAGMA schema_version", (), |row| row.get(0))?;
        if seen != schema {
            return Err(Unusable::Ever("another connection sees other tables"));
        }
        let reader = restrict(reader)?;
        let before = self.shelf().file;
        if before.is_some_and(|before| before != file) || FileId::of(&self.path).ok() != Some(file)
        {
            return Err(Unusable::Ever("the file was replaced or removed"));
        }
        Ok((reader, file))
    }
}

/// While this exists, no other task finds out whether readers may be used.
struct Check(Arc<Readers>);

impl Check {
    fn begin(readers: &Arc<Readers>) -> Option<Self> {
        let state = &readers.state;
        let (then, next) = (state::UNKNOWN, state::CHECKING);
        let begun = state.compare_exchange(then, next, Ordering::AcqRel, Ordering::Acquire);
        begun.is_ok().then(|| Self(Arc::clone(readers)))
    }

    async fn run(self, pool: &SqlitePool) {
        match self.0.compare(pool).await {
            Ok((reader, file)) => {
                let closed = pool.close_event();
                {
                    let mut shelf = self.0.shelf();
                    shelf.file = Some(file);
                    shelf.idle.push(reader);
                    shelf.open += 1;
                    self.0.state.store(state::USED, Ordering::Release);
                }
                tokio::spawn(end_with_pool(closed, Arc::downgrade(&self.0)));
            }
            Err(Unusable::Ever(why)) => self.0.end(why),
            Err(Unusable::Now) => {}
        }
    }
}

impl Drop for Check {
    /// If nothing was found out, for instance because the runtime has ended, another task tries later.
    fn drop(&mut self) {
        let state = &self.0.state;
        if state.load(Ordering::Acquire) == state::CHECKING {
            self.0.pause(CHECK_PAUSE);
            state.store(state::UNKNOWN, Ordering::Release);
        }
    }
}

/// Closes the readers when the pool is closed, or dropped.
async fn end_with_pool(closed: impl Future<Output = ()>, readers: Weak<Readers>) {
    closed.await;
    if let Some(readers) = readers.upgrade() {
        readers.end("the pool is closed");
    }
}

/// Whether a connection needs nothing but the path: no shared cache, and no other file system.
fn has_plain_file(options: &SqliteConnectOptions) -> bool {
    let path = options.get_filename().as_os_str().as_encoded_bytes();
    // SQLite reads parameters from a name that begins like this.
    if path.starts_with(b"file:") {
        return false;
    }
    // Some names make sqlx panic here.
    let url = options.clone().filename("name").to_url_lossy();
    url.query_pairs().all(|(name, value)| {
        matches!(
            (&*name, &*value),
            ("mode", "rw" | "rwc") | ("cache", "private")
        )
    })
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // The last connection that is closed moves the write-ahead log into the file, which it could not do if
    // it was opened for reading.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_PRIVATE_CACHE;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(Duration::ZERO)?;
    Ok(reader)
}

/// Takes the right to write from a connection. Its cache, in KiB, holds the upper pages of the indexes.
fn restrict(reader: Connection) -> rusqlite::Result<Connection> {
    reader.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -512;")?;
    Ok(reader)
}

/// Whether another connection has a lock.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn record(row: &Row<'_>) -> rusqlite::Result<LoginRecord> {
    let family: Option<[u8; 16]> = row.get(14)?;
    Ok(LoginRecord {
        user_type: row.get(1)?,
        user_id: row.get(2)?,
        created_at: row.get(3)?,
        authenticated_at: row.get(4)?,
        last_seen: row.get(5)?,
        expires_at: row.get(6)?,
        fresh: row.get(7)?,
        allow_inactive: row.get(8)?,
        method: row.get(9)?,
        client: row.get::<_, i64>(10)?.cast_unsigned(),
        user_agent: row.get(11)?,
        address: row.get(12)?,
        hash: row.get(13)?,
        family: family.map(FamilyKey),
        unseen_token: row.get(15)?,
    })
}

fn family(row: &Row<'_>) -> rusqlite::Result<TokenFamily> {
    Ok(TokenFamily {
        user_type: row.get(1)?,
        user_id: row.get(2)?,
        seed: row.get(3)?,
        version: row.get(4)?,
        generation: row.get(5)?,
        rotated_at: row.get(6)?,
        seen_at: row.get(7)?,
        restored_at: row.get(8)?,
        authenticated_at: row.get(9)?,
        expires_at: row.get(10)?,
        hash: row.get(11)?,
        lifetime: row.get(12)?,
    })
}
