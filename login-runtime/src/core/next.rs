//! Whether a `next` address is safe to redirect to.
//!
//! An address is followed only if it is a path on this origin in every browser (ASVS 3.7.2). Browsers
//! follow the WHATWG URL standard, in which `\` is `/`, tabs and line breaks are removed, and a second
//! slash at the start names another host.

/// The longest address that is followed, in bytes.
///
/// Raising it keeps longer search forms across a login; lowering it limits what a client can make the
/// server repeat in a header.
pub(crate) const MAX_LEN: usize = 2048;

/// Returns `next` if a browser that follows it stays on this origin.
///
/// # Rules
///
/// 1. It starts with exactly one slash.
/// 2. It contains no backslash, no space, no control character and no invisible character.
/// 3. It is at most [`MAX_LEN`] bytes long.
/// 4. Its path contains no two slashes in a row, so removing dot segments cannot put two at its start.
pub(crate) fn safe(next: &str) -> Option<&str> {
    if next.len() > MAX_LEN || !next.starts_with('/') {
        return None;
    }
    if next
        .chars()
        .any(|c| c == '\\' || c == ' ' || c.is_control() || is_invisible(c))
    {
        return None;
    }
    let path = &next[..next.find(['?', '#']).unwrap_or(next.len())];
    // `//host` is another host. `/.//host` and `/x/..//host` become the same in software that removes dot
    // segments before it resolves the address.
    if path.contains("//") {
        return None;
    }
    Some(next)
}

/// Characters without a glyph, which attackers use to disguise addresses.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_leave_the_origin_are_dropped() {
        const BAD: &[&str] = include!("../../testdata/hostile_next.rs");
        for bad in BAD {
            assert_eq!(safe(bad), None, "{bad:?}");
        }
        assert_eq!(safe(&format!("/{}", "x".repeat(MAX_LEN))), None);
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
        ] {
            assert_eq!(safe(good), Some(good));
        }
        assert!(safe(&format!("/{}", "x".repeat(MAX_LEN - 1))).is_some());
    }
}
