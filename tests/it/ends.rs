//! Every login ends: whatever prolongs it, however it is restored, and when its user is disabled.

use std::time::Duration;

use actix_web::cookie::Key;
use login_runtime::{
    Limits, MemoryLoginStore, RememberCookie, config::LoginManagerBuilder, test::Browser,
};
use login_tests::{User, Users, key, key_of, manager_base, record_logins};

use crate::world::{
    App, BoxedApp, DAY, HOUR, Options, REMEMBER, SECOND, World, name_of, on_every_login_store,
    on_every_session_store, on_every_store, site,
};

const DAYS: u64 = 24 * 60 * 60;

/// A manager with or without a login store, and the clock.
fn builder(users: &Users, store: bool) -> (LoginManagerBuilder, login_runtime::test::TestClock) {
    let (builder, clock) = manager_base(users);
    let store = store.then(MemoryLoginStore::new);
    (record_logins(builder, store), clock)
}

/// How long a remembered login lasts that is used every few minutes, in a browser that is closed each
/// time.
async fn lasts_for<S: App>(
    browser: &Browser<'_, S>,
    wait: impl Fn(Duration),
    step: Duration,
    most: Duration,
) -> Duration {
    let mut lasted = Duration::ZERO;
    while lasted < most && name_of(browser).await == "ada" {
        browser.restart();
        wait(step);
        lasted += step;
    }
    lasted
}

#[actix_web::test]
async fn a_preset_asks_for_credentials_after_its_absolute_limit_remembered_or_not() {
    for (limits, hours) in [
        (Limits::aal3(), 12),
        (Limits::aal2(), 24),
        (Limits::aal1(), 30 * 24),
    ] {
        let step = Duration::from_secs(hours * 60 * 10);
        for (store, refresh) in [(true, false), (true, true), (false, false), (false, true)] {
            let users = Users::new();
            let (mut builder, clock) = builder(&users, store);
            let limits = if store {
                limits
            } else {
                limits.danger_no_idle_limit()
            };
            if refresh {
                builder = builder.remember_cookie(RememberCookie::new().refresh_each_request());
            }
            let app = site(builder.limits(limits).build(key()).unwrap(), &users).await;
            let browser = Browser::new(&app);
            // A log in may ask for longer.
            for how in ["remember=true", "for=99999999"] {
                browser.post(&format!("/login/1?{how}")).await;
                let wait = |time| clock.advance(time);
                let lasted = lasts_for(&browser, wait, step, 60 * DAY).await;
                let expected = Duration::from_secs(hours * 60 * 60);
                assert_eq!(lasted, expected, "{limits} {how} {store} {refresh}");
                assert_eq!(browser.cookie(REMEMBER), None);
            }
        }
    }
}

#[actix_web::test]
async fn a_login_that_is_restored_at_the_last_moment_ends_with_its_remember_token() {
    let test = async |world: &World| {
        let browser = world.browser();
        browser.post("/login/1?for=7200").await;
        world.wait(7_100);
        browser.restart();
        assert_eq!(name_of(&browser).await, "ada");
        // From now on it has a session, and no remember cookie to fall back on.
        browser.drop_cookie(REMEMBER);
        world.wait(99);
        assert_eq!(name_of(&browser).await, "ada");
        world.wait(1);
        assert_eq!(name_of(&browser).await, "nobody");
    };
    on_every_session_store(Options::default(), test).await;
    on_every_store(Options::default(), test).await;
}

#[actix_web::test]
async fn a_cookie_that_each_request_prolongs_ends_after_ninety_days() {
    let options = Options {
        refresh_remember: true,
        ..Options::default()
    };
    let test = async |world: &World| {
        let browser = world.remembered(1).await;
        let wait = |time: Duration| world.wait(time.as_secs());
        let lasted = lasts_for(&browser, wait, 5 * DAY, 500 * DAY).await;
        assert_eq!(lasted, 90 * DAY);
        assert_eq!(browser.cookie(REMEMBER), None);
    };
    on_every_session_store(options.clone(), test).await;
    on_every_login_store(options, test).await;
}

