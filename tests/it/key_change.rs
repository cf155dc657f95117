//! Sessions when the key changes: those under an older key go on, and are written under the current one.

use std::sync::Arc;

use actix_service::boxed::service;
use actix_session::{SessionMiddleware, config::PersistentSession, storage::CookieSessionStore};
use actix_web::cookie::{Cookie, CookieJar, time::Duration};
use login_runtime::{CookieSettings, MemoryLoginStore, test::Browser};
use login_tests::{
    Users, app, key_of as secret, manager, manager_base, record_logins, sessions::MemorySessions,
};

use crate::{
    events::Log,
    world::{
        BoxedApp, Gates, LOGIN, SESSION, Who, assert_leaves, assert_no_cookies, assert_sets,
        cart_of, gated_pages, name_of, site, while_waiting, who, with_raw_cookies,
    },
};

/// Where sessions and logins are in these tests.
#[derive(Clone)]
struct Place {
    sessions: Option<MemorySessions>,
    logins: Option<Arc<MemoryLoginStore>>,
}

impl Place {
    fn all() -> impl Iterator<Item = Self> {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .map(|(on_server, with_store)| Self {
                sessions: on_server.then(MemorySessions::new),
                logins: with_store.then(|| Arc::new(MemoryLoginStore::new())),
            })
    }

    /// The application after a start with these keys, the current one first.
    async fn start(&self, users: &Users, gates: &Gates, keys: &[u8]) -> BoxedApp {
        let (first, older) = keys.split_first().unwrap();
        let builder = record_logins(manager_base(users).0, self.logins.clone())
            .fallback_keys(older.iter().map(|key| secret(*key)));
        let (users, gates) = (users.clone(), gates.clone());
        match &self.sessions {
            None => {
                let manager = builder.build(secret(*first)).unwrap();
                service(app(manager, |routes| gated_pages(routes, users, gates)).await)
            }
            Some(sessions) => {
                let builder = builder.session_store(sessions.clone());
                let manager = builder.build(secret(*first)).unwrap();
                service(app(manager, |routes| gated_pages(routes, users, gates)).await)
            }
        }
    }

    fn name(&self) -> String {
        let (sessions, logins) = (self.sessions.is_some(), self.logins.is_some());
        format!("sessions on the server: {sessions}, login store: {logins}")
    }
}

#[actix_web::test]
async fn a_user_stays_logged_in_with_all_session_data_when_the_key_changes() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all() {
        let name = place.name();
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        browser.post("/cart/pear").await;
        let old = browser.cookie(SESSION).unwrap();

        // The first response sets the cookie under the new key, and no later one does.
        let second = place.start(&users, &gates, &[2, 1]).await;
        let browser = browser.at(&second);
        let answer = browser.get("/me").await;
        assert_eq!(answer.text(), "ada", "{name}");
        assert_ne!(assert_sets(&answer, SESSION, None), old, "{name}");
        assert_leaves(&browser.get("/me").await, SESSION);
        assert_eq!(cart_of(&browser).await.as_deref(), Some("pear"), "{name}");

        // So that the old key can go. A record keeps the fingerprint of its old key until it ends, so a login
        // that was made under it needs that key, and the session does not.
        let third = place.start(&users, &gates, &[2]).await;
        let browser = browser.at(&third);
        assert_eq!(cart_of(&browser).await.as_deref(), Some("pear"), "{name}");
        if place.logins.is_none() {
            assert_eq!(name_of(&browser).await, "ada", "{name}");
            assert_eq!(browser.get("/settings").await.status(), 200, "{name}");
        }
        if let Some(sessions) = &place.sessions {
            assert_eq!(sessions.len(), 1, "the session is the same one: {name}");
        }

        // Another key knows nobody.
        let other = place.start(&users, &gates, &[3]).await;
        assert_eq!(name_of(&browser.at(&other)).await, "nobody", "{name}");
    }
}

#[actix_web::test]
async fn a_session_cookie_under_a_removed_key_is_refused() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all() {
        let name = place.name();
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        for keys in [&[2][..], &[2, 3], &[2, 3, 4]] {
            let later = place.start(&users, &gates, keys).await;
            let browser = browser.at(&later);
            let answer = browser.get("/who").await;
            assert_eq!(answer.json(), Some(Who::default()), "{name}, {keys:?}");
            assert_no_cookies(&answer);
        }
        // As the third of three keys it is still good.
        let later = place.start(&users, &gates, &[2, 3, 1]).await;
        assert_eq!(name_of(&browser.at(&later)).await, "ada", "{name}");
    }
}

