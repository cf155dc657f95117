//! What `#[login_required]` expands to; also usable by hand and for scopes.
//!
//! A guard decides before anything else of the handler happens. actix-web polls all extractors of a
//! handler together, so a guard among them that waits for the database would lose the race to a
//! `Json` that reads the body, or answers 400. [`Guarded`] therefore takes the place of all the
//! handler's arguments: first the policy decides, then they are extracted.

use std::{
    borrow::Cow,
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_web::{
    Error, FromRequest, Handler, HttpRequest, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::Method,
};
use pin_project_lite::pin_project;

use crate::{
    condition::{Condition, ConditionAnswer, Subject, Term, Unanswered},
    declare::{Declaration, declare},
    describe::{Described, Description},
    error::{LoadError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    manager::Manager,
    permission::Permissions,
    policy::{self, Freshness, Reason, Requirement},
    proof::Arguments,
    refuse::{self, RefusalKind, Refusing},
    state::{LoginState, RequestUser},
    user::AuthUser,
};

/// Finds where the user type that a guard asks for stands in the manager.
pub(crate) type FindUser = fn(&Manager) -> Result<usize, SetupError>;

/// A decision, made or under way.
pub(crate) enum GuardOutcome {
    Done(Result<Option<RequestUser>, Denied>),
    Wait(GuardFuture),
}

/// A decision that waits for a look-up or for the application's own answer.
pub(crate) type GuardFuture = Pin<Box<dyn Future<Output = Result<Option<RequestUser>, Denied>>>>;

/// Why a handler does not get to run.
pub(crate) enum Denied {
    Refused(Box<Refusal>),
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
            Denied::Refused(refusal) => {
                let refusal: Box<dyn ResponseError> = refusal;
                refusal.into()
            }
            Denied::Failed(error) => error,
        }
    }
}

/// Decides whether a guard lets a request through; exempt requests pass unseen.
pub(crate) fn check(
    request: &HttpRequest,
    find: FindUser,
    requirement: Requirement,
    condition: &Condition,
) -> GuardOutcome {
    if request.method() == Method::OPTIONS {
        match Manager::of(request) {
            Ok(manager) if requirement.exempt_options || manager.exempt_options => {
                return GuardOutcome::Done(Ok(None));
            }
            _ => {}
        }
    }
    check_user(request, find, requirement, condition)
}

/// Decides whether a request meets a requirement, without waiting if that is possible.
pub(crate) fn check_user(
    request: &HttpRequest,
    find: FindUser,
    requirement: Requirement,
    condition: &Condition,
) -> GuardOutcome {
    let (manager, index) =
        match Manager::of(request).and_then(|manager| Ok((manager, find(manager)?))) {
            Ok(found) => found,
            Err(error) => return GuardOutcome::Done(Err(error.into())),
        };
    let Some(who) = LoginState::peek(request, manager, index) else {
        return GuardOutcome::Wait(find_out(request.clone(), index, requirement, condition));
    };
    if manager.watches_access()
        && let Ok(state) = LoginState::of(request)
    {
        state.accessed(request);
    }
    let case = GuardCheck {
        manager,
        index,
        requirement,
        condition,
    };
    case.decide(request, who)
}

/// Waits for everything that there is to wait for.
fn find_out(
    request: HttpRequest,
    index: usize,
    requirement: Requirement,
    condition: &Condition,
) -> GuardFuture {
    let condition = condition.clone();
    Box::pin(async move {
        let state = LoginState::of(&request)?;
        if requirement.passive {
            state.set_passive();
        }
        let who = match state.who(&request, index).await {
            Ok(who) => who,
            Err(error) => return Err(failed(&request, &state.manager, error)),
        };
        let case = GuardCheck {
            manager: &state.manager,
            index,
            requirement,
            condition: &condition,
        };
        match case.decide(&request, who) {
            GuardOutcome::Done(decision) => decision,
            GuardOutcome::Wait(deciding) => deciding.await,
        }
    })
}

