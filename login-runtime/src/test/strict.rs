//! Rules that every answer has to keep: strict cookies, a challenge with every 401, a time to wait with every
//! 429 and 503, redirects that stay on the own origin, and no page of a login in a shared cache.
//!
//! [`Browser`](super::Browser) judges every answer that it gets, if the environment variable
//! `LOGIN_RUNTIME_STRICT_ANSWERS` is `1`, and fails the test at the first answer that breaks a rule. Set it
//! in `.cargo/config.toml`, and it holds for the whole test run:
//!
//! ```toml
//! [env]
//! LOGIN_RUNTIME_STRICT_ANSWERS = "1"
//! ```
//!
//! A test whose application breaks a rule on purpose says so with [`tolerate`].
//!
//! # Examples
//!
//! ```
//! use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
//! use login_runtime::test::strict::{Rule, faults};
//!
//! let set_cookie = |value| {
//!     let (name, value) = (HeaderName::from_static("set-cookie"), HeaderValue::from_static(value));
//!     HeaderMap::from_iter([(name, value)])
//! };
//! let strict = "__Host-session=x; HttpOnly; SameSite=Lax; Secure; Path=/";
//! assert!(faults(200, &set_cookie(strict)).is_empty());
//!
//! let weak = "__Host-session=x; SameSite=Lax; Secure; Path=/";
//! assert_eq!(faults(200, &set_cookie(weak))[0].rule, Rule::HttpOnly);
//! // A 401 needs a challenge.
//! assert_eq!(faults(401, &HeaderMap::new())[0].rule, Rule::Challenge);
//! ```

use std::{cell::RefCell, env, sync::OnceLock};

use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, LOCATION, RETRY_AFTER, SET_COOKIE, VARY, WWW_AUTHENTICATE,
};
use derive_more::Display;
use url::Url;

pub use self::{
    challenge::{Challenge, challenges},
    rule::Rule,
};

mod challenge;
mod rule;
mod set_cookie;

/// The variable that makes each [`Browser`](super::Browser) judge its answers.
const VARIABLE: &str = "LOGIN_RUNTIME_STRICT_ANSWERS";

/// A rule that an answer breaks.
#[derive(Clone, Debug, Display)]
#[display("{rule:?}: {why}")]
pub struct Fault {
    /// The rule.
    pub rule: Rule,
    /// The name of the cookie that breaks it, or nothing.
    pub cookie: String,
    /// What is wrong.
    pub why: String,
}

/// Every rule that an answer with this status and these headers breaks.
///
/// [`Rule::Private`] is only judged by a [`Browser`](super::Browser), which sees whether the login was read;
/// [`Rule::OwnOrigin`] takes a `Location` with a host for another origin.
pub fn faults(status: u16, headers: &HeaderMap) -> Vec<Fault> {
    judge(&Judged {
        status,
        headers,
        host: None,
        reads_login: false,
    })
}

/// Asserts that an answer breaks no rule but those that this thread tolerates. For clients other than
/// [`Browser`](super::Browser).
///
/// # Panics
///
/// If it breaks one.
#[track_caller]
pub fn assert_kept(status: u16, headers: &HeaderMap) {
    let faults = intolerable(faults(status, headers));
    assert!(
        faults.is_empty(),
        "{status} breaks rules:\n{}",
        lines(&faults)
    );
}

/// What is judged about an answer.
pub(super) struct Judged<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// The own host, with its port.
    pub(super) host: Option<&'a str>,
    /// Whether something asked who the user is.
    pub(super) reads_login: bool,
}

