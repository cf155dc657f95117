//! TODO guard/guarded.rs

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
    decide::{GuardFuture, GuardOutcome, check},
    policy::{GuardManager, LoginRequired, Policy},
    proof::Arguments,
};

/// All arguments of a guarded handler: extracted only after the policy `P` let the client through.
#[derive(Debug)]
// The arguments may hold whatever the client sent.
#[debug("Guarded")]
pub struct Guarded<P, A> {
    // Generated code takes the arguments out in the parameter's pattern, so that they live as long
    // as parameters do. Only the policy can make a value: its field is private.
    #[doc(hidden)]
    pub args: A,
    policy: PhantomData<fn() -> P>,
}

impl<P, A> Guarded<P, A> {
    /// The handler's arguments.
    pub fn into_args(self) -> A {
        self.args
    }
}

impl<P: Policy, A: Arguments<P>> FromRequest for Guarded<P, A> {
    type Error = Error;
    type Future = GuardedFuture<P, A>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let step = match check(
            request,
            |manager| P::find(&GuardManager(manager)),
            P::requirement().0,
            P::CONDITION,
        ) {
            GuardOutcome::Done(Ok(_)) => Step::Extract {
                extracting: A::Extractors::from_request(request, payload),
            },
            GuardOutcome::Done(Err(denied)) => Step::Refused {
                error: Some(denied.into()),
            },
            // The payload goes along, so that nobody can read it before the decision.
            GuardOutcome::Wait(deciding) => Step::Decide {
                deciding,
                request: request.clone(),
                payload: payload.take(),
            },
        };
        GuardedFuture {
            step,
            policy: PhantomData,
        }
    }
}

pin_project! {
    /// Decides, then extracts.
    #[derive(Debug)]
    #[debug("GuardedFuture")]
    pub struct GuardedFuture<P, A: Arguments<P>> {
        #[pin]
        step: Step<A::Extractors>,
        policy: PhantomData<fn() -> P>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<A: FromRequest> {
        Decide {
            deciding: GuardFuture,
            request: HttpRequest,
            payload: Payload,
        },
        Extract {
            #[pin]
            extracting: A::Future,
        },
        Refused {
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
                    deciding,
                    request,
                    payload,
                } => match ready!(Pin::new(deciding).poll(cx)) {
                    Ok(_) => Step::Extract {
                        extracting: A::Extractors::from_request(request, payload),
                    },
                    Err(denied) => return Poll::Ready(Err(denied.into())),
                },
                StepProj::Extract { extracting } => {
                    return extracting
                        .poll(cx)
                        .map_ok(|extracted| Guarded {
                            args: A::take(extracted),
                            policy: PhantomData,
                        })
                        .map_err(Into::into);
                }
                StepProj::Refused { error } => match error.take() {
                    Some(error) => return Poll::Ready(Err(error)),
                    // Polled after it was done, which futures may answer as they like.
                    None => return Poll::Pending,
                },
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
/// use login_runtime::guarded;
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
