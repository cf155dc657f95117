//! Counters, gauges and histograms for the facade [`metrics`](https://docs.rs/metrics), with the feature
//! `metrics`.
//!
//! This module has their names. The guide says what each of them counts, and how an application collects
//! them: [`guide::metrics`](crate::guide::metrics).
//!
//! # Security
//!
//! A label has one of a few values that are known when the application is compiled. No user id, name of an
//! account, address, path or token is ever a label, so a client cannot make the number of time series grow,
//! and what a metrics server stores is not about persons.

use ::metrics::{Key, Level, Metadata, Recorder, Unit, with_recorder};

/// A counter of log ins. Label: `method`.
pub const LOGINS: &str = "login_logins_total";
/// A counter of log ins from a client that is new to the user, see
/// [`LoginEvent::LoggedIn`](crate::events::LoginEvent::LoggedIn). It counts only while the log, at the level
/// `INFO`, or a subscriber takes events, because otherwise no client is looked up.
pub const NEW_CLIENTS: &str = "login_new_clients_total";
/// A counter of log ins of users who may not log in. Label: `reason`.
pub const LOGINS_REFUSED: &str = "login_logins_refused_total";
/// A counter of logins that were made fresh by giving credentials again.
pub const CONFIRMATIONS: &str = "login_confirmations_total";
/// A counter of logins that were not made fresh, although credentials were given. Label: `reason`.
pub const CONFIRMATIONS_REFUSED: &str = "login_confirmations_refused_total";
/// A counter of log outs.
pub const LOGOUTS: &str = "login_logouts_total";
/// A counter of logins that ended otherwise than by a log out. Label: `reason`.
pub const ENDED: &str = "login_ended_total";
/// A counter of users who have new credentials, as far as the application said so.
pub const CREDENTIALS_CHANGED: &str = "login_credentials_changed_total";
/// A counter of refused requests. Label: `reason`.
pub const REFUSALS: &str = "login_refusals_total";
/// A counter of requests that were answered with 503 because a user, a login or a permission could not be
/// looked up.
pub const LOAD_FAILURES: &str = "login_load_failures_total";
/// A counter of events that an audit trail could not store.
pub const EVENTS_LOST: &str = "login_events_lost_total";
/// A counter of logins that were used by another client. Label: `mode`.
pub const OTHER_CLIENTS: &str = "login_other_clients_total";
/// A counter of remember cookies that were invalid. Label: `reason`.
pub const REMEMBER_COOKIES_REFUSED: &str = "login_remember_cookies_refused_total";
/// A counter of remember tokens that their browser had already replaced: somebody has a copy.
pub const REMEMBER_TOKENS_REUSED: &str = "login_remember_tokens_reused_total";
/// A counter of refused passwords. Label: `reason`.
pub const PASSWORDS_REFUSED: &str = "login_passwords_refused_total";
/// A counter of wrong codes, API keys and the like, which the throttle counts.
pub const ATTEMPTS_REFUSED: &str = "login_attempts_refused_total";
/// A counter of tries that were refused without a check. Labels: `by`, `purpose`.
pub const THROTTLED: &str = "login_throttled_total";
/// A histogram of the time that a call of a store took, in seconds: of the login store, of the store of the
/// throttle, or of a session store on the server.
/// Labels: `operation`, `outcome`.
pub const STORE_SECONDS: &str = "login_store_seconds";
/// A histogram of the time that a check of a password, or a new hash, waited for its turn, in seconds. Label:
/// `outcome`.
pub const PASSWORD_WAIT_SECONDS: &str = "login_password_wait_seconds";
/// A histogram of the time that a check of a password, or a new hash, ran, in seconds.
pub const PASSWORD_CHECK_SECONDS: &str = "login_password_check_seconds";
/// A gauge of the checks of passwords, and the new hashes, that wait for their turn.
pub const PASSWORD_CHECKS_WAITING: &str = "login_password_checks_waiting";
/// A gauge of the checks of passwords, and the new hashes, that run.
pub const PASSWORD_CHECKS_RUNNING: &str = "login_password_checks_running";
/// A counter of checks of passwords that were not made and answered with 503. Label: `reason`.
pub const PASSWORDS_BUSY: &str = "login_passwords_busy_total";

pub(crate) const METADATA: Metadata<'static> =
    Metadata::new("login", Level::INFO, Some(module_path!()));

