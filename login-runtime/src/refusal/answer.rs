//! The answer to a refused client.
//!
//! 1. If the application has a handler for the refusal, the handler answers.
//! 2. A browser that wants a page is redirected to the login view, or to the refresh view if its login is
//!    stale, if there is such a view.
//! 3. Other clients get 401 with a challenge, as text or as a problem in JSON (RFC 9457). For htmx, a header
//!    names the view, because scripts do not see a redirect.
//! 4. A user who may not do this gets 403 and is never redirected: after another login the answer would be
//!    the same.
//! 5. The routes of an API never redirect.
//! 6. If a loader failed, the answer is 503, and says when to try again.
//! 7. Caches must not store any of these answers; the login layer adds the headers for that.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::BoxBody,
    error::HttpError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};

#[cfg(feature = "flash-messages")]
use crate::refusal::messages;
use crate::{
    core::RefusalReason,
    error::{CHALLENGE, LoadError, RETRY_AFTER, Refusal},
    events::{EventLogin, EventUser, Events, LoginEvent},
    hooks::Hook,
    http::{Seen, SetCookie, ViewAddress, set_cookie},
    refusal::{
        navigation::{self, Client},
        redirect,
        scope::ScopeViews,
        settings::{
            ClientRefusal, Flash, FlashHook, RefusalKind, RefusalSettings, Refused, RefusedRequest,
            ResponseFuture,
        },
        views,
    },
};

#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the value of a static text never changes"
)]
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

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
            Self::Later(reason, response) => Refusal::new(reason, response.await),
        }
    }
}

/// The login of a client that is refused, for the event.
#[derive(Default)]
pub(crate) struct RefusedLogin<'a> {
    pub(crate) user: Option<EventUser<'a>>,
    pub(crate) login: Option<EventLogin<'a>>,
}

/// Refuses a client without a fitting login: emits the event, keeps `next` and the message, and makes
/// the answer.
pub(crate) fn refuse(
    request: &HttpRequest,
    settings: &Arc<RefusalSettings>,
    events: &Events,
    refused: ClientRefusal,
    RefusedLogin { user, login }: RefusedLogin<'_>,
) -> Refusing {
    Seen::note_refusal();
    let ClientRefusal { kind, reason, .. } = refused;
    let (event, handler) = match kind {
        RefusalKind::Unauthorized => (
            LoginEvent::Unauthorized {
                reason,
                user,
                login,
            },
            &settings.unauthorized,
        ),
        RefusalKind::NeedsRefresh => (
            LoginEvent::NeedsRefresh {
                reason,
                user,
                login,
            },
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
                refused: Refused::Client(refused),
                settings: Arc::clone(settings),
            }),
        );
    }
    let response = send_to_view(request, settings, refused);
    Refusing::Now(Box::new(Refusal::new(reason, response)))
}

/// The view of a scope or of the manager.
fn view<'a>(
    scope: Option<&'a ScopeViews>,
    settings: &'a RefusalSettings,
    kind: RefusalKind,
) -> Option<&'a ViewAddress> {
    match kind {
        RefusalKind::Unauthorized => {
            let login = scope.and_then(|scope| scope.login.as_ref());
            login.or(settings.login_view.as_ref())
        }
        RefusalKind::NeedsRefresh => {
            let refresh = scope.and_then(|scope| scope.refresh.as_ref());
            refresh.or(settings.refresh_view.as_ref())
        }
    }
}

/// What kind of client sends a request. All clients of an API are programs.
fn client(request: &HttpRequest) -> Client {
    client_of(request, ScopeViews::of(request))
}

/// The same for a caller that has the views of the scope.
fn client_of(request: &HttpRequest, scope: Option<&ScopeViews>) -> Client {
    if scope.is_some_and(|scope| scope.is_api) {
        return Client::Program;
    }
    navigation::client(request)
}

/// Redirects the client to the view, or answers 401.
fn send_to_view(
    request: &HttpRequest,
    settings: &RefusalSettings,
    refused: ClientRefusal,
) -> HttpResponse {
    let scope = ScopeViews::of(request);
    let client = client_of(request, scope);
    let kind = refused.kind;
    let view = view(scope, settings, kind).filter(|_| client != Client::Program);
    let location = view.and_then(|view| match client {
        Client::Page => redirect::plain_location(view, request, settings)
            .map(|location| (location, None))
            .or_else(|| {
                let view = views::resolve(view, request)?;
                redirect::location(&view, request, settings)
            }),
        Client::Htmx => {
            let view = views::resolve(view, request)?;
            redirect::htmx_location(&view, request, settings)
        }
        Client::Program => None,
    });
    let Some((location, next)) = location else {
        return unauthorized(client, refused);
    };
    let kept = flash(request, settings, kind);
    let mut response = match HeaderValue::try_from(location) {
        Ok(location) if client == Client::Htmx => htmx_redirect(location, refused),
        Ok(location) => see_other(location),
        Err(error) => HttpResponse::from_error(HttpError::from(error)),
    };
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
    let view = view(ScopeViews::of(request), settings, kind)?;
    let view = views::resolve(view, request)?;
    String::from_utf8(redirect::url(&view, request, settings)?).ok()
}

