//! Look-ups in SQLite without the pool: what they see, whom they do not keep waiting, and when the pool is
//! asked instead.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use actix_web::{Responder, get, post, web::Path as UrlPath};
use futures_util::future::join;
use login_runtime::{
    Auth, CurrentUser, Verified, login_required,
    store::{
        FamilyKey, LoginKey, LoginOwner, LoginRecord, LoginStore, SqliteLoginStore, StoreError,
        TokenFamily,
    },
    test::Browser,
};
use login_tests::{User, Users, app, key, manager_base, services::unique};
use sqlx::{
    Executor as _, SqlitePool,
    pool::PoolConnection,
    sqlite::{
        Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::{sync::Barrier, task::yield_now, time::timeout};

/// How long a pool waits for a connection, so that a test need not wait long for an error.
const NO_CONNECTION: Duration = Duration::from_millis(200);

/// More than any look-up takes on a busy machine, and less than any time limit of SQLite here.
const SOON: Duration = Duration::from_secs(20);

const JOURNALS: [SqliteJournalMode; 2] = [SqliteJournalMode::Wal, SqliteJournalMode::Delete];

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique("login_tests_readers"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("test.db")
    }

    fn options(&self, journal: SqliteJournalMode) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.file())
            .create_if_missing(true)
            .journal_mode(journal)
            // No test here is about losing power.
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(3 * SOON)
    }

    /// How many files of the database this process has open.
    fn open_files(&self) -> usize {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.filter(|path| path.starts_with(&self.0)).count()
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn pool_of(options: SqliteConnectOptions, connections: u32) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(SOON)
        .connect_with(options)
        .await
        .unwrap()
}

async fn migrated(pool: &SqlitePool) -> SqliteLoginStore {
    let store = SqliteLoginStore::new(pool.clone());
    store.migrate().await.unwrap();
    store
}

fn login(number: u8) -> (LoginKey, LoginRecord) {
    let record = LoginRecord {
        user_type: "user".to_owned(),
        user_id: number.to_string(),
        created_at: 1,
        authenticated_at: 2,
        last_seen: 3,
        expires_at: 100,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: u64::MAX - 4,
        user_agent: "a browser".to_owned(),
        address: "192.0.2.1".to_owned(),
        hash: Some("hash".to_owned()),
        family: Some(FamilyKey([number; 16])),
        unseen_token: Some(5),
    };
    (LoginKey::from_bytes([number; 32]), record)
}

/// A login that is stored.
async fn stored(store: &SqliteLoginStore, number: u8) -> LoginKey {
    let (key, record) = login(number);
    store.insert(key, &record, None, 0).await.unwrap();
    key
}

/// All connections of a pool, so that nobody else gets one.
async fn all(pool: &SqlitePool) -> Vec<PoolConnection<Sqlite>> {
    let mut connections = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        connections.push(pool.acquire().await.unwrap());
    }
    connections
}

/// The answer of a store that does not ask the pool. On a busy machine, it may ask it for a while.
async fn directly<T, F: Future<Output = Result<T, StoreError>>>(look_up: impl Fn() -> F) -> T {
    let started = Instant::now();
    loop {
        match timeout(NO_CONNECTION, look_up()).await {
            Ok(found) => return found.unwrap(),
            Err(_) => assert!(started.elapsed() < SOON, "the pool was asked"),
        }
    }
}

/// Checks that a login is looked up while nobody else gets a connection of the pool.
async fn is_found_without(pool: &SqlitePool, store: &SqliteLoginStore, key: LoginKey) {
    let connections = all(pool).await;
    let found = directly(|| store.find_for_auth(key, 0)).await;
    drop(connections);
    assert!(found.is_some());
}

/// Whether a login is looked up while nobody else gets a connection of the pool.
async fn is_looked_up_without(pool: &SqlitePool, store: &SqliteLoginStore, key: LoginKey) -> bool {
    let connections = all(pool).await;
    let found = timeout(NO_CONNECTION, store.find_for_auth(key, 0)).await;
    drop(connections);
    match found {
        Ok(found) => {
            assert!(found.unwrap().is_some());
            true
        }
        Err(_) => false,
    }
}

