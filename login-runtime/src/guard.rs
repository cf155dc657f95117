//! What `#[login_required]` expands to; also usable by hand and for scopes.
//!
//! A guard decides before anything else of the handler happens. actix-web polls all extractors of a
//! handler together, so a guard among them that waits for the database would lose the race to a
//! `Json` that reads the body, or answers 400. [`Guarded`] therefore takes the place of all the
//! handler's arguments: first the policy decides, then they are extracted.

use std::{
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    Error, FromRequest, Handler, HttpRequest,
    body::{EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::Method,
};
use pin_project_lite::pin_project;

use crate::{
    declare::{Declaration, declare},
    describe::Description,
    error::{Refusal, SetupError},
    manager::Manager,
    policy::{self, Freshness, Reason, Requirement},
    refuse::{self, RefusalKind, Refusing},
    state::{LoginState, Who},
    user::AuthUser,
};

/// Finds where the user type that a guard asks for stands in the manager.
pub(crate) type FindUser = fn(&Manager) -> Result<usize, SetupError>;

/// A decision, made or under way.
pub(crate) enum Check {
    Done(Result<Who, Denied>),
    Wait(Pin<Box<dyn Future<Output = Result<Who, Denied>>>>),
}

/// Why a handler does not get to run.
pub(crate) enum Denied {
    Refused(Refusal),
    /// There is no decision: a loader failed, or there is no manager to ask.
    Failed(Error),
}

impl From<SetupError> for Denied {
    fn from(error: SetupError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Refused(refusal) => refusal.into(),
            Denied::Failed(error) => error,
        }
    }
}

/// Decides whether a guard lets a request through; exempt requests pass unseen.
pub(crate) fn check(request: &HttpRequest, find: FindUser, requirement: Requirement) -> Check {
    if request.method() == Method::OPTIONS {
        match Manager::of(request) {
            Ok(manager) if requirement.exempt_options || manager.exempt_options => {
                return Check::Done(Ok(None));
            }
            _ => {}
        }
    }
    check_user(request, find, requirement)
}

/// Decides whether a request meets a requirement, without waiting if that is possible.
pub(crate) fn check_user(request: &HttpRequest, find: FindUser, requirement: Requirement) -> Check {
    let (manager, index) =
        match Manager::of(request).and_then(|manager| Ok((manager, find(manager)?))) {
            Ok(found) => found,
            Err(error) => return Check::Done(Err(error.into())),
        };
    let Some(who) = LoginState::peek(request, manager, index) else {
        let request = request.clone();
        return Check::Wait(Box::pin(async move {
            let state = LoginState::of(&request)?;
            if requirement.passive {
                state.set_passive();
            }
            let who = match state.who(&request, index).await {
                Ok(who) => who,
                Err(error) => {
                    let response = refuse::load_failed(&request, &state.manager, &error);
                    return Err(Denied::Failed(
                        InternalError::from_response(error, response).into(),
                    ));
                }
            };
            match judge(&state.manager, &who, requirement) {
                Ok(()) => Ok(who),
                Err(reason) => Err(Denied::Refused(
                    refuse(&request, &state.manager, reason, requirement)
                        .done()
                        .await,
                )),
            }
        }));
    };
    if manager.watches_access()
        && let Ok(state) = LoginState::of(request)
    {
        state.accessed(request);
    }
    match judge(manager, &who, requirement) {
        Ok(()) => Check::Done(Ok(who)),
        Err(reason) => match refuse(request, manager, reason, requirement) {
            Refusing::Now(refusal) => Check::Done(Err(Denied::Refused(refusal))),
            later => Check::Wait(Box::pin(
                async move { Err(Denied::Refused(later.done().await)) },
            )),
        },
    }
}

fn judge(manager: &Manager, who: &Who, requirement: Requirement) -> Result<(), Reason> {
    let login = who
        .as_ref()
        .map(|known| (known.authenticated, &known.facts));
    // Only freshness has to know the time.
    let now = if requirement.freshness == Freshness::Any {
        0
    } else {
        manager.now()
    };
    policy::decide(&requirement, login, manager.fresh_for, now)
}

pub(crate) fn refuse(
    request: &HttpRequest,
    manager: &Manager,
    reason: Reason,
    requirement: Requirement,
) -> Refusing {
    refuse::refuse(
        request,
        manager,
        RefusalKind::of(reason),
        reason,
        requirement.freshness,
    )
}

/// What a guard asks for, as a type.
pub trait Policy: 'static {
    #[doc(hidden)]
    fn requirement() -> GuardRequirement;
    #[doc(hidden)]
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError>;
    /// Says in words what the guard asks for.
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

