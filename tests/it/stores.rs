//! The login stores, each under the suite that any login store can be put under, and what each does
//! when its database is away.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{future::Future, sync::Arc};

use login_runtime::{
    MemoryLoginStore,
    store::{FamilyKey, LoginKey, LoginRecord, LoginStore, TokenFamily},
    test::store,
};

/// Runs on several threads, as a server does.
fn on_threads(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

/// Runs a store through all of the suite.
async fn keeps_its_promises(store: impl LoginStore) {
    let store = Arc::new(store);
    store::run(Arc::clone(&store)).await;
    store::run_alone(store).await;
}

/// A login of a user who has no other.
fn login(user: u64, expires_at: i64) -> (LoginKey, LoginRecord) {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&user.to_be_bytes());
    let record = LoginRecord {
        user_type: String::new(),
        user_id: user.to_string(),
        created_at: 0,
        authenticated_at: 0,
        last_seen: 0,
        expires_at,
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
    (LoginKey::from_bytes(key), record)
}

#[test]
fn keys_read_back_from_what_they_write() {
    let (key, _) = login(0xab, 1);
    let text = key.to_string();
    assert!(text.starts_with("00000000000000ab07"), "{text}");
    assert_eq!(LoginKey::parse(&text), Some(key));
    let family = FamilyKey([0x0f; 16]);
    assert_eq!(family.to_string(), "0f".repeat(16));
    assert_eq!(FamilyKey::parse(&"0f".repeat(16)), Some(family));
    for wrong in [
        &text[1..],
        &text[2..],
        "",
        &format!("{text}00"),
        &"+f".repeat(32),
        &"ä".repeat(32),
    ] {
        assert_eq!(LoginKey::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_family_does_not_show_its_seed() {
    let family = TokenFamily {
        user_type: String::new(),
        user_id: "1".to_owned(),
        seed: [0xa7; 16],
        version: 1,
        generation: 0,
        rotated_at: 0,
        seen_at: None,
        restored_at: None,
        authenticated_at: 0,
        expires_at: 0,
        lifetime: 0,
        hash: None,
    };
    let shown = format!("{family:?} {family:#?}");
    assert!(!shown.contains("167") && !shown.contains("a7"), "{shown}");
}

#[test]
fn the_memory_store_keeps_its_promises() {
    on_threads(keeps_its_promises(MemoryLoginStore::new()));
}

mod memory {
    use super::*;

    #[test]
    fn a_full_store_refuses_until_something_is_over() {
        on_threads(async {
            let store = MemoryLoginStore::with_capacity(10);
            for user in 0..10 {
                let (key, record) = login(user, 100 + i64::try_from(user).unwrap());
                store.insert(key, &record, None, 0).await.unwrap();
            }
            let (key, record) = login(10, 200);
            store.insert(key, &record, None, 99).await.unwrap_err();
            assert_eq!(store.find(key, 99).await.unwrap(), None);
            store.insert(key, &record, None, 100).await.unwrap();
            let (key, record) = login(11, 200);
            store.insert(key, &record, None, 100).await.unwrap_err();
        });
    }
}

/// Several stores as one.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod nodes {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use login_runtime::store::{Inserted, LoginOwner, LoginSelector, MaxLogins, StoreError};

    use super::*;

    /// Stores that share a database, as those of several nodes do, each asked in its turn.
    pub(super) struct Nodes<S>(Vec<S>, AtomicUsize);

    impl<S> Nodes<S> {
        pub(super) fn new(stores: impl Into<Vec<S>>) -> Self {
            Self(stores.into(), AtomicUsize::new(0))
        }

        fn next(&self) -> &S {
            &self.0[self.1.fetch_add(1, Ordering::Relaxed) % self.0.len()]
        }
    }

    impl<S: LoginStore> LoginStore for Nodes<S> {
        async fn insert(
            &self,
            key: LoginKey,
            record: &LoginRecord,
            max: Option<MaxLogins>,
            now: i64,
        ) -> Result<Inserted, StoreError> {
            self.next().insert(key, record, max, now).await
        }

        async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
            self.next().find(key, now).await
        }

        async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
            self.next().touch(key, last_seen).await
        }

        async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
            self.next().make_stale(key).await
        }

        async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
            self.next().end(key).await
        }

        async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
            self.next().end_many(which).await
        }

        async fn list(
            &self,
            owner: LoginOwner<'_>,
            now: i64,
        ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
            self.next().list(owner, now).await
        }

        async fn insert_family(
            &self,
            key: FamilyKey,
            family: &TokenFamily,
        ) -> Result<(), StoreError> {
            self.next().insert_family(key, family).await
        }

        async fn end_oldest_families(
            &self,
            owner: LoginOwner<'_>,
            keep: u32,
        ) -> Result<u64, StoreError> {
            self.next().end_oldest_families(owner, keep).await
        }

        async fn find_family(
            &self,
            key: FamilyKey,
            now: i64,
        ) -> Result<Option<TokenFamily>, StoreError> {
            self.next().find_family(key, now).await
        }

        async fn update_family_if(
            &self,
            key: FamilyKey,
            expected: i64,
            family: &TokenFamily,
        ) -> Result<bool, StoreError> {
            self.next().update_family_if(key, expected, family).await
        }

        async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
            self.next().token_arrived(login, now).await
        }

        async fn purge(
            &self,
            now: i64,
            idle_since: Option<i64>,
            limit: u32,
        ) -> Result<u64, StoreError> {
            self.next().purge(now, idle_since, limit).await
        }

        async fn revoke_session(
            &self,
            session: LoginKey,
            owner: LoginOwner<'_>,
            until: i64,
            max: u32,
        ) -> Result<(), StoreError> {
            self.next().revoke_session(session, owner, until, max).await
        }

        async fn is_session_revoked(
            &self,
            session: LoginKey,
            now: i64,
        ) -> Result<bool, StoreError> {
            self.next().is_session_revoked(session, now).await
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::{fs, path::PathBuf, time::Duration};

    use login_runtime::store::SqliteLoginStore;
    use login_tests::services::unique;
    use sqlx::{
        Connection, SqlitePool,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    };

    use super::*;

    /// A database that is gone after the test.
    struct File(PathBuf);

    impl File {
        fn new() -> Self {
            let dir = std::env::temp_dir().join(unique("login_tests_sqlite"));
            fs::create_dir(&dir).unwrap();
            Self(dir)
        }

        async fn pool(&self, mode: SqliteJournalMode, connections: u32) -> SqlitePool {
            let database = SqliteConnectOptions::new()
                .filename(self.0.join("test.db"))
                .create_if_missing(true)
                .journal_mode(mode)
                // No test here is about losing power.
                .synchronous(SqliteSynchronous::Off)
                .busy_timeout(Duration::from_secs(30));
            let pool = SqlitePoolOptions::new().max_connections(connections);
            pool.connect_with(database).await.unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    async fn migrated(pool: SqlitePool) -> SqliteLoginStore {
        let store = SqliteLoginStore::new(pool);
        store.migrate().await.unwrap();
        store
    }

    #[test]
    fn the_sqlite_store_keeps_its_promises() {
        on_threads(async {
            let file = File::new();
            keeps_its_promises(migrated(file.pool(SqliteJournalMode::Wal, 8).await).await).await;
        });
    }

    #[test]
    fn the_sqlite_store_keeps_its_promises_between_processes() {
        on_threads(async {
            let file = File::new();
            let first = migrated(file.pool(SqliteJournalMode::Wal, 4).await).await;
            let second = migrated(file.pool(SqliteJournalMode::Wal, 4).await).await;
            keeps_its_promises(nodes::Nodes::new([first, second])).await;
        });
    }

    #[test]
    fn the_sqlite_store_keeps_its_promises_without_a_write_ahead_log() {
        on_threads(async {
            let file = File::new();
            keeps_its_promises(migrated(file.pool(SqliteJournalMode::Delete, 8).await).await).await;
        });
    }

    #[test]
    fn sqlite_tables_are_made_once_by_whoever_comes_first() {
        on_threads(async {
            let file = File::new();
            let mut starts = Vec::new();
            for _ in 0..8 {
                let pool = file.pool(SqliteJournalMode::Wal, 2).await;
                starts.push(tokio::spawn(async move { migrated(pool).await }));
            }
            for start in starts {
                start.await.unwrap();
            }
            let pool = file.pool(SqliteJournalMode::Wal, 2).await;
            let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM login_schema")
                .fetch_all(&pool)
                .await
                .unwrap();
            assert_eq!(versions, [2]);
            // By hand it does no harm either.
            sqlx::query(SqliteLoginStore::SCHEMA)
                .execute(&pool)
                .await
                .unwrap();
        });
    }

    #[test]
    fn a_transaction_left_open_in_sqlite_hides_no_log_out() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal, 2).await;
            let store = migrated(pool.clone()).await;
            let (key, record) = login(1, 100);
            store.insert(key, &record, None, 0).await.unwrap();

            // As sqlx leaves it when the future of `begin` is dropped. From its first read on, such a
            // transaction shows everything as it was then.
            let mut left = pool.acquire().await.unwrap();
            let mut transaction = left.begin().await.unwrap();
            sqlx::query("SELECT * FROM login_records")
                .execute(&mut *transaction)
                .await
                .unwrap();
            std::mem::forget(transaction);
            let other = pool.acquire().await.unwrap();
            drop(left);
            let (next_key, next) = login(2, 100);
            store.insert(next_key, &next, None, 0).await.unwrap();
            drop(other);

            assert!(store.end(key).await.unwrap());
            for _ in 0..10 {
                assert_eq!(store.find(key, 0).await.unwrap(), None);
                assert_eq!(store.find(next_key, 0).await.unwrap().as_ref(), Some(&next));
            }
            let elsewhere = migrated(file.pool(SqliteJournalMode::Wal, 1).await).await;
            assert_eq!(elsewhere.find(key, 0).await.unwrap(), None);
            assert_eq!(elsewhere.find(next_key, 0).await.unwrap(), Some(next));
        });
    }

    #[test]
    fn sqlite_tables_of_a_later_version_are_left_alone() {
        on_threads(async {
            let file = File::new();
            let pool = file.pool(SqliteJournalMode::Wal, 2).await;
            let store = migrated(pool.clone()).await;
            sqlx::query("INSERT INTO login_schema (version) VALUES (3)")
                .execute(&pool)
                .await
                .unwrap();
            let error = store.migrate().await.unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(
                source,
                "the login tables have version 3, and this program knows 2"
            );
        });
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use login_runtime::store::PostgresLoginStore;
    use login_tests::services::{self, Postgres};
    use sqlx::{PgPool, postgres::PgPoolOptions};
    use tokio::time::timeout;

    use super::*;

    async fn pool(url: &str, connections: u32) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(connections);
        // While PostgreSQL is away, sqlx goes on trying for so long.
        let pool = pool.acquire_timeout(Duration::from_secs(3));
        pool.connect(url).await.unwrap()
    }

    async fn migrated(pool: PgPool) -> PostgresLoginStore {
        let store = PostgresLoginStore::new(pool);
        store.migrate().await.unwrap();
        store
    }

    #[test]
    fn the_postgres_store_keeps_its_promises() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let first = migrated(pool(&database, 8).await).await;
            let second = migrated(pool(&database, 8).await).await;
            keeps_its_promises(nodes::Nodes::new([first, second])).await;
        });
    }

    #[test]
    fn the_postgres_store_keeps_its_promises_where_transactions_are_serializable() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let setting = "?options=-c%20default_transaction_isolation%3Dserializable";
            let pool = pool(&(postgres.database() + setting), 16).await;
            keeps_its_promises(migrated(pool).await).await;
        });
    }

    #[test]
    fn postgres_tables_are_made_once_by_whoever_comes_first() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let mut starts = Vec::new();
            for _ in 0..8 {
                let pool = pool(&database, 2).await;
                starts.push(tokio::spawn(async move { migrated(pool).await }));
            }
            for start in starts {
                start.await.unwrap();
            }
            let pool = pool(&database, 2).await;
            let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM login_schema")
                .fetch_all(&pool)
                .await
                .unwrap();
            assert_eq!(versions, [2]);
            // By hand it does no harm either.
            sqlx::raw_sql(PostgresLoginStore::SCHEMA)
                .execute(&pool)
                .await
                .unwrap();
        });
    }

    #[test]
    fn who_made_the_tables_may_keep_the_right_to_make_tables() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let owner = pool(&database, 1).await;
            sqlx::raw_sql(PostgresLoginStore::SCHEMA)
                .execute(&owner)
                .await
                .unwrap();
            let role = services::unique("app");
            let rights = format!(
                "CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE, DELETE \
                 ON login_schema, login_records, login_families, login_revoked_sessions, \
                 login_tries, login_known_clients, login_events TO {role}",
            );
            sqlx::raw_sql(&rights).execute(&owner).await.unwrap();
            let as_role = format!("{database}?options=-c%20role%3D{role}");
            keeps_its_promises(migrated(pool(&as_role, 16).await).await).await;
        });
    }

    #[test]
    fn a_transaction_left_open_in_postgres_takes_no_log_out_back() {
        let Some(postgres) = services::postgres() else {
            return;
        };
        on_threads(async {
            let database = postgres.database();
            let pool = pool(&database, 1).await;
            let store = migrated(pool.clone()).await;
            let (key, record) = login(1, 100);
            store.insert(key, &record, None, 0).await.unwrap();

            // As sqlx leaves it when the future of `begin` is dropped: without knowing about it.
            sqlx::query("BEGIN").execute(&pool).await.unwrap();
            assert!(store.end(key).await.unwrap());
            let elsewhere = migrated(self::pool(&database, 1).await).await;
            assert_eq!(elsewhere.find(key, 0).await.unwrap(), None);
        });
    }

    #[test]
    fn logins_outlive_a_crash_of_postgres() {
        let Some(mut postgres) = Postgres::start() else {
            return;
        };
        on_threads(async {
            let pool = pool(&postgres.database(), 2).await;
            let store = migrated(pool).await;
            let (key, record) = login(1, 100);
            store.insert(key, &record, None, 0).await.unwrap();
            postgres.kill();
            let answer = timeout(Duration::from_secs(6), store.find(key, 0)).await;
            answer.expect("an answer in time").unwrap_err();
            postgres.restart();
            assert_eq!(store.find(key, 0).await.unwrap(), Some(record));
        });
    }

    #[test]
    fn calls_go_through_again_when_postgres_does() {
        let Some(postgres) = Postgres::start() else {
            return;
        };
        on_threads(async {
            let store = migrated(pool(&postgres.database(), 2).await).await;
            let (key, record) = login(1, 100);
            store.insert(key, &record, None, 0).await.unwrap();
            postgres.pause();
            // The manager would have given up by now.
            let soon = Duration::from_millis(300);
            timeout(soon, store.find(key, 0)).await.unwrap_err();
            timeout(soon, store.end(key)).await.unwrap_err();
            postgres.resume();
            let call = timeout(Duration::from_secs(10), store.find(key, 0)).await;
            assert_eq!(call.unwrap().unwrap(), Some(record));
            let call = timeout(Duration::from_secs(10), store.end(key)).await;
            assert!(call.unwrap().unwrap());
            assert_eq!(store.find(key, 0).await.unwrap(), None);
        });
    }
}

