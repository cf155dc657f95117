//! What the log tells of a failure: all that caused it, once, and what to do. The client learns nothing.

use std::{cell::Cell, collections::HashMap, error::Error, fmt, future::pending};

use actix_session::storage::{
    LoadError as SessionLoadError, SaveError, SessionKey, SessionStore, UpdateError,
};
use actix_web::{
    App, HttpRequest, HttpResponse, Responder,
    cookie::time::Duration as CookieDuration,
    get,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, BoxError, CurrentUser, HasPermission, LoginError, LoginManager, MaybeUser,
    MemoryLoginStore, Permissions, Verified,
    guards::{Condition, RefusedRequest},
    login_required,
    store::StoreError,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager, sessions::MemorySessions};

use crate::{
    events::Log,
    world::{Call, Options, Place, REMEMBER, SECOND, SESSION, World, assert_leaves, pages, site},
};

/// An error with what caused it.
#[derive(Debug)]
struct Caused(&'static str, Option<Box<Caused>>);

impl fmt::Display for Caused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let Self(_, source) = self;
        source.as_deref().map(|source| source as _)
    }
}

/// A failure as a driver of a database reports it.
fn outage() -> Caused {
    let socket = Caused("connection refused (os error 111)", None);
    let pool = Caused("the pool has no connection", Some(Box::new(socket)));
    Caused("the query failed", Some(Box::new(pool)))
}

const CHAIN: &str =
    "the query failed: the pool has no connection: connection refused (os error 111)";

/// The lines of the log that show what caused a failure.
fn with_cause(log: &Log) -> Vec<String> {
    let mut lines = log.take_ours();
    lines.retain(|line| line.contains("os error 111"));
    lines
}

#[track_caller]
fn assert_says_nothing(answer: &Answer) {
    let seen = format!("{:?} {:?}", answer.headers(), answer.text());
    for word in ["query", "pool", "os error", "migrate", "sql"] {
        assert!(!seen.contains(word), "{seen}");
    }
}

#[actix_web::test]
async fn a_login_store_that_fails_is_in_the_log_once_with_all_causes_whatever_was_asked() {
    let options = Options {
        refresh_remember: true,
        ..Options::default()
    };
    let (log, _guard) = Log::start();
    for place in [
        Place::COOKIE,
        Place::MEMORY,
        Place {
            login_cookie: true,
            ..Place::COOKIE
        },
    ] {
        let world = World::open(place, options.clone()).await;
        for (method, path) in [
            ("get", "/account"),
            ("get", "/who"),
            ("post", "/login/1"),
            ("post", "/login/2?remember=true"),
            ("post", "/logout"),
            ("post", "/confirm/1"),
            ("get", "/logins"),
            ("post", "/end-others"),
            ("post", "/change/current"),
            ("post", "/purge"),
        ] {
            let browser = world.remembered(1).await;
            world
                .logins
                .on(|_| async { Err(StoreError::new(outage())) });
            log.take_ours();
            let answer = match method {
                "get" => browser.get(path).await,
                _ => browser.post(path).await,
            };
            world.logins.off();
            let lines = with_cause(&log);
            let ours = lines.iter().map(String::as_str).collect::<Vec<_>>();
            assert_eq!(ours.len(), 1, "{place:?} {path}: {lines:#?}");
            assert!(ours[0].starts_with("ERROR "), "{path}: {}", ours[0]);
            assert!(
                ours[0].contains("event=store_failed"),
                "{path}: {}",
                ours[0]
            );
            assert!(ours[0].contains("call="), "{path}: {}", ours[0]);
            assert!(ours[0].contains(CHAIN), "{path}: {}", ours[0]);
            let purges = path == "/purge" && !place.login_cookie;
            assert!(
                answer.status() == 503 || purges,
                "{place:?} {path}: {}",
                answer.status()
            );
            assert_says_nothing(&answer);
        }
    }
}

