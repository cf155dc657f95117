//! Log ins from clients that a user has not logged in from before.

use std::sync::{Arc, Mutex};

use actix_session::storage::SessionStore;
use login_runtime::{
    MemoryLoginStore,
    config::LoginManagerBuilder,
    events::LoginEvent,
    proxies::{ForwardedHeaders, TrustedProxies},
    store::StoreError,
    test::{Browser, TestClock},
};
use login_tests::{User, Users, key, key_of, manager, manager_base};

use crate::{
    events::Log,
    world::{App, Call, DAY, Moment, Options, Place, World, on_every_login_store, site},
};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const UPDATED: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const SAFARI: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) Version/17.1 Safari/604.1";

const HOME: [u8; 4] = [192, 0, 2, 7];
const NEIGHBOUR: [u8; 4] = [192, 0, 77, 1];
const ABROAD: [u8; 4] = [198, 51, 100, 7];

/// What the log ins since the last look were told to be.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Option<bool>>>>);

impl Told {
    fn watch<S: SessionStore + 'static>(
        &self,
        builder: LoginManagerBuilder<S>,
    ) -> LoginManagerBuilder<S> {
        let told = Arc::clone(&self.0);
        builder.on_event(move |event, _| {
            if let LoginEvent::LoggedIn { new_client, .. } = event {
                told.lock().unwrap().push(*new_client);
            }
        })
    }

    fn take(&self) -> Vec<Option<bool>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A log in with a new browser.
async fn log_in<S: App>(app: &S, agent: &str, address: [u8; 4], id: i64) {
    let browser = Browser::new(app);
    browser.set_user_agent(agent);
    browser.set_address(address);
    assert_eq!(browser.post(&format!("/login/{id}")).await.status(), 303);
}

async fn open(users: &Users) -> (impl App + use<>, TestClock, Told) {
    let told = Told::default();
    let (builder, clock) = manager_base(users);
    let builder = told.watch(builder.login_store(MemoryLoginStore::new()));
    let app = site(builder.build(key()).unwrap(), users).await;
    (app, clock, told)
}

#[actix_web::test]
async fn a_log_in_from_another_browser_or_network_is_one_from_a_new_client() {
    let (app, _, told) = open(&Users::new()).await;
    for (agent, address, id, new) in [
        (FIREFOX, HOME, 1, true),
        (FIREFOX, HOME, 1, false),
        (UPDATED, HOME, 1, false),
        (FIREFOX, NEIGHBOUR, 1, false),
        (SAFARI, HOME, 1, true),
        (FIREFOX, ABROAD, 1, true),
        ("", HOME, 1, true),
        // What one user has done says nothing about another.
        (FIREFOX, HOME, 2, true),
        (FIREFOX, ABROAD, 1, false),
        (SAFARI, HOME, 1, false),
    ] {
        log_in(&app, agent, address, id).await;
        assert_eq!(told.take(), [Some(new)], "{agent} {address:?} {id}");
    }
}

#[actix_web::test]
async fn the_log_says_whether_the_client_is_new_on_every_store() {
    on_every_login_store(Options::default(), async |world: &World| {
        let (log, _guard) = Log::start();
        let new = || -> Vec<bool> {
            let lines = log.take_fields().into_iter();
            let lines = lines.filter_map(|(_, mut fields)| fields.remove("new_client"));
            lines.map(|new| new.parse().unwrap()).collect()
        };
        let browser = world.browser();
        browser.post("/login/1").await;
        assert_eq!(new(), [true]);
        browser.post("/logout").await;
        browser.post("/login/1").await;
        assert_eq!(new(), [false]);
        let other = world.browser();
        other.set_user_agent("other");
        other.post("/login/1").await;
        assert_eq!(new(), [true]);
        world.browser().post("/login/1").await;
        assert_eq!(new(), [false]);
        // The account may have been taken over.
        assert!(world.everybody().end_all_of::<User>(&1).await.is_ok());
        world.browser().post("/login/1").await;
        assert_eq!(new(), [true]);
    })
    .await;
}

#[actix_web::test]
async fn a_client_is_known_for_thirty_days_after_the_last_log_in_even_if_the_user_logs_out() {
    let (app, clock, told) = open(&Users::new()).await;
    let browser = Browser::new(&app);
    for (days, new) in [(0, true), (29, false), (29, false), (30, true), (31, true)] {
        clock.advance(days * DAY);
        browser.post("/login/1").await;
        assert_eq!(told.take(), [Some(new)], "{days}");
        browser.post("/logout").await;
    }
}

#[actix_web::test]
async fn a_browser_that_the_user_is_logged_in_with_or_that_remembers_the_user_is_never_new() {
    let (app, clock, told) = open(&Users::new()).await;
    for remember in [false, true] {
        let browser = Browser::new(&app);
        let path = format!("/login/1?remember={remember}");
        browser.post(&path).await;
        if remember {
            browser.restart();
            clock.advance(DAY);
        }
        // It travels.
        browser.set_address([203, 0, 113, 7 + u8::from(remember)]);
        told.take();
        browser.post(&path).await;
        assert_eq!(told.take(), [Some(false)], "{remember}");
        // And is not taken for another user's.
        browser.post("/login/2").await;
        assert_eq!(told.take(), [Some(!remember)], "{remember}");
    }
}