#[cfg(feature = "redis")]
mod redis {
    use std::time::{Duration, Instant};

    use ::redis::{Client, aio::ConnectionManager, cmd};
    use login_runtime::store::{LoginSelector, RedisLoginStore, StoreError};
    use login_tests::services::{self, Redis, unique};

    use super::*;

    async fn connect(redis: &Redis) -> ConnectionManager {
        let client = Client::open(redis.url()).unwrap();
        ConnectionManager::new(client).await.unwrap()
    }

    async fn keys(connection: &mut ConnectionManager, pattern: &str) -> Vec<String> {
        cmd("KEYS")
            .arg(pattern)
            .query_async(connection)
            .await
            .unwrap()
    }

    fn family(user: u64) -> TokenFamily {
        TokenFamily {
            user_type: String::new(),
            user_id: user.to_string(),
            seed: [7; 16],
            version: 1,
            generation: 0,
            rotated_at: 0,
            seen_at: None,
            restored_at: None,
            authenticated_at: 0,
            expires_at: 1_000,
            lifetime: 3_600,
            hash: None,
        }
    }

    #[test]
    fn the_redis_store_keeps_its_promises() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let prefix = unique("it");
            let first = RedisLoginStore::new(&redis.url()).await.unwrap();
            let second = RedisLoginStore::from_connection(connect(redis).await);
            keeps_its_promises(nodes::Nodes::new(
                [first, second].map(|store| store.key_prefix(&prefix)),
            ))
            .await;
        });
    }

    #[test]
    fn nothing_is_left_in_redis_of_what_has_ended() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let mut connection = connect(redis).await;
            let prefix = unique("it");
            let store = RedisLoginStore::from_connection(connection.clone()).key_prefix(&prefix);
            let pattern = format!("{prefix}:*");
            for round in 0..4 {
                for user in 1..4 {
                    let (key, mut record) = login(user, 100);
                    let family_key = FamilyKey([u8::try_from(user).unwrap(); 16]);
                    record.family = Some(family_key);
                    store
                        .insert_family(family_key, &family(user))
                        .await
                        .unwrap();
                    store.insert(key, &record, None, 0).await.unwrap();
                    store.touch(key, 50).await.unwrap();
                    let revoking = store.revoke_session(key, record.owner(), 100, 9);
                    revoking.await.unwrap();
                    let claim = TokenFamily {
                        version: 2,
                        ..family(user)
                    };
                    assert!(store.update_family_if(family_key, 1, &claim).await.unwrap());
                    let all = LoginSelector::Of {
                        owner: record.owner(),
                        but: None,
                        but_family: None,
                    };
                    match round {
                        0 => assert_eq!(store.end_many(all).await.unwrap(), 1),
                        1 => {
                            assert_eq!(
                                store
                                    .end_many(LoginSelector::Family(family_key))
                                    .await
                                    .unwrap(),
                                1
                            )
                        }
                        2 => {
                            assert!(store.end(key).await.unwrap());
                            store.end_many(all).await.unwrap();
                        }
                        _ => continue,
                    }
                    // Too late.
                    store.touch(key, 60).await.unwrap();
                    store.make_stale(key).await.unwrap();
                    assert!(!store.update_family_if(family_key, 2, &claim).await.unwrap());
                }
                if round < 3 {
                    let left = keys(&mut connection, &pattern).await;
                    let revoked = format!("{prefix}:revoked");
                    let of_users = format!("{prefix}:user-revoked:");
                    let is_revocation =
                        |key: &String| key.starts_with(&revoked) || key.starts_with(&of_users);
                    assert!(left.iter().all(is_revocation), "round {round}: {left:?}");
                }
                assert!(store.purge(1_000, None, 100).await.unwrap() >= 3);
                assert_eq!(
                    keys(&mut connection, &pattern).await,
                    [""; 0],
                    "round {round}"
                );
            }
        });
    }

    #[test]
    fn rows_in_redis_go_away_by_themselves_when_they_have_been_over_for_a_day() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let mut connection = connect(redis).await;
            let prefix = unique("it");
            let store = RedisLoginStore::from_connection(connection.clone()).key_prefix(&prefix);
            let (key, mut record) = login(1, 100);
            record.family = Some(FamilyKey([1; 16]));
            store
                .insert_family(FamilyKey([1; 16]), &family(1))
                .await
                .unwrap();
            store.insert(key, &record, None, 40).await.unwrap();
            const DAY: i64 = 86_400;
            for (name, expected) in [
                ("login:*", DAY + 60),
                ("family:*", DAY + 1_000),
                ("user-logins:*", DAY + 60),
                ("user-families:*", DAY + 1_000),
                ("family-logins:*", DAY + 60),
            ] {
                let found = keys(&mut connection, &format!("{prefix}:{name}")).await;
                assert_eq!(found.len(), 1, "{name}");
                let ttl: i64 = cmd("TTL")
                    .arg(&found)
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                assert!((expected - 10..=expected).contains(&ttl), "{name}: {ttl}");
            }
        });
    }

    #[test]
    fn a_redis_that_evicts_keys_keeps_no_login_that_was_to_end() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let mut connection = connect(redis).await;
            let prefix = unique("it");
            let store = RedisLoginStore::from_connection(connection.clone()).key_prefix(&prefix);
            let (key, record) = login(1, 100);
            let family_key = FamilyKey([1; 16]);
            store.insert_family(family_key, &family(1)).await.unwrap();
            store.insert(key, &record, None, 0).await.unwrap();
            let evicted = keys(&mut connection, &format!("{prefix}:user-*")).await;
            assert_eq!(evicted.len(), 2);
            () = cmd("DEL")
                .arg(evicted)
                .query_async(&mut connection)
                .await
                .unwrap();
            // They could not be found any more to be ended, so they are over.
            assert_eq!(store.find(key, 0).await.unwrap(), None);
            assert_eq!(store.find_family(family_key, 0).await.unwrap(), None);
            assert!(
                !store
                    .update_family_if(family_key, 1, &family(1))
                    .await
                    .unwrap()
            );

            // And what is over can be stored once more.
            store.insert(key, &record, None, 0).await.unwrap();
            assert_eq!(store.find(key, 0).await.unwrap(), Some(record));
        });
    }

    #[test]
    fn ending_everything_under_a_prefix_leaves_other_prefixes_alone() {
        let Some(redis) = services::redis() else {
            return;
        };
        on_threads(async {
            let connection = connect(redis).await;
            let name = unique("it");
            let store = |prefix: String| {
                RedisLoginStore::from_connection(connection.clone()).key_prefix(prefix)
            };
            let ended = store(format!("{name}[a]*?"));
            let others = [
                store(format!("{name}a")),
                store(format!("{name}[a]*?:login")),
            ];
            let (key, record) = login(1, 100);
            for store in others.iter().chain([&ended]) {
                store.insert(key, &record, None, 0).await.unwrap();
            }
            assert_eq!(ended.end_many(LoginSelector::All).await.unwrap(), 1);
            assert_eq!(ended.find(key, 0).await.unwrap(), None);
            for other in others {
                assert_eq!(other.find(key, 0).await.unwrap().as_ref(), Some(&record));
            }
        });
    }

    /// Fails, and soon.
    async fn fails_soon<T: std::fmt::Debug>(call: impl Future<Output = Result<T, StoreError>>) {
        let start = Instant::now();
        call.await.unwrap_err();
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn calls_fail_soon_while_redis_is_away_and_go_through_when_it_is_back() {
        let Some(mut redis) = Redis::start() else {
            return;
        };
        on_threads(async {
            let store = RedisLoginStore::new(&redis.url()).await.unwrap();
            let (key, record) = login(1, 100);
            store.insert(key, &record, None, 0).await.unwrap();

            redis.pause();
            fails_soon(store.find(key, 0)).await;
            fails_soon(store.touch(key, 1)).await;
            redis.resume();
            assert!(store.find(key, 0).await.unwrap().is_some());

            for attempt in 0..3 {
                redis.kill();
                for _ in 0..=attempt {
                    fails_soon(store.find(key, 0)).await;
                    fails_soon(store.end(key)).await;
                    fails_soon(store.insert(key, &record, None, 0)).await;
                }
                redis.restart();
                // The very first call goes through, whether it reads or writes.
                if attempt == 0 {
                    assert_eq!(store.find(key, 0).await.unwrap(), None);
                }
                store.insert(key, &record, None, 0).await.unwrap();
                assert_eq!(store.find(key, 0).await.unwrap().as_ref(), Some(&record));
            }
        });
    }

    #[test]
    fn no_redis_at_the_start_is_an_error_at_the_start() {
        on_threads(async {
            fails_soon(RedisLoginStore::new("redis://:a-password@127.0.0.1:1/")).await;
            let error = RedisLoginStore::new("no address with a-password")
                .await
                .unwrap_err();
            assert!(!format!("{error:?} {error}").contains("a-password"));
        });
    }
}