#[actix_web::test]
async fn everything_that_authenticates_a_request_is_found_while_the_pool_has_no_connection_left() {
    for journal in JOURNALS {
        let directory = Directory::new();
        let pool = pool_of(directory.options(journal), 2).await;
        let store = migrated(&pool).await;
        let (key, record) = login(1);
        store.insert(key, &record, None, 0).await.unwrap();
        let family_key = FamilyKey([1; 16]);
        let family = TokenFamily {
            user_type: "user".to_owned(),
            user_id: "1".to_owned(),
            seed: [9; 16],
            version: 1,
            generation: 2,
            rotated_at: 3,
            seen_at: Some(4),
            restored_at: None,
            authenticated_at: 5,
            expires_at: 100,
            lifetime: 6,
            hash: None,
        };
        store.insert_family(family_key, &family).await.unwrap();
        let revoking = store.revoke_session(key, record.owner(), 100, 9);
        revoking.await.unwrap();

        let _connections = all(&pool).await;
        let found = directly(|| store.find(key, 0)).await;
        assert_eq!(found.as_ref(), Some(&record), "{journal:?}");
        let found = directly(|| store.find_for_auth(key, 0)).await.unwrap();
        assert_eq!(
            (found.user_id, found.client),
            ("1".to_owned(), u64::MAX - 4)
        );
        let found = directly(|| store.find_family(family_key, 0)).await;
        assert_eq!(found, Some(family), "{journal:?}");
        assert!(directly(|| store.is_session_revoked(key, 0)).await);
        // What is over or was never there is not found, from the same second on as through the pool.
        for (key, now) in [(key, 100), (LoginKey::from_bytes([2; 32]), 0)] {
            assert_eq!(directly(|| store.find(key, now)).await, None);
            assert_eq!(directly(|| store.find_for_auth(key, now)).await, None);
            assert!(!directly(|| store.is_session_revoked(key, now)).await);
        }
        assert_eq!(directly(|| store.find_family(family_key, 100)).await, None);
    }
}

/// Runs a future on a thread of its own.
fn on_a_thread<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(work)
    })
}

#[actix_web::test]
async fn a_log_out_on_one_thread_is_seen_by_the_next_look_up_on_all_others() {
    const READERS: usize = 3;
    const ROUNDS: u8 = 200;
    for journal in JOURNALS {
        let directory = Directory::new();
        let pool = pool_of(directory.options(journal), 4).await;
        let store = migrated(&pool).await;
        // Another process has a pool of its own.
        let elsewhere = migrated(&pool_of(directory.options(journal), 2).await).await;
        let ended = Arc::new(Barrier::new(READERS + 1));
        let checked = Arc::new(Barrier::new(READERS + 1));
        let threads: Vec<_> = (0..READERS)
            .map(|number| {
                let store = if number == 0 { &elsewhere } else { &store };
                let (store, ended, checked) = (store.clone(), ended.clone(), checked.clone());
                on_a_thread(async move {
                    for round in 0..ROUNDS {
                        let (key, _) = login(round);
                        timeout(SOON, checked.wait()).await.expect("all go on");
                        // Until the log out has ended, both answers are right.
                        let _ = store.find_for_auth(key, 0).await.unwrap();
                        timeout(SOON, ended.wait()).await.expect("all go on");
                        let found = store.find_for_auth(key, 0).await.unwrap();
                        let is_revoked = store.is_session_revoked(key, 0).await.unwrap();
                        assert!(found.is_none() && is_revoked, "{journal:?}, round {round}");
                    }
                })
            })
            .collect();
        let writer = on_a_thread(async move {
            let none = LoginOwner {
                user_type: "user",
                user_id: "",
            };
            for round in 0..ROUNDS {
                let key = stored(&store, round).await;
                timeout(SOON, checked.wait()).await.expect("all go on");
                store.revoke_session(key, none, 100, 1_000).await.unwrap();
                assert!(store.end(key).await.unwrap());
                timeout(SOON, ended.wait()).await.expect("all go on");
            }
        });
        for thread in threads.into_iter().chain([writer]) {
            thread.join().unwrap();
        }
    }
}

#[actix_web::test]
async fn a_long_write_stops_no_look_up_in_a_write_ahead_log() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 2).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    let mut writer = pool.acquire().await.unwrap();
    writer.execute("BEGIN EXCLUSIVE").await.unwrap();
    let _others = pool.acquire().await.unwrap();
    for _ in 0..100 {
        assert!(directly(|| store.find_for_auth(key, 0)).await.is_some());
    }
    writer.execute("ROLLBACK").await.unwrap();
}