#[actix_web::test]
async fn a_login_store_that_fails_while_a_login_is_restored_is_in_the_log_once() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.remembered(1).await;
    browser.drop_cookie(SESSION);
    world
        .logins
        .on(|_| async { Err(StoreError::new(outage())) });
    log.take_ours();
    let answer = browser.get("/account").await;
    assert_eq!(answer.status(), 503);
    assert_says_nothing(&answer);
    let lines = with_cause(&log);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("call=find_family"), "{}", lines[0]);
}

#[actix_web::test]
async fn each_failure_in_maintenance_is_in_the_log() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.remembered(1).await;
    let key = world.everybody().of::<User>(&1).await.unwrap()[0].key;
    world
        .logins
        .on(|_| async { Err(StoreError::new(outage())) });
    let logins = world.everybody();
    let logged = |call: &str| {
        let lines = with_cause(&log);
        assert_eq!(lines.len(), 1, "{call}: {lines:#?}");
        assert!(
            lines[0].contains(&format!("call={call}")),
            "{call}: {}",
            lines[0]
        );
        assert!(lines[0].contains(CHAIN), "{call}: {}", lines[0]);
    };
    log.take_ours();
    assert!(logins.of::<User>(&1).await.is_err());
    logged("list");
    assert!(logins.end(key).await.is_err());
    logged("find");
    assert!(logins.end_all_of::<User>(&1).await.is_err());
    logged("end_many");
    assert!(logins.end_all().await.is_err());
    logged("end_many");
    assert!(logins.purge(100).await.is_err());
    logged("purge");
    // The next failure is another one, even if it is the same.
    assert!(logins.purge(100).await.is_err());
    logged("purge");
    world.logins.off();
    browser.get("/account").await.assert_page_shown();
}

#[actix_web::test]
async fn a_failure_that_does_not_fail_the_request_is_in_the_log_too() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.logged_in(1).await;
    world.wait(600);
    world.logins.on(|moment| async move {
        match moment.call {
            Call::Touch => Err(StoreError::new(outage())),
            _ => Ok(()),
        }
    });
    log.take_ours();
    browser.get("/account").await.assert_page_shown();
    let lines = with_cause(&log);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("call=touch"), "{}", lines[0]);
}

#[actix_web::test]
async fn a_failure_after_a_log_in_that_does_not_fail_it_is_in_the_log_once() {
    let (log, _guard) = Log::start();
    for (failing, name) in [
        (Call::TokenArrived, "token_arrived"),
        (Call::EndOldestFamilies, "end_oldest_families"),
    ] {
        let world = World::open(Place::COOKIE, Options::default()).await;
        world.logins.on(move |moment| async move {
            match moment.call {
                call if call == failing => Err(StoreError::new(outage())),
                _ => Ok(()),
            }
        });
        log.take_ours();
        let browser = world.remembered(1).await;
        browser.get("/account").await.assert_page_shown();
        let lines = with_cause(&log);
        assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
        assert!(lines[0].contains(&format!("call={name}")), "{}", lines[0]);
    }
}

#[actix_web::test]
async fn a_response_prolongs_no_cookie_while_the_store_cannot_tell_whether_it_is_late() {
    let place = Place {
        login_cookie: true,
        ..Place::MEMORY
    };
    let options = Options {
        refresh_remember: true,
        ..Options::default()
    };
    let world = World::open(place, options).await;
    let browser = world.remembered(1).await;
    world.logins.on(|moment| async move {
        match moment.call {
            Call::IsBuried => Err(StoreError::new(outage())),
            _ => Ok(()),
        }
    });
    let answer = browser.get("/account").await;
    answer.assert_page_shown();
    assert_leaves(&answer, REMEMBER);
    world.logins.off();
    let answer = browser.get("/account").await;
    assert!(answer.set_cookie(REMEMBER).is_some());
}

#[actix_web::test]
async fn what_a_store_advises_is_in_the_log_beside_its_error() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.logged_in(1).await;
    world
        .logins
        .on(|_| async { Err(StoreError::new(outage()).advise("plug it in again")) });
    log.take_ours();
    let answer = browser.get("/account").await;
    assert!(!answer.text().contains("plug"), "{}", answer.text());
    let lines = with_cause(&log);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("advice=plug it in again"), "{}", lines[0]);
}

