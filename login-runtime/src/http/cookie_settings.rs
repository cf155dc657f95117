//! The attributes of the toolkit's cookies, and the checks that browsers make without a message.

use std::time::Duration;

use actix_web::cookie::{Cookie, SameSite};

use crate::{core::MAX_COOKIE_AGE, error::BuildError, http::set_cookie::SetCookie};

/// The attributes of a cookie.
///
/// Each default is the strict choice: `Secure`, `HttpOnly`, `SameSite=Lax`, for this host only, for the
/// whole site, and a name that starts with `__Host-`, so that browsers enforce `Secure`, host and path
/// (ASVS 3.3.1 to 3.3.4).
#[derive(Clone, Debug)]
pub struct CookieSettings {
    name: Option<String>,
    /// The start of the name that the toolkit picks.
    realm: String,
    /// The end of the name that the toolkit picks.
    user_type: String,
    pub(crate) path: String,
    pub(crate) domain: Option<String>,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
}

impl CookieSettings {
    /// The strict choice for every attribute.
    pub fn new() -> Self {
        Self {
            name: None,
            realm: String::new(),
            user_type: String::new(),
            path: "/".to_owned(),
            domain: None,
            same_site: Some(SameSite::Lax),
            secure: true,
            http_only: true,
        }
    }

    /// The cookie's whole name, including the prefix.
    ///
    /// By default the toolkit picks a name, with the strictest prefix that the other settings allow. A name
    /// without it is logged when the manager is built.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The browser sends the cookie only to this path and the paths below it; `/` by default.
    ///
    /// # Security
    ///
    /// A path is no protection (RFC 6265 §8.5), and it rules out the prefix `__Host-`. It is logged when
    /// the manager is built.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The browser also sends the cookie to `domain` and its subdomains; by default only to this host.
    ///
    /// # Security
    ///
    /// Every host of the domain can then set a cookie of this name. A browser may send several, and the
    /// first that is valid counts: a host that an attacker controls can log a user in as the attacker. It is
    /// logged when the manager is built.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// When the browser sends the cookie with requests that another site starts; `Lax` by default.
    ///
    /// Without the attribute (`None`) some browsers send a new cookie with cross-site POST requests too.
    ///
    /// # Security
    ///
    /// With `SameSite::None`, and without the attribute, other sites can send requests in the name of the
    /// user (ASVS 3.3.2). Both are logged when the manager is built.
    #[must_use]
    pub fn same_site(mut self, same_site: impl Into<Option<SameSite>>) -> Self {
        self.same_site = same_site.into();
        self
    }

    /// Lets the browser send the cookie over plain http.
    ///
    /// For development at an address that is neither https nor localhost.
    ///
    /// # Security
    ///
    /// Everyone on the network path can read and copy the cookie.
    #[must_use]
    pub fn danger_insecure(mut self) -> Self {
        self.secure = false;
        self
    }

    /// Lets scripts read the cookie, including an attacker's.
    #[must_use]
    pub fn danger_script_readable(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// The same attributes for an application in this realm, which is part of the name that the toolkit
    /// picks: browsers send the cookies of two applications on one host to both.
    pub(crate) fn for_realm(mut self, realm: &str) -> Self {
        realm.clone_into(&mut self.realm);
        self
    }

    /// The same attributes for another user type, whose name is appended to the cookie's name.
    pub(crate) fn for_user_type(mut self, user_type: &str) -> Self {
        if !user_type.is_empty() {
            self.name = self.name.map(|name| format!("{name}-{user_type}"));
            self.user_type = user_type.to_owned();
        }
        self
    }

    /// The same attributes for a cookie to which the toolkit gives a name.
    pub(crate) fn without_name(mut self) -> Self {
        self.name = None;
        self
    }

    /// Fills in the name, and checks what browsers would reject without a message.
    pub(crate) fn check(self, base_name: &str) -> Result<CheckedCookie, BuildError> {
        let name = self.name.clone().unwrap_or_else(|| {
            let prefix = match (self.secure, self.is_for_whole_host()) {
                (true, true) => "__Host-",
                (true, false) => "__Secure-",
                (false, _) => "",
            };
            // Neither the realm nor the user type contains a dot.
            let dot = if self.realm.is_empty() { "" } else { "." };
            let dash = if self.user_type.is_empty() { "" } else { "-" };
            let (realm, user_type) = (&self.realm, &self.user_type);
            format!("{prefix}{realm}{dot}{base_name}{dash}{user_type}")
        });
        if let Some(why) = self.mistake(&name) {
            return Err(BuildError::Cookie { name, why });
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
            settings: self,
            attributes,
        })
    }

