//! The connections of a store to Redis: one for each runtime, replaced when it fails.

use std::{
    future::Future,
    net::TcpListener,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use login_runtime::{
    store::{LoginKey, LoginRecord, LoginStore, RedisLoginStore},
    test::Browser,
};
use login_tests::{Users, key as secret, manager_base, services::Redis};
use redis::{Client, Connection, cmd};
use tokio::runtime::{Builder, Runtime};

use crate::world::site;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn login(number: u8) -> (LoginKey, LoginRecord) {
    let record = LoginRecord {
        user_type: String::new(),
        user_id: number.to_string(),
        created_at: 0,
        authenticated_at: 0,
        last_seen: 0,
        expires_at: 100,
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
    (LoginKey::from_bytes([number; 32]), record)
}

/// A Redis, and a view of who is connected to it.
struct There(Redis);

impl There {
    fn start() -> Option<Self> {
        Redis::start().map(Self)
    }

    /// A connection of the test, which is not counted.
    fn connect(&self) -> Connection {
        let client = Client::open(self.0.url()).unwrap();
        client.get_connection().unwrap()
    }

    /// How many connections there are beside that of the test.
    fn count(&self, connection: &mut Connection) -> usize {
        let mut list = cmd("CLIENT");
        list.arg("LIST").arg("TYPE").arg("normal");
        let list: String = list.query(connection).unwrap();
        list.lines().count() - 1
    }

    /// The ids of all connections but this one.
    fn ids(&self, connection: &mut Connection) -> Vec<String> {
        let mut id = cmd("CLIENT");
        let own: u64 = id.arg("ID").query(connection).unwrap();
        let mut list = cmd("CLIENT");
        let list: String = list
            .arg("LIST")
            .arg("TYPE")
            .arg("normal")
            .query(connection)
            .unwrap();
        let ids = list.lines().filter_map(|line| line.split(' ').next());
        ids.filter(|id| *id != format!("id={own}"))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until there are this many.
    fn until(&self, connection: &mut Connection, expected: usize) {
        let start = Instant::now();
        while self.count(connection) != expected {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{}",
                self.count(connection)
            );
            thread::yield_now();
        }
    }

    /// Closes all connections but that of the test.
    fn cut(&self, connection: &mut Connection) {
        let mut kill = cmd("CLIENT");
        kill.arg("KILL")
            .arg("TYPE")
            .arg("normal")
            .arg("SKIPME")
            .arg("yes");
        kill.query::<u32>(connection).unwrap();
    }

    async fn store(&self) -> RedisLoginStore {
        RedisLoginStore::new(&self.0.url()).await.unwrap()
    }
}

#[test]
fn each_worker_opens_one_connection_which_closes_with_the_worker() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let main = runtime();
    let store = main.block_on(there.store());
    let (key, record) = login(1);
    main.block_on(store.insert(key, &record, None, 0)).unwrap();
    assert_eq!(there.count(&mut view), 1);

    const WORKERS: usize = 4;
    let stop = Arc::new(Barrier::new(WORKERS + 1));
    let asked = Arc::new(Barrier::new(WORKERS + 1));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (store, stop, asked) = (store.clone(), Arc::clone(&stop), Arc::clone(&asked));
            thread::spawn(move || {
                actix_web::rt::System::new().block_on(async {
                    // Many at once, before there is a connection.
                    let finds = (0..64).map(|_| {
                        let store = store.clone();
                        actix_web::rt::spawn(async move { store.find(key, 0).await })
                    });
                    for find in finds.collect::<Vec<_>>() {
                        assert!(find.await.unwrap().unwrap().is_some());
                    }
                    asked.wait();
                    stop.wait();
                });
            })
        })
        .collect();
    asked.wait();
    assert_eq!(there.count(&mut view), 1 + WORKERS);
    stop.wait();
    for worker in workers {
        worker.join().unwrap();
    }
    there.until(&mut view, 1);
    assert!(main.block_on(store.find(key, 0)).unwrap().is_some());
    drop(store);
    // The runtime closes it when it runs again.
    main.block_on(tokio::task::yield_now());
    there.until(&mut view, 0);
}

