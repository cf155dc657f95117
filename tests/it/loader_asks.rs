//! Loaders that ask who the user is: an error at once where they would wait for themselves.

use std::{cell::RefCell, future::IntoFuture, time::Duration};

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::{FutureExt as _, future::join};
use login_runtime::{
    Auth, CurrentUser, LoginManager, MaybeUser, MemoryLoginStore,
    config::LoginManagerBuilder,
    guards::Condition,
    test::{Answer, Browser},
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager};
use tokio::time::{self, timeout};

use crate::{
    events::Log,
    world::{App, SESSION, pages, site},
};

/// How a loader asks for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Maybe,
    Current,
    Auth,
    Require,
    /// Beside another future, as `select!` and `join!` do.
    Joined,
    /// And goes on as if nobody were logged in.
    Ignoring,
}

const ALL: [Asks; 6] = [
    Asks::Maybe,
    Asks::Current,
    Asks::Auth,
    Asks::Require,
    Asks::Joined,
    Asks::Ignoring,
];

impl Asks {
    async fn ask(self, request: HttpRequest) -> Result<(), String> {
        let text = |error: actix_web::Error| error.to_string();
        match self {
            Self::Maybe => {
                let maybe = MaybeUser::<User>::extract(&request).await;
                maybe.map(drop).map_err(text)
            }
            Self::Current => {
                let current = CurrentUser::<User>::extract(&request).await;
                current.map(drop).map_err(text)
            }
            Self::Auth => {
                let auth = Auth::<User>::extract(&request).await.unwrap();
                let user = auth.current_user().await;
                user.map(drop).map_err(|error| error.to_string())
            }
            Self::Require => {
                let auth = Auth::<User>::extract(&request).await.unwrap();
                let user = auth.require(Condition::role("admin")).await;
                user.map(drop).map_err(text)
            }
            Self::Joined => {
                let other = time::sleep(Duration::from_millis(1));
                let (maybe, ()) = join(MaybeUser::<User>::extract(&request), other).await;
                maybe.map(drop).map_err(text)
            }
            Self::Ignoring => {
                let _ = MaybeUser::<User>::extract(&request).await;
                Ok(())
            }
        }
    }
}

/// The answer, if there is one. Nobody waits in real time.
async fn at_once(request: impl IntoFuture<Output = Answer>) -> Answer {
    time::pause();
    let answer = timeout(Duration::from_secs(600), request.into_future()).await;
    time::resume();
    answer.expect("it waits for itself")
}

/// One line of the log says what the loader did, and what to do.
fn assert_told(log: &Log, what: &dyn std::fmt::Debug) {
    let lines = log.take_ours();
    let told: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("asks for the current `login_tests::User`"))
        .collect();
    assert_eq!(told.len(), 1, "{what:?}: {lines:#?}");
    assert!(told[0].starts_with("ERROR "), "{}", told[0]);
    assert!(told[0].contains("read a header or a cookie"), "{}", told[0]);
}

/// A request loader that asks who the user is.
fn asking(builder: LoginManagerBuilder, asks: Asks) -> LoginManagerBuilder {
    builder.request_loader(move |request: &HttpRequest| {
        let request = request.clone();
        async move {
            asks.ask(request).await?;
            Ok::<_, String>(None::<User>)
        }
    })
}

#[actix_web::test]
async fn a_request_loader_that_asks_who_the_user_is_gets_an_error_at_once() {
    let (log, _guard) = Log::start();
    for asks in ALL {
        let users = Users::new();
        let app = site(
            asking(manager(&users).0, asks).build(key()).unwrap(),
            &users,
        )
        .await;
        for path in ["/who", "/account", "/settings", "/poll"] {
            log.take_ours();
            let answer = at_once(Browser::new(&app).get(path)).await;
            let expected: &[u16] = match (asks, path) {
                (Asks::Ignoring, "/who") => &[200],
                (Asks::Ignoring, _) => &[303, 401],
                _ => &[503],
            };
            assert!(
                expected.contains(&answer.status()),
                "{asks:?} {path}: {}",
                answer.status()
            );
            assert!(!answer.text().contains("loader"), "{}", answer.text());
            assert_told(&log, &(asks, path));
        }
        // Who is logged in is not affected: the loader is not asked.
        let browser = Browser::new(&app);
        assert_eq!(at_once(browser.post("/login/1")).await.status(), 303);
        at_once(browser.get("/account")).await.assert_page_shown();
        assert_eq!(at_once(browser.post("/logout")).await.status(), 303);
    }
}

#[actix_web::test]
async fn a_request_loader_that_asks_before_its_first_await_gets_an_error_at_once() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.request_loader(|request: &HttpRequest| {
        // Not asynchronous: this runs while the loader is called. Some block here until they have it.
        let polled = MaybeUser::<User>::extract(request).now_or_never();
        assert!(matches!(polled, Some(Err(_))), "it would block the worker");
        let maybe = MaybeUser::<User>::extract(request);
        let current = CurrentUser::<User>::extract(request);
        async move {
            let found = maybe.await.map_err(|error| error.to_string())?;
            drop(current);
            Ok::<_, String>(found.user().map(|user| User::clone(user)))
        }
    });
    let app = site(builder.build(key()).unwrap(), &users).await;
    log.take_ours();
    assert_eq!(
        at_once(Browser::new(&app).get("/account")).await.status(),
        503
    );
    let lines = log.take_ours();
    let told = lines
        .iter()
        .filter(|line| line.contains("asks for the current"));
    // It asked twice.
    assert_eq!(told.count(), 2, "{lines:#?}");
}

