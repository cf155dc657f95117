//! The remember cookie.

use std::time::Duration;

use actix_session::Session;
use actix_web::{
    Responder,
    cookie::{SameSite, time},
    web,
};
use login_runtime::{
    Auth, CookieSettings, LoginError, RememberCookie,
    config::{LoginManagerBuilder, SessionProtection},
    test::Browser,
};
use login_tests::{START, User, Users, app, key, manager, sessions::MemorySessions};

use crate::world::{
    DAY, Events, HOUR, REMEMBER, SECOND, SESSION, Who, WorthlessCookies, assert_cleared,
    assert_clears, assert_leaves, assert_no_cookies, assert_sets, cart_of, cookie, loose_cookies,
    pages, site, the_cookie, who, with_raw_cookies,
};

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What `/who` says of a user whom the remember cookie brought back.
fn restored(id: i64) -> Who {
    Who {
        id: Some(id),
        authenticated: true,
        fresh: false,
        source: Some("RememberCookie".to_owned()),
        at: Some(START),
        remembered: true,
    }
}

fn with(builder: LoginManagerBuilder, cookie: CookieSettings) -> LoginManagerBuilder {
    builder.remember_cookie(RememberCookie::new().cookie(cookie))
}

#[actix_web::test]
async fn a_remembered_login_outlives_the_session() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    // Without being asked for there is no cookie, and nobody after the session.
    assert_leaves(&browser.post("/login/1").await, REMEMBER);
    browser.restart();
    assert_eq!(who(&browser).await, Who::default());

    let answer = browser.post("/login/1?remember=true").await;
    assert_sets(&answer, REMEMBER, Some(MONTH));
    assert_eq!(who(&browser).await.source.as_deref(), Some("Session"));
    browser.restart();
    clock.advance(DAY);
    let answer = browser.get("/who").await;
    assert_eq!(answer.json(), Some(restored(1)));
    // The session takes over from here; the token stays as it is.
    assert_sets(&answer, SESSION, None);
    assert_leaves(&answer, REMEMBER);
    let again = browser.get("/who").await;
    let source = Some("Session".to_owned());
    assert_eq!(
        again.json(),
        Some(Who {
            source,
            ..restored(1)
        })
    );
    assert_no_cookies(&again);
}

#[actix_web::test]
async fn a_restored_login_is_stale() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.get("/settings").await.assert_page_shown();
    browser.restart();
    assert_eq!(browser.get("/settings").await.status(), 401);
    assert_eq!(browser.get("/account").await.text(), "account of ada");
    assert_eq!(browser.get("/settings").await.status(), 401);
    // Until its user gives credentials again; that leaves the token alone.
    let answer = browser.post("/confirm/1").await;
    assert_leaves(&answer, REMEMBER);
    assert_eq!(browser.get("/settings").await.text(), "settings of ada");
    browser.restart();
    assert_eq!(who(&browser).await, restored(1));
}

#[actix_web::test]
async fn restoring_is_reported_once() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.restart();
    events.take();
    browser.get("/who").await;
    browser.get("/who").await;
    assert_eq!(events.take_but_accessed(), ["loaded_from_cookie ada"]);
}

