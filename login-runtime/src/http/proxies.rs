//! The proxies in front of the application: whom a request comes from, and at which address the client
//! reached the application.
//!
//! Without named proxies this is the peer of the connection, and what the request itself says.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};
use derive_more::Debug;

use crate::{
    core::forwarded::{self, FromRight, Network, Report, Scheme, Trust},
    error::BuildError,
    hooks::Hook,
};

// To look up a header by text, actix-web would parse its name each time.
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
static FORWARDED: HeaderName = header::FORWARDED;

/// All headers of proxies.
static READ: [&HeaderName; 5] = [
    &FORWARDED,
    &X_FORWARDED_FOR,
    &X_FORWARDED_PROTO,
    &X_FORWARDED_HOST,
    &X_FORWARDED_PREFIX,
];

/// The proxies in front of the application, and the headers that they set; for
/// [`trusted_proxies`](crate::config::LoginManagerBuilder::trusted_proxies).
///
/// # Examples
///
/// ```
/// use actix_web::cookie::Key;
/// use login_runtime::{
///     AuthUser, LoginManager, MemoryLoginStore,
///     proxies::{ForwardedHeaders, TrustedProxies},
/// };
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let builder = |proxies| {
///     LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///         .login_store(MemoryLoginStore::new())
///         .trusted_proxies(proxies)
/// };
/// let headers = ForwardedHeaders::x_forwarded().with_prefix();
/// builder(TrustedProxies::networks(["127.0.0.1", "10.0.0.0/8"], headers)).build(Key::generate())?;
///
/// // Everybody would be a trusted proxy.
/// let everybody = TrustedProxies::networks(["0.0.0.0/0"], headers);
/// let error = builder(everybody).build(Key::generate()).unwrap_err();
/// assert!(error.to_string().starts_with("the trusted proxy `0.0.0.0/0` contains every IPv4 address"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    proxies: Named,
    headers: ForwardedHeaders,
}

/// The proxies as the application names them.
#[derive(Clone, Debug)]
enum Named {
    Hops(usize),
    Networks(Vec<String>),
}

impl TrustedProxies {
    /// Proxies with these addresses (`192.0.2.1`) or in these networks (`10.0.0.0/8`, `fd00::/8`).
    ///
    /// Pick it if the addresses of your proxies are known. A request whose peer has none of them counts as
    /// that of a client, whatever its headers say.
    ///
    /// # Security
    ///
    /// A client in one of these networks can claim any address. List no network in which clients are.
    pub fn networks<I: IntoIterator<Item = impl Into<String>>>(
        networks: I,
        headers: ForwardedHeaders,
    ) -> Self {
        let proxies = Named::Networks(networks.into_iter().map(Into::into).collect());
        Self { proxies, headers }
    }

    /// This number of proxies, one behind the other, whatever their addresses are.
    ///
    /// Pick it if the addresses of your proxies change, or if the application listens on a Unix socket.
    ///
    /// # Security
    ///
    /// Clients must reach the application only through all of the proxies. A client that connects to the
    /// application itself, or that leaves out the outermost proxy, can claim any address.
    pub fn hops(count: usize, headers: ForwardedHeaders) -> Self {
        let proxies = Named::Hops(count);
        Self { proxies, headers }
    }

    fn parse(self) -> Result<Trusted, BuildError> {
        let headers = self.headers;
        let text = self.text();
        let refuse = |why| {
            let name = "trusted_proxies";
            Err(BuildError::Setting { name, why })
        };
        let trust = match self.proxies {
            Named::Hops(0) => {
                return refuse(
                    "trusts no proxy; count the proxies that a request comes through, or leave it out",
                );
            }
            Named::Hops(hops) => Trust::Hops(hops),
            Named::Networks(networks) if networks.is_empty() => {
                return refuse(
                    "names no network; write the addresses of the proxies, or leave it out",
                );
            }
            Named::Networks(networks) => {
                let parse = |network: String| {
                    let parsed = Network::parse(&network);
                    parsed.map_err(|why| BuildError::TrustedProxy { network, why })
                };
                let networks = networks.into_iter().map(parse);
                Trust::Networks(networks.collect::<Result<_, _>>()?)
            }
        };
        Ok(Trusted {
            trust,
            headers,
            text,
        })
    }

