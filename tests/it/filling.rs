//! How much of the login store one client can fill, and what the others notice of it.

use std::time::Duration;

use login_runtime::{
    MemoryLoginStore, RememberCookie,
    store::{LoginOwner, LoginStore, MaxLogins},
    test::Browser,
};
use login_tests::{User, Users, key, manager_base};

use crate::world::{
    App, Call, DAY, HOUR, LOGIN, Options, Place, REMEMBER, SECOND, SESSION, World, account_status,
    cart_of, name_of, on_every_login_store, site,
};

/// How many logins and remembered browsers a user may have by default.
const MOST: usize = 100;

#[actix_web::test]
async fn the_hundred_and_first_log_in_ends_the_oldest_and_nobody_elses() {
    on_every_login_store(Options::default(), async |world| {
        let other = world.logged_in(2).await;
        let mut browsers = Vec::new();
        for _ in 0..MOST + 2 {
            browsers.push(world.logged_in(1).await);
            world.wait(1);
        }
        for (index, browser) in browsers.iter().enumerate() {
            let expected = if index < 2 { "nobody" } else { "ada" };
            assert_eq!(name_of(browser).await, expected, "{index}");
        }
        assert_eq!(name_of(&other).await, "ben");
        assert_eq!(world.everybody().of::<User>(&1).await.unwrap().len(), MOST);
    })
    .await;
}

#[actix_web::test]
async fn an_application_can_allow_more_logins_or_any_number() {
    for (max, expected) in [(Some(MaxLogins::EndOldest(103)), 103), (None, 105)] {
        let users = Users::new();
        let (builder, _) = manager_base(&users);
        let builder = builder.login_store(MemoryLoginStore::new());
        let builder = match max {
            Some(max) => builder.max_logins(max),
            None => builder.danger_any_number_of_logins(),
        };
        let manager = builder.build(key()).unwrap();
        let everybody = manager.logins().unwrap();
        let app = site(manager, &users).await;
        for _ in 0..105 {
            Browser::new(&app).post("/login/1").await;
        }
        assert_eq!(everybody.of::<User>(&1).await.unwrap().len(), expected);
    }
}

/// The last browsers of a user whose tokens restore a login, of so many that were remembered.
async fn remembered_of(world: &World, many: usize) -> usize {
    let mut browsers = Vec::new();
    for _ in 0..many {
        browsers.push(world.remembered(1).await);
        // The logins end, and the browsers stay remembered.
        world.wait(2 * 60 * 60);
    }
    let mut remembered = 0;
    for browser in &browsers {
        browser.restart();
        remembered += usize::from(name_of(browser).await == "ada");
    }
    remembered
}

#[actix_web::test]
async fn a_user_is_remembered_in_a_hundred_browsers_at_most() {
    on_every_login_store(Options::default(), async |world| {
        let other = world.remembered(2).await;
        assert_eq!(remembered_of(world, MOST + 5).await, MOST);
        other.restart();
        assert_eq!(name_of(&other).await, "ben");
    })
    .await;
}

#[actix_web::test]
async fn a_limit_of_logins_is_a_limit_of_remembered_browsers_too() {
    for max in [MaxLogins::EndOldest(3), MaxLogins::Refuse(3)] {
        let options = Options {
            max: Some(max),
            ..Options::default()
        };
        on_every_login_store(options, async |world| {
            assert_eq!(remembered_of(world, 5).await, 3, "{max:?}");
        })
        .await;
    }
}

