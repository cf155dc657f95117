//! The keyed hash that names a login in events and in the log.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use login_runtime::{MemoryLoginStore, config::LoginManagerBuilder, test::Browser};
use login_tests::{User, Users, key, key_of, manager, manager_base};

use crate::{
    events::Log,
    world::{DAY, Options, Place, SESSION, World, site},
};

/// The events that name a login, with the name, in order.
type Named = Arc<Mutex<Vec<(&'static str, Option<String>)>>>;

fn watch(builder: LoginManagerBuilder) -> (LoginManagerBuilder, Named) {
    let named = Named::default();
    let (within, outside) = (Arc::clone(&named), Arc::clone(&named));
    let name = |event: &login_runtime::events::LoginEvent<'_>| {
        (event.name(), event.login().map(|hash| hash.to_string()))
    };
    let builder = builder
        .on_event(move |event, _| within.lock().unwrap().push(name(event)))
        .on_maintenance(move |event| outside.lock().unwrap().push(name(event)));
    (builder, named)
}

/// The value of a field of a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = line.split(' ');
    fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// The one name in all lines of these events, each of which has to be there.
#[track_caller]
fn one_name(lines: &[String], events: &[&str]) -> String {
    let mut names = BTreeSet::new();
    for event in events {
        let mut lines = lines.iter();
        let line = lines.find(|line| field(line, "event") == Some(event));
        let line = line.unwrap_or_else(|| panic!("no {event} in {lines:#?}"));
        names.insert(field(line, "login").unwrap_or_else(|| panic!("no name: {line}")));
    }
    assert_eq!(names.len(), 1, "{lines:#?}");
    names.first().unwrap().to_string()
}

#[actix_web::test]
async fn all_lines_about_one_login_have_the_same_name() {
    let (log, _guard) = Log::start();
    for login_cookie in [false, true] {
        let place = Place {
            login_cookie,
            ..Place::COOKIE
        };
        let world = World::open(place, Options::default()).await;
        let mut names = BTreeSet::new();
        for id in [1, 1, 2] {
            let browser = world.browser();
            log.take_ours();
            browser.post(&format!("/login/{id}?stale=true")).await;
            browser.get("/settings").await;
            browser.post(&format!("/confirm/{id}")).await;
            browser.post(&format!("/confirm/{id}")).await;
            browser.post("/logout").await;
            let events = [
                "logged_in",
                "needs_refresh",
                "login_confirmed",
                "logged_out",
            ];
            names.insert(one_name(&log.take_ours(), &events));
        }
        // Two logins of one user are two names.
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names.iter().all(|name| name.len() == 16), "{names:?}");
    }
}

#[actix_web::test]
async fn a_login_that_a_remember_cookie_restores_keeps_its_name() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    log.take_ours();
    let browser = world.remembered(1).await;
    browser.drop_cookie(SESSION);
    browser.get("/account").await;
    browser.post("/confirm/1").await;
    browser.post("/logout").await;
    let events = [
        "logged_in",
        "loaded_from_cookie",
        "login_confirmed",
        "logged_out",
    ];
    one_name(&log.take_ours(), &events);
}

#[actix_web::test]
async fn a_login_that_has_ended_is_named_when_it_is_used_again() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let (builder, clock) = manager_base(&users);
    let (builder, named) = watch(builder.login_store(MemoryLoginStore::new()));
    let manager = builder.build(key()).unwrap();
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    let take = || -> Vec<_> {
        let mut named = named.lock().unwrap();
        named
            .drain(..)
            .filter(|(event, _)| *event != "accessed")
            .collect()
    };
    // By an administrator, by the idle limit, and because of a new password.
    for how in 0..3 {
        users.put(User::new(1, "ada"));
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        let name = take().pop().unwrap().1;
        assert!(name.is_some());
        match how {
            0 => {
                let key = logins.of::<User>(&1).await.unwrap()[0].key;
                assert!(logins.end(key).await.unwrap());
                assert_eq!(take(), [("logins_revoked", name.clone())]);
            }
            1 => clock.advance(DAY / 2 - DAY / 100),
            _ => users.change(1, |user| user.hash.push('!')),
        }
        browser.get("/who").await;
        assert_eq!(take(), [("login_ended", name)], "{how}");
        logins.end_all().await.unwrap();
        // There is no single login to name.
        assert_eq!(take(), [("logins_revoked", None)]);
    }
    drop(log);
}

#[actix_web::test]
async fn a_line_about_a_login_that_its_user_ended_elsewhere_names_both() {
    let (log, _guard) = Log::start();
    let world = World::open(Place::COOKIE, Options::default()).await;
    log.take_ours();
    let there = world.logged_in(1).await;
    let ended = one_name(&log.take_ours(), &["logged_in"]);
    let key = world.everybody().of::<User>(&1).await.unwrap()[0].key;
    let here = world.logged_in(1).await;
    let current = one_name(&log.take_ours(), &["logged_in"]);
    here.post(&format!("/end/{key}")).await;
    let lines = log.take_ours();
    assert_eq!(one_name(&lines, &["logins_ended"]), current);
    let line = lines.iter().find(|line| line.contains("logins_ended"));
    assert_eq!(field(line.unwrap(), "ended"), Some(&*ended));
    there.get("/account").await;
    assert_eq!(one_name(&log.take_ours(), &["login_ended"]), ended);
}

#[actix_web::test]
async fn a_thief_of_the_store_or_of_a_cookie_cannot_compute_the_name() {
    let users = Users::new();
    let store = Arc::new(MemoryLoginStore::new());
    let site_with = |secret, fallback: Option<_>| {
        let (builder, _) = manager_base(&users);
        let builder = builder
            .login_store(Arc::clone(&store))
            .fallback_keys(fallback);
        let (builder, named) = watch(builder);
        (builder.build(secret).unwrap(), named)
    };
    let (manager, named) = site_with(key(), None);
    let logins = manager.logins().unwrap();
    let app = site(manager, &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?stale=true").await;
    let name = named.lock().unwrap().pop().unwrap().1.unwrap();
    let key_of_login = logins.of::<User>(&1).await.unwrap()[0].key;
    assert!(!key_of_login.to_string().contains(&name));
    // The name depends on the secret: the same record has another under another one.
    let (other, named) = site_with(key_of(8), None);
    assert!(other.logins().unwrap().end(key_of_login).await.unwrap());
    let with_other = named.lock().unwrap().pop().unwrap().1.unwrap();
    assert_ne!(with_other, name);
}

#[actix_web::test]
async fn a_login_without_a_store_has_no_name() {
    let (log, _guard) = Log::start();
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/confirm/1").await;
    browser.post("/logout").await;
    browser.get("/account").await;
    let lines = log.take_ours();
    assert!(lines.len() >= 4, "{lines:#?}");
    assert!(
        lines.iter().all(|line| field(line, "login").is_none()),
        "{lines:#?}"
    );
}
