//! Deny by default: nobody anonymous gets to a route that does not declare itself.
//!
//! actix-web finds the route of a request within `Service::call`, without waiting, and a handler is a
//! future that does nothing until it is polled. So the gate calls, looks whether a declaration was
//! met on the way, and if not, it decides before it polls. What it does not poll, it drops: neither
//! the handler nor its extractors have run, and not a byte of the body was read.
//!
//! By then the route has taken the request along, and actix-web lets nobody keep a copy while it
//! looks for the route. What the decision needs of it is kept aside, and a stand-in is made of that.

use std::{
    future::{Future, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{RequestHead, Service, ServiceRequest, ServiceResponse, Transform},
    test::TestRequest,
};
use derive_more::Debug;

use crate::{
    core::{RefusalReason, Requirement},
    events::LoginEvent,
    guard::decide,
    http::View,
    manager::{Manager, ManagerData},
    refusal::{self, ResolvedView},
    request::{LoginState, RouteTrace},
    routes::declare::declare_gate,
    session::SharedSession,
};

/// What is kept of a request that its route takes along.
pub(crate) struct Gate {
    manager: Arc<Manager>,
    watch: Rc<RouteTrace>,
    head: RequestHead,
    session: SharedSession,
    /// The pattern of the route that the path leads to. Nothing if it leads nowhere.
    pattern: Option<String>,
    login_view: Option<ResolvedView>,
}

impl Gate {
    /// Watches a request from here on.
    pub(crate) fn watch(request: &ServiceRequest, manager: &Arc<Manager>) -> Self {
        let watch = Rc::new(RouteTrace::default());
        request.extensions_mut().insert(Rc::clone(&watch));
        let request = request.request();
        Self {
            manager: Arc::clone(manager),
            watch,
            head: request.head().clone(),
            session: SharedSession::of(request),
            pattern: request.resource_map().match_pattern(request.path()),
            login_view: match manager.refusal.login_view.as_ref() {
                Some(View::Name(name)) => Some(ResolvedView(request.url_for_static(name))),
                _ => None,
            },
        }
    }

    /// Whether the route that has the request declares itself.
    pub(crate) fn is_open(&self) -> bool {
        self.watch.is_open()
    }

    /// Decides about a request that came to no declaration; an error is the answer in place of the
    /// route's.
    pub(crate) async fn decide(self) -> Result<(), (HttpRequest, HttpResponse)> {
        let manager = Arc::clone(&self.manager);
        let pattern = self.pattern.clone();
        let request = self.stand_in();
        if let Some(pattern) = &pattern
            && manager
                .routes
                .undeclared
                .is_first(request.method(), pattern)
        {
            manager
                .events
                .emit(&LoginEvent::UndeclaredRoute { pattern }, &request);
        }
        let answer = match anybody(&request, &manager).await {
            Ok(()) => return Ok(()),
            Err(Refuse::Answer(answer)) => answer,
            // A path that leads nowhere is no secret. Whether the application has a service of its
            // own for those cannot be seen from here, so it is answered in actix-web's place.
            Err(Refuse::For(_)) if pattern.is_none() => HttpResponse::NotFound().finish(),
            Err(Refuse::For(reason)) => {
                decide::refuse(&request, &manager, reason, Requirement::LOGIN)
                    .done()
                    .await
                    .into_response()
            }
        };
        Err((request, answer))
    }

    /// A request like the one that the route has, except for what the application put into its own.
    fn stand_in(self) -> HttpRequest {
        // The one way to a request outside of actix-web.
        let mut request = TestRequest::default().app_data(ManagerData(self.manager));
        if let Some(view) = self.login_view {
            request = request.app_data(view);
        }
        let mut request = request.to_srv_request();
        *request.head_mut() = self.head;
        request.extensions_mut().insert(self.watch);
        request.extensions_mut().insert(self.session);
        request.into_parts().0
    }
}

/// Why somebody is kept out of an undeclared route.
pub(crate) enum Refuse {
    For(RefusalReason),
    Answer(HttpResponse),
}

/// Lets through who is logged in, as a user of whatever type.
async fn anybody(request: &HttpRequest, manager: &Arc<Manager>) -> Result<(), Refuse> {
    let mut reason = RefusalReason::Anonymous;
    for index in 0..manager.users.len() {
        let who = match LoginState::peek(request, manager, index) {
            Some(who) => who,
            None => {
                let failed = |error: actix_web::Error| Refuse::Answer(error.error_response());
                let state = LoginState::of(request).map_err(|error| failed(error.into()))?;
                let found = state.user(request, index).await;
                found.map_err(|error| {
                    Refuse::Answer(refusal::load_failed(request, &manager.refusal, &error))
                })?
            }
        };
        match who {
            Some(known) if known.authenticated => return Ok(()),
            Some(_) => reason = RefusalReason::Inactive,
            None => {}
        }
    }
    Err(Refuse::For(reason))
}

/// Sets a gate behind middleware that waits before it calls what is in it.
///
/// [`deny_by_default`](crate::LoginManagerBuilder::deny_by_default) has to know the route of a request
/// before anything is awaited. Between the login manager and the routes, middleware that awaits (most
/// of what [`from_fn`](actix_web::middleware::from_fn) makes) hides them, and all of them count as
/// undeclared. Wrapped like this they are seen from behind it. Middleware that does not await, as
/// `Logger`, `Compress`, `DefaultHeaders` and `NormalizePath`, needs no gate; nor does any that is
/// wrapped around the login manager.
///
/// # Examples
///
/// ```
/// use actix_web::{App, Error, body::MessageBody, dev::{ServiceRequest, ServiceResponse}, middleware::{Next, from_fn}};
/// use login_runtime::routes_behind;
///
/// async fn limit(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
///     // .. ask somebody, and then:
///     next.call(request).await
/// }
///
/// let app = App::new().wrap(routes_behind(from_fn(limit))) /* .wrap(login_manager.clone()) */;
/// # let _ = app;
/// ```
pub fn routes_behind<M>(middleware: M) -> RoutesBehind<M> {
    RoutesBehind { middleware }
}

/// Middleware with a gate behind it; made by [`routes_behind`].
#[derive(Clone, Debug)]
#[debug("RoutesBehind")]
pub struct RoutesBehind<M> {
    middleware: M,
}

impl<S, M> Transform<S, ServiceRequest> for RoutesBehind<M>
where
    S: Service<ServiceRequest>,
    M: Transform<GateService<S>, ServiceRequest>,
    M::Future: 'static,
{
    type Response = M::Response;
    type Error = M::Error;
    type Transform = RoutesBehindService<M::Transform>;
    type InitError = M::InitError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Transform, M::InitError>>>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let middleware = self.middleware.new_transform(GateService {
            service: Rc::new(service),
        });
        Box::pin(async move {
            Ok(RoutesBehindService {
                service: middleware.await?,
            })
        })
    }
}

