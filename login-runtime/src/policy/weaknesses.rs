//! What a login manager's settings weaken, for the log and for the check before a deployment.
//!
//! A setting that can only weaken has `danger` in its name: whoever writes it knows. So the log names only
//! settings that weaken with some values, or that many applications need. The check names all of them.

use crate::{
    core::{AddressPart, Limits, SessionProtection},
    http::CheckedCookie,
    manager::Manager,
    policy::finding::{Finding, Severity},
};

/// A finding, and whether the log names it when the manager is built.
pub(crate) struct Weakness {
    pub(crate) finding: Finding,
    pub(crate) is_logged: bool,
}

/// Everything that the settings weaken, in a fixed order.
pub(crate) fn weaknesses(manager: &Manager) -> Vec<Weakness> {
    let mut found = Vec::new();
    let insecure = manager.facts.insecure;
    let mut add = |is_logged, (code, severity, what, follows, advice)| {
        let finding = Finding {
            code,
            severity,
            what,
            follows,
            advice,
        };
        found.push(Weakness { finding, is_logged });
    };
    if insecure {
        let what = "`danger_insecure_cookies` lets browsers send login cookies over plain http";
        add(
            true,
            (
                "insecure-cookies",
                Severity::Error,
                what.to_owned(),
                "everyone on the network path can copy a login",
                "leave it out; this is for development only",
            ),
        );
    }
    for cookie in cookies(manager) {
        for [code, what, follows, advice] in cookie.weaknesses() {
            let what = format!("the cookie `{}` {what}", cookie.name);
            add(true, (code, Severity::Warning, what, follows, advice));
        }
        for [code, what, follows, advice] in cookie.dangers() {
            // The setting for all cookies is one finding.
            if !(insecure && code == "insecure-cookies") {
                let what = format!("the cookie `{}` {what}", cookie.name);
                add(false, (code, Severity::Error, what, follows, advice));
            }
        }
    }
    for (is_weak, is_logged, weakness) in settings(manager) {
        if is_weak {
            let (code, severity, what, follows, advice) = weakness;
            add(
                is_logged,
                (code, severity, what.to_owned(), follows, advice),
            );
        }
    }
    for user in &manager.users {
        if user.loader.has_session_hash() == Some(false) {
            let what = format!("the user type `{}` has no session hash", user.loader.name());
            add(
                false,
                (
                    "no-session-hash",
                    Severity::Warning,
                    what,
                    "a changed password ends no login by itself",
                    "mark a field with `#[auth(password_hash)]` or `#[auth(session_hash)]`",
                ),
            );
        }
    }
    let origins = manager.refusal.own_origin.iter();
    for origin in origins.chain(&manager.refusal.origins) {
        if origin.text.starts_with("http://") {
            add(
                false,
                (
                    "http-origin",
                    Severity::Error,
                    format!("the application's own origin is `{}`", origin.text),
                    "clients are sent to pages over plain http",
                    "write `https://`",
                ),
            );
        }
    }
    found
}

/// All cookies of a manager, those of the application's own session middleware excepted.
pub(crate) fn cookies(manager: &Manager) -> impl Iterator<Item = &CheckedCookie> {
    let users = manager.users.iter();
    let of_users = users.flat_map(|user| user.login_cookie.iter().chain([&user.remember]));
    manager.facts.session_cookie.iter().chain(of_users)
}

type Text = &'static str;

/// Whether a setting weakens, whether the log names it, and the parts of the finding.
type Row = (bool, bool, (Text, Severity, Text, Text, Text));

