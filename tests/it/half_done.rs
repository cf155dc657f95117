//! Calls of a login store whose caller goes away, or whose answer is lost: they are done once, and not by
//! half.

use login_runtime::store::{
    FamilyKey, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore, TokenFamily,
};

fn login(user: &str, family: FamilyKey) -> LoginRecord {
    LoginRecord {
        user_type: OWNER.user_type.to_owned(),
        user_id: user.to_owned(),
        created_at: 0,
        authenticated_at: 0,
        last_seen: 0,
        expires_at: 1_000,
        fresh: true,
        allow_inactive: false,
        method: "password".to_owned(),
        client: 0,
        user_agent: String::new(),
        address: String::new(),
        hash: None,
        family: Some(family),
        unseen_token: None,
    }
}

fn family(user: &str) -> TokenFamily {
    TokenFamily {
        user_type: OWNER.user_type.to_owned(),
        user_id: user.to_owned(),
        seed: [7; 16],
        version: 1,
        generation: 1,
        rotated_at: 0,
        seen_at: None,
        restored_at: None,
        authenticated_at: 0,
        expires_at: 1_000,
        lifetime: 1_000,
        hash: None,
    }
}

/// The key of the login.
fn key() -> LoginKey {
    LoginKey::from_bytes([1; 32])
}

const FAMILY: FamilyKey = FamilyKey([2; 16]);
const OWNER: LoginOwner<'static> = LoginOwner {
    user_type: "",
    user_id: "1",
};

/// Stores a login and its family.
async fn fill(store: &impl LoginStore) {
    store.insert_family(FAMILY, &family("1")).await.unwrap();
    let login = login("1", FAMILY);
    store.insert(key(), &login, None, 0).await.unwrap();
}

/// Whether the login and its family are there.
async fn is_there(store: &impl LoginStore) -> (bool, bool) {
    let login = store.find(key(), 0).await.unwrap();
    let family = store.find_family(FAMILY, 0).await.unwrap();
    (login.is_some(), family.is_some())
}

