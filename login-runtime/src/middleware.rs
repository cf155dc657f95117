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
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    cookie::Cookie,
    dev::{Extensions, Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::header::SET_COOKIE,
};
use pin_project_lite::pin_project;

use crate::{
    auth,
    cookies::{self, Match},
    deny::Gate,
    manager::{Handle, LoginManager, Manager, UserKind},
    records::Records,
    refuse,
    remember::Token,
    session::{self, Entry},
    session_store::{self, Late},
    state::LoginState,
    store::{Family, StoreError, losing_time_once},
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
        data.insert(Handle(Arc::clone(&self.manager)));
        let login = LoginService {
            service: Rc::new(service),
            data: Rc::new(data),
            refresh: self.manager.refresh_remember,
            denies: self.manager.denies.then(|| Arc::clone(&self.manager)),
            watches: self.manager.watches_sessions,
        };
        LateInit {
            init: (self.session)().new_transform(login),
            watches: self.manager.watches_sessions,
        }
    }
}

pin_project! {
    /// Makes a [`LateService`].
    pub struct LateInit<F> {
        #[pin]
        init: F,
        watches: bool,
    }
}

impl<F> fmt::Debug for LateInit<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateInit").finish_non_exhaustive()
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
pub struct LateService<S> {
    service: S,
    watches: bool,
}

impl<S> fmt::Debug for LateService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateService").finish_non_exhaustive()
    }
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
            Step::Boxed {
                future: Box::pin(losing_time_once(session_store::watched(inner, settle))),
            }
        } else {
            Step::Plain { inner }
        };
        LateFuture { step }
    }
}

/// Gives the client of a late request what it may have.
fn settle<B>(
    result: Result<ServiceResponse<B>, Error>,
    late: Late,
    cookies: usize,
) -> Result<ServiceResponse<B>, Error> {
    match (late, result) {
        // What the application makes of a request, late or not, is its own affair.
        (Late::No, result) | (Late::Read, result @ Err(_)) => result,
        // The failure may have been of no consequence, as when a page only looked.
        (Late::Unknown, Ok(response)) => Ok(response),
        (Late::Unknown, Err(error)) => {
            let mut answer = HttpResponse::ServiceUnavailable().finish();
            refuse::keep_private(answer.headers_mut());
            Err(InternalError::from_response(error.to_string(), answer).into())
        }
        (Late::Read, Ok(mut response)) => {
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
        (Late::Write, result) => {
            let cause = result
                .err()
                .map_or_else(|| "late".to_owned(), |error| error.to_string());
            let mut answer = HttpResponse::Conflict()
                .body("The session ended while the request was under way; try again.");
            refuse::keep_private(answer.headers_mut());
            Err(InternalError::from_response(cause, answer).into())
        }
    }
}

pin_project! {
    /// Waits for the session middleware.
    pub struct LateFuture<F, B> {
        #[pin]
        step: Step<F, B>,
    }
}

impl<F, B> fmt::Debug for LateFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateFuture").finish_non_exhaustive()
    }
}

impl<F, B> Future for LateFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProj::Plain { inner } => inner.poll(cx),
            StepProj::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}

/// The login layer; made by [`LoginManager`].
pub struct LoginService<S> {
    service: Rc<S>,
    /// How handlers and guards find the manager.
    data: Rc<Extensions>,
    refresh: bool,
    /// The manager, if it denies by default.
    denies: Option<Arc<Manager>>,
    /// Whether anybody asks how many cookies a response sets.
    watches: bool,
}

impl<S> fmt::Debug for LoginService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginService").finish_non_exhaustive()
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
    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        request.add_data_container(Rc::clone(&self.data));
        #[cfg(feature = "test-util")]
        if let Some(log_in) = crate::test::asked_log_in(request.request()) {
            let service = Rc::clone(&self.service);
            let refresh = self.refresh;
            let future: Boxed<EitherBody<B>> = Box::pin(async move {
                log_in.await;
                let response = service.call(request).await?.map_into_left_body();
                finish(response, refresh).await
            });
            return LoginFuture {
                step: Step::Boxed { future },
                watches: self.watches,
            };
        }
        #[cfg(feature = "audit")]
        if let Some(probe) = crate::audit::Probe::of(&request) {
            let inner = self.service.call(request);
            let future: Boxed<EitherBody<B>> =
                Box::pin(async move { Ok(probe.answer(inner).await?.map_into_left_body()) });
            return LoginFuture {
                step: Step::Boxed { future },
                watches: self.watches,
            };
        }
        // As with most managers; room for a gate costs a request something even if there is none.
        if self.denies.is_none() && !self.refresh {
            let inner = self.service.call(request);
            return LoginFuture {
                step: Step::Plain { inner },
                watches: self.watches,
            };
        }
        let gate = self
            .denies
            .as_ref()
            .map(|manager| Gate::watch(&request, manager));
        let inner = self.service.call(request);
        let closed = gate.filter(|gate| !gate.is_open());
        if closed.is_none() && !self.refresh {
            return LoginFuture {
                step: Step::Plain { inner },
                watches: self.watches,
            };
        }
        let refresh = self.refresh;
        let future: Boxed<EitherBody<B>> = Box::pin(async move {
            if let Some(gate) = closed
                && let Err((request, answer)) = gate.decide().await
            {
                let answer = ServiceResponse::new(request, answer).map_into_right_body();
                return finish(answer, refresh).await;
            }
            finish(inner.await?.map_into_left_body(), refresh).await
        });
        LoginFuture {
            step: Step::Boxed { future },
            watches: self.watches,
        }
    }
}