/// What is to be decided about one user type.
struct GuardCheck<'a> {
    manager: &'a Arc<Manager>,
    index: usize,
    requirement: Requirement,
    condition: &'a Condition,
}

/// A decision about a user who is known, or what it waits for.
enum Evaluated {
    Now(Decision),
    /// The condition is being asked; the login by itself was judged.
    Later(ConditionAnswer, Result<(), Reason>),
}

/// A decision, whose answer to the client may be under way.
enum Decision {
    Passes,
    Denies(Denied),
    Refuses(Refusing),
}

impl From<Refusing> for Decision {
    fn from(refusing: Refusing) -> Self {
        match refusing {
            Refusing::Now(refusal) => Self::Denies(Denied::Refused(refusal)),
            later => Self::Refuses(later),
        }
    }
}

impl Decision {
    async fn done(self, who: Option<RequestUser>) -> Result<Option<RequestUser>, Denied> {
        match self {
            Self::Passes => Ok(who),
            Self::Denies(denied) => Err(denied),
            Self::Refuses(refusing) => Err(Denied::Refused(Box::new(refusing.done().await))),
        }
    }
}

impl GuardCheck<'_> {
    /// Decides about a user who is known, without waiting if that is possible.
    fn decide(&self, request: &HttpRequest, who: Option<RequestUser>) -> GuardOutcome {
        if who.is_none() {
            // Nothing to judge.
            return match self.refuse(request, Reason::Anonymous) {
                Refusing::Now(refusal) => GuardOutcome::Done(Err(Denied::Refused(refusal))),
                later => GuardOutcome::Wait(Box::pin(async move {
                    Err(Denied::Refused(Box::new(later.done().await)))
                })),
            };
        }
        match self.judge(request, &who) {
            Evaluated::Now(Decision::Passes) => GuardOutcome::Done(Ok(who)),
            Evaluated::Now(Decision::Denies(denied)) => GuardOutcome::Done(Err(denied)),
            Evaluated::Now(later) => GuardOutcome::Wait(Box::pin(later.done(who))),
            Evaluated::Later(answer, login) => {
                let (request, manager) = (request.clone(), Arc::clone(self.manager));
                let (index, requirement) = (self.index, self.requirement);
                let condition = self.condition.clone();
                GuardOutcome::Wait(Box::pin(async move {
                    let case = GuardCheck {
                        manager: &manager,
                        index,
                        requirement,
                        condition: &condition,
                    };
                    let decision = case.conclude(&request, &who, answer.done().await, login);
                    decision.done(who).await
                }))
            }
        }
    }

    fn judge(&self, request: &HttpRequest, who: &Option<RequestUser>) -> Evaluated {
        let login = who
            .as_ref()
            .map(|known| (known.authenticated, &known.facts));
        // Only freshness has to know the time.
        let now = if self.requirement.freshness == Freshness::Any {
            0
        } else {
            self.manager.now()
        };
        let login = policy::decide(&self.requirement, login, self.manager.fresh_for, now);
        // Before freshness: whoever may never do this is not sent to give a password for it.
        let answer = match (who, login) {
            (Some(known), Ok(()) | Err(Reason::Stale)) if !self.condition.is_always() => {
                self.condition.ask(&Subject {
                    manager: Arc::clone(self.manager),
                    index: self.index,
                    user: Rc::clone(&known.user),
                    request: request.clone(),
                })
            }
            _ => ConditionAnswer::Now(Ok(true)),
        };
        match answer {
            ConditionAnswer::Now(answer) => {
                Evaluated::Now(self.conclude(request, who, answer, login))
            }
            later => Evaluated::Later(later, login),
        }
    }

    fn conclude(
        &self,
        request: &HttpRequest,
        who: &Option<RequestUser>,
        answer: Result<bool, Unanswered>,
        login: Result<(), Reason>,
    ) -> Decision {
        let reason = match (answer, login) {
            (Ok(true), Ok(())) => return Decision::Passes,
            (Ok(true), Err(reason)) => reason,
            (Ok(false), _) => return self.forbid(request, who.as_ref()).into(),
            (Err(Unanswered::Setup(error)), _) => return Decision::Denies(error.into()),
            (Err(Unanswered::Failed(error)), _) => {
                self.manager
                    .emit(&LoginEvent::LoadFailed { error: &error }, request);
                return Decision::Denies(failed(request, self.manager, error));
            }
        };
        self.refuse(request, reason).into()
    }

    fn refuse(&self, request: &HttpRequest, reason: Reason) -> Refusing {
        refuse(request, self.manager, reason, self.requirement)
    }

    fn forbid(&self, request: &HttpRequest, known: Option<&RequestUser>) -> Refusing {
        let user = known
            .zip(self.manager.users.get(self.index))
            .map(|(known, kind)| EventUser::new(kind, &*known.user));
        let event = LoginEvent::Forbidden {
            user,
            condition: Some(self.condition),
        };
        refuse::forbid(request, self.manager, &event, Reason::Forbidden)
    }
}

