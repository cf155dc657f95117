//! What a refused client is answered: the login view, 401 or 403, by what the client accepts.

use std::{borrow::Cow, future::Future, pin::Pin};

use actix_web::{
    HttpRequest, HttpResponse,
    error::{HttpError, UrlGenerationError},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use percent_encoding::{percent_decode_str, percent_encode_byte};

use crate::{
    config::{BuildError, Origin, View},
    error::{LoadError, Refusal},
    events::LoginEvent,
    manager::Manager,
    policy::{Freshness, Reason},
    scope::ScopeViews,
    session,
};

/// What a 401 asks for. There is no registered scheme for logins by cookie.
pub(crate) const CHALLENGE: &str = "Cookie realm=\"login\"";

/// What Flask-Login says on the way to the login view.
const LOGIN_MESSAGE: &str = "Please log in to access this page.";
/// What Flask-Login says on the way to the refresh view.
const REFRESH_MESSAGE: &str = "Please reauthenticate to access this page.";

/// What a query parameter's value cannot contain as it is.
static QUERY_VALUE: Escapes = Escapes::new(b" \"#<>'&+%=?\\^`{|}");

/// What a `Location` cannot contain as it is; escapes that are there stay.
static LOCATION: Escapes = Escapes::new(b" \"<>\\^`{|}");

/// What keeps a response out of caches that depends on the login.
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "a static text has none"
)]
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "a static text has none"
)]
const COOKIE: HeaderValue = HeaderValue::from_static("Cookie");

// Parsed once: looking a header up by text parses its name.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// An answer under way.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// The application's own answer to refused clients.
pub(crate) type Handler = Box<dyn Fn(&HttpRequest) -> ResponseFuture + Send + Sync>;

type Localize = Box<dyn Fn(&HttpRequest, &str) -> String + Send + Sync>;
type FlashHook = Box<dyn Fn(&HttpRequest, Flash<'_>) + Send + Sync>;
type LoadFailed = Box<dyn Fn(&HttpRequest, &LoadError) -> HttpResponse + Send + Sync>;

/// A message for a refused client, to be shown on the next page.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Flash<'a> {
    /// The message, translated if there is a [`localize`](crate::LoginManagerBuilder::localize) hook.
    pub text: &'a str,
    /// Its category, `message` by default.
    pub category: &'a str,
}

/// A message as it was configured.
pub(crate) struct Message {
    pub(crate) text: Option<String>,
    pub(crate) category: String,
}

/// How a manager refuses.
pub(crate) struct RefusalSettings {
    pub(crate) login_view: Option<ViewTarget>,
    pub(crate) refresh_view: Option<ViewTarget>,
    pub(crate) next_field: String,
    /// The field as it stands in an address, with what leads to its value.
    next_parameter: Vec<u8>,
    pub(crate) session_for_next: bool,
    pub(crate) next_for_all_methods: bool,
    pub(crate) force_host: Option<String>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) any_host: bool,
    pub(crate) login_message: Message,
    pub(crate) refresh_message: Message,
    pub(crate) localize: Option<Localize>,
    pub(crate) flash: Option<FlashHook>,
    pub(crate) unauthorized: Option<Handler>,
    pub(crate) needs_refresh: Option<Handler>,
    pub(crate) forbidden: Option<Handler>,
    pub(crate) load_failed: Option<LoadFailed>,
}

impl Default for RefusalSettings {
    fn default() -> Self {
        let message = |text: &str| Message {
            text: Some(text.to_owned()),
            category: "message".to_owned(),
        };
        Self {
            login_view: None,
            refresh_view: None,
            next_field: "next".to_owned(),
            next_parameter: Vec::new(),
            session_for_next: false,
            next_for_all_methods: false,
            force_host: None,
            origins: Vec::new(),
            any_host: false,
            login_message: message(LOGIN_MESSAGE),
            refresh_message: message(REFRESH_MESSAGE),
            localize: None,
            flash: None,
            unauthorized: None,
            needs_refresh: None,
            forbidden: None,
            load_failed: None,
        }
    }
}