type Boxed<B> = Pin<Box<dyn Future<Output = Result<ServiceResponse<B>, Error>>>>;

pin_project! {
    /// Waits for the response, and adds what logins have to say to it.
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
        },
        // There is something to do before or after.
        Boxed {
            future: Boxed<B>,
        },
    }
}

impl<F, B> fmt::Debug for LoginFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFuture").finish_non_exhaustive()
    }
}

impl<F, B> Future for LoginFuture<F, B>
where
    F: Future<Output = Result<ServiceResponse<B>, Error>>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.step.project() {
            StepProj::Plain { inner } => {
                let mut response = ready!(inner.poll(cx))?;
                let mut ours = 0;
                if let Some(state) = LoginState::existing(response.request()) {
                    let cookies = state.finish(response.request());
                    ours = cookies.len();
                    write(&mut response, cookies);
                }
                if *this.watches {
                    count_cookies(&response, ours);
                }
                Poll::Ready(Ok(response.map_into_left_body()))
            }
            StepProj::Boxed { future } => future.as_mut().poll(cx),
        }
    }
}

fn count_cookies<B>(response: &ServiceResponse<B>, ours: usize) {
    session_store::count_cookies(ours, || response.headers().get_all(SET_COOKIE).count());
}

/// Writes into a response that depends on the login: the cookies, and that it is private.
fn write<B>(response: &mut ServiceResponse<B>, cookies: Vec<Cookie<'static>>) {
    for cookie in cookies {
        cookies::append(response.headers_mut(), &cookie);
    }
    refuse::keep_private(response.headers_mut());
}

/// Adds to a response what logins have to say, and prolongs remember cookies if that is wanted.
async fn finish<B>(
    mut response: ServiceResponse<B>,
    refresh: bool,
) -> Result<ServiceResponse<B>, Error> {
    let state = LoginState::existing(response.request());
    let mut cookies = state
        .as_ref()
        .map(|state| state.finish(response.request()))
        .unwrap_or_default();
    if refresh {
        prolong(response.request(), state.as_deref(), &mut cookies).await;
    }
    let ours = cookies.len();
    if state.is_some() || ours > 0 {
        write(&mut response, cookies);
    }
    count_cookies(&response, ours);
    Ok(response)
}

/// Prolongs the remember cookies of clients whose session has a login, and whose token is good and
/// for the same user.
async fn prolong(
    request: &HttpRequest,
    state: Option<&LoginState>,
    cookies: &mut Vec<Cookie<'static>>,
) {
    let Ok(manager) = Manager::of(request) else {
        return;
    };
    for (index, kind) in manager.users.iter().enumerate() {
        if state.is_some_and(|state| !state.remember_counts(index)) {
            continue;
        }
        match &manager.records {
            None => {
                let asked = state.is_some_and(|state| state.has_found(index));
                cookies.extend(prolonged(request, manager, kind, asked));
            }
            // What the response says has happened; a store that is down now does not undo it.
            Some(records) => match prolonged_family(request, manager, kind, records).await {
                Ok(cookie) => cookies.extend(cookie),
                Err(error) => {
                    tracing::warn!(target: "login", event = "prolong_failed", reason = ?error);
                }
            },
        }
    }
}

async fn prolonged_family(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserKind,
    records: &Records,
) -> Result<Option<Cookie<'static>>, StoreError> {
    let Some(token) = auth::carried_family(request, manager, kind) else {
        return Ok(None);
    };
    let login = {
        let session = session::of(request);
        session::entry(&session, &kind.session_key)
            .and_then(|text| session::read_login_id(&text))
            .map(|(id, _)| id.key())
    };
    // Only the browser of the login that the family belongs to prolongs it.
    let now = manager.now();
    let record = match login {
        Some(key) => records.find(key, now).await?,
        None => None,
    };
    if record.is_none_or(|record| record.family != Some(token.family)) {
        return Ok(None);
    }
    let proves = |family: &Family| {
        manager
            .keys
            .proves(&kind.name, &token, &family.seed)
            .is_some()
    };
    let family = records
        .prolong(token.family, token.generation, now, proves)
        .await?;
    Ok(family.and_then(|family| {
        let Family {
            seed,
            generation,
            lifetime,
            ..
        } = &family;
        let value = manager
            .keys
            .family_token(&kind.name, token.family, seed, *generation)?;
        let age = Duration::from_secs(lifetime.max(&0).unsigned_abs());
        cookies::remember_cookie(&kind.remember, value, age)
    }))
}

/// `asked` says whether the request asked for the user.
fn prolonged(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserKind,
    asked: bool,
) -> Option<Cookie<'static>> {
    let session = session::of(request);
    let text = session::entry(&session, &kind.session_key)?;
    let (entry, id) = Entry::read(&text)?;
    let now = manager.now();
    let nonce = cookies::nonce().ok()?;
    auth::read_token(request, manager, kind, |token, found| {
        let hash = match found {
            Match::Current => token.hash,
            // The token's fingerprint is under an older key too. Asking for the user has made a new
            // one; a request that did not ask leaves the token to one that will.
            Match::Older if asked => entry.hash,
            Match::Older => return None,
        };
        // A token that was issued for a time of its own keeps that time.
        let age = token.expires_at.saturating_sub(token.issued_at);
        let token = Token {
            expires_at: now.saturating_add(age),
            issued_at: now,
            nonce: &nonce,
            hash,
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
