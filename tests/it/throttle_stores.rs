//! The stores that count tries, each under the suite that any such store can be put under, and what becomes
//! of their counters.

use std::{future::Future, sync::Arc};

use login_runtime::{test::throttle_store, throttle::MemoryThrottleStore};

/// Runs on several threads, as a server does.
fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

#[test]
fn the_memory_store_counts_tries_exactly() {
    on_threads(throttle_store::run(Arc::new(MemoryThrottleStore::new())));
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod nodes {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use login_runtime::{
        store::StoreError,
        throttle::{Attempt, Claimed, Counted, CounterKey, ThrottleStore, TryLimit},
    };

    use super::*;

    /// The present.
    pub(super) const NOW: i64 = 1_700_000_000;

    pub(super) const HOUR: i64 = 3_600;

    /// Stores that share a database, as those of several processes do, each asked in its turn.
    struct Nodes<S>([S; 2], AtomicUsize);

    impl<S> Nodes<S> {
        fn next(&self) -> &S {
            &self.0[self.1.fetch_add(1, Ordering::Relaxed) % 2]
        }
    }

    impl<S: ThrottleStore> ThrottleStore for Nodes<S> {
        async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
            self.next().claim(attempt, now).await
        }

        async fn give_back(
            &self,
            attempt: &Attempt,
            counted: &[Counted; 3],
            now: i64,
        ) -> Result<(), StoreError> {
            self.next().give_back(attempt, counted, now).await
        }

        async fn succeed(
            &self,
            attempt: &Attempt,
            counted: &[Counted; 3],
            known_until: i64,
            now: i64,
        ) -> Result<(), StoreError> {
            let next = self.next();
            next.succeed(attempt, counted, known_until, now).await
        }
    }

    /// Runs the suite on two stores that share a database.
    pub(super) async fn count_together<S: ThrottleStore>(stores: [S; 2]) {
        throttle_store::run(Arc::new(Nodes(stores, AtomicUsize::new(0)))).await;
    }

    /// An attempt of a client at an account.
    pub(super) fn attempt(client: u8, account: u8) -> Attempt {
        let key = |client, account| {
            let mut key = [7; 16];
            key[..2].copy_from_slice(&[client, account]);
            CounterKey(key)
        };
        Attempt {
            counters: [key(client, account), key(0, account), key(client, 0)],
            limits: [TryLimit::new(5), TryLimit::new(100), TryLimit::new(30)],
            known: key(0, account),
            client: i64::from(client),
        }
    }

    /// Makes tries until one is refused. Returns how many were counted.
    pub(super) async fn exhaust(store: &impl ThrottleStore, attempt: &Attempt, now: i64) -> usize {
        let mut tries = 0;
        while let Claimed::Allowed(_) = store.claim(attempt, now).await.unwrap() {
            tries += 1;
        }
        tries
    }

    /// Makes a try that succeeds.
    pub(super) async fn succeed(store: &impl ThrottleStore, attempt: &Attempt, now: i64) {
        let Claimed::Allowed(counted) = store.claim(attempt, now).await.unwrap() else {
            panic!("refused");
        };
        let until = now + 10 * HOUR;
        store.succeed(attempt, &counted, until, now).await.unwrap();
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql {
    use login_runtime::{
        store::{LoginKey, LoginRecord, LoginStore},
        throttle::ThrottleStore,
    };

    use super::nodes::{HOUR, NOW, attempt, exhaust, succeed};

    pub(super) fn login() -> (LoginKey, LoginRecord) {
        let record = LoginRecord {
            user_type: String::new(),
            user_id: "1".to_owned(),
            created_at: NOW,
            authenticated_at: NOW,
            last_seen: NOW,
            expires_at: NOW + HOUR,
            fresh: true,
            allow_inactive: false,
            method: String::new(),
            client: 0,
            user_agent: String::new(),
            address: String::new(),
            hash: None,
            family: None,
            unseen_token: None,
        };
        (LoginKey::from_bytes([7; 32]), record)
    }

    /// What remains of an application whose tables are of version 1, after it starts with this version.
    /// `migrate` does so.
    pub(super) async fn keeps_its_logins<S: LoginStore + ThrottleStore>(
        store: &S,
        migrate: impl AsyncFn(),
    ) {
        let (key, record) = login();
        store.insert(key, &record, None, NOW).await.unwrap();
        // Nothing counts, so no password may be tried.
        store.claim(&attempt(1, 1), NOW).await.unwrap_err();
        for _ in 0..2 {
            migrate().await;
            assert_eq!(store.find(key, NOW).await.unwrap().as_ref(), Some(&record));
        }
        assert_eq!(exhaust(store, &attempt(1, 1), NOW).await, 5);
    }

    /// `rows` is how many counters and known clients are stored.
    pub(super) async fn purges_what_is_over<S: LoginStore + ThrottleStore>(
        store: &S,
        rows: impl AsyncFn() -> (i64, i64),
    ) {
        exhaust(store, &attempt(1, 1), NOW).await;
        succeed(store, &attempt(2, 2), NOW).await;
        // The counters of the account and the client that were logged in are empty again.
        assert_eq!(rows().await, (3, 1));
        // Each of five tries is forgotten after a quarter of an hour.
        let long = 10 * HOUR;
        assert_eq!(store.purge(NOW, None, 100).await.unwrap(), 0);
        assert_eq!(store.purge(NOW + HOUR, None, 100).await.unwrap(), 0);
        assert_eq!(exhaust(store, &attempt(1, 1), NOW).await, 0);
        assert_eq!(store.purge(NOW + long - 1, None, 100).await.unwrap(), 3);
        assert_eq!(rows().await, (0, 1));
        assert_eq!(store.purge(NOW + long, None, 100).await.unwrap(), 1);
        assert_eq!(rows().await, (0, 0));
    }

    /// What is counted of others makes room for what strangers try, even if nobody purges.
    pub(super) async fn stays_small<S: ThrottleStore>(
        store: &S,
        rows: impl AsyncFn() -> (i64, i64),
    ) {
        for stranger in 1..=200 {
            // Five tries are forgotten after 75 minutes, and deleted after one hour more.
            let now = NOW + i64::from(stranger) * HOUR / 20;
            assert_eq!(exhaust(store, &attempt(stranger, stranger), now).await, 5);
        }
        // Those of 45 strangers, or some more.
        let (counters, _) = rows().await;
        assert!((3 * 45..3 * 60).contains(&counters), "{counters} rows");
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::{fs, path::PathBuf, time::Duration};

    use login_runtime::{
        LoginManager, MemoryLoginStore,
        store::SqliteLoginStore,
        throttle::{Throttle, TryLimit},
    };
    use login_tests::{key, load_admin, services::unique};
    use sqlx::{
        SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    };

    use super::{
        nodes::{NOW, attempt, count_together, exhaust},
        *,
    };

    /// A database that is gone after the test.
    struct File(PathBuf);

    impl File {
        fn new() -> Self {
            let dir = std::env::temp_dir().join(unique("login_tests_tries"));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        async fn pool(&self, mode: SqliteJournalMode) -> SqlitePool {
            let database = SqliteConnectOptions::new()
                .filename(self.0.join("test.db"))
                .create_if_missing(true)
                .journal_mode(mode)
                // No test here is about losing power.
                .synchronous(SqliteSynchronous::Off)
                .busy_timeout(Duration::from_secs(30));
            let pool = SqlitePoolOptions::new().max_connections(4);
            pool.connect_with(database).await.unwrap()
        }

        async fn store(&self, mode: SqliteJournalMode) -> SqliteLoginStore {
            let store = SqliteLoginStore::new(self.pool(mode).await);
            store.migrate().await.unwrap();
            store
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn rows(pool: &SqlitePool) -> (i64, i64) {
        let count =
            "SELECT (SELECT COUNT(*) FROM login_tries), (SELECT COUNT(*) FROM login_known_clients)";
        sqlx::query_as(count).fetch_one(pool).await.unwrap()
    }

    #[test]
    fn the_sqlite_store_counts_tries_exactly_between_processes() {
        on_threads(async {
            let file = File::new();
            let first = file.store(SqliteJournalMode::Wal).await;
            count_together([first, file.store(SqliteJournalMode::Wal).await]).await;
        });
    }

    #[test]
    fn the_sqlite_store_counts_tries_exactly_without_a_write_ahead_log() {
        on_threads(async {
            let file = File::new();
            let store = file.store(SqliteJournalMode::Delete).await;
            throttle_store::run(Arc::new(store)).await;
        });
    }

    #[test]
    fn a_restart_forgets_no_try_in_sqlite() {
        on_threads(async {
            let file = File::new();
            let store = file.store(SqliteJournalMode::Wal).await;
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 5);
            drop(store);
            let store = file.store(SqliteJournalMode::Wal).await;
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 0);
            assert_eq!(exhaust(&store, &attempt(2, 1), NOW).await, 5);
        });
    }

    #[test]
    fn sqlite_tables_of_version_1_keep_their_logins() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal).await;
            let old = include_str!("old_tables/sqlite_1.sql");
            sqlx::query(old).execute(&pool).await.unwrap();
            let store = SqliteLoginStore::new(pool.clone());
            sql::keeps_its_logins(&store, async || store.migrate().await.unwrap()).await;

            // By hand it is the same.
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal).await;
            sqlx::query(old).execute(&pool).await.unwrap();
            let store = SqliteLoginStore::new(pool.clone());
            let migrate = async || {
                let schema = sqlx::query(SqliteLoginStore::SCHEMA);
                schema.execute(&pool).await.unwrap();
            };
            sql::keeps_its_logins(&store, migrate).await;
        });
    }

    #[test]
    fn a_purge_of_sqlite_deletes_counters_that_are_forgotten_and_no_others() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal).await;
            let store = SqliteLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            sql::purges_what_is_over(&store, async || rows(&pool).await).await;
        });
    }

    #[test]
    fn strangers_do_not_fill_sqlite_even_if_nobody_purges() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal).await;
            let store = SqliteLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            sql::stays_small(&store, async || rows(&pool).await).await;
        });
    }

    #[test]
    fn tries_are_counted_in_the_login_store_unless_the_application_says_otherwise() {
        on_threads(async {
            let file = File::new();
            let store = file.store(SqliteJournalMode::Wal).await;
            let unsaid = || LoginManager::builder(load_admin).login_store(store.clone());
            let said = |throttle| unsaid().throttle(throttle);
            let memory = || Throttle::new().store(MemoryThrottleStore::new());
            for (builder, place, is_finding) in [
                (unsaid(), "login store", false),
                (said(Throttle::new()), "login store", false),
                (
                    said(Throttle::new().per_client(TryLimit::new(9))),
                    "login store",
                    false,
                ),
                (
                    LoginManager::builder(load_admin).login_store(Arc::new(store.clone())),
                    "login store",
                    false,
                ),
                (said(memory()), "memory", true),
                (said(Throttle::new().store(store.clone())), "own", false),
                (
                    LoginManager::builder(load_admin).session_only(),
                    "memory",
                    true,
                ),
                (
                    LoginManager::builder(load_admin)
                        .session_only()
                        .throttle(Throttle::new().store(store.clone())),
                    "own",
                    false,
                ),
                // That all of it is in memory is another finding.
                (
                    LoginManager::builder(load_admin).login_store(MemoryLoginStore::new()),
                    "memory",
                    false,
                ),
            ] {
                let manager = builder.build(key()).unwrap();
                let policy = manager.policy();
                assert_eq!(policy.get("guessing.store").unwrap().value, place);
                let check = manager.check_deploy();
                let found = check.findings().any(|it| it.code == "memory-throttle");
                assert_eq!(found, is_finding, "{policy}");
            }
        });
    }

    #[test]
    fn a_refused_try_in_sqlite_does_not_wait_for_writers() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal).await;
            let store = SqliteLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 5);
            let mut writer = pool.acquire().await.unwrap();
            let begin = sqlx::query("BEGIN IMMEDIATE");
            begin.execute(&mut *writer).await.unwrap();
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 0);
            let rollback = sqlx::query("ROLLBACK");
            rollback.execute(&mut *writer).await.unwrap();
        });
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use login_runtime::{store::PostgresLoginStore, throttle::ThrottleStore};
    use login_tests::services;
    use sqlx::{PgPool, postgres::PgPoolOptions};

    use super::{
        nodes::{NOW, attempt, count_together, exhaust},
        *,
    };

    async fn pool(url: &str) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(8);
        let pool = pool.acquire_timeout(Duration::from_secs(30));
        pool.connect(url).await.unwrap()
    }

    async fn store(url: &str) -> PostgresLoginStore {
        let store = PostgresLoginStore::new(pool(url).await);
        store.migrate().await.unwrap();
        store
    }

    async fn rows(pool: &PgPool) -> (i64, i64) {
        let count =
            "SELECT (SELECT COUNT(*) FROM login_tries), (SELECT COUNT(*) FROM login_known_clients)";
        sqlx::query_as(count).fetch_one(pool).await.unwrap()
    }

    #[test]
    fn the_postgres_store_counts_tries_exactly_between_processes() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let first = store(&database).await;
            count_together([first, store(&database).await]).await;
        });
    }

    #[test]
    fn the_postgres_store_counts_tries_exactly_where_transactions_are_serializable() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let setting = "?options=-c%20default_transaction_isolation%3Dserializable";
            let store = store(&(postgres.database() + setting)).await;
            throttle_store::run(Arc::new(store)).await;
        });
    }

    #[test]
    fn a_restart_forgets_no_try_in_postgres() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let first = store(&database).await;
            assert_eq!(exhaust(&first, &attempt(1, 1), NOW).await, 5);
            drop(first);
            let second = store(&database).await;
            assert_eq!(exhaust(&second, &attempt(1, 1), NOW).await, 0);
            assert_eq!(exhaust(&second, &attempt(2, 1), NOW).await, 5);
        });
    }

    #[test]
    fn postgres_tables_of_version_1_keep_their_logins() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let old = include_str!("old_tables/postgres_1.sql");
            let pool = pool(&postgres.database()).await;
            sqlx::raw_sql(old).execute(&pool).await.unwrap();
            let store = PostgresLoginStore::new(pool);
            sql::keeps_its_logins(&store, async || store.migrate().await.unwrap()).await;

            // By hand it is the same.
            let pool = self::pool(&postgres.database()).await;
            sqlx::raw_sql(old).execute(&pool).await.unwrap();
            let store = PostgresLoginStore::new(pool.clone());
            let migrate = async || {
                let schema = sqlx::raw_sql(PostgresLoginStore::SCHEMA);
                schema.execute(&pool).await.unwrap();
            };
            sql::keeps_its_logins(&store, migrate).await;
        });
    }

    #[test]
    fn a_purge_of_postgres_deletes_counters_that_are_forgotten_and_no_others() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let pool = pool(&postgres.database()).await;
            let store = PostgresLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            sql::purges_what_is_over(&store, async || rows(&pool).await).await;
        });
    }

    #[test]
    fn strangers_do_not_fill_postgres_even_if_nobody_purges() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let pool = pool(&postgres.database()).await;
            let store = PostgresLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            sql::stays_small(&store, async || rows(&pool).await).await;
        });
    }

    #[test]
    fn a_try_whose_caller_has_gone_is_not_counted_in_postgres() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let pool = pool(&postgres.database()).await;
            let store = PostgresLoginStore::new(pool.clone());
            store.migrate().await.unwrap();
            let mut writer = pool.begin().await.unwrap();
            let lock = sqlx::query("LOCK TABLE login_tries IN EXCLUSIVE MODE");
            lock.execute(&mut *writer).await.unwrap();
            let waits = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                         AND datname = current_database()";
            let waiting = async || {
                let waits = sqlx::query_scalar::<_, i64>(waits);
                waits.fetch_one(&pool).await.unwrap()
            };
            // As many as there are free tries, each of which waits in the database.
            for tries in 1..=5 {
                let (store, attempt) = (store.clone(), attempt(1, 1));
                let claim = tokio::spawn(async move { store.claim(&attempt, NOW).await });
                while waiting().await < tries {
                    tokio::task::yield_now().await;
                }
                claim.abort();
            }
            writer.rollback().await.unwrap();
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 5);
        });
    }
}

