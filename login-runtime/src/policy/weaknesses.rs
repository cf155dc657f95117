//! What a login manager's settings weaken, for the log and for the check before a deployment.
//!
//! A setting that can only weaken has `danger` in its name: whoever writes it knows. So the log names only
//! settings that weaken with some values, or that many applications need. The check names all of them.

use std::time::Duration;

use crate::{
    core::{AddressPart, Limits, ResourcePolicy, SessionProtection},
    http::CheckedCookie,
    manager::Manager,
    policy::finding::{
        Finding,
        Severity::{Error, Warning},
    },
    store::CountedIn,
};

/// A finding, and whether the log names it.
pub(crate) struct Weakness {
    pub(crate) finding: Finding,
    /// The event under which the log names it when the manager is built.
    pub(crate) event: Option<&'static str>,
}

/// A longer time for which ended logins may still work is a weakness.
///
/// Raising it warns of fewer caches; the requests for a page take less than a second.
const LONG_CACHED: Duration = Duration::from_secs(5);

/// Events of the log.
const SETTING: Option<&str> = Some("weak_setting");
const COOKIE: Option<&str> = Some("weak_cookie");

/// Everything that the settings weaken, in a fixed order.
pub(crate) fn weaknesses(manager: &Manager) -> Vec<Weakness> {
    let mut found = Vec::new();
    found.extend(insecure_cookies(manager));
    found.extend(cookies(manager).flat_map(|cookie| of_cookie(cookie, manager.facts.insecure)));
    found.extend(of_settings(manager));
    found.extend(of_users(manager));
    found.extend(of_origins(manager));
    found.extend(of_trusted_origins(manager));
    found
}

/// All cookies of a manager, those of the application's own session middleware excepted.
pub(crate) fn cookies(manager: &Manager) -> impl Iterator<Item = &CheckedCookie> {
    let users = manager.users.iter();
    let of_users = users.flat_map(|user| user.login_cookie.iter().chain([&user.remember]));
    manager.facts.session_cookie.iter().chain(of_users)
}

fn insecure_cookies(manager: &Manager) -> Option<Weakness> {
    manager.facts.insecure.then(|| Weakness {
        event: SETTING,
        finding: Finding {
            code: "insecure-cookies",
            severity: Error,
            what: "`danger_insecure_cookies` lets browsers send login cookies over plain http"
                .to_owned(),
            follows: "everyone on the network path can copy a login",
            advice: "leave it out; this is for development only",
        },
    })
}

/// `insecure`: whether no cookie is secure, which is one finding for all of them.
fn of_cookie(cookie: &CheckedCookie, insecure: bool) -> impl Iterator<Item = Weakness> {
    let weaknesses = cookie.weaknesses();
    let weaknesses = weaknesses.filter(move |it| !(insecure && it.code == "insecure-cookies"));
    weaknesses.map(|weakness| Weakness {
        event: if weakness.is_danger { None } else { COOKIE },
        finding: Finding {
            code: weakness.code,
            severity: if weakness.is_danger { Error } else { Warning },
            what: format!("the cookie `{}` {}", cookie.name, weakness.what),
            follows: weakness.follows,
            advice: weakness.advice,
        },
    })
}

