//! The outermost layer: keeps late responses from changing a session that has ended.
//!
//! The session's [`fate`] has the rules. This layer runs the session middleware with a tracker, and then
//! replaces or trims the response.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpResponse,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::SET_COOKIE,
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    refusal,
    routes::declare_gate,
    session::{SessionFate, fate},
};

/// Wraps the session middleware.
#[derive(Debug)]
#[debug("LateService")]
pub struct LateService<S> {
    pub(crate) service: S,
    pub(crate) tracks_sessions: bool,
    /// Whether another login manager is around this one; set when its first request arrives.
    pub(crate) is_nested: Rc<Cell<bool>>,
}

impl<S, B> Service<ServiceRequest> for LateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LateFuture<S::Future, B>;

    actix_web::dev::forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        // The session middleware awaits the session, so a login manager around this one cannot see the routes.
        if declare_gate(&request) {
            self.is_nested.set(true);
        }
        let inner = self.service.call(request);
        if self.tracks_sessions {
            let future = Box::pin(fate::track(inner, settle));
            LateFuture::Tracked { future }
        } else {
            LateFuture::Plain { inner }
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
            let answer = HttpResponse::ServiceUnavailable().finish();
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

fn private_error(cause: String, mut answer: HttpResponse) -> Error {
    refusal::keep_private(answer.headers_mut());
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
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            LateFutureProj::Plain { inner } => inner.poll(cx),
            LateFutureProj::Tracked { future } => future.as_mut().poll(cx),
        }
    }
}
