//! What the session middleware gets to see of a request's cookies.
//!
//! actix-session compares names after blanks were removed and `%` was decoded, and takes the first cookie
//! that fits. Browsers compare names as they are: another host of the same domain can set
//! `%5F%5FHost-session`, because that name has no prefix. So this crate looks at the names as they were
//! sent, before actix-session does:
//!
//! 1. The session middleware sees at most one cookie of its name, and the name was sent byte for byte.
//! 2. Browsers never send two cookies of one `__Host-` name, so of two none is used. For other names the
//!    first that opens is used.
//! 3. actix-web reads no cookie at all if one of them is not UTF-8. Such a cookie is left out.
//!
//! All other cookies stay. `HttpRequest::cookies` is what actix-session reads, and it parses only once for
//! each request; so in the rare case that something has to be left out, this parses it first.

use std::{collections::HashMap, iter, mem};

use actix_web::{
    HttpMessage as _, HttpRequest,
    cookie::Key,
    http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE},
    test::TestRequest,
};
use percent_encoding::percent_decode_str;

use crate::{
    core::MAX_LEN,
    http::cookies::{Pairs, is_for_host, pairs},
    keys,
};

/// The number of cookies with the name of the session middleware that are compared without allocating.
///
/// Only the application's own middleware can have more than one name.
const FEW: usize = 8;

/// The cookie of the session middleware.
pub(crate) enum SessionCookie {
    /// That of a middleware which this crate made.
    Known {
        name: String,
        /// The key under which its cookies open.
        key: Key,
        /// Keys that were used before; cookies under them are written again.
        older_keys: Vec<Key>,
        /// The length of everything but the value, if the cookie contains the session.
        frame: Option<usize>,
    },
    /// That of the application's own middleware, whose name and key are unknown. Every name that has a
    /// prefix is treated as if it were the name: only for these do browsers promise anything.
    Unknown {
        /// Whether the cookie contains the session.
        is_in_cookie: bool,
    },
}

/// What the name of a cookie is to the session middleware.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Its name, as it was sent.
    Own,
    /// Another text, which actix-web decodes to its name.
    Disguised,
    Other,
}

/// What the session middleware sees of the cookies of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeenCookies {
    /// It has to look.
    Any,
    /// Cookies, of which none is its own, whatever it decodes.
    OfOthers,
}

impl SessionCookie {
    /// Lets the session middleware see what it may see. Allocates nothing for usual requests.
    pub(crate) fn hide_others(&self, request: &HttpRequest) -> SeenCookies {
        if let Self::Known { name, .. } = self {
            match count_own(request, name.as_bytes()) {
                OwnCookies::None => return SeenCookies::OfOthers,
                OwnCookies::One => return SeenCookies::Any,
                OwnCookies::Unclear => {}
            }
        }
        if !self.is_usual_at_length(request) {
            show(request, &self.seen(request));
        }
        SeenCookies::Any
    }

    /// Whether session cookies under older keys are accepted.
    pub(crate) fn has_older_keys(&self) -> bool {
        matches!(self, Self::Known { older_keys, .. } if !older_keys.is_empty())
    }

    /// Lets the session middleware see the session cookie under the current key, if it is under an older
    /// one. Returns whether it is.
    pub(crate) fn reopen(&self, request: &HttpRequest) -> bool {
        let Self::Known {
            name,
            key,
            older_keys,
            ..
        } = self
        else {
            return false;
        };
        let mut seen = self.seen(request);
        let Some(own) = seen.iter_mut().find(|pair| sent_name(pair) == name) else {
            return false;
        };
        let Some(again) = keys::reseal_session(older_keys, key, name, own) else {
            return false;
        };
        *own = &again;
        show(request, &seen);
        true
    }

    /// Whether actix-session does the right thing without help: for several headers, for text outside ASCII,
    /// and for names that are not known.
    fn is_usual_at_length(&self, request: &HttpRequest) -> bool {
        let mut own = [""; FEW];
        let mut count = 0;
        for pair in pairs(request) {
            let Ok(pair) = str::from_utf8(pair) else {
                return false;
            };
            match self.name_of(pair) {
                Name::Other => {}
                Name::Disguised => return false,
                Name::Own => {
                    let name = sent_name(pair);
                    let places = own.get_mut(..=count);
                    let Some((place, before)) = places.and_then(<[_]>::split_last_mut) else {
                        return false;
                    };
                    if before.contains(&name) {
                        return false;
                    }
                    *place = name;
                    count += 1;
                }
            }
        }
        true
    }

