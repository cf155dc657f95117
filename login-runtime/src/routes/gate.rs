//! What is decided between routing and the handler, because it depends on what the route declares:
//!
//! - Deny by default: anonymous clients do not reach a route that declares nothing.
//! - Requests of other sites only reach a route that is declared to take them.
//!
//! How it works:
//!
//! 1. actix-web finds the route of a request within `Service::call`, without waiting. The handler is a
//!    future that does nothing before it is polled.
//! 2. So the gate calls the inner service and then checks whether the request passed a declaration.
//! 3. If it did not, the gate decides before it polls the future. If it refuses, it drops the future:
//!    the handler and its extractors have not run, and no byte of the body was read.
//! 4. The route owns the request by then, and actix-web panics if a copy is kept while it looks for the
//!    route. So the gate keeps the parts that it needs for the decision, and builds a stand-in from them.
//! 5. Where all requests so far were declared, it keeps [few parts](StandIn); see [`SeenDeclared`]. Whether it
//!    decides depends on the declarations that the request itself has passed, there as well.

use std::{
    any::type_name,
    future::{Future, ready},
    mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpMessage as _, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};
use derive_more::Debug;

use crate::{
    core::{CrossSiteReason, RefusalReason},
    events::LoginEvent,
    http::{PassThrough, Seen},
    manager::Manager,
    refusal::{self, ClientRefusal, RefusalKind, RefusedLogin, views::segments_of},
    request::{CrossSiteRequest, LoginState, RouteTrace, StandIn, drop_copy},
    routes::{
        behind, cross_site,
        declare::declare_gate,
        seen_declared::{Place, SeenDeclared},
    },
    session,
};

#[cfg(feature = "flash-messages")]
use crate::refusal::{
    FlashHook,
    messages::{self, Framework},
};

/// The parts of a request that the decision needs after the route has taken the request.
pub(crate) struct Gate {
    trace: Rc<RouteTrace>,
    stand_in: StandIn,
    /// Where the path leads to.
    place: Place,
    /// The framework for messages, if it is around the gate.
    #[cfg(feature = "flash-messages")]
    framework: Option<Framework>,
}

impl Gate {
    /// Traces a request from here on. `None` if nothing is to be decided.
    ///
    /// `service` is the type of the service that the request goes to, `seen` what was declared behind it,
    /// `outer` the trace of the layers around, which leave their decisions to this gate, and `cross_site` why
    /// the manager itself takes this for a request of another site.
    #[inline]
    pub(crate) fn watch(
        request: &ServiceRequest,
        manager: &Arc<Manager>,
        service: &'static str,
        seen: &SeenDeclared,
        outer: Option<&RouteTrace>,
        cross_site: Option<CrossSiteReason>,
    ) -> Option<Self> {
        let denies = manager.routes.deny_by_default.then_some(true);
        let trace = match (outer, cross_site) {
            // The usual case.
            (None, None) => RouteTrace::before(service, denies),
            (outer, cross_site) => {
                let own = cross_site.map(|reason| CrossSiteRequest {
                    manager: Some(Arc::clone(manager)),
                    reason,
                });
                RouteTrace::within(outer, service, denies, own)
            }
        };
        (!trace.is_open()).then(|| Self::with(request, manager, seen, trace))
    }

    #[inline]
    fn with(
        request: &ServiceRequest,
        manager: &Manager,
        seen: &SeenDeclared,
        trace: RouteTrace,
    ) -> Self {
        let request = request.request();
        let mut place = seen.place(request, manager);
        let views = mem::take(&mut place.views);
        // A request of another site is judged at declared routes, too.
        let few = trace.cross_site().is_empty() && place.was_declared();
        let trace = Rc::new(trace);
        request.extensions_mut().insert(Rc::clone(&trace));
        Self {
            trace,
            stand_in: StandIn::of_route(request, manager, views, few),
            place,
            #[cfg(feature = "flash-messages")]
            framework: matches!(manager.refusal.flash, Some(FlashHook::Framework))
                .then(|| messages::framework(request))
                .flatten(),
        }
    }