    fn is_for_whole_host(&self) -> bool {
        self.path == "/" && self.domain.is_none()
    }

    /// Why browsers would reject a cookie with these attributes and this name.
    fn mistake(&self, name: &str) -> Option<&'static str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let is_plain = |text: &str| text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b';');
        let is_domain = |domain: &String| {
            let is_empty = domain.trim_start_matches('.').is_empty();
            !is_empty && is_plain(domain) && !domain.contains(['/', ':', ','])
        };
        // Browsers ignore the case of the prefixes (RFC 6265bis §4.1.3).
        let prefix = name.to_ascii_lowercase();
        if name.is_empty() || !name.chars().all(is_token) {
            Some("is not a cookie name; use ASCII letters, digits, `-` and `_`")
        } else if prefix.starts_with("__host-") && !(self.secure && self.is_for_whole_host()) {
            Some("starts with `__Host-`, so it needs Secure, the path `/` and no domain")
        } else if prefix.starts_with("__secure-") && !self.secure {
            Some("starts with `__Secure-`, so it needs Secure")
        } else if self.same_site == Some(SameSite::None) && !self.secure {
            Some("has SameSite=None, so it needs Secure")
        } else if !self.path.starts_with('/') || !is_plain(&self.path) {
            Some("has an invalid path; a path starts with `/`")
        } else if self
            .domain
            .as_ref()
            .is_some_and(|domain| !is_domain(domain))
        {
            Some("has an invalid domain; write a host name such as `example.com`")
        } else {
            None
        }
    }
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self::new()
    }
}

/// A cookie whose name and attributes browsers accept together.
#[derive(Clone, Debug)]
pub(crate) struct CheckedCookie {
    pub(crate) name: String,
    pub(crate) settings: CookieSettings,
    /// The attributes as a `Set-Cookie` header has them after the value.
    attributes: String,
}

impl CheckedCookie {
    /// The length of a cookie that ends with the browser, without its value.
    pub(crate) fn len_but_value(&self) -> usize {
        self.name.len() + "=".len() + self.attributes.len()
    }

    /// What makes this cookie weaker than it could be: first what some applications need, then the settings
    /// with `danger` in their name.
    pub(crate) fn weaknesses(&self) -> impl Iterator<Item = CookieWeakness> {
        let settings = &self.settings;
        let name = self.name.to_ascii_lowercase();
        let has_prefix = name.starts_with("__host-")
            || name.starts_with("__secure-") && !settings.is_for_whole_host();
        [
            (
                settings.domain.is_some(),
                CookieWeakness {
                    code: "cookie-domain",
                    is_danger: false,
                    what: "has a domain",
                    follows: "all subdomains get it, and each of them can replace it",
                    advice: "leave out `.domain(..)` if one host needs it",
                },
            ),
            (
                settings.path != "/",
                CookieWeakness {
                    code: "cookie-path",
                    is_danger: false,
                    what: "has a path",
                    follows: "its name cannot start with `__Host-`, and another host of the same domain can replace it",
                    advice: "leave out `.path(..)`",
                },
            ),
            (
                // Without Secure, a cookie can have no prefix.
                settings.secure && !has_prefix,
                CookieWeakness {
                    code: "cookie-name",
                    is_danger: false,
                    what: "has a name without the strictest prefix that its other settings allow",
                    follows: "another host of the same domain can replace it",
                    advice: "leave out `.name(..)`, or start the name with `__Host-` (with a domain or a path, \
                     `__Secure-`)",
                },
            ),
            (
                settings.same_site == Some(SameSite::None),
                CookieWeakness {
                    code: "cookie-same-site-none",
                    is_danger: false,
                    what: "has SameSite=None",
                    follows: "browsers send it with requests that other sites start",
                    advice: "protect all forms against cross-site requests, or leave out `.same_site(..)`",
                },
            ),
            (
                settings.same_site.is_none(),
                CookieWeakness {
                    code: "cookie-same-site-missing",
                    is_danger: false,
                    what: "has no SameSite attribute",
                    follows: "some browsers send it with requests that other sites start",
                    advice: "leave out `.same_site(..)`",
                },
            ),
            (
                !settings.secure,
                CookieWeakness {
                    code: "insecure-cookies",
                    is_danger: true,
                    what: "has no Secure attribute",
                    follows: "browsers send it over plain http, where everyone on the network path can copy it",
                    advice: "leave out `.danger_insecure()`",
                },
            ),
            (
                !settings.http_only,
                CookieWeakness {
                    code: "cookie-script-readable",
                    is_danger: true,
                    what: "has no HttpOnly attribute",
                    follows: "a script that an attacker gets into a page can copy it",
                    advice: "leave out `.danger_script_readable()`",
                },
            ),
        ]
        .into_iter()
        .filter_map(|(is_weak, weakness)| is_weak.then_some(weakness))
    }