impl RefusalSettings {
    /// Checks the settings, and writes down what does not depend on requests.
    pub(crate) fn prepare(&mut self) -> Result<(), BuildError> {
        let refuse = |name, why| Err(BuildError::Setting { name, why });
        if self.next_field.is_empty() {
            return refuse(
                "next_field",
                "is empty; name a query parameter, such as `next`",
            );
        }
        if let Some(host) = &self.force_host
            && (Origin::parse(&format!("http://{host}")).is_err()
                || host.contains(['/', '@', '?', '#', '\\']))
        {
            return refuse(
                "force_host_for_redirects",
                "is no host; write `example.com` or `example.com:8080`",
            );
        }
        let mut parameter = Vec::new();
        QUERY_VALUE.push(&mut parameter, &self.next_field);
        parameter.push(b'=');
        self.next_parameter = parameter;
        let plain = self.force_host.is_none() && !self.session_for_next;
        for entrance in [&mut self.login_view, &mut self.refresh_view] {
            if let Some(entrance) = entrance.as_mut().filter(|_| plain) {
                entrance.prepare(&self.next_parameter);
            }
        }
        Ok(())
    }
}

/// Which of the two refusals a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// There is no login: the login view.
    Unauthorized,
    /// There is one, but it is stale: the refresh view.
    NeedsRefresh,
}

impl RefusalKind {
    pub(crate) fn of(reason: Reason) -> Self {
        match reason {
            Reason::Stale => Self::NeedsRefresh,
            // Who is forbidden something does not get here, see `forbid`.
            Reason::Anonymous | Reason::Inactive | Reason::Forbidden | Reason::Asked => {
                Self::Unauthorized
            }
        }
    }
}

/// A refusal, decided or under way.
pub(crate) enum Refusing {
    /// Boxed where it is made, as an error has to be in the end: it is handed on many times.
    Now(Box<Refusal>),
    Later(Reason, ResponseFuture),
}

impl Refusing {
    /// Waits for the application's handler, if it has one.
    pub(crate) async fn done(self) -> Refusal {
        match self {
            Self::Now(refusal) => *refusal,
            Self::Later(reason, answering) => {
                let mut response = answering.await;
                keep_private(response.headers_mut());
                Refusal::new(reason, response)
            }
        }
    }
}

/// Refuses a client: reports it, keeps `next` and the message, and makes the answer.
pub(crate) fn refuse(
    request: &HttpRequest,
    manager: &Manager,
    kind: RefusalKind,
    reason: Reason,
    freshness: Freshness,
) -> Refusing {
    let settings = &manager.refusing;
    let (event, handler, view, message) = match kind {
        RefusalKind::Unauthorized => (
            LoginEvent::Unauthorized { reason },
            &settings.unauthorized,
            ScopeViews::login_view(request).or(settings.login_view.as_ref()),
            &settings.login_message,
        ),
        RefusalKind::NeedsRefresh => (
            LoginEvent::NeedsRefresh { reason },
            &settings.needs_refresh,
            ScopeViews::refresh_view(request).or(settings.refresh_view.as_ref()),
            &settings.refresh_message,
        ),
    };
    manager.emit(&event, request);
    if let Some(handler) = handler {
        return Refusing::Later(reason, handler(request));
    }
    let way = view
        .filter(|_| wants_page(request))
        .and_then(|view| view.way(request, settings));
    let response = match way {
        Some(way) => {
            flash(request, settings, message);
            redirect(way.location(request, settings))
        }
        None => {
            let mut response = unauthorized(request, manager, kind, freshness);
            keep_private(response.headers_mut());
            response
        }
    };
    Refusing::Now(Box::new(Refusal::new(reason, response)))
}

/// Sends a client to the view.
fn redirect(location: Vec<u8>) -> HttpResponse {
    let location = match HeaderValue::try_from(location) {
        Ok(location) => location,
        Err(error) => return HttpResponse::from_error(HttpError::from(error)),
    };
    // Neither `HttpResponseBuilder` nor `insert`, which move whole responses and values of headers.
    let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.append(header::LOCATION, location);
    headers.append(header::CACHE_CONTROL, NO_STORE);
    headers.append(header::VARY, COOKIE);
    response
}

/// Refuses a user who is known and may not do this: with 403, and never with the login view, which
/// would send them round and round.
pub(crate) fn forbid(
    request: &HttpRequest,
    manager: &Manager,
    event: &LoginEvent<'_>,
    reason: Reason,
) -> Refusing {
    manager.emit(event, request);
    if let Some(handler) = &manager.refusing.forbidden {
        return Refusing::Later(reason, handler(request));
    }
    let mut response = HttpResponse::Forbidden();
    let mut response = if wants_page(request) {
        response
            .content_type("text/plain; charset=utf-8")
            .body("Forbidden: you may not do this.")
    } else {
        response.json(serde_json::json!({ "error": "forbidden" }))
    };
    keep_private(response.headers_mut());
    Refusing::Now(Box::new(Refusal::new(reason, response)))
}

