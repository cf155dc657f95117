//! The outermost layer: decides which cookies the session middleware sees, and keeps late responses from
//! changing a session that has ended. A response that sets the session cookie is kept out of shared caches.
//!
//! If the application has its own session middleware, a session that outgrew its cookie is a 500: browsers
//! would drop the cookie, and the login with it.
//!
//! The session's [`fate`] has the rules for late responses. This layer runs the session middleware with a
//! tracker, and then replaces or trims the response.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{
    Error, HttpResponse,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{HeaderValue, SET_COOKIE},
    },
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    error::not_done,
    http::{self, Seen, caching},
    manager::Manager,
    routes::declare_gate,
    service::{reopen, response},
    session::{self, SessionFate, fate},
};

/// Wraps the session middleware.
#[derive(Debug)]
#[debug("LateService")]
pub struct LateService<S> {
    pub(crate) service: Rc<S>,
    pub(crate) manager: Arc<Manager>,
    /// Whether another login manager is around this one; set when its first request arrives.
    pub(crate) is_nested: Rc<Cell<bool>>,
}

impl<S, B> Service<ServiceRequest> for LateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LateFuture<S::Future, B>;

    actix_web::dev::forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        self.manager.session_cookie.hide_others(request.request());
        // The session middleware awaits the session, so a login manager around this one cannot see the routes.
        if declare_gate(&request) {
            self.is_nested.set(true);
        }
        let cookie = &self.manager.session_cookie;
        let reopens = cookie.has_older_keys();
        if !(reopens || self.manager.watches_sessions || cookie.is_measured_late()) {
            let inner = self.service.call(request);
            return LateFuture::Plain { inner };
        }
        let method = request.method().clone();
        let inner = self.service.call(request);
        let future = if reopens {
            let service = Rc::clone(&self.service);
            self.watch(method, async move {
                reopen::call_again(service, inner.await).await
            })
        } else {
            self.watch(method, inner)
        };
        LateFuture::Tracked { future }
    }
}

impl<S> LateService<S> {
    /// Watches over the session of a request, as far as this manager can.
    fn watch<B: 'static>(
        &self,
        method: Method,
        inner: impl Future<Output = Result<ServiceResponse<B>, Error>> + 'static,
    ) -> Boxed<B> {
        let is_measured = self.manager.session_cookie.is_measured_late();
        match (self.manager.watches_sessions, is_measured) {
            (true, true) => measured(Box::pin(fate::track(method, inner, settle))),
            (true, false) => Box::pin(fate::track(method, inner, settle)),
            (false, true) => measured(inner),
            (false, false) => Box::pin(inner),
        }
    }
}

/// Replaces or trims the response to a late request.
fn settle<B>(
    result: Result<ServiceResponse<B>, Error>,
    fate: SessionFate,
    cookies: usize,
) -> Result<ServiceResponse<B>, Error> {
    match (fate, result) {
        // The application's own errors stay, late or not. A failure of the store does not matter if the
        // request succeeded anyway, for instance because it only read.
        (SessionFate::Kept, result)
        | (SessionFate::EndedAfterRead, result @ Err(_))
        | (SessionFate::Unknown, result @ Ok(_)) => result,
        (SessionFate::Unknown, Err(error)) => {
            let answer = not_done(StatusCode::SERVICE_UNAVAILABLE, None, String::new());
            Err(private_error(error.to_string(), answer))
        }
        (SessionFate::EndedAfterRead, Ok(mut response)) => {
            // The last cookie is that of the session middleware; those of this crate precede it.
            let headers = response.headers_mut();
            let kept: Vec<_> = headers.remove(SET_COOKIE).take(cookies).collect();
            for cookie in kept {
                headers.append(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        (SessionFate::EndedAfterWrite, result) => {
            let cause = match result {
                Ok(_) => "late".to_owned(),
                Err(error) => error.to_string(),
            };
            let answer = HttpResponse::Conflict()
                .body("The session ended while the request was under way; try again.");
            Err(private_error(cause, answer))
        }
    }
}

/// Replaces a response with a session cookie that browsers do not keep, by an error. The browser keeps the
/// session that it has.
fn measured<B: 'static>(
    inner: impl Future<Output = Result<ServiceResponse<B>, Error>> + 'static,
) -> Boxed<B> {
    Box::pin(async move {
        let response = inner.await?;
        match http::too_long_cookie(response.headers()) {
            None => Ok(response),
            Some(cookie) => refuse_long(&response, cookie).map_or(Ok(response), Err),
        }
    })
}

/// The error in place of a response whose last cookie is too long, if that is the session cookie and not
/// one of the application.
fn refuse_long<B>(response: &ServiceResponse<B>, cookie: &[u8]) -> Option<Error> {
    if !session::is_written(&session::of(response.request())) {
        return None;
    }
    session::log_too_long(cookie.len());
    let cause = "the session is too long for its cookie".to_owned();
    Some(private_error(
        cause,
        HttpResponse::InternalServerError().finish(),
    ))
}

fn private_error(cause: String, mut answer: HttpResponse) -> Error {
    caching::keep_private(answer.headers_mut());
    InternalError::from_response(cause, answer).into()
}

/// A future that only some requests need.
pub(crate) type Boxed<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

pin_project! {
    /// Waits for the session middleware.
    #[derive(Debug)]
    #[project = LateFutureProj]
    pub enum LateFuture<F, B> {
        /// No session can end during the request.
        #[debug("Plain")]
        Plain {
            #[pin]
            inner: F,
        },
        /// The session may end during the request.
        #[debug("Tracked")]
        Tracked {
            future: Boxed<B>,
        },
    }
}

impl<F, B> Future for LateFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<B>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(match self.project() {
            LateFutureProj::Plain { inner } => inner.poll(cx),
            LateFutureProj::Tracked { future } => future.as_mut().poll(cx),
        });
        Poll::Ready(result.map(|mut response| {
            // Faster than a look-up: most responses have few headers.
            if response.headers().keys().any(|name| *name == SET_COOKIE) {
                keep_session_private(&mut response);
            }
            response
        }))
    }
}

/// Keeps a response that sets the session cookie out of shared caches, which would give the session to others.
/// Whether it does is known only after the session middleware: it may prolong the session at each request.
#[cold]
fn keep_session_private<B>(response: &mut ServiceResponse<B>) {
    // Most often the cookie comes with a login, whose response is kept from all caches already.
    if caching::is_no_store(response.headers()) {
        return;
    }
    let Some(manager) = Manager::peek(response.request()).map(Arc::clone) else {
        return;
    };
    let Some(name) = manager.session_cookie.name() else {
        return;
    };
    let sets_session = |value: &HeaderValue| {
        let rest = value.as_bytes().strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    if response.headers().get_all(SET_COOKIE).any(sets_session) {
        response::keep_private(response, &manager, Seen::default());
    }
}