#[actix_web::test]
async fn the_end_of_a_prolonged_cookie_can_be_set_and_no_browser_is_told_another() {
    for store in [true, false] {
        let users = Users::new();
        let (builder, clock) = builder(&users, store);
        let remember = RememberCookie::new()
            .duration(7 * DAY)
            .at_most(10 * DAY)
            .refresh_each_request();
        let app = site(
            builder.remember_cookie(remember).build(key()).unwrap(),
            &users,
        )
        .await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        for (day, left) in [(2, 7), (4, 6), (6, 4), (8, 2), (9, 1)] {
            clock.set(login_tests::START + i64::try_from(day * DAYS).unwrap());
            browser.restart();
            assert_eq!(name_of(&browser).await, "ada", "day {day}");
            let answer = browser.get("/account").await;
            let cookie = answer.set_cookie(REMEMBER).expect("a cookie");
            let seconds = cookie.max_age().unwrap().whole_seconds().unsigned_abs();
            assert_eq!(seconds, left * DAYS, "day {day}, store {store}");
        }
        clock.advance(DAY);
        browser.restart();
        assert_eq!(name_of(&browser).await, "nobody");
    }
}

#[actix_web::test]
async fn a_new_key_for_each_day_does_not_move_the_end_of_a_remembered_login() {
    for refresh in [true, false] {
        let users = Users::new();
        let mut jar: Option<String> = None;
        let mut lasted = 0;
        let mut keys: Vec<Key> = Vec::new();
        for day in 0..200_u8 {
            keys.insert(0, key_of(day));
            let (builder, clock) = builder(&users, false);
            clock.advance(u32::from(day) * DAY);
            let mut remember = RememberCookie::new();
            if refresh {
                remember = remember.refresh_each_request();
            }
            let builder = builder.remember_cookie(remember);
            let older = keys[1..].iter().take(2).cloned();
            let builder = builder.fallback_keys(older.collect::<Vec<_>>());
            let app = site(builder.build(keys[0].clone()).unwrap(), &users).await;
            let browser = Browser::new(&app);
            match jar.take() {
                None if day == 0 => {
                    browser.post("/login/1?remember=true").await;
                }
                None => break,
                Some(token) => browser.set_cookie(REMEMBER, &token),
            }
            if name_of(&browser).await == "ada" {
                lasted = day;
            }
            browser.get("/account").await;
            jar = browser.cookie(REMEMBER);
        }
        assert_eq!(lasted, if refresh { 89 } else { 29 });
    }
}

#[actix_web::test]
async fn new_credentials_do_not_prolong_a_login_again_and_again() {
    let options = Options {
        fresh_for_the_session: true,
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let browser = world.logged_in(1).await;
        let mut lasted = 0;
        for change in 0..60 {
            world.wait(20 * 60);
            if name_of(&browser).await != "ada" {
                break;
            }
            lasted = change + 1;
            assert_eq!(browser.post("/change/current").await.status(), 200);
        }
        // Twelve hours.
        assert_eq!(lasted, 35);
    })
    .await;
}

#[test]
fn remembering_longer_than_the_limits_allow_does_not_build() {
    let build = |limits: Option<Limits>, remember: RememberCookie| {
        let (mut builder, _) = builder(&Users::new(), true);
        if let Some(limits) = limits {
            builder = builder.limits(limits);
        }
        let built = builder.remember_cookie(remember).build(key());
        built.map(|_| ()).map_err(|error| error.to_string())
    };
    let new = RememberCookie::new;
    let longer = "is longer than `limits` let a login be remembered; lower it, or raise `Limits::remember_at_most`";
    for preset in [Limits::aal2(), Limits::aal3()] {
        assert_eq!(build(Some(preset), new()), Ok(()));
        assert_eq!(build(Some(preset), new().duration(HOUR)), Ok(()));
        assert_eq!(
            build(Some(preset), new().duration(24 * HOUR + SECOND)),
            Err(format!("`RememberCookie::duration` {longer}"))
        );
        assert_eq!(
            build(Some(preset), new().at_most(2 * DAY)),
            Err(format!("`RememberCookie::at_most` {longer}"))
        );
        let raised = preset.remember_at_most(40 * DAY);
        assert_eq!(build(Some(raised), new().duration(40 * DAY)), Ok(()));
    }
    assert!(build(Some(Limits::new().remember_at_most(Duration::ZERO)), new()).is_err());
    assert!(build(None, new().at_most(401 * DAY)).is_err());
    assert!(build(None, new().at_most(DAY).duration(2 * DAY)).is_err());
    assert_eq!(build(None, new().duration(400 * DAY)), Ok(()));
}

