//! Extractors for the current user, required and optional.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, error::InternalError};
use derive_more::Debug;

use crate::{
    clock::Clock,
    conditions::Condition,
    core::{
        AuthUser, LoginFacts, LoginSource, Requirement,
        freshness::{self},
    },
    error::SetupError,
    guard::{
        decide::{self, GuardOutcome},
        policy::{GuardManager, GuardUser},
    },
    manager::Manager,
    refusal::{self},
    request::{LoginState, RequestUser},
};

/// The user who is logged in.
///
/// Dereferences to the application's user; nothing is cloned, and all who ask within a request share
/// one load. In a handler without a guard it refuses anonymous clients as `#[login_required]` does,
/// though not before other arguments were extracted.
///
/// What is known about the login are associated functions, so that they do not hide methods of the
/// user: `CurrentUser::is_fresh(&user)`.
///
/// # Security
///
/// Do not take `Option<CurrentUser<U>>`: actix-web makes it `None` when the user could not be
/// *loaded* as well. Use [`MaybeUser`], which answers 503 then.
pub struct CurrentUser<U> {
    user: Rc<U>,
    facts: LoginFacts,
    fresh_for: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl<U: AuthUser> CurrentUser<U> {
    pub(crate) fn new(user: Rc<U>, facts: LoginFacts, manager: &Manager) -> Self {
        Self {
            user,
            facts,
            fresh_for: manager.guards.fresh_for,
            clock: Arc::clone(&manager.clock),
        }
    }

    pub(crate) fn of(known: &RequestUser, manager: &Manager) -> Option<Self> {
        let user = Rc::clone(&known.user).downcast().ok()?;
        Some(Self::new(user, known.facts, manager))
    }

    /// Whether credentials were given in this session, and recently enough if the manager sets an
    /// age.
    pub fn is_fresh(this: &Self) -> bool {
        freshness::is_fresh(&this.facts, this.fresh_for, this.clock.now())
    }

    /// Where the login came from.
    pub fn source(this: &Self) -> LoginSource {
        this.facts.source
    }

    /// When credentials were given; `None` for a user whom the request loader found.
    pub fn authenticated_at(this: &Self) -> Option<SystemTime> {
        let seconds = u64::try_from(this.facts.authenticated_at?).ok()?;
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    /// The user, shared.
    pub fn into_inner(this: Self) -> Rc<U> {
        this.user
    }
}

impl<U> Deref for CurrentUser<U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.user
    }
}

impl<U> Clone for CurrentUser<U> {
    fn clone(&self) -> Self {
        Self {
            user: Rc::clone(&self.user),
            clock: Arc::clone(&self.clock),
            ..*self
        }
    }
}

impl<U> fmt::Debug for CurrentUser<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the user, who may hold a password hash and need not be `Debug`.
        f.debug_struct("CurrentUser")
            .field("login", &self.facts)
            .finish_non_exhaustive()
    }
}

/// The user, if one is logged in.
///
/// A failing loader answers 503 and never makes anybody anonymous.
pub struct MaybeUser<U> {
    known: Option<CurrentUser<U>>,
    authenticated: bool,
}

impl<U: AuthUser> MaybeUser<U> {
    pub(crate) fn of(who: &Option<RequestUser>, manager: &Manager) -> Self {
        Self {
            known: who
                .as_ref()
                .and_then(|known| CurrentUser::of(known, manager)),
            authenticated: who.as_ref().is_some_and(|known| known.authenticated),
        }
    }

    /// The user whom guards would let through.
    pub fn user(&self) -> Option<&CurrentUser<U>> {
        self.known.as_ref().filter(|_| self.authenticated)
    }

    /// The user whom guards would let through, by value.
    pub fn into_user(self) -> Option<CurrentUser<U>> {
        self.known.filter(|_| self.authenticated)
    }

