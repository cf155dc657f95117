//! Stale logins, and how they become fresh again.

use std::sync::{Arc, Mutex};

use actix_session::SessionExt;
use actix_web::{
    HttpResponse, Responder,
    web::{self, Data},
};
use login_runtime::{
    Auth, CurrentUser, LoginError, LoginScope, Verified,
    config::{LoginManagerBuilder, SessionProtection},
    fresh_login_required, login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager, sessions::MemorySessions};

use crate::world::{
    Events, HOUR, MINUTE, REMEMBER, SESSION, Who, assert_leaves, assert_no_cookies, assert_sets,
    pages, site, who,
};

/// Asserts that a stale login was refused with 401, and told so.
#[track_caller]
fn assert_stale(answer: &Answer) {
    assert_eq!(answer.status(), 401, "{}", answer.text());
    let challenge = "Cookie realm=\"login\", error=\"insufficient_user_authentication\", \
                     max_age=\"1800\"";
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
}

#[actix_web::test]
async fn a_stale_login_is_answered_401_where_there_is_no_refresh_view() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let flashes = Arc::new(Mutex::new(0));
    let count = Arc::clone(&flashes);
    let builder = builder.flash(move |_, _| *count.lock().unwrap() += 1);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let answer = browser.get("/settings").await;
    // The login view is for those without a login.
    assert_stale(&answer);
    assert_eq!(answer.location(), None);
    assert_no_cookies(&answer);
    assert_eq!(*flashes.lock().unwrap(), 0);
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert!(!who(&browser).await.fresh);
}

#[actix_web::test]
async fn a_stale_login_is_sent_to_the_refresh_view() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.refresh_view("/refresh?a=b#form");
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let answer = browser.get("/settings?x=y").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(
        answer.location(),
        Some("/refresh?a=b&next=/settings%3Fx%3Dy#form")
    );
    answer.assert_redirects_to_login("/refresh", "/settings?x=y");
}

#[actix_web::test]
async fn a_scope_can_have_a_refresh_view_of_its_own() {
    #[fresh_login_required]
    async fn keys() -> impl Responder {
        "keys"
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let manager = builder.refresh_view("/refresh").build(key()).unwrap();
    let app = app(manager, |routes| {
        pages(routes, users.clone());
        let own = LoginScope::new().refresh_view("/admin/refresh").unwrap();
        routes
            .service(web::scope("/admin").wrap(own).route("/keys", web::to(keys)))
            .service(
                web::scope("/plain")
                    .wrap(LoginScope::new())
                    .route("/keys", web::to(keys)),
            );
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let location = async |path: &str| browser.get(path).await.location().map(str::to_owned);
    assert_eq!(
        location("/admin/keys").await.as_deref(),
        Some("/admin/refresh?next=/admin/keys")
    );
    assert_eq!(
        location("/plain/keys").await.as_deref(),
        Some("/refresh?next=/plain/keys")
    );
    assert_eq!(
        location("/settings").await.as_deref(),
        Some("/refresh?next=/settings")
    );
}

#[actix_web::test]
async fn where_a_stale_client_wanted_to_go_can_be_kept_in_the_session() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.refresh_view("/refresh").use_session_for_next();
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let answer = browser.get("/settings?x=y").await;
    assert_eq!(answer.location(), Some("/refresh"));
    assert_sets(&answer, "__Host-next", Some(HOUR));
    let next: Option<String> = browser.get("/next").await.json().expect("next");
    assert_eq!(next.as_deref(), Some("/settings?x=y"));
}

/// Keeps what is flashed as the application would.
fn flashing(builder: LoginManagerBuilder) -> LoginManagerBuilder {
    builder.flash(|request, flash| {
        let session = request.get_session();
        let text = format!("{}: {}", flash.category, flash.text);
        session.insert("cart", text).unwrap();
    })
}

#[actix_web::test]
async fn the_refresh_message_is_another_than_the_login_message() {
    let users = Users::new();
    let builder = || flashing(manager(&users).0.refresh_view("/refresh"));
    for (builder, expected) in [
        (
            builder(),
            Some("message: Please reauthenticate to access this page."),
        ),
        (
            builder()
                .needs_refresh_message(Some("Your password, please."))
                .needs_refresh_message_category("warning")
                .login_message(Some("Not this one."))
                .login_message_category("nor this"),
            Some("warning: Your password, please."),
        ),
        (
            builder().localize(|request, text| format!("[{}] {text}", request.path())),
            Some("message: [/settings] Please reauthenticate to access this page."),
        ),
        (builder().needs_refresh_message(None), None),
        (builder().needs_refresh_message(Some("")), None),
    ] {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?stale=true").await;
        let answer = browser.get("/settings").await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.set_cookie(SESSION).is_some(), expected.is_some());
        assert_eq!(
            crate::world::cart_of(&browser).await.as_deref(),
            expected,
            "{expected:?}"
        );
    }
}

#[actix_web::test]
async fn the_application_can_answer_stale_clients_itself() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = flashing(builder)
        .refresh_view("/refresh")
        .needs_refresh_handler(|request| async move {
            tokio::task::yield_now().await;
            HttpResponse::Conflict().body(format!("stale at {}", request.path()))
        });
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    for page in ["/settings", "/needs-refresh"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 409);
        assert_eq!(answer.text(), format!("stale at {page}"));
        assert_no_cookies(&answer);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("Cookie"));
    }
    // Those without a login are none of its business.
    assert_eq!(Browser::new(&app).get("/settings").await.status(), 303);
}

