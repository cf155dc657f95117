//! The redirect of a refused client to a view, and `next`, the address to which it returns afterwards.
//!
//! [`location`] writes `next` into the address of the view or into the session. [`take_next`] reads it
//! back, and drops an address that does not lead to this application.

use std::borrow::Cow;

use actix_web::{
    HttpRequest,
    error::UrlGenerationError,
    http::{Method, header},
    web::Query,
};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::{
    core::next,
    http::{Origin, QUERY_VALUE, View},
    refusal::settings::RefusalSettings,
    session,
};

/// The address of a view for a refused client, with `next` in its query unless the session keeps it.
///
/// `None` if the view is a route that does not exist, or the page that the client asked for: a login view
/// that requires a login would redirect browsers in a loop.
pub(crate) fn location(
    view: &View,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<Vec<u8>> {
    address(view, request, settings, true)
}

/// The same for a client that is not refused: the view itself gets its own address, without `next`.
pub(crate) fn url(
    view: &View,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<Vec<u8>> {
    address(view, request, settings, false)
}

fn address(
    view: &View,
    request: &HttpRequest,
    settings: &RefusalSettings,
    is_refused: bool,
) -> Option<Vec<u8>> {
    let url;
    let target = match view {
        View::Path { address, path_len } => Target::new(None, address, *path_len),
        View::Url(url) => Target::of_url(url, Some(url.origin().ascii_serialization())),
        View::Name(name) => {
            url = match ResolvedView::of(request, name) {
                Ok(url) => url,
                Err(error) => {
                    tracing::error!(target: "login", "no route is called `{name}`; give that name to the login page ({error})");
                    return None;
                }
            };
            let base = (!is_own(&url, request)).then(|| url.origin().ascii_serialization());
            Target::of_url(&url, base)
        }
    };
    if target.path == request.path() && target.is_here(request, settings) {
        if !is_refused {
            return Some(target.address(None, settings));
        }
        tracing::error!(
            target: "login",
            "the view `{}` refuses the clients that are sent there; make it a public page",
            target.path,
        );
        return None;
    }
    let mut next = target.next(request, settings);
    if settings.session_for_next
        && let Some(next) = next.take()
    {
        session::keep_next(&session::of(request), &next);
    }
    Some(target.address(next.as_deref(), settings))
}

/// Whether a URL of `url_for` has the host of the request. `url_for` takes scheme and host from headers
/// that any client can set; only an external resource has another host.
fn is_own(url: &Url, request: &HttpRequest) -> bool {
    let info = request.connection_info();
    // `Url` changes case and drops ports, so both are compared in its form.
    let own = Url::parse(&format!("{}://{}", info.scheme(), info.host()));
    own.is_ok_and(|own| own[..Position::BeforePath] == url[..Position::BeforePath])
}

/// Splits a text at the first `separator`.
fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// The address that the client asked for when it was refused, if it leads to this application.
pub(crate) fn take_next(request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    let stored = session::take_next(&session::of(request)).filter(|_| settings.session_for_next);
    let next = stored.or_else(|| next_in_query(request, settings))?;
    next::safe(&next).map(str::to_owned)
}

fn next_in_query(request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    let mut values = pairs
        .into_inner()
        .into_iter()
        .filter(|(name, _)| *name == settings.next_field);
    // With two values, a program in front of this one may have checked the other value.
    let (_, next) = values.next()?;
    values.next().is_none().then_some(next)
}

/// The address of a login view that is the name of a route, in the data of a request that does not know
/// the routes of the application.
pub(crate) struct ResolvedView(pub(crate) Result<Url, UrlGenerationError>);

impl ResolvedView {
    fn of(request: &HttpRequest, name: &str) -> Result<Url, String> {
        let resolved = match request.app_data::<Self>() {
            Some(Self(resolved)) => resolved,
            None => &request.url_for_static(name),
        };
        resolved.as_ref().cloned().map_err(ToString::to_string)
    }
}

/// Whether a GET to `next` repeats the request.
fn leads_back(request: &HttpRequest, settings: &RefusalSettings) -> bool {
    settings.next_for_all_methods || matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Path and query of a request, with the escapes that the client sent, and without the host of a
/// proxy-style request.
fn path_and_query(request: &HttpRequest) -> &str {
    let uri = request.uri();
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The address of a view for one request.
struct Target<'a> {
    /// Scheme and host, if the view names them.
    base: Option<String>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// `address` is a path of this length with a query and a fragment, as far as there are any.
    fn new(base: Option<String>, address: &'a str, path_len: usize) -> Self {
        let (path, rest) = address.split_at_checked(path_len).unwrap_or((address, ""));
        let (query, fragment) = if rest.is_empty() {
            // Most views.
            (None, None)
        } else {
            let (query, fragment) = split(rest, '#');
            (query.strip_prefix('?'), fragment)
        };
        Self {
            base,
            path,
            query,
            fragment,
        }
    }

    fn of_url(url: &'a Url, base: Option<String>) -> Self {
        Self::new(base, &url[Position::BeforePath..], url.path().len())
    }

    /// Whether the view is on the host that the request names.
    fn is_here(&self, request: &HttpRequest, settings: &RefusalSettings) -> bool {
        self.base
            .as_deref()
            .is_none_or(|base| here(request, settings).is_some_and(|here| here.text == base))
    }

    /// The address that the client asked for: path and query, or the whole URL for a view on another
    /// host.
    fn next<'r>(
        &self,
        request: &'r HttpRequest,
        settings: &RefusalSettings,
    ) -> Option<Cow<'r, str>> {
        if !leads_back(request, settings) {
            return None;
        }
        let path = path_and_query(request);
        let Some(base) = &self.base else {
            return Some(Cow::Borrowed(path));
        };
        let here = here(request, settings)?;
        if here.text == *base {
            Some(Cow::Borrowed(path))
        } else {
            // Without a list of this application's origins, the client could name any host.
            (here.is_ours || settings.any_host && settings.origins.is_empty())
                .then(|| format!("{}{path}", here.text).into())
        }
    }

    /// The whole address, escaped for a `Location` header.
    fn address(&self, next: Option<&str>, settings: &RefusalSettings) -> Vec<u8> {
        let len = |part: Option<&str>| part.map_or(0, |part| part.len() + 1);
        let next_len = |next| 1 + settings.next_parameter.len() + QUERY_VALUE.len(next);
        // Exact for most views: with spare room, the header would need another allocation.
        let mut address = Vec::with_capacity(
            self.base.as_ref().map_or(0, |base| base.len())
                + self.path.len()
                + len(self.query)
                + next.map_or(0, next_len)
                + len(self.fragment),
        );
        match (&settings.force_host, &self.base) {
            (Some(host), base) if !settings.session_for_next => {
                if let Some((scheme, _)) = base.as_deref().and_then(|base| base.split_once("://")) {
                    address.extend_from_slice(scheme.as_bytes());
                    address.push(b':');
                }
                address.extend_from_slice(b"//");
                address.extend_from_slice(host.as_bytes());
            }
            (_, Some(base)) => address.extend_from_slice(base.as_bytes()),
            (_, None) => {}
        }
        address.extend_from_slice(self.path.as_bytes());
        let mut separator = b'?';
        if let Some(query) = self.query {
            for pair in query.split('&') {
                let name = pair.split('=').next().unwrap_or_default();
                let is_next = percent_decode_str(name)
                    .decode_utf8()
                    .is_ok_and(|name| name == settings.next_field);
                if is_next && next.is_some() {
                    continue;
                }
                address.push(separator);
                separator = b'&';
                address.extend_from_slice(pair.as_bytes());
            }
        }
        if let Some(next) = next {
            address.push(separator);
            address.extend_from_slice(&settings.next_parameter);
            QUERY_VALUE.push(&mut address, next);
        }
        if let Some(fragment) = self.fragment {
            address.push(b'#');
            address.extend_from_slice(fragment.as_bytes());
        }
        address
    }
}

/// The origin that a request names.
struct Here<'a> {
    text: Cow<'a, str>,
    /// Whether it is one of the application's origins.
    is_ours: bool,
}

/// The origin where the client reached this application, according to the request.
fn here<'a>(request: &HttpRequest, settings: &'a RefusalSettings) -> Option<Here<'a>> {
    // Not `connection_info`, which trusts `X-Forwarded-Host` and similar headers.
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.or_else(|| {
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
    })?;
    let known = settings
        .origins
        .iter()
        .find(|origin| origin.host.eq_ignore_ascii_case(host));
    if let Some(origin) = known {
        return Some(Here {
            text: Cow::Borrowed(&origin.text),
            is_ours: true,
        });
    }
    let scheme = if request.app_config().secure() {
        "https"
    } else {
        "http"
    };
    let origin = Origin::parse(&format!("{scheme}://{host}")).ok()?;
    Some(Here {
        text: Cow::Owned(origin.text),
        is_ours: false,
    })
}