#[test]
fn a_store_outlives_each_runtime_that_it_was_used_on() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let store = runtime().block_on(there.store());
    let (key, record) = login(1);
    runtime()
        .block_on(store.insert(key, &record, None, 0))
        .unwrap();
    for round in 0..30_u8 {
        let runtime = match round % 2 {
            0 => runtime(),
            _ => Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
        };
        let found = runtime.block_on(store.find(key, 0)).unwrap();
        assert_eq!(found.as_ref(), Some(&record), "{round}");
        runtime.block_on(store.touch(key, 0)).unwrap();
        runtime.block_on(store.is_session_revoked(key, 0)).unwrap();
    }
    there.until(&mut view, 0);
}

#[test]
fn a_runtime_that_stands_still_holds_up_no_other() {
    let Some(there) = There::start() else { return };
    let (still, other) = (runtime(), runtime());
    let store = still.block_on(there.store());
    let (key, record) = login(1);
    // Its connection has a command under way while nothing drives it.
    still.block_on(async {
        let insert = store.insert(key, &record, None, 0);
        let mut insert = pin!(insert);
        let poll = insert
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
    });
    let start = Instant::now();
    other.block_on(async {
        store.insert(key, &record, None, 0).await.unwrap();
        assert_eq!(store.find(key, 0).await.unwrap(), Some(record.clone()));
        assert!(store.end(key).await.unwrap());
    });
    assert!(start.elapsed() < Duration::from_millis(900));
    // And it goes on when it is driven again.
    assert_eq!(still.block_on(store.find(key, 0)).unwrap(), None);
}

#[test]
fn threads_beside_the_runtime_use_its_connection() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let _store = runtime.block_on(async {
        let store = there.store().await;
        let (key, record) = login(1);
        store.insert(key, &record, None, 0).await.unwrap();
        let threads: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                let here = tokio::runtime::Handle::current();
                tokio::task::spawn_blocking(move || here.block_on(store.find(key, 0)))
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.await.unwrap().unwrap().as_ref(), Some(&record));
        }
        store
    });
    assert_eq!(there.count(&mut view), 1);
}

#[test]
fn a_call_outside_of_a_runtime_fails_at_once() {
    let Some(there) = There::start() else { return };
    let store = runtime().block_on(there.store());
    let call = store.find(login(1).0, 0);
    let poll = pin!(call).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = poll else {
        panic!("{poll:?}");
    };
    assert!(format!("{error:?}").contains("Tokio runtime"), "{error:?}");
}

#[test]
fn a_connection_that_was_cut_between_calls_is_replaced_unseen() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    runtime().block_on(async {
        let store = there.store().await;
        let (key, record) = login(1);
        store.insert(key, &record, None, 0).await.unwrap();
        for _ in 0..5 {
            there.cut(&mut view);
            assert_eq!(store.find(key, 0).await.unwrap().as_ref(), Some(&record));
            there.cut(&mut view);
            store.touch(key, 0).await.unwrap();
            there.cut(&mut view);
            assert_eq!(store.list(record.owner(), 0).await.unwrap().len(), 1);
            there.cut(&mut view);
            assert!(!store.is_session_revoked(key, 0).await.unwrap());
            there.cut(&mut view);
            store
                .insert(login(2).0, &login(2).1, None, 0)
                .await
                .unwrap();
        }
        // A log out that may have been done already is not done again; the next one is.
        there.cut(&mut view);
        let ended = store.end(key).await;
        let ended_now = store.end(key).await.unwrap();
        assert!(ended.is_ok_and(|ended| ended) != ended_now);
        assert_eq!(store.find(key, 0).await.unwrap(), None);
        assert_eq!(there.count(&mut view), 1);
    });
}

#[test]
fn a_server_that_has_become_a_replica_is_left_after_the_first_log_out_that_it_refuses() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let mut replicate = |host: &str, port: &str| {
        let mut command = cmd("REPLICAOF");
        command.arg(host).arg(port);
        command.query::<()>(&mut view).unwrap();
    };
    runtime().block_on(async {
        let store = there.store().await;
        let (key, record) = login(1);
        store.insert(key, &record, None, 0).await.unwrap();
        let before = there.ids(&mut there.connect());
        // Nothing listens on this port.
        replicate("127.0.0.1", "1");
        assert!(store.end(key).await.is_err());
        replicate("NO", "ONE");
        assert!(store.end(key).await.unwrap());
        let after = there.ids(&mut there.connect());
        assert!(
            after.iter().any(|id| !before.contains(id)),
            "{before:?} {after:?}"
        );
        assert_eq!(after.len(), before.len());
    });
}