#[actix_web::test]
async fn a_login_store_that_does_not_answer_is_in_the_log_once_with_its_deadline() {
    let (log, _guard) = Log::start();
    let options = Options {
        deadline: Some(SECOND),
        ..Options::default()
    };
    let world = World::open(Place::COOKIE, options).await;
    let browser = world.remembered(1).await;
    world.logins.on(|_| pending());
    log.take_ours();
    tokio::time::pause();
    assert_eq!(browser.post("/logout").await.status(), 503);
    let lines = log.take_ours();
    let late: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("no answer within 1s"))
        .collect();
    assert_eq!(late.len(), 1, "{lines:#?}");
    assert!(late[0].contains("`.store_deadline(..)`"), "{lines:#?}");
}

#[actix_web::test]
async fn a_loader_that_fails_is_in_the_log_once_with_all_causes() {
    async fn by_hand(auth: Auth<User>) -> Result<String, LoginError> {
        auth.current_user().await?;
        Ok(String::new())
    }
    let (log, _guard) = Log::start();
    let users = Users::new();
    thread_local! {
        static FAILS: Cell<bool> = const { Cell::new(false) };
    }
    let find = {
        let users = users.clone();
        move |id: i64| {
            let user = users.get(id);
            async move {
                match FAILS.get() {
                    true => Err(outage()),
                    false => Ok(user),
                }
            }
        }
    };
    let manager = LoginManager::builder(find)
        .login_store(MemoryLoginStore::new())
        .login_view("/login")
        .build(key());
    let app = app(manager.unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/by-hand", web::get().to(by_hand));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    FAILS.set(true);
    for (path, restored) in [
        ("/account", false),
        ("/who", false),
        ("/by-hand", false),
        ("/account", true),
    ] {
        if restored {
            browser.drop_cookie(SESSION);
        }
        log.take_ours();
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_says_nothing(&answer);
        let lines = with_cause(&log);
        assert_eq!(lines.len(), 1, "{path}: {lines:#?}");
        assert!(
            lines[0].contains("event=load_failed"),
            "{path}: {}",
            lines[0]
        );
        assert!(lines[0].contains(CHAIN), "{path}: {}", lines[0]);
    }
    FAILS.set(false);
}

#[derive(Clone, Copy, Permissions)]
#[permissions(user = User)]
enum Permission {
    Edit,
}

impl HasPermission<Permission> for User {
    async fn has_permission(
        &self,
        permission: Permission,
        _: &HttpRequest,
    ) -> Result<bool, BoxError> {
        let Permission::Edit = permission;
        Err(outage().into())
    }
}

#[actix_web::test]
async fn a_request_loader_a_permission_and_a_handler_that_fail_are_in_the_log_with_all_causes() {
    async fn refused(_: RefusedRequest) -> Result<HttpResponse, Box<dyn Error>> {
        Err(outage().into())
    }
    async fn checked(auth: Auth<User>) -> Result<String, actix_web::Error> {
        auth.require(Condition::permission(Permission::Edit))
            .await?;
        Ok(String::new())
    }
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder
        .unauthorized_handler(refused)
        .request_loader(|request: &HttpRequest| {
            let asks = request.headers().contains_key("x-api-key");
            async move {
                match asks {
                    true => Err(outage()),
                    false => Ok(None::<User>),
                }
            }
        });
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/checked", web::get().to(checked));
    })
    .await;
    let browser = Browser::new(&app);
    let failed = |answer: &Answer, event: &str| {
        assert!(answer.status() >= 500, "{event}: {}", answer.status());
        let lines = with_cause(&log);
        assert_eq!(lines.len(), 1, "{event}: {lines:#?}");
        assert!(lines[0].contains(&format!("event={event}")), "{}", lines[0]);
        assert!(lines[0].contains(CHAIN), "{}", lines[0]);
    };
    log.take_ours();
    failed(
        &browser.get("/account").header("x-api-key", "7").await,
        "load_failed",
    );
    failed(&browser.get("/account").await, "handler_failed");
    browser.post("/login/1").await;
    log.take_ours();
    failed(&browser.get("/checked").await, "load_failed");
}

