//! Lines of the log: whose login it was, which client, and what the application did outside of requests.

use std::sync::{Arc, Mutex};

use actix_session::storage::SessionStore;
use login_runtime::{
    CookieSettings, MemoryLoginStore, config::LoginManagerBuilder, events::LoginEvent,
    store::LoginKey, test::Browser,
};
use login_tests::{User, Users, key, manager, manager_base};
use tracing::{
    Event, Metadata, Subscriber, span,
    subscriber::{DefaultGuard, Interest, set_default},
};

use crate::{
    events::Log,
    world::{Options, Place, World, site},
};

/// A log to which lines come although nobody says beforehand that it listens, as with the `log` crate.
struct Unasked(Log);

impl Unasked {
    fn start() -> (Log, DefaultGuard) {
        let (log, other) = Log::start();
        drop(other);
        let guard = set_default(Self(log.clone()));
        (log, guard)
    }
}

impl Subscriber for Unasked {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0.new_span(span)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The one line about this event.
#[track_caller]
fn line_of(log: &Log, event: &str) -> String {
    let lines = log.take_ours();
    let word = format!("event={event}");
    let mut found = lines
        .iter()
        .filter(|line| line.split(' ').any(|field| field == word));
    let line = found
        .next()
        .unwrap_or_else(|| panic!("no {event} in {lines:#?}"));
    assert!(found.next().is_none(), "{lines:#?}");
    line.clone()
}

/// A manager for each place where a login can be.
fn managers(users: &Users) -> [(LoginManagerBuilder, &'static str); 4] {
    let with_store = || manager_base(users).0.login_store(MemoryLoginStore::new());
    let cookie = CookieSettings::new;
    [
        (manager(users).0, "session only"),
        (manager(users).0.login_cookie(cookie()), "login cookie"),
        (with_store(), "login store"),
        (
            with_store().login_cookie(cookie()),
            "login store and cookie",
        ),
    ]
}

#[actix_web::test]
async fn a_log_out_names_its_user_where_nobody_subscribes() {
    let (log, _guard) = Unasked::start();
    let users = Users::new();
    for (builder, place) in managers(&users) {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/2").await;
        log.take_ours();
        browser.post("/logout").await;
        let line = line_of(&log, "logged_out");
        assert!(line.contains(" user=2"), "{place}: {line}");
        // Of nobody there is nothing to tell.
        browser.post("/logout").await;
        let line = line_of(&log, "logged_out");
        assert!(!line.contains(" user="), "{place}: {line}");
    }
}

#[actix_web::test]
async fn a_log_out_names_its_user_even_if_the_user_is_gone_or_cannot_be_loaded() {
    let (log, _guard) = Log::start();
    for down in [false, true] {
        let users = Users::new();
        for (builder, place) in managers(&users) {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let see = Arc::clone(&seen);
            let builder = builder.on_event(move |event, _| {
                if let LoginEvent::LoggedOut { user, user_id, .. } = event {
                    see.lock()
                        .unwrap()
                        .push((user.is_some(), user_id.map(str::to_owned)));
                }
            });
            let app = site(builder.build(key()).unwrap(), &users).await;
            users.put(User::new(2, "ben"));
            let browser = Browser::new(&app);
            browser.post("/login/2").await;
            match down {
                true => users.set_down(true),
                false => users.delete(2),
            }
            log.take_ours();
            assert_eq!(browser.post("/logout").await.status(), 303, "{place}");
            users.set_down(false);
            let line = line_of(&log, "logged_out");
            assert!(line.contains(" user=2"), "{place} {down}: {line}");
            assert_eq!(
                seen.lock().unwrap().drain(..).collect::<Vec<_>>(),
                [(false, Some("2".to_owned()))]
            );
        }
    }
}

#[actix_web::test]
async fn a_log_out_by_a_purge_names_its_user_although_nothing_asked_for_the_user() {
    let (log, _guard) = Log::start();
    for no_records in [false, true] {
        let place = Place {
            login_cookie: true,
            ..Place::COOKIE
        };
        let options = Options {
            no_records,
            ..Options::default()
        };
        let world = World::open(place, options).await;
        let browser = world.logged_in(1).await;
        log.take_ours();
        browser.post("/purge").await;
        let line = line_of(&log, "logged_out");
        assert!(line.contains(" user=1"), "{no_records}: {line}");
    }
}

#[actix_web::test]
async fn each_line_names_the_client_shortened_and_escaped() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.set_address([192, 0, 2, 7]);
    for (agent, expected) in [
        (
            "Mozilla/5.0 (X11)",
            "user_agent=Mozilla/5.0 (X11)".to_owned(),
        ),
        ("a\tb\\n\"c'", r#"user_agent=a\tb\\n\"c\'"#.to_owned()),
        (
            &"x".repeat(5_000),
            format!("user_agent={}", "x".repeat(120)),
        ),
        ("", "user_agent=".to_owned()),
    ] {
        browser.set_user_agent(agent);
        log.take_ours();
        browser.post("/login/1").await;
        browser.get("/who").await;
        browser.post("/logout").await;
        browser.get("/account").await;
        let lines = log.take_ours();
        assert!(lines.len() >= 4, "{lines:#?}");
        for line in lines {
            assert!(line.contains(" address=192.0.2.7 "), "{line}");
            assert!(line.contains(&expected), "{line}");
            assert!(line.len() < 400, "{line}");
        }
    }
    browser.set_user_agent(None);
    browser.set_address("2001:db8::7".parse::<std::net::IpAddr>().unwrap());
    log.take_ours();
    browser.get("/account").await;
    for line in log.take_ours() {
        assert!(line.contains(" address=2001:db8::7 "), "{line}");
        assert!(!line.contains("user_agent"), "{line}");
    }
}

/// What subscribers outside of requests are told.
fn outside<S: SessionStore + 'static>(
    builder: LoginManagerBuilder<S>,
) -> (LoginManagerBuilder<S>, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let builder = builder.on_maintenance(move |event| {
        let words = match event {
            LoginEvent::LoginsRevoked {
                user_type,
                user_id,
                logins,
                ..
            } => format!(
                "{} {} {user_id:?} {logins}",
                event.name(),
                user_type.is_some()
            ),
            other => other.name().to_owned(),
        };
        tell.lock().unwrap().push(words);
    });
    (builder, told)
}

#[actix_web::test]
async fn logins_that_the_application_ends_outside_of_requests_are_events() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let builder = manager_base(&users).0.login_store(MemoryLoginStore::new());
    let (builder, told) = outside(builder);
    let (builder, within) = crate::world::Events::of(builder);
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    let browsers = [1, 1, 1, 2].map(|id| (Browser::new(&app), id));
    for (browser, id) in &browsers {
        browser.post(&format!("/login/{id}")).await;
    }
    within.take();
    log.take_ours();
    let happened = |expected: &str, line: &str| {
        let told: Vec<_> = told.lock().unwrap().drain(..).collect();
        assert_eq!(told, [expected]);
        let logged = line_of(&log, "logins_revoked");
        assert!(logged.starts_with("INFO "), "{logged}");
        assert!(logged.contains(line), "{logged}");
    };
    let key = logins.of::<User>(&1).await.unwrap()[0].key;
    assert!(logins.end(key).await.unwrap());
    happened(r#"logins_revoked true Some("1") 1"#, "logins=1 user=1");
    assert_eq!(logins.end_all_of::<User>(&1).await.unwrap(), 2);
    happened(r#"logins_revoked true Some("1") 2"#, "logins=2 user=1");
    assert_eq!(logins.end_all().await.unwrap(), 1);
    happened("logins_revoked false None 1", "logins=1");
    // These end nothing, and say nothing.
    assert!(!logins.end(key).await.unwrap());
    assert!(
        !logins
            .end(LoginKey::parse(&key.to_string()).unwrap())
            .await
            .unwrap()
    );
    logins.purge(100).await.unwrap();
    assert!(told.lock().unwrap().is_empty());
    assert_eq!(log.take_ours(), [""; 0]);
    // Subscribers within requests have no request here.
    assert_eq!(within.take(), [""; 0]);
}

#[actix_web::test]
async fn a_failure_to_end_logins_is_no_event_that_they_ended() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let browser = world.logged_in(1).await;
    world
        .logins
        .on(|_| async { Err(login_runtime::store::StoreError::new("down")) });
    log.take_ours();
    assert!(world.everybody().end_all_of::<User>(&1).await.is_err());
    assert!(world.everybody().end_all().await.is_err());
    world.logins.off();
    assert!(!log.text().contains("logins_revoked"));
    browser.get("/account").await.assert_page_shown();
}

#[actix_web::test]
async fn a_user_who_ends_one_other_login_is_in_the_log() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    let (here, _there) = (world.logged_in(1).await, world.logged_in(1).await);
    let logins = world.everybody().of::<User>(&1).await.unwrap();
    let current: Vec<LoginKey> = logins.iter().map(|login| login.key).collect();
    let mut ended = 0;
    log.take_ours();
    for key in current {
        if here.get("/account").await.status() != 200 {
            break;
        }
        here.post(&format!("/end/{key}")).await;
        ended += 1;
        let line = line_of(&log, "logins_ended");
        assert!(line.contains(" logins=1 "), "{line}");
        assert!(line.contains(" user=1 "), "{line}");
    }
    assert!(ended >= 1);
}