fn failed(request: &HttpRequest, manager: &Manager, error: LoadError) -> Denied {
    let response = refuse::load_failed(request, manager, &error);
    Denied::Failed(InternalError::from_response(error, response).into())
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
pub trait Policy: Described {
    /// The user type that is asked for.
    #[doc(hidden)]
    type User: GuardUser;
    /// What is asked of the user besides a login.
    #[doc(hidden)]
    const CONDITION: &'static Condition = &Condition::ALWAYS;
    /// How old a login is at most that gets through, in seconds; without end if the manager says.
    #[doc(hidden)]
    const FRESH: Option<u64> = None;
    /// Whether whoever gets through has met the policy. OPTIONS requests may not have.
    #[doc(hidden)]
    const PROVES: bool = true;
    #[doc(hidden)]
    fn requirement() -> GuardRequirement;
    #[doc(hidden)]
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError>;
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
}

/// The user type of the manager's first loader.
#[derive(Debug)]
pub struct DefaultUser;

impl GuardUser for DefaultUser {
    fn find(_: &GuardManager<'_>) -> Result<usize, SetupError> {
        Ok(0)
    }
}

impl<U: AuthUser> GuardUser for U {
    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        manager
            .0
            .index(std::any::TypeId::of::<U>(), std::any::type_name::<U>)
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
    type User = U;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement::LOGIN)
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        U::find(manager)
    }
}

impl<P: Policy, const SECONDS: u64> Policy for Fresh<P, SECONDS> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = Some(SECONDS);
    const PROVES: bool = P::PROVES;

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
}

impl<P: Policy> Policy for ExemptOptions<P> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = false;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            exempt_options: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

impl<P: Policy> Policy for Passive<P> {
    type User = P::User;
    const CONDITION: &'static Condition = P::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = P::PROVES;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement {
            passive: true,
            ..P::requirement().0
        })
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

/// What `P` asks for, and a user who meets the condition `C`.
#[derive(Debug)]
pub struct Requires<P, C>(PhantomData<fn() -> (P, C)>);

impl<P: Policy, C: Term<P::User>> Policy for Requires<P, C> {
    type User = P::User;
    const CONDITION: &'static Condition = &C::CONDITION;
    const FRESH: Option<u64> = P::FRESH;
    const PROVES: bool = P::PROVES;

    fn requirement() -> GuardRequirement {
        P::requirement()
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::find(manager)
    }
}

/// A login, of the user type that the permissions are about.
#[derive(Debug)]
pub struct LoginOf<P>(PhantomData<fn() -> P>);

impl<P: Permissions> Policy for LoginOf<P> {
    type User = P::User;

    fn requirement() -> GuardRequirement {
        GuardRequirement(Requirement::LOGIN)
    }

