//! The answer to a refused client.
//!
//! 1. If the application has a handler for the refusal, the handler answers.
//! 2. A browser that wants a page is redirected to the login view, or to the refresh view if its login is
//!    stale, if there is such a view.
//! 3. Other clients get 401 with a challenge, as text or as JSON.
//! 4. A user who may not do this gets 403 and is never redirected: after another login the answer would be
//!    the same.
//! 5. If a loader failed, the answer is 503.
//! 6. Caches must not store any of these answers.

use std::{borrow::Cow, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    error::HttpError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};

#[cfg(feature = "flash-messages")]
use crate::refusal::messages;
use crate::{
    core::RefusalReason,
    error::{CHALLENGE, LoadError, Refusal},
    events::{EventLogin, Events, LoginEvent},
    hooks::Hook,
    http::{SetCookie, ViewAddress, set_cookie},
    refusal::{
        navigation::wants_page,
        redirect,
        scope::ScopeViews,
        settings::{
            Flash, FlashHook, RefusalKind, RefusalSettings, Refused, RefusedRequest, ResponseFuture,
        },
        views,
    },
};

/// Keeps a response out of caches.
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the value of a static text never changes"
)]
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the value of a static text never changes"
)]
const COOKIE: HeaderValue = HeaderValue::from_static("Cookie");

/// A refusal, or the future of the application's handler that makes it.
pub(crate) enum Refusing {
    /// Boxed when it is made: it has to be boxed as an error later, and is moved often before.
    Now(Box<Refusal>),
    Later(RefusalReason, ResponseFuture),
}

impl Refusing {
    /// Waits for the application's handler, if it has one.
    pub(crate) async fn done(self) -> Refusal {
        match self {
            Self::Now(refusal) => *refusal,
            Self::Later(reason, response) => Refusal::new(reason, private(response.await)),
        }
    }
}

/// Refuses a client without a fitting login: emits the event, keeps `next` and the message, and makes
/// the answer.
pub(crate) fn refuse(
    request: &HttpRequest,
    settings: &Arc<RefusalSettings>,
    events: &Events,
    kind: RefusalKind,
    reason: RefusalReason,
    max_age: Option<Duration>,
    login: Option<EventLogin<'_>>,
) -> Refusing {
    let (event, handler) = match kind {
        RefusalKind::Unauthorized => (
            LoginEvent::Unauthorized { reason, login },
            &settings.unauthorized,
        ),
        RefusalKind::NeedsRefresh => (
            LoginEvent::NeedsRefresh { reason, login },
            &settings.needs_refresh,
        ),
    };
    events.emit(&event, request);
    if let Some(handler) = handler
        && !kind.hook().is_running()
    {
        return Refusing::Later(
            reason,
            handler(RefusedRequest {
                request: request.clone(),
                reason,
                refused: Refused::Client(kind, max_age),
                settings: Arc::clone(settings),
            }),
        );
    }
    let response = send_to_view(request, settings, kind, max_age);
    Refusing::Now(Box::new(Refusal::new(reason, response)))
}

/// The path or URL of the view of a scope or of the manager.
fn view<'a>(
    request: &'a HttpRequest,
    settings: &'a RefusalSettings,
    kind: RefusalKind,
) -> Option<Cow<'a, ViewAddress>> {
    let view = match kind {
        RefusalKind::Unauthorized => {
            ScopeViews::login_view(request).or(settings.login_view.as_ref())
        }
        RefusalKind::NeedsRefresh => {
            ScopeViews::refresh_view(request).or(settings.refresh_view.as_ref())
        }
    };
    views::resolve(view?, request)
}

/// Redirects the client to the view, or answers 401.
fn send_to_view(
    request: &HttpRequest,
    settings: &RefusalSettings,
    kind: RefusalKind,
    max_age: Option<Duration>,
) -> HttpResponse {
    let location = wants_page(request)
        .then(|| view(request, settings, kind))
        .flatten()
        .and_then(|view| redirect::location(&view, request, settings));
    let Some((location, next)) = location else {
        return unauthorized(request, kind, max_age);
    };
    let kept = flash(request, settings, kind);
    let mut response = see_other(location);
    for cookie in kept.into_iter().chain(next) {
        set_cookie::append(response.headers_mut(), cookie);
    }
    response
}

/// The address of a view for a client that is not refused, with `next`. `None` if there is no such view.
pub(crate) fn view_url(
    request: &HttpRequest,
    settings: &RefusalSettings,
    kind: RefusalKind,
) -> Option<String> {
    let view = view(request, settings, kind)?;
    String::from_utf8(redirect::url(&view, request, settings)?).ok()
}

impl RefusedRequest {
    /// The response that this crate makes without the handler: the redirect with `next` and the message,
    /// 401 or 403.
    pub fn default_response(&self) -> HttpResponse {
        match self.refused {
            Refused::Client(kind, max_age) => {
                send_to_view(&self.request, &self.settings, kind, max_age)
            }
            Refused::Forbidden => forbidden(&self.request),
        }
    }

    /// The address of the login view, with `next`; see [`login_url`](crate::guards::login_url).
    pub fn login_url(&self) -> Option<String> {
        view_url(&self.request, &self.settings, RefusalKind::Unauthorized)
    }

