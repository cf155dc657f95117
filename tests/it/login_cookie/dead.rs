//! Logins that end by themselves, or from outside; and what they leave behind.

use login_runtime::{logins::Logins, store::StoreError};

use super::*;
use crate::world::{
    Call, HOUR, MINUTE, Moment, Options, Place, SECOND, When, World, account_status_with_retry,
};

/// Asserts what happened, but for looks and refusals.
#[track_caller]
fn assert_happened(events: &Events, expected: &[&str]) {
    let mut events = events.take_but_accessed();
    events.retain(|event| !event.starts_with("unauthorized"));
    assert_eq!(events, expected);
}

#[actix_web::test]
async fn a_login_that_was_not_used_for_too_long_is_cleared_once() {
    let users = Users::new();
    let (builder, clock) = builder(&users, true);
    let (builder, events) = Events::of(builder);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    clock.advance(30 * MINUTE);
    assert_eq!(account_status(&browser).await, 200);
    clock.advance(30 * MINUTE + SECOND);
    events.take();
    // A page that asks for nobody notices nothing.
    assert_no_cookies(&browser.get("/").await);
    assert_eq!(events.take(), [""; 0]);
    let answer = browser.get("/account").await;
    assert_eq!(answer.status(), 303);
    assert_clears(&answer, LOGIN);
    assert_happened(&events, &["login_ended Idle"]);
    assert_no_cookies(&browser.get("/account").await);
    assert_happened(&events, &[]);
}

#[actix_web::test]
async fn a_login_that_an_administrator_ended_is_cleared_once() {
    let users = Users::new();
    let (builder, events) = Events::of(builder(&users, true).0);
    let manager = builder.build(key()).unwrap();
    let logins: Logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/tea").await;
    assert_eq!(logins.end_all_of::<User>(&1).await.unwrap(), 1);
    events.take();
    let answer = browser.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_clears(&answer, LOGIN);
    assert_happened(&events, &["login_ended Ended"]);
    let answer = browser.get("/who").await;
    assert_eq!(answer.json(), Some(Who::default()));
    assert_no_cookies(&answer);
    assert_happened(&events, &[]);
}

#[actix_web::test]
async fn that_of_a_manager_with_records_is_none_of_one_without_and_the_other_way_round() {
    let users = Users::new();
    for with_records in WITH_RECORDS {
        let before = builder(&users, with_records).0.build(key()).unwrap();
        let before = site(before, &users).await;
        let browser = Browser::new(&before);
        browser.post("/login/1").await;
        let (builder, events) = Events::of(builder(&users, !with_records).0);
        let after = site(builder.build(key()).unwrap(), &users).await;
        let browser = browser.at(&after);
        let answer = browser.get("/who").await;
        assert_eq!(answer.json(), Some(Who::default()));
        assert_clears(&answer, LOGIN);
        assert_happened(&events, &["login_ended Invalid"]);
    }
}

#[actix_web::test]
async fn basic_protection_makes_the_login_of_a_changed_client_stale() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, events) = Events::of(builder(&users, with_records).0);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        browser.post("/cart/tea").await;
        assert_eq!(browser.get("/settings").await.status(), 200);
        let value = browser.cookie(LOGIN);
        browser.set_user_agent("test/2");
        events.take();
        let answer = browser.get("/settings").await;
        assert_eq!(answer.status(), 401);
        assert_leaves(&answer, SESSION);
        match with_records {
            // It is the record that says so.
            true => assert_no_cookies(&answer),
            false => assert_ne!(value, Some(assert_sets(&answer, LOGIN, None))),
        }
        assert_eq!(
            events.take_but_accessed(),
            ["session_protected Basic", "needs_refresh Stale"]
        );
        let answer = browser.get("/account").await;
        assert_eq!(answer.text(), "account of ada");
        assert_no_cookies(&answer);
        assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
        // Going back does not make it fresh again; credentials do.
        browser.set_user_agent("test/1");
        assert_eq!(browser.get("/settings").await.status(), 401);
        let answer = browser.post("/confirm/1").await;
        assert_eq!(answer.status(), 200);
        assert_sets(&answer, LOGIN, None);
        assert_eq!(browser.get("/settings").await.status(), 200);
    }
}