    fn find(manager: &GuardManager<'_>) -> Result<usize, SetupError> {
        P::User::find(manager)
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

impl<P: Policy, A: Arguments<P>> FromRequest for Guarded<P, A> {
    type Error = Error;
    type Future = GuardedFuture<P, A>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let step = match check(
            request,
            |manager| P::find(&GuardManager(manager)),
            P::requirement().0,
            P::CONDITION,
        ) {
            GuardOutcome::Done(Ok(_)) => Step::Extract {
                extracting: A::Extractors::from_request(request, payload),
            },
            GuardOutcome::Done(Err(denied)) => Step::Refused {
                error: Some(denied.into()),
            },
            // The payload goes along, so that nobody can read it before the decision.
            GuardOutcome::Wait(deciding) => Step::Decide {
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
    pub struct GuardedFuture<P, A: Arguments<P>> {
        #[pin]
        step: Step<A::Extractors>,
        policy: PhantomData<fn() -> P>,
    }
}

impl<P, A: Arguments<P>> fmt::Debug for GuardedFuture<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedFuture").finish_non_exhaustive()
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<A: FromRequest> {
        Decide {
            deciding: GuardFuture,
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

impl<P, A: Arguments<P>> Future for GuardedFuture<P, A> {
    type Output = Result<Guarded<P, A>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.step.as_mut().project() {
                StepProj::Decide {
                    deciding,
                    request,
                    payload,
                } => match ready!(Pin::new(deciding).poll(cx)) {
                    Ok(_) => Step::Extract {
                        extracting: A::Extractors::from_request(request, payload),
                    },
                    Err(denied) => return Poll::Ready(Err(denied.into())),
                },
                StepProj::Extract { extracting } => {
                    return extracting
                        .poll(cx)
                        .map_ok(|extracted| Guarded {
                            args: A::take(extracted),
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
        condition: Condition::ALWAYS,
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
        condition: Condition::ALWAYS,
    }
}

/// A guard as middleware; made by [`login_required`](fn@login_required) and
/// [`fresh_login_required`](fn@fresh_login_required).
#[derive(Clone)]
pub struct LoginGuard {
    find: FindUser,
    user: fn(&mut Description),
    requirement: Requirement,
    condition: Condition,
}

impl fmt::Debug for LoginGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginGuard")
            .field("requirement", &self.requirement)
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl LoginGuard {
    /// Asks for a user of this type, instead of that of the manager's first loader.
    #[must_use]
    pub fn user<U: AuthUser>(mut self) -> Self {
        self.find = |manager| <U as GuardUser>::find(&GuardManager(manager));
        self.user = |description| description.user(std::any::type_name::<U>());
        self
    }

    /// Asks for a fresh login that is at most this old.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.requirement.freshness = Freshness::Within(age);
        self
    }

    /// Asks for a role, as [`AuthUser::has_role`] says; a user without it gets 403.
    #[must_use]
    pub fn role(self, role: impl Into<Cow<'static, str>>) -> Self {
        self.condition(Condition::role(role))
    }

    /// Asks for a permission, and thereby for a user of the type that can have it; a user without the
    /// permission gets 403.
    #[must_use]
    pub fn permission<P: Permissions>(self, permission: P) -> Self {
        self.user::<P::User>()
            .condition(Condition::permission(permission))
    }

    /// Asks for a condition, next to what was asked for before; a user who does not meet it gets 403.
    ///
    /// One that is about a user type needs [`user`](Self::user), unless it is that of the manager's
    /// first loader.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = self.condition.and(condition);
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
        self.condition.describe(&mut description);
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
        let LoginGuard {
            find,
            requirement,
            condition,
            ..
        } = &self.guard;
        let check = check(request.request(), *find, *requirement, condition);
        let service = Rc::clone(&self.service);
        Box::pin(async move {
            let decision = match check {
                GuardOutcome::Done(decision) => decision,
                GuardOutcome::Wait(deciding) => deciding.await,
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
