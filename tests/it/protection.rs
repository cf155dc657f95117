//! Sessions that show up from another client.

use std::{net::IpAddr, time::Duration};

use actix_session::config::PersistentSession;
use actix_web::HttpRequest;
use login_runtime::{
    config::{
        AddressPart, ClientIdentity, LoginManagerBuilder,
        SessionProtection::{self, Basic, Strong},
    },
    test::Browser,
};
use login_tests::{User, Users, key, manager, sessions::MemorySessions};

use crate::world::{
    App, Events, REMEMBER, SESSION, Who, assert_clears, assert_leaves, assert_no_cookies,
    assert_sets, cart_of, site, who,
};

const MODES: [SessionProtection; 3] = [SessionProtection::None, Basic, Strong];

fn protected(users: &Users, mode: SessionProtection) -> (LoginManagerBuilder, Events) {
    let (builder, _) = manager(users);
    Events::of(builder.session_protection(mode))
}

#[actix_web::test]
async fn without_protection_a_client_can_change_as_it_likes() {
    let users = Users::new();
    let (builder, events) = protected(&users, SessionProtection::None);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    events.take();
    for agent in [Some("test/2"), None, Some("")] {
        browser.set_user_agent(agent);
        browser.set_address([192, 0, 2, 77]);
        let answer = browser.get("/settings").await;
        assert_eq!(answer.text(), "settings of ada");
        assert_no_cookies(&answer);
    }
    assert_eq!(events.take_but_accessed(), [""; 0]);
}

#[actix_web::test]
async fn an_unchanged_client_keeps_its_fresh_login() {
    let users = Users::new();
    for mode in MODES {
        let (builder, events) = protected(&users, mode);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        events.take();
        for _ in 0..3 {
            let answer = browser.get("/settings").await;
            assert_eq!(answer.text(), "settings of ada", "{mode:?}");
            assert_no_cookies(&answer);
        }
        assert_eq!(events.take_but_accessed(), [""; 0]);
    }
}

#[actix_web::test]
async fn basic_is_the_default() {
    let users = Users::new();
    let (builder, events) = Events::of(manager(&users).0);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.set_user_agent("thief/1");
    assert_eq!(browser.get("/settings").await.status(), 401);
    assert!(
        events
            .take()
            .contains(&"session_protected Basic".to_owned())
    );
}

#[actix_web::test]
async fn basic_protection_makes_the_login_of_a_changed_client_stale() {
    let users = Users::new();
    let (builder, events) = protected(&users, Basic);
    let sessions = MemorySessions::new();
    let app = site(
        builder
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.post("/cart/tea").await;
    browser.set_user_agent("test/2");
    events.take();
    let answer = browser.get("/settings").await;
    assert_eq!(answer.status(), 401);
    // Written down once.
    assert_sets(&answer, SESSION, None);
    assert_leaves(&answer, REMEMBER);
    assert_eq!(
        events.take_but_accessed(),
        ["session_protected Basic", "needs_refresh Stale"]
    );
    sessions.writes();
    let answer = browser.get("/account").await;
    assert_eq!(answer.text(), "account of ada");
    assert_no_cookies(&answer);
    assert_eq!(sessions.writes(), 0);
    // And reported at every request.
    assert_eq!(events.take_but_accessed(), ["session_protected Basic"]);
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));

    // Going back does not make it fresh again; credentials do.
    browser.set_user_agent("test/1");
    assert_eq!(browser.get("/settings").await.status(), 401);
    browser.post("/confirm/1").await.assert_page_shown();
    browser.get("/settings").await.assert_page_shown();
}