#[actix_web::test]
async fn a_look_up_that_waits_for_a_writer_does_not_stop_its_thread() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Delete), 2).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    let mut writer = pool.acquire().await.unwrap();
    writer.execute("BEGIN EXCLUSIVE").await.unwrap();
    let started = Instant::now();
    let look_up = async {
        let found = store.find_for_auth(key, 0).await;
        (found.unwrap().is_some(), started.elapsed())
    };
    let write = async {
        // The look-up has begun, and other tasks of the thread still run.
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        writer.execute("COMMIT").await.unwrap();
    };
    let ((is_found, took), ()) = join(look_up, write).await;
    assert!(is_found && took < SOON, "{took:?}");
    drop(writer);
    is_found_without(&pool, &store, key).await;
}

#[actix_web::test]
async fn where_a_second_connection_would_see_something_else_the_pool_is_asked() {
    let directory = Directory::new();
    let options = || directory.options(SqliteJournalMode::Wal);
    let memory = || "sqlite::memory:".parse::<SqliteConnectOptions>().unwrap();
    let named = format!("file:{}?mode=memory&cache=shared", unique("readers"));
    let path = directory.file();
    let uri = format!("file:{}?nolock=1", path.display());
    let attached = directory.0.join("attached.db");
    let cases = [
        // That the others are not is due to what is special about them.
        ("plain", options(), None),
        ("in memory", memory(), None),
        (
            "in memory by flag",
            SqliteConnectOptions::new().in_memory(true),
            None,
        ),
        (
            "in memory by name",
            SqliteConnectOptions::new().filename(named),
            None,
        ),
        ("temporary", SqliteConnectOptions::new().filename(""), None),
        ("shared cache", options().shared_cache(true), None),
        (
            "exclusive",
            options().locking_mode(SqliteLockingMode::Exclusive),
            None,
        ),
        (
            "other locks",
            directory
                .options(SqliteJournalMode::Delete)
                .vfs("unix-dotfile"),
            None,
        ),
        (
            "parameters",
            directory.options(SqliteJournalMode::Delete).filename(uri),
            None,
        ),
        (
            "attached",
            options(),
            Some(format!("ATTACH '{}' AS logins", attached.display())),
        ),
    ];
    for (name, options, sql) in cases {
        let _ = fs::remove_file(&path);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(SOON)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                let sql = sql.clone().unwrap_or_default();
                Box::pin(async move { connection.execute(&*sql).await.map(|_| ()) })
            });
        let pool = pool.connect_with(options).await.unwrap();
        let store = migrated(&pool).await;
        let key = stored(&store, 1).await;
        for _ in 0..3 {
            assert!(store.find(key, 0).await.unwrap().is_some(), "{name}");
        }
        if name == "plain" {
            is_found_without(&pool, &store, key).await;
        } else {
            assert!(!is_looked_up_without(&pool, &store, key).await, "{name}");
        }
        assert!(store.end(key).await.unwrap(), "{name}");
        assert_eq!(store.find(key, 0).await.unwrap(), None, "{name}");
        pool.close().await;
    }
}

/// A copy of the database as it is now.
async fn back_up(pool: &SqlitePool, to: &Path) {
    sqlx::query("VACUUM INTO $1")
        .bind(to.to_str().unwrap())
        .execute(pool)
        .await
        .unwrap();
}

/// Makes the pool open its next connection anew.
async fn reconnect(pool: &SqlitePool) {
    for connection in all(pool).await {
        connection.close().await.unwrap();
    }
}

#[actix_web::test]
async fn after_a_backup_was_restored_a_log_out_is_as_final_as_before() {
    let directory = Directory::new();
    let file = directory.file();
    for link in [false, true] {
        // The file has its name by a link in the second round.
        let path = if link {
            directory.0.join("link.db")
        } else {
            file.clone()
        };
        if link {
            std::os::unix::fs::symlink(&file, &path).unwrap();
        }
        let options = directory.options(SqliteJournalMode::Delete).filename(&path);
        let pool = pool_of(options, 1).await;
        let store = migrated(&pool).await;
        let (first, second) = (stored(&store, 1).await, stored(&store, 2).await);
        is_found_without(&pool, &store, first).await;
        let backup = directory.0.join(unique("backup"));
        back_up(&pool, &backup).await;
        if link {
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(&backup, &path).unwrap();
        } else {
            fs::rename(&backup, &path).unwrap();
        }

        // The pool still has the old file.
        assert!(
            !is_looked_up_without(&pool, &store, first).await,
            "link: {link}"
        );
        // And now the new one.
        reconnect(&pool).await;
        assert!(
            store.find(first, 0).await.unwrap().is_some(),
            "link: {link}"
        );
        assert!(store.end(second).await.unwrap());
        for _ in 0..10 {
            assert_eq!(
                store.find_for_auth(second, 0).await.unwrap(),
                None,
                "link: {link}"
            );
        }
        assert!(!is_looked_up_without(&pool, &store, first).await);
    }
}

