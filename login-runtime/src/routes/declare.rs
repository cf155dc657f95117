//! How a route declares who may reach it, and how the gate hears of it.
//!
//! A declaration is middleware: it is passed by exactly those requests that its route, resource or
//! scope is about to answer. As a route guard it would fail open, since a guard that said yes is not
//! taken back when the next one says no and another route answers.

use std::{
    fmt,
    future::{Ready, ready},
};

use actix_web::dev::{Service, ServiceRequest, Transform};
use derive_more::Debug;

use crate::{
    conditions::{Described, Description},
    request::{Declaration, RouteTrace},
};

/// Notes that the request has come to a route that declares itself.
///
/// `what` is only asked by an audit.
pub(crate) fn declare(request: &ServiceRequest, what: impl FnOnce() -> Declaration) {
    if let Some(watch) = RouteTrace::of(request) {
        watch.note_declared();
        watch.tell(request, what);
    }
}

/// Notes that the request has come to a gate.
pub(crate) fn declare_gate(request: &ServiceRequest) {
    if let Some(watch) = RouteTrace::of(request) {
        watch.leave_to_gate();
        watch.tell(request, || Declaration::Gate);
    }
}

/// Declares a route, resource or scope public, for
/// [`deny_by_default`](crate::LoginManagerBuilder::deny_by_default).
///
/// What it does not do is open anything that is guarded: guards below it, and around it, still decide.
/// Put it around what carries no attribute, such as files and services of other crates, and on
/// handlers write [`#[public]`](macro@crate::public).
///
/// # Security
///
/// A scope hands what it has no route for to its default service, and without one of its own to the
/// application's: a public scope opens that too, for paths below its own. The audit lists it as
/// `/scope/{default}`.
///
/// # Examples
///
/// ```
/// use actix_web::{App, HttpResponse, web};
/// use login_runtime::public;
///
/// let app = App::new()
///     .service(web::scope("/static").wrap(public()) /* .service(Files::new("", "static")) */)
///     .route("/health", web::get().to(HttpResponse::Ok).wrap(public()));
/// # let _ = app;
/// ```
pub fn public() -> Declared {
    Declared {
        what: || Declaration::Public,
    }
}

/// What `#[login_required]` adds to the route attribute below it.
pub fn declared<P: Described>() -> Declared {
    Declared {
        what: || Declaration::Guard(Description::of::<P>()),
    }
}

/// A declaration as middleware; made by [`public`](fn@public).
#[derive(Clone, Copy)]
pub struct Declared {
    what: fn() -> Declaration,
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Declared").field(&(self.what)()).finish()
    }
}

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for Declared {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = DeclarationService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(DeclarationService {
            service,
            what: self.what,
        }))
    }
}

/// The service that [`Declared`] makes.
#[derive(Debug)]
#[debug("DeclarationService")]
pub struct DeclarationService<S> {
    service: S,
    what: fn() -> Declaration,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for DeclarationService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    actix_web::dev::forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        declare(&request, self.what);
        self.service.call(request)
    }
}
