//! Logins that have to end.

use std::time::Duration;

use super::*;

#[test]
fn the_login_of_a_disabled_user_stays_ended_when_the_user_is_enabled_again() {
    if curl::is_missing() {
        return;
    }
    let users = Users::new();
    let (manager, _clock) = manager(&users, |builder| builder);
    let server = Server::start(manager, routes);
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1"), ("remember", "true")]);
    assert_eq!(ada.get(&server.url("/account")).status, 200);
    users.change(1, |user| user.is_active = false);
    assert_eq!(ada.get(&server.url("/account")).status, 401);
    users.change(1, |user| user.is_active = true);
    assert_eq!(ada.get(&server.url("/account")).status, 401);
    assert!(
        ada.get(&server.url("/me"))
            .body
            .contains("<p>anonymous</p>")
    );
}

#[test]
fn a_login_ends_after_twelve_hours_of_constant_use() {
    if curl::is_missing() {
        return;
    }
    let (manager, clock) = manager(&Users::new(), |builder| builder);
    let server = Server::start(manager, routes);
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1")]);
    for _ in 0..12 * 6 - 1 {
        clock.advance(Duration::from_secs(10 * 60));
        assert_eq!(ada.get(&server.url("/account")).status, 200);
    }
    clock.advance(Duration::from_secs(10 * 60));
    assert_eq!(ada.get(&server.url("/account")).status, 401);
}

#[test]
fn a_remembered_login_that_is_used_every_day_ends() {
    if curl::is_missing() {
        return;
    }
    let (manager, clock) = manager(&Users::new(), |builder| builder);
    let server = Server::start(manager, routes);
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1"), ("remember", "true")]);
    let mut days = 0;
    while ada.get(&server.url("/account")).status == 200 {
        clock.advance(Duration::from_secs(24 * 60 * 60));
        ada.close_browser();
        days += 1;
        assert!(days < 400, "it does not end");
    }
    assert!((29..=365).contains(&days), "{days}");
}
