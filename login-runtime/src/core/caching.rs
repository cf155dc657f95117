//! What a `Cache-Control` allows, and the choices for responses that depend on the user.

/// Which caches may store a response that depends on the user.
///
/// A shared cache (a CDN, a reverse proxy) never may. A response of the application that says more than this,
/// such as `private, max-age=60`, stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageCaching {
    /// No cache (`no-store`). The default: after a log out, the next person at the browser finds no page of
    /// the login (ASVS 14.3.2).
    #[default]
    NoStore,
    /// Only the browser's own cache, which asks before it shows the page again (`private, no-cache`).
    ///
    /// Choose it for large pages with an `ETag` that are shown often. Their content stays on the disk of the
    /// browser after a log out, so it is not for shared computers.
    Private,
}

/// Which pages may embed a protected response as an image, a script or another resource
/// (`Cross-Origin-Resource-Policy`).
///
/// It does not concern `fetch` with CORS, navigations and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourcePolicy {
    /// Only pages of the same origin (`same-origin`). The default.
    #[default]
    SameOrigin,
    /// Also pages of the same site (`same-site`): for `https://app.example.com` that shows images of
    /// `https://files.example.com`.
    SameSite,
    /// The header is not sent, so that any page may embed protected responses, where the cookies' `SameSite`
    /// allows that. Choose it only if the application sends the header itself.
    Unset,
}

/// What the `Cache-Control` of a response says about shared caches (RFC 9111 §5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheControl {
    no_store: bool,
    private: bool,
    /// It only makes sense for shared caches: `public`, or `s-maxage`.
    shared: bool,
    /// A cache may use the response without asking.
    fresh: bool,
    /// `no-store` does not count for a cache that knows the status (RFC 9111 §5.2.2.3).
    must_understand: bool,
    pub(crate) no_transform: bool,
}

impl CacheControl {
    /// Reads all values of the header.
    pub(crate) fn read<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut read = Self::default();
        for directive in values.flat_map(directives) {
            read.add(directive);
        }
        read
    }

    fn add(&mut self, directive: &[u8]) {
        let mut parts = directive.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let argument = parts.next();
        let is = |expected: &str| name.eq_ignore_ascii_case(expected.as_bytes());
        let is_some_time =
            || argument.is_some_and(|time| time.iter().any(|byte| matches!(byte, b'1'..=b'9')));
        if is("no-store") {
            self.no_store |= argument.is_none();
        } else if is("private") {
            // With names of headers, everything else is not private.
            self.private |= argument.is_none();
        } else if is("public") {
            self.shared = true;
        } else if is("s-maxage") {
            self.shared |= is_some_time();
        } else if is("max-age") {
            self.fresh |= is_some_time();
        } else if is("immutable") || is("stale-while-revalidate") || is("stale-if-error") {
            self.fresh = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("no-transform") {
            self.no_transform = true;
        }
    }

    /// Whether no shared cache may store the response.
    pub(crate) fn is_restricted(self) -> bool {
        !self.shared && (self.private || self.no_store && !self.must_understand)
    }

    /// Whether the application wants shared caches to store the response.
    pub(crate) fn invites(self) -> bool {
        !self.is_restricted() && (self.shared || self.fresh || self.must_understand)
    }
}

/// The directives of one header. A comma in a quoted text separates nothing.
fn directives(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted => is_escaped = !was_escaped,
            _ => {}
        }
        *byte == b',' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESTRICTED: (bool, bool) = (true, false);
    const SILENT: (bool, bool) = (false, false);
    const INVITING: (bool, bool) = (false, true);

    #[track_caller]
    fn check(values: &[&str], expected: (bool, bool)) {
        let read = CacheControl::read(values.iter().map(|value| value.as_bytes()));
        assert_eq!(
            (read.is_restricted(), read.invites()),
            expected,
            "{values:?}"
        );
    }

    #[test]
    fn only_private_and_no_store_keep_a_response_out_of_shared_caches() {
        for value in [
            "no-store",
            "No-Store",
            " no-store ",
            "private",
            "PRIVATE, max-age=60",
            "max-age=60 , private",
            "private, immutable, max-age=31536000",
            "private, s-maxage=0",
            "private, must-understand",
            "no-store, max-age=60",
            "no-cache, no-store, must-revalidate",
            "x=\"public, s-maxage=9\", private",
            "x=\"\\\", public, \", private",
        ] {
            check(&[value], RESTRICTED);
        }
        check(&["max-age=60", "private"], RESTRICTED);
    }

    #[test]
    fn what_no_cache_may_use_without_asking_is_no_invitation() {
        for value in [
            "",
            ",",
            "no-cache",
            "no-cache, must-revalidate",
            "max-age=0",
            "max-age=\"0\"",
            "max-age",
            "max-age=x",
            "s-maxage=0",
            "no-transform",
            "private=\"set-cookie\"",
            "no-store=1",
            "x=\"private\"",
            "x=\"no-store, private",
            "my-private",
        ] {
            check(&[value], SILENT);
        }
        check(&[], SILENT);
    }

    #[test]
    fn what_shared_caches_may_use_is_an_invitation() {
        for value in [
            "public",
            "Public",
            "public, max-age=0",
            "public, private",
            "private, public",
            "no-store, public",
            "s-maxage=60",
            "private, s-maxage=60",
            "no-store, s-maxage=1",
            "max-age=60",
            "max-age=\"60\"",
            "max-age = 60",
            "must-revalidate, max-age=1",
            "immutable",
            "stale-while-revalidate=30",
            "stale-if-error=30",
            "must-understand, no-store",
            "private=\"set-cookie\", max-age=60",
            "private=\"a, b\", max-age=60",
            "x=\"private\", max-age=60",
        ] {
            check(&[value], INVITING);
        }
        check(&["private", "public"], INVITING);
        check(&["max-age=0", "max-age=60"], INVITING);
    }

    #[test]
    fn whether_the_content_may_change_is_remembered() {
        let read = |value: &str| CacheControl::read([value.as_bytes()].into_iter()).no_transform;
        assert!(read("public, No-Transform"));
        assert!(!read("public, x=no-transform"));
    }
}