/// What ends the login and its family.
fn endings() -> [LoginSelector<'static>; 3] {
    [
        LoginSelector::Of {
            owner: OWNER,
            but: None,
            but_family: None,
        },
        LoginSelector::Family(FAMILY),
        LoginSelector::All,
    ]
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql {
    use std::{future::Future, pin::pin, time::Duration};

    use futures_util::future::{Either, select};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Waits until the database has finished what it was asked to do.
    async fn gone_soon(store: &impl LoginStore) {
        let gone = async {
            while is_there(store).await != (false, false) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let done = timeout(Duration::from_secs(10), gone).await;
        done.expect("what was begun is finished");
    }

    /// Drops each call that ends the login while it waits for a lock that `block` holds, and asserts that
    /// it ends the login all the same when `release` gives the lock back. `waits` returns when the call
    /// has reached the lock.
    async fn dropped_callers_end_logins<T, S: LoginStore>(
        (store, elsewhere): (&S, &S),
        block: impl AsyncFn() -> T,
        waits: impl AsyncFn(),
        release: impl AsyncFn(T),
    ) {
        for which in endings() {
            fill(store).await;
            let lock = block().await;
            {
                let call = pin!(store.end_many(which));
                match select(call, pin!(waits())).await {
                    Either::Left(_) => panic!("the call did not wait for the lock"),
                    Either::Right(_) => {}
                }
                // The caller goes away here.
            }
            release(lock).await;
            gone_soon(elsewhere).await;
            // And the connection is as good as before.
            fill(store).await;
            assert_eq!(is_there(elsewhere).await, (true, true), "{which:?}");
            assert_eq!(store.end_many(which).await.unwrap(), 1, "{which:?}");
        }
        fill(store).await;
        let lock = block().await;
        {
            let call = pin!(store.end(key()));
            match select(call, pin!(waits())).await {
                Either::Left(_) => panic!("the call did not wait for the lock"),
                Either::Right(_) => {}
            }
        }
        release(lock).await;
        store.end_many(LoginSelector::Family(FAMILY)).await.unwrap();
        gone_soon(elsewhere).await;
    }

    fn on_a_runtime(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(test);
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_log_out_in_postgres_whose_caller_goes_away_is_finished() {
        use login_runtime::store::PostgresLoginStore;
        use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgPoolOptions};

        let Some(postgres) = login_tests::services::postgres() else {
            return;
        };
        on_a_runtime(async {
            let url = postgres.database();
            let open = async || {
                // With a second connection, a broken one would go unnoticed.
                let pool = PgPoolOptions::new().max_connections(1);
                PostgresLoginStore::new(pool.connect(&url).await.unwrap())
            };
            let (store, elsewhere) = (open().await, open().await);
            store.migrate().await.unwrap();
            let block = async || {
                let mut lock = PgConnection::connect(&url).await.unwrap();
                // Others may read meanwhile.
                let begin = "BEGIN; LOCK TABLE login_records, login_families IN EXCLUSIVE MODE";
                lock.execute(begin).await.unwrap();
                lock
            };
            let waits = async || {
                let mut watch = PgConnection::connect(&url).await.unwrap();
                let waiting = "SELECT count(*) FROM pg_stat_activity \
                               WHERE datname = current_database() AND wait_event_type = 'Lock'";
                while sqlx::query_scalar::<_, i64>(waiting)
                    .fetch_one(&mut watch)
                    .await
                    .unwrap()
                    == 0
                {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            let release = async |lock: PgConnection| lock.close().await.unwrap();
            dropped_callers_end_logins((&store, &elsewhere), block, waits, release).await;
        });
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_log_out_in_sqlite_whose_caller_goes_away_is_finished() {
        use login_runtime::store::SqliteLoginStore;
        use sqlx::{
            Connection as _, Executor as _, SqliteConnection,
            sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
        };

        let name = login_tests::services::unique("login_tests_half_done");
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        let file = SqliteConnectOptions::new()
            .filename(dir.join("test.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(30));
        on_a_runtime(async {
            let open = async || {
                let pool = SqlitePoolOptions::new().max_connections(1);
                pool.connect_with(file.clone()).await.unwrap()
            };
            let pool = open().await;
            let store = SqliteLoginStore::new(pool.clone());
            let elsewhere = SqliteLoginStore::new(open().await);
            store.migrate().await.unwrap();
            let block = async || {
                let mut lock = SqliteConnection::connect_with(&file).await.unwrap();
                lock.execute("BEGIN IMMEDIATE").await.unwrap();
                lock
            };
            let waits = async || {
                while pool.num_idle() > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
                // SQLite does not tell who waits. The call has its connection, and only has to begin.
                sleep(Duration::from_millis(200)).await;
            };
            let release = async |lock: SqliteConnection| lock.close().await.unwrap();
            dropped_callers_end_logins((&store, &elsewhere), block, waits, release).await;
        });
        std::fs::remove_dir_all(dir).unwrap();
    }
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use login_runtime::{
        store::RedisLoginStore,
        throttle::{Attempt, Claimed, CounterKey, ThrottleStore, TryLimit},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// What stands between the store and Redis.
    #[derive(Default)]
    struct Between {
        /// Which answer is lost, and its connection with it: 1 is the next one, and 0 is none.
        loses: AtomicUsize,
        /// How many scripts were sent.
        scripts: AtomicUsize,
    }

    impl Between {
        /// Passes on what arrives at a port of its own. Returns the port.
        async fn listen(self: Arc<Self>, redis: u16) -> u16 {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let server = TcpStream::connect(("127.0.0.1", redis)).await.unwrap();
                    tokio::spawn(Arc::clone(&self).pass_on(client, server));
                }
            });
            port
        }

        async fn pass_on(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
            let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
            loop {
                tokio::select! {
                    read = client.read(&mut asked) => {
                        let Ok(len @ 1..) = read else { return };
                        let sent = String::from_utf8_lossy(&asked[..len]);
                        let scripts = sent.matches("EVALSHA").count();
                        self.scripts.fetch_add(scripts, Ordering::SeqCst);
                        server.write_all(&asked[..len]).await.unwrap();
                    }
                    read = server.read(&mut answered) => {
                        let Ok(len @ 1..) = read else { return };
                        let count = |left: usize| left.checked_sub(1);
                        let left = self.loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
                        if left == Ok(1) {
                            return;
                        }
                        client.write_all(&answered[..len]).await.unwrap();
                    }
                }
            }
        }

        /// The number of scripts since the last call.
        fn scripts(&self) -> usize {
            self.scripts.swap(0, Ordering::SeqCst)
        }
    }

    /// A store whose answers can be lost.
    async fn store() -> Option<(RedisLoginStore, Arc<Between>)> {
        let redis = login_tests::services::redis()?;
        let between = Arc::<Between>::default();
        let url = redis.url();
        let (address, port) = url.trim_end_matches('/').rsplit_once(':').unwrap();
        let port = Arc::clone(&between).listen(port.parse().unwrap()).await;
        let store = RedisLoginStore::new(&format!("{address}:{port}/")).await;
        let prefix = login_tests::services::unique("half");
        let store = store.unwrap().key_prefix(prefix);
        // Redis has all scripts then, so each call is one.
        fill(&store).await;
        store
            .update_family_if(FAMILY, 9, &family("1"))
            .await
            .unwrap();
        store.touch(key(), 0).await.unwrap();
        store.make_stale(key()).await.unwrap();
        store.list(OWNER, 0).await.unwrap();
        store.purge(0, None, 1).await.unwrap();
        store.end(key()).await.unwrap();
        is_there(&store).await;
        for which in endings() {
            fill(&store).await;
            store.end_many(which).await.unwrap();
        }
        fill(&store).await;
        between.scripts();
        Some((store, between))
    }

    #[actix_web::test]
    async fn a_call_to_redis_that_may_have_been_done_is_not_sent_again() {
        let Some((store, between)) = store().await else {
            return;
        };
        let lose = || between.loses.store(1, Ordering::SeqCst);
        // How many logins ended would be wrong the second time.
        lose();
        store.end(key()).await.unwrap_err();
        assert_eq!(between.scripts(), 1);
        for which in endings() {
            fill(&store).await;
            between.scripts();
            if which == LoginSelector::All {
                // It begins with a question that may be repeated.
                continue;
            }
            lose();
            store.end_many(which).await.unwrap_err();
            assert_eq!(between.scripts(), 1, "{which:?}");
            assert_eq!(is_there(&store).await, (false, false), "{which:?}");
        }
        fill(&store).await;
        between.scripts();
        let next = TokenFamily {
            version: 2,
            ..family("1")
        };
        // The one who replaced the token would be told that another did.
        lose();
        store.update_family_if(FAMILY, 1, &next).await.unwrap_err();
        assert_eq!(between.scripts(), 1);
        let found = store.find_family(FAMILY, 0).await.unwrap();
        assert_eq!(found, Some(next));
        between.scripts();
        lose();
        store.purge(2_000, None, 10).await.unwrap_err();
        assert_eq!(between.scripts(), 1);
    }

    #[actix_web::test]
    async fn a_call_to_redis_that_may_be_done_twice_is_sent_again() {
        let Some((store, between)) = store().await else {
            return;
        };
        let lose = || between.loses.store(1, Ordering::SeqCst);
        lose();
        assert!(store.find(key(), 0).await.unwrap().is_some());
        lose();
        assert!(store.find_family(FAMILY, 0).await.unwrap().is_some());
        lose();
        store.touch(key(), 5).await.unwrap();
        lose();
        store.make_stale(key()).await.unwrap();
        lose();
        let found = store.list(OWNER, 0).await.unwrap();
        let record = LoginRecord {
            last_seen: 5,
            fresh: false,
            ..login("1", FAMILY)
        };
        assert_eq!(found, [(key(), record)]);
        assert_eq!(between.scripts(), 10);
        lose();
        let other = LoginKey::from_bytes([3; 32]);
        store
            .insert(other, &login("1", FAMILY), None, 0)
            .await
            .unwrap();
        assert_eq!(store.list(OWNER, 0).await.unwrap().len(), 2);
    }

    #[actix_web::test]
    async fn a_try_whose_answer_from_redis_is_lost_is_counted_once_and_taken_back_once() {
        let Some((store, between)) = store().await else {
            return;
        };
        let attempt = |account: u8| Attempt {
            counters: [1, 2, 3]
                .map(|kind| CounterKey([account, kind].repeat(8).try_into().unwrap())),
            limits: [TryLimit::new(5); 3],
            known: CounterKey([account; 16]),
            client: 1,
        };
        let claim = async |account| match store.claim(&attempt(account), 0).await.unwrap() {
            Claimed::Allowed(counted) => Some(counted),
            Claimed::Refused { .. } => None,
        };
        let exhaust = async |account| {
            let mut tries = 0;
            while claim(account).await.is_some() {
                tries += 1;
            }
            tries
        };
        let lose = |nth| between.loses.store(nth, Ordering::SeqCst);
        // Redis has the script after the first.
        exhaust(0).await;
        between.scripts();
        lose(1);
        store.claim(&attempt(1), 0).await.unwrap_err();
        assert_eq!(between.scripts(), 1);
        assert_eq!(exhaust(1).await, 4);
        // If something is stored already, the first script only finds it.
        claim(2).await.unwrap();
        between.scripts();
        lose(2);
        store.claim(&attempt(2), 0).await.unwrap_err();
        assert_eq!(between.scripts(), 2);
        assert_eq!(exhaust(2).await, 3);
        for succeeds in [false, true] {
            let account = 3 + u8::from(succeeds);
            claim(account).await.unwrap();
            let other = claim(account).await.unwrap();
            between.scripts();
            lose(2);
            let (attempt, until) = (attempt(account), 10);
            let answer = match succeeds {
                true => store.succeed(&attempt, &other, until, 0).await,
                false => store.give_back(&attempt, &other, 0).await,
            };
            answer.unwrap_err();
            assert_eq!(between.scripts(), 2);
            // The counter of the account, or of the client, has the other try still.
            assert_eq!(exhaust(account).await, 4);
        }
    }
}
