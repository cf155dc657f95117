//! Reading the cookies of a request.
//!
//! A request may carry several cookies of one name, for instance if another host of the same domain set
//! one too. It is unknown which of them the browser means, so all are ignored then.

use actix_web::{HttpRequest, http::header::COOKIE};

/// The cookie of one name in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CookieValue {
    /// There is none.
    Missing,
    /// There is exactly one.
    One(String),
    /// There are several, or one that is not UTF-8.
    Ambiguous,
}

/// Whether a request carries a cookie of this name. Does not allocate.
pub(crate) fn carries(request: &HttpRequest, name: &str) -> bool {
    values(request, name).next().is_some()
}

/// The value of the only cookie of this name, as it was sent. Does not allocate.
pub(crate) fn only<'a>(request: &'a HttpRequest, name: &'a str) -> Option<&'a [u8]> {
    let mut values = values(request, name);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Reads a cookie from a request.
pub(crate) fn carried(request: &HttpRequest, name: &str) -> CookieValue {
    let mut values = values(request, name);
    let Some(value) = values.next() else {
        return CookieValue::Missing;
    };
    match str::from_utf8(value) {
        Ok(value) if values.next().is_none() => CookieValue::One(value.to_owned()),
        _ => CookieValue::Ambiguous,
    }
}

/// The values of all cookies of this name, as they were sent.
///
/// `HttpRequest::cookies` is not used: it skips cookies that it cannot decode, drops all cookies for one
/// byte that is not UTF-8, and decodes names. `%5F%5FHost-a` would then pass as `__Host-a`, but browsers
/// let other hosts set a cookie of that name.
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

/// The pairs of a `Cookie` header. It is searched at every request and may be long, hence `memchr`.
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
