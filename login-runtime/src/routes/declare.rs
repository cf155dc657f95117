//! How a route declares which clients may reach it.
//!
//! A declaration is middleware, so exactly those requests pass it that its route, resource or scope
//! answers. A route guard of actix-web would fail open: after it returns `true`, the next guard can
//! return `false`, and another route answers a request that counts as declared.

use std::future::{Ready, ready};

use actix_web::dev::{Service, ServiceRequest, Transform};
use derive_more::Debug;

use crate::{
    events::LoginEvent,
    guard::{GuardOptions, describe},
    http::PassThrough,
    manager::Manager,
    request::{Declaration, Opens, RouteTrace},
    routes::behind,
};

/// Notes that the request has reached a declaration. Only an audit makes the declaration itself.
pub(crate) fn declare(
    request: &ServiceRequest,
    opens: Opens,
    declaration: impl FnOnce() -> Declaration,
) {
    if let Some(trace) = RouteTrace::of(request) {
        if trace.note_declared(opens) {
            report_hidden(request, &trace);
        }
        #[cfg(feature = "flash-messages")]
        crate::request::due_message::show(request);
        trace.tell(request, declaration);
    }
}

/// Reports a route whose declaration was hidden while the gate decided.
fn report_hidden(request: &ServiceRequest, trace: &RouteTrace) {
    let request = request.request();
    if let (Ok(manager), Some(pattern)) = (Manager::of(request), request.match_pattern())
        && manager.routes.hidden.is_first(request.method(), &pattern)
    {
        let middleware = behind::middleware(trace.service());
        let event = LoginEvent::HiddenRoute {
            pattern: &pattern,
            middleware: middleware.as_deref(),
        };
        manager.events.emit(&event, request);
    }
}

/// Notes that the request has reached a gate. Returns whether a gate around it is interested.
pub(crate) fn declare_gate(request: &ServiceRequest) -> bool {
    let trace = RouteTrace::of(request);
    if let Some(trace) = &trace {
        trace.leave_to_gate();
        trace.tell(request, || Declaration::Gate);
    }
    trace.is_some()
}

/// Declares a route, resource or scope public, for
/// [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default).
///
/// It does not open a guarded route: guards inside it and around it still decide. Use it for routes
/// that cannot have an attribute, such as files and services of other crates. On handlers, write
/// [`#[public]`](macro@crate::public).
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
///
/// # Security
///
/// If a scope has no route for a request, its default service answers, or else the default service of
/// the application. A public scope opens that service too, for paths below the scope. The audit lists it
/// as `/scope/{default}`.
pub fn public() -> Declared {
    Declared {
        opens: Opens::Public,
        declaration: || Declaration::Public,
    }
}

impl Declared {
    /// Lets pages of other sites send requests here, for webhooks and callbacks that arrive through a browser.
    ///
    /// Such a request reaches the route without a login, whatever cookies it carries. A route that also has
    /// a guard stays closed to it. See [the guide](crate::guide::cross_site).
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{App, HttpResponse, web};
    /// use login_runtime::public;
    ///
    /// let hook = web::post().to(HttpResponse::Accepted);
    /// let app = App::new().route("/payments/hook", hook.wrap(public().cross_site()));
    /// # let _ = app;
    /// ```
    #[must_use]
    pub fn cross_site(self) -> Self {
        match self.opens {
            Opens::Guarded => self,
            Opens::Public | Opens::PublicCrossSite => Self {
                opens: Opens::PublicCrossSite,
                declaration: || Declaration::PublicCrossSite,
            },
        }
    }
}

/// What `#[login_required]` adds to the route attribute below it.
pub fn declared<P: GuardOptions>() -> Declared {
    Declared {
        opens: Opens::Guarded,
        declaration: || Declaration::Guard(describe::<P>()),
    }
}

/// A declaration as middleware; made by [`public`](fn@public).
#[derive(Clone, Copy, Debug)]
#[debug("Declared({:?})", declaration())]
pub struct Declared {
    opens: Opens,
    declaration: fn() -> Declaration,
}

impl<S: Service<ServiceRequest>> Transform<S, ServiceRequest> for Declared {
    type Response = S::Response;
    type Error = S::Error;
    type Transform = PassThrough<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let Self { opens, declaration } = *self;
        ready(Ok(PassThrough {
            service,
            on_request: Box::new(move |request| declare(request, opens, declaration)),
        }))
    }
}