/// What a metric is, for its description.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What a metrics server shows next to each name.
const DESCRIPTIONS: [(&str, Kind, &str); 23] = [
    (LOGINS, Kind::Counter, "Log ins, by method"),
    (
        NEW_CLIENTS,
        Kind::Counter,
        "Log ins from a client that is new to the user",
    ),
    (
        LOGINS_REFUSED,
        Kind::Counter,
        "Log ins of users who may not log in, by reason",
    ),
    (
        CONFIRMATIONS,
        Kind::Counter,
        "Logins made fresh by giving credentials again",
    ),
    (
        CONFIRMATIONS_REFUSED,
        Kind::Counter,
        "Logins not made fresh although credentials were given, by reason",
    ),
    (LOGOUTS, Kind::Counter, "Log outs"),
    (
        CREDENTIALS_CHANGED,
        Kind::Counter,
        "Users who have new credentials",
    ),
    (
        ENDED,
        Kind::Counter,
        "Logins that ended otherwise than by a log out, by reason",
    ),
    (REFUSALS, Kind::Counter, "Refused requests, by reason"),
    (
        LOAD_FAILURES,
        Kind::Counter,
        "Requests whose user, login or permission could not be looked up",
    ),
    (
        EVENTS_LOST,
        Kind::Counter,
        "Events that an audit trail could not store",
    ),
    (
        OTHER_CLIENTS,
        Kind::Counter,
        "Logins used by another client, by mode of protection",
    ),
    (
        REMEMBER_COOKIES_REFUSED,
        Kind::Counter,
        "Invalid remember cookies, by reason",
    ),
    (
        REMEMBER_TOKENS_REUSED,
        Kind::Counter,
        "Remember tokens of which somebody has a copy",
    ),
    (
        PASSWORDS_REFUSED,
        Kind::Counter,
        "Refused passwords, by reason",
    ),
    (
        ATTEMPTS_REFUSED,
        Kind::Counter,
        "Wrong codes, API keys and the like",
    ),
    (
        THROTTLED,
        Kind::Counter,
        "Tries refused without a check, by counter and purpose",
    ),
    (
        STORE_SECONDS,
        Kind::Histogram,
        "Calls of stores, by operation and outcome",
    ),
    (
        PASSWORD_WAIT_SECONDS,
        Kind::Histogram,
        "Waits of password checks for their turn, by outcome",
    ),
    (
        PASSWORD_CHECK_SECONDS,
        Kind::Histogram,
        "Checks of passwords and new hashes",
    ),
    (
        PASSWORD_CHECKS_WAITING,
        Kind::Gauge,
        "Password checks that wait for their turn",
    ),
    (
        PASSWORD_CHECKS_RUNNING,
        Kind::Gauge,
        "Password checks that run",
    ),
    (
        PASSWORDS_BUSY,
        Kind::Counter,
        "Password checks that were not made, by reason",
    ),
];

/// Tells the recorder what each metric is, and its unit.
///
/// [`build`](crate::config::LoginManagerBuilder::build) does this too. Call it if the application installs its
/// recorder after it has built its login manager.
pub fn describe() {
    with_recorder(|recorder| {
        for (name, kind, text) in DESCRIPTIONS {
            describe_one(recorder, name, kind, text);
        }
    });
}

fn describe_one(recorder: &dyn Recorder, name: &'static str, kind: Kind, text: &'static str) {
    let (name, text) = (name.into(), text.into());
    match kind {
        Kind::Counter => recorder.describe_counter(name, Some(Unit::Count), text),
        Kind::Gauge => recorder.describe_gauge(name, Some(Unit::Count), text),
        Kind::Histogram => recorder.describe_histogram(name, Some(Unit::Seconds), text),
    }
}

pub(crate) fn count(key: &Key, by: u64) {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA).increment(by));
}

/// A key whose labels are known at compile time: recording it allocates nothing.
macro_rules! static_key {
    ($name:expr) => {{
        static KEY: ::metrics::Key = ::metrics::Key::from_static_name($name);
        &KEY
    }};
    ($name:expr, $($label:literal => $value:expr),+) => {{
        static LABELS: &[::metrics::Label] =
            &[$(::metrics::Label::from_static_parts($label, $value)),+];
        static KEY: ::metrics::Key = ::metrics::Key::from_static_parts($name, LABELS);
        &KEY
    }};
}
pub(crate) use static_key;