#[actix_web::test]
async fn strong_protection_ends_the_login_of_a_changed_client() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let builder = builder.session_protection(SessionProtection::Strong);
        let (builder, events) = Events::of(builder);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        assert_eq!(account_status(&browser).await, 200);
        let copy = browser.copy();
        browser.set_user_agent("thief/1");
        events.take();
        let answer = browser.get("/settings").await;
        assert_eq!(answer.status(), 303);
        assert_clears(&answer, LOGIN);
        assert_clears(&answer, REMEMBER);
        assert_happened(&events, &["session_protected Strong"]);
        assert_eq!(browser.cookie_names(), [""; 0]);
        // The record ends for both; without one the owner's own cookie is still good.
        let after = if with_records { 303 } else { 200 };
        assert_eq!(account_status(&copy).await, after);
    }
}

#[actix_web::test]
async fn new_credentials_and_the_deletion_of_the_user_end_the_login() {
    for with_records in WITH_RECORDS {
        for (reason, end) in [
            (
                "SessionHashChanged",
                (|users: &Users| {
                    users.change(1, |user| user.hash.push('!'));
                }) as fn(&Users),
            ),
            ("UserGone", |users: &Users| users.delete(1)),
        ] {
            let users = Users::new();
            let (builder, clock) = builder(&users, with_records);
            let (builder, events) = Events::of(builder);
            let app = site(builder.build(key()).unwrap(), &users).await;
            let browser = Browser::new(&app);
            browser.post("/login/1").await;
            assert_eq!(account_status(&browser).await, 200);
            let copy = browser.copy();
            end(&users);
            events.take();
            for browser in [&browser, &copy] {
                let answer = browser.get("/account").await;
                assert_eq!(answer.status(), 303, "{reason}");
                assert_clears(&answer, LOGIN);
                assert_no_cookies(&browser.get("/account").await);
                // Who comes with it within the next three minutes may be late.
                clock.advance(3 * MINUTE + SECOND);
            }
            assert!(events.take().contains(&format!("login_ended {reason}")));
        }
    }
}

#[actix_web::test]
async fn a_user_who_is_not_active_is_refused_and_keeps_only_a_login_without_a_record() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        let answer = browser.post("/login/3").await;
        assert_eq!(answer.status(), 403);
        assert_no_cookies(&answer);
        browser.post("/login/1").await;
        users.change(1, |user| user.is_active = false);
        let answer = browser.get("/account").await;
        assert_eq!(answer.status(), 303);
        if with_records {
            assert_clears(&answer, LOGIN);
        } else {
            assert_no_cookies(&answer);
        }
        let who = who(&browser).await;
        let known = (!with_records).then_some(1);
        assert_eq!((who.id, who.authenticated), (known, false));
        users.change(1, |user| user.is_active = true);
        let status = if with_records { 303 } else { 200 };
        assert_eq!(account_status(&browser).await, status);
        // Unless the application insists.
        let allow_inactive = Browser::new(&app);
        assert_sets(
            &allow_inactive.post("/login/3?allow_inactive=true").await,
            LOGIN,
            None,
        );
        assert_eq!(
            allow_inactive.get("/settings").await.text(),
            "settings of cy"
        );
    }
}

