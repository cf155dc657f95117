//! The headers that keep a response which depends on the user from others: from shared caches (RFC 9111,
//! ASVS 14.3.2), from pages of other origins (ASVS 3.5.8), and from the next person at the browser
//! (ASVS 14.3.1).
//!
//! 1. `Cache-Control` is what the manager says, unless the application's own keeps shared caches out too.
//! 2. A field for one kind of shared cache, such as `CDN-Cache-Control` (RFC 9213), counts more than
//!    `Cache-Control` there, so it is held to the same rule.
//! 3. `Vary` gets the headers that say who the user is. `*` and the names that are there stay.

use std::str::FromStr;

use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CLEAR_SITE_DATA, COOKIE, CROSS_ORIGIN_RESOURCE_POLICY, EXPIRES,
    HeaderMap, HeaderName, HeaderValue, HttpDate, VARY,
};

use crate::{
    core::{CacheControl, PageCaching, ResourcePolicy},
    http::seen::Seen,
};

macro_rules! values {
    ($($name:ident = $text:literal;)*) => {$(
        #[allow(
            clippy::declare_interior_mutable_const,
            reason = "the value of a static text never changes"
        )]
        const $name: HeaderValue = HeaderValue::from_static($text);
    )*};
}

values! {
    NO_STORE = "no-store";
    NO_STORE_NO_TRANSFORM = "no-store, no-transform";
    PRIVATE = "private, no-cache";
    PRIVATE_NO_TRANSFORM = "private, no-cache, no-transform";
    VARY_COOKIE = "Cookie";
    VARY_AUTHORIZATION = "Authorization";
    VARY_BOTH = "Cookie, Authorization";
    SAME_ORIGIN = "same-origin";
    SAME_SITE = "same-site";
    STORAGE = "\"storage\"";
}

/// How a manager keeps responses that depend on the user from others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Caching {
    pub(crate) pages: PageCaching,
    pub(crate) resources: ResourcePolicy,
    /// Whether a log out clears what pages have stored in the browser.
    pub(crate) clears_storage: bool,
    /// Whether a request loader may find the user, most often from `Authorization`. Set when the manager is
    /// built.
    pub(crate) varies_on_authorization: bool,
}

/// A header with which the application invited shared caches to store a response, and what is sent instead.
#[derive(Debug)]
pub(crate) struct Overruled {
    pub(crate) header: String,
    pub(crate) instead: &'static str,
}

impl Caching {
    /// Adds the headers to a response that depends on the user. `now` is the time, in seconds.
    pub(crate) fn mark(
        self,
        headers: &mut HeaderMap,
        seen: Seen,
        now: impl FnOnce() -> i64,
    ) -> Option<Overruled> {
        let (mut has_own, mut has_other, mut has_vary, mut has_policy) =
            (false, false, false, false);
        // One look at each header is faster than a look-up for each name: most responses have few.
        for name in headers.keys() {
            if *name == VARY {
                has_vary = true;
            } else if *name == CACHE_CONTROL {
                has_own = true;
            } else if *name == EXPIRES || is_targeted(name) {
                has_other = true;
            } else if *name == CROSS_ORIGIN_RESOURCE_POLICY {
                has_policy = true;
            }
        }
        let mut own = self;
        if seen.is_refused() {
            own.pages = PageCaching::NoStore;
        }
        let mut overruled = None;
        if has_other || has_own && !is_no_store(headers) {
            overruled = own.overrule(headers, now);
        } else if !has_own {
            // `append` moves less than `insert`.
            headers.append(CACHE_CONTROL, own.own_value(false));
        }
        if has_vary {
            vary(headers, self.varies_on_authorization);
        } else {
            headers.append(VARY, vary_value(true, self.varies_on_authorization));
        }
        if seen.is_guarded() && !has_policy {
            match self.resources {
                ResourcePolicy::SameOrigin => {
                    headers.append(CROSS_ORIGIN_RESOURCE_POLICY, SAME_ORIGIN);
                }
                ResourcePolicy::SameSite => headers.append(CROSS_ORIGIN_RESOURCE_POLICY, SAME_SITE),
                ResourcePolicy::Unset => {}
            }
        }
        if seen.logged_out() && self.clears_storage {
            clear_storage(headers);
        }
        overruled
    }

