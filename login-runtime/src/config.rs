//! Settings, with their defaults and what raising or lowering them does.

use std::{error::Error, fmt, io, time::Duration};

use actix_web::{
    cookie::{Cookie, SameSite},
    http::Uri,
};

use crate::cookies::SetCookie;

/// How long a remember cookie lasts unless told otherwise: 30 days.
///
/// Raising it spares people log ins; lowering it shortens the life of a stolen token.
pub(crate) const REMEMBER_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest life that browsers give a cookie: 400 days (RFC 6265bis §5.5).
pub(crate) const MAX_COOKIE_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The attributes of a cookie.
///
/// Each default is the strict choice: `Secure`, `HttpOnly`, `SameSite=Lax`, for this host only, for
/// the whole site, and a name that starts with `__Host-`, which makes browsers insist on the rest
/// (ASVS 3.3.1 to 3.3.4).
#[derive(Clone, Debug)]
pub struct CookieSettings {
    name: Option<String>,
    /// Ends the name that the toolkit picks.
    user_type: String,
    path: String,
    domain: Option<String>,
    same_site: Option<SameSite>,
    secure: bool,
    http_only: bool,
}

impl CookieSettings {
    /// The strict choice for everything.
    pub fn new() -> Self {
        Self {
            name: None,
            user_type: String::new(),
            path: "/".to_owned(),
            domain: None,
            same_site: Some(SameSite::Lax),
            secure: true,
            http_only: true,
        }
    }

    /// The cookie's whole name, prefix included.
    ///
    /// Without it the toolkit picks a name, with the strictest prefix that the other settings allow.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The path below which the browser sends the cookie; `/` by default.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Shares the cookie with the subdomains of `domain`; by default only this host gets it.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// When the browser sends the cookie along with requests that another site starts.
    ///
    /// `Lax` by default. Without the attribute (`None`) some browsers send a young cookie with
    /// cross-site POST requests too.
    #[must_use]
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Lets the cookie travel over plain http, where anybody on the way can read and keep it.
    ///
    /// For development, where the address is neither https nor localhost.
    #[must_use]
    pub fn danger_insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Lets scripts read the cookie, those of an attacker included.
    #[must_use]
    pub fn danger_script_readable(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// The same attributes for a further user type, whose name becomes part of the cookie's.
    pub(crate) fn for_user_type(mut self, user_type: &str) -> Self {
        if !user_type.is_empty() {
            self.name = self.name.map(|name| format!("{name}-{user_type}"));
            self.user_type = user_type.to_owned();
        }
        self
    }

    /// Fills in the name and checks what browsers would reject in silence.
    pub(crate) fn check(self, base_name: &str) -> Result<CheckedCookie, BuildError> {
        let whole_site = self.path == "/" && self.domain.is_none();
        let name = self.name.unwrap_or_else(|| {
            let prefix = match (self.secure, whole_site) {
                (true, true) => "__Host-",
                (true, false) => "__Secure-",
                (false, _) => "",
            };
            let dash = if self.user_type.is_empty() { "" } else { "-" };
            format!("{prefix}{base_name}{dash}{}", self.user_type)
        });
        let refuse = |why: &'static str| {
            Err(BuildError::Cookie {
                name: name.clone(),
                why,
            })
        };
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return refuse("is not a cookie name; use ASCII letters, digits, `-` and `_`");
        }
        // Browsers match the prefixes whatever their case (RFC 6265bis §4.1.3).
        let prefix = name.to_ascii_lowercase();
        if prefix.starts_with("__host-") && !(self.secure && whole_site) {
            return refuse("starts with `__Host-`, so it needs Secure, the path `/` and no domain");
        }
        if prefix.starts_with("__secure-") && !self.secure {
            return refuse("starts with `__Secure-`, so it needs Secure");
        }
        if self.same_site == Some(SameSite::None) && !self.secure {
            return refuse("has SameSite=None, so it needs Secure");
        }
        let is_plain = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b';');
        if !self.path.starts_with('/') || !is_plain(&self.path) {
            return refuse("has a path that is none; a path starts with `/`");
        }
        if let Some(domain) = &self.domain
            && (domain.trim_start_matches('.').is_empty()
                || !is_plain(domain)
                || domain.contains(['/', ':', ',']))
        {
            return refuse("has a domain that is none; write a host name such as `example.com`");
        }
        let mut cookie = Cookie::new(&*name, "");
        cookie.set_path(&*self.path);
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain);
        }
        cookie.set_secure(self.secure);
        cookie.set_http_only(self.http_only);
        cookie.set_same_site(self.same_site);
        let attributes = cookie.to_string().split_off(name.len() + "=".len());
        Ok(CheckedCookie {
            name,
            path: self.path,
            domain: self.domain,
            same_site: self.same_site,
            secure: self.secure,
            http_only: self.http_only,
            attributes,
        })
    }
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self::new()
    }
}

/// Cookie attributes that browsers accept together.
#[derive(Clone, Debug)]
pub(crate) struct CheckedCookie {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    /// All of these, as a `Set-Cookie` header has them behind the value.
    attributes: String,
}