/// Sessions on a server that is down.
struct Down;

impl SessionStore for Down {
    async fn load(
        &self,
        _: &SessionKey,
    ) -> Result<Option<HashMap<String, String>>, SessionLoadError> {
        Err(SessionLoadError::Other(outage().into()))
    }

    async fn save(
        &self,
        _: HashMap<String, String>,
        _: &CookieDuration,
    ) -> Result<SessionKey, SaveError> {
        Err(SaveError::Other(outage().into()))
    }

    async fn update(
        &self,
        _: SessionKey,
        _: HashMap<String, String>,
        _: &CookieDuration,
    ) -> Result<SessionKey, UpdateError> {
        Err(UpdateError::Other(outage().into()))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &CookieDuration) -> Result<(), anyhow::Error> {
        Err(outage().into())
    }

    async fn delete(&self, _: &SessionKey) -> Result<(), anyhow::Error> {
        Err(outage().into())
    }
}

#[actix_web::test]
async fn a_session_store_that_fails_is_in_the_log_once_with_all_causes() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let up = {
        let sessions = MemorySessions::new();
        let (builder, _) = manager(&users);
        site(
            builder.session_store(sessions).build(key()).unwrap(),
            &users,
        )
        .await
    };
    let browser = Browser::new(&up);
    browser.post("/login/1").await;
    let (builder, _) = manager(&users);
    let app = site(builder.session_store(Down).build(key()).unwrap(), &users).await;
    for (browser, path) in [
        (Browser::new(&app), "/login/1"),
        (browser.at(&app), "/logout"),
    ] {
        log.take_ours();
        let answer = browser.post(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_says_nothing(&answer);
        let lines = with_cause(&log);
        assert_eq!(lines.len(), 1, "{path}: {lines:#?}");
        assert!(
            lines[0].contains("event=session_store_failed"),
            "{}",
            lines[0]
        );
        assert!(lines[0].contains(CHAIN), "{}", lines[0]);
    }
}

#[actix_web::test]
async fn an_error_cannot_write_a_line_of_its_own_into_the_log() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.logged_in(1).await;
    world.logins.on(|_| async {
        Err(StoreError::new(
            "bad\nERROR event=logged_in user=1\u{1b}[2J\r",
        ))
    });
    log.take_ours();
    browser.get("/account").await;
    let lines = log.take_ours();
    assert!(
        lines.iter().any(|line| line.contains(r"bad\nERROR event")),
        "{lines:#?}"
    );
    for line in lines {
        assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
    }
}

#[actix_web::test]
async fn a_missing_login_store_is_in_the_log_and_not_only_in_the_answer() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    for (method, path) in [
        ("get", "/logins"),
        ("post", "/end-others"),
        ("post", "/change/current"),
    ] {
        log.take_ours();
        let answer = match method {
            "get" => browser.get(path).await,
            _ => browser.post(path).await,
        };
        assert_eq!(answer.status(), 500, "{path}");
        let lines = log.take_ours();
        let told = lines
            .iter()
            .filter(|line| line.contains("`.login_store(..)`"));
        assert_eq!(told.count(), 1, "{path}: {lines:#?}");
    }
}

#[actix_web::test]
async fn a_log_in_after_a_purge_says_in_the_log_what_to_call_instead() {
    async fn purge_first(
        auth: Auth<User>,
        session: actix_session::Session,
        users: web::Data<Users>,
    ) -> Result<HttpResponse, LoginError> {
        session.purge();
        let ada = Verified::trust(users.get(1).unwrap(), "test");
        auth.log_in(ada).await?;
        Ok(HttpResponse::Ok().finish())
    }
    let (log, _guard) = Log::start();
    let users = Users::new();
    let app = app(manager(&users).0.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/purge-first", web::post().to(purge_first));
    })
    .await;
    let browser = Browser::new(&app);
    log.take_ours();
    assert_eq!(browser.post("/purge-first").await.status(), 500);
    let lines = log.take_ours();
    let told = lines
        .iter()
        .filter(|line| line.contains("clear and renew it"));
    assert_eq!(told.count(), 1, "{lines:#?}");
}

