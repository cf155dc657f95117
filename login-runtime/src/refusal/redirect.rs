//! Where a refused client is sent, and how `next` says where it wanted to go.
//!
//! Everything about `next` is here: [`location`] writes it into the address of the view or into the
//! session, and [`take_next`] reads it back and drops what does not lead to this application.

use std::borrow::Cow;

use actix_web::{
    HttpRequest,
    error::UrlGenerationError,
    http::{Method, header},
    web::Query,
};
use percent_encoding::percent_decode_str;

use crate::{
    core::next,
    http::{LOCATION, Origin, QUERY_VALUE, View},
    refusal::settings::RefusalSettings,
    session,
};

/// The address of a view for a client that is refused, with `next` in its query unless the session
/// keeps it.
///
/// `None` if the view is a route that does not exist, or the very page that the client asked for: a
/// login view that needs a login would redirect browsers for ever.
pub(crate) fn location(
    view: &View,
    request: &HttpRequest,
    settings: &RefusalSettings,
) -> Option<Vec<u8>> {
    let target = Target::of(view, request, settings)?;
    let mut next = target.next(request, settings);
    if settings.session_for_next
        && let Some(next) = next.take()
    {
        session::keep_next(&session::of(request), &next);
    }
    Some(target.address(next.as_deref(), settings))
}

/// Where the client wanted to go when it was refused, if that is an address of this application.
pub(crate) fn take_next(request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    let kept = session::take_next(&session::of(request)).filter(|_| settings.session_for_next);
    let next = kept.or_else(|| next_in_query(request, settings))?;
    next::safe(&next).map(str::to_owned)
}

fn next_in_query(request: &HttpRequest, settings: &RefusalSettings) -> Option<String> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    let mut values = pairs
        .into_inner()
        .into_iter()
        .filter(|(name, _)| *name == settings.next_field);
    // Of two values, another program may have checked the other one.
    let (_, next) = values.next()?;
    values.next().is_none().then_some(next)
}

/// The address of a login view that is the name of a route, for a request that does not know the
/// routes of the application.
pub(crate) struct ResolvedView(pub(crate) Result<url::Url, UrlGenerationError>);

impl ResolvedView {
    fn of(request: &HttpRequest, name: &str) -> Result<url::Url, String> {
        match request.app_data::<Self>() {
            Some(Self(resolved)) => resolved
                .as_ref()
                .cloned()
                .map_err(|error| error.to_string()),
            None => request
                .url_for_static(name)
                .map_err(|error| error.to_string()),
        }
    }
}

