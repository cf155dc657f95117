//! Whether a `next` address is safe to redirect to.
//!
//! A path is followed only if it is a path on this origin in every browser (ASVS 3.7.2). Browsers follow
//! the WHATWG URL standard, in which `\` is `/`, tabs and line breaks are removed, and a second slash at
//! the start names another host. Whole addresses are compared with lists of origins elsewhere, since that
//! needs a URL parser.

use std::{error, fmt};

/// The longest address that is followed by default, in bytes.
///
/// Raising it keeps longer search forms across a login; lowering it limits what a client can make the
/// server repeat in a header.
pub(crate) const NEXT_LEN: usize = 2048;

/// Why an address is not followed after a log in. Answers 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextError {
    /// It is longer than [`next_max_len`](crate::config::LoginManagerBuilder::next_max_len) allows.
    TooLong {
        /// The length of the address, in bytes.
        len: usize,
        /// The longest that is followed.
        max: usize,
    },
    /// It is neither a path that starts with `/` nor a whole http or https address.
    NoAddress,
    /// It contains a blank, a backslash, a control character or an invisible character.
    Character(char),
    /// It leads to an origin that the login manager does not list. `//host` is one, too.
    OtherOrigin,
    /// Its path contains both two slashes in a row and a `.` or `..`, which together may lead to another
    /// host.
    AmbiguousPath,
}

impl fmt::Display for NextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len, max } => {
                write!(
                    f,
                    "the address has {len} bytes, and at most {max} are allowed"
                )
            }
            Self::NoAddress => write!(f, "the address is neither a path nor a whole address"),
            Self::Character(char) => write!(f, "the address contains {char:?}"),
            Self::OtherOrigin => write!(f, "the address leads to an origin that is not listed"),
            Self::AmbiguousPath => write!(f, "the path has both `//` and a dot segment"),
        }
    }
}

impl error::Error for NextError {}

/// Checks the length and the characters of an address of any kind.
pub(crate) fn check_text(next: &str, max: usize) -> Result<(), NextError> {
    let len = next.len();
    if len > max {
        return Err(NextError::TooLong { len, max });
    }
    let is_bad = |c: &char| *c == '\\' || *c == ' ' || c.is_control() || is_invisible(*c);
    next.chars()
        .find(is_bad)
        .map_or(Ok(()), |char| Err(NextError::Character(char)))
}

/// Checks that a browser which follows a path stays on its origin. [`check_text`] has to be called too.
///
/// # Rules
///
/// 1. It starts with exactly one slash.
/// 2. If its path contains two slashes in a row, it contains no dot segment: `/.//host` and `/x/..//host`
///    become `//host` when dot segments are removed, and that is another host.
pub(crate) fn check_path(next: &str) -> Result<(), NextError> {
    if !next.starts_with('/') {
        return Err(NextError::NoAddress);
    }
    let path = &next[..next.find(['?', '#']).unwrap_or(next.len())];
    if path.starts_with("//") {
        return Err(NextError::OtherOrigin);
    }
    if path.contains("//") && path.split('/').any(is_dot_segment) {
        return Err(NextError::AmbiguousPath);
    }
    Ok(())
}

/// Whether a segment of a path is `.` or `..`, with or without escapes.
fn is_dot_segment(segment: &str) -> bool {
    let rest = without_dot(segment);
    rest.is_some_and(|rest| rest.is_empty() || without_dot(rest) == Some(""))
}

fn without_dot(segment: &str) -> Option<&str> {
    let escaped = || segment.strip_prefix("%2e").or(segment.strip_prefix("%2E"));
    segment.strip_prefix('.').or_else(escaped)
}

/// Characters without a glyph, which attackers use to disguise addresses.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(next: &str) -> Result<(), NextError> {
        check_text(next, NEXT_LEN)?;
        check_path(next)
    }

    #[test]
    fn the_log_says_why_an_address_is_dropped() {
        let long = NextError::TooLong { len: 3, max: 2 };
        for (error, text) in [
            (long, "the address has 3 bytes, and at most 2 are allowed"),
            (
                NextError::NoAddress,
                "the address is neither a path nor a whole address",
            ),
            (NextError::Character('\t'), "the address contains '\\t'"),
            (
                NextError::OtherOrigin,
                "the address leads to an origin that is not listed",
            ),
            (
                NextError::AmbiguousPath,
                "the path has both `//` and a dot segment",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn addresses_that_leave_the_origin_are_dropped() {
        const BAD: &[&str] = include!("../../testdata/hostile_next.rs");
        for bad in BAD {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for (bad, why) in [
            ("", NextError::NoAddress),
            ("account", NextError::NoAddress),
            ("//evil.test", NextError::OtherOrigin),
            ("///evil.test", NextError::OtherOrigin),
            ("/a\\b", NextError::Character('\\')),
            ("/a b", NextError::Character(' ')),
            ("/a//b/.", NextError::AmbiguousPath),
            ("/a/..//b", NextError::AmbiguousPath),
            ("/%2E.//b", NextError::AmbiguousPath),
            ("/.%2e/a//b?c", NextError::AmbiguousPath),
        ] {
            assert_eq!(check(bad), Err(why), "{bad:?}");
        }
        let long = format!("/{}", "x".repeat(NEXT_LEN));
        let (len, max) = (NEXT_LEN + 1, NEXT_LEN);
        assert_eq!(check(&long), Err(NextError::TooLong { len, max }));
    }

    #[test]
    fn paths_of_this_origin_are_followed() {
        for good in [
            "/",
            "/x",
            "/x/",
            "/x/y",
            "/x?y",
            "/x?y=z&a=b",
            "/x#y",
            "/x?u=//evil.test/",
            "/x?u=http://evil.test",
            "/x#//y",
            "/grüße",
            "/gr%C3%BC%C3%9Fe",
            "/a%20b",
            "/%2F/x",
            "/x;y=1",
            "/@user",
            "/:id",
            "/.well-known/x",
            "/..",
            "/x/../y",
            "/~me",
            "/a,b",
            "/?",
            "/?next=/x",
            "/%5Cevil.test",
            "/x?q=a%26b",
            "/x//y",
            "/proxy/https://other.test/page",
            "/x//",
            "/x//.well-known//...",
            "/x//y?z=/../",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(&format!("/{}", "x".repeat(NEXT_LEN - 1))), Ok(()));
    }
}