impl Judged<'_> {
    /// The faults that this thread does not tolerate, one in a line, if the test run is strict and there are
    /// any.
    pub(super) fn complaint(&self) -> Option<String> {
        static IS_STRICT: OnceLock<bool> = OnceLock::new();
        let is_strict = IS_STRICT.get_or_init(|| env::var(VARIABLE).is_ok_and(|it| it == "1"));
        if !is_strict {
            return None;
        }
        let faults = intolerable(judge(self));
        (!faults.is_empty()).then(|| lines(&faults))
    }

    fn all(&self, name: &actix_web::http::header::HeaderName) -> impl Iterator<Item = &str> {
        let values = self.headers.get_all(name);
        values.map(|value| value.to_str().unwrap_or("(not ASCII)"))
    }

    /// Whether one of the comma-separated words of a header is one of these.
    fn says(&self, name: &actix_web::http::header::HeaderName, words: &[&str]) -> bool {
        let mut found = self.all(name).flat_map(|value| value.split(','));
        found.any(|word| {
            let word = word.trim();
            words.iter().any(|it| it.eq_ignore_ascii_case(word))
        })
    }
}

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(Fault::to_string).collect();
    lines.join("\n")
}

pub(super) fn judge(answer: &Judged<'_>) -> Vec<Fault> {
    let mut found = Vec::new();
    for header in answer.all(&SET_COOKIE) {
        let (cookie, faults) = set_cookie::faults(header);
        found.extend(faults.into_iter().map(|(rule, why)| Fault {
            rule,
            cookie: cookie.to_owned(),
            // Without the value, which is a secret of the application under test.
            why: format!("the cookie `{cookie}`: {why}"),
        }));
    }
    let mut fault = |rule, why: String| {
        found.push(Fault {
            rule,
            cookie: String::new(),
            why,
        });
    };
    if answer.status == 401 && !answer.headers.contains_key(WWW_AUTHENTICATE) {
        fault(Rule::Challenge, "a 401 has no WWW-Authenticate".to_owned());
    }
    for value in answer.all(&WWW_AUTHENTICATE) {
        if let Err(why) = challenges(value) {
            fault(Rule::Challenge, format!("`{value}` is no challenge: {why}"));
        }
    }
    if matches!(answer.status, 429 | 503) && !answer.headers.contains_key(RETRY_AFTER) {
        let why = format!("a {} has no Retry-After", answer.status);
        fault(Rule::RetryAfter, why);
    }
    for location in answer.all(&LOCATION) {
        if !stays(location, answer.host) {
            fault(
                Rule::OwnOrigin,
                format!("`{location}` leads to another origin"),
            );
        }
    }
    if answer.reads_login {
        if !answer.says(&CACHE_CONTROL, &["no-store", "private"])
            || answer.says(&CACHE_CONTROL, &["public"])
        {
            let why = "an answer for which the login was read may be in a shared cache";
            fault(Rule::Private, why.to_owned());
        }
        if !answer.says(&VARY, &["cookie", "*"]) {
            let why = "an answer for which the login was read does not vary with the cookies";
            fault(Rule::Private, why.to_owned());
        }
    }
    found
}

/// Whether a browser that follows this `Location` stays on the origin, by the rules of browsers for URLs.
pub(super) fn stays(location: &str, host: Option<&str>) -> bool {
    let base = |host: &str| Url::parse(&format!("http://{host}/here")).ok();
    let Some(base) = base(host.unwrap_or("own.invalid")) else {
        return false;
    };
    let target = base.join(location);
    target.is_ok_and(|target| {
        let is_web = matches!(target.scheme(), "http" | "https");
        is_web && target.host() == base.host() && target.port() == base.port()
    })
}

thread_local! {
    static TOLERATED: RefCell<Vec<(usize, Rule, Option<String>)>> = const { RefCell::new(Vec::new()) };
}

/// Lets answers break a rule in this thread, until it is dropped. Made by [`tolerate`].
#[derive(Debug)]
#[must_use = "rules hold again when this is dropped"]
pub struct Tolerated(usize);

impl Drop for Tolerated {
    fn drop(&mut self) {
        TOLERATED.with_borrow_mut(|all| all.retain(|(id, ..)| *id != self.0));
    }
}

