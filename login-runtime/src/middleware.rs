//! Ties it together, once per request.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_session::{SessionMiddleware, storage::SessionStore};
use actix_web::{
    Error, HttpRequest,
    body::MessageBody,
    cookie::Cookie,
    dev::{Extensions, Service, ServiceRequest, ServiceResponse, Transform},
};
use pin_project_lite::pin_project;

use crate::{
    auth, cookies,
    manager::{Handle, LoginManager, Manager, UserKind},
    refuse,
    remember::Token,
    session::{self, Entry},
    state::LoginState,
};

impl<S, B, T> Transform<S, ServiceRequest> for LoginManager<T>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
    T: SessionStore + 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    // The session middleware around the login layer, and never the other way round: it has to save
    // what the login layer wrote into the session.
    type Transform =
        <SessionMiddleware<T> as Transform<LoginService<S>, ServiceRequest>>::Transform;
    type InitError = ();
    type Future = <SessionMiddleware<T> as Transform<LoginService<S>, ServiceRequest>>::Future;

    fn new_transform(&self, service: S) -> Self::Future {
        let mut data = Extensions::new();
        data.insert(Handle(Arc::clone(&self.manager)));
        let login = LoginService {
            service,
            data: Rc::new(data),
            refresh: self.manager.refresh_remember,
        };
        (self.session)().new_transform(login)
    }
}

/// The login layer; made by [`LoginManager`].
pub struct LoginService<S> {
    service: S,
    /// How handlers and guards find the manager.
    data: Rc<Extensions>,
    refresh: bool,
}

impl<S> fmt::Debug for LoginService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginService").finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for LoginService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LoginFuture<S::Future>;

    actix_web::dev::forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        request.add_data_container(Rc::clone(&self.data));
        #[cfg(feature = "test-util")]
        crate::test::log_in_if_asked(request.request());
        LoginFuture {
            inner: self.service.call(request),
            refresh: self.refresh,
        }
    }
}

pin_project! {
    /// Waits for the response, and adds what logins have to say to it.
    pub struct LoginFuture<F> {
        #[pin]
        inner: F,
        refresh: bool,
    }
}

impl<F> fmt::Debug for LoginFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFuture").finish_non_exhaustive()
    }
}

impl<F, B> Future for LoginFuture<F>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let request = response.request();
        let state = LoginState::existing(request);
        let mut cookies = state
            .as_ref()
            .map(|state| state.finish(request))
            .unwrap_or_default();
        if *this.refresh {
            refresh(request, state.as_deref(), &mut cookies);
        }
        for cookie in cookies {
            cookies::append(response.headers_mut(), &cookie);
        }
        if state.is_some() {
            refuse::keep_private(response.headers_mut());
        }
        Poll::Ready(Ok(response))
    }
}

/// Prolongs the remember cookies of clients whose session has a login, and whose token is good and
/// for the same user.
fn refresh(request: &HttpRequest, state: Option<&LoginState>, cookies: &mut Vec<Cookie<'static>>) {
    let Ok(manager) = Manager::of(request) else {
        return;
    };
    for (index, kind) in manager.users.iter().enumerate() {
        if state.is_none_or(|state| state.remember_counts(index)) {
            cookies.extend(refreshed(request, manager, kind));
        }
    }
}

fn refreshed(request: &HttpRequest, manager: &Manager, kind: &UserKind) -> Option<Cookie<'static>> {
    let session = session::of(request);
    let text = session::entry(&session, &kind.session_key)?;
    let (_, id) = Entry::read(&text)?;
    let now = manager.now();
    let nonce = cookies::nonce().ok()?;
    auth::read_token(request, manager, kind, |token| {
        // A token that was issued for a time of its own keeps that time.
        let age = token.expires_at.saturating_sub(token.issued_at);
        let token = Token {
            expires_at: now.saturating_add(age),
            issued_at: now,
            nonce: &nonce,
            ..*token
        };
        let value = manager
            .keys
            .sign(&kind.name, &token)
            .filter(|_| token.id == id)?;
        cookies::remember_cookie(
            &kind.remember,
            value,
            Duration::from_secs(age.unsigned_abs()),
        )
    })?
}