    /// The length of the cookie for a session of this length, if the cookie contains the session and
    /// browsers may not keep it.
    pub(crate) fn too_long_for(&self, session: usize) -> Option<usize> {
        let Self::Known {
            frame: Some(frame), ..
        } = self
        else {
            return None;
        };
        let len = frame + keys::sealed_session_len(session);
        (len > MAX_LEN).then_some(len)
    }

    /// Whether the cookie contains the session, and this crate encrypts it. The application's own middleware
    /// may only sign its cookie.
    #[inline]
    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self, Self::Known { frame: Some(_), .. })
    }

    /// The name; `None` if the application has its own session middleware.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Known { name, .. } => Some(name),
            Self::Unknown { .. } => None,
        }
    }

    /// Whether the length of the cookie has to be looked at when it is set. A store of this crate refuses
    /// a session that is too long.
    pub(crate) fn is_measured_late(&self) -> bool {
        matches!(self, Self::Unknown { is_in_cookie: true })
    }

    fn name_of(&self, pair: &str) -> Name {
        // Without `=` there is no name.
        let Some((sent, _)) = pair.split_once('=') else {
            return Name::Other;
        };
        let decoded = || percent_decode_str(sent.trim());
        let starts_with = |prefix: &str| {
            let mut decoded = decoded();
            prefix.bytes().all(|byte| {
                decoded
                    .next()
                    .is_some_and(|next| next.eq_ignore_ascii_case(&byte))
            })
        };
        let is_own = match self {
            Self::Known { name, .. } => decoded().eq(name.bytes()),
            Self::Unknown { .. } => starts_with("__Host-") || starts_with("__Secure-"),
        };
        if !is_own {
            Name::Other
        } else if matches!(self, Self::Known { name, .. } if name == sent)
            || matches!(self, Self::Unknown { .. }) && decoded().eq(sent.bytes())
        {
            Name::Own
        } else {
            Name::Disguised
        }
    }

    /// The cookies that the session middleware may see.
    fn seen<'a>(&self, request: &'a HttpRequest) -> Vec<&'a str> {
        let pairs: Vec<_> = pairs(request)
            .filter_map(|pair| str::from_utf8(pair).ok())
            .map(|pair| (pair, self.name_of(pair)))
            .filter(|(_, name)| *name != Name::Disguised)
            .collect();
        // For each name the number of its cookies, and which of several is used.
        let mut names: HashMap<&str, (usize, Option<usize>)> = HashMap::new();
        for (at, (pair, _)) in own(&pairs) {
            let (count, used) = names.entry(sent_name(pair)).or_default();
            *count += 1;
            if used.is_none() && self.may_use(pair) {
                *used = Some(at);
            }
        }
        let is_seen = |at: usize, pair: &str| match names.get(sent_name(pair)) {
            Some((count, used)) => *count == 1 || *used == Some(at),
            None => true,
        };
        let pairs = pairs.iter().enumerate();
        pairs
            .filter(|(at, (pair, _))| is_seen(*at, pair))
            .map(|(_, (pair, _))| *pair)
            .collect()
    }

    /// Whether a cookie of the session middleware may be used although there are others of its name.
    fn may_use(&self, pair: &str) -> bool {
        !is_for_host(sent_name(pair))
            && match self {
                Self::Known {
                    name,
                    key,
                    older_keys,
                    ..
                } => {
                    let mut keys = iter::once(key).chain(older_keys);
                    keys.any(|key| keys::opens_session(key, name, pair))
                }
                Self::Unknown { .. } => true,
            }
    }
}

/// Makes actix-web take these for the cookies of a request.
fn show(request: &HttpRequest, pairs: &[&str]) {
    let header = pairs.join("; ");
    // The only way to make actix-web parse other headers than those of the request. What a middleware
    // around the manager may have parsed before is replaced.
    let mut stand_in = TestRequest::default();
    if let Ok(header) = HeaderValue::try_from(header.into_bytes()) {
        stand_in = stand_in.insert_header((COOKIE, header));
    }
    let stand_in = stand_in.to_http_request();
    let _ = stand_in.cookies();
    let parsed = mem::take(&mut *stand_in.extensions_mut());
    request.extensions_mut().extend(parsed);
}