    /// The user who was logged in and is refused by guards for being inactive.
    ///
    /// Good for saying why; not for deciding what may be seen.
    pub fn inactive(&self) -> Option<&CurrentUser<U>> {
        self.known.as_ref().filter(|_| !self.authenticated)
    }

    /// Whether guards would let this user through.
    pub fn is_authenticated(&self) -> bool {
        self.user().is_some()
    }

    /// Whether nobody is logged in.
    pub fn is_anonymous(&self) -> bool {
        self.known.is_none()
    }

    /// The user, or what the application has for those who are none.
    ///
    /// `MaybeUser` needs no anonymous user type; an application that has one gets it here.
    pub fn map_or_else<T>(&self, anonymous: impl FnOnce() -> T, user: impl FnOnce(&U) -> T) -> T {
        match self.user() {
            Some(known) => user(known),
            None => anonymous(),
        }
    }
}

impl<U> fmt::Debug for MaybeUser<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaybeUser")
            .field("login", &self.known.as_ref().map(|known| known.facts))
            .field("authenticated", &self.authenticated)
            .finish_non_exhaustive()
    }
}

pub(crate) fn find<U: AuthUser>(manager: &Manager) -> Result<usize, SetupError> {
    <U as GuardUser>::find(&GuardManager(manager))
}

impl<U: AuthUser> FromRequest for CurrentUser<U> {
    type Error = Error;
    type Future = CurrentUserFuture<U>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Whoever wants the user wants it of an OPTIONS request too.
        CurrentUserFuture::of(request, Requirement::LOGIN, &Condition::ALWAYS)
    }
}

/// Finds out who the user is.
#[derive(Debug)]
#[debug("CurrentUserFuture")]
pub struct CurrentUserFuture<U> {
    check: Option<GuardOutcome>,
    request: HttpRequest,
    user: PhantomData<fn() -> U>,
}

impl<U: AuthUser> CurrentUserFuture<U> {
    pub(crate) fn of(
        request: &HttpRequest,
        requirement: Requirement,
        condition: &Condition,
    ) -> Self {
        Self::new(
            request,
            decide::check_user(request, find::<U>, requirement, condition),
        )
    }

    pub(crate) fn failed(request: &HttpRequest, error: SetupError) -> Self {
        Self::new(request, GuardOutcome::Done(Err(error.into())))
    }

    fn new(request: &HttpRequest, check: GuardOutcome) -> Self {
        Self {
            check: Some(check),
            request: request.clone(),
            user: PhantomData,
        }
    }
}

impl<U: AuthUser> Future for CurrentUserFuture<U> {
    type Output = Result<CurrentUser<U>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let decision = match this.check.take() {
            Some(GuardOutcome::Done(decision)) => decision,
            Some(GuardOutcome::Wait(mut deciding)) => match Pin::new(&mut deciding).poll(cx) {
                Poll::Ready(decision) => decision,
                Poll::Pending => {
                    this.check = Some(GuardOutcome::Wait(deciding));
                    return Poll::Pending;
                }
            },
            None => return Poll::Pending,
        };
        let user = decision.map_err(Error::from).and_then(|who| {
            let manager = Manager::of(&this.request)?;
            let known = who
                .as_ref()
                .and_then(|known| CurrentUser::of(known, manager));
            // A loader returns its own type, and nobody else passes the check.
            known.ok_or_else(|| actix_web::error::ErrorUnauthorized("nobody is logged in"))
        });
        Poll::Ready(user)
    }
}

impl<U: AuthUser> FromRequest for MaybeUser<U> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (manager, index) = Manager::find::<U>(&request)?;
            let state = LoginState::of(&request)?;
            match state.user(&request, index).await {
                Ok(who) => Ok(Self::of(&who, manager)),
                Err(error) => {
                    let response = refusal::load_failed(&request, &manager.refusal, &error);
                    Err(InternalError::from_response(error, response).into())
                }
            }
        })
    }
}
