//! A remember cookie in the hands of two.

use std::time::Duration;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Ada's browser after a log in with a remember cookie, closed and opened again.
fn remembered(server: &Server) -> curl::Jar {
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1"), ("remember", "true")]);
    ada.close_browser();
    ada
}

/// Whether the client is logged in.
fn is_in(jar: &curl::Jar, server: &Server) -> bool {
    jar.get(&server.url("/account")).status == 200
}

#[test]
fn a_thief_who_never_shows_the_remember_cookie_again_is_noticed_when_the_owner_returns() {
    if curl::is_missing() {
        return;
    }
    let (manager, clock) = manager(&Users::new(), |builder| builder);
    let server = Server::start(manager, routes);
    let ada = remembered(&server);
    // The first use of a token shows that it arrived, and the next replaces it.
    assert!(is_in(&ada, &server));
    ada.close_browser();
    clock.advance(DAY);
    let thief = ada.stolen();
    assert!(is_in(&thief, &server), "the cookie was copied");
    thief.remove("__Host-remember");
    // The thief's next request shows that the response arrived.
    assert!(is_in(&thief, &server));
    clock.advance(DAY / 48);
    assert!(
        !is_in(&ada, &server),
        "the owner's token was replaced a while ago"
    );
    assert!(!is_in(&thief, &server), "both logins end");
}

#[test]
fn a_remembered_user_whose_response_was_lost_is_let_in_again() {
    if curl::is_missing() {
        return;
    }
    let (manager, clock) = manager(&Users::new(), |builder| builder);
    let server = Server::start(manager, routes);
    let ada = remembered(&server);
    for _ in 0..3 {
        // The copy gets the response, and the browser never does.
        let lost = ada.stolen();
        assert!(is_in(&lost, &server));
        clock.advance(DAY);
    }
    assert!(is_in(&ada, &server));
    assert!(is_in(&ada, &server));
}

#[test]
fn a_remembered_user_returns_every_day_for_a_month_without_an_alarm() {
    if curl::is_missing() {
        return;
    }
    let (manager, clock) = manager(&Users::new(), |builder| builder);
    let server = Server::start(manager, routes);
    let ada = remembered(&server);
    for day in 0..28 {
        for _ in 0..3 {
            assert!(is_in(&ada, &server), "{day}");
        }
        ada.close_browser();
        clock.advance(DAY);
    }
}