#[actix_web::test]
async fn attributes_are_strict_unless_the_application_says_otherwise() {
    let _known = loose_cookies();
    let users = Users::new();
    let insecure = || CookieSettings::new().danger_insecure();
    for (settings, expected) in [
        (
            CookieSettings::new(),
            "__Host-remember=; HttpOnly; SameSite=Lax; Secure; Path=/",
        ),
        (
            CookieSettings::new().same_site(SameSite::Strict),
            "__Host-remember=; HttpOnly; SameSite=Strict; Secure; Path=/",
        ),
        (
            CookieSettings::new().same_site(SameSite::None),
            "__Host-remember=; HttpOnly; SameSite=None; Secure; Path=/",
        ),
        (
            CookieSettings::new().same_site(None),
            "__Host-remember=; HttpOnly; Secure; Path=/",
        ),
        (
            CookieSettings::new().domain("app.test"),
            "__Secure-remember=; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=app.test",
        ),
        (
            CookieSettings::new().path("/area").danger_script_readable(),
            "__Secure-remember=; SameSite=Lax; Secure; Path=/area",
        ),
        (insecure(), "remember=; HttpOnly; SameSite=Lax; Path=/"),
        (
            insecure().name("keep").path("/a").domain("a.test"),
            "keep=; HttpOnly; SameSite=Lax; Path=/a; Domain=a.test",
        ),
    ] {
        let name = expected.split('=').next().unwrap();
        let manager = with(manager(&users).0, settings).build(key()).unwrap();
        let app = site(manager, &users).await;
        let browser = Browser::new(&app);
        let set = the_cookie(&browser.post("/login/1?remember=true").await, name);
        let cleared = the_cookie(&browser.post("/logout").await, name);
        assert_eq!(set.max_age(), Some(time::Duration::days(30)), "{set}");
        assert_cleared(&cleared);
        // Setting and clearing say the same, or browsers would not clear.
        for mut cookie in [set, cleared] {
            cookie.set_value("");
            cookie.set_max_age(None);
            cookie.set_expires(None);
            let mut parts: Vec<_> = cookie.to_string().split("; ").map(str::to_owned).collect();
            parts.sort();
            let mut expected: Vec<_> = expected.split("; ").collect();
            expected.sort_unstable();
            assert_eq!(parts, expected);
        }
    }
}

#[actix_web::test]
async fn the_duration_is_the_applications() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let remember = RememberCookie::new().duration(HOUR);
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.post("/login/1?remember=true").await;
    assert_sets(&answer, REMEMBER, Some(HOUR));
    clock.advance(HOUR);
    browser.restart();
    // The browser kept it, and the server knows better.
    assert_clears(&browser.get("/who").await, REMEMBER);
}

#[actix_web::test]
async fn a_login_can_have_a_duration_of_its_own_which_nobody_inherits() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let answer = browser.post("/login/1?for=3600").await;
    assert_sets(&answer, REMEMBER, Some(HOUR));
    // Neither the same user nor the next.
    let answer = browser.post("/login/1?remember=true").await;
    assert_sets(&answer, REMEMBER, Some(MONTH));
    browser.post("/login/1?for=3600").await;
    let answer = browser.post("/login/2?remember=true").await;
    assert_sets(&answer, REMEMBER, Some(MONTH));
}

#[actix_web::test]
async fn no_cookie_lives_longer_than_browsers_keep_it() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for seconds in [500 * 24 * 60 * 60, u64::MAX] {
        let browser = Browser::new(&app);
        let answer = browser.post(&format!("/login/1?for={seconds}")).await;
        assert_sets(&answer, REMEMBER, Some(400 * DAY));
    }
    let browser = Browser::new(&app);
    browser.post("/login/1?for=99999999999").await;
    browser.restart();
    clock.advance(400 * DAY);
    assert_clears(&browser.get("/who").await, REMEMBER);
}

#[actix_web::test]
async fn every_token_differs_from_every_other() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let mut tokens = std::collections::HashSet::new();
    for _ in 0..20 {
        let browser = Browser::new(&app);
        let answer = browser.post("/login/1?remember=true").await;
        tokens.insert(assert_sets(&answer, REMEMBER, Some(MONTH)));
    }
    assert_eq!(tokens.len(), 20);
}

#[actix_web::test]
async fn a_good_token_is_not_touched_by_use() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    for page in ["/", "/who", "/account"] {
        clock.advance(DAY);
        assert_leaves(&browser.get(page).await, REMEMBER);
    }
}

