//! Where a user comes from: the session, the remember cookie, the request itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{HttpRequest, Responder, web};
use login_runtime::{
    CurrentUser, LoginManager,
    config::{LoginManagerBuilder, SessionProtection},
    login_required,
    logins::LoginSource,
    test::Browser,
};
use login_tests::{User, Users, app, key, manager, sessions::MemorySessions};

use crate::world::{
    Events, REMEMBER, SESSION, Who, assert_clears, assert_leaves, assert_no_cookies, pages, site,
    who,
};

/// How often the request loader was asked.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl Asked {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// Has a manager take the user from an API key: in a header, or in the query.
fn with_api_keys(builder: LoginManagerBuilder, users: &Users) -> (LoginManagerBuilder, Asked) {
    let (users, asked) = (users.clone(), Asked::default());
    let count = asked.clone();
    let builder = builder.request_loader(move |request: &HttpRequest| {
        count.0.fetch_add(1, Ordering::SeqCst);
        let header = request.headers().get("x-api-key");
        let header = header.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let query = request.query_string().strip_prefix("api_key=");
        let id = header.or_else(|| query.map(str::to_owned));
        let users = users.clone();
        async move {
            tokio::task::yield_now().await;
            let user = id.and_then(|id| users.get(id.parse().ok()?));
            Ok::<Option<User>, String>(user)
        }
    });
    (builder, asked)
}

#[actix_web::test]
async fn a_page_that_does_not_look_loads_nobody_and_can_be_cached() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, asked) = with_api_keys(builder, &users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    events.take();
    users.loads();
    // The cart uses the session, but not the login.
    for page in ["/", "/cart", "/no-such-page"] {
        for browser in [&browser, &Browser::new(&app)] {
            let answer = browser.get(page).header("x-api-key", "1").await;
            assert_eq!(answer.header("vary"), None, "{page}");
            assert_eq!(answer.header("cache-control"), None, "{page}");
            assert_no_cookies(&answer);
        }
    }
    assert_eq!((users.loads(), asked.take()), (0, 0));
    assert_eq!(events.take(), [""; 0]);
}

#[actix_web::test]
async fn a_request_loads_its_user_once() {
    #[login_required]
    async fn many(
        _one: CurrentUser<User>,
        _two: CurrentUser<User>,
        auth: login_runtime::Auth<User>,
    ) -> Result<impl Responder, actix_web::Error> {
        auth.require_login().await?;
        auth.current_user().await?;
        Ok("many")
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, asked) = with_api_keys(builder, &users);
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        let guarded = web::scope("/in").wrap(login_runtime::login_required());
        routes.service(guarded.route("/many", web::get().to(many)));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/in/many").header("x-api-key", "1").await;
    assert_eq!(answer.text(), "many");
    assert_eq!((users.loads(), asked.take()), (0, 1));
    browser.post("/login/1").await;
    events.take();
    assert_eq!(browser.get("/in/many").await.text(), "many");
    assert_eq!((users.loads(), asked.take()), (1, 0));
    // The first look is reported, the others are not.
    assert_eq!(events.take(), ["accessed"]);
}

#[actix_web::test]
async fn the_first_look_is_reported_also_if_it_finds_nobody() {
    let users = Users::new();
    let (builder, events) = Events::of(manager(&users).0);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.get("/").await;
    assert_eq!(events.take(), [""; 0]);
    browser.get("/who").await;
    assert_eq!(events.take(), ["accessed"]);
    browser.get("/account").await;
    assert_eq!(events.take(), ["accessed", "unauthorized Anonymous"]);
}

#[actix_web::test]
async fn a_request_can_bring_its_user_along() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, _) = with_api_keys(builder, &users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    for worthless in ["", "x", "99"] {
        let answer = browser.get("/account").header("x-api-key", worthless).await;
        assert_eq!(answer.status(), 303, "{worthless}");
    }
    // The inactive are refused here too.
    let answer = browser.get("/account").header("x-api-key", "3").await;
    assert_eq!(answer.status(), 303);
    events.take();
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_eq!(events.take(), ["accessed", "loaded_from_request ben"]);
    let answer = browser.get("/account?api_key=2").await;
    assert_eq!(answer.text(), "account of ben");
}