#[cfg(feature = "redis")]
mod redis {
    use ::redis::{Client, aio::ConnectionManager, cmd};
    use login_runtime::{
        store::{LoginStore, RedisLoginStore},
        throttle::ThrottleStore,
    };
    use login_tests::services::{self, Redis, unique};

    use super::{
        nodes::{HOUR, NOW, attempt, count_together, exhaust, succeed},
        *,
    };

    async fn connect(redis: &Redis) -> ConnectionManager {
        let client = Client::open(redis.url()).unwrap();
        ConnectionManager::new(client).await.unwrap()
    }

    /// A store with a prefix of its own, and a connection to look at what it stores.
    async fn store(redis: &Redis) -> (RedisLoginStore, ConnectionManager, String) {
        let connection = connect(redis).await;
        let prefix = unique("tries");
        let store = RedisLoginStore::from_connection(connection.clone()).key_prefix(&prefix);
        (store, connection, prefix)
    }

    async fn keys(connection: &mut ConnectionManager, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = cmd("KEYS")
            .arg(format!("{prefix}:*"))
            .query_async(connection)
            .await
            .unwrap();
        keys.sort();
        keys
    }

    #[test]
    fn the_redis_store_counts_tries_exactly_between_processes() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let prefix = unique("tries");
            let first = RedisLoginStore::new(&redis.url()).await.unwrap();
            let second = RedisLoginStore::from_connection(connect(redis).await);
            count_together([first, second].map(|store| store.key_prefix(&prefix))).await;
        });
    }

    #[test]
    fn a_restart_of_the_application_forgets_no_try_in_redis() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let (first, _, prefix) = store(redis).await;
            assert_eq!(exhaust(&first, &attempt(1, 1), NOW).await, 5);
            drop(first);
            let second = RedisLoginStore::new(&redis.url()).await.unwrap();
            let second = second.key_prefix(prefix);
            assert_eq!(exhaust(&second, &attempt(1, 1), NOW).await, 0);
            assert_eq!(exhaust(&second, &attempt(2, 1), NOW).await, 5);
        });
    }

    #[test]
    fn redis_deletes_counters_by_itself_when_they_have_been_over_for_an_hour() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let (store, mut connection, prefix) = store(redis).await;
            exhaust(&store, &attempt(1, 1), NOW).await;
            succeed(&store, &attempt(2, 2), NOW).await;
            // The account and the client that were logged in have no counters any more.
            let found = keys(&mut connection, &prefix).await;
            assert_eq!(found.len(), 4, "{found:?}");
            for key in found {
                let seconds: i64 = cmd("TTL")
                    .arg(&key)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                let over_in = match key.contains(":known-client:") {
                    true => 10 * HOUR,
                    // Each of five tries is forgotten after a quarter of an hour.
                    false => HOUR + HOUR / 4,
                };
                let expected = over_in + HOUR;
                assert!(
                    (expected - 60..=expected).contains(&seconds),
                    "{key}: {seconds}"
                );
            }
            // They are nothing that ends with logins.
            store.purge(NOW + 100 * HOUR, None, 100).await.unwrap();
            assert_eq!(exhaust(&store, &attempt(1, 1), NOW).await, 0);
        });
    }

    #[test]
    fn redis_shows_neither_names_nor_addresses_in_what_it_counts() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let (store, mut connection, prefix) = store(redis).await;
            exhaust(&store, &attempt(1, 2), NOW).await;
            let found = keys(&mut connection, &prefix).await;
            let both = format!("0102{}", "07".repeat(14));
            let expected = ["0002", "0100", "0102"]
                .map(|start| format!("{prefix}:tries:{start}{}", &both[4..]));
            assert_eq!(found, expected);
        });
    }

    #[test]
    fn a_counter_in_redis_that_cannot_be_read_allows_nothing() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let (store, mut connection, prefix) = store(redis).await;
            exhaust(&store, &attempt(1, 1), NOW).await;
            for key in keys(&mut connection, &prefix).await {
                for text in ["1", "1 x", "1 2 3", "99999999999999999999 1"] {
                    let mut set = cmd("SET");
                    set.arg(&key).arg(text);
                    () = set.query_async(&mut connection).await.unwrap();
                    store.claim(&attempt(1, 1), NOW).await.unwrap_err();
                }
            }
        });
    }
}
