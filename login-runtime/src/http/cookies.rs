//! Reading the cookies of a request.
//!
//! A request may carry several cookies of one name, for instance if another host of the same domain set
//! one too, or if the application changed the domain of its cookie. Browsers never send two cookies of
//! one `__Host-` name, so of two none is used. For other names, the caller uses the first that is valid.

use actix_web::{HttpRequest, http::header::COOKIE};

/// Whether a request carries a cookie of this name. Does not allocate.
pub(crate) fn carries(request: &HttpRequest, name: &str) -> bool {
    values(request, name).next().is_some()
}

/// The values of the cookies of this name that may be used, as they were sent. Does not allocate.
pub(crate) fn usable<'a>(
    request: &'a HttpRequest,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    // The header is searched once in any case: it may be long.
    let mut values = values(request, name);
    let mut first = values.next();
    if first.is_some() && is_for_host(name) && values.next().is_some() {
        first = None;
        values.by_ref().for_each(drop);
    }
    first.into_iter().chain(values)
}

/// Whether browsers let only the host itself set a cookie of this name, for the whole host. They ignore
/// the case of the prefix (RFC 6265bis §4.1.3).
pub(crate) fn is_for_host(name: &str) -> bool {
    const PREFIX: &str = "__Host-";
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The values of all cookies of this name, as they were sent.
///
/// `HttpRequest::cookies` is not used: it skips cookies that it cannot decode, drops all cookies for one
/// byte that is not UTF-8, decodes names, and removes blanks around them. `%5F%5FHost-a` would then pass
/// as `__Host-a`, but browsers let other hosts set a cookie of that name.
fn values<'a>(request: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    pairs(request).filter_map(|pair| {
        let rest = pair.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=").map(<[u8]>::trim_ascii)
    })
}

/// The pairs of name and value in a request's `Cookie` headers, as they were sent.
pub(crate) fn pairs(request: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    let headers = request.headers().get_all(&COOKIE);
    headers.flat_map(|header| Pairs::of(header.as_bytes()))
}

/// The pairs of a `Cookie` header. It is searched at every request and may be long, hence `memchr`.
pub(crate) struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    pub(crate) fn of(header: &'a [u8]) -> Self {
        Self(header)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr(b';', self.0).unwrap_or(self.0.len());
        let (pair, rest) = self.0.split_at_checked(end)?;
        let rest = rest.get(1..).unwrap_or_default();
        // One space belongs to the separator (RFC 6265 §4.2.1). Any other blank is part of a name, and
        // the browser has seen another name than the one after it.
        self.0 = rest.strip_prefix(b" ").unwrap_or(rest);
        Some(pair)
    }
}