#[actix_web::test]
async fn use_can_prolong_a_token() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let remember = RememberCookie::new().refresh_each_request();
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let first = browser.post("/login/1?remember=true").await;
    let mut last = assert_sets(&first, REMEMBER, Some(MONTH));
    // Also by a page that does not look at the user; such an answer must not be kept by caches.
    for page in ["/", "/who", "/account"] {
        clock.advance(20 * DAY);
        let answer = browser.get(page).await;
        let token = assert_sets(&answer, REMEMBER, Some(MONTH));
        assert_ne!(token, last);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{page}");
        last = token;
    }
    browser.restart();
    clock.advance(20 * DAY);
    assert_eq!(who(&browser).await, restored(1));
    // Not beyond the time that it was not used for.
    browser.restart();
    clock.advance(MONTH);
    assert_clears(&browser.get("/who").await, REMEMBER);
}

#[actix_web::test]
async fn a_prolonged_token_keeps_the_duration_of_its_own() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let remember = RememberCookie::new().refresh_each_request();
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?for=3600").await;
    clock.advance(HOUR - SECOND);
    assert_sets(&browser.get("/").await, REMEMBER, Some(HOUR));
}

#[actix_web::test]
async fn only_logins_that_asked_for_it_are_prolonged() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let remember = RememberCookie::new().refresh_each_request();
    let app = site(
        builder.remember_cookie(remember).build(key()).unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    assert_leaves(&browser.post("/login/1").await, REMEMBER);
    for page in ["/", "/who", "/account"] {
        assert_leaves(&browser.get(page).await, REMEMBER);
    }
    // Nor those who have logged out, or a token of somebody else.
    let other = Browser::new(&app);
    other.post("/login/2?remember=true").await;
    let token = other.cookie(REMEMBER).unwrap();
    assert_clears(&other.post("/logout").await, REMEMBER);
    browser.set_cookie(REMEMBER, &token);
    assert_leaves(&browser.get("/").await, REMEMBER);
}

#[actix_web::test]
async fn whether_a_request_is_remembered_can_be_asked() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    assert!(!who(&browser).await.remembered);
    browser.set_cookie(REMEMBER, "forged");
    assert!(!who(&browser).await.remembered);
    browser.post("/login/1").await;
    assert!(!who(&browser).await.remembered);
    browser.post("/login/1?remember=true").await;
    assert!(who(&browser).await.remembered);
    clock.advance(MONTH);
    assert!(!who(&browser).await.remembered);
}

#[actix_web::test]
async fn log_out_clears_the_cookie_and_the_user_stays_away() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for how in ["remember=true", "for=3600"] {
        let browser = Browser::new(&app);
        browser.post(&format!("/login/1?{how}")).await;
        assert_clears(&browser.post("/logout").await, REMEMBER);
        assert_eq!(who(&browser).await, Who::default());
        // Nothing is cleared that is not there.
        assert_no_cookies(&browser.post("/logout").await);
    }
    // The session has gone already: the token alone is cleared too.
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.restart();
    assert_clears(&browser.post("/logout").await, REMEMBER);
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn log_out_at_a_page_that_does_not_get_the_cookie_clears_it() {
    let _known = loose_cookies();
    let users = Users::new();
    let builder = with(
        manager(&users).0,
        CookieSettings::new().name("keep").path("/area"),
    );
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    // What a browser does at `/logout` with a cookie for `/area`.
    browser.drop_cookie("keep");
    let cleared = the_cookie(&browser.post("/logout").await, "keep");
    assert_cleared(&cleared);
    assert_eq!(cleared.path(), Some("/area"));
    assert_eq!(cleared.secure(), Some(true));
    assert_eq!(cleared.http_only(), Some(true));
    assert_eq!(cleared.same_site(), Some(SameSite::Lax));
    assert_eq!(cleared.domain(), None);
    // A login without a token has none to clear.
    browser.post("/login/1").await;
    assert_leaves(&browser.post("/logout").await, "keep");
}