/// Whether a client that follows `next` with a GET gets what it asked for.
fn leads_back(request: &HttpRequest, settings: &RefusalSettings) -> bool {
    settings.next_for_all_methods || matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Path and query of a request as they came: their escapes stay, and the host of a proxy-style request
/// does not become part of them.
fn path_and_query(request: &HttpRequest) -> &str {
    let uri = request.uri();
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// A view for one request, in parts.
struct Target<'a> {
    /// Scheme and host, if the view names them.
    base: Option<Cow<'a, str>>,
    path: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
    fragment: Option<Cow<'a, str>>,
}

impl<'a> Target<'a> {
    fn of(view: &'a View, request: &HttpRequest, settings: &RefusalSettings) -> Option<Self> {
        let target = match view {
            View::Path(text) => Self::split(text),
            View::Url(url) => Self::from_url(url, Some(url.origin().ascii_serialization())),
            View::Name(name) => match ResolvedView::of(request, name) {
                Ok(url) => {
                    // `url_for` takes scheme and host from headers that any client can set; only an
                    // external resource has a host of its own. Compared as `url_for` writes them,
                    // since `Url` changes case and drops ports.
                    let here = {
                        let info = request.connection_info();
                        url::Url::parse(&format!("{}://{}", info.scheme(), info.host()))
                    };
                    let here = here.is_ok_and(|here| {
                        here[..url::Position::BeforePath] == url[..url::Position::BeforePath]
                    });
                    Target::from_url(&url, (!here).then(|| url.origin().ascii_serialization()))
                        .into_owned()
                }
                Err(error) => {
                    tracing::error!(target: "login", "no route is called `{name}`; give that name to the login page ({error})");
                    return None;
                }
            },
        };
        if target.path == request.path() && target.is_here(request, settings) {
            tracing::error!(
                target: "login",
                "the view `{}` refuses the clients that are sent there; make it a public page",
                target.path,
            );
            return None;
        }
        Some(target)
    }

    fn split(text: &'a str) -> Self {
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, Some(fragment.into())),
            None => (text, None),
        };
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (text, None),
        };
        Self {
            base: None,
            path: path.into(),
            query,
            fragment,
        }
    }

    fn from_url(url: &'a url::Url, base: Option<String>) -> Self {
        Self {
            base: base.map(Cow::Owned),
            path: url.path().into(),
            query: url.query().map(Cow::Borrowed),
            fragment: url.fragment().map(Cow::Borrowed),
        }
    }

    fn into_owned(self) -> Target<'static> {
        let own = |text: Cow<'a, str>| -> Cow<'static, str> { Cow::Owned(text.into_owned()) };
        Target {
            base: self.base.map(own),
            path: own(self.path),
            query: self.query.map(own),
            fragment: self.fragment.map(own),
        }
    }

    /// Whether the view is on the host that the request names.
    fn is_here(&self, request: &HttpRequest, settings: &RefusalSettings) -> bool {
        self.base
            .as_deref()
            .is_none_or(|base| here(request, settings).is_some_and(|here| here.text == base))
    }

    /// Where the client wanted to go: path and query, or the whole URL for a view on another host.
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
        if here.text == **base {
            Some(Cow::Borrowed(path))
        } else {
            // Without a list of our hosts, an address that the client made up would lead away.
            (here.is_ours || settings.any_host && settings.origins.is_empty())
                .then(|| format!("{}{path}", here.text).into())
        }
    }

    /// The whole address, as a `Location` header can hold it.
    fn address(&self, next: Option<&str>, settings: &RefusalSettings) -> Vec<u8> {
        let len = |part: Option<&str>| part.map_or(0, |part| LOCATION.len(part) + 1);
        let next_len = |next| 2 + QUERY_VALUE.len(&settings.next_field) + QUERY_VALUE.len(next);
        // Exact for most views: spare room costs the header another allocation.
        let mut address = Vec::with_capacity(
            self.base.as_ref().map_or(0, |base| base.len())
                + LOCATION.len(&self.path)
                + len(self.query.as_deref())
                + next.map_or(0, next_len)
                + len(self.fragment.as_deref()),
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
        LOCATION.push(&mut address, &self.path);
        let mut separator = b'?';
        for pair in self.query.iter().flat_map(|query| query.split('&')) {
            let name = pair.split('=').next().unwrap_or_default();
            let is_next = percent_decode_str(name)
                .decode_utf8()
                .is_ok_and(|name| name == settings.next_field);
            if is_next && next.is_some() {
                continue;
            }
            address.push(separator);
            separator = b'&';
            LOCATION.push(&mut address, pair);
        }
        if let Some(next) = next {
            address.push(separator);
            QUERY_VALUE.push(&mut address, &settings.next_field);
            address.push(b'=');
            QUERY_VALUE.push(&mut address, next);
        }
        if let Some(fragment) = &self.fragment {
            address.push(b'#');
            LOCATION.push(&mut address, fragment);
        }
        address
    }
}

/// The origin that a request names.
struct Here<'a> {
    text: Cow<'a, str>,
    /// Whether the application says that it is reached there.
    is_ours: bool,
}

/// Under which origin a client reached this application, as far as the request says.
fn here<'a>(request: &HttpRequest, settings: &'a RefusalSettings) -> Option<Here<'a>> {
    // Not `connection_info`: that believes X-Forwarded-Host and its relatives.
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