thread_local! {
    /// A request that a user loader finds although nobody hands it over.
    static REQUEST: RefCell<Option<HttpRequest>> = const { RefCell::new(None) };
    static ASKS: RefCell<Option<Asks>> = const { RefCell::new(None) };
}

/// Leaves the request for the loader, and then asks for the user.
async fn left(request: HttpRequest) -> Result<HttpResponse, actix_web::Error> {
    REQUEST.set(Some(request.clone()));
    let user = MaybeUser::<User>::extract(&request).await;
    REQUEST.set(None);
    Ok(HttpResponse::Ok().body(
        user?
            .user()
            .map_or_else(String::new, |user| user.name.clone()),
    ))
}

async fn left_for_guard(request: HttpRequest) -> Result<HttpResponse, actix_web::Error> {
    REQUEST.set(Some(request.clone()));
    let user = CurrentUser::<User>::extract(&request).await;
    REQUEST.set(None);
    Ok(HttpResponse::Ok().body(user?.name.clone()))
}

async fn curious_site(users: &Users, with_records: bool) -> impl App + use<> {
    let find = {
        let users = users.clone();
        move |id: i64| {
            let user = users.get(id);
            async move {
                let (request, asks) = (REQUEST.take(), ASKS.take());
                if let (Some(request), Some(asks)) = (request, asks) {
                    asks.ask(request).await?;
                }
                Ok::<_, String>(user)
            }
        }
    };
    let builder = LoginManager::builder(find);
    let builder = match with_records {
        true => builder.login_store(MemoryLoginStore::new()),
        false => builder.session_only(),
    };
    let users = users.clone();
    app(builder.build(key()).unwrap(), move |routes| {
        pages(routes, users);
        routes
            .route("/left", web::get().to(left))
            .route("/left-for-guard", web::get().to(left_for_guard));
    })
    .await
}

#[actix_web::test]
async fn a_user_loader_that_asks_who_the_user_is_gets_an_error_at_once() {
    let (log, _guard) = Log::start();
    for with_records in [false, true] {
        let users = Users::new();
        let app = curious_site(&users, with_records).await;
        for asks in ALL {
            // The login that the session names, and the one that a remember cookie restores.
            for (remember, restored) in [(false, false), (true, false), (true, true)] {
                for path in ["/left", "/left-for-guard"] {
                    let browser = Browser::new(&app);
                    browser.post(&format!("/login/1?remember={remember}")).await;
                    if restored {
                        browser.drop_cookie(SESSION);
                    }
                    log.take_ours();
                    ASKS.set(Some(asks));
                    let answer = at_once(browser.get(path)).await;
                    let expected = if asks == Asks::Ignoring { 200 } else { 503 };
                    assert_eq!(answer.status(), expected, "{asks:?} {path} {restored}");
                    assert_told(&log, &(asks, path, restored, with_records));
                    // The failure ends no login.
                    assert_eq!(at_once(browser.get("/left")).await.text(), "ada");
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_request_loader_may_ask_for_a_user_of_another_type() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let found = users.clone();
    let builder = builder
        .user_loader(load_admin)
        .request_loader(move |request: &HttpRequest| {
            let (request, users) = (request.clone(), found.clone());
            async move {
                let admin = MaybeUser::<Admin>::extract(&request).await;
                let admin = admin.map_err(|error| error.to_string())?;
                // An admin sees what Ada sees.
                Ok::<_, String>(admin.user().and_then(|_| users.get(1)))
            }
        });
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(at_once(browser.get("/account")).await.status(), 303);
    browser.log_in(Admin::new("root")).await;
    assert_eq!(at_once(browser.get("/me")).await.text(), "ada");
    at_once(browser.get("/account")).await.assert_page_shown();
}

#[actix_web::test]
async fn all_who_ask_while_a_loader_runs_still_share_its_result() {
    async fn both(
        maybe: MaybeUser<User>,
        current: CurrentUser<User>,
        auth: Auth<User>,
    ) -> Result<String, actix_web::Error> {
        let again = auth.current_user().await?;
        let name = |user: &MaybeUser<User>| user.user().map(|user| user.name.clone());
        Ok(format!(
            "{:?} {} {:?}",
            name(&maybe),
            current.name,
            name(&again)
        ))
    }
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, _) = manager(&users);
    let found = users.clone();
    let builder = builder.request_loader(move |request: &HttpRequest| {
        let (is_ben, users) = (request.headers().contains_key("x-ben"), found.clone());
        async move {
            // The extractors that are polled meanwhile are not part of the loader.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok::<_, String>(users.get(2).filter(|_| is_ben))
        }
    });
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/both", web::get().to(both));
    })
    .await;
    let browser = Browser::new(&app);
    log.take_ours();
    let answer = at_once(browser.get("/both").header("x-ben", "1")).await;
    assert_eq!(answer.text(), r#"Some("ben") ben Some("ben")"#);
    browser.post("/login/1").await;
    users.loads();
    let answer = at_once(browser.get("/both")).await;
    assert_eq!(answer.text(), r#"Some("ada") ada Some("ada")"#);
    assert_eq!(users.loads(), 1);
    assert!(!log.text().contains("asks for the current"));
}
