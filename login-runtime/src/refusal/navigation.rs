//! What kind of request a client sends: for a page that it shows, for a document that a user navigates to,
//! or for something else.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};

use crate::{http::cross_site::opens_socket, refusal::accept::Accept};

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
/// Handshakes come first: whoever starts one cannot show a page. Then Fetch metadata decide, since scripts
/// cannot forge them. Without them, the headers that scripts of libraries send decide, then `Accept`.
pub(super) fn client(request: &HttpRequest) -> Client {
    let headers = request.headers();
    let is = |value: Option<&HeaderValue>, expected: &str| {
        let value = value.map(HeaderValue::as_bytes);
        value.is_some_and(|value| value.eq_ignore_ascii_case(expected.as_bytes()))
    };
    let accept = accept(headers);
    // A page that opens an event stream with a request of its own may send every header.
    if headers.contains_key(&header::UPGRADE) && opens_socket(headers)
        || accept.is_some_and(Accept::is_event_stream)
    {
        return Client::Program;
    }
    let mode = headers.get(&SEC_FETCH_MODE);
    if is(mode, "navigate") {
        return Client::Page;
    }
    if is(headers.get(&HX_REQUEST), "true") {
        return Client::Htmx;
    }
    let is_script = mode.is_some() || is(headers.get(&X_REQUESTED_WITH), "xmlhttprequest");
    if is_script || !accept.is_none_or(Accept::wants_page) {
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

/// What `Accept` prefers. `None` if there is no such header, or if it starts as browsers write it when they
/// navigate: then nothing is preferred to a page.
fn accept(headers: &HeaderMap) -> Option<Accept> {
    let first = headers.get(&header::ACCEPT)?.as_bytes();
    if first.starts_with(b"text/html,") {
        return None;
    }
    let values = headers.get_all(&header::ACCEPT);
    Some(Accept::of(values.map(HeaderValue::as_bytes)))
}

/// Whether a user navigates to a document, so that the client wants to come back to it after a log in. The
/// client is one that shows a page.
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
        (None, None) => accept(headers).is_none_or(Accept::names_page),
        (navigates, is_document) => navigates != Some(false) && is_document != Some(false),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