/// The answer when a loader failed.
pub(crate) fn load_failed(
    request: &HttpRequest,
    manager: &Manager,
    error: &LoadError,
) -> HttpResponse {
    let mut response = match &manager.refusing.load_failed {
        Some(handler) => handler(request, error),
        None => HttpResponse::ServiceUnavailable().finish(),
    };
    keep_private(response.headers_mut());
    response
}

/// Keeps what depends on a login out of caches (ASVS 14.3.2). What the application says about
/// caching stays.
pub(crate) fn keep_private(headers: &mut header::HeaderMap) {
    // `append` moves less than `insert`, and every page behind a login passes here.
    if !headers.contains_key(&header::CACHE_CONTROL) {
        headers.append(header::CACHE_CONTROL, NO_STORE);
    }
    // Most responses say nothing of it, and one look is enough to see that.
    if !headers.contains_key(header::VARY) {
        headers.insert(header::VARY, COOKIE);
        return;
    }
    let varies = headers
        .get_all(&header::VARY)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("cookie"));
    if !varies {
        headers.append(header::VARY, COOKIE);
    }
}

/// Whether the client would show a page: a browser on its way somewhere, or one that does not say.
///
/// Fetch metadata decide where there are any, since scripts cannot forge them; then `Accept`, then
/// what scripts are known to send.
fn wants_page(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let bytes = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if let Some(mode) = bytes(&SEC_FETCH_MODE) {
        return mode.eq_ignore_ascii_case(b"navigate");
    }
    if bytes(&X_REQUESTED_WITH).is_some_and(|with| with.eq_ignore_ascii_case(b"xmlhttprequest")) {
        return false;
    }
    let Some(accept) = bytes(&header::ACCEPT) else {
        return true;
    };
    // As browsers begin it.
    if accept.starts_with(b"text/html,") {
        return true;
    }
    let mut any = true;
    for entry in accept.split(|byte| *byte == b',') {
        if names(entry, &["text/html", "application/xhtml+xml", "text/*"]) {
            return true;
        }
        any &= names(entry, &["*/*", ""]);
    }
    any
}

/// Whether an entry of `Accept` is one of these types, with or without parameters.
fn names(entry: &[u8], types: &[&str]) -> bool {
    let entry = entry.trim_ascii_start();
    types.iter().any(|name| {
        entry
            .split_at_checked(name.len())
            .is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name.as_bytes())
                    && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
            })
    })
}

/// 401, with a challenge (RFC 9110 §15.5.2). There is no registered scheme for logins by cookie; the
/// parameters are those of RFC 9470 where they fit.
fn unauthorized(
    request: &HttpRequest,
    manager: &Manager,
    kind: RefusalKind,
    freshness: Freshness,
) -> HttpResponse {
    let age = match freshness {
        Freshness::Any => None,
        Freshness::Default => manager.fresh_for,
        Freshness::Within(age) => Some(age),
    };
    let (error, challenge) = match (kind, age) {
        (RefusalKind::Unauthorized, _) => ("unauthorized", Cow::Borrowed(CHALLENGE)),
        (RefusalKind::NeedsRefresh, None) => (
            "insufficient_user_authentication",
            Cow::Borrowed("Cookie realm=\"login\", error=\"insufficient_user_authentication\""),
        ),
        (RefusalKind::NeedsRefresh, Some(age)) => (
            "insufficient_user_authentication",
            Cow::Owned(format!(
                "Cookie realm=\"login\", error=\"insufficient_user_authentication\", max_age=\"{}\"",
                age.as_secs()
            )),
        ),
    };
    let mut response = HttpResponse::Unauthorized();
    response.insert_header((header::WWW_AUTHENTICATE, challenge.as_ref()));
    if wants_page(request) {
        response
            .content_type("text/plain; charset=utf-8")
            .body(match kind {
                RefusalKind::Unauthorized => "Unauthorized: log in first.",
                RefusalKind::NeedsRefresh => "Unauthorized: give your credentials again first.",
            })
    } else {
        response.json(serde_json::json!({ "error": error }))
    }
}

