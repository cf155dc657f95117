//! Decides whether a page of another site has sent a request that may change something.
//!
//! A page of any site can make a browser send a request here, and the browser adds its cookies. Such a
//! request needs no token to be told from one of our own pages: the browser says where it comes from, in
//! headers that no page can set.
//!
//! 1. Safe methods pass (RFC 9110 §9.2.1), except for the handshake of a WebSocket, which is a GET.
//! 2. `Sec-Fetch-Site` decides if the request has it (Fetch Metadata §2.4). Only `same-origin` and `none`
//!    pass; `none` is a request that the user started, without any page.
//! 3. Without it, `Origin` decides (RFC 6454 §7): it has to be our own. Such a browser is old, or reaches us
//!    over plain http.
//! 4. A request with neither comes from no page: curl, or a client of an API.
//! 5. Origins that the application trusts pass in any case.

use crate::core::forwarded::is_host;

/// The value of `Origin` for a page that has no origin: a sandboxed frame, a file, or any page whose request
/// was redirected between sites.
const NULL: &[u8] = b"null";

/// Why a request counts as one of another site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrossSiteReason {
    /// According to `Sec-Fetch-Site`, a page of the same site sent it, at another host, port or scheme.
    SameSite,
    /// According to `Sec-Fetch-Site`, a page of another site sent it.
    CrossSite,
    /// `Sec-Fetch-Site` is repeated, or has a value that no browser sends.
    UnknownSite,
    /// There is no `Sec-Fetch-Site`, and `Origin` names another origin.
    OtherOrigin,
    /// There is no `Sec-Fetch-Site`, and `Origin` is `null`, as a sandboxed frame sends it.
    NullOrigin,
    /// There is no `Sec-Fetch-Site`, and `Origin` is repeated, or is no origin.
    UnknownOrigin,
}

impl CrossSiteReason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SameSite => "same_site",
            Self::CrossSite => "cross_site",
            Self::UnknownSite => "unknown_site",
            Self::OtherOrigin => "other_origin",
            Self::NullOrigin => "null_origin",
            Self::UnknownOrigin => "unknown_origin",
        }
    }
}

/// A header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent<'a> {
    Absent,
    Once(&'a [u8]),
    /// In several lines.
    Repeated,
}

/// Whether the method of a request changes nothing, by its definition.
pub(crate) fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

/// From which pages requests are taken, besides those of the application.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrossSiteRules {
    pub(crate) trusted: Vec<TrustedOrigin>,
    /// Whether every page of the same site is trusted.
    pub(crate) same_site: bool,
}