/// What the next user of a browser finds in the session after a login ended, and what the same one
/// does.
async fn check_left_behind(
    builder: impl AsyncFn() -> (LoginManager, Option<TestClock>, Users),
    what: &str,
    end: impl AsyncFn(&Option<TestClock>, &Users, Option<Logins>),
    same_finds: Option<&str>,
) {
    for asked in [true, false] {
        for (next, finds) in [(2, None), (1, same_finds)] {
            let (manager, clock, users) = builder().await;
            let logins = manager.logins();
            let app = site(manager, &users).await;
            let browser = Browser::new(&app);
            browser.post("/login/1").await;
            browser.post("/cart/secret").await;
            end(&clock, &users, logins).await;
            browser.set_user_agent("test/2");
            if asked {
                assert_eq!(who(&browser).await, Who::default(), "{what}");
            }
            users.put(User::new(1, "ada"));
            browser.post(&format!("/login/{next}")).await;
            // Nobody but the user could say whose it was, if nobody asked while it was known.
            let cart = cart_of(&browser).await;
            if next == 2 || asked {
                assert_eq!(cart.as_deref(), finds, "{what}, {next}, asked: {asked}");
            }
            assert_eq!(who(&browser).await.id, Some(next), "{what}");
        }
    }
    // The same when a remember cookie brings the other user.
    let (manager, clock, users) = builder().await;
    let logins = manager.logins();
    let app = site(manager, &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/2?remember=true").await;
    let token = browser.cookie(REMEMBER).unwrap();
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/secret").await;
    end(&clock, &users, logins).await;
    browser.set_user_agent("test/2");
    browser.set_cookie(REMEMBER, &token);
    // Strong protection clears the token of a changed client with the rest.
    if who(&browser).await.id.is_none() {
        browser.set_cookie(REMEMBER, &token);
    }
    assert_eq!(who(&browser).await.id, Some(2), "{what}");
    assert_eq!(cart_of(&browser).await, None, "{what}");
}

#[actix_web::test]
async fn a_login_that_ended_leaves_nothing_to_the_next_user() {
    for with_records in WITH_RECORDS {
        let basic = async || {
            let users = Users::new();
            let (builder, clock) = builder(&users, with_records);
            let builder = builder.session_protection(SessionProtection::None);
            (builder.build(key()).unwrap(), Some(clock), users)
        };
        let strong = async || {
            let users = Users::new();
            let (builder, clock) = builder(&users, with_records);
            let builder = builder.session_protection(SessionProtection::Strong);
            (builder.build(key()).unwrap(), Some(clock), users)
        };
        type Clock = Option<TestClock>;
        let new_password = async |_: &Clock, users: &Users, _: Option<Logins>| {
            users.change(1, |user| user.hash.push('!'));
        };
        check_left_behind(basic, "new password", new_password, Some("secret")).await;
        let nothing = async |_: &Clock, _: &Users, _: Option<Logins>| {};
        check_left_behind(strong, "other client", nothing, Some("secret")).await;
        let delete = async |_: &Clock, users: &Users, _: Option<Logins>| users.delete(1);
        check_left_behind(basic, "deleted", delete, None).await;
        if with_records {
            let idle = async |clock: &Clock, _: &Users, _: Option<Logins>| {
                clock.as_ref().unwrap().advance(HOUR);
            };
            check_left_behind(basic, "idle", idle, Some("secret")).await;
            let end = async |_: &Clock, _: &Users, logins: Option<Logins>| {
                logins.unwrap().end_all_of::<User>(&1).await.unwrap();
            };
            check_left_behind(basic, "ended", end, None).await;
        }
    }
}

#[actix_web::test]
async fn another_user_finds_nothing_of_the_first_and_a_visitor_keeps_everything() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let (builder, _) = builder(&users, with_records);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/cart/tea").await;
        let planted = browser.cookie(SESSION);
        assert_sets(&browser.post("/login/1").await, SESSION, None);
        assert_ne!(browser.cookie(SESSION), planted);
        assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
        browser.post("/login/1").await;
        assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
        browser.post("/login/2").await;
        assert_eq!(cart_of(&browser).await, None);
        assert_eq!(who(&browser).await.id, Some(2));
    }
}

#[actix_web::test]
async fn what_a_user_left_before_logins_had_a_cookie_is_not_for_the_next() {
    for with_records in WITH_RECORDS {
        let users = Users::new();
        let store = Arc::new(MemoryLoginStore::new());
        let recorded = |builder| record_logins(builder, with_records.then(|| Arc::clone(&store)));
        let before = recorded(manager_base(&users).0);
        let after = recorded(builder_base(&users).0);
        let before = site(before.build(key()).unwrap(), &users).await;
        let after = site(after.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&before);
        browser.post("/login/1").await;
        browser.post("/cart/secret").await;
        let browser = browser.at(&after);
        assert_eq!(who(&browser).await, Who::default());
        browser.post("/login/2").await;
        assert_eq!(cart_of(&browser).await, None);
    }
}

