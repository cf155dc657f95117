//! How long a login lasts: without use, and at all.

use std::time::Duration;

use login_runtime::{Limits, MaxLogins, MemoryLoginStore, test::Browser};
use login_tests::{START, User, Users, app, key, manager};

use crate::world::{
    Call, Options, Place, REMEMBER, When, World, name_of, on_every_login_store, on_every_store,
    pages, while_waiting,
};

/// Half an hour and twelve hours, in seconds.
const IDLE: u64 = 30 * 60;
const ABSOLUTE: u64 = 12 * 60 * 60;

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
        let (mut builder, _) = manager(&Users::new());
        if store {
            builder = builder.login_store(MemoryLoginStore::new());
        }
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
    let needs_store = |name: &str| {
        Err(format!(
            "`{name}` needs a login store, where it is kept; add `.login_store(..)`"
        ))
    };
    assert_eq!(build(false, Some(limits), None), needs_store("limits"));
    let max = Some(MaxLogins::EndOldest(3));
    assert_eq!(build(false, None, max), needs_store("max_logins"));
    let beyond = limits.idle(Duration::from_secs(ABSOLUTE + 1));
    assert_eq!(
        build(true, Some(beyond), None),
        Err("`limits` has an idle limit above the absolute limit; lower `idle`".to_owned())
    );
    for nothing in [limits.idle(Duration::ZERO), limits.absolute(Duration::ZERO)] {
        assert!(build(true, Some(nothing), None).is_err());
    }
    assert_eq!(build(true, Some(limits), max), Ok(()));
}

#[actix_web::test]
async fn a_full_store_makes_room_for_log_ins_when_logins_are_not_used() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let builder = builder.login_store(MemoryLoginStore::with_capacity(2));
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
    })
    .await;
    for _ in 0..2 {
        assert_eq!(Browser::new(&app).post("/login/1").await.status(), 303);
    }
    let browser = Browser::new(&app);
    assert_eq!(browser.post("/login/2").await.status(), 503);
    clock.advance(Duration::from_secs(IDLE));
    assert_eq!(browser.post("/login/2").await.status(), 503);
    clock.advance(Duration::from_secs(1));
    assert_eq!(browser.post("/login/2").await.status(), 303);
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