#[actix_web::test]
async fn a_file_that_was_replaced_before_the_first_look_up_is_not_read() {
    let directory = Directory::new();
    let file = directory.file();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 1).await;
    pool.execute(SqliteLoginStore::SCHEMA).await.unwrap();
    let writer = migrated(&pool).await;
    let key = stored(&writer, 1).await;
    let backup = directory.0.join("backup.db");
    for made_before in [true, false] {
        let store = SqliteLoginStore::new(pool.clone());
        back_up(&pool, &backup).await;
        fs::rename(&backup, &file).unwrap();
        // The pool still has the old file.
        let store = if made_before {
            store
        } else {
            SqliteLoginStore::new(pool.clone())
        };
        store.migrate().await.unwrap();
        assert!(
            !is_looked_up_without(&pool, &store, key).await,
            "{made_before}"
        );
    }
    assert!(writer.end(key).await.unwrap());
}

#[actix_web::test]
async fn a_file_that_was_removed_is_not_read_any_more() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Delete), 1).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    is_found_without(&pool, &store, key).await;
    fs::remove_file(directory.file()).unwrap();
    assert!(!is_looked_up_without(&pool, &store, key).await);
    // Nothing is left in the new file.
    reconnect(&pool).await;
    let error = store.find(key, 0).await.unwrap_err();
    assert!(cause(&error).contains("no such table"), "{error:?}");
}

#[actix_web::test]
async fn a_pool_that_gets_other_options_is_asked_itself() {
    let directory = Directory::new();
    let options = directory.options(SqliteJournalMode::Wal);
    let pool = pool_of(options.clone(), 1).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    is_found_without(&pool, &store, key).await;
    let backup = directory.0.join("backup.db");
    back_up(&pool, &backup).await;
    pool.set_connect_options(options.filename(&backup));
    reconnect(&pool).await;
    assert!(store.end(key).await.unwrap());
    assert_eq!(store.find(key, 0).await.unwrap(), None);
}

/// What SQLite says about an error.
fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[actix_web::test]
async fn missing_tables_are_named_and_found_again() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 2).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    sqlx::raw_sql(
        "ALTER TABLE login_records RENAME TO gone; \
         ALTER TABLE login_revoked_sessions RENAME TO revoked_gone",
    )
    .execute(&pool)
    .await
    .unwrap();
    let error = store.find_for_auth(key, 0).await.unwrap_err();
    assert!(cause(&error).contains("no such table"), "{error:?}");
    let error = store.is_session_revoked(key, 0).await.unwrap_err();
    assert!(cause(&error).contains("no such table"), "{error:?}");
    sqlx::raw_sql(
        "ALTER TABLE gone RENAME TO login_records; \
         ALTER TABLE revoked_gone RENAME TO login_revoked_sessions; \
         ALTER TABLE login_records ADD COLUMN more TEXT",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert!(store.find_for_auth(key, 0).await.unwrap().is_some());
}

#[actix_web::test]
async fn a_row_that_something_else_has_written_is_no_login() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 2).await;
    for change in [
        "family = x'00'",
        "family = 'text of sixteen b'",
        "user_id = x'31'",
        "created_at = 'yesterday'",
        "last_seen = 1.5",
        "fresh = 'yes'",
        "client = 'none'",
        "hash = x'07'",
        "unseen_token = 'one'",
    ] {
        // A store stops its readers for a while after an error.
        let store = migrated(&pool).await;
        let key = stored(&store, 1).await;
        sqlx::raw_sql("PRAGMA ignore_check_constraints = ON")
            .execute(&pool)
            .await
            .unwrap();
        let change = format!("UPDATE login_records SET {change}");
        sqlx::raw_sql(&change).execute(&pool).await.unwrap();
        store.find_for_auth(key, 0).await.expect_err(&change);
        store.find(key, 0).await.expect_err(&change);
        assert!(store.end(key).await.unwrap());
    }
}