#[actix_web::test]
async fn a_user_from_the_request_is_neither_stored_nor_fresh() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let (builder, _) = with_api_keys(builder, &users);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/settings").header("x-api-key", "1").await;
    assert_eq!(answer.status(), 401);
    assert_no_cookies(&answer);
    let answer = browser.get("/who").header("x-api-key", "1").await;
    let ada = Who {
        id: Some(1),
        authenticated: true,
        source: Some("Request".to_owned()),
        ..Who::default()
    };
    assert_eq!(answer.json(), Some(ada));
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn freshness_belongs_to_the_login_that_it_came_from() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, _) = with_api_keys(builder, &users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    // A user from the request has no login to confirm, ..
    let answer = browser.post("/confirm/1").header("x-api-key", "1").await;
    assert_eq!(answer.status(), 401);
    assert_no_cookies(&answer);
    let answer = browser.get("/settings").header("x-api-key", "1").await;
    assert_eq!(answer.status(), 401);
    // .. and gains nothing from one that somebody else had.
    browser.post("/login/2").await;
    users.delete(2);
    let answer = browser.get("/settings").header("x-api-key", "1").await;
    assert_eq!(answer.status(), 401);
    let answer = browser.get("/account").header("x-api-key", "1").await;
    assert_eq!(answer.text(), "account of ada");
}

#[actix_web::test]
async fn a_user_in_the_session_goes_first() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, asked) = with_api_keys(builder, &users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    for api_key in ["2", "99"] {
        let answer = browser.get("/account").header("x-api-key", api_key).await;
        assert_eq!(answer.text(), "account of ada");
    }
    assert_eq!(asked.take(), 0);
    // Then the remember cookie.
    browser.drop_cookie(SESSION);
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ada");
    assert_eq!(asked.take(), 0);
    // Then the request.
    browser.drop_cookie(SESSION);
    browser.drop_cookie(REMEMBER);
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_eq!(asked.take(), 1);
}

#[actix_web::test]
async fn a_worthless_source_does_not_keep_the_next_from_being_asked() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let (builder, _) = with_api_keys(builder, &users);
    let builder = builder.session_protection(SessionProtection::Strong);
    let app = site(builder.build(key()).unwrap(), &users).await;
    // A forged cookie.
    let browser = Browser::new(&app);
    browser.set_cookie(REMEMBER, "forged");
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_clears(&answer, REMEMBER);
    // One that has expired.
    let browser = Browser::new(&app);
    browser.post("/login/1?for=3600").await;
    browser.drop_cookie(SESSION);
    clock.advance(crate::world::HOUR);
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_clears(&answer, REMEMBER);
    // A session whose user is gone, and its cookie.
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    users.delete(1);
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_clears(&answer, REMEMBER);
    // A session of another client.
    users.put(User::new(1, "ada"));
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.set_user_agent("test/2");
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert_clears(&answer, REMEMBER);
    // A session that was worthless does not hide a good cookie.
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.set_cookie(SESSION, "forged");
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ada");
    assert_leaves(&answer, REMEMBER);
}

#[actix_web::test]
async fn a_handler_knows_where_its_user_came_from() {
    #[login_required]
    async fn only_with_a_session(user: CurrentUser<User>) -> impl Responder {
        match CurrentUser::source(&user) {
            LoginSource::Session => "with a session",
            LoginSource::RememberCookie => "just restored",
            LoginSource::Request => "by key",
            _ => "by other means",
        }
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, _) = with_api_keys(builder, &users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/source", web::get().to(only_with_a_session));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/source").header("x-api-key", "1").await;
    assert_eq!(answer.text(), "by key");
    browser.post("/login/1?remember=true").await;
    assert_eq!(browser.get("/source").await.text(), "with a session");
    browser.restart();
    assert_eq!(browser.get("/source").await.text(), "just restored");
    assert_eq!(browser.get("/source").await.text(), "with a session");
}

#[actix_web::test]
async fn an_application_without_sessions_has_a_loader_that_knows_nobody() {
    let users = Users::new();
    let nobody = |_: i64| async { Ok::<Option<User>, String>(None) };
    let builder = LoginManager::builder(nobody)
        .session_only()
        .login_view("/login");
    let (builder, asked) = with_api_keys(builder, &users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    // A log in is good for its own request, as nobody can be found again.
    assert_eq!(browser.post("/login/1").await.status(), 303);
    assert_eq!(who(&browser).await, Who::default());
    let answer = browser.get("/account").header("x-api-key", "2").await;
    assert_eq!(answer.text(), "account of ben");
    assert!(asked.take() > 0);
}