#[actix_web::test]
async fn an_anonymous_client_at_a_fresh_page_is_sent_to_the_login_view() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder.refresh_view("/refresh"));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser
        .get("/settings")
        .await
        .assert_redirects_to_login("/login", "/settings");
    assert_eq!(events.take_but_accessed(), ["unauthorized Anonymous"]);
    browser.post("/login/1?stale=true").await;
    events.take();
    browser
        .get("/settings")
        .await
        .assert_redirects_to_login("/refresh", "/settings");
    assert_eq!(events.take_but_accessed(), ["needs_refresh Stale"]);
}

#[actix_web::test]
async fn a_handler_can_refuse_a_stale_login_itself() {
    async fn keys(auth: Auth<User>) -> Result<String, actix_web::Error> {
        let user = auth.require_fresh_login().await?;
        Ok(format!("keys of {}", user.name))
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/keys", web::get().to(keys));
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/keys").await.status(), 303);
    browser.post("/login/1?stale=true").await;
    assert_stale(&browser.get("/keys").await);
    browser.post("/confirm/1").await.assert_page_shown();
    assert_eq!(browser.get("/keys").await.text(), "keys of ada");
    // Whoever is logged in, if the handler wants it so.
    events.take();
    assert_stale(&browser.get("/needs-refresh").await);
    assert_eq!(browser.get("/unauthorized").await.status(), 303);
    assert_eq!(
        events.take_but_accessed(),
        ["needs_refresh Asked", "unauthorized Asked"]
    );
}

#[actix_web::test]
async fn confirming_makes_a_login_fresh_and_renews_its_session() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, clock) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true&remember=true").await;
    assert_stale(&browser.get("/settings").await);
    let stale = browser.copy();
    clock.advance(HOUR);
    events.take();
    let answer = browser.post("/confirm/1").await;
    assert_eq!((answer.status(), answer.text()), (200, "ada".into()));
    assert_sets(&answer, SESSION, None);
    assert_leaves(&answer, REMEMBER);
    assert_eq!(events.take_but_accessed(), ["login_confirmed ada"]);
    assert_eq!(browser.get("/settings").await.text(), "settings of ada");
    let who = who(&browser).await;
    assert_eq!(who.at, Some(login_tests::START + 60 * 60));
    assert!(who.remembered);
    // A copy of the session from before has nothing of it.
    stale.drop_cookie(REMEMBER);
    assert_eq!(stale.get("/account").await.status(), 303);
}