#[actix_web::test]
async fn a_missing_manager_is_in_the_log_once_however_many_ask_for_it() {
    #[login_required]
    #[get("/guard")]
    async fn guard(_: CurrentUser<User>) -> impl Responder {
        ""
    }
    async fn many(_: Auth<User>, _: MaybeUser<User>, _: CurrentUser<User>) -> impl Responder {
        ""
    }
    fn routes(routes: &mut ServiceConfig) {
        routes.service(guard).route("/many", web::to(many)).service(
            web::resource("/options")
                .wrap(login_required())
                .to(HttpResponse::Ok),
        );
    }
    let (log, _guard) = Log::start();
    let app = init_service(App::new().configure(routes)).await;
    let browser = Browser::new(&app);
    for (method, path) in [
        ("GET", "/guard"),
        ("GET", "/many"),
        ("OPTIONS", "/options"),
        ("OPTIONS", "/many"),
    ] {
        log.take_ours();
        let answer = browser.ask(method.parse().unwrap(), path).await;
        assert_eq!(answer.status(), 500, "{path}");
        let lines = log.take_ours();
        assert_eq!(lines.len(), 1, "{method} {path}: {lines:#?}");
        assert!(
            lines[0].contains("`.wrap(login_manager.clone())`"),
            "{}",
            lines[0]
        );
    }
}

/// An application on a SQL store whose tables nobody made.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn without_tables(store: impl login_runtime::store::LoginStore) {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = login_tests::manager_base(&users);
    let manager = builder.login_store(store).build(key()).unwrap();
    let everybody = manager.logins().unwrap();
    let app = app(manager, |routes| {
        pages(routes, users.clone());
        routes.app_data(web::Data::new(None::<login_runtime::logins::Logins>));
    })
    .await;
    // The login of another application with the same key and tables.
    let (builder, _) = login_tests::manager_base(&users);
    let other = builder.login_store(MemoryLoginStore::new());
    let other = site(other.build(key()).unwrap(), &users).await;
    let elsewhere = Browser::new(&other);
    elsewhere.post("/login/1?remember=true").await;
    let browser = elsewhere.at(&app);
    let told = |what: &str| {
        let lines = log.take_ours();
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("`migrate()`"))
            .collect();
        assert_eq!(told.len(), 1, "{what}: {lines:#?}");
        assert!(
            told[0].contains("login_"),
            "{what} names no table: {}",
            told[0]
        );
    };
    log.take_ours();
    for (method, path) in [
        ("get", "/account"),
        ("post", "/login/1"),
        ("post", "/login/1?remember=true"),
        ("post", "/logout"),
    ] {
        let answer = match method {
            "get" => browser.get(path).await,
            _ => browser.post(path).await,
        };
        assert_eq!(answer.status(), 503, "{path}");
        assert_says_nothing(&answer);
        told(path);
    }
    assert!(everybody.purge(10).await.is_err());
    told("purge");
}

#[cfg(feature = "sqlite")]
#[actix_web::test]
async fn tables_that_nobody_made_in_sqlite_are_in_the_log_with_the_call_that_makes_them() {
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    without_tables(login_runtime::store::SqliteLoginStore::new(pool)).await;
}

#[cfg(feature = "postgres")]
#[actix_web::test]
async fn tables_that_nobody_made_in_postgresql_are_in_the_log_with_the_call_that_makes_them() {
    let Some(postgres) = login_tests::services::postgres() else {
        return;
    };
    let pool = sqlx::PgPool::connect(&postgres.database()).await.unwrap();
    without_tables(login_runtime::store::PostgresLoginStore::new(pool)).await;
}
