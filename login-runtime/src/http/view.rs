//! TODO http/view.rs

use actix_web::http::Uri;

use crate::error::BuildError;

/// Where refused clients are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// A path of this application, with or without a query and a fragment.
    Path(String),
    /// An absolute http or https URL.
    Url(url::Url),
    /// The name of a route, as `HttpRequest::url_for` takes it.
    Name(String),
}

impl View {
    /// What starts with `/` is a path, what has a scheme is a URL, anything else names a route.
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let refuse = |why| {
            Err(BuildError::View {
                view: text.to_owned(),
                why,
            })
        };
        if text.starts_with('/') {
            if text.starts_with("//") || text.contains('\\') {
                return refuse("names another host; write the whole URL");
            }
            let before_fragment = text.split('#').next().unwrap_or_default();
            return match before_fragment.parse::<Uri>() {
                Ok(_) => Ok(Self::Path(text.to_owned())),
                Err(_) => refuse("is no path; escape what a URL cannot contain"),
            };
        }
        if text.contains(':') {
            return match url::Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                    Ok(Self::Url(url))
                }
                _ => refuse("is no http or https URL"),
            };
        }
        if text.is_empty() {
            return refuse("is empty; write a path, a URL or the name of a route");
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// An origin under which the application is reached: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `https://app.example.com`
    pub(crate) text: String,
    /// `app.example.com`, with the port if it is not the scheme's own; as a `Host` header says it.
    pub(crate) host: String,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let refuse = || {
            let why = "is no origin; write scheme and host, such as `https://app.example.com`";
            Err(BuildError::View {
                view: text.to_owned(),
                why,
            })
        };
        match url::Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.path() == "/"
                    && url.query().is_none() =>
            {
                let text = url.origin().ascii_serialization();
                match text.split_once("://") {
                    Some((_, host)) => Ok(Self {
                        host: host.to_owned(),
                        text,
                    }),
                    None => refuse(),
                }
            }
            _ => refuse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_a_path_a_url_or_a_name() {
        assert_eq!(
            View::parse("/login?a=b#c"),
            Ok(View::Path("/login?a=b#c".to_owned()))
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