impl RefusedRequest {
    /// The response that this crate makes without the handler: the redirect with `next` and the message,
    /// 401 or 403.
    pub fn default_response(&self) -> HttpResponse {
        match self.refused {
            Refused::Client(refused) => send_to_view(&self.request, &self.settings, refused),
            Refused::Forbidden => forbidden(&self.request, self.reason),
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
fn see_other(location: HeaderValue) -> HttpResponse {
    // `HttpResponseBuilder` would move the whole response, and `insert` moves more than `append`.
    let mut response = HttpResponse::new(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.append(header::LOCATION, location);
    response
}

/// 401 with the view in a header of htmx, which loads it in place of the whole page. With a status of a
/// redirect, the browser would follow it itself, and htmx would show the view inside the page.
fn htmx_redirect(location: HeaderValue, refused: ClientRefusal) -> HttpResponse {
    let mut response = unauthorized(Client::Htmx, refused);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("hx-redirect"), location);
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
    Seen::note_refusal();
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
    Refusing::Now(Box::new(Refusal::new(reason, forbidden(request, reason))))
}

/// 403, without a handler of the application.
pub(crate) fn forbidden(request: &HttpRequest, reason: RefusalReason) -> HttpResponse {
    let (text, code) = match reason {
        RefusalReason::CrossSite => (
            "Forbidden: this request comes from a page of another site.",
            "cross_site",
        ),
        _ => ("Forbidden: you may not do this.", "forbidden"),
    };
    explain(client(request), HttpResponse::Forbidden(), text, code)
}

/// The answer when a loader failed.
pub(crate) fn load_failed(
    request: &HttpRequest,
    settings: &RefusalSettings,
    error: &LoadError,
) -> HttpResponse {
    Seen::note_refusal();
    let mut response = match &settings.load_failed {
        Some(handler) if !Hook::LoadFailed.is_running() => {
            Hook::LoadFailed.run(|| handler(request, error))
        }
        _ => return unavailable(request),
    };
    say_when(&mut response);
    response
}

impl LoadError {
    /// The response to a failed look-up that this crate makes without
    /// [`load_error_handler`](crate::config::LoginManagerBuilder::load_error_handler): 503 with `Retry-After`, as
    /// text for a person and as a problem in JSON for a program.
    ///
    /// # Examples
    ///
    /// Browsers get a page of the application's own, and other clients what they get without a handler:
    ///
    /// ```
    /// use actix_web::{HttpResponse, cookie::Key, http::header::ACCEPT};
    /// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// # fn main() -> Result<(), login_runtime::BuildError> {
    /// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .login_store(MemoryLoginStore::new())
    ///     .load_error_handler(|request, error| {
    ///         let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    ///         if accept.is_some_and(|accept| accept.starts_with("text/html")) {
    ///             return HttpResponse::ServiceUnavailable().body("We will be back soon.");
    ///         }
    ///         error.default_response(request)
    ///     })
    ///     .build(Key::generate())?;
    /// # let _ = login_manager;
    /// # Ok(())
    /// # }
    /// ```
    pub fn default_response(&self, request: &HttpRequest) -> HttpResponse {
        unavailable(request)
    }
}

fn unavailable(request: &HttpRequest) -> HttpResponse {
    let text = "Service unavailable: try again later.";
    let mut response = explain(
        client(request),
        HttpResponse::ServiceUnavailable(),
        text,
        "unavailable",
    );
    say_when(&mut response);
    response
}

/// Says when to try again in a 503, unless the application has.
fn say_when(response: &mut HttpResponse) {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE
        && !response.headers().contains_key(header::RETRY_AFTER)
    {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
}

/// 401, with a challenge (RFC 9110 §15.5.2). No scheme is registered for logins by cookie; the parameters
/// follow RFC 9470.
fn unauthorized(client: Client, refused: ClientRefusal) -> HttpResponse {
    let (text, challenge) = match (refused.kind, refused.max_age) {
        (RefusalKind::Unauthorized, _) => ("Unauthorized: log in first.", Cow::Borrowed(CHALLENGE)),
        (RefusalKind::NeedsRefresh, max_age) => (
            "Unauthorized: give your credentials again first.",
            match max_age {
                None => Cow::Borrowed(STALE_CHALLENGE),
                Some(age) => {
                    Cow::Owned(format!("{STALE_CHALLENGE}, max_age=\"{}\"", age.as_secs()))
                }
            },
        ),
    };
    let mut response = HttpResponse::Unauthorized();
    response.insert_header((header::WWW_AUTHENTICATE, challenge.as_ref()));
    explain(client, response, text, refused.code())
}

/// The challenge for a stale login.
const STALE_CHALLENGE: &str = "Cookie realm=\"login\", error=\"insufficient_user_authentication\"";

/// Explains a refusal: as text to a person, as a problem in JSON to a program (RFC 9457 §3). With the type
/// `about:blank`, the title is the status in words.
fn explain(
    client: Client,
    mut response: HttpResponseBuilder,
    text: &'static str,
    code: &'static str,
) -> HttpResponse {
    // For a refusal that no login manager sees.
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if client == Client::Program {
        // No part of a text needs an escape in JSON.
        let (title, detail) = text.split_once(": ").unwrap_or((text, text));
        let mut response = response.finish();
        let status = response.status().as_u16();
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM);
        response.set_body(BoxBody::new(format!(
            "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\
             \"detail\":\"{detail}\",\"code\":\"{code}\"}}"
        )))
    } else {
        response
            .content_type("text/plain; charset=utf-8")
            .body(text)
    }
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
