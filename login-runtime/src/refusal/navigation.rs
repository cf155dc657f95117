//! What kind of request a client sends: for a page that it shows, for a document that a user navigates to,
//! or for something else.

use actix_web::{
    HttpRequest,
    http::{
        Method,
        header::{self, HeaderName, HeaderValue},
    },
};

// To look up a header by text, actix-web would parse its name each time.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The headers with which browsers tell that they load a page before the user asks for it: the standard
/// one, and those of older browsers.
static PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];

/// Whether the client would show a page: it is a browser that navigates, or does not tell.
///
/// Fetch metadata come first, since scripts cannot forge them. Without them, the header that scripts of
/// libraries send decides, then `Accept`.
pub(super) fn wants_page(request: &HttpRequest) -> bool {
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
    accepts_page(accept)
        || accept
            .split(|byte| *byte == b',')
            .all(|entry| names(entry, &["*/*", ""]))
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

/// Whether `Accept` names a page, as browsers do when they navigate.
fn accepts_page(accept: &[u8]) -> bool {
    // Browsers start with this type.
    accept.starts_with(b"text/html,")
        || accept
            .split(|byte| *byte == b',')
            .any(|entry| names(entry, &["text/html", "application/xhtml+xml", "text/*"]))
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
        (None, None) => wants_page(request) && bytes(&header::ACCEPT).is_none_or(accepts_page),
        (navigates, is_document) => navigates != Some(false) && is_document != Some(false),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