/// Disables Ada, or enables her again.
fn set_active(world: &World, active: bool) {
    world.users.change(1, |user| user.is_active = active);
}

async fn is_refused(browser: &Browser<'_, BoxedApp>) -> bool {
    let answer = browser.get("/account").await;
    answer.status() != 200 && answer.text() != "account of ada"
}

#[actix_web::test]
async fn the_login_of_a_disabled_user_does_not_come_back_when_the_user_is_enabled_again() {
    on_every_store(Options::default(), async |world| {
        let (browser, ben) = (world.logged_in(1).await, world.logged_in(2).await);
        let copy = browser.copy();
        assert_eq!(name_of(&browser).await, "ada");
        set_active(world, false);
        world.events.take();
        assert!(is_refused(&browser).await);
        assert_eq!(world.events.count("login_ended Inactive"), 1);
        assert_eq!(world.everybody().of::<User>(&1).await.unwrap(), []);
        set_active(world, true);
        for browser in [&browser, &copy] {
            assert!(is_refused(browser).await);
            assert_eq!(name_of(browser).await, "nobody");
        }
        assert_eq!(name_of(&ben).await, "ben");
        assert_eq!(browser.post("/login/1").await.status(), 303);
        assert_eq!(name_of(&browser).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn one_request_of_a_disabled_user_ends_the_logins_and_the_memory_of_all_devices() {
    on_every_login_store(Options::default(), async |world| {
        for by_remember_cookie in [false, true] {
            let [laptop, phone, tablet] = [
                world.remembered(1).await,
                world.remembered(1).await,
                world.remembered(1).await,
            ];
            tablet.restart();
            if by_remember_cookie {
                laptop.restart();
            }
            set_active(world, false);
            assert!(is_refused(&laptop).await);
            assert_eq!(laptop.cookie(REMEMBER), None);
            set_active(world, true);
            for browser in [&laptop, &phone, &tablet] {
                assert_eq!(name_of(browser).await, "nobody");
                browser.restart();
                assert_eq!(name_of(browser).await, "nobody");
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn a_login_that_was_allowed_although_its_user_is_disabled_outlives_the_others() {
    on_every_login_store(Options::default(), async |world| {
        let other = world.remembered(1).await;
        set_active(world, false);
        let allowed = world.browser();
        let answer = allowed
            .post("/login/1?allow_inactive=true&remember=true")
            .await;
        assert_eq!(answer.status(), 303);
        assert!(is_refused(&other).await);
        assert!(!is_refused(&allowed).await);
        set_active(world, true);
        assert_eq!(name_of(&other).await, "nobody");
        assert_eq!(name_of(&allowed).await, "ada");
        allowed.restart();
        assert_eq!(name_of(&allowed).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn a_store_that_fails_to_end_the_login_of_a_disabled_user_answers_503() {
    use crate::world::{Call, When};
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        set_active(world, false);
        world.logins.on(|moment| async move {
            match (moment.call, moment.when) {
                (Call::EndMany, When::Before) => Err(login_runtime::store::StoreError::new("down")),
                _ => Ok(()),
            }
        });
        assert_eq!(browser.get("/account").await.status(), 503);
        world.logins.off();
        assert!(is_refused(&browser).await);
        set_active(world, true);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn without_a_login_store_a_disabled_user_is_refused_for_as_long_as_that_lasts() {
    on_every_session_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        set_active(world, false);
        assert!(is_refused(&browser).await);
        // As the documentation of `session_only` says.
        set_active(world, true);
        assert!(!is_refused(&browser).await);
    })
    .await;
}
