//! What kind of request a client sends: for a page that it shows, for a document that a user navigates to,
//! or for something else.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use crate::refusal::accept::Accept;

// To look up a header by text, actix-web would parse its name each time.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

static HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

static HX_CURRENT_URL: HeaderName = HeaderName::from_static("hx-current-url");

static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The headers with which browsers tell that they load a page before the user asks for it: the standard
/// one, and those of older browsers.
static PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// What kind of client sends a request, as far as the answer to a refusal depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It shows the page that it gets, or does not tell.
    Page,
    /// A page with htmx, which follows a redirect only if a header of its own names it.
    Htmx,
    /// A program or a script, or the handshake of a WebSocket or an event stream, which cannot follow a
    /// redirect.
    Program,
}

/// What kind of client sends a request.
///
/// Fetch metadata come first, since scripts cannot forge them. Without them, the headers that scripts of
/// libraries send decide, then `Accept`.
pub(super) fn client(request: &HttpRequest) -> Client {
    let headers = request.headers();
    let bytes = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if opens_socket(headers) {
        return Client::Program;
    }
    if let Some(mode) = bytes(&SEC_FETCH_MODE)
        && mode.eq_ignore_ascii_case(b"navigate")
    {
        // Browsers that navigate start with this type.
        let shows_page =
            bytes(&header::ACCEPT).is_none_or(|accept| accept.starts_with(b"text/html"));
        return match shows_page || !accept(headers).is_event_stream() {
            true => Client::Page,
            false => Client::Program,
        };
    }
    if bytes(&HX_REQUEST).is_some_and(|htmx| htmx.eq_ignore_ascii_case(b"true")) {
        // A page that opens an event stream with a request of its own may send every header.
        return match accept(headers).is_event_stream() {
            true => Client::Program,
            false => Client::Htmx,
        };
    }
    let is_script = headers.contains_key(&SEC_FETCH_MODE)
        || bytes(&X_REQUESTED_WITH)
            .is_some_and(|with| with.eq_ignore_ascii_case(b"xmlhttprequest"));
    if is_script || !wants_page(headers) {
        Client::Program
    } else {
        Client::Page
    }
}

/// The address of the page that sends a request with htmx, as the browser shows it.
pub(super) fn htmx_page(request: &HttpRequest) -> Option<&str> {
    let mut values = request.headers().get_all(&HX_CURRENT_URL);
    let page = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(page)
}

/// Whether a request is the handshake of a WebSocket (RFC 6455 §4.1).
fn opens_socket(headers: &HeaderMap) -> bool {
    headers.get_all(header::UPGRADE).any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|protocol| {
                // A protocol may have a version (RFC 9110 §7.8).
                let name = protocol.split(|byte| *byte == b'/').next();
                name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"websocket"))
            })
    })
}

fn accept(headers: &HeaderMap) -> Accept {
    Accept::of(headers.get_all(header::ACCEPT).map(HeaderValue::as_bytes))
}

/// Whether `Accept` is one of a client that shows a page.
fn wants_page(headers: &HeaderMap) -> bool {
    let first = headers.get(&header::ACCEPT);
    // Browsers start with this type, which has the greatest weight.
    first.is_none_or(|first| first.as_bytes().starts_with(b"text/html,"))
        || accept(headers).wants_page()
}

/// Whether `Accept` names a page, as browsers do when they navigate.
fn names_page(headers: &HeaderMap) -> bool {
    let first = headers.get(&header::ACCEPT);
    first.is_none_or(|first| first.as_bytes().starts_with(b"text/html,"))
        || accept(headers).names_page()
}

/// Whether a user navigates to a document, so that the client wants to come back to it after a log in.
///
/// A frame, a script, an image, the handshake of a socket, and a page that is loaded in advance are none:
/// they would replace the page that the user wanted. Fetch metadata decide if the browser sends them,
/// and `Accept` otherwise.
pub(super) fn is_navigation(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let bytes = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let is_early = PURPOSES.iter().any(|name| {
        let purpose = bytes(name).unwrap_or_default().to_ascii_lowercase();
        ["prefetch", "prerender", "preview"]
            .iter()
            .any(|early| contains(&purpose, early.as_bytes()))
    });
    if *request.method() == Method::HEAD || is_early || headers.contains_key(header::UPGRADE) {
        return false;
    }
    let is_document = bytes(&SEC_FETCH_DEST).map(|to| to.eq_ignore_ascii_case(b"document"));
    let navigates = bytes(&SEC_FETCH_MODE).map(|mode| mode.eq_ignore_ascii_case(b"navigate"));
    match (navigates, is_document) {
        (None, None) => client(request) == Client::Page && names_page(headers),
        (navigates, is_document) => navigates != Some(false) && is_document != Some(false),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
