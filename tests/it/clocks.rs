//! Several nodes on one store, whose clocks differ: nobody is taken for a thief or logged out because of
//! it, and no node deletes what is still valid for another.

use std::future::IntoFuture;

use login_runtime::{
    logins::Logins,
    store::{LoginKey, LoginRecord, LoginStore},
    test::{Browser, TestClock},
};
use login_tests::{START, User};

use crate::{
    stolen::{ALARM, Fleet, lasting, look_for_thieves},
    world::{
        BoxedApp, Call, Options, Place, REMEMBER, SESSION, When, World, name_of,
        on_every_login_store, on_every_store, while_waiting,
    },
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Pairs of clocks that are up to two minutes apart.
const APART: [[i64; 2]; 4] = [[0, 90], [0, -90], [-60, 60], [120, 0]];

/// A browser of Ada's with a token that is due to be replaced, at the first node.
async fn reopened<'a>(fleet: &'a Fleet<'_>) -> Browser<'a, BoxedApp> {
    let browser = Browser::new(fleet.node(0));
    let answer = browser.post("/login/1?remember=true").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(name_of(&browser).await, "ada");
    fleet.wait(12 * HOUR);
    browser.restart();
    browser
}

#[actix_web::test]
async fn two_tabs_that_reach_two_nodes_are_not_taken_for_a_thief() {
    on_every_login_store(lasting(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            for swapped in [0, 1] {
                let browser = reopened(&fleet).await;
                let [first, slow] = [0, 1].map(|tab| browser.at(fleet.node(tab + swapped)));
                assert_eq!(name_of(&first).await, "ada", "{offsets:?}");
                // The next page shows that the token arrived.
                assert_eq!(name_of(&first).await, "ada", "{offsets:?}");
                fleet.wait(30);
                assert_eq!(name_of(&slow).await, "ada", "{offsets:?}");
                assert_eq!(world.events.count(ALARM), 0, "{offsets:?}");
                assert_eq!(name_of(&first.at(fleet.node(1))).await, "ada");
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn a_token_is_not_replaced_twice_while_an_older_request_is_on_its_way() {
    on_every_login_store(lasting(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            let browser = reopened(&fleet).await;
            let slow = browser.copy();
            for second in 0..25 {
                // As a browser that loses its session all the time.
                let tab = browser.at(fleet.node(second));
                assert_eq!(name_of(&tab).await, "ada");
                let token = tab.cookie(REMEMBER).unwrap();
                browser.set_cookie(REMEMBER, &token);
                fleet.wait(2);
            }
            assert_eq!(name_of(&slow.at(fleet.node(1))).await, "ada");
            assert_eq!(world.events.count(ALARM), 0, "{offsets:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn in_no_order_on_nodes_that_are_two_minutes_apart_is_a_browser_taken_for_a_thief() {
    for offsets in [&[0, 120][..], &[-60, 0, 60], &[0, -90]] {
        let world = World::open(Place::COOKIE, lasting()).await;
        look_for_thieves(&world, offsets, 12, 4).await;
    }
}

#[actix_web::test]
async fn a_late_page_of_another_node_takes_no_login_away() {
    on_every_store(Options::default(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            let browser = Browser::new(fleet.node(0));
            assert_eq!(browser.post("/login/1").await.status(), 303);
            let late = browser.at(fleet.node(1));
            fleet.wait(10);
            assert_eq!(browser.post("/logout").await.status(), 303);
            assert_eq!(browser.post("/login/2").await.status(), 303);
            fleet.wait(5);
            // It was sent before the log out, and arrives after it.
            let answer = late.get("/me").await;
            assert_eq!(answer.text(), "nobody");
            assert_eq!(answer.set_cookies(), [], "{offsets:?}");
            let write = late.post("/cart/late").await;
            assert_eq!(write.set_cookie(SESSION), None, "{offsets:?}");
            assert_eq!(name_of(&browser).await, "ben");
        }
    })
    .await;
}

#[actix_web::test]
async fn a_login_that_was_just_confirmed_at_another_node_is_not_ended_as_an_old_one() {
    on_every_login_store(lasting(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            let browser = reopened(&fleet).await;
            let tab = browser.at(fleet.node(1));
            assert_eq!(name_of(&browser).await, "ada");
            assert_eq!(browser.post("/confirm/1").await.status(), 200);
            // The other tab was closed with the session, and is slow.
            fleet.wait(20);
            assert_eq!(name_of(&tab).await, "ada");
            assert_eq!(browser.get("/settings").await.status(), 200, "{offsets:?}");
            assert_eq!(world.events.count(ALARM), 0);
        }
    })
    .await;
}

#[actix_web::test]
async fn a_user_who_is_active_stays_logged_in_and_fresh_on_both_nodes() {
    on_every_login_store(Options::default(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            let browser = Browser::new(fleet.node(0));
            assert_eq!(browser.post("/login/1").await.status(), 303);
            for request in 0..35 {
                let at = browser.at(fleet.node(request));
                if request * 20 <= 20 {
                    assert_eq!(at.get("/settings").await.status(), 200, "{offsets:?}");
                }
                assert_eq!(name_of(&at).await, "ada", "{offsets:?} {request}");
                fleet.wait(20 * MINUTE);
            }
        }
    })
    .await;
}

/// The logins of a world at a node whose clock is this many seconds after the start.
async fn logins_at(world: &World, offset: i64) -> Logins {
    let mut parts = world.parts();
    parts.clock = TestClock::at(START + offset);
    parts.logins_of_node().await
}

#[actix_web::test]
async fn a_purge_by_a_node_half_an_hour_ahead_deletes_nothing_that_is_valid_for_others() {
    on_every_login_store(Options::default(), async |world| {
        let mut elapsed = 0;
        for offset in [30 * 60, 90, -30 * 60] {
            // Unused for so long that it is almost over, and about to expire.
            let [unused, ended] = [world.remembered(1).await, world.logged_in(1).await];
            let short = world.browser();
            short.post("/login/2?for=1600").await;
            ended.post("/cart/apple").await;
            let copy = ended.copy();
            ended.post("/logout").await;
            world.wait(25 * MINUTE);
            elapsed += 25 * 60;
            let elsewhere = logins_at(world, elapsed + offset).await;
            for _ in 0..3 {
                elsewhere.purge(10_000).await.unwrap();
            }
            assert_eq!(name_of(&unused).await, "ada", "{offset}");
            unused.restart();
            assert_eq!(name_of(&unused).await, "ada", "{offset}");
            short.restart();
            assert_eq!(name_of(&short).await, "ben", "{offset}");
            assert_eq!(crate::world::cart_of(&copy).await, None, "{offset}");
            world.wait(24 * HOUR);
            elapsed += 24 * 60 * 60;
        }
    })
    .await;
}

#[actix_web::test]
async fn a_purge_deletes_in_the_end_what_is_over_for_all() {
    on_every_login_store(Options::default(), async |world| {
        let browser = world.logged_in(1).await;
        world.wait(30 * MINUTE + 1);
        assert_eq!(world.everybody().purge(10).await.unwrap(), 0);
        world.wait(HOUR);
        assert_eq!(world.everybody().purge(10).await.unwrap(), 1);
        assert_eq!(name_of(&browser).await, "nobody");
    })
    .await;
}

/// A login of the present, by the clock of the machine.
fn login_of_today(number: u8, user: &str) -> (LoginKey, LoginRecord) {
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let now = i64::try_from(now).unwrap();
    let record = LoginRecord {
        user_type: String::new(),
        user_id: user.to_owned(),
        created_at: now,
        authenticated_at: now,
        last_seen: now,
        expires_at: now + 3_600,
        fresh: true,
        allow_inactive: false,
        method: String::new(),
        client: 0,
        user_agent: String::new(),
        address: String::new(),
        hash: None,
        family: None,
        unseen_token: None,
    };
    (LoginKey::from_bytes([number; 32]), record)
}

/// The memory store has no clock. A database has one, and a node that is years ahead of it deletes
/// nothing that is valid by it.
#[actix_web::test]
async fn a_database_knows_better_than_a_node_that_is_years_ahead() {
    on_every_login_store(Options::default(), async |world| {
        if world.place.logins == crate::world::LoginPlace::Memory {
            return;
        }
        let (key, record) = login_of_today(1, "today");
        let now = record.created_at;
        let store = &world.logins;
        store.insert(key, &record, None, now).await.unwrap();
        let years = now + 10 * 365 * 86_400;
        store
            .purge(years, Some(years - 1_800), 1_000)
            .await
            .unwrap();
        // A log in deletes a few expired rows, too.
        let (other, later) = login_of_today(2, "other");
        let later = LoginRecord {
            created_at: years,
            expires_at: years + 10,
            ..later
        };
        store.insert(other, &later, None, years).await.unwrap();
        assert!(store.find(key, now).await.unwrap().is_some());
        // What is over by both clocks goes away.
        let (old, over) = login_of_today(3, "old");
        let over = LoginRecord {
            expires_at: now - 10,
            ..over
        };
        store.insert(old, &over, None, now - 100).await.unwrap();
        assert!(store.purge(now, None, 1_000).await.unwrap() >= 1);
        assert_eq!(store.find(old, now - 100).await.unwrap(), None);
    })
    .await;
}

#[actix_web::test]
async fn many_tabs_at_two_nodes_share_a_login_and_none_is_refused() {
    on_every_login_store(lasting(), async |world| {
        for offsets in APART {
            let fleet = Fleet::of(world, &offsets).await;
            let browser = reopened(&fleet).await;
            let held = world.logins.hold(When::After, Call::FindFamily);
            let tab = browser.copy();
            let (slow, ()) = while_waiting(&held, tab.get("/me").into_future(), async {
                for index in 0..20 {
                    assert_eq!(name_of(&browser.at(fleet.node(index))).await, "ada");
                }
            })
            .await;
            assert_eq!(slow.text(), "ada");
            let logins = world.everybody().of::<User>(&1).await.unwrap();
            let restored = logins.iter().filter(|login| login.method == "remember");
            assert!(restored.count() <= 3, "{offsets:?}");
            world.everybody().end_all().await.unwrap();
            assert_eq!(world.events.count(ALARM), 0);
        }
    })
    .await;
}