/// Says that a gate comes later.
#[derive(Debug)]
#[debug("RoutesBehindService")]
pub struct RoutesBehindService<S> {
    service: S,
}

impl<S: Service<ServiceRequest>> Service<ServiceRequest> for RoutesBehindService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    actix_web::dev::forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        declare_gate(&request);
        self.service.call(request)
    }
}

/// The gate itself, behind the middleware.
#[derive(Debug)]
#[debug("GateService")]
pub struct GateService<S> {
    service: Rc<S>,
}

type Answering<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>>>>;

impl<S, B> Service<ServiceRequest> for GateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Answering<B>;

    actix_web::dev::forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        #[cfg(feature = "audit")]
        if let Some(probe) = crate::routes::probe::Probe::of(&request) {
            let inner = self.service.call(request);
            return Box::pin(async move { Ok(probe.answer(inner).await?.map_into_left_body()) });
        }
        let manager = match Manager::of(request.request()) {
            Ok(manager) => Arc::clone(manager),
            Err(error) => return Box::pin(ready(Err(error.into()))),
        };
        let around = RouteTrace::of(&request);
        if let Some(watch) = &around {
            watch.leave_to_gate();
        }
        // A manager around this one may deny, and leaves it to the gate. What is declared as a whole
        // is declared behind the gate too.
        let denies = around.map_or(manager.routes.deny_by_default, |watch| !watch.is_declared());
        if !denies {
            let inner = self.service.call(request);
            return Box::pin(async move { Ok(inner.await?.map_into_left_body()) });
        }
        let gate = Gate::watch(&request, &manager);
        let inner = self.service.call(request);
        let trace = Rc::clone(&gate.watch);
        Box::pin(async move {
            if !gate.is_open()
                && let Err((request, answer)) = gate.decide().await
            {
                return Ok(ServiceResponse::new(request, answer).map_into_right_body());
            }
            let response = inner.await?.map_into_left_body();
            LoginState::hand_on(&trace, response.request());
            Ok(response)
        })
    }
}