    /// Whether the gate has to decide. Called when the route has the request.
    #[inline]
    pub(crate) fn is_closed(&mut self, seen: &SeenDeclared) -> bool {
        if self.trace.is_left_to_gate() {
            return false;
        }
        if self.trace.is_open() {
            if !self.place.is_known() {
                seen.note_declared(&mut self.place, &mut self.stand_in);
            }
            return false;
        }
        if self.trace.denies() == Some(true) {
            SeenDeclared::note_undeclared(&self.place);
        }
        true
    }

    pub(crate) fn trace(&self) -> &Rc<RouteTrace> {
        &self.trace
    }

    /// Decides about a request; an error is the answer in place of the route's.
    pub(crate) async fn decide(
        self,
        manager: &Arc<Manager>,
    ) -> Result<(), (HttpRequest, HttpResponse)> {
        let trace = Rc::clone(&self.trace);
        let (is_cross_site, denies) = (!trace.cross_site().is_empty(), trace.denies());
        if is_cross_site && trace.takes_cross_site() {
            // Declared, so nothing else is to be decided.
            LoginState::hide_login(&trace, manager);
            return Ok(());
        }
        let route = self.place.route.clone();
        let pattern = route.as_ref().and_then(|route| route.pattern());
        let request = self.stand_in(manager);
        if is_cross_site {
            let refused = cross_site::refuse(&request, manager, &trace, pattern).await;
            if let Some(answer) = refused {
                return Err((request, answer));
            }
        }
        if denies == Some(true) {
            trace.note_decided();
            if let Some(answer) = refuse_undeclared(&request, manager, &trace, pattern).await {
                return Err((request, answer));
            }
        }
        Ok(())
    }

    /// A request like the one that the route has, but without the data that the application added to it.
    fn stand_in(self, manager: &Arc<Manager>) -> HttpRequest {
        let mut stand_in = self.stand_in;
        if let Some(pattern) = self.place.pattern() {
            let segments = segments_of(pattern, stand_in.path());
            stand_in = stand_in.with_segments(segments);
        }
        if let Some((views, mut resolved)) = self.trace.views() {
            resolved.extend(&stand_in.resolved);
            stand_in.resolved = resolved;
            stand_in.scope_views = Some(views);
        }
        let request = stand_in.request(Arc::clone(manager));
        request.extensions_mut().insert(self.trace);
        #[cfg(feature = "flash-messages")]
        if let Some(framework) = self.framework {
            request.extensions_mut().insert(framework);
        }
        request
    }
}

/// The answer in place of that of an undeclared route; `None` if the client may reach the route.
async fn refuse_undeclared(
    request: &HttpRequest,
    manager: &Arc<Manager>,
    trace: &RouteTrace,
    pattern: Option<&str>,
) -> Option<HttpResponse> {
    let (undeclared, events) = (&manager.routes.undeclared, &manager.events);
    if let Some(pattern) = pattern
        && undeclared.is_first(request.method(), pattern)
    {
        let middleware = behind::middleware(trace.service());
        let event = LoginEvent::UndeclaredRoute {
            pattern,
            middleware: middleware.as_deref(),
        };
        events.emit(&event, request);
    }
    let reason = match reason_to_refuse(request, manager).await {
        Ok(None) => return None,
        // That a path does not exist is not a secret. The gate cannot see whether the application has a
        // default service, so it answers as actix-web does without one.
        Ok(Some(_)) if pattern.is_none() => return Some(HttpResponse::NotFound().finish()),
        Ok(Some(reason)) => reason,
        Err(answer) => return Some(answer),
    };
    let settings = &manager.refusal;
    let mut types = 0..manager.users.len();
    let refused = ClientRefusal {
        kind: RefusalKind::of(reason),
        reason,
        max_age: None,
        ended: types.find_map(|index| LoginState::ended(request, manager, index)),
    };
    // Events and hooks may write into the session.
    let writes = settings.may_write_session() || !events.subscribers.is_empty();
    let shared = writes.then(|| session::copy_shared(request)).flatten();
    let refusing = refusal::refuse(request, settings, events, refused, RefusedLogin::default());
    let answer = refusing.done().await.into_response();
    if let Some(shared) = shared
        && !session::is_copy_changed(&session::of(request), &shared)
    {
        // It would be saved otherwise.
        drop_copy(request, shared);
    }
    Some(answer)
}

