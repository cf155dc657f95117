//! A million logins in each store, and a user with many.

use std::{
    fs, io,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::rt::{System, spawn};
use futures_util::{StreamExt, stream};
use login_benches::scenario::USER_AGENT;
use login_runtime::{
    MemoryLoginStore,
    store::{
        LoginKey, LoginRecord, LoginStore, MaxLogins, PostgresLoginStore, RedisLoginStore,
        SqliteLoginStore,
    },
};
use serde_json::{Map, Value, json};
use sqlx::{
    PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{plot::Curve, postgres::Postgres, processes::resident, quick::is_quick, redis::Redis};

/// How often each time is measured. The fastest counts, since other work only makes it slower.
pub(crate) const TIMES: usize = 15;

/// How long a login lasts here, in seconds: longer than the measurements take.
const LASTS: i64 = 24 * 60 * 60;
/// How many seconds ago the logins that are purged were used last.
const UNUSED: i64 = 2 * 60 * 60;
/// The connections to SQLite and PostgreSQL: the default of sqlx.
const CONNECTIONS: u32 = 10;
/// The numbers of users who log in while others are purged begin here.
const NEW: u64 = 1 << 32;

pub(crate) struct Many {
    /// How long it takes to find a login, by the logins in the store.
    pub(crate) find: Vec<Curve>,
    /// How long a log in takes, by the logins of the user.
    pub(crate) log_in: Vec<Curve>,
    /// What was measured once in each store, with all logins.
    pub(crate) table: Value,
}

/// How many logins each store gets.
fn most() -> u64 {
    if is_quick() { 10_000 } else { 1_000_000 }
}

pub(crate) fn measure() -> io::Result<Many> {
    let mut many = Many {
        find: Vec::new(),
        log_in: Vec::new(),
        table: Value::Null,
    };
    let mut table = Map::new();
    System::new().block_on(async {
        let mut add = |name, (find, log_in, row)| {
            many.find.push((name, find));
            many.log_in.push((name, log_in));
            table.insert(name.to_owned(), row);
        };
        add(
            "memory",
            of(
                // Room for the log ins while it is purged, too.
                MemoryLoginStore::with_capacity(4 * most() as usize),
                Fill::LogIns(1),
                true,
            )
            .await,
        );
        let (store, pool, file) = sqlite().await?;
        add("SQLite", of(store, Fill::Sqlite(pool), false).await);
        file.remove();
        let redis = Redis::start()?;
        let store = RedisLoginStore::new(&redis.url).await;
        let store = store.map_err(io::Error::other)?;
        add("Redis", of(store, Fill::LogIns(64), false).await);
        let postgres = Postgres::start()?;
        let (store, pool) = in_postgres(&postgres).await?;
        add("PostgreSQL", of(store, Fill::Postgres(pool), false).await);
        io::Result::Ok(())
    })?;
    many.table = table.into();
    Ok(many)
}

/// A database in a temporary file.
struct File(PathBuf);

impl File {
    fn remove(&self) {
        for end in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            let _ = fs::remove_file(name);
        }
    }
}

async fn sqlite() -> io::Result<(SqliteLoginStore, SqlitePool, File)> {
    let file = std::env::temp_dir().join(format!("login_benches_growth_{}.db", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // The disk is not measured.
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(options)
        .await
        .map_err(io::Error::other)?;
    let store = SqliteLoginStore::new(pool.clone());
    store.migrate().await.map_err(io::Error::other)?;
    Ok((store, pool, File(file)))
}

async fn in_postgres(postgres: &Postgres) -> io::Result<(PostgresLoginStore, PgPool)> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&postgres.url)
        .await
        .map_err(io::Error::other)?;
    let store = PostgresLoginStore::new(pool.clone());
    store.migrate().await.map_err(io::Error::other)?;
    Ok((store, pool))
}

/// How logins get into a store.
enum Fill {
    /// Like those of people, with so many log ins in parallel.
    LogIns(usize),
    /// Directly into the table, since a million transactions would take minutes.
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Fill {
    async fn fill(&self, store: &impl LoginStore, users: Range<u64>, last_seen: i64) {
        const ROWS: usize = 1000;
        if let Self::LogIns(at_once) = *self {
            let insert = async |number| {
                let record = record(number, last_seen);
                let inserted = store.insert(key(number), &record, None, now()).await;
                inserted.expect("there is room");
            };
            let log_ins = stream::iter(users).for_each_concurrent(at_once, insert);
            return log_ins.await;
        }
        for first in users.clone().step_by(ROWS) {
            let some = first..users.end.min(first + ROWS as u64);
            let done = match self {
                Self::LogIns(_) => Ok(()),
                Self::Sqlite(pool) => {
                    let rows = rows(some, last_seen, "X'");
                    sqlx::raw_sql(&rows).execute(pool).await.map(drop)
                }
                Self::Postgres(pool) => {
                    let rows = rows(some, last_seen, "'\\x");
                    sqlx::raw_sql(&rows).execute(pool).await.map(drop)
                }
            };
            done.expect("the rows fit into the table");
        }
        if let Self::Postgres(pool) = self {
            // As PostgreSQL does by itself after a while.
            let analyzed = sqlx::raw_sql("ANALYZE login_records").execute(pool).await;
            analyzed.expect("there is such a table");
        }
    }
}

/// Inserts the rows of [`record`]. A blob in hexadecimal digits begins with `blob`.
fn rows(users: Range<u64>, last_seen: i64, blob: &str) -> String {
    let rows: Vec<_> = users
        .map(|number| {
            let record = record(number, last_seen);
            let key: String = key_bytes(number)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "({blob}{key}', '{}', '{}', {last_seen}, {last_seen}, {last_seen}, {}, TRUE, FALSE, '{}', {}, '{}', '{}', '{}')",
                record.user_type,
                record.user_id,
                record.expires_at,
                record.method,
                record.client,
                record.user_agent,
                record.address,
                record.hash.unwrap_or_default(),
            )
        })
        .collect();
    format!(
        "INSERT INTO login_records (key, user_type, user_id, created_at, authenticated_at, last_seen, expires_at, fresh, allow_inactive, method, client, user_agent, address, hash) VALUES {}",
        rows.join(", ")
    )
}

/// Measures a store. If `is_here`, it is in the memory of this process, so that threads wait for each other.
async fn of(
    store: impl LoginStore,
    fill: Fill,
    is_here: bool,
) -> (Vec<(f64, f64)>, Vec<(f64, f64)>, Value) {
    let name = std::any::type_name_of_val(&store).rsplit("::").next();
    eprintln!(
        "measuring: {} of {} logins",
        name.unwrap_or_default(),
        most()
    );
    let store = Arc::new(store);
    let log_in = by_logins_of_user(&*store).await;
    let before = resident();
    let find = growing(&*store, &fill).await;
    let memory = (resident() - before) / most() as f64;
    let (total, look_up, log_in_wait) = purge(&store, is_here).await;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let row = json!({
        // Of this process, so of interest for the store in memory only.
        "bytes_per_login": memory,
        "purge_ms": millis(total),
        "look_up_wait_ms": millis(look_up),
        "log_in_wait_ms": millis(log_in_wait),
    });
    (find, log_in, row)
}

/// The time of day, since stores with a clock of their own compare it with theirs.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}

fn key(number: u64) -> LoginKey {
    LoginKey::from_bytes(key_bytes(number))
}

fn key_bytes(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn record(user: u64, last_seen: i64) -> LoginRecord {
    LoginRecord {
        user_type: "User".to_owned(),
        user_id: user.to_string(),
        created_at: last_seen,
        authenticated_at: last_seen,
        last_seen,
        expires_at: last_seen + LASTS,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: user,
        user_agent: USER_AGENT.to_owned(),
        address: "203.0.113.77".to_owned(),
        hash: Some("AbCdEfGhIjKlMnOpQrStUv".to_owned()),
        family: None,
        unseen_token: None,
    }
}

/// Logs one user in again and again, who may have some logins, so that each log in ends the oldest of them.
/// Returns how long that takes, in microseconds.
async fn by_logins_of_user(store: &impl LoginStore) -> Vec<(f64, f64)> {
    const LOG_INS: u64 = 20;
    let mut points = Vec::new();
    let mut number = NEW;
    for (user, logins) in [(0, 1_u32), (1, 10), (2, 100), (3, 1000)] {
        let max = Some(MaxLogins::EndOldest(logins));
        let record = record(NEW + user, now());
        let mut log_in = async || {
            number += 1;
            let inserted = store.insert(key(number), &record, max, now()).await;
            inserted.expect("the oldest ends");
        };
        for _ in 0..logins {
            log_in().await;
        }
        let mut fastest = f64::INFINITY;
        for _ in 0..TIMES {
            let started = Instant::now();
            for _ in 0..LOG_INS {
                log_in().await;
            }
            fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6 / LOG_INS as f64);
        }
        points.push((f64::from(logins), fastest));
    }
    points
}

/// Fills the store and finds some logins one after the other. Returns how long it takes to find one, in
/// microseconds, by the number of logins.
async fn growing(store: &impl LoginStore, fill: &Fill) -> Vec<(f64, f64)> {
    const FINDS: u64 = 500;
    let last_seen = now() - UNUSED;
    let mut points = Vec::new();
    let (mut inserted, mut logins) = (0, 1000);
    while logins <= most() {
        fill.fill(store, inserted..logins, last_seen).await;
        inserted = logins;
        let mut fastest = f64::INFINITY;
        for time in 0..TIMES as u64 {
            let started = Instant::now();
            for number in 0..FINDS {
                let number = (number * 7919 + time * 104_729) % logins;
                let found = store.find(key(number), now()).await;
                assert!(found.is_ok_and(|found| found.is_some()), "it is there");
            }
            fastest = fastest.min(started.elapsed().as_secs_f64() * 1e6 / FINDS as f64);
        }
        points.push((logins as f64, fastest));
        logins *= 10;
    }
    points
}

/// Purges all logins but those that were used lately. Returns how long that takes, and the longest wait of
/// a look-up and of a log in meanwhile.
///
/// One loop of look-ups and one of log ins run in the thread of the purge, and one of look-ups in another
/// thread if the store `is_here`.
async fn purge<S: LoginStore>(store: &Arc<S>, is_here: bool) -> (Duration, Duration, Duration) {
    let done = Arc::new(AtomicBool::new(false));
    let there = is_here.then(|| {
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        std::thread::spawn(move || System::new().block_on(longest_look_up(&*store, &done)))
    });
    let here = spawn({
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        async move { longest_look_up(&*store, &done).await }
    });
    let log_ins = spawn({
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        async move {
            let number = std::cell::Cell::new(2 * NEW);
            longest_wait(&done, async || {
                number.set(number.get() + 1);
                let record = record(number.get(), now());
                let inserted = store.insert(key(number.get()), &record, None, now()).await;
                inserted.expect("there is room");
            })
            .await
        }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    let purged = store.purge(now(), Some(now() - UNUSED / 2), u32::MAX).await;
    let total = started.elapsed();
    done.store(true, Ordering::Relaxed);
    assert_eq!(purged.unwrap_or(0), most(), "all of them were unused");
    let there = there.and_then(|there| there.join().ok());
    let look_up = here.await.unwrap_or_default();
    let look_up = look_up.max(there.unwrap_or_default());
    (total, look_up, log_ins.await.unwrap_or_default())
}

async fn longest_look_up(store: &impl LoginStore, done: &AtomicBool) -> Duration {
    let number = std::cell::Cell::new(0);
    longest_wait(done, async || {
        number.set(number.get() + 1);
        let _ = store.find(key(number.get()), now()).await;
    })
    .await
}

/// Does something again and again until `done`, and returns the longest time that it took once.
async fn longest_wait(done: &AtomicBool, something: impl AsyncFn()) -> Duration {
    let mut longest = Duration::ZERO;
    while !done.load(Ordering::Relaxed) {
        let before = Instant::now();
        something().await;
        tokio::task::yield_now().await;
        longest = longest.max(before.elapsed());
    }
    longest
}