/// Keeps crate-private types out of the public trait.
#[doc(hidden)]
#[derive(Debug)]
pub struct GuardRequirement(pub(crate) Requirement);

/// Keeps crate-private types out of the public trait.
#[doc(hidden)]
pub struct GuardManager<'a>(pub(crate) &'a Manager);

impl fmt::Debug for GuardManager<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardManager").finish_non_exhaustive()
    }
}

/// A user type that a guard can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged in",
    label = "not a user",
    note = "add `#[derive(AuthUser)]` to `{Self}`, or implement the trait by hand"
)]
pub trait GuardUser: 'static {
    #[doc(hidden)]
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError>;
    #[doc(hidden)]
    fn describe(description: &mut Description);
}

/// The user type of the manager's first loader.
#[derive(Debug)]
pub struct DefaultUser;

impl GuardUser for DefaultUser {
    fn find(_: &GuardManager<'_>) -> Result<usize, SetupError> {
        Ok(0)
    }

    fn describe(_: &mut Description) {}
}

impl<U: AuthUser> GuardUser for U {
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        manager
            .0
            .index(std::any::TypeId::of::<U>(), std::any::type_name::<U>)
    }

    fn describe(description: &mut Description) {
        description.user(std::any::type_name::<U>());
    }
}

/// A login, of the user type `U`.
#[derive(Debug)]
pub struct LoginRequired<U = DefaultUser>(PhantomData<fn() -> U>);

/// What `P` asks for, and a login that is at most so many seconds old; without a number as old as
/// the manager's `fresh_for` allows.
#[derive(Debug)]
pub struct Fresh<P, const SECONDS: u64 = { u64::MAX }>(PhantomData<fn() -> P>);

/// What `P` asks for, but for OPTIONS requests.
#[derive(Debug)]
pub struct ExemptOptions<P>(PhantomData<fn() -> P>);

/// What `P` asks for, and a request that counts as no use of the login.
#[derive(Debug)]
pub struct Passive<P>(PhantomData<fn() -> P>);

impl<U: GuardUser> Policy for LoginRequired<U> {
    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement::LOGIN)
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        U::find(manager)
    }

    fn describe(description: &mut Description) {
        U::describe(description);
    }
}

impl<P: Policy, const SECONDS: u64> Policy for Fresh<P, SECONDS> {
    fn requirement() -> GuardRequirement {
        let freshness = match SECONDS {
            u64::MAX => Freshness::Default,
            seconds => Freshness::Within(Duration::from_secs(seconds)),
        };
        GuardRequirement(Requirement {
            freshness,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }

    fn describe(description: &mut Description) {
        P::describe(description);
        description.fresh((SECONDS != u64::MAX).then(|| Duration::from_secs(SECONDS)));
    }
}

impl<P: Policy> Policy for ExemptOptions<P> {
    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            exempt_options: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }

    fn describe(description: &mut Description) {
        P::describe(description);
        description.add("exempt_options");
    }
}

impl<P: Policy> Policy for Passive<P> {
    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            passive: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }

    fn describe(description: &mut Description) {
        P::describe(description);
        description.add("passive");
    }
}

/// All arguments of a guarded handler: extracted only after the policy `P` let the client through.
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

