//! What a login manager's settings weaken, for the log.
//!
//! A setting that can only weaken has `danger` in its name. One that weakens only with some values, or
//! that many applications need, is logged when the manager is built.

use crate::{
    core::{AddressPart, SessionProtection},
    http::CheckedCookie,
    manager::Manager,
};

/// Logs a line for each setting that weakens. `session` is the session cookie, if the manager sets it.
pub(crate) fn log(manager: &Manager, session: Option<&CheckedCookie>) {
    let users = manager.users.iter();
    let of_users = users.flat_map(|user| user.login_cookie.iter().chain([&user.remember]));
    for cookie in session.into_iter().chain(of_users) {
        for why in cookie.weaknesses() {
            let name = &cookie.name;
            tracing::warn!(target: "login", event = "weak_cookie", "the cookie `{name}` {why}");
        }
    }
    let identity = manager.client.identity;
    let is_anybody = !identity.user_agent && identity.address == AddressPart::Omit;
    let is_off = manager.client.protection == SessionProtection::None;
    let settings = [
        (
            manager.guards.exempt_options,
            "exempt_options",
            "lets OPTIONS requests without a login through all guards, so handlers that take every method \
             answer them",
        ),
        (
            manager.guards.fresh_for.is_none(),
            "fresh_for_the_session",
            "keeps a login fresh until it ends, so whoever finds an unlocked device can change the \
             password; prefer `fresh_for(..)`",
        ),
        (
            is_off,
            "session_protection",
            "is off, so a login goes on in whatever browser has its cookie; prefer \
             `SessionProtection::Basic`",
        ),
        (
            is_anybody && !is_off,
            "client_identity",
            "contains neither the user agent nor the address, so session protection never finds another \
             client",
        ),
        (
            manager.records.is_none(),
            "session_only",
            "records logins only in the browser's cookies or session, so the server cannot end a login of \
             another browser, and a copy of a cookie may outlive the log out; prefer `login_store(..)`",
        ),
    ];
    for (is_weak, setting, why) in settings {
        if is_weak {
            tracing::warn!(target: "login", event = "weak_setting", "`{setting}` {why}");
        }
    }
}