    /// The proxies and their headers, for the policy in words.
    fn text(&self) -> String {
        let proxies = match &self.proxies {
            Named::Hops(1) => "one proxy".to_owned(),
            Named::Hops(hops) => format!("{hops} proxies, one behind the other"),
            Named::Networks(networks) => format!("proxies in `{}`", networks.join("`, `")),
        };
        let ForwardedHeaders {
            family,
            host,
            prefix,
        } = self.headers;
        let mut headers = match family {
            Family::Forwarded => vec!["Forwarded"],
            Family::XForwarded => vec!["X-Forwarded-For", "X-Forwarded-Proto"],
        };
        if host && family == Family::XForwarded {
            headers.push("X-Forwarded-Host");
        }
        if prefix {
            headers.push("X-Forwarded-Prefix");
        }
        format!("{proxies}, in `{}`", headers.join("`, `"))
    }
}

/// The headers in which proxies report whom a request comes from.
///
/// Only the headers that are named here are read. A proxy passes on a header that it does not know, so what
/// it does not set is the client's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedHeaders {
    family: Family,
    host: bool,
    prefix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Forwarded,
    XForwarded,
}

impl ForwardedHeaders {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`, as most proxies set them. `Forwarded` is not read.
    ///
    /// The proxy has to append to `X-Forwarded-For` the address that it got the request from, or replace the
    /// header by that address.
    pub const fn x_forwarded() -> Self {
        Self {
            family: Family::XForwarded,
            host: false,
            prefix: false,
        }
    }

    /// `Forwarded` (RFC 7239), with its parameters `for`, `proto` and `host`. `X-Forwarded-For`, `-Proto` and
    /// `-Host` are not read.
    pub const fn forwarded() -> Self {
        Self {
            family: Family::Forwarded,
            host: true,
            prefix: false,
        }
    }

    /// Also `X-Forwarded-Host`, the host that the client asked for.
    ///
    /// Needed if the proxy does not pass on the `Host` header as it is. With
    /// [`forwarded`](Self::forwarded) it changes nothing.
    ///
    /// # Security
    ///
    /// The proxy has to set the header for each request, and should serve only the hosts that are yours.
    #[must_use]
    pub const fn with_host(mut self) -> Self {
        self.host = true;
        self
    }

    /// Also `X-Forwarded-Prefix`, the start of the path that the proxy has cut off. `Forwarded` has no
    /// parameter for it.
    ///
    /// # Security
    ///
    /// The proxy has to set the header for each request.
    #[must_use]
    pub const fn with_prefix(mut self) -> Self {
        self.prefix = true;
        self
    }
}

type AddressFn = dyn Fn(&HttpRequest) -> Option<IpAddr> + Send + Sync;

/// Where requests come from, and how clients address the application.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    trusted: Option<Trusted>,
    #[debug(skip)]
    function: Option<Box<AddressFn>>,
    /// The path prefix, whatever the proxies report.
    prefix: Option<String>,
}

#[derive(Clone, Debug)]
struct Trusted {
    trust: Trust,
    headers: ForwardedHeaders,
    /// Both in words.
    text: String,
}

/// At which origin a client reached the application.
#[derive(Debug)]
pub(crate) struct OwnOrigin<'a> {
    pub(crate) scheme: &'static str,
    /// With the port, as in a `Host` header.
    pub(crate) host: Cow<'a, str>,
    /// Whether a trusted proxy says which host it is, and not only the request itself.
    pub(crate) is_reported: bool,
    /// Whether a trusted proxy says how the client reached it.
    pub(crate) is_scheme_reported: bool,
}

impl Proxies {
    pub(crate) fn set_trusted(&mut self, proxies: TrustedProxies) -> Result<(), BuildError> {
        self.trusted = Some(proxies.parse()?);
        Ok(())
    }

    /// The trusted proxies and their headers, in words.
    pub(crate) fn trusted_text(&self) -> Option<&str> {
        self.trusted.as_ref().map(|trusted| trusted.text.as_str())
    }

    /// Whether the application finds addresses itself.
    pub(crate) fn has_function(&self) -> bool {
        self.function.is_some()
    }

    /// The path prefix that the application has set.
    pub(crate) fn fixed_prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    pub(crate) fn set_function(&mut self, function: Box<AddressFn>) {
        self.function = Some(function);
    }

    pub(crate) fn set_prefix(&mut self, prefix: &str) -> Result<(), BuildError> {
        let Some(checked) = forwarded::prefix(prefix) else {
            let name = "own_prefix";
            let why = "is not a path of plain directories; write `/app`, with ASCII letters, digits, `-`, `.`, `_` and `~`";
            return Err(BuildError::Setting { name, why });
        };
        self.prefix = Some(checked.to_owned());
        Ok(())
    }

    /// The headers that are read, because proxies are trusted.
    #[inline]
    pub(crate) fn headers(&self) -> &'static [&'static HeaderName] {
        match &self.trusted {
            Some(_) => &READ,
            None => &[],
        }
    }

    /// The address of the client that sent a request. `None` if the connection has none, as with a Unix
    /// socket, and nobody reports one.
    ///
    /// An IPv6 address that contains an IPv4 address is returned as the IPv4 address.
    #[inline]
    pub(crate) fn client_address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        if self.trusted.is_none() && self.function.is_none() {
            return peer;
        }
        self.reported_address(request, peer)
    }

    fn reported_address(&self, request: &HttpRequest, peer: Option<IpAddr>) -> Option<IpAddr> {
        if let Some(function) = &self.function
            && !Hook::ClientAddress.is_running()
            && let Some(address) = Hook::ClientAddress.run(|| function(request))
        {
            return Some(address.to_canonical());
        }
        match &self.trusted {
            Some(trusted) => trusted.follow(request.headers(), peer).0,
            None => peer,
        }
    }

    /// The origin at which the client reached the application. `None` if the request names no host.
    pub(crate) fn origin<'a>(&self, request: &'a HttpRequest) -> Option<OwnOrigin<'a>> {
        let (scheme, host) = match &self.trusted {
            Some(trusted) => trusted.origin(request),
            None => (None, None),
        };
        let is_secure = request.app_config().secure();
        let own_scheme = if is_secure {
            Scheme::Https
        } else {
            Scheme::Http
        };
        Some(OwnOrigin {
            scheme: scheme.unwrap_or(own_scheme).name(),
            is_scheme_reported: scheme.is_some(),
            is_reported: host.is_some(),
            host: match host {
                Some(host) => host,
                None => Cow::Borrowed(named_host(request)?),
            },
        })
    }

    /// The start of the path that a proxy has cut off, without a slash at its end.
    pub(crate) fn prefix<'a>(&'a self, request: &'a HttpRequest) -> Cow<'a, str> {
        match (&self.prefix, &self.trusted) {
            (Some(prefix), _) => Cow::Borrowed(prefix),
            (None, Some(trusted)) if trusted.headers.prefix => trusted.prefix(request),
            _ => Cow::Borrowed(""),
        }
    }
}

/// The host that a request names itself.
fn named_host(request: &HttpRequest) -> Option<&str> {
    // Not `connection_info`, which trusts `X-Forwarded-Host` and similar headers.
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    host.or_else(|| {
        let authority = request.uri().authority();
        authority.map(|authority| authority.as_str())
    })
}

/// The elements of a header in all of its lines, the last first.
fn elements<'a>(
    headers: &'a HeaderMap,
    name: &'static HeaderName,
) -> impl Iterator<Item = Option<&'a str>> {
    let lines = headers.get_all(name).rev().map(HeaderValue::as_bytes);
    forwarded::elements(lines.map(FromRight::plain))
}

/// What each proxy reports in `Forwarded`, the nearest first. `None` if it cannot be read.
fn reports(headers: &HeaderMap) -> impl Iterator<Item = Option<Report<'_>>> {
    let lines = headers.get_all(header::FORWARDED).rev();
    let lines = lines.map(|line| FromRight::quoted(line.as_bytes()));
    forwarded::elements(lines).map(|element| element.and_then(Report::parse))
}

impl Trusted {
    /// The address of the client, and the number of trusted proxies that the request came through.
    fn follow(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> (Option<IpAddr>, usize) {
        match self.headers.family {
            Family::XForwarded => {
                let found = elements(headers, &X_FORWARDED_FOR);
                let found = found.map(|element| forwarded::plain_address(element?));
                self.trust.follow(peer, found)
            }
            Family::Forwarded => {
                let found = reports(headers).map(|report| report?.address);
                self.trust.follow(peer, found)
            }
        }
    }

    fn passed(&self, request: &HttpRequest) -> usize {
        let peer = request.peer_addr().map(|peer| peer.ip());
        self.follow(request.headers(), peer).1
    }

    /// What the outermost trusted proxy reports, as far as it reports it.
    fn origin<'a>(&self, request: &'a HttpRequest) -> (Option<Scheme>, Option<Cow<'a, str>>) {
        let (headers, passed) = (request.headers(), self.passed(request));
        match self.headers.family {
            Family::XForwarded => {
                let last = |name| elements(headers, name).take(passed).last().flatten();
                let host = || last(&X_FORWARDED_HOST).filter(|host| forwarded::is_host(host));
                (
                    last(&X_FORWARDED_PROTO).and_then(Scheme::parse),
                    self.headers.host.then(host).flatten().map(Cow::Borrowed),
                )
            }
            // A proxy that reports only addresses leaves the rest to the next one.
            Family::Forwarded => reports(headers)
                .take(passed)
                .flatten()
                .fold((None, None), |(scheme, host), report| {
                    (report.scheme.or(scheme), report.host.or(host))
                }),
        }
    }

    fn prefix<'a>(&self, request: &'a HttpRequest) -> Cow<'a, str> {
        let found = elements(request.headers(), &X_FORWARDED_PREFIX);
        forwarded::joined_prefix(found.take(self.passed(request)))
    }
}

/// The app data through which a request finds the proxies of its manager; the middleware adds it.
pub(crate) struct ProxyData(pub(crate) Arc<Proxies>);

impl ProxyData {
    fn of(request: &HttpRequest) -> Option<&Proxies> {
        request.app_data::<Self>().map(|data| &*data.0)
    }
}

/// The address of the client that sent a request, as the login manager of the request sees it.
///
/// It is the address in the list of logins, in the log, for session protection, and where failed log ins are
/// counted: the peer of the connection, unless the application names its proxies with
/// [`trusted_proxies`](crate::config::LoginManagerBuilder::trusted_proxies) or has a function for it. `None`
/// for a Unix socket without named proxies.
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, get, HttpRequest};
/// use login_runtime::{proxies::client_address, public};
///
/// #[public]
/// #[get("/whoami")]
/// async fn whoami(request: HttpRequest) -> impl Responder {
///     match client_address(&request) {
///         Some(address) => format!("You come from {address}."),
///         None => "You come from this machine.".to_owned(),
///     }
/// }
/// ```
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    match ProxyData::of(request) {
        Some(proxies) => proxies.client_address(request),
        None => request.peer_addr().map(|peer| peer.ip().to_canonical()),
    }
}

/// The start of the path that a proxy in front of the application has cut off, without a slash at its end:
/// `/app`, or nothing.
///
/// Put it before each path of the application in a link, a form or a redirect. Views and `next` have it
/// already.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, Responder, get};
/// use login_runtime::{proxies::path_prefix, public};
///
/// #[public]
/// #[get("/")]
/// async fn home(request: HttpRequest) -> impl Responder {
///     format!("<a href=\"{}/account\">Your account</a>", path_prefix(&request))
/// }
/// ```
///
/// # Security
///
/// It has only directories of ASCII letters, digits, `-`, `.`, `_` and `~`, and neither `.` nor `..` nor two
/// slashes in a row. So a path after it stays a path of the same host.
pub fn path_prefix(request: &HttpRequest) -> Cow<'_, str> {
    ProxyData::of(request).map_or(Cow::Borrowed(""), |proxies| proxies.prefix(request))
}