#[actix_web::test]
async fn strong_protection_ends_the_login_of_a_changed_client() {
    let users = Users::new();
    let (builder, events) = protected(&users, Strong);
    let builder = builder.session_store(MemorySessions::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.post("/cart/tea").await;
    browser.set_address([192, 0, 2, 1]);
    events.take();
    let answer = browser.get("/account").await;
    assert_eq!(answer.status(), 303);
    assert_sets(&answer, SESSION, None);
    assert_clears(&answer, REMEMBER);
    assert_eq!(
        events.take_but_accessed(),
        ["session_protected Strong", "unauthorized Anonymous"]
    );
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
    // Going back does not bring it back, nor does anything alarm again.
    browser.set_address([127, 0, 0, 1]);
    assert_eq!(who(&browser).await, Who::default());
    assert_eq!(events.take_but_accessed(), [""; 0]);
}

#[actix_web::test]
async fn strong_protection_clears_no_cookie_that_is_not_there() {
    let users = Users::new();
    let (builder, _) = protected(&users, Strong);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.set_user_agent("test/2");
    assert_leaves(&browser.get("/account").await, REMEMBER);
}

#[actix_web::test]
async fn strong_stays_strong_for_sessions_that_outlive_the_browser() {
    let users = Users::new();
    let (builder, _) = protected(&users, Strong);
    let app = site(
        builder
            .session_lifecycle(PersistentSession::default())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let day = Duration::from_secs(24 * 60 * 60);
    assert_sets(&browser.post("/login/1").await, SESSION, Some(day));
    browser.restart();
    browser.get("/account").await.assert_page_shown();
    browser.set_user_agent("test/2");
    assert_eq!(browser.get("/account").await.status(), 303);
}

/// Whether a login that is made at one address counts as the same client's at another.
async fn same(identity: ClientIdentity, first: &str, then: &str) -> bool {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let users = Users::new();
    let (builder, _) = protected(&users, Strong);
    let builder = builder.client_identity(identity);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.set_address(address(first));
    browser.post("/login/1").await;
    browser.set_address(address(then));
    who(&browser).await.id.is_some()
}

#[actix_web::test]
async fn the_whole_address_counts_by_default() {
    let all = ClientIdentity::new();
    assert!(!same(all, "192.0.2.1", "192.0.2.2").await);
    assert!(!same(all, "2001:db8::1", "2001:db8::2").await);
    assert!(same(all, "192.0.2.1", "192.0.2.1").await);
    // A server that listens on IPv6 sees IPv4 clients like this.
    assert!(same(all, "192.0.2.1", "::ffff:192.0.2.1").await);
}

#[actix_web::test]
async fn only_the_network_can_count() {
    let network = ClientIdentity::new().address(AddressPart::Network);
    assert!(!same(network, "192.0.2.1", "192.0.3.1").await);
    assert!(same(network, "192.0.2.1", "192.0.2.254").await);
    assert!(!same(network, "2001:db8:0:1::1", "2001:db8:0:2::1").await);
    assert!(same(network, "2001:db8:0:1::1", "2001:db8:0:1:ffff::2").await);
}

#[actix_web::test]
async fn only_the_user_agent_can_count() {
    let agent = ClientIdentity::new().address(AddressPart::Omit);
    assert!(same(agent, "192.0.2.1", "2001:db8::1").await);
    let users = Users::new();
    for (identity, stays) in [(agent, false), (agent.user_agent(false), true)] {
        let (builder, _) = protected(&users, Strong);
        let builder = builder.client_identity(identity);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1").await;
        browser.set_user_agent("test/2");
        assert_eq!(who(&browser).await.id.is_some(), stays);
    }
}

#[actix_web::test]
async fn addresses_that_a_client_claims_do_not_count() {
    let users = Users::new();
    let forwarded = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];
    let (builder, _) = protected(&users, Strong);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.set_address([192, 0, 2, 1]);
    browser.post("/login/1").await;
    // A thief who claims the victim's address is not let in, ..
    let thief = browser.copy();
    thief.set_address([198, 51, 100, 1]);
    for name in forwarded {
        let thief = thief.copy();
        let claim = if name == "forwarded" {
            "for=192.0.2.1"
        } else {
            "192.0.2.1"
        };
        let answer = thief.get("/account").header(name, claim).await;
        assert_eq!(answer.status(), 303, "{name}");
    }
    // .. and an invented one ends nobody's session.
    for name in forwarded {
        let answer = browser.get("/settings").header(name, "203.0.113.9").await;
        assert_eq!(answer.text(), "settings of ada", "{name}");
        assert_no_cookies(&answer);
    }
}

/// Puts a message into the session of an anonymous client, and has the client change.
async fn check_anonymous<S: App>(app: &S, events: &Events) {
    let browser = Browser::new(app);
    browser.post("/cart/tea").await;
    browser.get("/account").await;
    events.take();
    for agent in ["test/2", "test/3"] {
        browser.set_user_agent(agent);
        let answer = browser.get("/who").await;
        assert_eq!(answer.json(), Some(Who::default()));
        assert_no_cookies(&answer);
        assert_eq!(events.take_but_accessed(), [""; 0]);
    }
    assert_eq!(cart_of(&browser).await.as_deref(), Some("tea"));
    // Where the client wanted to go is still known, and an API key still works.
    let answer = browser.get("/account").header("x-api-key", "1").await;
    assert_eq!(answer.text(), "account of ada");
    let next: Option<String> = browser.get("/next").await.json().expect("next");
    assert_eq!(next.as_deref(), Some("/account"));
}

#[actix_web::test]
async fn a_session_without_a_login_is_never_suspicious() {
    let users = Users::new();
    for mode in MODES {
        let (builder, events) = protected(&users, mode);
        let by_key = users.clone();
        let builder =
            builder
                .use_session_for_next()
                .request_loader(move |request: &HttpRequest| {
                    let id = request.headers().get("x-api-key");
                    let id = id.and_then(|id| id.to_str().ok()?.parse().ok());
                    let user: Option<User> = id.and_then(|id| by_key.get(id));
                    async move { Ok::<_, String>(user) }
                });
        let app = site(builder.build(key()).unwrap(), &users).await;
        check_anonymous(&app, &events).await;
    }
}

#[actix_web::test]
async fn an_empty_session_raises_no_alarm_when_a_login_is_restored() {
    let users = Users::new();
    for mode in MODES {
        let (builder, events) = protected(&users, mode);
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?remember=true").await;
        browser.restart();
        browser.set_address([192, 0, 2, 1]);
        events.take();
        assert_eq!(who(&browser).await.id, Some(1), "{mode:?}");
        assert_eq!(events.take_but_accessed(), ["loaded_from_cookie ada"]);
    }
}

#[actix_web::test]
async fn a_restored_login_is_bound_to_the_client_that_restored_it() {
    let users = Users::new();
    let (builder, _) = protected(&users, Strong);
    let builder = builder.session_store(MemorySessions::new());
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1?remember=true").await;
    browser.restart();
    assert_eq!(who(&browser).await.id, Some(1));
    let thief = browser.copy();
    thief.drop_cookie(REMEMBER);
    thief.set_user_agent("thief/1");
    assert_eq!(who(&thief).await, Who::default());
}

#[actix_web::test]
async fn what_a_session_keeps_of_its_client_names_neither_agent_nor_address() {
    let users = Users::new();
    let sessions = MemorySessions::new();
    let mut kept = Vec::new();
    for number in [7, 8] {
        let (builder, _) = protected(&users, Basic);
        let key = login_tests::key_of(number);
        let app = site(
            builder.session_store(sessions.clone()).build(key).unwrap(),
            &users,
        )
        .await;
        let browser = Browser::new(&app);
        browser.post("/login/2").await;
        for state in sessions.contents().into_values() {
            let login = &state["_login:User"];
            assert!(!login.contains("test/1") && !login.contains("127.0.0.1"));
            kept.push(login.clone());
        }
        browser.post("/logout").await;
    }
    // Keyed, so that nobody can compute it from outside.
    assert_eq!(kept.len(), 2);
    assert_ne!(kept[0], kept[1]);
}
