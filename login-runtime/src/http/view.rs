//! Addresses in the settings: login and refresh views, and the application's own origins.

use std::sync::Arc;

use actix_web::{HttpRequest, http::Uri};
use derive_more::Debug;
use url::Url;

use crate::{error::BuildError, http::escape};

fn invalid<T>(address: &str, why: &'static str) -> Result<T, BuildError> {
    let view = address.to_owned();
    Err(BuildError::View { view, why })
}

pub(crate) fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

/// The page that refused clients are sent to, as the application names it.
///
/// A text is a path of this application (`/login`), with or without a query and a fragment, or an http or
/// https URL. A path may have the dynamic segments of the routes whose clients are sent there:
/// `/{language}/login`. If a route has no such segment, its clients get 401.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, cookie::Key};
/// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore, config::View};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// fn login_of_shop(request: &HttpRequest) -> String {
///     match request.path().starts_with("/shop/") {
///         true => "/shop/login".to_owned(),
///         false => "/login".to_owned(),
///     }
/// }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let builder = || {
///     LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///         .login_store(MemoryLoginStore::new())
/// };
/// builder().login_view("/login").build(Key::generate())?;
/// builder().login_view("/{language}/login").build(Key::generate())?;
/// builder().login_view(View::route("login_page")).build(Key::generate())?;
/// builder().login_view(View::from_fn(login_of_shop)).build(Key::generate())?;
///
/// let error = builder().login_view("login").build(Key::generate()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the view `login` is neither a path nor a URL; write `/login`, or `View::route(..)` for the name of a route",
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[debug("View({_0:?})")]
pub struct View(ViewAddress);

impl View {
    /// The route of this name, as in [`HttpRequest::url_for`]. Its dynamic segments are those of the route
    /// whose clients are sent there.
    pub fn route(name: impl Into<String>) -> Self {
        Self(ViewAddress::Name(name.into()))
    }

    /// The address that a function returns for the refused request: a path or a URL.
    ///
    /// If it returns anything else, the log says so and the client gets 401.
    ///
    /// # Security
    ///
    /// The function decides where browsers are sent. Do not copy a host from the request into the address.
    pub fn from_fn<F, T>(address: F) -> Self
    where
        F: Fn(&HttpRequest) -> T + Send + Sync + 'static,
        T: Into<String>,
    {
        let address = move |request: &HttpRequest| address(request).into();
        Self(ViewAddress::Function(Arc::new(address)))
    }
}

/// A value that names a view: a text, a [`View`], or a function from the refused request to an address.
pub trait IntoView {
    /// The view.
    ///
    /// # Errors
    ///
    /// [`BuildError::View`] if it is not an address.
    fn into_view(self) -> Result<View, BuildError>;
}

impl IntoView for View {
    fn into_view(self) -> Result<View, BuildError> {
        match &self.0 {
            ViewAddress::Name(name) if name.is_empty() => {
                invalid(name, "is empty; write the name of a route")
            }
            _ => Ok(self),
        }
    }
}

impl IntoView for &str {
    fn into_view(self) -> Result<View, BuildError> {
        ViewAddress::parse(self).map(View)
    }
}

impl IntoView for String {
    fn into_view(self) -> Result<View, BuildError> {
        self.as_str().into_view()
    }
}

impl IntoView for &String {
    fn into_view(self) -> Result<View, BuildError> {
        self.as_str().into_view()
    }
}

impl<F, T> IntoView for F
where
    F: Fn(&HttpRequest) -> T + Send + Sync + 'static,
    T: Into<String>,
{
    fn into_view(self) -> Result<View, BuildError> {
        Ok(View::from_fn(self))
    }
}

type AddressFn = dyn Fn(&HttpRequest) -> String + Send + Sync;

/// The address of a view, or how to find it.
#[derive(Clone, Debug)]
pub(crate) enum ViewAddress {
    /// A path of this application, with or without a query and a fragment, as a `Location` has it.
    Path {
        address: String,
        /// The length without the query and the fragment.
        path_len: usize,
    },
    /// An absolute http or https URL.
    Url(Url),
    /// A path with dynamic segments.
    Pattern(PathPattern),
    /// The name of a route, for `HttpRequest::url_for`.
    Name(String),
    /// A function of the application.
    #[debug("Function")]
    Function(Arc<AddressFn>),
}

impl From<View> for ViewAddress {
    fn from(view: View) -> Self {
        view.0
    }
}

