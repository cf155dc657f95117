//! TODO service/late.rs

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
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
    session::{
        SessionFate,
        fate::{self},
    },
};

pin_project! {
    /// Makes a [`LateService`].
    #[derive(Debug)]
    #[debug("LateInit")]
    pub struct LateInit<F> {
        #[pin]
        pub(crate) init: F,
        pub(crate) watches: bool,
    }
}

impl<F, S> Future for LateInit<F>
where
    F: Future<Output = Result<S, ()>>,
{
    type Output = Result<LateService<S>, ()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let service = ready!(this.init.poll(cx))?;
        Poll::Ready(Ok(LateService {
            service,
            watches: *this.watches,
        }))
    }
}

/// Around the session middleware: keeps late responses from changing a session that has ended.
#[derive(Debug)]
#[debug("LateService")]
pub struct LateService<S> {
    service: S,
    watches: bool,
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
        let inner = self.service.call(request);
        let step = if self.watches {
            LateStep::Watched {
                future: Box::pin(fate::watched(inner, settle)),
            }
        } else {
            LateStep::Plain { inner }
        };
        LateFuture { step }
    }
}

/// Gives the client of a late request what it may have.
fn settle<B>(
    result: Result<ServiceResponse<B>, Error>,
    late: SessionFate,
    cookies: usize,
) -> Result<ServiceResponse<B>, Error> {
    match (late, result) {
        // What the application makes of a request, late or not, is its own affair.
        (SessionFate::No, result) | (SessionFate::Read, result @ Err(_)) => result,
        // The failure may have been of no consequence, as when a page only looked.
        (SessionFate::Unknown, Ok(response)) => Ok(response),
        (SessionFate::Unknown, Err(error)) => {
            let mut answer = HttpResponse::ServiceUnavailable().finish();
            refusal::keep_private(answer.headers_mut());
            Err(InternalError::from_response(error.to_string(), answer).into())
        }
        (SessionFate::Read, Ok(mut response)) => {
            // The session middleware's own cookie comes last, and before it ours.
            let set: Vec<_> = response
                .headers_mut()
                .remove(SET_COOKIE)
                .take(cookies)
                .collect();
            for cookie in set {
                response.headers_mut().append(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        (SessionFate::Write, result) => {
            let cause = result
                .err()
                .map_or_else(|| "late".to_owned(), |error| error.to_string());
            let mut answer = HttpResponse::Conflict()
                .body("The session ended while the request was under way; try again.");
            refusal::keep_private(answer.headers_mut());
            Err(InternalError::from_response(cause, answer).into())
        }
    }
}

type Boxed<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

pin_project! {
    /// Waits for the session middleware.
    #[derive(Debug)]
    #[debug("LateFuture")]
    pub struct LateFuture<F, B> {
        #[pin]
        step: LateStep<F, B>,
    }
}

pin_project! {
    #[project = LateStepProj]
    enum LateStep<F, B> {
        Plain {
            #[pin]
            inner: F,
        },
        // A session may end meanwhile.
        Watched {
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
        match self.project().step.project() {
            LateStepProj::Plain { inner } => inner.poll(cx),
            LateStepProj::Watched { future } => future.as_mut().poll(cx),
        }
    }
}
