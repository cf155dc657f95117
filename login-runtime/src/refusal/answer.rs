//! What a refused client is answered: the login view, 401 or 403, by what the client accepts.

use std::{borrow::Cow, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    error::HttpError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};

use crate::{
    core::RefusalReason,
    error::{CHALLENGE, LoadError, Refusal},
    events::{Events, LoginEvent},
    refusal::{
        redirect,
        scope::ScopeViews,
        settings::{Flash, Message, RefusalSettings, ResponseFuture},
    },
};

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
pub(crate) const COOKIE: HeaderValue = HeaderValue::from_static("Cookie");

// Parsed once: looking a header up by text parses its name.
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

static X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Which of the two refusals a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// There is no login: the login view.
    Unauthorized,
    /// There is one, but it is stale: the refresh view.
    NeedsRefresh,
}

impl RefusalKind {
    pub(crate) fn of(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::Stale => Self::NeedsRefresh,
            // Who is forbidden something does not get here, see `forbid`.
            RefusalReason::Anonymous
            | RefusalReason::Inactive
            | RefusalReason::Forbidden
            | RefusalReason::Asked => Self::Unauthorized,
        }
    }
}

/// A refusal, decided or under way.
pub(crate) enum Refusing {
    /// Boxed where it is made, as an error has to be in the end: it is handed on many times.
    Now(Box<Refusal>),
    Later(RefusalReason, ResponseFuture),
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
    settings: &RefusalSettings,
    events: &Events,
    kind: RefusalKind,
    reason: RefusalReason,
    max_age: Option<Duration>,
) -> Refusing {
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
    events.emit(&event, request);
    if let Some(handler) = handler {
        return Refusing::Later(reason, handler(request));
    }
    let location = view
        .filter(|_| wants_page(request))
        .and_then(|view| redirect::location(view, request, settings));
    let response = match location {
        Some(location) => {
            flash(request, settings, message);
            see_other(location)
        }
        None => {
            let mut response = unauthorized(request, kind, max_age);
            keep_private(response.headers_mut());
            response
        }
    };
    Refusing::Now(Box::new(Refusal::new(reason, response)))
}

/// Sends a client to the view.
fn see_other(location: Vec<u8>) -> HttpResponse {
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
    settings: &RefusalSettings,
    events: &Events,
    event: &LoginEvent<'_>,
    reason: RefusalReason,
) -> Refusing {
    events.emit(event, request);
    if let Some(handler) = &settings.forbidden {
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
    settings: &RefusalSettings,
    error: &LoadError,
) -> HttpResponse {
    let mut response = match &settings.load_failed {
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
    kind: RefusalKind,
    max_age: Option<Duration>,
) -> HttpResponse {
    let (error, challenge) = match (kind, max_age) {
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