#[actix_web::test]
async fn confirming_for_nobody_does_nothing() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/confirm/1").await;
    assert_eq!(answer.status(), 401);
    // A 401 says what it asks for (RFC 9110 §15.5.2).
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Cookie realm=\"login\"")
    );
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    assert_eq!(events.take_but_accessed(), ["confirmation_refused ada"]);
    assert_eq!(browser.get("/settings").await.status(), 303);
}

#[actix_web::test]
async fn another_users_credentials_confirm_nothing() {
    async fn confirm_as_ben(auth: Auth<User>, users: Data<Users>) -> String {
        let ben = Verified::trust(users.get(2).unwrap(), "test");
        match auth.confirm_login(ben).await {
            Err(LoginError::OtherUser) => "another user".to_owned(),
            other => format!("{other:?}"),
        }
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/confirm-as-ben", web::post().to(confirm_as_ben));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let answer = browser.post("/confirm/2").await;
    assert_eq!(answer.status(), 403);
    assert_no_cookies(&answer);
    assert_eq!(browser.post("/confirm-as-ben").await.text(), "another user");
    let who = who(&browser).await;
    assert_eq!((who.id, who.fresh), (Some(1), false));
}

#[actix_web::test]
async fn an_inactive_user_confirms_nothing() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    users.change(1, |user| user.is_active = false);
    let answer = browser.post("/confirm/1").await;
    assert_eq!(answer.status(), 403);
    assert_no_cookies(&answer);
}

#[actix_web::test]
async fn confirming_looks_at_the_client_first() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let builder = builder.session_protection(SessionProtection::Strong);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let thief = browser.copy();
    thief.set_user_agent("thief/1");
    assert_eq!(thief.post("/confirm/1").await.status(), 401);
    assert_eq!(who(&thief).await, Who::default());
    assert_eq!(thief.get("/settings").await.status(), 303);
    // The real client has its login still, with the cookie store.
    assert_eq!(who(&browser).await.id, Some(1));
}

#[actix_web::test]
async fn confirming_binds_the_login_to_the_client_at_hand() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.set_address([192, 0, 2, 1]);
    assert_stale(&browser.get("/settings").await);
    browser.post("/confirm/1").await.assert_page_shown();
    events.take();
    browser.get("/settings").await.assert_page_shown();
    assert_eq!(events.take_but_accessed(), [""; 0]);
}

#[actix_web::test]
async fn whether_a_login_is_fresh_is_asked_of_a_login_that_was_checked() {
    async fn only_freshness(user: CurrentUser<User>) -> String {
        CurrentUser::is_fresh(&user).to_string()
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/fresh", web::get().to(only_freshness));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    assert_eq!(browser.get("/fresh").await.text(), "true");
    browser.set_user_agent("thief/1");
    assert_eq!(browser.get("/fresh").await.text(), "false");
}

#[actix_web::test]
async fn a_guard_can_set_an_age_of_its_own() {
    #[fresh_login_required(max_age = "5m")]
    async fn keys() -> impl Responder {
        "keys"
    }
    #[login_required(fresh)]
    async fn also_fresh() -> impl Responder {
        "fresh"
    }
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = app(builder.fresh_for(HOUR).build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes
            .route("/keys", web::get().to(keys))
            .route("/also", web::get().to(also_fresh));
    })
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    clock.advance(6 * MINUTE);
    let answer = browser.get("/keys").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Cookie realm=\"login\", error=\"insufficient_user_authentication\", max_age=\"300\"")
    );
    browser.get("/also").await.assert_page_shown();
    clock.advance(HOUR);
    let answer = browser.get("/also").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.header("www-authenticate"),
        Some(
            "Cookie realm=\"login\", error=\"insufficient_user_authentication\", max_age=\"3600\""
        )
    );
}
