//! TODO refusal/redirect.rs

use std::borrow::Cow;

use actix_web::{
    HttpRequest,
    error::UrlGenerationError,
    http::{
        Method,
        header::{self},
    },
};
use percent_encoding::percent_decode_str;

use crate::{
    error::BuildError,
    http::{
        escape::{LOCATION, QUERY_VALUE, location},
        view::{Origin, View},
    },
    refusal::settings::RefusalSettings,
    session,
};

/// The address of a login view that is the name of a route, for a request that does not know the
/// routes of the application.
pub(crate) struct Resolved(pub(crate) Result<url::Url, UrlGenerationError>);

impl Resolved {
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

/// A view to send clients to.
#[derive(Clone, Debug)]
pub(crate) struct ViewTarget {
    view: View,
    /// Its address up to the value of `next`, if nothing else depends on requests. That is what most
    /// refusals need, and taking the view apart is a good part of what they would cost.
    address: Option<Vec<u8>>,
}

impl ViewTarget {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        Ok(Self {
            view: View::parse(text)?,
            address: None,
        })
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn prepare(&mut self, parameter: &[u8]) {
        if let View::Path(path) = &self.view
            && !path.contains(['?', '#'])
        {
            let mut address = location(path);
            address.push(b'?');
            address.extend_from_slice(parameter);
            self.address = Some(address);
        }
    }

    /// The way to the view, from where the client is.
    pub(crate) fn way<'a>(
        &'a self,
        request: &HttpRequest,
        settings: &RefusalSettings,
    ) -> Option<RedirectPlan<'a>> {
        match (&self.view, &self.address) {
            (View::Path(path), Some(address))
                if path != request.path() && leads_back(request, settings) =>
            {
                Some(RedirectPlan::Known(address))
            }
            _ => Target::of(&self.view, request, settings).map(RedirectPlan::Found),
        }
    }
}

/// How a client gets to a view.
pub(crate) enum RedirectPlan<'a> {
    /// By an address that only lacks the value of `next`.
    Known(&'a [u8]),
    Found(Target<'a>),
}

impl RedirectPlan<'_> {
    pub(crate) fn location(&self, request: &HttpRequest, settings: &RefusalSettings) -> Vec<u8> {
        match self {
            Self::Known(address) => {
                let next = wanted(request);
                let mut location = Vec::with_capacity(address.len() + QUERY_VALUE.len(next));
                location.extend_from_slice(address);
                QUERY_VALUE.push(&mut location, next);
                location
            }
            Self::Found(target) => target.location(request, settings),
        }
    }
}

/// Whether a client that follows `next` gets to what it asked for.
fn leads_back(request: &HttpRequest, settings: &RefusalSettings) -> bool {
    settings.next_for_all_methods || matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Path and query as they came: escapes in them stay, and the host that a proxy-style request names
/// does not become part of them.
fn wanted(request: &HttpRequest) -> &str {
    let uri = request.uri();
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The view a client is sent to, taken apart.
pub(crate) struct Target<'a> {
    /// Scheme and host, if the view names them.
    base: Option<Cow<'a, str>>,
    path: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
    fragment: Option<Cow<'a, str>>,
}

impl<'a> Target<'a> {
    /// Resolves the view. `None` if it is a route that there is not, or the very page that the client
    /// asked for: a login view that needs a login would send browsers round and round.
    fn of(view: &'a View, request: &HttpRequest, settings: &RefusalSettings) -> Option<Self> {
        let target = match view {
            View::Path(text) => Self::split(None, text),
            View::Url(url) => Self::from_url(url, Some(url.origin().ascii_serialization())),
            View::Name(name) => match Resolved::of(request, name) {
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

    /// Whether the view is on the host that the request names.
    fn is_here(&self, request: &HttpRequest, settings: &RefusalSettings) -> bool {
        self.base
            .as_deref()
            .is_none_or(|base| here(request, settings).is_some_and(|here| here.text == base))
    }

    fn split(base: Option<Cow<'a, str>>, text: &'a str) -> Self {
        if !text.bytes().any(|byte| matches!(byte, b'?' | b'#')) {
            return Self {
                base,
                path: text.into(),
                query: None,
                fragment: None,
            };
        }
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, Some(fragment.into())),
            None => (text, None),
        };
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query.into())),
            None => (text, None),
        };
        Self {
            base,
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

    /// The address to send the client to, with `next` in its query, or in the session.
    pub(crate) fn location(&self, request: &HttpRequest, settings: &RefusalSettings) -> Vec<u8> {
        let mut next = self.next(request, settings);
        if settings.session_for_next
            && let Some(next) = next.take()
        {
            session::keep_next(&session::of(request), &next);
        }
        // Exact for most, since what has room to spare is allocated again on its way into a header.
        let room = |part: &Option<Cow<'_, str>>| {
            let part = part.as_deref();
            part.map_or(0, |part| LOCATION.len(part) + 1)
        };
        let room_for_next = next.as_deref().map_or(0, |next| {
            1 + settings.next_parameter.len() + QUERY_VALUE.len(next)
        });
        let mut location = Vec::with_capacity(
            self.base.as_ref().map_or(0, |base| base.len())
                + LOCATION.len(&self.path)
                + room(&self.query)
                + room_for_next
                + room(&self.fragment),
        );
        match (&settings.force_host, &self.base) {
            (Some(host), base) if !settings.session_for_next => {
                if let Some((scheme, _)) = base.as_deref().and_then(|base| base.split_once("://")) {
                    location.extend_from_slice(scheme.as_bytes());
                    location.push(b':');
                }
                location.extend_from_slice(b"//");
                location.extend_from_slice(host.as_bytes());
            }
            (_, Some(base)) => location.extend_from_slice(base.as_bytes()),
            (_, None) => {}
        }
        LOCATION.push(&mut location, &self.path);
        let mut separator = b'?';
        for pair in self.query.iter().flat_map(|query| query.split('&')) {
            let name = pair.split('=').next().unwrap_or_default();
            let is_next = percent_decode_str(name)
                .decode_utf8()
                .is_ok_and(|name| name == settings.next_field);
            if is_next && next.is_some() {
                continue;
            }
            location.push(separator);
            separator = b'&';
            LOCATION.push(&mut location, pair);
        }
        if let Some(next) = next {
            location.push(separator);
            location.extend_from_slice(&settings.next_parameter);
            QUERY_VALUE.push(&mut location, &next);
        }
        if let Some(fragment) = &self.fragment {
            location.push(b'#');
            LOCATION.push(&mut location, fragment);
        }
        location
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
        let path = wanted(request);
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
}

/// The origin that a request names.
struct Here<'a> {
    text: Cow<'a, str>,
    /// Whether the application says that it is reached there.
    is_ours: bool,
}

/// Under which origin a client reached this application, as far as it says so.
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
