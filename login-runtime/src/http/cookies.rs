//! TODO http/cookies.rs

use actix_web::{HttpRequest, http::header::COOKIE};

/// What a request carries under the name of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CookieValue {
    /// No such cookie.
    Missing,
    /// Exactly one.
    One(String),
    /// Several, of which nobody knows which one the browser means; or one that cannot be read.
    Ambiguous,
}

/// Whether a request carries a cookie of this name; allocates nothing.
pub(crate) fn carries(request: &HttpRequest, name: &str) -> bool {
    values(request, name).next().is_some()
}

/// The value of a cookie in a request, as it came. Of several nobody knows which one the browser means.
pub(crate) fn only<'a>(request: &'a HttpRequest, name: &'a str) -> Option<&'a [u8]> {
    let mut values = values(request, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Reads a cookie from a request.
pub(crate) fn carried(request: &HttpRequest, name: &str) -> CookieValue {
    let mut values = values(request, name);
    match (values.next(), values.next()) {
        (None, _) => CookieValue::Missing,
        (Some(value), None) => match std::str::from_utf8(value) {
            Ok(value) => CookieValue::One(value.to_owned()),
            Err(_) => CookieValue::Ambiguous,
        },
        (Some(_), Some(_)) => CookieValue::Ambiguous,
    }
}

/// The values that a request carries under the name of a cookie, as they came.
///
/// Not `HttpRequest::cookies`, which skips what it cannot decode, gives up all cookies for one byte
/// that is no text, and decodes names: `%5F%5FHost-a` would pass for `__Host-a`, though browsers let
/// other hosts set it.
fn values<'a>(request: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let headers = request.headers().get_all(COOKIE);
    let pairs = headers.flat_map(|header| Pairs(header.as_bytes()));
    pairs.filter_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.trim_ascii_start()
            .strip_prefix(b"=")
            .map(<[u8]>::trim_ascii)
    })
}

/// The pairs of a `Cookie` header. Looked through at every request, and cookies may be long.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr(b';', self.0).unwrap_or(self.0.len());
        let (pair, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(pair)
    }
}