    fn own_value(self, no_transform: bool) -> HeaderValue {
        match (self.pages, no_transform) {
            (PageCaching::NoStore, false) => NO_STORE,
            (PageCaching::NoStore, true) => NO_STORE_NO_TRANSFORM,
            (PageCaching::Private, false) => PRIVATE,
            (PageCaching::Private, true) => PRIVATE_NO_TRANSFORM,
        }
    }

    /// The same in words, for the log.
    pub(crate) fn own_text(self) -> &'static str {
        match self.pages {
            PageCaching::NoStore => "no-store",
            PageCaching::Private => "private, no-cache",
        }
    }

    /// Replaces what the application says about caches, where that would let a shared cache store the response.
    #[cold]
    fn overrule(self, headers: &mut HeaderMap, now: impl FnOnce() -> i64) -> Option<Overruled> {
        let mut inviting = None;
        let read = |headers: &HeaderMap, name: &HeaderName| {
            CacheControl::read(headers.get_all(name).map(HeaderValue::as_bytes))
        };
        let theirs = read(headers, &CACHE_CONTROL);
        if !theirs.is_restricted() {
            if theirs.invites() {
                inviting = Some(text(headers, &CACHE_CONTROL));
            }
            let had_none = !headers.contains_key(CACHE_CONTROL);
            headers.insert(CACHE_CONTROL, self.own_value(theirs.no_transform));
            // Only old caches that know no `Cache-Control` read it now.
            if let Some(expires) = headers.get(EXPIRES) {
                let date = expires
                    .to_str()
                    .ok()
                    .and_then(|date| HttpDate::from_str(date).ok());
                if had_none && date.is_some_and(|date| seconds(date) > now()) {
                    inviting = Some(text(headers, &EXPIRES));
                }
                headers.remove(EXPIRES);
            }
        }
        let targeted: Vec<_> = headers
            .keys()
            .filter(|name| is_targeted(name))
            .cloned()
            .collect();
        for name in targeted {
            let theirs = read(headers, &name);
            if !theirs.is_restricted() {
                if theirs.invites() {
                    inviting.get_or_insert_with(|| text(headers, &name));
                }
                headers.remove(&name);
            }
        }
        let instead = self.own_text();
        inviting.map(|header| Overruled { header, instead })
    }
}

/// Whether the only `Cache-Control` is the one of this crate's own answers.
pub(crate) fn is_no_store(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CACHE_CONTROL);
    values
        .next()
        .is_some_and(|value| value.as_bytes() == b"no-store")
        && values.next().is_none()
}

/// Whether a header is for one kind of shared cache: a targeted field (RFC 9213 §2.1), or its predecessor
/// `Surrogate-Control`.
fn is_targeted(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("-control") && (name.ends_with("-cache-control") || name == "surrogate-control")
}

fn seconds(date: HttpDate) -> i64 {
    let since = std::time::SystemTime::from(date).duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// A header for the log.
fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    format!("{name}: {}", values.join(", "))
        .escape_debug()
        .to_string()
}

/// Keeps a response out of all caches, unless it says itself which caches may store it.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.append(CACHE_CONTROL, NO_STORE);
    }
    vary(headers, false);
}

fn vary_value(cookie: bool, authorization: bool) -> HeaderValue {
    match (cookie, authorization) {
        (true, true) => VARY_BOTH,
        (true, false) => VARY_COOKIE,
        (false, _) => VARY_AUTHORIZATION,
    }
}

/// Adds the names that `Vary` lacks.
fn vary(headers: &mut HeaderMap, authorization: bool) {
    let (mut cookie, mut authorization) = (true, authorization);
    for value in headers.get_all(VARY) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            let is = |other: &HeaderName| name.eq_ignore_ascii_case(other.as_str().as_bytes());
            let is_all = name == b"*";
            cookie &= !(is_all || is(&COOKIE));
            authorization &= !(is_all || is(&AUTHORIZATION));
        }
    }
    if cookie || authorization {
        headers.append(VARY, vary_value(cookie, authorization));
    }
}

#[cold]
fn clear_storage(headers: &mut HeaderMap) {
    let clears = |value: &HeaderValue| {
        let mut types = value.as_bytes().split(|byte| *byte == b',');
        types.any(|name| matches!(name.trim_ascii(), b"\"storage\"" | b"\"*\""))
    };
    if !headers.get_all(CLEAR_SITE_DATA).any(clears) {
        headers.append(CLEAR_SITE_DATA, STORAGE);
    }
}
