//! Databases that are frozen, killed and restarted under an application that goes on.
//!
//! These wait for real servers in real time. All requests of an outage are sent at once, so that it
//! costs no more time than the slowest.

use std::{
    cell::Cell,
    future::IntoFuture,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{LocalBoxFuture, join, join_all};
use login_runtime::{
    store::LoginStore,
    test::{Answer, Browser, TestClock},
};
use login_tests::{Users, key, manager_base, sessions::MemorySessions};

use actix_web::http::Method;

use crate::world::{App, HOUR, Options, Place, World, assert_no_cookies, site};

/// How long a login store has for its answer.
const DEADLINE: Duration = Duration::from_millis(500);

/// How long the application has for its own.
const LIMIT: Duration = Duration::from_millis(1_500);

/// How long an application may take to find a server that is back.
const BACK: Duration = Duration::from_secs(10);

/// A server of the test's own.
trait Server {
    /// Whether it still knows after a restart what it knew before.
    const REMEMBERS: bool;

    fn pause(&self);
    fn resume(&self);
    fn kill(&mut self);
    fn restart(&mut self);
}

macro_rules! server {
    ($server:ty, $remembers:literal) => {
        impl Server for $server {
            const REMEMBERS: bool = $remembers;

            fn pause(&self) {
                Self::pause(self);
            }

            fn resume(&self) {
                Self::resume(self);
            }

            fn kill(&mut self) {
                Self::kill(self);
            }

            fn restart(&mut self) {
                Self::restart(self);
            }
        }
    };
}

/// The answer to a request, which has to come in time.
async fn in_time(request: impl IntoFuture<Output = Answer>) -> Answer {
    let started = Instant::now();
    let answer = tokio::time::timeout(5 * LIMIT, request.into_future()).await;
    let (answer, took) = (answer.expect("an answer"), started.elapsed());
    assert!(took <= LIMIT, "{} after {took:?}", answer.status());
    answer
}

/// The first answer of a page that is not 503, which has to come before long.
async fn served<S: App>(browser: &Browser<'_, S>, path: &str) -> Answer {
    let started = Instant::now();
    loop {
        let answer = in_time(browser.get(path)).await;
        if answer.status() != 503 {
            return answer;
        }
        assert!(started.elapsed() < BACK, "{path} is not served any more");
        assert_no_cookies(&answer);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Browsers that are about to do what they do, each something else, and what they are answered if the
/// login store does.
struct Browsers<'a, S> {
    all: Vec<(Browser<'a, S>, Does)>,
    /// Whether the log in came about.
    logged_in: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// Nobody has to be known for this.
    Public,
    Visit,
    Read,
    /// Writes into the session.
    Fill,
    Restore,
    LogIn,
    LogOut,
}

impl Does {
    const ALL: [Self; 7] = [
        Self::Public,
        Self::Visit,
        Self::Read,
        Self::Fill,
        Self::Restore,
        Self::LogIn,
        Self::LogOut,
    ];

    fn ask<'b, S: App>(self, browser: &'b Browser<'_, S>) -> LocalBoxFuture<'b, Answer> {
        let request = match self {
            Self::Public => browser.get("/"),
            Self::Visit | Self::Read | Self::Restore => browser.get("/account"),
            Self::Fill => browser.post("/cart/pear"),
            Self::LogIn => browser.post("/login/1?remember=true"),
            Self::LogOut => browser.post("/logout"),
        };
        request.into_future()
    }

    fn status(self) -> u16 {
        match self {
            Self::Public | Self::Read | Self::Fill | Self::Restore => 200,
            Self::Visit | Self::LogIn | Self::LogOut => 303,
        }
    }

    /// Whether it does not come about without the login store.
    fn needs_store(self) -> bool {
        !matches!(self, Self::Public | Self::Visit | Self::Fill)
    }
}

impl<'a, S: App> Browsers<'a, S> {
    async fn new(app: &'a S, clock: &TestClock) -> Self {
        let mut browsers = Vec::new();
        for does in Does::ALL {
            let browser = Browser::new(app);
            if !matches!(does, Does::Visit | Does::LogIn) {
                assert_eq!(browser.post("/login/1?remember=true").await.status(), 303);
                assert_eq!(browser.get("/account").await.status(), 200);
            }
            browsers.push((browser, does));
        }
        // Reading a page has the use of the login noted, and restoring one replaces the token.
        clock.advance(HOUR / 4);
        for (browser, does) in &browsers {
            if *does == Does::Restore {
                browser.restart();
            }
        }
        Self {
            all: browsers,
            logged_in: Cell::default(),
        }
    }

    /// All of them, at once.
    async fn ask(&self) -> Vec<(Does, Answer)> {
        let asked = self.all.iter().map(|(browser, does)| async move {
            let answer = in_time(does.ask(browser)).await;
            if *does == Does::LogIn {
                self.logged_in.set(answer.status() == does.status());
            }
            (*does, answer)
        });
        join_all(asked).await
    }

    /// While the store is away each is answered what is right, or 503.
    async fn are_answered_without_the_store(&self) {
        for (does, answer) in self.ask().await {
            let status = answer.status();
            if does.needs_store() {
                assert_eq!(status, 503, "{does:?}");
            } else {
                assert!(
                    status == 503 || status == does.status(),
                    "{does:?}: {status}"
                );
            }
            if status == 503 {
                assert_no_cookies(&answer);
            }
        }
    }

    /// The store is back. Those who logged out may be out if the store has got word of it.
    async fn are_served_again(&self, remembers: bool) {
        for (browser, does) in &self.all {
            let answer = served(browser, "/account").await;
            let is_in = match does {
                Does::Visit => false,
                Does::LogIn => remembers && self.logged_in.get(),
                Does::LogOut => remembers && answer.status() == 200,
                _ => remembers,
            };
            assert_eq!(answer.status(), if is_in { 200 } else { 303 }, "{does:?}");
        }
        for (browser, _) in &self.all {
            assert_eq!(
                in_time(browser.post("/login/1?remember=true"))
                    .await
                    .status(),
                303
            );
            assert_eq!(
                in_time(browser.get("/account")).await.text(),
                "account of ada"
            );
            let copy = browser.copy();
            assert_eq!(in_time(browser.post("/logout")).await.status(), 303);
            assert_eq!(in_time(copy.get("/account")).await.status(), 303);
        }
    }
}

async fn a_frozen_server<S: App>(app: &S, clock: &TestClock, server: &mut impl Server) {
    let browsers = Browsers::new(app, clock).await;
    server.pause();
    browsers.are_answered_without_the_store().await;
    server.resume();
    browsers.are_served_again(true).await;
}

async fn a_killed_server<S: App>(
    app: &S,
    clock: &TestClock,
    server: &mut impl Server,
    remembers: bool,
) {
    let browsers = Browsers::new(app, clock).await;
    // Frozen first, so that it dies in the middle of their requests.
    server.pause();
    let (answers, ()) = join(browsers.ask(), async {
        tokio::time::sleep(DEADLINE / 5).await;
        server.kill();
    })
    .await;
    for (does, answer) in answers {
        let status = answer.status();
        assert!(
            status == 503 || status == does.status(),
            "{does:?}: {status}"
        );
    }
    server.restart();
    browsers.are_served_again(remembers).await;

    let browsers = Browsers::new(app, clock).await;
    server.kill();
    browsers.are_answered_without_the_store().await;
    server.restart();
    browsers.are_served_again(remembers).await;
}

async fn survives<T: Server>(store: impl LoginStore, mut server: T) {
    let store = Arc::new(store);
    let users = Users::new();
    let with_store = || {
        let (builder, clock) = manager_base(&users);
        let builder = builder.login_store(Arc::clone(&store));
        (builder.store_deadline(DEADLINE), clock)
    };
    let (builder, clock) = with_store();
    let app = site(builder.build(key()).unwrap(), &users).await;
    a_frozen_server(&app, &clock, &mut server).await;
    a_killed_server(&app, &clock, &mut server, T::REMEMBERS).await;

    let (builder, clock) = with_store();
    let builder = builder.session_store(MemorySessions::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    a_frozen_server(&app, &clock, &mut server).await;
    a_killed_server(&app, &clock, &mut server, T::REMEMBERS).await;
}

/// In a time that passes while everybody waits, so the figure is exact.
#[actix_web::test]
async fn a_store_that_never_answers_costs_a_request_its_deadline_and_not_one_for_each_call() {
    tokio::time::pause();
    let options = Options {
        deadline: Some(DEADLINE),
        ..Options::default()
    };
    for place in [Place::COOKIE, Place::MEMORY] {
        let world = World::open(place, options.clone()).await;
        let browser = world.remembered(1).await;
        world.wait(600);
        let restored = browser.copy();
        restored.restart();
        for last_answered in 0..4 {
            world.logins.on(move |moment| async move {
                if moment.nth > last_answered {
                    std::future::pending::<()>().await;
                }
                Ok(())
            });
            for (browser, path) in [
                (&browser, "/account"),
                (&restored, "/account"),
                (&browser, "/login/1?remember=true"),
                (&browser, "/confirm/1"),
                (&browser, "/logout"),
                (&browser, "/cart/x"),
            ] {
                let method = if path == "/account" {
                    Method::GET
                } else {
                    Method::POST
                };
                let started = tokio::time::Instant::now();
                let answer = browser.copy().ask(method, path).await;
                let took = started.elapsed();
                assert!(took <= DEADLINE + DEADLINE / 10, "{path} took {took:?}");
                let redirects = path.starts_with("/login") || path == "/logout";
                let done = if redirects { 303 } else { 200 };
                let expected = [done, 503];
                assert!(expected.contains(&answer.status()), "{path}: {answer:?}");
            }
        }
        world.logins.off();
    }
}

#[cfg(feature = "redis")]
mod redis {
    use actix_session::storage::RedisSessionStore;
    use login_runtime::{MemoryLoginStore, store::RedisLoginStore};
    use login_tests::services::Redis;

    use super::*;

    server!(Redis, false);

    #[actix_web::test]
    async fn an_application_outlives_its_redis() {
        let Some(redis) = Redis::start() else {
            return;
        };
        let store = RedisLoginStore::new(&redis.url()).await.unwrap();
        survives(store, redis).await;
    }

    /// Logins outlive the sessions in it, since browsers are remembered.
    #[actix_web::test]
    async fn an_application_outlives_the_redis_of_its_sessions() {
        let Some(mut redis) = Redis::start() else {
            return;
        };
        let users = Users::new();
        let (builder, clock) = manager_base(&users);
        let sessions = RedisSessionStore::new(redis.url()).await.unwrap();
        let builder = builder
            .login_store(MemoryLoginStore::new())
            .store_deadline(DEADLINE)
            .session_store(sessions);
        let app = site(builder.build(key()).unwrap(), &users).await;
        a_frozen_server(&app, &clock, &mut redis).await;
        a_killed_server(&app, &clock, &mut redis, true).await;
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use login_runtime::store::PostgresLoginStore;
    use login_tests::services::Postgres;
    use sqlx::postgres::PgPoolOptions;

    use super::*;

    server!(Postgres, true);

    #[actix_web::test]
    async fn an_application_outlives_its_postgres() {
        let Some(postgres) = Postgres::start() else {
            return;
        };
        let pool = PgPoolOptions::new().max_connections(16);
        let pool = pool.connect(&postgres.database()).await.unwrap();
        let store = PostgresLoginStore::new(pool);
        store.migrate().await.unwrap();
        survives(store, postgres).await;
    }
}