impl ViewAddress {
    /// A text that starts with `/` is a path, and one with a scheme is a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        if text.is_empty() {
            return invalid(text, "is empty; write a path or a URL");
        }
        if text.starts_with("//") || (text.starts_with('/') && text.contains('\\')) {
            return invalid(text, "names another host; write the whole URL");
        }
        if text.starts_with('/') {
            let before_fragment = text.split('#').next().unwrap_or_default();
            if before_fragment.parse::<Uri>().is_err() {
                return invalid(text, "is not a path; escape what a URL cannot contain");
            }
            if text.contains(['{', '}']) {
                return match PathPattern::parse(text) {
                    Some(pattern) => Ok(Self::Pattern(pattern)),
                    None => invalid(
                        text,
                        "has a dynamic segment that is not `{name}`, or not in the path",
                    ),
                };
            }
            return Ok(Self::path(text));
        }
        if !text.contains(':') {
            return invalid(
                text,
                "is neither a path nor a URL; write `/login`, or `View::route(..)` for the name of a route",
            );
        }
        if text.contains(['{', '}']) {
            return invalid(
                text,
                "has a dynamic segment, which only a path may have; write `View::from_fn(..)`",
            );
        }
        match Url::parse(text) {
            Ok(url) if is_http(&url) => Ok(Self::Url(url)),
            _ => invalid(text, "is not an http or https URL"),
        }
    }

    /// A path that may need escapes.
    pub(crate) fn path(text: &str) -> Self {
        let address = escape::location(text);
        let path_len = address.find(['?', '#']).unwrap_or(address.len());
        Self::Path { address, path_len }
    }
}

/// A path with dynamic segments, such as `/{language}/login`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    pub(crate) text: String,
    /// The text before each dynamic segment, and the name of the segment.
    parts: Vec<(String, String)>,
    end: String,
}

impl PathPattern {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            // A segment in the query or the fragment would need other escapes.
            if !is_name || before.contains(['?', '#', '}']) {
                return None;
            }
            parts.push((before.to_owned(), name.to_owned()));
            rest = after;
        }
        (!rest.contains('}')).then(|| Self {
            text: text.to_owned(),
            parts,
            end: rest.to_owned(),
        })
    }

    /// The path with the segments of a request. `None` if the request has no such segment, or an empty one,
    /// which could make a path name another host.
    pub(crate) fn fill<'a>(&self, segment: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let mut path = String::new();
        for (before, name) in &self.parts {
            path.push_str(before);
            path.push_str(&escape::segment(segment(name)?)?);
        }
        path.push_str(&self.end);
        Some(path)
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
    fn a_text_is_a_path_or_a_url() {
        assert!(matches!(
            ViewAddress::parse("/login?a=b#c"),
            Ok(ViewAddress::Path { address, path_len: 6 }) if address == "/login?a=b#c"
        ));
        assert!(matches!(
            ViewAddress::parse("https://auth.test/login"),
            Ok(ViewAddress::Url(_))
        ));
        assert!(matches!(
            ViewAddress::parse("/{lang}/login"),
            Ok(ViewAddress::Pattern(_))
        ));
        for bad in [
            "",
            "login",
            "./login",
            "../login",
            "?login",
            "#login",
            "login/page",
            "//evil.test/login",
            "/\\evil.test",
            "/a b",
            "/{}",
            "/{a:.*}/login",
            "/{a/login",
            "/a}/login",
            "/login?x={a}",
            "https://{tenant}.test/login",
            "localhost:8080/login",
            "javascript:alert(1)",
            "ftp://a.test",
            "http://",
        ] {
            assert!(ViewAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filled_segment_stays_one_segment_of_this_host() {
        let Ok(ViewAddress::Pattern(pattern)) = ViewAddress::parse("/{a}/x-{b}/login?c=d") else {
            panic!("not a pattern");
        };
        let fill = |a| pattern.fill(|name| if name == "a" { a } else { Some("b") });
        assert_eq!(fill(Some("en")).as_deref(), Some("/en/x-b/login?c=d"));
        for (hostile, filled) in [
            ("\\evil.test", "%5Cevil.test"),
            ("/evil.test", "%2Fevil.test"),
            ("a?b#c", "a%3Fb%23c"),
            ("\u{e4}\r\n", "%C3%A4%0D%0A"),
            ("%2F", "%252F"),
        ] {
            let expected = format!("/{filled}/x-b/login?c=d");
            assert_eq!(fill(Some(hostile)), Some(expected), "{hostile:?}");
        }
        for refused in [None, Some(""), Some("."), Some("..")] {
            assert_eq!(fill(refused), None, "{refused:?}");
        }
    }
}