/// Why a request may not reach an undeclared route: it has no active user of any type.
async fn reason_to_refuse(
    request: &HttpRequest,
    manager: &Arc<Manager>,
) -> Result<Option<RefusalReason>, HttpResponse> {
    Seen::note_guard();
    let mut reason = RefusalReason::Anonymous;
    for index in 0..manager.users.len() {
        let user = match LoginState::peek(request, manager, index) {
            Some(user) => user,
            None => {
                let state = LoginState::of_or_new(request, manager);
                let found = state.user(request, index).await;
                found.map_err(|error| refusal::load_failed(request, &manager.refusal, &error))?
            }
        };
        match user {
            Some(user) if user.authenticated => return Ok(None),
            Some(_) => reason = RefusalReason::Inactive,
            None => {}
        }
    }
    Ok(Some(reason))
}

/// Sets a gate behind middleware that awaits something before it calls the inner service.
///
/// [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default) must find the route of a
/// request before anything is awaited. If middleware between the login manager and the routes awaits, it
/// hides the routes, and all these routes count as undeclared. Most middleware of
/// [`from_fn`](actix_web::middleware::from_fn) awaits. With this wrapper, the decision is made inside
/// that middleware instead. Middleware that does not await, such as `Logger`, `Compress`,
/// `DefaultHeaders` and `NormalizePath`, needs no gate. Middleware around the login manager needs no
/// gate either.
///
/// # Examples
///
/// ```
/// use actix_web::{App, Error, body::MessageBody, dev::{ServiceRequest, ServiceResponse}, middleware::{Next, from_fn}};
/// use login_runtime::guards::routes_behind;
///
/// async fn limit(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
///     // .. await something, and then:
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
    type Transform = PassThrough<M::Transform>;
    type InitError = M::InitError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Transform, M::InitError>>>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let seen = SeenDeclared::default();
        let middleware = self.middleware.new_transform(GateService { service, seen });
        Box::pin(async move {
            Ok(PassThrough {
                service: middleware.await?,
                on_request: Box::new(|request| {
                    declare_gate(request);
                }),
            })
        })
    }
}

/// The gate itself, behind the middleware.
#[derive(Debug)]
#[debug("GateService")]
pub struct GateService<S> {
    service: S,
    seen: SeenDeclared,
}

impl<S, B> Service<ServiceRequest> for GateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    actix_web::dev::forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        #[cfg(feature = "audit")]
        if let Some(probe) = crate::routes::probe::Probe::of(&request, type_name::<S>()) {
            let inner = self.service.call(request);
            return Box::pin(async move { Ok(probe.answer(inner).await?.map_into_left_body()) });
        }
        let manager = match Manager::of(request.request()) {
            Ok(manager) => Arc::clone(manager),
            Err(error) => return Box::pin(ready(Err(error.into()))),
        };
        let outer = RouteTrace::of(&request);
        if let Some(trace) = &outer {
            trace.leave_to_gate();
        }
        let (name, seen) = (type_name::<S>(), &self.seen);
        let mut watched = Gate::watch(&request, &manager, name, seen, outer.as_deref(), None);
        let inner = self.service.call(request);
        let trace = watched.as_ref().map(|gate| Rc::clone(gate.trace()));
        let closed = watched.take_if(|gate| gate.is_closed(seen));
        let Some(trace) = trace else {
            return Box::pin(async move { Ok(inner.await?.map_into_left_body()) });
        };
        Box::pin(async move {
            if let Some(gate) = closed
                && let Err((request, answer)) = gate.decide(&manager).await
            {
                return Ok(ServiceResponse::new(request, answer).map_into_right_body());
            }
            let response = inner.await?.map_into_left_body();
            LoginState::hand_on(&trace, response.request());
            Ok(response)
        })
    }
}