#[actix_web::test]
async fn emptying_the_session_after_log_out_changes_nothing() {
    async fn log_out_thoroughly(
        auth: Auth<User>,
        session: Session,
        how: web::Path<String>,
    ) -> Result<impl Responder, LoginError> {
        auth.log_out().await?;
        if *how == "clear" {
            session.clear();
        } else {
            session.purge();
        }
        Ok("bye")
    }
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/bye/{how}", web::post().to(log_out_thoroughly));
    })
    .await;
    for how in ["clear", "purge"] {
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        let answer = browser.post(&format!("/bye/{how}")).await;
        assert_clears(&answer, REMEMBER);
        assert_clears(&answer, SESSION);
        assert_eq!(who(&browser).await, Who::default());
    }
}

#[actix_web::test]
async fn the_token_of_a_user_who_is_gone_is_refused_and_cleared() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    type Change = fn(&Users);
    let changes: [(Change, &str); 3] = [
        (|users| users.delete(1), "UserGone"),
        (
            |users| users.change(1, |user| user.is_active = false),
            "Inactive",
        ),
        (
            |users| users.change(1, |user| user.hash = "another".to_owned()),
            "SessionHashChanged",
        ),
    ];
    for (change, reason) in changes {
        users.put(User::new(1, "ada"));
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        browser.restart();
        let kept = browser.copy();
        change(&users);
        events.take();
        let answer = browser.get("/who").await;
        assert_eq!(answer.json(), Some(Who::default()), "{reason}");
        assert_clears(&answer, REMEMBER);
        assert_leaves(&answer, SESSION);
        assert_eq!(
            events.take_but_accessed(),
            [format!("remember_cookie_refused {reason}")]
        );
        assert_eq!(browser.cookie_names(), [""; 0]);
        // A guard refuses the same way.
        let answer = kept.get("/account").await;
        assert_eq!(answer.status(), 303);
        assert_clears(&answer, REMEMBER);
    }
}

#[actix_web::test]
async fn an_id_that_is_given_out_again_is_not_the_old_user() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let (session, token) = (Browser::new(&app), Browser::new(&app));
    session.post("/login/1").await;
    token.post("/login/1?remember=true").await;
    token.restart();
    // Nobody looked while the id was free; its new owner has other credentials.
    users.put(User::new(1, "eve"));
    assert_eq!(who(&session).await, Who::default());
    let answer = token.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, REMEMBER);
}

#[actix_web::test]
async fn the_session_of_a_user_who_is_gone_is_dropped() {
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
    browser.post("/login/1").await;
    browser.post("/cart/tea").await;
    users.delete(1);
    events.take();
    assert_eq!(browser.get("/account").await.status(), 303);
    assert_eq!(
        events.take_but_accessed(),
        ["login_ended UserGone", "unauthorized Anonymous"]
    );
    for state in sessions.contents().into_values() {
        assert!(!state.contains_key("_login:User"), "{state:?}");
    }
    // The id is given out again, even with the same credentials: the old client is not in.
    users.put(User::new(1, "ada"));
    assert_eq!(who(&browser).await, Who::default());
}

#[actix_web::test]
async fn a_new_session_hash_ends_every_login_of_the_user() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let (phone, laptop, other) = (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    for browser in [&phone, &laptop] {
        browser.post("/login/1?remember=true").await;
    }
    other.post("/login/2?remember=true").await;
    users.change(1, |user| user.hash = "a new password".to_owned());
    // Whoever changed it goes on with a new login.
    laptop.post("/login/1").await;
    assert_eq!(who(&laptop).await.id, Some(1));
    events.take();
    let answer = phone.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, REMEMBER);
    assert_eq!(
        events.take_but_accessed(),
        [
            "login_ended SessionHashChanged",
            "remember_cookie_refused SessionHashChanged"
        ]
    );
    assert_eq!(who(&other).await.id, Some(2));
}