#[test]
fn a_redis_that_forgot_the_scripts_learns_them_again() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    runtime().block_on(async {
        let store = there.store().await;
        let (key, record) = login(1);
        let mut forget = || {
            let mut flush = cmd("SCRIPT");
            flush.arg("FLUSH").query::<()>(&mut view).unwrap();
        };
        for _ in 0..2 {
            forget();
            store.insert(key, &record, None, 0).await.unwrap();
            forget();
            assert_eq!(store.find(key, 0).await.unwrap().as_ref(), Some(&record));
            forget();
            store.touch(key, 0).await.unwrap();
            forget();
            assert!(store.end(key).await.unwrap());
            forget();
            assert_eq!(store.find(key, 0).await.unwrap(), None);
        }
    });
}

#[test]
fn all_who_wait_for_a_frozen_redis_are_told_soon_and_all_are_served_when_it_is_back() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let runtime = runtime();
    let store = runtime.block_on(there.store());
    let (key, record) = login(1);
    runtime
        .block_on(store.insert(key, &record, None, 0))
        .unwrap();
    let ask_all = || {
        let asking = (0..64).map(|_| {
            let store = store.clone();
            runtime.spawn(async move { store.find(key, 0).await })
        });
        asking.collect::<Vec<_>>()
    };
    there.0.pause();
    // The second time there is no connection any more.
    for round in 0..2 {
        let start = Instant::now();
        let asking = ask_all();
        runtime.block_on(async {
            for find in asking {
                find.await.unwrap().unwrap_err();
            }
        });
        let waited = start.elapsed();
        assert!(waited > Duration::from_millis(700), "{round}: {waited:?}");
        assert!(waited < Duration::from_secs(3), "{round}: {waited:?}");
    }
    there.0.resume();
    let asking = ask_all();
    runtime.block_on(async {
        for find in asking {
            assert_eq!(find.await.unwrap().unwrap().as_ref(), Some(&record));
        }
    });
    there.until(&mut view, 1);
}

#[test]
fn a_caller_who_gives_up_leaves_the_connection_to_the_others() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    runtime().block_on(async {
        let store = there.store().await;
        let (key, record) = login(1);
        store.insert(key, &record, None, 0).await.unwrap();
        there.cut(&mut view);
        for _ in 0..100 {
            let mut given_up = pin!(store.find(key, 0));
            let _ = given_up
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            // It is dropped here, while it connects or waits for its answer.
        }
        assert_eq!(store.find(key, 0).await.unwrap(), Some(record));
        assert_eq!(there.count(&mut view), 1);
    });
}

#[test]
fn a_place_where_nothing_answers_fails_soon_for_all() {
    // It accepts connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:a-password@{}/", silent.local_addr().unwrap());
    let runtime = runtime();
    let start = Instant::now();
    let error = runtime.block_on(RedisLoginStore::new(&url)).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("a-password"));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[actix_web::test]
async fn a_user_does_not_notice_that_the_connection_was_cut_or_the_scripts_forgotten() {
    let Some(there) = There::start() else { return };
    let mut view = there.connect();
    let users = Users::new();
    let (builder, _clock) = manager_base(&users);
    let manager = builder.login_store(there.store().await).build(secret());
    let app = site(manager.unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/1").await.status(), 303);
    for _ in 0..3 {
        there.cut(&mut view);
        assert_eq!(browser.get("/account").await.status(), 200);
        cmd("SCRIPT").arg("FLUSH").query::<()>(&mut view).unwrap();
        assert_eq!(browser.get("/account").await.status(), 200);
    }
    assert_eq!(browser.post("/logout").await.status(), 303);
    there.cut(&mut view);
    assert_eq!(browser.get("/account").await.status(), 303);
}