impl CrossSiteRules {
    /// Judges a request whose method is not safe, or that opens a WebSocket.
    ///
    /// `is_own` says whether an origin is that of the application. It is only asked if nothing else decides.
    pub(crate) fn judge(
        &self,
        site: Sent<'_>,
        origin: Sent<'_>,
        is_own: impl FnOnce(PageOrigin<'_>) -> bool,
    ) -> Result<(), CrossSiteReason> {
        use CrossSiteReason as Reason;
        let reason = match site {
            Sent::Once(b"same-origin" | b"none") => return Ok(()),
            Sent::Once(b"same-site") if self.same_site => return Ok(()),
            Sent::Once(b"same-site") => Reason::SameSite,
            Sent::Once(b"cross-site") => Reason::CrossSite,
            Sent::Once(_) | Sent::Repeated => Reason::UnknownSite,
            Sent::Absent => match origin {
                Sent::Absent => return Ok(()),
                Sent::Once(NULL) => return Err(Reason::NullOrigin),
                _ => match page(origin) {
                    None => return Err(Reason::UnknownOrigin),
                    Some(page) if is_own(page) => return Ok(()),
                    Some(_) => Reason::OtherOrigin,
                },
            },
        };
        let is_trusted = page(origin).is_some_and(|page| self.trusts(page));
        if is_trusted { Ok(()) } else { Err(reason) }
    }

    fn trusts(&self, page: PageOrigin<'_>) -> bool {
        let trusted = self.trusted.iter();
        trusted
            .filter_map(|trusted| PageOrigin::parse(&trusted.0))
            .any(|trusted| trusted.is(page))
    }
}

/// The origin in an `Origin` header.
fn page(origin: Sent<'_>) -> Option<PageOrigin<'_>> {
    match origin {
        Sent::Once(text) => PageOrigin::parse(str::from_utf8(text).ok()?),
        Sent::Absent | Sent::Repeated => None,
    }
}

/// An origin: scheme, host and port (RFC 6454 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageOrigin<'a> {
    scheme: &'a str,
    name: &'a str,
    /// The port that it has, or that the scheme has by default.
    port: Option<u16>,
}

impl<'a> PageOrigin<'a> {
    /// `None` if the text is anything but `scheme://host` or `scheme://host:port`.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        if is_scheme(scheme) {
            Self::at(scheme, host)
        } else {
            None
        }
    }

    /// The origin of this scheme and host, which may have a port.
    pub(crate) fn at(scheme: &'a str, host: &'a str) -> Option<Self> {
        if !is_host(host) {
            return None;
        }
        // The colons of an IPv6 address are in brackets.
        let after_name = host.rfind(']').unwrap_or_default();
        let end = host.get(after_name..)?.find(':');
        let (name, port) = host.split_at(end.map_or(host.len(), |end| after_name + end));
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if scheme.eq_ignore_ascii_case("https") => Some(443),
            None if scheme.eq_ignore_ascii_case("http") => Some(80),
            None => None,
        };
        Some(Self { scheme, name, port })
    }

    /// Whether both are the same. Schemes and hosts have no case (RFC 3986 §6.2.2.1).
    pub(crate) fn is(self, other: PageOrigin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.name.eq_ignore_ascii_case(other.name)
            && self.port == other.port
    }

    /// Whether it is the origin of this host, which may have a port, with http or https.
    pub(crate) fn is_http_at(self, host: &str) -> bool {
        ["http", "https"]
            .into_iter()
            .filter_map(|scheme| PageOrigin::at(scheme, host))
            .any(|own| self.is(own))
    }
}

fn is_scheme(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(is_allowed)
}

/// An origin whose pages the application trusts like its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustedOrigin(String);