impl<P, A> fmt::Debug for Guarded<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The arguments may hold whatever the client sent.
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl<P: Policy, A: FromRequest> FromRequest for Guarded<P, A> {
    type Error = Error;
    type Future = GuardedFuture<P, A>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let step = match check(
            request,
            |manager| P::find(&GuardManager(manager)),
            P::requirement().0,
        ) {
            Check::Done(Ok(_)) => Step::Extract {
                extracting: A::from_request(request, payload),
            },
            Check::Done(Err(denied)) => Step::Refused {
                error: Some(denied.into()),
            },
            // The payload goes along, so that nobody can read it before the decision.
            Check::Wait(deciding) => Step::Decide {
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
    pub struct GuardedFuture<P, A: FromRequest> {
        #[pin]
        step: Step<A>,
        policy: PhantomData<fn() -> P>,
    }
}

impl<P, A: FromRequest> fmt::Debug for GuardedFuture<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<A: FromRequest> {
        Decide {
            deciding: Pin<Box<dyn Future<Output = Result<Who, Denied>>>>,
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

impl<P, A: FromRequest> Future for GuardedFuture<P, A> {
    type Output = Result<Guarded<P, A>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepProj::Decide {
                    deciding,
                    request,
                    payload,
                } => match ready!(deciding.as_mut().poll(cx)) {
                    Ok(_) => Step::Extract {
                        extracting: A::from_request(request, payload),
                    },
                    Err(denied) => return Poll::Ready(Err(denied.into())),
                },
                StepProj::Extract { extracting } => {
                    return extracting
                        .poll(cx)
                        .map_ok(|args| Guarded {
                            args,
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
#[derive(Clone)]
pub struct GuardedHandler<F> {
    handler: F,
}

impl<F> fmt::Debug for GuardedHandler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedHandler").finish_non_exhaustive()
    }
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

/// A guard for a whole scope, resource or application, as middleware.
///
/// # Examples
///
/// ```
/// use actix_web::web;
/// use login_runtime::{fresh_login_required, login_required};
///
/// let account = web::scope("/account")
///     .wrap(login_required())
///     .service(web::scope("/keys").wrap(fresh_login_required()));
/// # let _ = account;
/// ```
pub fn login_required() -> LoginGuard {
    LoginGuard {
        find: |_| Ok(0),
        user: |_| {},
        requirement: Requirement::LOGIN,
    }
}

/// A guard for a whole scope that asks for a fresh login; see [`login_required`](fn@login_required).
pub fn fresh_login_required() -> LoginGuard {
    LoginGuard {
        find: |_| Ok(0),
        user: |_| {},
        requirement: Requirement {
            freshness: Freshness::Default,
            ..Requirement::LOGIN
        },
    }
}

/// A guard as middleware; made by [`login_required`](fn@login_required) and
/// [`fresh_login_required`](fn@fresh_login_required).
#[derive(Clone)]
pub struct LoginGuard {
    find: FindUser,
    user: fn(&mut Description),
    requirement: Requirement,
}

impl fmt::Debug for LoginGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginGuard")
            .field("requirement", &self.requirement)
            .finish_non_exhaustive()
    }
}

impl LoginGuard {
    /// Asks for a user of this type, instead of that of the manager's first loader.
    #[must_use]
    pub fn user<U: AuthUser>(mut self) -> Self {
        self.find = |manager| <U as GuardUser>::find(&GuardManager(manager));
        self.user = <U as GuardUser>::describe;
        self
    }

    /// Asks for a fresh login that is at most this old.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.requirement.freshness = Freshness::Within(age);
        self
    }

    /// Does not count requests as use of the login, so that a page which polls keeps nobody logged
    /// in. Only matters with a login store, which has an idle limit.
    #[must_use]
    pub fn passive(mut self) -> Self {
        self.requirement.passive = true;
        self
    }

    /// Lets OPTIONS requests through.
    #[must_use]
    pub fn exempt_options(mut self) -> Self {
        self.requirement.exempt_options = true;
        self
    }

    fn describe(&self) -> Description {
        let mut description = Description::default();
        (self.user)(&mut description);
        match self.requirement.freshness {
            Freshness::Any => {}
            Freshness::Default => description.fresh(None),
            Freshness::Within(age) => description.fresh(Some(age)),
        }
        if self.requirement.passive {
            description.add("passive");
        }
        if self.requirement.exempt_options {
            description.add("exempt_options");
        }
        description
    }
}

impl<S, B> Transform<S, ServiceRequest> for LoginGuard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = LoginGuardService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(LoginGuardService {
            service: Rc::new(service),
            guard: self.clone(),
        }))
    }
}

/// The service that [`LoginGuard`] makes.
pub struct LoginGuardService<S> {
    service: Rc<S>,
    guard: LoginGuard,
}

impl<S> fmt::Debug for LoginGuardService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginGuardService")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<ServiceRequest> for LoginGuardService<S>
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
        declare(&request, || Declaration::Guard(self.guard.describe()));
        #[cfg(feature = "audit")]
        if crate::audit::is_audited(&request) {
            // What is inside is to be seen too; it does not run.
            let inner = self.service.call(request);
            return Box::pin(async move { inner.await.map(ServiceResponse::map_into_left_body) });
        }
        let check = check(request.request(), self.guard.find, self.guard.requirement);
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            let decision = match check {
                Check::Done(decision) => decision,
                Check::Wait(deciding) => deciding.await,
            };
            match decision {
                Ok(_) => service
                    .call(request)
                    .await
                    .map(ServiceResponse::map_into_left_body),
                // Responses and not errors: what a guard wrote into the session is dropped together
                // with an error.
                Err(Denied::Refused(refusal)) => Ok(request
                    .into_response(refusal.into_response())
                    .map_into_right_body()),
                Err(Denied::Failed(error)) => {
                    Ok(request.error_response(error).map_into_right_body())
                }
            }
        })
    }
}
