//! What a request costs a Redis, by Redis' own count.

use std::collections::BTreeMap;

use actix_session::storage::RedisSessionStore;
use login_runtime::{
    store::RedisLoginStore,
    test::{Browser, TestClock},
};
use login_tests::{Users, key, manager_base, services::Redis};
use redis::{aio::ConnectionManager, cmd};

use crate::world::{App, MINUTE, assert_no_cookies, site};

/// How often each command was called, by name.
type Calls = BTreeMap<String, u64>;

/// A connection that counts what others do; it is not counted itself.
struct Count(ConnectionManager);

impl Count {
    async fn of(redis: &Redis) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        Self(ConnectionManager::new(client).await.unwrap())
    }

    /// What was called since the last look. What scripts call counts, too.
    async fn take(&mut self) -> Calls {
        let info: String = cmd("INFO")
            .arg("commandstats")
            .query_async(&mut self.0)
            .await
            .unwrap();
        () = cmd("CONFIG")
            .arg("RESETSTAT")
            .query_async(&mut self.0)
            .await
            .unwrap();
        let calls = info.lines().filter_map(|line| {
            let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = figures.split(',').next()?.parse().unwrap();
            let ours = !matches!(name, "info" | "config" | "config|resetstat" | "ping");
            ours.then(|| (name.to_owned(), calls))
        });
        calls.collect()
    }
}

/// These calls, and besides them nothing.
#[track_caller]
fn assert_calls(calls: &Calls, expected: &[(&str, u64)]) {
    let calls: Vec<_> = calls
        .iter()
        .map(|(name, calls)| (name.as_str(), *calls))
        .collect();
    assert_eq!(calls, expected);
}

/// What each of these pages costs; none of them sets a cookie.
async fn cost<S: App>(browser: &Browser<'_, S>, users: &Users, count: &mut Count) -> Vec<Calls> {
    let mut costs = Vec::new();
    for page in ["/account", "/settings", "/who"] {
        count.take().await;
        users.loads();
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 200, "{page}");
        assert_no_cookies(&answer);
        assert_eq!(users.loads(), 1, "{page}");
        costs.push(count.take().await);
    }
    costs
}

/// A browser in which Ada is logged in, after Redis got to know the scripts.
async fn logged_in<'a, S: App>(app: &'a S, clock: &TestClock) -> Browser<'a, S> {
    let browser = Browser::new(app);
    for _ in 0..2 {
        assert_eq!(browser.post("/login/1").await.status(), 303);
        clock.advance(3 * MINUTE);
        assert_eq!(browser.get("/account").await.status(), 200);
    }
    browser
}

#[actix_web::test]
async fn a_page_costs_redis_one_look_and_now_and_then_one_note() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let store = RedisLoginStore::new(&redis.url()).await.unwrap();
    let mut count = Count::of(&redis).await;
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(store);
    let app = site(builder.build(key()).unwrap(), &users).await;

    let browser = logged_in(&app, &clock).await;
    // The same look tells whether the session is noted as ended: it is the price of keeping sessions in
    // their cookies.
    let expected = [("evalsha", 1), ("hget", 1), ("zrank", 1), ("zscore", 1)];
    for calls in cost(&browser, &users, &mut count).await {
        assert_calls(&calls, &expected);
    }
    // Visitors cost nothing, and nor does a page that asks for nobody.
    let visitor = Browser::new(&app);
    assert_eq!(visitor.get("/account").await.status(), 303);
    assert_eq!(visitor.get("/").await.status(), 200);
    assert_calls(&count.take().await, &[]);

    // Use is noted once in a tenth of half an hour.
    let mut notes = 0;
    for _ in 0..60 {
        clock.advance(MINUTE);
        assert_no_cookies(&browser.get("/account").await);
        let calls = count.take().await;
        assert!((1..=2).contains(&calls["evalsha"]), "{calls:?}");
        notes += calls["evalsha"] - 1;
    }
    assert_eq!(notes, 20);
}

#[actix_web::test]
async fn a_page_loads_its_session_from_redis_once_and_writes_none() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let store = RedisLoginStore::new(&redis.url()).await.unwrap();
    let sessions = RedisSessionStore::new(redis.url()).await.unwrap();
    let mut count = Count::of(&redis).await;
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(store).session_store(sessions);
    let app = site(builder.build(key()).unwrap(), &users).await;

    let browser = logged_in(&app, &clock).await;
    for calls in cost(&browser, &users, &mut count).await {
        let expected = [("evalsha", 1), ("get", 1), ("hget", 1), ("zrank", 1)];
        assert_calls(&calls, &expected);
    }
}