/// Lets answers break these rules in the test that calls it, as long as the value lives.
///
/// `cookie` names the one cookie that may break them; nothing stands for every cookie, and for rules that are
/// not about cookies. `why` is for the reader: what the test breaks on purpose.
///
/// # Examples
///
/// ```
/// use login_runtime::test::strict::{Rule, tolerate};
///
/// let _theme = tolerate(&[Rule::HttpOnly], "theme", "scripts read the color theme");
/// ```
///
/// # Panics
///
/// If `why` is empty.
pub fn tolerate(rules: &[Rule], cookie: &str, why: &str) -> Tolerated {
    assert!(!why.is_empty(), "say why the test breaks these rules");
    TOLERATED.with_borrow_mut(|all| {
        let id = all.last().map_or(0, |(id, ..)| id + 1);
        let cookie = (!cookie.is_empty()).then(|| cookie.to_owned());
        all.extend(rules.iter().map(|rule| (id, *rule, cookie.clone())));
        Tolerated(id)
    })
}

fn intolerable(mut faults: Vec<Fault>) -> Vec<Fault> {
    TOLERATED.with_borrow(|all| {
        faults.retain(|fault| {
            !all.iter().any(|(_, rule, cookie)| {
                *rule == fault.rule && cookie.as_ref().is_none_or(|name| *name == fault.cookie)
            })
        });
    });
    faults
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        HeaderMap::from_iter(headers)
    }

    #[track_caller]
    fn check(status: u16, given: &[(&'static str, &'static str)], reads: bool, rules: &[Rule]) {
        let headers = headers(given);
        let faults = judge(&Judged {
            status,
            headers: &headers,
            host: Some("app.test:8080"),
            reads_login: reads,
        });
        let found: Vec<_> = faults.iter().map(|fault| fault.rule).collect();
        assert_eq!(found, rules, "{status} {given:?}");
    }

    #[test]
    fn a_401_needs_a_challenge() {
        check(401, &[], false, &[Rule::Challenge]);
        check(401, &[("www-authenticate", "")], false, &[Rule::Challenge]);
        check(401, &[("www-authenticate", "Cookie")], false, &[]);
        check(403, &[], false, &[]);
    }

    #[test]
    fn a_429_and_a_503_say_when_to_try_again() {
        for status in [429, 503] {
            check(status, &[], false, &[Rule::RetryAfter]);
            check(status, &[("retry-after", "5")], false, &[]);
        }
        check(500, &[], false, &[]);
    }

    #[test]
    fn a_redirect_stays_on_its_origin() {
        for good in [
            "/",
            "/login?next=%2F%2Fevil.test",
            "next",
            "http://app.test:8080/x",
        ] {
            check(303, &[("location", good)], false, &[]);
        }
        for bad in [
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "http://app.test/",
            "javascript:alert(1)",
            "\t//evil.test",
        ] {
            check(303, &[("location", bad)], false, &[Rule::OwnOrigin]);
        }
    }

    #[test]
    fn a_page_of_a_login_is_private() {
        let vary = ("vary", "accept, Cookie");
        check(200, &[], false, &[]);
        check(200, &[], true, &[Rule::Private, Rule::Private]);
        check(200, &[("cache-control", "no-store"), vary], true, &[]);
        check(
            200,
            &[("cache-control", "private"), ("vary", "*")],
            true,
            &[],
        );
        check(
            200,
            &[("cache-control", "no-store")],
            true,
            &[Rule::Private],
        );
        let public = ("cache-control", "public, max-age=60");
        check(200, &[public, vary], true, &[Rule::Private]);
    }

    #[test]
    fn what_is_tolerated_ends_with_its_value() {
        let headers = headers(&[("set-cookie", "__Host-a=b; Secure; SameSite=Lax; Path=/")]);
        let left = || intolerable(faults(200, &headers)).len();
        assert_eq!(left(), 1);
        {
            let _other = tolerate(&[Rule::HttpOnly], "__Host-b", "another cookie");
            assert_eq!(left(), 1);
            let _this = tolerate(&[Rule::HttpOnly], "__Host-a", "this cookie");
            assert_eq!(left(), 0);
        }
        assert_eq!(left(), 1);
        let _all = tolerate(&[Rule::HttpOnly, Rule::Secure], "", "every cookie");
        assert_eq!(left(), 0);
    }
}