impl CheckedCookie {
    /// A cookie with this value, until the browser is closed.
    pub(crate) fn until_closed(&self, value: &str) -> SetCookie {
        SetCookie::new(&self.name, &[value, &self.attributes])
    }

    /// A cookie with this value and life.
    pub(crate) fn set(&self, value: &str, age: Duration) -> SetCookie {
        let age = age.min(MAX_COOKIE_AGE).as_secs().to_string();
        SetCookie::new(&self.name, &[value, &self.attributes, "; Max-Age=", &age])
    }

    /// A cookie that makes the browser forget this one. It carries the same attributes, without
    /// which browsers may ignore it.
    pub(crate) fn clear(&self) -> SetCookie {
        let now = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        SetCookie::new(&self.name, &[&self.attributes, now])
    }
}

/// The remember cookie: its attributes, its life, and whether use prolongs it.
#[derive(Clone, Debug)]
pub struct RememberCookie {
    pub(crate) cookie: CookieSettings,
    pub(crate) duration: Duration,
    pub(crate) refresh_each_request: bool,
}

impl RememberCookie {
    /// Strict attributes, 30 days, not prolonged by use.
    pub fn new() -> Self {
        Self {
            cookie: CookieSettings::new(),
            duration: REMEMBER_FOR,
            refresh_each_request: false,
        }
    }

    /// The attributes of the cookie.
    #[must_use]
    pub fn cookie(mut self, settings: CookieSettings) -> Self {
        self.cookie = settings;
        self
    }

    /// How long a login is remembered, unless it says so itself; at most 400 days.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Issues the token anew with each response to a client that has a login and a good token, so
    /// that it expires only when it was not used for the whole duration.
    #[must_use]
    pub fn refresh_each_request(mut self) -> Self {
        self.refresh_each_request = true;
        self
    }
}

impl Default for RememberCookie {
    fn default() -> Self {
        Self::new()
    }
}

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

/// Why a [`LoginManager`](crate::LoginManager) could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Browsers would reject the cookie in silence.
    Cookie {
        /// The cookie's name.
        name: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A login or refresh view that is no address.
    View {
        /// The view as it was given.
        view: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A setting with a value that cannot be meant.
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// The request loader finds users of a type that no user loader loads.
    RequestLoader {
        /// The type that it finds.
        user_type: &'static str,
    },
    /// Two user types share a name, or two loaders a user type.
    Loaders {
        /// The name or type that occurs twice.
        twice: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie { name, why } => write!(f, "the cookie `{name}` {why}"),
            Self::View { view, why } => write!(f, "the view `{view}` {why}"),
            Self::Setting { name, why } => write!(f, "`{name}` {why}"),
            Self::RequestLoader { user_type } => {
                write!(
                    f,
                    "the request loader finds `{user_type}`, which no user loader loads; add `.user_loader(\"name\", ..)` for it"
                )
            }
            Self::Loaders { twice } => {
                write!(
                    f,
                    "`{twice}` has two user loaders; give each user type one, each with its own name"
                )
            }
        }
    }
}

impl Error for BuildError {}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: CookieSettings, expected: Result<&str, &str>) {
        match (settings.check("session"), expected) {
            (Ok(cookie), Ok(name)) => assert_eq!(cookie.name, name),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn cookies_that_browsers_reject_do_not_build() {
        let new = CookieSettings::new;
        check(new().name("__Host-x").domain("a.test"), Err("no domain"));
        check(new().name("__HOST-x").path("/area"), Err("the path `/`"));
        check(
            new().name("__host-x").danger_insecure(),
            Err("needs Secure"),
        );
        check(
            new().name("__Secure-x").danger_insecure(),
            Err("needs Secure"),
        );
        check(
            new().same_site(SameSite::None).danger_insecure(),
            Err("SameSite=None"),
        );
        check(new().name(""), Err("not a cookie name"));
        check(new().name("a b"), Err("not a cookie name"));
        check(new().name("a;b"), Err("not a cookie name"));
        check(new().path("area"), Err("starts with `/`"));
        check(new().path("/; Domain=evil.test"), Err("starts with `/`"));
        check(new().domain(""), Err("host name"));
        check(new().domain("https://a.test"), Err("host name"));
    }

    #[test]
    fn the_default_name_has_the_strictest_prefix_there_is() {
        let new = CookieSettings::new;
        check(new(), Ok("__Host-session"));
        check(new().path("/area"), Ok("__Secure-session"));
        check(new().domain("a.test"), Ok("__Secure-session"));
        check(new().danger_insecure(), Ok("session"));
        check(new().name("sid"), Ok("sid"));
        check(new().name("sid").same_site(SameSite::None), Ok("sid"));
    }

    #[test]
    fn clearing_repeats_the_attributes() {
        let cookie = CookieSettings::new()
            .path("/a")
            .domain("a.test")
            .check("remember")
            .unwrap();
        let cleared = cookie.clear().text().to_owned();
        for attribute in [
            "Path=/a",
            "Domain=a.test",
            "Secure",
            "HttpOnly",
            "SameSite=Lax",
            "Max-Age=0",
        ] {
            assert!(cleared.contains(attribute), "{cleared}");
        }
    }

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
