//! Ties it together, once per request.

use std::{
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
    dev::{Extensions, Service, ServiceRequest, ServiceResponse, Transform},
    http::header::COOKIE,
};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    manager::{LoginManager, Manager, ManagerData},
    request::LoginState,
    routes::Gate,
    service::{
        late::{LateInit, LateService},
        response::{count_cookies, finish, is_to_be_reconsidered, write},
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
    // The session middleware around the login layer, and never the other way round: it has to save
    // what the login layer wrote into the session.
    type Transform = LateService<
        <SessionMiddleware<T> as Transform<LoginService<S>, ServiceRequest>>::Transform,
    >;
    type InitError = ();
    type Future =
        LateInit<<SessionMiddleware<T> as Transform<LoginService<S>, ServiceRequest>>::Future>;

    fn new_transform(&self, service: S) -> Self::Future {
        let mut data = Extensions::new();
        data.insert(ManagerData(Arc::clone(&self.manager)));
        let login = LoginService {
            service: Rc::new(service),
            data: Rc::new(data),
            has_login_cookies: self.manager.has_login_cookies(),
            manager: Arc::clone(&self.manager),
        };
        LateInit {
            init: (self.session)().new_transform(login),
            watches: self.manager.watches_sessions,
        }
    }
}

/// The login layer; made by [`LoginManager`].
#[derive(Debug)]
#[debug("LoginService")]
pub struct LoginService<S> {
    service: Rc<S>,
    /// How handlers and guards find the manager.
    data: Rc<Extensions>,
    manager: Arc<Manager>,
    /// Whether logins are in cookies of their own.
    has_login_cookies: bool,
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
    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        request.add_data_container(Rc::clone(&self.data));
        #[cfg(feature = "test-util")]
        if let Some(log_in) = crate::test::asked_log_in(request.request()) {
            let service = Rc::clone(&self.service);
            let manager = Arc::clone(&self.manager);
            let future: Boxed<EitherBody<B>> = Box::pin(async move {
                log_in.await;
                let response = service.call(request).await?.map_into_left_body();
                finish(response, &manager, None).await
            });
            return LoginFuture {
                step: Step::Boxed { future },
                watches: self.manager.watches_sessions,
            };
        }
        #[cfg(feature = "audit")]
        if let Some(probe) = crate::routes::probe::Probe::of(&request) {
            let inner = self.service.call(request);
            let future: Boxed<EitherBody<B>> =
                Box::pin(async move { Ok(probe.answer(inner).await?.map_into_left_body()) });
            return LoginFuture {
                step: Step::Boxed { future },
                watches: self.manager.watches_sessions,
            };
        }
        // Which cookies those are is looked at where it matters.
        let carries = self.has_login_cookies && request.headers().contains_key(COOKIE);
        let arrived = carries.then(|| self.manager.now());
        let plain = |inner| LoginFuture {
            step: Step::Plain { inner, arrived },
            watches: self.manager.watches_sessions,
        };
        // As with most managers; room for a gate costs a request something even if there is none.
        if !self.manager.routes.deny_by_default && !self.manager.remember.refresh_each_request {
            return plain(self.service.call(request));
        }
        let gate = self
            .manager
            .routes
            .deny_by_default
            .then(|| Gate::watch(&request, &self.manager));
        let inner = self.service.call(request);
        let closed = gate.filter(|gate| !gate.is_open());
        if closed.is_none() && !self.manager.remember.refresh_each_request {
            return plain(inner);
        }
        let manager = Arc::clone(&self.manager);
        let future: Boxed<EitherBody<B>> = Box::pin(async move {
            if let Some(gate) = closed
                && let Err((request, answer)) = gate.decide().await
            {
                let answer = ServiceResponse::new(request, answer).map_into_right_body();
                return finish(answer, &manager, arrived).await;
            }
            finish(inner.await?.map_into_left_body(), &manager, arrived).await
        });
        LoginFuture {
            step: Step::Boxed { future },
            watches: self.manager.watches_sessions,
        }
    }
}

type Boxed<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

pin_project! {
    /// Waits for the response, and adds what logins have to say to it.
    #[derive(Debug)]
    #[debug("LoginFuture")]
    pub struct LoginFuture<F, B> {
        #[pin]
        step: Step<F, EitherBody<B>>,
        watches: bool,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, B> {
        // Nothing to wait for but the response.
        Plain {
            #[pin]
            inner: F,
            // When, if the request may carry a login cookie.
            arrived: Option<i64>,
        },
        // There is something to do before or after.
        Boxed {
            future: Boxed<B>,
        },
    }
}

impl<F, B: 'static> Future for LoginFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut step = this.step;
        loop {
            let next = match step.as_mut().project() {
                StepProj::Plain { inner, arrived } => {
                    let mut response = ready!(inner.poll(cx))?;
                    // Of what a gate of this manager's found out, the boxed way knows.
                    let state = LoginState::at(response.request());
                    let carries = arrived.is_some();
                    if is_to_be_reconsidered(response.request(), state.as_deref(), carries) {
                        let arrived = *arrived;
                        let manager = Manager::of(response.request()).map(Arc::clone)?;
                        let response = response.map_into_left_body();
                        Step::Boxed {
                            future: Box::pin(
                                async move { finish(response, &manager, arrived).await },
                            ),
                        }
                    } else {
                        let mut ours = 0;
                        if let Some(state) = state {
                            let cookies = state.finish(response.request());
                            ours = cookies.len();
                            write(&mut response, cookies);
                        }
                        if *this.watches {
                            count_cookies(&response, ours);
                        }
                        return Poll::Ready(Ok(response.map_into_left_body()));
                    }
                }
                StepProj::Boxed { future } => return future.as_mut().poll(cx),
            };
            step.set(next);
        }
    }
}