fn of_settings(manager: &Manager) -> impl Iterator<Item = Weakness> {
    let identity = manager.client.identity;
    let is_anybody = !identity.user_agent && identity.address == AddressPart::Omit;
    let is_off = manager.client.protection == SessionProtection::None;
    let facts = &manager.facts;
    let records = manager.records.as_ref();
    // By name, because a store may be shared or wrapped: `Arc<MemoryLoginStore>`.
    let is_in_memory = facts
        .login_store
        .as_deref()
        .is_some_and(|name| name.contains("MemoryLoginStore"));
    let has_own_middleware = facts.session_cookie.is_none();
    [
        (
            manager.guards.exempt_options,
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "exempt-options",
                    severity: Warning,
                    what: "`exempt_options` lets OPTIONS requests without a login through all guards".to_owned(),
                    follows: "handlers that take every method answer them",
                    advice: "leave it out",
                },
            },
        ),
        (
            manager.guards.fresh_for.is_none(),
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "fresh-for-the-session",
                    severity: Warning,
                    what: "`fresh_for_the_session` keeps a login fresh until it ends".to_owned(),
                    follows: "whoever finds an unlocked device can change the password",
                    advice: "prefer `fresh_for(..)`",
                },
            },
        ),
        (
            is_off,
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "session-protection",
                    severity: Warning,
                    what: "`session_protection` is off".to_owned(),
                    follows: "a login goes on in whatever browser has its cookie",
                    advice: "prefer `SessionProtection::Basic`",
                },
            },
        ),
        (
            is_anybody && !is_off,
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "client-identity",
                    severity: Warning,
                    what: "`client_identity` contains neither the user agent nor the address".to_owned(),
                    follows: "session protection never finds another client",
                    advice: "add one of them, or turn session protection off",
                },
            },
        ),
        (
            records.is_none(),
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "session-only",
                    severity: Error,
                    what: "`session_only` records logins only in the browser's cookies or session".to_owned(),
                    follows: "the server cannot end a login of another browser, and a copy of a cookie may outlive the log \
                 out",
                    advice: "prefer `login_store(..)`",
                },
            },
        ),
        (
            has_own_middleware && facts.keys > 1,
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "session-middleware-key",
                    severity: Warning,
                    what: "`session_middleware` opens its cookies under its own key, and not under `fallback_keys`".to_owned(),
                    follows: "its sessions end when that key changes",
                    advice: "keep its key, or configure the session with `session_store(..)` and `session_cookie(..)`",
                },
            },
        ),
        (
            is_in_memory,
            Weakness {
                event: None,
                finding: Finding {
                    code: "memory-login-store",
                    severity: Error,
                    what: "`MemoryLoginStore` keeps logins in the memory of one process".to_owned(),
                    follows: "all of them end when it stops, and a second process does not know them",
                    advice: "take the login store of the feature `sqlite`, `postgres` or `redis`",
                },
            },
        ),
        (
            facts
                .login_store_cached_for
                .is_some_and(|age| age > LONG_CACHED),
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "long-cached-logins",
                    severity: Warning,
                    what: "`CachedLoginStore::max_age` is over five seconds".to_owned(),
                    follows: "for that long, a login that another process has ended still works",
                    advice: "leave it at one second, which covers the requests for a page",
                },
            },
        ),
        (
            !manager.routes.deny_by_default,
            Weakness {
                event: None,
                finding: Finding {
                    code: "no-deny-by-default",
                    severity: Warning,
                    what: "`deny_by_default` is not set".to_owned(),
                    follows: "a route without a guard is open to everyone, also if the guard was forgotten",
                    advice: "add `.deny_by_default()`, and declare each public route",
                },
            },
        ),
        (
            manager.get_log_out,
            Weakness {
                event: None,
                finding: Finding {
                    code: "get-log-out",
                    severity: Warning,
                    what: "`danger_allow_get_log_out` lets GET requests end logins".to_owned(),
                    follows: "a link or an image of any other site can log users out",
                    advice: "leave it out, and log out with a form",
                },
            },
        ),
        (
            manager.caching.resources == ResourcePolicy::Unset,
            Weakness {
                event: None,
                finding: Finding {
                    code: "no-resource-policy",
                    severity: Warning,
                    what: "`ResourcePolicy::Unset` sends no `Cross-Origin-Resource-Policy`".to_owned(),
                    follows: "pages of other origins may load protected images and scripts into their process",
                    advice: "leave it out, unless the application sends the header itself",
                },
            },
        ),
        (
            manager.throttle.is_off,
            Weakness {
                event: None,
                finding: Finding {
                    code: "no-throttle",
                    severity: Error,
                    what: "`Throttle::danger_off` turns off the limit of failed tries".to_owned(),
                    follows: "an attacker may guess as fast as the passwords can be checked",
                    advice: "leave it out, unless something else limits failed log ins by account",
                },
            },
        ),
        (
            manager.cross_site.is_off,
            Weakness {
                event: None,
                finding: Finding {
                    code: "no-cross-site-check",
                    severity: Error,
                    what: "`danger_no_cross_site_check` takes requests of pages of every site".to_owned(),
                    follows: "a page that a user visits can act for the user, or log the user in as somebody else",
                    advice: "leave it out, unless each form has a CSRF token, that of the log in included",
                },
            },
        ),
        (
            manager.cross_site.rules.same_site && !manager.cross_site.is_off,
            Weakness {
                event: SETTING,
                finding: Finding {
                    code: "same-site-allowed",
                    severity: Warning,
                    what: "`allow_same_site` takes requests of pages of every host of the same site".to_owned(),
                    follows: "whoever controls one of these hosts can act for the user",
                    advice: "prefer `trusted_origins(..)`",
                },
            },
        ),
        (
            !manager.throttle.is_off
                && manager.throttle.counted_in == CountedIn::Memory
                // That is a finding of its own, and there is one process only.
                && !is_in_memory,
            Weakness {
                event: None,
                finding: Finding {
                    code: "memory-throttle",
                    severity: Warning,
                    what: "failed tries are counted in the memory of one process".to_owned(),
                    follows: "a client has as many free tries as there are processes, and all of them again after a \
                              restart",
                    advice: "count in the login store, which that of the feature `sqlite`, `postgres` or `redis` does \
                             by default, or in a `ThrottleStore` of your own",
                },
            },
        ),
        (
            manager.refusal.any_host,
            Weakness {
                event: None,
                finding: Finding {
                    code: "any-host",
                    severity: Error,
                    what: "`danger_any_host` trusts the `Host` header of every client".to_owned(),
                    follows: "an attacker who can change it makes the login view lead to another host",
                    advice: "list the hosts with `origins(..)`",
                },
            },
        ),
        (
            records.is_some_and(|records| records.max.is_none()),
            Weakness {
                event: None,
                finding: Finding {
                    code: "any-number-of-logins",
                    severity: Warning,
                    what: "`danger_any_number_of_logins` sets no limit".to_owned(),
                    follows: "a single user can fill the login store",
                    advice: "prefer `max_logins(..)`",
                },
            },
        ),
        (
            records.is_some() && !manager.limits.has_idle(),
            Weakness {
                event: None,
                finding: Finding {
                    code: "no-idle-limit",
                    severity: Warning,
                    what: "logins have no idle limit".to_owned(),
                    follows: "a forgotten browser stays logged in until the absolute limit",
                    advice: "give `Limits` an `idle(..)`",
                },
            },
        ),
        (
            !manager
                .limits
                .misses(
                    &Limits::aal1(),
                    Some(manager.remembering.longest_by_default()),
                )
                .is_empty(),
            Weakness {
                event: None,
                finding: Finding {
                    code: "limits-beyond-aal1",
                    severity: Warning,
                    what: "a login or a remember cookie may last over 30 days".to_owned(),
                    follows: "no assurance level of NIST SP 800-63B-4 is met",
                    advice: "take one of the presets `Limits::aal1()` to `aal3()`",
                },
            },
        ),
    ]
    .into_iter()
    .filter_map(|(is_weak, weakness)| is_weak.then_some(weakness))
}