async fn world() -> World {
    let place = Place {
        login_cookie: true,
        ..Place::COOKIE
    };
    World::open(place, Options::default()).await
}

#[actix_web::test]
async fn a_login_store_that_is_down_is_503_and_logs_nobody_out() {
    let world = world().await;
    let browser = world.remembered(1).await;
    world
        .logins
        .on(|_: Moment| async { Err(StoreError::new("down")) });
    for (path, status) in [("/account", 503), ("/me", 503), ("/read", 503)] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_no_cookies(&answer);
    }
    for path in ["/login/2", "/logout", "/confirm/1", "/end-others"] {
        let answer = browser.post(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        assert_no_cookies(&answer);
    }
    world.logins.off();
    assert_eq!(crate::world::name_of(&browser).await, "ada");
    browser.post("/logout").await;
    assert_eq!(crate::world::name_of(&browser).await, "nobody");
}

#[actix_web::test]
async fn a_purge_that_the_login_store_does_not_hear_of_is_no_log_out() {
    for (call, when) in [(Call::End, When::Before), (Call::EndMany, When::Before)] {
        let world = world().await;
        let browser = match call {
            Call::End => world.logged_in(1).await,
            _ => world.remembered(1).await,
        };
        let copy = browser.copy();
        world.logins.on(move |moment: Moment| async move {
            match (moment.call, moment.when) == (call, when) {
                true => Err(StoreError::new("down")),
                false => Ok(()),
            }
        });
        let answer = browser.post("/purge").await;
        assert_eq!(answer.status(), 503, "{call:?}");
        assert_no_cookies(&answer);
        world.logins.off();
        assert_eq!(crate::world::name_of(&browser).await, "ada");
        assert_eq!(browser.post("/purge").await.status(), 200);
        assert_eq!(crate::world::name_of(&browser).await, "nobody");
        assert_eq!(crate::world::name_of(&copy).await, "nobody");
    }
}

#[actix_web::test]
async fn a_store_that_fails_at_any_call_lets_nobody_in_who_should_not_be() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    for (out, done) in [("/logout", 303), ("/purge", 200)] {
        for nth in 0.. {
            let world = world().await;
            let browser = world.browser();
            let (calls, has_failed) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
            let failed = Arc::clone(&has_failed);
            world.logins.on(move |moment: Moment| {
                let fails = moment.when == When::Before && calls.fetch_add(1, SeqCst) == nth;
                failed.fetch_or(fails, SeqCst);
                async move {
                    match fails {
                        true => Err(StoreError::new("this call fails")),
                        false => Ok(()),
                    }
                }
            });
            let log_in = async || browser.post("/login/1?remember=true").await.status();
            let logged_in = log_in().await;
            assert!(matches!(logged_in, 303 | 503), "{nth}: {logged_in}");
            if logged_in == 503 {
                assert_eq!(account_status_with_retry(&browser).await, 303, "{nth}");
                assert_eq!(log_in().await, 303, "{nth}");
            }
            assert_eq!(account_status_with_retry(&browser).await, 200, "{nth}");
            world.wait(12 * 60 * 60);
            browser.restart();
            assert_eq!(
                account_status_with_retry(&browser).await,
                200,
                "{nth}: not restored"
            );
            let written = browser.post("/cart/secret").await.status();
            assert!(matches!(written, 200 | 503), "{nth}: {written}");
            let copy = browser.copy();
            let logged_out = browser.post(out).await.status();
            assert!([done, 503].contains(&logged_out), "{nth}: {logged_out}");
            if logged_out == 503 {
                assert_eq!(browser.post(out).await.status(), done, "{nth}");
            }
            assert_eq!(
                account_status_with_retry(&browser).await,
                303,
                "{out} {nth}"
            );
            assert_eq!(account_status_with_retry(&copy).await, 303, "{out} {nth}");
            if !has_failed.load(SeqCst) {
                assert!(nth > 10, "{nth} calls are too few");
                break;
            }
        }
    }
}