    /// The attributes as a `Set-Cookie` header has them, without the separator at their start.
    pub(crate) fn attributes(&self) -> &str {
        self.attributes.trim_start_matches("; ")
    }

    /// A cookie with this value that ends with the browser. `None` if it is longer than browsers keep.
    pub(crate) fn until_closed(&self, value: &str) -> Option<SetCookie> {
        Some(SetCookie::new(&self.name, &[value, &self.attributes])).filter(SetCookie::fits)
    }

    /// A cookie with this value and lifetime. `None` if it is longer than browsers keep.
    pub(crate) fn set(&self, value: &str, age: Duration) -> Option<SetCookie> {
        let age = age.min(MAX_COOKIE_AGE).as_secs().to_string();
        let parts = [value, &self.attributes, "; Max-Age=", &age];
        Some(SetCookie::new(&self.name, &parts)).filter(SetCookie::fits)
    }

    /// A cookie that makes the browser delete this one. It has the same attributes; without them
    /// browsers may ignore it.
    pub(crate) fn clear(&self) -> SetCookie {
        let now = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        SetCookie::new(&self.name, &[&self.attributes, now])
    }
}

/// What makes a cookie weaker than it could be.
pub(crate) struct CookieWeakness {
    pub(crate) code: &'static str,
    /// Whether the setting has `danger` in its name.
    pub(crate) is_danger: bool,
    /// The end of a sentence about the cookie.
    pub(crate) what: &'static str,
    /// What follows from it.
    pub(crate) follows: &'static str,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// The remember cookie: its attributes, its lifetime, and whether use extends it.
#[derive(Clone, Debug)]
pub struct RememberCookie {
    pub(crate) cookie: CookieSettings,
    pub(crate) duration: Option<Duration>,
    pub(crate) at_most: Option<Duration>,
    pub(crate) refresh_each_request: bool,
}

impl RememberCookie {
    /// Strict attributes and 30 days, which use does not extend; less if [`Limits`](crate::Limits) allow
    /// less.
    pub fn new() -> Self {
        Self {
            cookie: CookieSettings::new(),
            duration: None,
            at_most: None,
            refresh_each_request: false,
        }
    }

    /// The attributes of the cookie.
    #[must_use]
    pub fn cookie(mut self, settings: CookieSettings) -> Self {
        self.cookie = settings;
        self
    }

    /// How long a login is remembered, at most 400 days; 30 days by default.
    ///
    /// [`LogIn::remember_for`](crate::logins::LogIn::remember_for) overrides it for one login. The manager
    /// cannot be built with more than [`at_most`](Self::at_most), or than
    /// [`Limits::remember_at_most`](crate::Limits::remember_at_most), which the presets of `Limits` set.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// How long after credentials were given a login is remembered at most, however often the cookie is
    /// used; at most 400 days.
    ///
    /// By default that is what [`Limits::remember_at_most`](crate::Limits::remember_at_most) says. If that
    /// says nothing, use can keep a cookie valid for 90 days.
    #[must_use]
    pub fn at_most(mut self, limit: Duration) -> Self {
        self.at_most = Some(limit);
        self
    }

    /// Sends a new token with each response to a client that has a login and a valid token. The token
    /// then expires if it was not used for the whole duration, and at the end that
    /// [`at_most`](Self::at_most) sets.
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
}
