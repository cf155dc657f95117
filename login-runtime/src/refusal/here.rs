//! The origin at which a client reached this application.

use std::borrow::Cow;

use actix_web::HttpRequest;

use crate::{core::PageOrigin, http::Origin, refusal::settings::RefusalSettings};

/// An origin: scheme, host and port.
pub(crate) struct Here<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Whether it is one of the application's origins, or reported by a trusted proxy. Without either, it is
    /// what the client says.
    pub(crate) is_ours: bool,
    /// Whether the scheme is known. If TLS ends at a proxy that reports nothing, it is not.
    is_scheme_known: bool,
}

impl Here<'_> {
    /// Whether a view with this scheme and host is here. If TLS ends at a proxy, the request does not say
    /// that the client used it; a path on the same host is safe in any case. With `danger_any_host`, only
    /// what the request says counts, as in Flask-Login.
    pub(crate) fn is(&self, base: &str, settings: &RefusalSettings) -> bool {
        self.text == base || self.may_be(base) && !settings.any_host
    }

    /// Whether a page with this origin is here. If TLS ends at a proxy that reports nothing, the page has
    /// another scheme than the request seems to have.
    pub(crate) fn is_page(&self, origin: &str) -> bool {
        self.text == origin || self.may_be(origin)
    }

    /// Whether this may be an https origin that the request does not show, because TLS ends before it.
    fn may_be(&self, origin: &str) -> bool {
        let there = origin.strip_prefix("https://");
        let is_there = |there| self.text.strip_prefix("http://") == Some(there);
        !self.is_scheme_known && there.is_some_and(is_there)
    }
}

/// The origin according to the settings, the trusted proxies or the request, whichever says it first.
pub(crate) fn here<'a>(request: &HttpRequest, settings: &'a RefusalSettings) -> Option<Here<'a>> {
    let ours = |origin: &'a Origin| Here {
        text: Cow::Borrowed(&origin.text),
        is_ours: true,
        is_scheme_known: true,
    };
    if let Some(own) = &settings.own_origin {
        return Some(ours(own));
    }
    let asked = settings.proxies.origin(request)?;
    let has_scheme = |origin: &&Origin| {
        let scheme = origin.text.split_once(':').map(|(scheme, _)| scheme);
        asked.is_scheme_reported && scheme == Some(asked.scheme)
    };
    let origins = settings.origins.iter();
    let mut known = origins.filter(|origin| origin.host.eq_ignore_ascii_case(&asked.host));
    if let Some(origin) = known.clone().find(has_scheme).or_else(|| known.next()) {
        return Some(ours(origin));
    }
    let origin = Origin::parse(&format!("{}://{}", asked.scheme, asked.host)).ok()?;
    Some(Here {
        text: Cow::Owned(origin.text),
        is_ours: asked.is_reported,
        is_scheme_known: asked.is_reported || asked.is_scheme_reported,
    })
}

/// Whether a page has the origin at which the client reached the application, by the same sources.
///
/// As long as nothing says which scheme the client used, both count: TLS may end at a proxy that reports
/// nothing.
pub(crate) fn is_own(
    request: &HttpRequest,
    settings: &RefusalSettings,
    page: PageOrigin<'_>,
) -> bool {
    let is = |own: &Origin| PageOrigin::parse(&own.text).is_some_and(|own| own.is(page));
    if let Some(own) = &settings.own_origin {
        return is(own);
    }
    let Some(asked) = settings.proxies.origin(request) else {
        return false;
    };
    if asked.is_scheme_reported || asked.scheme == "https" {
        return PageOrigin::at(asked.scheme, &asked.host).is_some_and(|own| own.is(page));
    }
    let is_asked =
        |own: &&Origin| PageOrigin::parse(&own.text).is_some_and(|own| own.is_http_at(&asked.host));
    let mut listed = settings.origins.iter().filter(is_asked).peekable();
    match listed.peek() {
        Some(_) => listed.any(is),
        None => page.is_http_at(&asked.host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_https_origin_may_be_here_while_the_scheme_is_unknown() {
        for (text, is_scheme_known, origin, is_page, is_view, is_view_for_any_host) in [
            ("http://a", false, "http://a", true, true, true),
            ("http://a", false, "https://a", true, true, false),
            ("http://a", false, "https://b", false, false, false),
            ("http://a", false, "ftp://a", false, false, false),
            ("http://a", true, "https://a", false, false, false),
            ("http://a", true, "http://a", true, true, true),
            ("https://a", false, "http://a", false, false, false),
            ("https://a", false, "http://b", false, false, false),
            ("https://a", false, "https://b", false, false, false),
        ] {
            let here = Here {
                text: Cow::Borrowed(text),
                is_ours: false,
                is_scheme_known,
            };
            let mut settings = RefusalSettings::default();
            let asked = format!("{text} {is_scheme_known} {origin}");
            assert_eq!(here.is_page(origin), is_page, "{asked}");
            assert_eq!(here.is(origin, &settings), is_view, "{asked}");
            settings.any_host = true;
            assert_eq!(here.is(origin, &settings), is_view_for_any_host, "{asked}");
        }
    }
}