#[actix_web::test]
async fn a_forged_session_cookie_opens_under_no_key() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all() {
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        let good = browser.cookie(SESSION).unwrap();
        let second = place.start(&users, &gates, &[2, 1]).await;
        let mut forged = vec![
            good[1..].to_owned(),
            good[..good.len() - 4].to_owned(),
            format!("{good}AAAA"),
            String::new(),
            "x".repeat(5_000),
        ];
        forged.extend((0..good.len()).step_by(7).map(|at| {
            let swap = if good.as_bytes()[at] == b'A' {
                "B"
            } else {
                "A"
            };
            format!("{}{swap}{}", &good[..at], &good[at + 1..])
        }));
        // Under the secret itself, and under the right key for another name.
        let mut jar = CookieJar::new();
        let text = r#"{"_login:User":"[1,1700000000,1,0,null,1]"}"#;
        jar.private_mut(&secret(1)).add(Cookie::new(SESSION, text));
        forged.push(jar.get(SESSION).unwrap().value().to_owned());
        // The session itself, as if no key were needed.
        forged.push(text.replace('"', "%22").replace(',', "%2C"));
        for value in forged {
            let thief = Browser::new(&second);
            thief.set_cookie(SESSION, &value);
            let answer = thief.get("/who").await;
            assert_eq!(answer.json(), Some(Who::default()), "{value}");
            assert_no_cookies(&answer);
        }
        let thief = Browser::new(&second);
        thief.set_cookie("__Host-session2", &good);
        assert_eq!(who(&thief).await, Who::default());
    }
}

#[actix_web::test]
async fn a_name_that_only_decodes_to_the_session_cookie_opens_under_no_key() {
    let (users, gates) = (Users::new(), Gates::default());
    let place = Place::all().next().unwrap();
    let first = place.start(&users, &gates, &[1]).await;
    let browser = Browser::new(&first);
    browser.post("/login/1").await;
    let value = browser.cookie(SESSION).unwrap();
    let second = place.start(&users, &gates, &[2, 1]).await;
    let (escaped, twice) = (
        format!("%5F%5FHost-session={value}"),
        format!("{SESSION}={value}; {SESSION}={value}"),
    );
    for cookies in [escaped, twice] {
        let answer = with_raw_cookies(&second, "/me", cookies.as_bytes()).await;
        let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
        assert_eq!(body, "nobody", "{cookies}");
    }
    let good = format!("a=1; {SESSION}={value}");
    let answer = with_raw_cookies(&second, "/me", good.as_bytes()).await;
    let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
    assert_eq!(body, "ada");
}

#[actix_web::test]
async fn a_request_under_the_old_key_that_is_overtaken_by_a_log_out_revives_nothing() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all().filter(|place| place.logins.is_some() || place.sessions.is_some()) {
        let name = place.name();
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        let second = place.start(&users, &gates, &[2, 1]).await;
        let browser = browser.at(&second);
        let late = browser.copy();
        let gate = gates.close("read");
        let read = async { late.get("/read").await };
        let log_out = async { browser.post("/logout").await };
        let (read, _) = while_waiting(&gate, read, log_out).await;
        assert_eq!(read.status(), 200, "{name}");
        assert_no_cookies(&read);
        assert_eq!(name_of(&late).await, "nobody", "{name}");
        assert_eq!(name_of(&browser).await, "nobody", "{name}");
    }
}

#[actix_web::test]
async fn the_first_request_under_a_new_key_may_write_log_out_or_log_in_as_another() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all() {
        let name = place.name();
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        browser.post("/cart/pear").await;
        let second = place.start(&users, &gates, &[2, 1]).await;
        let writer = browser.at(&second);
        assert_eq!(writer.post("/cart/plum").await.status(), 200, "{name}");
        assert_eq!(cart_of(&writer).await.as_deref(), Some("plum"), "{name}");
        assert_eq!(name_of(&writer).await, "ada", "{name}");

        let leaver = browser.at(&second);
        leaver.post("/logout").await;
        assert_eq!(name_of(&leaver).await, "nobody", "{name}");
        let first = place.start(&users, &gates, &[1]).await;
        let browser = Browser::new(&first);
        browser.post("/login/1").await;
        let other = browser.at(&second);
        other.post("/login/2").await;
        assert_eq!(name_of(&other).await, "ben", "{name}");
    }
}