impl TrustedOrigin {
    /// What is wrong with the text is the error.
    pub(crate) fn parse(text: String) -> Result<Self, &'static str> {
        let rest = text.split_once("://").map(|(_, rest)| rest);
        Err(if PageOrigin::parse(&text).is_some() {
            return Ok(Self(text));
        } else if text.is_empty() {
            "is empty; write scheme and host, such as `https://app.example.com`"
        } else if text.contains('*') {
            "has a wildcard; list each origin, because every host that fits could act for the user"
        } else if text.eq_ignore_ascii_case("null") {
            "is what every sandboxed frame sends, also on pages of other sites; give the page an origin"
        } else if !text.is_ascii() {
            "is not in ASCII; write it as browsers send it, such as `https://xn--bcher-kva.example`"
        } else if rest.is_none() {
            "has no scheme; write `https://` and the host"
        } else if rest.is_some_and(|rest| rest.contains(['/', '?', '#', '\\'])) {
            "has a path; write only scheme, host and port, without a slash at the end"
        } else if text.contains('@') {
            "has a user name; write only scheme, host and port"
        } else {
            "is not an origin; write scheme, host and port, such as `https://app.example.com`"
        })
    }

    /// Whether its pages are sent without encryption.
    pub(crate) fn is_plain_http(&self) -> bool {
        PageOrigin::parse(&self.0).is_some_and(|origin| origin.scheme.eq_ignore_ascii_case("http"))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://app.example.com";

    const REPEATED: &str = "(repeated)";

    fn sent(text: Option<&str>) -> Sent<'_> {
        match text {
            None => Sent::Absent,
            Some(REPEATED) => Sent::Repeated,
            Some(text) => Sent::Once(text.as_bytes()),
        }
    }

    fn rules(trusted: &[&str], same_site: bool) -> CrossSiteRules {
        let parse = |origin: &&str| TrustedOrigin::parse((*origin).to_owned()).unwrap();
        CrossSiteRules {
            trusted: trusted.iter().map(parse).collect(),
            same_site,
        }
    }

    #[track_caller]
    fn check(
        rules: &CrossSiteRules,
        site: Option<&str>,
        origin: Option<&str>,
        expected: Option<CrossSiteReason>,
    ) {
        let is_own = |page: PageOrigin<'_>| PageOrigin::parse(OWN).unwrap().is(page);
        let found = rules.judge(sent(site), sent(origin), is_own).err();
        assert_eq!(found, expected, "{rules:?} {site:?} {origin:?}");
    }

    #[test]
    fn sec_fetch_site_decides_if_it_is_there() {
        use CrossSiteReason::*;
        let plain = rules(&[], false);
        for origin in [
            None,
            Some(OWN),
            Some("null"),
            Some("https://evil.test"),
            Some(REPEATED),
        ] {
            for (site, expected) in [
                ("same-origin", None),
                ("none", None),
                ("same-site", Some(SameSite)),
                ("cross-site", Some(CrossSite)),
                // What no browser sends counts as another site.
                ("", Some(UnknownSite)),
                ("Same-Origin", Some(UnknownSite)),
                ("NONE", Some(UnknownSite)),
                ("same-origin, none", Some(UnknownSite)),
                ("same-origin;x", Some(UnknownSite)),
                ("\"same-origin\"", Some(UnknownSite)),
                ("?1", Some(UnknownSite)),
                (REPEATED, Some(UnknownSite)),
            ] {
                check(&plain, Some(site), origin, expected);
            }
        }
    }

    #[test]
    fn without_sec_fetch_site_the_origin_has_to_be_our_own() {
        use CrossSiteReason::*;
        let plain = rules(&[], false);
        for (origin, expected) in [
            (None, None),
            (Some(OWN), None),
            (Some("https://app.example.com:443"), None),
            (Some("HTTPS://App.Example.COM"), None),
            (Some("http://app.example.com"), Some(OtherOrigin)),
            (Some("https://app.example.com:8443"), Some(OtherOrigin)),
            (Some("https://app.example.com:80"), Some(OtherOrigin)),
            (Some("https://example.com"), Some(OtherOrigin)),
            (Some("https://app.example.com.evil.test"), Some(OtherOrigin)),
            (Some("https://evil-app.example.com"), Some(OtherOrigin)),
            (Some("https://app.example.com."), Some(OtherOrigin)),
            (
                Some("chrome-extension://app.example.com"),
                Some(OtherOrigin),
            ),
            (Some("null"), Some(NullOrigin)),
            (Some("NULL"), Some(UnknownOrigin)),
            (Some(""), Some(UnknownOrigin)),
            (Some("app.example.com"), Some(UnknownOrigin)),
            (Some("//app.example.com"), Some(UnknownOrigin)),
            (Some("https://app.example.com/"), Some(UnknownOrigin)),
            (Some("https://app.example.com?x"), Some(UnknownOrigin)),
            (Some("https://app.example.com#x"), Some(UnknownOrigin)),
            (
                Some("https://app.example.com\\@evil.test"),
                Some(UnknownOrigin),
            ),
            (
                Some("https://app.example.com@evil.test"),
                Some(UnknownOrigin),
            ),
            (Some("https://user@app.example.com"), Some(UnknownOrigin)),
            (Some("https://app.example.com:"), Some(UnknownOrigin)),
            (Some("https://app.example.com:+443"), Some(UnknownOrigin)),
            (Some("https://app.example.com:99999"), Some(UnknownOrigin)),
            (
                Some("https://app.example.com https://evil.test"),
                Some(UnknownOrigin),
            ),
            (
                Some("https://app.example.com, https://evil.test"),
                Some(UnknownOrigin),
            ),
            (Some(" https://app.example.com"), Some(UnknownOrigin)),
            (Some("https://%61pp.example.com"), Some(UnknownOrigin)),
            (Some("1https://app.example.com"), Some(UnknownOrigin)),
            (Some("https://"), Some(UnknownOrigin)),
            (Some("https://\u{e4}.example"), Some(UnknownOrigin)),
            (Some(REPEATED), Some(UnknownOrigin)),
        ] {
            check(&plain, None, origin, expected);
        }
    }

    #[test]
    fn a_trusted_origin_passes_whatever_sec_fetch_site_says() {
        use CrossSiteReason::*;
        let trusting = rules(
            &[
                "https://spa.test",
                "http://[::1]:8080",
                "capacitor://localhost",
            ],
            false,
        );
        for site in [
            None,
            Some("same-site"),
            Some("cross-site"),
            Some("odd"),
            Some(REPEATED),
        ] {
            for origin in [
                "https://spa.test",
                "https://SPA.test:443",
                "http://[::1]:8080",
                "capacitor://localhost",
            ] {
                check(&trusting, site, Some(origin), None);
            }
        }
        for (site, origin, expected) in [
            (None, "http://spa.test", OtherOrigin),
            (None, "http://[::1]", OtherOrigin),
            (None, "null", NullOrigin),
            (Some("cross-site"), "http://spa.test", CrossSite),
            (Some("cross-site"), "https://spa.test:8443", CrossSite),
            (Some("cross-site"), "https://a.spa.test", CrossSite),
            (Some("cross-site"), "https://spa.test.evil.test", CrossSite),
            (Some("cross-site"), "null", CrossSite),
            (Some("cross-site"), REPEATED, CrossSite),
            (Some("same-site"), "capacitor://localhost:80", SameSite),
        ] {
            check(&trusting, site, Some(origin), Some(expected));
        }
        check(&trusting, Some("cross-site"), None, Some(CrossSite));
    }

    #[test]
    fn pages_of_the_same_site_pass_if_they_are_allowed() {
        use CrossSiteReason::*;
        let siblings = rules(&[], true);
        check(
            &siblings,
            Some("same-site"),
            Some("https://b.example.com"),
            None,
        );
        check(&siblings, Some("same-site"), None, None);
        check(&siblings, Some("Same-Site"), None, Some(UnknownSite));
        check(
            &siblings,
            Some("cross-site"),
            Some("https://b.example.com"),
            Some(CrossSite),
        );
        // Without `Sec-Fetch-Site`, nothing says which hosts are one site.
        check(
            &siblings,
            None,
            Some("https://b.example.com"),
            Some(OtherOrigin),
        );
    }

    #[test]
    fn methods_are_compared_exactly() {
        for safe in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(is_safe(safe), "{safe}");
        }
        for other in [
            "POST", "PUT", "PATCH", "DELETE", "CONNECT", "get", "PROPFIND", "QUERY", "",
        ] {
            assert!(!is_safe(other), "{other}");
        }
    }

    #[test]
    fn a_host_is_at_both_schemes_with_their_default_ports() {
        for (origin, host, expected) in [
            ("http://a.test", "a.test", true),
            ("https://a.test", "a.test", true),
            ("https://A.test", "a.TEST", true),
            ("http://a.test", "a.test:80", true),
            ("https://a.test", "a.test:443", true),
            ("http://a.test", "a.test:443", false),
            ("https://a.test", "a.test:80", false),
            ("https://a.test:8080", "a.test:8080", true),
            ("https://a.test:8080", "a.test", false),
            ("ftp://a.test", "a.test", false),
            ("http://[::1]:3000", "[::1]:3000", true),
            ("http://[::1]", "[::1]:3000", false),
            ("http://a.test", "a.test/", false),
            ("http://a.test", "", false),
        ] {
            let page = PageOrigin::parse(origin).unwrap();
            assert_eq!(page.is_http_at(host), expected, "{origin} {host}");
        }
    }

    #[test]
    fn a_trusted_origin_is_exactly_an_origin() {
        for good in [
            "https://spa.test",
            "http://localhost:3000",
            "https://192.0.2.1",
            "chrome-extension://abcdefghijklmnop",
        ] {
            let parsed = TrustedOrigin::parse(good.to_owned()).unwrap();
            assert_eq!(parsed.text(), good);
        }
        for (bad, why) in [
            ("", "is empty"),
            ("null", "is what every sandboxed frame sends"),
            ("*", "has a wildcard"),
            ("https://*.test", "has a wildcard"),
            ("spa.test", "has no scheme"),
            ("spa.test:443", "has no scheme"),
            ("https://spa.test/", "has a path"),
            ("https://spa.test/app", "has a path"),
            ("https://spa.test?x", "has a path"),
            ("https://me@spa.test", "has a user name"),
            ("https://b\u{fc}cher.example", "is not in ASCII"),
            ("https://", "is not an origin"),
            ("https://spa.test:", "is not an origin"),
            ("https://spa.test ", "is not an origin"),
            ("https://a.test,https://b.test", "has a path"),
        ] {
            let refused = TrustedOrigin::parse(bad.to_owned()).unwrap_err();
            assert!(refused.starts_with(why), "{bad}: {refused}");
        }
    }
}
