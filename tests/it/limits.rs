//! How long a login lasts: without use, and at all.

use std::time::Duration;

use login_runtime::{Limits, MemoryLoginStore, store::MaxLogins, test::Browser};
use login_tests::{START, User, Users, app, key, manager_base, record_logins};

use crate::world::{
    Call, Options, Place, REMEMBER, When, World, account_status, name_of, on_every_login_store,
    on_every_session_store, on_every_store, pages, while_waiting,
};

/// Half an hour and twelve hours, in seconds.
const IDLE: u64 = 30 * 60;
const ABSOLUTE: u64 = 12 * 60 * 60;

/// How long a login is fresh, in seconds.
const FRESH: u64 = 30 * 60;

/// No idle limit, so that a login store ends a login only because of its age.
fn only_absolute() -> Options {
    Options {
        limits: Some(Limits::new().danger_no_idle_limit()),
        ..Options::default()
    }
}

#[actix_web::test]
async fn a_login_that_is_not_used_is_over_a_second_after_its_limit() {
    on_every_store(Options::default(), async |world| {
        for (pause, found) in [
            (IDLE - 1, "ada"),
            (IDLE, "ada"),
            (IDLE + 1, "nobody"),
            (10 * IDLE, "nobody"),
        ] {
            let browser = world.logged_in(1).await;
            world.wait(pause);
            world.events.take();
            assert_eq!(name_of(&browser).await, found, "after {pause}");
            let ended = world.events.count("login_ended Idle");
            assert_eq!(ended, usize::from(found == "nobody"));
            // It does not come back when the clock does.
            world.clock.set(START);
            assert_eq!(name_of(&browser).await, found);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_login_is_over_at_its_absolute_limit_however_much_it_is_used() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        // A page that is polled every ten minutes.
        for _ in 0..ABSOLUTE / 600 - 1 {
            world.wait(600);
            assert_eq!(browser.get("/account").await.status(), 200);
        }
        world.wait(599);
        assert_eq!(browser.get("/account").await.status(), 200);
        world.wait(1);
        assert_eq!(browser.get("/account").await.status(), 303);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn an_unused_login_is_over_at_its_absolute_limit() {
    let test = async |world: &World| {
        for (pause, found, status) in [
            (ABSOLUTE + 1, "nobody", 303),
            (ABSOLUTE, "nobody", 303),
            (ABSOLUTE - 1, "ada", 200),
        ] {
            let browser = world.logged_in(1).await;
            world.wait(pause);
            world.events.take();
            assert_eq!(name_of(&browser).await, found, "after {pause}");
            let is_over = found == "nobody";
            if !world.has_records() {
                let ended = world.events.count("login_ended Expired");
                assert_eq!(ended, usize::from(is_over));
            }
            assert_eq!(account_status(&browser).await, status, "after {pause}");
            if is_over {
                // It does not come back when the clock does.
                world.clock.set(START);
                assert_eq!(account_status(&browser).await, 303);
            }
        }
    };
    on_every_session_store(Options::default(), test).await;
    on_every_store(only_absolute(), test).await;
}

#[actix_web::test]
async fn neither_use_nor_another_client_prolongs_a_login_without_a_record() {
    on_every_session_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        for hour in 1..12 {
            world.wait(60 * 60);
            // From another network the login is stale, and is written again.
            browser.set_address([192, 0, 2, hour]);
            assert_eq!(browser.get("/account").await.status(), 200, "hour {hour}");
        }
        world.wait(60 * 60 - 1);
        assert_eq!(browser.get("/account").await.status(), 200);
        world.wait(2);
        assert_eq!(browser.get("/account").await.status(), 303);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn credentials_that_are_given_again_start_the_absolute_limit_again() {
    let test = async |world: &World| {
        for page in ["/login/1", "/confirm/1"] {
            let browser = world.logged_in(1).await;
            world.wait(ABSOLUTE - 1);
            assert!(browser.post(page).await.status() < 400);
            world.wait(ABSOLUTE - 1);
            assert_eq!(account_status(&browser).await, 200, "{page}");
            world.wait(2);
            assert_eq!(account_status(&browser).await, 303, "{page}");
        }
    };
    on_every_session_store(Options::default(), test).await;
    on_every_store(only_absolute(), test).await;
}

#[actix_web::test]
async fn a_copied_cookie_outlives_the_log_out_until_the_absolute_limit_at_most() {
    on_every_session_store(Options::default(), async |world| {
        if !world.place.has_cookie_sessions() {
            return;
        }
        let browser = world.logged_in(1).await;
        let copy = browser.copy();
        assert_eq!(browser.post("/logout").await.status(), 303);
        world.wait(ABSOLUTE - 1);
        // As documented: nothing on the server knows of the log out.
        assert_eq!(account_status(&copy.copy()).await, 200);
        world.wait(2);
        assert_eq!(account_status(&copy).await, 303);
    })
    .await;
}

#[actix_web::test]
async fn a_login_restored_without_a_record_has_an_absolute_limit_of_its_own() {
    on_every_session_store(Options::default(), async |world| {
        let browser = world.remembered(1).await;
        world.wait(ABSOLUTE + 1);
        let without_token = browser.copy();
        without_token.drop_cookie(REMEMBER);
        assert_eq!(account_status(&without_token).await, 303);

        assert_eq!(account_status(&browser).await, 200);
        let token = browser.cookie(REMEMBER).unwrap();
        browser.drop_cookie(REMEMBER);
        world.wait(ABSOLUTE - 1);
        assert_eq!(account_status(&browser).await, 200);
        world.wait(2);
        assert_eq!(account_status(&browser).await, 303);
        browser.set_cookie(REMEMBER, &token);
        assert_eq!(account_status(&browser).await, 200);
        // The token says when credentials were given, and the login is as stale as before.
        assert_eq!(browser.get("/settings").await.status(), 401);
    })
    .await;
}

#[actix_web::test]
async fn a_login_is_fresh_for_half_an_hour() {
    let test = async |world: &World| {
        for (pause, status) in [(FRESH / 2 + 1, 401), (FRESH / 2, 200)] {
            let browser = world.logged_in(1).await;
            // Use keeps the login from being idle, and does not prolong its freshness.
            world.wait(FRESH / 2);
            assert_eq!(browser.get("/secrets").await.text(), "secrets of ada");
            world.wait(pause);
            for page in ["/secrets", "/settings"] {
                assert_eq!(browser.get(page).await.status(), status, "{page}, {pause}");
            }
            assert_eq!(account_status(&browser).await, 200);
        }
    };
    on_every_session_store(Options::default(), test).await;
    on_every_store(Options::default(), test).await;
}

#[actix_web::test]
async fn a_login_can_be_fresh_for_as_long_as_it_lasts() {
    let options = Options {
        fresh_for_the_session: true,
        ..only_absolute()
    };
    let test = async |world: &World| {
        let browser = world.logged_in(1).await;
        world.wait(ABSOLUTE - 1);
        assert_eq!(browser.get("/secrets").await.text(), "secrets of ada");
        world.wait(2);
        assert_eq!(browser.get("/secrets").await.status(), 303);
        // A login that a remember cookie restored is not fresh.
        let browser = world.remembered(1).await;
        world.wait(ABSOLUTE + 1);
        assert_eq!(browser.get("/secrets").await.status(), 401);
    };
    on_every_session_store(options.clone(), test).await;
    on_every_store(options, test).await;
}

#[actix_web::test]
async fn a_passive_page_does_not_keep_a_login_in_use() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        for _ in 0..6 {
            world.wait(IDLE / 6);
            assert_eq!(browser.get("/poll").await.text(), "polled");
        }
        assert!(!world.logins.calls().contains(&Call::Touch));
        world.wait(1);
        assert_eq!(browser.get("/poll").await.status(), 303);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn use_is_noted_at_most_once_in_a_tenth_of_the_idle_limit() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        world.logins.calls();
        for _ in 0..60 {
            world.wait(60);
            assert_eq!(browser.get("/account").await.status(), 200);
        }
        let calls = world.logins.calls();
        let count = |call| calls.iter().filter(|other| **other == call).count();
        assert_eq!((count(Call::Find), count(Call::Touch)), (60, 20));
        assert_eq!(calls.len(), 80, "{calls:?}");
    })
    .await;
}

#[actix_web::test]
async fn a_login_in_use_is_never_over_before_nine_tenths_of_the_idle_limit() {
    // Memory alone: it is the arithmetic that is asked about.
    let world = World::open(crate::world::Place::COOKIE, Options::default()).await;
    for pauses in [
        [179, 1_620, 179, 1_620],
        [1, 178, 1_621, 1_620],
        [1_620; 4],
        [90, 89, 1_621, 1_800],
    ] {
        let browser = world.logged_in(1).await;
        for pause in pauses {
            world.wait(pause);
            assert_eq!(name_of(&browser).await, "ada", "{pauses:?}");
        }
    }
    // Used at the last moment before it is noted again, it may be over a tenth early.
    let browser = world.logged_in(1).await;
    world.wait(179);
    assert_eq!(name_of(&browser).await, "ada");
    world.wait(1_622);
    assert_eq!(name_of(&browser).await, "nobody");
}

#[actix_web::test]
async fn a_clock_that_goes_back_takes_no_use_back() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        world.wait(1_000);
        assert_eq!(name_of(&browser).await, "ada");
        world.clock.set(START + 100);
        assert_eq!(name_of(&browser).await, "ada");
        world
            .clock
            .set(START + 1_000 + i64::try_from(IDLE).unwrap());
        assert_eq!(name_of(&browser).await, "ada");
        let last_seen: Vec<_> = world.everybody().of::<User>(&1).await.unwrap();
        let last_seen = last_seen[0].last_seen;
        let now = std::time::UNIX_EPOCH + Duration::from_secs(START.unsigned_abs() + 1_000 + IDLE);
        assert_eq!(last_seen, now);
    })
    .await;
}

