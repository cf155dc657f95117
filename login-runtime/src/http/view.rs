//! Addresses in the settings: login and refresh views, and the application's own origins.

use actix_web::http::Uri;
use url::Url;

use crate::{error::BuildError, http::escape};

fn invalid<T>(address: &str, why: &'static str) -> Result<T, BuildError> {
    let view = address.to_owned();
    Err(BuildError::View { view, why })
}

pub(crate) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// The page that refused clients are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// A path of this application, with or without a query and a fragment, as a `Location` has it.
    Path {
        address: String,
        /// The length without the query and the fragment.
        path_len: usize,
    },
    /// An absolute http or https URL.
    Url(Url),
    /// The name of a route, for `HttpRequest::url_for`.
    Name(String),
}

impl View {
    /// A text that starts with `/` is a path, one with a scheme is a URL, any other is the name of a route.
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        if text.is_empty() {
            return invalid(text, "is empty; write a path, a URL or the name of a route");
        }
        if text.starts_with("//") || (text.starts_with('/') && text.contains('\\')) {
            return invalid(text, "names another host; write the whole URL");
        }
        if text.starts_with('/') {
            let before_fragment = text.split('#').next().unwrap_or_default();
            if before_fragment.parse::<Uri>().is_err() {
                return invalid(text, "is not a path; escape what a URL cannot contain");
            }
            let address = escape::location(text);
            let path_len = address.find(['?', '#']).unwrap_or(address.len());
            return Ok(Self::Path { address, path_len });
        }
        if !text.contains(':') {
            return Ok(Self::Name(text.to_owned()));
        }
        match Url::parse(text) {
            Ok(url) if is_http(&url) => Ok(Self::Url(url)),
            _ => invalid(text, "is not an http or https URL"),
        }
    }
}

/// An origin of the application: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// For instance `https://app.example.com`.
    pub(crate) text: String,
    /// For instance `app.example.com`, with the port if it is not the default of the scheme, as in a
    /// `Host` header.
    pub(crate) host: String,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let is_origin = |url: &Url| is_http(url) && url.path() == "/" && url.query().is_none();
        let origin = Url::parse(text).ok().filter(is_origin).and_then(|url| {
            let text = url.origin().ascii_serialization();
            let host = text.split_once("://")?.1.to_owned();
            Some(Self { text, host })
        });
        let why = "is not an origin; write scheme and host, such as `https://app.example.com`";
        origin.map_or_else(|| invalid(text, why), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_path_a_url_or_a_name() {
        assert_eq!(
            View::parse("/login?a=b#c"),
            Ok(View::Path {
                address: "/login?a=b#c".to_owned(),
                path_len: "/login".len(),
            })
        );
        assert!(matches!(
            View::parse("https://auth.test/login"),
            Ok(View::Url(_))
        ));
        assert_eq!(
            View::parse("login_page"),
            Ok(View::Name("login_page".to_owned()))
        );
        for bad in [
            "",
            "//evil.test/login",
            "/\\evil.test",
            "/a b",
            "javascript:alert(1)",
            "ftp://a.test",
            "http://",
        ] {
            assert!(View::parse(bad).is_err(), "{bad}");
        }
    }
}