fn flash(request: &HttpRequest, settings: &RefusalSettings, message: &Message) {
    let Some((hook, text)) = settings
        .flash
        .as_ref()
        .zip(message.text.as_deref().filter(|text| !text.is_empty()))
    else {
        return;
    };
    let text = match &settings.localize {
        Some(localize) => Cow::Owned(localize(request, text)),
        None => Cow::Borrowed(text),
    };
    hook(
        request,
        Flash {
            text: &text,
            category: &message.category,
        },
    );
}

/// The bytes that are escaped, as a table: every refusal sends a few dozen of them through it.
struct Escapes([bool; 256]);

impl Escapes {
    /// These, controls, and what is not ASCII.
    const fn new(bytes: &[u8]) -> Self {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < table.len() {
            table[byte] = byte < 0x20 || byte >= 0x7f;
            byte += 1;
        }
        let mut at = 0;
        while at < bytes.len() {
            table[bytes[at] as usize] = true;
            at += 1;
        }
        Self(table)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    /// How long a text gets.
    fn len(&self, text: &str) -> usize {
        let bytes = text.bytes();
        bytes.map(|byte| if self.has(byte) { 3 } else { 1 }).sum()
    }

    /// Writes a text.
    fn push(&self, out: &mut Vec<u8>, text: &str) {
        let text = text.as_bytes();
        let mut written = 0;
        for (at, &byte) in text.iter().enumerate() {
            if self.has(byte) {
                out.extend_from_slice(&text[written..at]);
                out.extend_from_slice(percent_encode_byte(byte).as_bytes());
                written = at + 1;
            }
        }
        out.extend_from_slice(&text[written..]);
    }
}

/// An address as a `Location` header can hold it.
pub(crate) fn location(address: &str) -> Vec<u8> {
    let mut location = Vec::with_capacity(LOCATION.len(address));
    LOCATION.push(&mut location, address);
    location
}

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

    fn prepare(&mut self, parameter: &[u8]) {
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
    fn way<'a>(
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
enum RedirectPlan<'a> {
    /// By an address that only lacks the value of `next`.
    Known(&'a [u8]),
    Found(Target<'a>),
}

impl RedirectPlan<'_> {
    fn location(&self, request: &HttpRequest, settings: &RefusalSettings) -> Vec<u8> {
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
struct Target<'a> {
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
    fn location(&self, request: &HttpRequest, settings: &RefusalSettings) -> Vec<u8> {
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

/// Hands a message to `actix-web-flash-messages`.
#[cfg(feature = "flash-messages")]
pub(crate) fn send_flash_message(flash: Flash<'_>) {
    use actix_web_flash_messages::{FlashMessage, Level};
    let level = match flash.category {
        "debug" => Level::Debug,
        "success" => Level::Success,
        "warning" => Level::Warning,
        "error" => Level::Error,
        _ => Level::Info,
    };
    FlashMessage::new(flash.text.to_owned(), level).send();
}

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

    use super::*;

    #[track_caller]
    fn check(escapes: &Escapes, set: &'static AsciiSet) {
        let texts = (0..=0x400)
            .filter_map(char::from_u32)
            .map(|char| format!("{char}a{char}{char}b"));
        for text in texts {
            let mut escaped = Vec::new();
            escapes.push(&mut escaped, &text);
            assert_eq!(escaped.len(), escapes.len(&text), "{text:?}");
            let expected = utf8_percent_encode(&text, set).to_string();
            assert_eq!(String::from_utf8(escaped), Ok(expected));
        }
    }

    #[test]
    fn a_query_value_holds_no_separators() {
        const SET: &AsciiSet = &CONTROLS
            .add(b' ')
            .add(b'"')
            .add(b'#')
            .add(b'<')
            .add(b'>')
            .add(b'\'')
            .add(b'&')
            .add(b'+')
            .add(b'%')
            .add(b'=')
            .add(b'?')
            .add(b'\\')
            .add(b'^')
            .add(b'`')
            .add(b'{')
            .add(b'|')
            .add(b'}');
        check(&QUERY_VALUE, SET);
    }

    #[test]
    fn a_location_keeps_its_escapes() {
        const SET: &AsciiSet = &CONTROLS
            .add(b' ')
            .add(b'"')
            .add(b'<')
            .add(b'>')
            .add(b'\\')
            .add(b'^')
            .add(b'`')
            .add(b'{')
            .add(b'|')
            .add(b'}');
        check(&LOCATION, SET);
    }
}