#[actix_web::test]
async fn nobody_knows_without_a_login_store_whether_a_client_is_new() {
    let users = Users::new();
    let told = Told::default();
    let (builder, _) = manager(&users);
    let app = site(told.watch(builder).build(key()).unwrap(), &users).await;
    for _ in 0..2 {
        log_in(&app, FIREFOX, HOME, 1).await;
    }
    assert_eq!(told.take(), [None, None]);
}

#[actix_web::test]
async fn after_a_change_of_the_password_only_the_client_that_changed_it_is_known() {
    for (keep, new_here) in [("current", false), ("none", true)] {
        let (app, _, told) = open(&Users::new()).await;
        log_in(&app, SAFARI, ABROAD, 1).await;
        let here = Browser::new(&app);
        here.post("/login/1").await;
        assert_eq!(here.post(&format!("/change/{keep}")).await.status(), 200);
        told.take();
        Browser::new(&app).post("/login/1").await;
        assert_eq!(told.take(), [Some(new_here)], "{keep}");
        log_in(&app, SAFARI, ABROAD, 1).await;
        assert_eq!(told.take(), [Some(true)], "{keep}");
    }
}

#[actix_web::test]
async fn a_store_that_cannot_tell_whether_a_client_is_new_keeps_nobody_out() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    for call in [Call::IsBuried, Call::BurySession] {
        world.logins.on(move |moment: Moment| async move {
            match moment.call == call {
                true => Err(StoreError::new("down")),
                false => Ok(()),
            }
        });
        log.take_fields();
        let browser = world.logged_in(1).await;
        world.logins.off();
        browser.get("/account").await.assert_page_shown();
        let lines = log.take_fields();
        let line = lines.iter().find(|(_, it)| it["event"] == "logged_in");
        let told = line.unwrap().1.get("new_client").map(String::as_str);
        let expected = (call == Call::BurySession).then_some("true");
        assert_eq!(told, expected, "{call:?}");
        assert!(
            lines
                .iter()
                .any(|(level, _)| *level == tracing::Level::ERROR)
        );
    }
}

#[actix_web::test]
async fn behind_a_named_proxy_the_client_counts_and_not_the_proxy() {
    let users = Users::new();
    let told = Told::default();
    let (builder, _) = manager_base(&users);
    let proxies = TrustedProxies::networks(["10.0.0.1"], ForwardedHeaders::x_forwarded());
    let builder = builder
        .login_store(MemoryLoginStore::new())
        .trusted_proxies(proxies);
    let app = site(told.watch(builder).build(key()).unwrap(), &users).await;
    for (client, new) in [
        ("192.0.2.7", true),
        ("198.51.100.7", true),
        ("192.0.2.7", false),
    ] {
        let browser = Browser::new(&app);
        browser.set_address([10, 0, 0, 1]);
        let log_in = browser.post("/login/1").header("x-forwarded-for", client);
        assert_eq!(log_in.await.status(), 303);
        assert_eq!(told.take(), [Some(new)], "{client}");
    }
}

#[actix_web::test]
async fn a_client_stays_known_when_the_key_is_changed() {
    let users = Users::new();
    let store = Arc::new(MemoryLoginStore::new());
    let told = Told::default();
    for (secret, fallback, new) in [
        (key(), None, true),
        (key_of(8), Some(key()), false),
        // It was noted under the new key.
        (key_of(8), None, false),
        (key_of(9), None, true),
    ] {
        let (builder, _) = manager_base(&users);
        let builder = builder
            .login_store(Arc::clone(&store))
            .fallback_keys(fallback);
        let app = site(told.watch(builder).build(secret).unwrap(), &users).await;
        log_in(&app, FIREFOX, HOME, 1).await;
        assert_eq!(told.take(), [Some(new)]);
    }
}

#[actix_web::test]
async fn of_many_clients_the_one_that_was_used_least_lately_is_forgotten() {
    let (app, clock, told) = open(&Users::new()).await;
    for second in 0..32 {
        log_in(&app, SAFARI, [second + 1, 0, 0, 1], 1).await;
        clock.advance(crate::world::SECOND);
    }
    assert_eq!(told.take(), [Some(true); 32]);
    log_in(&app, SAFARI, [1, 0, 0, 1], 1).await;
    clock.advance(crate::world::SECOND);
    log_in(&app, SAFARI, [100, 0, 0, 1], 1).await;
    assert_eq!(told.take(), [Some(false), Some(true)]);
    clock.advance(crate::world::SECOND);
    log_in(&app, SAFARI, [1, 0, 0, 1], 1).await;
    log_in(&app, SAFARI, [2, 0, 0, 1], 1).await;
    assert_eq!(told.take(), [Some(false), Some(true)]);
}