/// Asserts that a worthless remember cookie logs nobody in, and that it is cleared where it is read.
async fn check_worthless(cookies: &[u8]) {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    for (page, status) in [
        ("/", 200),
        ("/who", 200),
        ("/account", 303),
        ("/settings", 303),
    ] {
        let response = with_raw_cookies(&app, page, cookies).await;
        assert_eq!(response.status(), status, "{page} {cookies:?}");
        let cleared: Vec<_> = response.cookies().collect();
        if page == "/" {
            assert!(cleared.is_empty(), "{cleared:?}");
            continue;
        }
        let [cleared] = &cleared[..] else {
            panic!("{page} {cookies:?}: {cleared:?}");
        };
        assert_eq!(cleared.name(), REMEMBER);
        assert_eq!(cleared.path(), Some("/"));
        assert_eq!(cleared.secure(), Some(true));
        assert_eq!(cleared.http_only(), Some(true));
        assert_eq!(cleared.same_site(), Some(SameSite::Lax));
        assert_eq!(cleared.domain(), None);
        assert_cleared(cleared);
    }
}

async fn good_token() -> String {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.cookie(REMEMBER).unwrap()
}

#[actix_web::test]
async fn a_forged_cookie_is_ignored_and_cleared() {
    let good = good_token().await;
    let of_another = {
        let users = Users::new();
        let other_key = login_tests::key_of(8);
        let app = site(manager(&users).0.build(other_key).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        browser.cookie(REMEMBER).unwrap()
    };
    check_worthless(&cookie(REMEMBER, &of_another)).await;
    for forged in worthless(&good).forged() {
        check_worthless(&forged).await;
    }
}

fn worthless(valid: &str) -> WorthlessCookies<'_> {
    WorthlessCookies {
        name: REMEMBER,
        valid,
    }
}

#[actix_web::test]
async fn a_truncated_cookie_is_ignored_and_cleared() {
    for truncated in worthless(&good_token().await).truncated() {
        check_worthless(&truncated).await;
    }
}

#[actix_web::test]
async fn an_oversized_cookie_is_ignored_and_cleared() {
    for oversized in worthless(&good_token().await).oversized() {
        check_worthless(&oversized).await;
    }
}

#[actix_web::test]
async fn of_two_cookies_neither_counts() {
    for twice in worthless(&good_token().await).twice() {
        check_worthless(&twice).await;
    }
}

#[actix_web::test]
async fn a_cookie_outside_ascii_is_ignored_and_cleared() {
    for outside in worthless(&good_token().await).outside_ascii() {
        check_worthless(&outside).await;
    }
}

#[actix_web::test]
async fn an_empty_cookie_is_ignored_and_cleared() {
    for empty in worthless(&good_token().await).empty() {
        check_worthless(&empty).await;
    }
}

#[actix_web::test]
async fn a_worthless_cookie_does_not_disturb_a_session() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/tea").await;
    browser.set_cookie(REMEMBER, "forged");
    assert_eq!(who(&browser).await.id, Some(1));
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
    // A log in gets rid of it.
    assert_clears(&browser.post("/login/1").await, REMEMBER);
}

#[actix_web::test]
async fn the_token_of_an_inactive_user_restores_nothing_even_if_the_log_in_was_allowed() {
    let users = Users::new();
    let (builder, _) = manager(&users);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser
        .post("/login/3?allow_inactive=true&remember=true")
        .await;
    browser.get("/account").await.assert_page_shown();
    browser.restart();
    let answer = browser.get("/account").await;
    assert_eq!(answer.status(), 303);
    assert_clears(&answer, REMEMBER);
}

#[actix_web::test]
async fn a_restored_login_survives_strong_protection() {
    let users = Users::new();
    for mode in [SessionProtection::Basic, SessionProtection::Strong] {
        let (builder, _) = manager(&users);
        let (builder, events) = Events::of(builder.session_protection(mode));
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        browser.restart();
        // Another address and agent than at log in: the token is not bound to them.
        browser.set_user_agent("test/2");
        browser.set_address([192, 0, 2, 1]);
        events.take();
        assert_eq!(who(&browser).await, restored(1));
        for _ in 0..3 {
            assert_eq!(who(&browser).await.id, Some(1), "{mode:?}");
        }
        assert_eq!(events.take_but_accessed(), ["loaded_from_cookie ada"]);
    }
}