#[actix_web::test]
async fn no_look_up_succeeds_once_the_pool_is_closed() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 2).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    is_found_without(&pool, &store, key).await;
    pool.close().await;
    store.find_for_auth(key, 0).await.unwrap_err();
    store.is_session_revoked(key, 0).await.unwrap_err();
    assert_eq!(directory.open_files(), 0);
    // The write-ahead log is in the file now.
    assert_eq!(directory.files(), ["test.db"]);
}

/// Lets other tasks of this thread run until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < SOON);
        yield_now().await;
    }
}

#[actix_web::test]
async fn closing_the_pool_closes_all_files_even_if_nobody_asks_any_more() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Wal), 2).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    is_found_without(&pool, &store, key).await;
    pool.close().await;
    until(|| directory.open_files() == 0).await;
    drop(store);
}

#[actix_web::test]
async fn dropping_the_last_copy_of_a_store_closes_its_files() {
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Delete), 1).await;
    drop(all(&pool).await);
    let before = directory.open_files();
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    let copy = store.clone();
    drop(store);
    is_found_without(&pool, &copy, key).await;
    assert!(directory.open_files() > before);
    drop(copy);
    until(|| directory.open_files() == before).await;
}

#[actix_web::test]
async fn a_store_opens_the_file_no_more_often_than_it_has_threads() {
    const THREADS: usize = 4;
    let directory = Directory::new();
    let pool = pool_of(directory.options(SqliteJournalMode::Delete), 1).await;
    let store = migrated(&pool).await;
    let key = stored(&store, 1).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (store, is_over) = (store.clone(), is_over.clone());
            on_a_thread(async move {
                while !is_over.load(Ordering::Relaxed) {
                    assert!(store.find_for_auth(key, 0).await.unwrap().is_some());
                }
            })
        })
        .collect();
    let mut most = 0;
    for _ in 0..500 {
        most = most.max(directory.open_files());
        yield_now().await;
    }
    is_over.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    // The pool has one connection.
    assert!((2..=THREADS + 1).contains(&most), "{most}");
}

#[login_required]
#[get("/account")]
async fn account(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[post("/login/{id}")]
async fn log_in(auth: Auth<User>, id: UrlPath<i64>) -> actix_web::Result<impl Responder> {
    let user = Verified::trust(User::new(*id, "ada"), "test");
    auth.log_in(user).await?;
    Ok("in")
}

#[post("/logout")]
async fn log_out(auth: Auth<User>) -> actix_web::Result<impl Responder> {
    auth.log_out().await?;
    Ok("out")
}

#[actix_web::test]
async fn users_stay_logged_in_while_the_application_uses_the_whole_pool_and_out_when_they_log_out()
{
    for journal in JOURNALS {
        let directory = Directory::new();
        let pool = pool_of(directory.options(journal), 1).await;
        let users = Users::new();
        users.put(User::new(1, "ada"));
        let (manager, _clock) = manager_base(&users);
        let manager = manager
            .login_view("/login")
            .store_deadline(NO_CONNECTION)
            .login_store(migrated(&pool).await);
        let app = app(manager.build(key()).unwrap(), |config| {
            config.service(account).service(log_in).service(log_out);
        })
        .await;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/account").await.status(), 303);
        assert_eq!(browser.post("/login/1").await.status(), 200);
        let copy = browser.copy();
        let whole = pool.acquire().await.unwrap();
        for _ in 0..3 {
            let started = Instant::now();
            while browser.get("/account").await.status() != 200 {
                assert!(started.elapsed() < SOON, "{journal:?}");
            }
        }
        // A log out is a write, so it needs the pool, and says so.
        assert_eq!(browser.post("/logout").await.status(), 503, "{journal:?}");
        drop(whole);
        assert_eq!(browser.post("/logout").await.status(), 200);
        let whole = pool.acquire().await.unwrap();
        for browser in [&browser, &copy] {
            let started = Instant::now();
            let status = loop {
                match browser.get("/account").await.status() {
                    503 => assert!(started.elapsed() < SOON, "{journal:?}"),
                    status => break status,
                }
            };
            assert_eq!(status, 303, "{journal:?}");
        }
        drop(whole);
        pool.close().await;
        assert_eq!(copy.get("/account").await.status(), 503, "{journal:?}");
    }
}