/// How many cookies of one name a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnCookies {
    None,
    One,
    /// Several, or some that may be decoded to the name, or some text is not ASCII.
    Unclear,
}

/// Counts the cookies of this name. Runs for almost all requests with cookies.
fn count_own(request: &HttpRequest, name: &[u8]) -> OwnCookies {
    let mut own = OwnCookies::None;
    for header in request.headers().get_all(&COOKIE) {
        let header = header.as_bytes();
        if !header.is_ascii() {
            return OwnCookies::Unclear;
        }
        for pair in Pairs::of(header) {
            let next = match pair.strip_prefix(name) {
                Some([b'=', ..]) if own == OwnCookies::None => {
                    own = OwnCookies::One;
                    continue;
                }
                Some([b'=', ..]) => return OwnCookies::Unclear,
                Some(rest) => rest.first(),
                None => {
                    // A disguise differs from the name in a blank or an escape first.
                    let equal = pair.iter().zip(name).take_while(|(sent, own)| sent == own);
                    pair.get(equal.count())
                }
            };
            if may_be_disguise(next) {
                return OwnCookies::Unclear;
            }
        }
    }
    own
}

/// Whether the first byte that differs from a name may be a part of the name that was disguised.
fn may_be_disguise(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| *byte == b'%' || !byte.is_ascii_graphic())
}

/// The last cookie that a response sets, if browsers do not keep it. The session middleware sets its cookie
/// last.
#[inline]
pub(crate) fn too_long_cookie(headers: &HeaderMap) -> Option<&[u8]> {
    let last = headers.get_all(SET_COOKIE).next_back()?.as_bytes();
    (last.len() > MAX_LEN).then_some(last)
}

/// The cookies of the session middleware, with their positions.
fn own<'a, 'b>(pairs: &'b [(&'a str, Name)]) -> impl Iterator<Item = (usize, &'b (&'a str, Name))> {
    let pairs = pairs.iter().enumerate();
    pairs.filter(|(_, (_, name))| *name == Name::Own)
}

/// The name in a pair that has one.
fn sent_name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &[u8] = b"__Host-session";

    #[track_caller]
    fn check(headers: &[&[u8]], expected: OwnCookies) {
        let mut request = TestRequest::default();
        for header in headers {
            let value = HeaderValue::from_bytes(header).unwrap();
            request = request.append_header((COOKIE, value));
        }
        let own = count_own(&request.to_http_request(), NAME);
        assert_eq!(own, expected, "{headers:?}");
    }

    #[test]
    fn a_request_without_a_session_cookie_is_known_by_the_names_of_all_its_cookies() {
        for other in [
            &b"__Host-login=x"[..],
            b"a=b; __Host-login=x; c=d",
            b"__Host-sessions=x",
            b"__Host-sessio=x",
            b"__host-session=x",
            b"session=x; a=__Host-session=x",
            b"__Host-session",
            b"",
            b"; ;",
        ] {
            check(&[other], OwnCookies::None);
            check(&[other, other], OwnCookies::None);
            check(&[other, b"__Host-session=x"], OwnCookies::One);
            check(&[b"__Host-session=x", other], OwnCookies::One);
        }
        check(&[], OwnCookies::None);
        check(&[b"a=b; __Host-session=x; c=d"], OwnCookies::One);
        check(&[b"__Host-session="], OwnCookies::One);
    }

    #[test]
    fn a_request_whose_names_may_be_decoded_to_that_of_the_session_is_unclear() {
        for disguised in [
            &b"%5F_Host-session=x"[..],
            b"__Host-session%20=x",
            b"__Host-session =x",
            b"__Host-sess%69on=x",
            b"a=b;  __Host-session=x",
            b"\t__Host-session=x",
            b"__Host-session=x; __Host-session=y",
            b"a=\xff",
        ] {
            check(&[disguised], OwnCookies::Unclear);
            check(&[b"a=b", disguised], OwnCookies::Unclear);
            check(&[disguised, b"a=b"], OwnCookies::Unclear);
        }
        let own = b"__Host-session=x";
        check(&[own, own], OwnCookies::Unclear);
    }
}
