//! The middleware: runs once for each request, inside the session middleware.
//!
//! 1. The request gets a reference to the manager.
//! 2. A request of another site is decided by a gate, and with `deny_by_default` also one that reaches no
//!    declared route.
//! 3. The handler runs.
//! 4. The response gets the cookies of the login.
//!
//! Most requests need no future beyond that of the handler, so their future is not boxed.

use std::{
    any::type_name,
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_session::{SessionMiddleware, storage::SessionStore};
use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Extensions, Payload, Service, ServiceRequest, ServiceResponse, Transform},
    http::{ConnectionType, header::COOKIE},
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    core::CrossSiteReason,
    http::{ProxyData, Seen},
    manager::{LoginManager, Manager, ManagerData},
    refusal,
    request::{LoginState, RouteTrace},
    routes::{Gate, SeenDeclared},
    service::{
        late::{Boxed, LateService, Layers, Link},
        reopen,
        response::{complete_error, finish, needs_review, write},
    },
};

impl<S, B, T> Transform<S, ServiceRequest> for LoginManager<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
    T: SessionStore + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    // The session middleware wraps the login layer, because it saves what the login layer writes into
    // the session.
    type Transform = LateService<
        <SessionMiddleware<T> as Transform<Rc<LoginService<S>>, ServiceRequest>>::Transform,
        LoginService<S>,
    >;
    type InitError = ();
    // Runs once for each worker.
    type Future = Pin<Box<dyn Future<Output = Result<Self::Transform, ()>>>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let data = |by_safe_method| {
            let mut data = Extensions::new();
            let manager = Arc::clone(&self.manager);
            data.insert(ManagerData {
                manager,
                by_safe_method,
            });
            data.insert(ProxyData(Arc::clone(&self.manager.proxies)));
            Rc::new(data)
        };
        let link = Rc::new(Link::default());
        let login = Rc::new(LoginService {
            service: Rc::new(service),
            data: data(false),
            data_of_safe: data(true),
            is_checked: Cell::default(),
            has_older_keys: self.manager.session_cookie.has_older_keys(),
            has_login_cookies: self.manager.has_login_cookies(),
            manager: Arc::clone(&self.manager),
            link: Rc::clone(&link),
            seen: SeenDeclared::default(),
        });
        let making = (self.session)().new_transform(Rc::clone(&login));
        let manager = Arc::clone(&self.manager);
        Box::pin(async move {
            let session = Rc::new(making.await?);
            let layers = Layers {
                session,
                login,
                link,
            };
            Ok(LateService {
                layers: Rc::new(layers),
                manager,
            })
        })
    }
}

/// The login layer, made by [`LoginManager`].
#[derive(Debug)]
#[debug("LoginService")]
pub struct LoginService<S> {
    service: Rc<S>,
    /// Lets handlers and guards find the manager.
    data: Rc<Extensions>,
    /// The same for a request with a method that must only read.
    data_of_safe: Rc<Extensions>,
    manager: Arc<Manager>,
    /// Whether the first request has shown that no manager around this one disturbs it. All requests that
    /// reach this service come through the same middleware.
    is_checked: Cell<bool>,
    /// Whether session cookies under older keys are accepted.
    has_older_keys: bool,
    /// Whether logins have their own cookies.
    has_login_cookies: bool,
    /// Says whether another login manager, or a check of its own, is around this one. Then their decisions are
    /// left to this layer.
    link: Rc<Link>,
    /// Which routes have declared who may reach them.
    seen: SeenDeclared,
}

/// Whether a request with a safe method may be the handshake of a WebSocket. In actix-web such a request always
/// has a body, which is what the client sends through the socket.
#[inline]
fn may_open_socket(request: &ServiceRequest) -> bool {
    let (request, payload) = request.parts();
    !matches!(payload, Payload::None) || request.head().connection_type() == ConnectionType::Upgrade
}

impl<S> LoginService<S> {
    /// Why a request is one of another site; `None` if it is none.
    #[inline]
    fn judge(&self, request: &ServiceRequest, is_safe: bool) -> Option<CrossSiteReason> {
        let check = &self.manager.cross_site;
        if check.is_off || is_safe && !may_open_socket(request) {
            return None;
        }
        let request = request.request();
        check.judge(request, |page| {
            refusal::here::is_own(request, &self.manager.refusal, page)
        })
    }