fn settings(manager: &Manager) -> Vec<Row> {
    use Severity::{Error, Warning};
    let identity = manager.client.identity;
    let is_anybody = !identity.user_agent && identity.address == AddressPart::Omit;
    let is_off = manager.client.protection == SessionProtection::None;
    let facts = &manager.facts;
    let records = manager.records.as_ref();
    let is_in_memory = facts
        .login_store
        .as_deref()
        .is_some_and(|name| name.contains("MemoryLoginStore"));
    let is_own = facts.session_cookie.is_none();
    vec![
        (
            manager.guards.exempt_options,
            true,
            (
                "exempt-options",
                Warning,
                "`exempt_options` lets OPTIONS requests without a login through all guards",
                "handlers that take every method answer them",
                "leave it out",
            ),
        ),
        (
            manager.guards.fresh_for.is_none(),
            true,
            (
                "fresh-for-the-session",
                Warning,
                "`fresh_for_the_session` keeps a login fresh until it ends",
                "whoever finds an unlocked device can change the password",
                "prefer `fresh_for(..)`",
            ),
        ),
        (
            is_off,
            true,
            (
                "session-protection",
                Warning,
                "`session_protection` is off",
                "a login goes on in whatever browser has its cookie",
                "prefer `SessionProtection::Basic`",
            ),
        ),
        (
            is_anybody && !is_off,
            true,
            (
                "client-identity",
                Warning,
                "`client_identity` contains neither the user agent nor the address",
                "session protection never finds another client",
                "add one of them, or turn session protection off",
            ),
        ),
        (
            records.is_none(),
            true,
            (
                "session-only",
                Error,
                "`session_only` records logins only in the browser's cookies or session",
                "the server cannot end a login of another browser, and a copy of a cookie may outlive the log \
                 out",
                "prefer `login_store(..)`",
            ),
        ),
        (
            is_own && facts.keys > 1,
            true,
            (
                "session-middleware-key",
                Warning,
                "`session_middleware` opens its cookies under its own key, and not under `fallback_keys`",
                "its sessions end when that key changes",
                "keep its key, or configure the session with `session_store(..)` and `session_cookie(..)`",
            ),
        ),
        (
            is_in_memory,
            false,
            (
                "memory-login-store",
                Error,
                "`MemoryLoginStore` keeps logins in the memory of one process",
                "all of them end when it stops, and a second process does not know them",
                "take the login store of the feature `sqlite`, `postgres` or `redis`",
            ),
        ),
        (
            !manager.routes.deny_by_default,
            false,
            (
                "no-deny-by-default",
                Warning,
                "`deny_by_default` is not set",
                "a route without a guard is open to everyone, also if the guard was forgotten",
                "add `.deny_by_default()`, and declare each public route",
            ),
        ),
        (
            manager.throttle.is_off,
            false,
            (
                "no-throttle",
                Error,
                "`Throttle::danger_off` turns off the limit of failed tries",
                "an attacker may guess as fast as the passwords can be checked",
                "leave it out, unless something else limits failed log ins by account",
            ),
        ),
        (
            manager.refusal.any_host,
            false,
            (
                "any-host",
                Error,
                "`danger_any_host` trusts the `Host` header of every client",
                "an attacker who can change it makes the login view lead to another host",
                "list the hosts with `origins(..)`",
            ),
        ),
        (
            records.is_some_and(|records| records.max.is_none()),
            false,
            (
                "any-number-of-logins",
                Warning,
                "`danger_any_number_of_logins` sets no limit",
                "a single user can fill the login store",
                "prefer `max_logins(..)`",
            ),
        ),
        (
            records.is_some() && !manager.limits.has_idle(),
            false,
            (
                "no-idle-limit",
                Warning,
                "logins have no idle limit",
                "a forgotten browser stays logged in until the absolute limit",
                "give `Limits` an `idle(..)`",
            ),
        ),
        (
            !manager
                .limits
                .misses(
                    &Limits::aal1(),
                    Some(manager.remembering.longest_by_default()),
                )
                .is_empty(),
            false,
            (
                "limits-beyond-aal1",
                Warning,
                "a login or a remember cookie may last over 30 days",
                "no assurance level of NIST SP 800-63B-4 is met",
                "take one of the presets `Limits::aal1()` to `aal3()`",
            ),
        ),
    ]
}