fn of_users(manager: &Manager) -> impl Iterator<Item = Weakness> {
    let users = manager.users.iter();
    let weak = users.filter(|user| user.loader.has_session_hash() == Some(false));
    weak.map(|user| Weakness {
        event: None,
        finding: Finding {
            code: "no-session-hash",
            severity: Warning,
            what: format!("the user type `{}` has no session hash", user.loader.name()),
            follows: "a changed password ends no login by itself",
            advice: "mark a field with `#[auth(password_hash)]` or `#[auth(session_hash)]`",
        },
    })
}

fn of_origins(manager: &Manager) -> impl Iterator<Item = Weakness> {
    let refusal = &manager.refusal;
    let origins = refusal.own_origin.iter().chain(&refusal.origins);
    let weak = origins.filter(|origin| origin.text.starts_with("http://"));
    weak.map(|origin| Weakness {
        event: None,
        finding: Finding {
            code: "http-origin",
            severity: Error,
            what: format!("the application's own origin is `{}`", origin.text),
            follows: "clients are sent to pages over plain http",
            advice: "write `https://`",
        },
    })
}

fn of_trusted_origins(manager: &Manager) -> impl Iterator<Item = Weakness> {
    let trusted = manager.cross_site.rules.trusted.iter();
    let weak = trusted.filter(|origin| origin.is_plain_http());
    weak.map(|origin| Weakness {
        event: None,
        finding: Finding {
            code: "http-trusted-origin",
            severity: Error,
            what: format!("`trusted_origins` lists `{}`", origin.text()),
            follows: "everyone on the network path can change its pages, and act for the user through them",
            advice: "write `https://`",
        },
    })
}
