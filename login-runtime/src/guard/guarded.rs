//! The one argument of a guarded handler: the guard decides, then the handler's arguments are extracted.
//!
//! actix-web polls all extractors of a handler together. A guard among them that waits for the database
//! would lose the race to a `Json` that reads the body, or answers 400. [`Guarded`] therefore takes the
//! place of all arguments, and extracts them after the decision.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{Error, FromRequest, Handler, HttpRequest, dev::Payload};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::guard::{
    decide::{GuardOutcome, check},
    policy::{LoginRequired, Policy, find},
    proof::Arguments,
};

/// All arguments of a guarded handler, extracted after the policy `P` let the client through.
#[derive(Debug)]
// Not the arguments, which may hold secrets that the client sent.
#[debug("Guarded")]
pub struct Guarded<P, A> {
    // Generated code takes the arguments out in the parameter's pattern, so that they live as long
    // as parameters do. The other field is private, so only this module can make a value.
    #[doc(hidden)]
    pub args: A,
    policy: PhantomData<fn() -> P>,
}

impl<P, A> Guarded<P, A> {
    #[cfg(feature = "test-util")]
    pub(crate) fn of_test(args: A) -> Self {
        Self {
            args,
            policy: PhantomData,
        }
    }

    /// The handler's arguments.
    pub fn into_args(self) -> A {
        self.args
    }
}

impl<P: Policy, A: Arguments<P>> FromRequest for Guarded<P, A> {
    type Error = Error;
    type Future = GuardedFuture<P, A>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let step = match check(request, find::<P::User>, P::REQUIREMENT, P::CONDITION) {
            GuardOutcome::Now(Some(Ok(_))) => Step::Extract {
                arguments: A::Extractors::from_request(request, payload),
            },
            GuardOutcome::Now(Some(Err(denied))) => Step::Refuse {
                error: Some(denied.into()),
            },
            // The payload is taken, so that no other extractor reads it before the decision.
            outcome => Step::Decide {
                outcome,
                request: request.clone(),
                payload: payload.take(),
            },
        };
        GuardedFuture { step }
    }
}

pin_project! {
    /// Decides, then extracts.
    #[derive(Debug)]
    #[debug("GuardedFuture")]
    pub struct GuardedFuture<P, A: Arguments<P>> {
        #[pin]
        step: Step<A::Extractors>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<A: FromRequest> {
        Decide {
            outcome: GuardOutcome,
            request: HttpRequest,
            payload: Payload,
        },
        Extract {
            #[pin]
            arguments: A::Future,
        },
        Refuse {
            error: Option<Error>,
        },
    }
}

impl<P, A: Arguments<P>> Future for GuardedFuture<P, A> {
    type Output = Result<Guarded<P, A>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepProj::Decide {
                    outcome,
                    request,
                    payload,
                } => {
                    ready!(Pin::new(outcome).poll(cx))?;
                    Step::Extract {
                        arguments: A::Extractors::from_request(request, payload),
                    }
                }
                StepProj::Refuse { error } => {
                    // Pending if it is polled again after the error.
                    return error
                        .take()
                        .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                StepProj::Extract { arguments } => {
                    return arguments
                        .poll(cx)
                        .map_ok(|extracted| Guarded {
                            args: A::take(extracted),
                            policy: PhantomData,
                        })
                        .map_err(Into::into);
                }
            };
            this.step.set(next);
        }
    }
}

/// Guards a closure, or a handler that cannot carry an attribute.
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, web};
/// use login_runtime::guards::guarded;
///
/// async fn foreign(id: web::Path<u32>) -> impl Responder { format!("page {id}") }
///
/// let pages = web::resource("/pages/{id}").route(web::get().to(guarded(foreign)));
/// # let _ = pages;
/// ```
pub fn guarded<F>(handler: F) -> GuardedHandler<F> {
    GuardedHandler { handler }
}

/// A handler behind a guard; made by [`guarded`].
#[derive(Clone, Debug)]
#[debug("GuardedHandler")]
pub struct GuardedHandler<F> {
    handler: F,
}

impl<F, A> Handler<(Guarded<LoginRequired, A>,)> for GuardedHandler<F>
where
    F: Handler<A>,
    A: FromRequest,
{
    type Output = F::Output;
    type Future = F::Future;

    fn call(&self, (guarded,): (Guarded<LoginRequired, A>,)) -> Self::Future {
        self.handler.call(guarded.into_args())
    }
}
