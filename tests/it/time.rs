//! To the second: when tokens expire and logins become stale.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::{
    Responder,
    web::{self, Json},
};
use login_runtime::{
    CurrentUser, Limits, RememberCookie, config::SessionProtection, fresh_login_required,
    test::Browser,
};
use login_tests::{START, User, Users, app, key, manager};

use crate::world::{
    DAY, HOUR, REMEMBER, SECOND, Who, assert_clears, assert_leaves, pages, site, who,
};

/// Remembers a login, and looks whether the token is good after some time.
async fn check_token(how: &str, after: Duration, good: bool) {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let remember = RememberCookie::new().duration(DAY);
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post(&format!("/login/1?{how}")).await;
    browser.restart();
    clock.advance(after);
    let answer = browser.get("/who").await;
    let who: Who = answer.json().expect("who");
    assert_eq!(who.id, good.then_some(1), "{how} after {after:?}");
    assert_eq!(who.at, good.then_some(START));
    if good {
        assert_leaves(&answer, REMEMBER);
    } else {
        assert_clears(&answer, REMEMBER);
    }
}

#[actix_web::test]
async fn a_token_is_worthless_from_the_second_it_expires() {
    for (how, life) in [
        ("remember=true", DAY),
        ("for=3600", HOUR),
        ("for=1", SECOND),
        ("for=99999999999", 400 * DAY),
    ] {
        check_token(how, life - SECOND, true).await;
        check_token(how, life, false).await;
        check_token(how, life + SECOND, false).await;
    }
}

/// Logs in, and looks whether the login is fresh after some time.
async fn check_freshness(fresh_for: Option<Duration>, after: Duration, fresh: bool) {
    let users = Users::new();
    let (mut builder, clock) = manager(&users);
    builder = match fresh_for {
        Some(age) => builder.fresh_for(age),
        None => builder.fresh_for_the_session(),
    };
    let limits = Limits::new().danger_no_idle_limit();
    let builder = builder.limits(limits.absolute(20_000 * DAY));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    clock.advance(after);
    let status = browser.get("/settings").await.status();
    assert_eq!(
        status,
        if fresh { 200 } else { 401 },
        "{fresh_for:?} after {after:?}"
    );
    assert_eq!(who(&browser).await.fresh, fresh);
    // Only fresh pages mind.
    browser.get("/account").await.assert_page_shown();
}

#[actix_web::test]
async fn a_login_becomes_stale_one_second_after_its_age() {
    check_freshness(Some(HOUR), HOUR - SECOND, true).await;
    check_freshness(Some(HOUR), HOUR, true).await;
    check_freshness(Some(HOUR), HOUR + SECOND, false).await;
    check_freshness(None, 10_000 * DAY, true).await;
}

#[actix_web::test]
async fn an_age_in_the_guard_is_kept_to_the_second() {
    #[fresh_login_required(max_age = "5m")]
    async fn keys() -> impl Responder {
        "keys"
    }
    for (after, status) in [(299, 200), (300, 200), (301, 401)] {
        let users = Users::new();
        let (builder, clock) = manager(&users);
        let app = app(builder.build(key()).unwrap(), |routes| {
            pages(routes, users.clone());
            routes.route("/keys", web::get().to(keys));
        })
        .await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        clock.advance(Duration::from_secs(after));
        assert_eq!(browser.get("/keys").await.status(), status, "{after}");
    }
}

#[actix_web::test]
async fn use_does_not_prolong_freshness() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.fresh_for(HOUR).build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    for _ in 0..6 {
        clock.advance(HOUR / 6);
        browser.get("/settings").await.assert_page_shown();
        assert_eq!(who(&browser).await.at, Some(START));
    }
    clock.advance(SECOND);
    assert_eq!(browser.get("/settings").await.status(), 401);
    // Credentials do.
    browser.post("/confirm/1").await.assert_page_shown();
    browser.get("/settings").await.assert_page_shown();
    clock.advance(HOUR);
    browser.get("/settings").await.assert_page_shown();
    clock.advance(SECOND);
    assert_eq!(browser.get("/settings").await.status(), 401);
}

#[actix_web::test]
async fn a_restored_login_is_as_old_as_its_credentials() {
    async fn times(user: CurrentUser<User>) -> Json<Option<SystemTime>> {
        Json(CurrentUser::authenticated_at(&user))
    }
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let remember = RememberCookie::new().refresh_each_request();
    let app = app(
        builder.remember_cookie(remember).build(key()).unwrap(),
        |routes| {
            pages(routes, users.clone());
            routes.route("/times", web::get().to(times));
        },
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    let start = UNIX_EPOCH + Duration::from_secs(START.unsigned_abs());
    // Neither restoring nor prolonging makes it younger.
    for _ in 0..3 {
        clock.advance(DAY);
        browser.restart();
        for _ in 0..2 {
            let at: Option<SystemTime> = browser.get("/times").await.json().expect("a time");
            assert_eq!(at, Some(start));
        }
    }
}

#[actix_web::test]
async fn a_clock_that_is_set_back_ends_nothing() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let builder = builder
        .fresh_for(HOUR)
        .session_protection(SessionProtection::Strong);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    clock.set(START - 60);
    browser.get("/settings").await.assert_page_shown();
    browser.restart();
    browser.get("/account").await.assert_page_shown();
}