    /// The address of the refresh view, with `next`; see [`refresh_url`](crate::guards::refresh_url).
    pub fn refresh_url(&self) -> Option<String> {
        view_url(&self.request, &self.settings, RefusalKind::NeedsRefresh)
    }
}

/// Redirects a client to a view.
fn see_other(location: Vec<u8>) -> HttpResponse {
    let location = match HeaderValue::try_from(location) {
        Ok(location) => location,
        Err(error) => return HttpResponse::from_error(HttpError::from(error)),
    };
    // `HttpResponseBuilder` would move the whole response, and `insert` moves more than `append`.
    let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.append(header::LOCATION, location);
    headers.append(header::CACHE_CONTROL, NO_STORE);
    headers.append(header::VARY, COOKIE);
    response
}

/// Refuses a logged-in user who may not do this, with 403. The login view would redirect the user back,
/// in a loop.
pub(crate) fn forbid(
    request: &HttpRequest,
    settings: &Arc<RefusalSettings>,
    events: &Events,
    event: &LoginEvent<'_>,
    reason: RefusalReason,
) -> Refusing {
    events.emit(event, request);
    if let Some(handler) = &settings.forbidden
        && !Hook::Forbidden.is_running()
    {
        return Refusing::Later(
            reason,
            handler(RefusedRequest {
                request: request.clone(),
                reason,
                refused: Refused::Forbidden,
                settings: Arc::clone(settings),
            }),
        );
    }
    Refusing::Now(Box::new(Refusal::new(reason, forbidden(request))))
}

fn forbidden(request: &HttpRequest) -> HttpResponse {
    let text = "Forbidden: you may not do this.";
    explain(request, HttpResponse::Forbidden(), text, "forbidden")
}

/// The answer when a loader failed.
pub(crate) fn load_failed(
    request: &HttpRequest,
    settings: &RefusalSettings,
    error: &LoadError,
) -> HttpResponse {
    private(match &settings.load_failed {
        Some(handler) if !Hook::LoadFailed.is_running() => {
            Hook::LoadFailed.run(|| handler(request, error))
        }
        _ => HttpResponse::ServiceUnavailable().finish(),
    })
}

fn private(mut response: HttpResponse) -> HttpResponse {
    keep_private(response.headers_mut());
    response
}

/// Keeps a response that depends on a login out of caches (ASVS 14.3.2). A `Cache-Control` of the
/// application stays as it is.
pub(crate) fn keep_private(headers: &mut header::HeaderMap) {
    // `append` moves less than `insert`, and every page behind a login needs this.
    if !headers.contains_key(&header::CACHE_CONTROL) {
        headers.append(header::CACHE_CONTROL, NO_STORE);
    }
    // Most responses have no `Vary`, which is quick to see.
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

/// 401, with a challenge (RFC 9110 §15.5.2). No scheme is registered for logins by cookie; the parameters
/// follow RFC 9470.
fn unauthorized(
    request: &HttpRequest,
    kind: RefusalKind,
    max_age: Option<Duration>,
) -> HttpResponse {
    const STALE: &str = "insufficient_user_authentication";
    const STALE_TEXT: &str = "Unauthorized: give your credentials again first.";
    let (error, text, challenge) = match (kind, max_age) {
        (RefusalKind::Unauthorized, _) => (
            "unauthorized",
            "Unauthorized: log in first.",
            Cow::Borrowed(CHALLENGE),
        ),
        (RefusalKind::NeedsRefresh, None) => (
            STALE,
            STALE_TEXT,
            Cow::Borrowed("Cookie realm=\"login\", error=\"insufficient_user_authentication\""),
        ),
        (RefusalKind::NeedsRefresh, Some(age)) => {
            let age = age.as_secs();
            let challenge = format!("Cookie realm=\"login\", error=\"{STALE}\", max_age=\"{age}\"");
            (STALE, STALE_TEXT, Cow::Owned(challenge))
        }
    };
    let mut response = HttpResponse::Unauthorized();
    response.insert_header((header::WWW_AUTHENTICATE, challenge.as_ref()));
    explain(request, response, text, error)
}

/// Explains a refusal: as text to a person, as JSON to a program.
fn explain(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    text: &'static str,
    error: &str,
) -> HttpResponse {
    private(if wants_page(request) {
        response
            .content_type("text/plain; charset=utf-8")
            .body(text)
    } else {
        response.json(serde_json::json!({ "error": error }))
    })
}

/// Hands the message of a refusal to the application, which shows it on the next page. Returns a cookie
/// if the message has to be kept until then.
fn flash(
    request: &HttpRequest,
    settings: &RefusalSettings,
    kind: RefusalKind,
) -> Option<SetCookie> {
    let hook = settings.flash.as_ref()?;
    // A hook that is refused itself sends no second message.
    if Hook::Message.is_running() {
        return None;
    }
    Hook::Message.run(|| {
        let text = settings.text(request, kind)?;
        let category = &settings.message(kind).category;
        match hook {
            FlashHook::Own(hook) => {
                let text = &text;
                hook(request, Flash { text, category });
                None
            }
            #[cfg(feature = "flash-messages")]
            FlashHook::Framework => messages::send(request, settings, kind, &text),
        }
    })
}
