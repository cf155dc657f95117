//! Refuses requests that pages of other sites have sent.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header::COOKIE};

use crate::{
    core::RefusalReason,
    events::{LoginEvent, shown},
    http::{cookies, cross_site},
    manager::Manager,
    refusal,
    request::{CrossSiteRequest, LoginState, RouteTrace, drop_copy},
    routes::behind,
    session,
};

/// The answer in place of that of a route that does not take requests of other sites. `None` if the request
/// proves by a header who sends it.
pub(crate) async fn refuse(
    request: &HttpRequest,
    manager: &Arc<Manager>,
    trace: &RouteTrace,
    pattern: Option<&str>,
) -> Option<HttpResponse> {
    let mut refused = None;
    for check in trace.cross_site() {
        match has_credential(request, check).await {
            Ok(true) => {}
            Ok(false) => {
                refused = Some(check.reason);
                break;
            }
            Err(answer) => return Some(answer),
        }
    }
    let reason = refused?;
    let (settings, events) = (&manager.refusal, &manager.events);
    let service = trace.service();
    let middleware = pattern.and_then(|pattern| {
        let is_first = manager
            .routes
            .cross_site
            .is_first(request.method(), pattern);
        behind::middleware(service).filter(|_| is_first)
    });
    let origin = cross_site::origin(request).map(shown);
    let event = LoginEvent::CrossSiteRefused {
        reason,
        origin: origin.as_deref(),
        pattern,
        middleware: middleware.as_deref(),
    };
    // Events and hooks may read the session. What they write is dropped: the page of another site must not
    // be the cause of it.
    let reads = settings.forbidden.is_some() || !events.subscribers.is_empty();
    let shared = reads.then(|| session::copy_shared(request)).flatten();
    let refusing = refusal::forbid(request, settings, events, &event, RefusalReason::CrossSite);
    let answer = refusing.done().await.into_response();
    if let Some(shared) = shared {
        drop_copy(request, shared);
    }
    Some(answer)
}

/// Whether the request loader knows the sender of a request by a header that no page of another site can make
/// a browser send. A request with a cookie of the manager does not count: its login might be the browser's.
///
/// If the loader fails, the error is the answer.
async fn has_credential(
    request: &HttpRequest,
    check: &CrossSiteRequest,
) -> Result<bool, HttpResponse> {
    let Some(manager) = &check.manager else {
        return Ok(false);
    };
    let Some((index, _)) = &manager.request_loader else {
        return Ok(false);
    };
    if carries_cookie(request, manager) || !manager.cross_site.has_credential_header(request) {
        return Ok(false);
    }
    let state = LoginState::of_or_new(request, manager);
    match state.user(request, *index).await {
        Ok(user) => Ok(user.is_some_and(|user| user.authenticated)),
        Err(error) => Err(refusal::load_failed(request, &manager.refusal, &error)),
    }
}

/// Whether a request carries a cookie of a manager, valid or not. If the name of its session cookie is
/// unknown, each cookie counts.
fn carries_cookie(request: &HttpRequest, manager: &Manager) -> bool {
    if manager.session_cookie.name().is_none() {
        return request.headers().contains_key(COOKIE);
    }
    let mut names = manager.cookie_names();
    names.any(|name| cookies::carries(request, name))
}