    /// Calls the service, and says what has to be waited for.
    #[inline]
    fn start<B>(&self, mut request: ServiceRequest) -> Step<S::Future, B>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
        S::Future: 'static,
        B: MessageBody + 'static,
    {
        if !self.is_checked.get() {
            if let Err(error) = self.manager.check_nesting(request.request()) {
                return Step::boxed(async move { Err(error.into()) });
            }
            self.is_checked.set(true);
        }
        let is_direct = self.link.is_direct.take();
        if self.has_older_keys && !is_direct {
            request = match reopen::check(&self.manager.session_cookie, request) {
                Ok(request) => request,
                Err(error) => return Step::boxed(async move { Err(error) }),
            };
        }
        let is_safe = request.method().is_safe();
        let data = match is_safe {
            true => &self.data_of_safe,
            false => &self.data,
        };
        request.add_data_container(Rc::clone(data));
        #[cfg(feature = "test-util")]
        if let Some(asked) = crate::test::asked(request.request()) {
            let service = Rc::clone(&self.service);
            let manager = Arc::clone(&self.manager);
            return Step::boxed(async move {
                asked.await;
                let response = service.call(request).await?.map_into_left_body();
                finish(response, &manager, None).await
            });
        }
        #[cfg(feature = "audit")]
        if let Some(probe) = crate::routes::probe::Probe::of(&request, type_name::<S>()) {
            let inner = self.service.call(request);
            return Step::boxed(async move { Ok(probe.answer(inner).await?.map_into_left_body()) });
        }
        // Any cookie counts here. Later code checks whether it is a login cookie.
        let carries = self.has_login_cookies && request.headers().contains_key(COOKIE);
        let arrived = carries.then(|| self.manager.now());
        let plain = |inner| Step::Plain { inner, arrived };
        let prolongs = self.manager.remember.refresh_each_request;
        let cross_site = self.judge(&request, is_safe);
        // True for most managers. Space for a gate would slow their requests down.
        let has_rules = self.manager.routes.deny_by_default || self.link.is_nested.get();
        if !has_rules && !prolongs && cross_site.is_none() {
            return plain(self.service.call(request));
        }
        let outer = self.link.is_nested.get().then(|| RouteTrace::of(&request));
        let outer = outer.flatten();
        let name = type_name::<S>();
        let (manager, seen) = (&self.manager, &self.seen);
        let mut gate = Gate::watch(&request, manager, name, seen, outer.as_deref(), cross_site);
        let inner = self.service.call(request);
        let closed = gate.take_if(|gate| gate.is_closed(seen));
        if closed.is_none() && !prolongs {
            return plain(inner);
        }
        let manager = Arc::clone(&self.manager);
        Step::boxed(async move {
            if let Some(gate) = closed
                && let Err((request, answer)) = gate.decide(&manager).await
            {
                let answer = ServiceResponse::new(request, answer).map_into_right_body();
                return finish(answer, &manager, arrived).await;
            }
            finish(inner.await?.map_into_left_body(), &manager, arrived).await
        })
    }
}

impl<S, B> Service<ServiceRequest> for LoginService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LoginFuture<S::Future, B>;

    actix_web::dev::forward_ready!(service);

    #[inline]
    fn call(&self, request: ServiceRequest) -> Self::Future {
        let mut seen = Seen::default();
        let step = match self.link.response(&request) {
            None => seen.within(|| self.start(request)),
            Some(response) => Step::Answered {
                response: Some(Box::new(ServiceResponse::new(
                    request.into_parts().0,
                    response,
                ))),
            },
        };
        LoginFuture {
            manager: Arc::clone(&self.manager),
            seen,
            step,
        }
    }
}

pin_project! {
    /// Waits for the response, and adds the cookies of the login to it.
    #[derive(Debug)]
    #[debug("LoginFuture")]
    pub struct LoginFuture<F, B> {
        manager: Arc<Manager>,
        // What was done for the request so far.
        seen: Seen,
        #[pin]
        step: Step<F, B>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, B> {
        // Only the response has to be waited for.
        Plain {
            #[pin]
            inner: F,
            // The time of arrival, if the request may carry a login cookie.
            arrived: Option<i64>,
        },
        // There is something else to do before or after that.
        Boxed {
            future: Boxed<EitherBody<B>>,
        },
        // The response is known, and complete.
        Answered {
            response: Option<Box<ServiceResponse<EitherBody<B>>>>,
        },
    }
}

impl<F, B> Step<F, B> {
    fn boxed(
        future: impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + 'static,
    ) -> Self {
        let future = Box::pin(future);
        Self::Boxed { future }
    }
}

impl<F, B: 'static> Future for LoginFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let arrived;
            let mut polled = match this.step.as_mut().project() {
                StepProj::Boxed { future } => {
                    let result = ready!(this.seen.within(|| future.as_mut().poll(cx)));
                    return Poll::Ready(
                        result.map_err(|error| complete_error(error, this.manager, *this.seen)),
                    );
                }
                StepProj::Answered { response } => {
                    let response = response.take();
                    // A future is not polled after it has answered.
                    return response.map_or(Poll::Pending, |response| Poll::Ready(Ok(*response)));
                }
                StepProj::Plain {
                    inner,
                    arrived: time,
                } => {
                    arrived = *time;
                    this.seen.within(|| inner.poll(cx))
                }
            };
            // The response is changed where it is, since each move costs.
            let is_complete = match &mut polled {
                Poll::Ready(Ok(response)) => {
                    // What a gate of this manager has found only matters to a boxed future.
                    let state = LoginState::local(response.request());
                    let request = response.request();
                    let is_complete = !needs_review(request, state.as_deref(), arrived.is_some());
                    if is_complete {
                        let cookies = state.map(|state| state.finish(response.request()));
                        write(response, this.manager, cookies, *this.seen);
                    }
                    is_complete
                }
                Poll::Ready(Err(_)) | Poll::Pending => true,
            };
            let response = match ready!(polled) {
                Ok(response) => response.map_into_left_body(),
                Err(error) => {
                    return Poll::Ready(Err(complete_error(error, this.manager, *this.seen)));
                }
            };
            if is_complete {
                return Poll::Ready(Ok(response));
            }
            let manager = Arc::clone(this.manager);
            let finish = async move { finish(response, &manager, arrived).await };
            this.step.set(Step::boxed(finish));
        }
    }
}