#[actix_web::test]
async fn during_a_restart_in_steps_every_process_reads_every_cookie() {
    let (users, gates) = (Users::new(), Gates::default());
    for place in Place::all() {
        let before = place.start(&users, &gates, &[1, 2]).await;
        let after = place.start(&users, &gates, &[2, 1]).await;
        let browser = Browser::new(&before);
        browser.post("/login/1").await;
        browser.post("/cart/pear").await;
        // The same browser, with the cookies that it has got so far.
        let mut cookie = browser.cookie(SESSION).unwrap();
        for app in [&after, &before, &after, &after, &before] {
            let browser = browser.at(app);
            browser.set_cookie(SESSION, &cookie);
            assert_eq!(name_of(&browser).await, "ada", "{}", place.name());
            assert_eq!(cart_of(&browser).await.as_deref(), Some("pear"));
            cookie = browser.cookie(SESSION).unwrap();
        }
    }
}

#[actix_web::test]
async fn a_session_that_outlasts_the_browser_keeps_its_lifetime_under_the_new_key() {
    let users = Users::new();
    let builder = || {
        let lifetime = PersistentSession::default().session_ttl(Duration::days(5));
        manager(&users).0.session_lifecycle(lifetime)
    };
    let first = site(builder().build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&first);
    browser.post("/login/1").await;
    let second = builder().fallback_keys([secret(1)]);
    let second = site(second.build(secret(2)).unwrap(), &users).await;
    let answer = browser.at(&second).get("/me").await;
    assert_sets(
        &answer,
        SESSION,
        Some(std::time::Duration::from_secs(5 * 86_400)),
    );
}

#[actix_web::test]
async fn with_a_login_cookie_the_session_data_survives_too() {
    let (users, store) = (Users::new(), Arc::new(MemoryLoginStore::new()));
    let builder = || {
        let builder = manager_base(&users).0.login_store(Arc::clone(&store));
        builder.login_cookie(CookieSettings::new())
    };
    let first = site(builder().build(secret(1)).unwrap(), &users).await;
    let browser = Browser::new(&first);
    browser.post("/login/1").await;
    browser.post("/cart/pear").await;
    let second = builder().fallback_keys([secret(1)]);
    let second = site(second.build(secret(2)).unwrap(), &users).await;
    let browser = browser.at(&second);
    let answer = browser.get("/me").await;
    assert_eq!(answer.text(), "ada");
    assert_sets(&answer, SESSION, None);
    assert_sets(&answer, LOGIN, None);
    let third = site(builder().build(secret(2)).unwrap(), &users).await;
    let browser = browser.at(&third);
    assert_eq!(cart_of(&browser).await.as_deref(), Some("pear"));
}

#[actix_web::test]
async fn with_its_own_session_middleware_a_change_of_its_key_leaves_it_to_the_token() {
    let users = Users::new();
    let own = |number| {
        move || {
            SessionMiddleware::builder(CookieSessionStore::default(), secret(number))
                .cookie_name(SESSION.to_owned())
                .build()
        }
    };
    let first = manager(&users).0.session_middleware(own(11));
    let first = site(first.build(secret(1)).unwrap(), &users).await;
    let (forgotten, remembered) = (Browser::new(&first), Browser::new(&first));
    forgotten.post("/login/1").await;
    remembered.post("/login/2?remember=true").await;
    let (log, _guard) = Log::start();
    let second = manager(&users).0.session_middleware(own(12));
    let second = second.fallback_keys([secret(1)]).build(secret(2)).unwrap();
    let warned = log.take_ours();
    assert!(
        warned
            .iter()
            .any(|line| line.contains("`session_middleware` opens its cookies under its own key")),
        "{warned:#?}"
    );
    let second = site(second, &users).await;
    assert_eq!(who(&forgotten.at(&second)).await, Who::default());
    let who = who(&remembered.at(&second)).await;
    assert_eq!((who.id, who.fresh), (Some(2), false));
}