#[actix_web::test]
async fn limits_are_those_that_were_set() {
    let options = Options {
        limits: Some(
            Limits::new()
                .idle(Duration::from_secs(60))
                .absolute(Duration::from_secs(100)),
        ),
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let browser = world.logged_in(1).await;
        world.wait(61);
        assert_eq!(name_of(&browser).await, "nobody");
        let browser = world.logged_in(1).await;
        world.wait(60);
        assert_eq!(name_of(&browser).await, "ada");
        world.wait(39);
        assert_eq!(name_of(&browser).await, "ada");
        world.wait(1);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
    let options = Options {
        limits: Some(Limits::aal1()),
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let browser = world.logged_in(1).await;
        world.wait(30 * 24 * 60 * 60 - 1);
        assert_eq!(name_of(&browser).await, "ada");
        world.wait(1);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

#[actix_web::test]
async fn a_remember_cookie_restores_what_was_over_and_the_login_is_stale() {
    on_every_store(Options::default(), async |world| {
        for pause in [IDLE + 1, ABSOLUTE] {
            let browser = world.remembered(1).await;
            assert_eq!(browser.get("/settings").await.text(), "settings of ada");
            world.wait(pause);
            let answer = browser.get("/account").await;
            assert_eq!(answer.text(), "account of ada");
            assert!(answer.set_cookie(world.login_cookie()).is_some());
            assert_eq!(browser.get("/settings").await.status(), 401);
            assert!(browser.cookie(REMEMBER).is_some());
        }
    })
    .await;
}

#[test]
fn limits_that_cannot_be_kept_are_refused_at_the_start() {
    let limits = Limits::new();
    let build = |store: bool, limits: Option<Limits>, max: Option<MaxLogins>| {
        let (mut builder, _) = manager_base(&Users::new());
        builder = record_logins(builder, store.then(MemoryLoginStore::new));
        if let Some(limits) = limits {
            builder = builder.limits(limits);
        }
        if let Some(max) = max {
            builder = builder.max_logins(max);
        }
        builder
            .build(key())
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        build(false, Some(limits), None),
        Err(
            "`limits` has an idle limit, which needs a login store; add `.login_store(..)`, \
             or `danger_no_idle_limit()` to the limits"
                .to_owned()
        )
    );
    let max = Some(MaxLogins::EndOldest(3));
    assert_eq!(
        build(false, None, max),
        Err(
            "`max_logins` needs a login store, where logins are counted; add `.login_store(..)`"
                .to_owned()
        )
    );
    let beyond = limits.idle(Duration::from_secs(ABSOLUTE + 1));
    assert_eq!(
        build(true, Some(beyond), None),
        Err("`limits` has an idle limit above the absolute limit; lower `idle`".to_owned())
    );
    for nothing in [limits.idle(Duration::ZERO), limits.absolute(Duration::ZERO)] {
        assert!(build(true, Some(nothing), None).is_err());
    }
    assert_eq!(build(true, Some(limits), max), Ok(()));
    let absolute_only = limits.danger_no_idle_limit();
    assert_eq!(build(false, Some(absolute_only), None), Ok(()));
}

#[actix_web::test]
async fn a_full_store_makes_room_for_log_ins_when_logins_are_not_used() {
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    users.put(User::new(4, "dan"));
    let builder = builder.login_store(MemoryLoginStore::with_capacity(2));
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
    })
    .await;
    for user in [1, 2] {
        let log_in = format!("/login/{user}");
        assert_eq!(Browser::new(&app).post(&log_in).await.status(), 303);
    }
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/4").await.status(), 503);
    clock.advance(Duration::from_secs(IDLE));
    assert_eq!(browser.post("/login/4").await.status(), 503);
    clock.advance(Duration::from_secs(1));
    assert_eq!(browser.post("/login/4").await.status(), 303);
    assert_eq!(browser.get("/account").await.status(), 200);
}

#[actix_web::test]
async fn ending_all_logins_may_take_longer_than_a_page() {
    let hasty = Options {
        deadline: Some(Duration::from_millis(20)),
        ..Options::default()
    };
    let world = World::open(Place::MEMORY, hasty).await;
    let browser = world.logged_in(1).await;
    let ending = world.logins.hold(When::Before, Call::EndMany);
    let (ended, page) = while_waiting(&ending, world.everybody().end_all(), async {
        // Nobody lets this one go on.
        let _page = world.logins.hold(When::Before, Call::Find);
        browser.get("/account").await
    })
    .await;
    assert_eq!(page.status(), 503);
    assert_eq!(ended.unwrap(), 1);
}