#[actix_web::test]
async fn a_browser_that_comes_back_is_remembered_longer_than_those_that_do_not() {
    let options = Options {
        max: Some(MaxLogins::EndOldest(3)),
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let faithful = world.remembered(1).await;
        for _ in 0..6 {
            world.wait(2 * 60 * 60);
            faithful.restart();
            assert_eq!(name_of(&faithful).await, "ada");
            assert_eq!(name_of(&faithful).await, "ada");
            world.wait(2 * 60 * 60);
            world.remembered(1).await;
        }
        faithful.restart();
        assert_eq!(name_of(&faithful).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn a_log_in_that_is_refused_forgets_no_browser() {
    let options = Options {
        max: Some(MaxLogins::Refuse(1)),
        ..Options::default()
    };
    on_every_login_store(options, async |world| {
        let laptop = world.remembered(1).await;
        for _ in 0..3 {
            let phone = world.browser();
            assert_ne!(phone.post("/login/1?remember=true").await.status(), 303);
            assert_eq!(phone.cookie(REMEMBER), None);
        }
        laptop.restart();
        world.wait(2 * 60 * 60);
        assert_eq!(name_of(&laptop).await, "ada");
    })
    .await;
}

#[actix_web::test]
async fn logging_in_and_out_again_and_again_leaves_a_hundred_notes() {
    for place in [
        Place::MEMORY,
        Place::COOKIE,
        Place {
            login_cookie: true,
            ..Place::COOKIE
        },
    ] {
        let world = World::open(place, Options::default()).await;
        let browser = world.browser();
        for round in 0..400 {
            assert_eq!(browser.post("/login/1").await.status(), 303);
            match round % 4 {
                0 => browser.post("/logout").await,
                1 => browser.post("/purge").await,
                2 => browser.post("/confirm/1").await,
                _ => browser.post("/login/2").await,
            };
        }
        // A hundred of each user.
        world.everybody().end_all().await.unwrap();
        world.clock.advance(10 * DAY);
        let notes = world.everybody().purge(100_000).await.unwrap();
        assert!(notes <= 200, "{notes} notes on {place:?}");
    }
}

#[actix_web::test]
async fn the_notes_of_one_user_do_not_drop_those_of_another() {
    let world = World::open(Place::COOKIE, Options::default()).await;
    let ben = world.logged_in(2).await;
    ben.post("/cart/apple").await;
    let copy = ben.copy();
    assert_eq!(ben.post("/logout").await.status(), 303);
    for _ in 0..300 {
        let browser = world.logged_in(1).await;
        browser.post("/logout").await;
    }
    // A copy of Ben's session is still known to have ended.
    assert_eq!(cart_of(&copy).await, None);
    assert_eq!(name_of(&copy).await, "nobody");
}

/// A site with a store for so many logins.
async fn small_site(capacity: usize) -> (impl App, Users, login_runtime::test::TestClock) {
    let users = Users::new();
    users.put(User::new(4, "dan"));
    let (builder, clock) = manager_base(&users);
    let builder = builder.login_store(MemoryLoginStore::with_capacity(capacity));
    let remember = RememberCookie::new().duration(30 * DAY);
    let manager = builder.remember_cookie(remember).build(key()).unwrap();
    (site(manager, &users).await, users, clock)
}

#[actix_web::test]
async fn a_full_memory_store_makes_room_from_the_user_who_has_the_most() {
    let (app, _, clock) = small_site(10).await;
    let ben = Browser::new(&app);
    assert_eq!(ben.post("/login/2").await.status(), 303);
    let mut ada = Vec::new();
    for _ in 0..12 {
        clock.advance(SECOND);
        let browser = Browser::new(&app);
        assert_eq!(browser.post("/login/1").await.status(), 303);
        ada.push(browser);
    }
    // The first one is in use.
    clock.advance(Duration::from_secs(300));
    let dan = [Browser::new(&app), Browser::new(&app), Browser::new(&app)];
    for browser in &dan {
        assert_eq!(browser.post("/login/4").await.status(), 303);
    }
    for browser in dan.iter().chain([&ben]) {
        assert_eq!(account_status(browser).await, 200);
    }
    let mut left = 0;
    for (index, browser) in ada.iter().enumerate() {
        let is_in = account_status(browser).await == 200;
        assert_eq!(is_in, index >= 6, "{index}");
        left += usize::from(is_in);
    }
    assert_eq!(left, 6);
}

#[actix_web::test]
async fn a_login_in_use_is_kept_by_a_full_memory_store_and_an_unused_one_is_not() {
    let (app, _, clock) = small_site(3).await;
    let [used, unused] = [Browser::new(&app), Browser::new(&app)];
    for browser in [&used, &unused] {
        assert_eq!(browser.post("/login/1").await.status(), 303);
    }
    clock.advance(Duration::from_secs(600));
    assert_eq!(account_status(&used).await, 200);
    for user in [2, 4] {
        let browser = Browser::new(&app);
        assert_eq!(browser.post(&format!("/login/{user}")).await.status(), 303);
    }
    assert_eq!(account_status(&used).await, 200);
    assert_ne!(account_status(&unused).await, 200);
}

#[actix_web::test]
async fn a_memory_store_full_of_one_users_remembered_browsers_remembers_others() {
    let (app, _, clock) = small_site(20).await;
    let mut ada = Vec::new();
    for _ in 0..30 {
        let browser = Browser::new(&app);
        assert_eq!(browser.post("/login/1?remember=true").await.status(), 303);
        ada.push(browser);
        clock.advance(HOUR);
    }
    let ben = Browser::new(&app);
    assert_eq!(ben.post("/login/2?remember=true").await.status(), 303);
    ben.restart();
    assert_eq!(name_of(&ben).await, "ben");
    let mut remembered = 0;
    for browser in &ada {
        browser.restart();
        remembered += usize::from(name_of(browser).await == "ada");
    }
    assert_eq!(remembered, 19);
    assert_eq!(name_of(ada.last().unwrap()).await, "ada");
}

#[actix_web::test]
async fn a_login_that_was_ended_for_others_does_not_come_back_with_its_remember_token() {
    let (app, _, clock) = small_site(2).await;
    let [old, new] = [Browser::new(&app), Browser::new(&app)];
    for browser in [&old, &new] {
        assert_eq!(browser.post("/login/1?remember=true").await.status(), 303);
        clock.advance(SECOND);
    }
    let ben = Browser::new(&app);
    assert_eq!(ben.post("/login/2").await.status(), 303);
    assert_eq!(name_of(&old).await, "nobody");
    assert_eq!(old.cookie(REMEMBER), None);
    assert_eq!(name_of(&new).await, "ada");
    assert_eq!(name_of(&ben).await, "ben");
}

#[actix_web::test]
async fn anonymous_clients_write_nothing_into_the_login_store() {
    on_every_login_store(Options::default(), async |world| {
        let token = world.remembered(1).await.cookie(REMEMBER).unwrap();
        world.logins.calls();
        for round in 0..50 {
            let browser = world.browser();
            match round % 5 {
                0 => {}
                1 => browser.set_cookie(SESSION, "forged"),
                2 => browser.set_cookie(LOGIN, "forged"),
                3 => browser.set_cookie(REMEMBER, "2.forged"),
                _ => browser.set_cookie(REMEMBER, &token.to_uppercase()),
            }
            for page in ["/account", "/me", "/settings"] {
                browser.get(page).await;
            }
            for page in ["/cart/apple", "/renew", "/logout", "/purge", "/clear"] {
                browser.post(page).await;
            }
        }
        let mut calls = world.logins.calls();
        calls.retain(|call| !matches!(call, Call::Find | Call::FindFamily));
        assert_eq!(calls, []);
    })
    .await;
}

#[actix_web::test]
async fn a_full_memory_store_refuses_only_if_nobody_has_two_logins() {
    use crate::filling::records::login;
    let store = MemoryLoginStore::with_capacity(4);
    for (number, user, is_stored) in [(1, 1, true), (2, 1, true), (3, 2, true), (4, 3, true)] {
        let (key, record) = login(number, user);
        assert_eq!(store.insert(key, &record, None, 0).await.is_ok(), is_stored);
    }
    // The user with two logins gives up the first one.
    let (key, record) = login(5, 4);
    store.insert(key, &record, None, 0).await.unwrap();
    let owner = LoginOwner {
        user_type: "",
        user_id: "1",
    };
    let left = store.list(owner, 0).await.unwrap();
    assert_eq!(
        left.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        [login(2, 1).0]
    );
    // Now each has one.
    let (key, record) = login(6, 5);
    store.insert(key, &record, None, 0).await.unwrap_err();
    assert_eq!(store.find(key, 0).await.unwrap(), None);
    // A user who has one, and wants another, gives up the first.
    let (key, record) = login(7, 2);
    store.insert(key, &record, None, 0).await.unwrap();
    assert_eq!(store.find(login(3, 2).0, 0).await.unwrap(), None);
    assert!(store.find(key, 0).await.unwrap().is_some());
}

mod records {
    use login_runtime::store::{LoginKey, LoginRecord};

    /// A login of a user.
    pub(super) fn login(number: u8, user: u8) -> (LoginKey, LoginRecord) {
        let record = LoginRecord {
            user_type: String::new(),
            user_id: user.to_string(),
            created_at: i64::from(number),
            authenticated_at: 0,
            last_seen: i64::from(number),
            expires_at: 100,
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
}
