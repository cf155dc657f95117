//! Extractors for the current user, required and optional.

use std::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, error::ErrorUnauthorized};
use derive_more::Debug;

use crate::{
    clock::Clock,
    conditions::Condition,
    core::{AuthUser, LoginFacts, LoginSource, Requirement, freshness},
    error::SetupError,
    guard::{
        decide::{self, Decision, GuardOutcome},
        policy::find,
    },
    manager::Manager,
    request::{LoginState, RequestUser},
};

/// The user who is logged in.
///
/// Dereferences to the application's user. The user is loaded once per request, shared and never
/// cloned. In a handler without a guard, this argument refuses anonymous clients as
/// `#[login_required]` does, but other arguments may be extracted before it.
///
/// Facts about the login are associated functions, so that they do not hide methods of the user:
/// `CurrentUser::is_fresh(&user)`.
///
/// # Security
///
/// Do not take `Option<CurrentUser<U>>`: actix-web turns every error into `None`, even if the user
/// could not be *loaded*. Use [`MaybeUser`], which answers 503 in that case.
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

    pub(crate) fn of(user: &RequestUser, manager: &Manager) -> Option<Self> {
        let typed = Rc::clone(&user.user).downcast().ok()?;
        Some(Self::new(typed, user.facts, manager))
    }

    /// A user for a test, whose credentials have just been given, or long ago.
    #[cfg(feature = "test-util")]
    pub(crate) fn of_test(user: U, fresh: bool) -> Self {
        let clock = Arc::new(crate::clock::SystemClock);
        let at = if fresh { clock.now() } else { 0 };
        Self {
            user: Rc::new(user),
            facts: LoginFacts::new(LoginSource::Session, Some(at), fresh),
            fresh_for: None,
            clock,
        }
    }

    /// Whether credentials were given in this session, and recently enough if the manager sets a
    /// limit.
    pub fn is_fresh(this: &Self) -> bool {
        freshness::is_fresh(&this.facts, this.fresh_for, this.clock.now())
    }

    /// Where the login came from.
    pub fn source(this: &Self) -> LoginSource {
        this.facts.source
    }

    /// When credentials were given; `None` for a user from the request loader.
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
        // Not the user, which may contain a password hash and need not be `Debug`.
        f.debug_struct("CurrentUser")
            .field("login", &self.facts)
            .finish_non_exhaustive()
    }
}

/// The user, if one is logged in.
///
/// If a loader fails, the answer is 503; a user never becomes anonymous because of an outage.
pub struct MaybeUser<U> {
    user: Option<CurrentUser<U>>,
    authenticated: bool,
}

impl<U: AuthUser> MaybeUser<U> {
    pub(crate) fn of(user: &Option<RequestUser>, manager: &Manager) -> Self {
        Self {
            user: user
                .as_ref()
                .and_then(|user| CurrentUser::of(user, manager)),
            authenticated: user.as_ref().is_some_and(|user| user.authenticated),
        }
    }

    #[cfg(feature = "test-util")]
    pub(crate) fn of_test(user: Option<U>) -> Self {
        let is_active = |user: &U| user.is_active() && user.is_authenticated();
        Self {
            authenticated: user.as_ref().is_some_and(is_active),
            user: user.map(|user| CurrentUser::of_test(user, true)),
        }
    }

    /// The user, if guards would let it through.
    pub fn user(&self) -> Option<&CurrentUser<U>> {
        self.user.as_ref().filter(|_| self.authenticated)
    }

    /// The user by value, if guards would let it through.
    pub fn into_user(self) -> Option<CurrentUser<U>> {
        self.user.filter(|_| self.authenticated)
    }

    /// The user who is logged in, if guards refuse it because it is inactive.
    ///
    /// Use it to explain the refusal, and not to decide what the client may see.
    pub fn inactive(&self) -> Option<&CurrentUser<U>> {
        self.user.as_ref().filter(|_| !self.authenticated)
    }

    /// Whether guards would let this user through.
    pub fn is_authenticated(&self) -> bool {
        self.user().is_some()
    }

    /// Whether the client is anonymous: no user is logged in.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none()
    }

    /// Maps the user, or makes the value for an anonymous client.
    ///
    /// `MaybeUser` needs no anonymous user type. An application that has one can make it here.
    pub fn map_or_else<T>(&self, anonymous: impl FnOnce() -> T, user: impl FnOnce(&U) -> T) -> T {
        match self.user() {
            Some(current) => user(current),
            None => anonymous(),
        }
    }
}

impl<U> fmt::Debug for MaybeUser<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaybeUser")
            .field("login", &self.user.as_ref().map(|user| user.facts))
            .field("authenticated", &self.authenticated)
            .finish_non_exhaustive()
    }
}

impl<U: AuthUser> FromRequest for CurrentUser<U> {
    type Error = Error;
    type Future = CurrentUserFuture<U>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // Not exempt for OPTIONS requests: the handler needs a user.
        CurrentUserFuture::of(request, Requirement::LOGIN, &Condition::ALWAYS)
    }
}

/// Decides whether there is a user, and extracts it.
#[derive(Debug)]
#[debug("CurrentUserFuture")]
pub struct CurrentUserFuture<U>(Extraction<U>);

#[allow(
    clippy::large_enum_variant,
    reason = "a box would be allocated for each request"
)]
enum Extraction<U> {
    /// Behind a guard, the user is known. `None` once it was polled: then it stays pending.
    Done(Option<Result<CurrentUser<U>, Error>>),
    Waits {
        outcome: GuardOutcome,
        request: HttpRequest,
    },
}

impl<U: AuthUser> CurrentUserFuture<U> {
    pub(crate) fn of(
        request: &HttpRequest,
        requirement: Requirement,
        condition: &Condition,
    ) -> Self {
        let found = Manager::of(request).and_then(|manager| Ok((manager, find::<U>(manager)?)));
        let (manager, index) = match found {
            Ok(found) => found,
            Err(error) => return Self::failed(error),
        };
        match decide::check_found(request, (manager, index), requirement, condition) {
            GuardOutcome::Now(Some(decision)) => {
                Self(Extraction::Done(Some(extracted(decision, manager))))
            }
            outcome => Self(Extraction::Waits {
                outcome,
                request: request.clone(),
            }),
        }
    }

    pub(crate) fn failed(error: SetupError) -> Self {
        Self(Extraction::Done(Some(Err(error.into()))))
    }
}

fn extracted<U: AuthUser>(decision: Decision, manager: &Manager) -> Result<CurrentUser<U>, Error> {
    let user = decision?.and_then(|user| CurrentUser::of(&user, manager));
    // Always a user in practice: the loader returns this type, and the check refuses the rest.
    user.ok_or_else(|| ErrorUnauthorized("nobody is logged in"))
}

impl<U: AuthUser> Future for CurrentUserFuture<U> {
    type Output = Result<CurrentUser<U>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Extraction::Done(user) => user.take().map_or(Poll::Pending, Poll::Ready),
            Extraction::Waits { outcome, request } => {
                let decision = ready!(Pin::new(outcome).poll(cx));
                Poll::Ready(extracted(decision, Manager::of(request)?))
            }
        }
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
                Ok(user) => Ok(Self::of(&user, manager)),
                Err(error) => Err(decide::failed(&request, manager, error).into()),
            }
        })
    }
}
