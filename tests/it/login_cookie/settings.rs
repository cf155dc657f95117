//! What can be set, and what cannot be meant.

use std::time::Duration;

use actix_session::{
    SessionMiddleware,
    config::PersistentSession,
    storage::{CookieSessionStore, SessionStore},
};
use login_runtime::{BuildError, RememberCookie};
use login_tests::sessions::MemorySessions;

use super::*;
use crate::world::loose_cookies;

fn plain() -> LoginManagerBuilder {
    builder(&Users::new(), false).0
}

#[track_caller]
fn check<T: SessionStore + 'static>(builder: LoginManagerBuilder<T>, expected: &str) {
    let error: BuildError = builder.build(key()).map(|_| ()).expect_err(expected);
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_would_weaken_it_does_not_build() {
    for with_store in [false, true] {
        let builder = || builder(&Users::new(), with_store).0;
        let own = || SessionMiddleware::new(CookieSessionStore::default(), key());
        check(
            builder().session_middleware(own),
            "`login_cookie` needs to know how long sessions last; \
             leave out `session_middleware`",
        );
        check(
            builder().session_lifecycle(PersistentSession::default()),
            "`login_cookie` ends with the browser, and the session must not outlast it; \
             leave out `session_lifecycle`",
        );
        let stored = builder().session_store(MemorySessions::new());
        match with_store {
            true => assert!(stored.build(key()).is_ok()),
            false => check(
                stored,
                "`login_cookie` contains the whole login if there is no login store, so no log out \
                 would be final; add `.login_store(..)`",
            ),
        }
        assert!(builder().build(key()).is_ok());
    }
}

#[test]
fn it_goes_wherever_the_session_cookie_goes() {
    let new = CookieSettings::new;
    let elsewhere = |name: &str| {
        format!(
            "the cookie `{name}` has another path or domain than the session cookie, so that a log \
             out may see only one of them; give both the same"
        )
    };
    for (settings, name) in [
        (new().path("/area"), "__Secure-login"),
        (new().domain("a.test"), "__Secure-login"),
    ] {
        check(plain().login_cookie(settings.clone()), &elsewhere(name));
        check(plain().session_cookie(settings.clone()), &elsewhere(LOGIN));
        let both = plain().session_cookie(settings.clone());
        assert!(both.login_cookie(settings).build(key()).is_ok());
    }
}

#[test]
fn its_name_is_no_other_cookies_name() {
    let named = |name: &str| CookieSettings::new().name(name);
    let twice = |name: &str| {
        format!("the cookie `{name}` is the name of two cookies; give each cookie its own name")
    };
    check(
        plain().login_cookie(named("__Host-session")),
        &twice(SESSION),
    );
    check(
        plain().login_cookie(named("__Host-remember")),
        &twice(REMEMBER),
    );
    check(
        plain().remember_cookie(RememberCookie::new().cookie(named(LOGIN))),
        &twice(LOGIN),
    );
    check(plain().session_cookie(named(LOGIN)), &twice(LOGIN));
    let admins = plain().user_loader(load_admin);
    check(
        admins.session_cookie(named(LOGIN_ADMIN)),
        &twice(LOGIN_ADMIN),
    );
    let admins = plain().user_loader(load_admin);
    assert!(admins.login_cookie(named("__Host-l")).build(key()).is_ok());
}

#[test]
fn what_browsers_reject_does_not_build() {
    for (settings, expected) in [
        (
            CookieSettings::new().name("__Host-l").path("/area"),
            "the cookie `__Host-l` starts with `__Host-`, so it needs Secure, the path `/` and no \
             domain",
        ),
        (
            CookieSettings::new().name("l l"),
            "the cookie `l l` is not a cookie name; use ASCII letters, digits, `-` and `_`",
        ),
        (
            CookieSettings::new().domain("https://app.test"),
            "the cookie `__Secure-login` has an invalid domain; write a host name such as \
             `example.com`",
        ),
    ] {
        check(plain().login_cookie(settings), expected);
    }
}

#[actix_web::test]
async fn over_plain_http_it_has_no_prefix() {
    let _known = loose_cookies();
    let users = Users::new();
    for with_records in WITH_RECORDS {
        let (builder, _) = builder(&users, with_records);
        let builder = builder.user_loader(load_admin);
        let app = more(builder.danger_insecure_cookies(), &users).await;
        let browser = Browser::new(&app);
        let answer = browser.post("/login/1").await;
        let cookie = answer.set_cookie("login").unwrap();
        assert_eq!(cookie.secure(), None);
        assert_eq!(cookie.http_only(), Some(true));
        browser.post("/admin/login/root").await;
        assert_eq!(browser.cookie_names(), ["login", "login-admin"]);
        assert_eq!(account_status(&browser).await, 200);
        browser.post("/logout").await;
        assert_eq!(browser.cookie_names(), ["login-admin"]);
    }
}

#[actix_web::test]
async fn its_attributes_are_the_applications_when_it_is_cleared_too() {
    let _known = loose_cookies();
    let users = Users::new();
    let settings = CookieSettings::new()
        .name("__Secure-l")
        .domain("app.test")
        .path("/");
    let builder = manager(&users).0.login_cookie(settings);
    let builder = builder.session_cookie(CookieSettings::new().domain("app.test"));
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    let set = browser.post("/login/1").await;
    let cleared = browser.post("/logout").await;
    for (answer, age) in [(set, None), (cleared, Some(Duration::ZERO))] {
        let cookie = answer.set_cookie("__Secure-l").unwrap();
        assert_eq!(cookie.domain(), Some("app.test"));
        assert_eq!(cookie.path(), Some("/"));
        assert_eq!(cookie.secure(), Some(true));
        let age = age.map(|age| actix_web::cookie::time::Duration::try_from(age).unwrap());
        assert_eq!(cookie.max_age(), age);
    }
}
