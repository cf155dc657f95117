//! The requests that are measured, and a check that each contender answers them correctly.

use percent_encoding::percent_decode_str;

/// A request from a browser.
#[derive(Clone, Debug)]
pub struct Ask {
    pub post: bool,
    pub path: &'static str,
    pub headers: Headers,
    pub cookie: Option<String>,
}

/// The response to it.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    /// The `Set-Cookie` headers.
    pub cookies: Vec<String>,
    pub body: String,
}

/// The name of the browser in all requests.
pub const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// The headers of a request, besides its cookies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// The three that every client sends.
    Few,
    /// The sixteen that Chromium sends when a user follows a link, in its order, and three more with a
    /// form.
    Browser,
}

const FEW: &[(&str, &str)] = &[
    ("host", "example.org"),
    ("user-agent", USER_AGENT),
    ("accept", ACCEPT),
];

const BROWSER: &[(&str, &str)] = &[
    ("host", "example.org"),
    ("connection", "keep-alive"),
    ("cache-control", "max-age=0"),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", USER_AGENT),
    ("accept", ACCEPT),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-user", "?1"),
    ("sec-fetch-dest", "document"),
    ("referer", "https://example.org/"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
];

const FORM: &[(&str, &str)] = &[
    ("content-length", "0"),
    ("origin", "https://example.org"),
    ("content-type", "application/x-www-form-urlencoded"),
];

const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

impl Headers {
    /// The names and values in a request; `post` if it sends a form.
    pub fn list(self, post: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
        let (always, form) = match self {
            Self::Few => (FEW, &[][..]),
            Self::Browser => (BROWSER, FORM),
        };
        let form = if post { form } else { &[] };
        always.iter().chain(form).copied()
    }
}

pub const WELCOME: &str = "Welcome!";
pub const HELLO: &str = "Hello, Ada!";

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A public page, without a cookie.
    Public,
    /// A public page, for a user who is logged in.
    PublicKnown,
    /// A protected page, for an anonymous client: a redirect to the login page, with `next`.
    Refused,
    /// A protected page, for a user who is logged in.
    Protected,
    LogIn,
    LogOut,
    /// A protected page whose handler uses three extractors of the user.
    Thrice,
    /// A protected page, for a browser with only a remember cookie.
    Restored,
}

/// The scenarios of all contenders.
pub const COMMON: [Scenario; 6] = [
    Scenario::Public,
    Scenario::PublicKnown,
    Scenario::Refused,
    Scenario::Protected,
    Scenario::LogIn,
    Scenario::LogOut,
];

impl Scenario {
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::PublicKnown => "public_known",
            Self::Refused => "refused",
            Self::Protected => "protected",
            Self::LogIn => "log_in",
            Self::LogOut => "log_out",
            Self::Thrice => "thrice",
            Self::Restored => "restored",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Public => "public, no cookie",
            Self::PublicKnown => "public, logged-in cookie",
            Self::Refused => "protected, anonymous, redirect with `next`",
            Self::Protected => "protected, logged in",
            Self::LogIn => "log in",
            Self::LogOut => "log out",
            Self::Thrice => "three extractors in one handler",
            Self::Restored => "restored by a remember cookie",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        let all = COMMON.into_iter().chain([Self::Thrice, Self::Restored]);
        all.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The log in that must come first.
    pub fn log_in(self, headers: Headers) -> Option<Ask> {
        let path = match self {
            Self::Public | Self::Refused | Self::LogIn => return None,
            Self::PublicKnown | Self::Protected | Self::LogOut | Self::Thrice => "/login",
            Self::Restored => "/login/remember",
        };
        Some(Ask {
            post: true,
            path,
            headers,
            cookie: None,
        })
    }

    /// The request after that log in.
    pub fn ask(self, headers: Headers, logged_in: Option<&Answer>) -> Ask {
        let (post, path) = match self {
            Self::Public | Self::PublicKnown => (false, "/"),
            Self::Refused => (false, "/account?page=2"),
            Self::Protected | Self::Restored => (false, "/account"),
            Self::Thrice => (false, "/thrice"),
            Self::LogIn => (true, "/login"),
            Self::LogOut => (true, "/logout"),
        };
        let cookies = logged_in.iter().flat_map(|answer| &answer.cookies);
        let cookies: Vec<_> = cookies
            .map(|cookie| cookie.split(';').next().unwrap_or_default())
            .filter(|cookie| self != Self::Restored || cookie.contains("remember"))
            .collect();
        Ask {
            post,
            path,
            headers,
            cookie: (!cookies.is_empty()).then(|| cookies.join("; ")),
        }
    }

    /// Checks that this is the expected response.
    pub fn check(self, answer: &Answer) -> Result<(), String> {
        let right = match self {
            Self::Public | Self::PublicKnown => answer.status == 200 && answer.body == WELCOME,
            Self::Protected | Self::Thrice => answer.status == 200 && answer.body == HELLO,
            Self::Restored => {
                answer.status == 200 && answer.body == HELLO && !answer.cookies.is_empty()
            }
            Self::Refused => {
                let next = answer
                    .location
                    .as_deref()
                    .and_then(|location| location.strip_prefix("/login?next="))
                    .map(|next| percent_decode_str(next).decode_utf8_lossy());
                is_redirect(answer.status)
                    && next.as_deref() == Some("/account?page=2")
                    && !answer.location.as_deref().unwrap_or_default()[12..].contains(['?', '='])
            }
            Self::LogIn | Self::LogOut => {
                is_redirect(answer.status)
                    && answer.location.as_deref() == Some("/")
                    && !answer.cookies.is_empty()
            }
        };
        if right {
            Ok(())
        } else {
            Err(format!("{} was answered {answer:?}", self.name()))
        }
    }
}

/// Frameworks use different statuses for a redirect after a log in.
fn is_redirect(status: u16) -> bool {
    matches!(status, 302 | 303 | 307)
}
