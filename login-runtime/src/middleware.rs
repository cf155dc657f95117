//! Ties it together, once per request.

use std::{
    cell::OnceCell,
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
    dev::{Extensions, Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::header::{COOKIE, SET_COOKIE},
};
use pin_project_lite::pin_project;

use crate::{
    auth,
    carrier::{self, OpenedLoginCookie},
    cookies::{self, Match, SetCookie},
    deny::Gate,
    error::LoginError,
    events::{EventUser, LoginEvent},
    manager::{LoginManager, Manager, ManagerData, UserType},
    records::{LoginRef, Records},
    refuse,
    remember::Token,
    session::{self, EntryAndId},
    session_store::{self, SessionFate},
    state::LoginState,
    store::{Family, StoreError},
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
            LateStep::Watched {
                future: Box::pin(session_store::watched(inner, settle)),
            }
        } else {
            LateStep::Plain { inner }
        };
        LateFuture { step }
    }
}

/// Gives the client of a late request what it may have.
fn settle<B>(
    result: Result<ServiceResponse<B>, Error>,
    late: SessionFate,
    cookies: usize,
) -> Result<ServiceResponse<B>, Error> {
    match (late, result) {
        // What the application makes of a request, late or not, is its own affair.
        (SessionFate::No, result) | (SessionFate::Read, result @ Err(_)) => result,
        // The failure may have been of no consequence, as when a page only looked.
        (SessionFate::Unknown, Ok(response)) => Ok(response),
        (SessionFate::Unknown, Err(error)) => {
            let mut answer = HttpResponse::ServiceUnavailable().finish();
            refuse::keep_private(answer.headers_mut());
            Err(InternalError::from_response(error.to_string(), answer).into())
        }
        (SessionFate::Read, Ok(mut response)) => {
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
        (SessionFate::Write, result) => {
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
        step: LateStep<F, B>,
    }
}

pin_project! {
    #[project = LateStepProj]
    enum LateStep<F, B> {
        Plain {
            #[pin]
            inner: F,
        },
        // A session may end meanwhile.
        Watched {
            future: Boxed<B>,
        },
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
            LateStepProj::Plain { inner } => inner.poll(cx),
            LateStepProj::Watched { future } => future.as_mut().poll(cx),
        }
    }
}

/// The login layer; made by [`LoginManager`].
pub struct LoginService<S> {
    service: Rc<S>,
    /// How handlers and guards find the manager.
    data: Rc<Extensions>,
    manager: Arc<Manager>,
    /// Whether logins are in cookies of their own.
    has_login_cookies: bool,
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
        if let Some(probe) = crate::audit::Probe::of(&request) {
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
        if !self.manager.denies && !self.manager.refresh_remember {
            return plain(self.service.call(request));
        }
        let gate = self
            .manager
            .denies
            .then(|| Gate::watch(&request, &self.manager));
        let inner = self.service.call(request);
        let closed = gate.filter(|gate| !gate.is_open());
        if closed.is_none() && !self.manager.refresh_remember {
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

impl<F, B> fmt::Debug for LoginFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginFuture").finish_non_exhaustive()
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

/// Whether a response says anything that depends on what became of the login meanwhile whose cookie the
/// request carries, and is not what the request itself has made of it; or the session was purged, and
/// logins end with it.
fn is_to_be_reconsidered(request: &HttpRequest, state: Option<&LoginState>, carries: bool) -> bool {
    match state {
        Some(state) if state.has_acted() => session::is_purged(&session::of(request)),
        _ if !carries => false,
        Some(state) if state.has_findings() => true,
        _ => session::is_written(&session::of(request)),
    }
}

/// Ends the logins of a request whose session the application has purged, for whoever does that means to
/// end them too.
///
/// # Errors
///
/// What the store says if a record did not end: nobody is logged out then.
async fn end_purged(
    request: &HttpRequest,
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
    arrived: i64,
) -> Result<(), LoginError> {
    let mut is_late = false;
    for (index, kind) in manager.users.iter().enumerate() {
        let Some(cookie) = &kind.login_cookie else {
            continue;
        };
        let opened = state.and_then(|state| state.opened(index));
        let is_gone = opened.is_some_and(OpenedLoginCookie::is_none);
        if is_gone && state.is_some_and(LoginState::has_acted) {
            // Logged out by the request itself.
            continue;
        }
        let carries = cookies::carries(request, &cookie.name);
        let is_set = |cookies: &[SetCookie]| cookies.iter().any(|set| set.name() == cookie.name);
        if !carries && !is_set(cookies) {
            continue;
        }
        if let Some(records) = &manager.records {
            let came = came_with(request, manager, kind);
            // If the request has logged somebody in, too.
            let made = state
                .and_then(|state| state.carried(request, index, |carried| carried.login()))
                .filter(|made| Some(*made) != came);
            for login in [came, made].into_iter().flatten() {
                records.end(login).await?;
            }
            if let Some(login) = came {
                // A purge can be late, as a log out can.
                is_late |= match opened.and_then(OpenedLoginCookie::had_given_up) {
                    Some(given_up) => given_up,
                    None => records
                        .any_was_given_up(&[login.key], arrived)
                        .await
                        .unwrap_or_default(),
                };
                records.bury(login.key, manager.now()).await;
            }
        }
        cookies.retain(|other| other.name() != cookie.name);
        if carries {
            cookies.push(cookie.clear());
            session_store::held_elsewhere();
        }
        let tell = |user: Option<EventUser<'_>>| {
            manager.emit(&LoginEvent::LoggedOut { user }, request);
        };
        match state {
            _ if is_gone => {}
            Some(state) => state.event_user(index, tell),
            None => tell(None),
        }
    }
    if is_late {
        cookies.clear();
    }
    Ok(())
}

/// The login whose cookie a request carries, as it came, whatever was decided since.
fn came_with(request: &HttpRequest, manager: &Manager, kind: &UserType) -> Option<LoginRef> {
    let session = OnceCell::new();
    carrier::carried(request, manager, kind, None, &session)?.login()
}

/// What became, while the request was under way, of the logins whose cookies it carries.
///
/// The session knows when it ends, and keeps a late request from writing into it. A login cookie does
/// not know, so the login store is asked, where there is one.
async fn reconsider(
    request: &HttpRequest,
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
    arrived: i64,
) {
    let Some(records) = &manager.records else {
        return;
    };
    let (mut carried, mut replaced) = (Vec::new(), Vec::new());
    for (index, kind) in manager.users.iter().enumerate() {
        let Some((cookie, login)) = kind
            .login_cookie
            .as_ref()
            .zip(came_with(request, manager, kind))
        else {
            continue;
        };
        carried.push(login.key);
        let now = state.and_then(|state| state.carried(request, index, |carried| carried.login()));
        if cookies.iter().any(|set| set.name() == cookie.name)
            && now.is_none_or(|now| now.key != login.key)
        {
            replaced.push(login.key);
        }
    }
    if !cookies.is_empty() {
        // A browser that has another login by now, or none, keeps what it was given for that. If nobody
        // knows, too: what this response would set, another one will.
        let given_up = records.any_was_given_up(&carried, arrived).await;
        if given_up.unwrap_or(true) {
            cookies.clear();
        } else {
            // This is the answer with which the browser gives them up. Whoever comes later is late.
            for login in &replaced {
                records.bury(*login, manager.now()).await;
            }
            carried.retain(|login| !replaced.contains(login));
        }
    }
    session_store::carries_logins(carried, arrived);
}

fn count_cookies<B>(response: &ServiceResponse<B>, ours: usize) {
    session_store::count_cookies(ours, || response.headers().get_all(SET_COOKIE).count());
}

/// Writes into a response that depends on the login: the cookies, and that it is private.
fn write<B>(response: &mut ServiceResponse<B>, cookies: Vec<SetCookie>) {
    for cookie in cookies {
        cookies::append(response.headers_mut(), cookie);
    }
    refuse::keep_private(response.headers_mut());
}

/// Adds to a response what logins have to say, and prolongs remember cookies if that is wanted.
async fn finish<B>(
    mut response: ServiceResponse<B>,
    manager: &Manager,
    arrived: Option<i64>,
) -> Result<ServiceResponse<B>, Error> {
    let state = LoginState::existing(response.request());
    // By the application: a session in which nothing is left is ended further down.
    let is_purged =
        manager.has_login_cookies() && session::is_purged(&session::of(response.request()));
    let mut cookies = state
        .as_ref()
        .map(|state| state.finish(response.request()))
        .unwrap_or_default();
    let request = response.request();
    if manager.refresh_remember {
        prolong(request, manager, state.as_deref(), &mut cookies).await;
    }
    if is_purged {
        let arrived = arrived.unwrap_or_else(|| manager.now());
        end_purged(request, manager, state.as_deref(), &mut cookies, arrived).await?;
    } else if let Some(arrived) = arrived
        && !state.as_deref().is_some_and(LoginState::has_acted)
    {
        reconsider(request, manager, state.as_deref(), &mut cookies, arrived).await;
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
    manager: &Manager,
    state: Option<&LoginState>,
    cookies: &mut Vec<SetCookie>,
) {
    for (index, kind) in manager.users.iter().enumerate() {
        if state.is_some_and(|state| !state.remember_counts(index)) {
            continue;
        }
        let (opened, session) = (state.and_then(|state| state.opened(index)), OnceCell::new());
        let carried = || carrier::carried(request, manager, kind, opened, &session);
        match &manager.records {
            None => {
                let asked = state.is_some_and(|state| state.has_found(index));
                let prolonged = carried()
                    .and_then(|carried| prolonged(request, manager, kind, carried.entry()?, asked));
                cookies.extend(prolonged);
            }
            // What the response says has happened; a store that is down now does not undo it.
            Some(records) => match prolonged_family(
                request,
                manager,
                kind,
                records,
                carried().and_then(|carried| carried.login()),
            )
            .await
            {
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
    kind: &UserType,
    records: &Records,
    login: Option<LoginRef>,
) -> Result<Option<SetCookie>, StoreError> {
    let Some(token) = auth::carried_family(request, manager, kind) else {
        return Ok(None);
    };
    // Only the browser of the login that the family belongs to prolongs it.
    let now = manager.now();
    let record = match login {
        Some(login) => records.find(login.key, now).await?,
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
        cookies::remember_cookie(&kind.remember, &value, age)
    }))
}

/// `asked` says whether the request asked for the user.
fn prolonged(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    (entry, id): EntryAndId<'_>,
    asked: bool,
) -> Option<SetCookie> {
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
            &value,
            Duration::from_secs(age.unsigned_abs()),
        )
    })?
}
