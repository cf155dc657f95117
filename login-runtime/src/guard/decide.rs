//! The decision of a guard: it lets a request through, or refuses it.
//!
//! 1. An OPTIONS request passes without a look at the user if the guard or the manager exempts those.
//! 2. A request without a user is refused as anonymous, one of an inactive user as inactive.
//! 3. A user who does not meet the condition is forbidden (403), even if the login is stale as well:
//!    to log in again would not help.
//! 4. A stale login is refused if the guard asks for a fresh one.
//! 5. If a loader or a condition fails, there is no decision, and the answer is 503.
//!
//! A request whose user is known already is decided without a future, unless its condition has to be
//! awaited. This is the hot path.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use actix_web::{Error, HttpRequest, ResponseError, error::InternalError, http::Method};

use crate::{
    conditions::{Condition, ConditionAnswer, Subject, Unanswered},
    core::{EndReason, Freshness, RefusalReason, Requirement, freshness},
    error::{LoadError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    http::Seen,
    manager::Manager,
    refusal::{self, ClientRefusal, RefusalKind, RefusedLogin, Refusing},
    request::{
        LoginState, RequestUser,
        fast_lookup::{FastLookup, Look},
    },
};

/// Finds the position of the guard's user type in the manager.
pub(crate) type FindUser = fn(&Manager) -> Result<usize, SetupError>;

/// The user, or why there is none. An exempt OPTIONS request passes without a user.
pub(crate) type Decision = Result<Option<RequestUser>, Denied>;

/// A decision that may have to wait for a look-up or for code of the application.
#[allow(
    clippy::large_enum_variant,
    reason = "a box would be allocated for each request"
)]
pub(crate) enum GuardOutcome {
    /// `None` once it was polled: then it stays pending, and lets nothing through.
    Now(Option<Decision>),
    /// The record or the user is being loaded, as for most requests. No future is boxed for it.
    LookUp {
        lookup: FastLookup,
        request: HttpRequest,
        requirement: Requirement,
        condition: Condition,
    },
    Later(Pin<Box<dyn Future<Output = Decision>>>),
}

impl GuardOutcome {
    pub(crate) fn now(decision: Decision) -> Self {
        Self::Now(Some(decision))
    }
}

impl Future for GuardOutcome {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Decision> {
        loop {
            let next = match &mut *self {
                Self::Now(decision) => {
                    return decision.take().map_or(Poll::Pending, Poll::Ready);
                }
                Self::Later(decision) => return decision.as_mut().poll(cx),
                Self::LookUp {
                    lookup,
                    request,
                    requirement,
                    condition,
                } => {
                    let found = ready!(lookup.poll(request, cx));
                    let check = GuardCheck {
                        manager: lookup.manager(),
                        index: lookup.index(),
                        requirement: *requirement,
                        condition,
                    };
                    match found {
                        Some(Ok(user)) => check.decide(request, user),
                        Some(Err(error)) => Self::now(Err(failed(request, check.manager, error))),
                        None => check.look_up(request),
                    }
                }
            };
            match next {
                Self::Now(decision) => {
                    *self = Self::Now(None);
                    return decision.map_or(Poll::Pending, Poll::Ready);
                }
                next => *self = next,
            }
        }
    }
}

impl From<Refusing> for GuardOutcome {
    fn from(refusing: Refusing) -> Self {
        match refusing {
            Refusing::Now(refusal) => Self::now(Err(Denied::Refused(refusal))),
            later => Self::Later(Box::pin(async move {
                Err(Denied::Refused(Box::new(later.done().await)))
            })),
        }
    }
}

/// Why a handler does not run.
pub(crate) enum Denied {
    Refused(Box<Refusal>),
    /// There is no decision: a loader failed, or there is no login manager.
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

/// Decides whether a guard lets a request through.
pub(crate) fn check(
    request: &HttpRequest,
    find: FindUser,
    requirement: Requirement,
    condition: &Condition,
) -> GuardOutcome {
    if request.method() == Method::OPTIONS
        && let Some(manager) = Manager::peek(request)
        && (requirement.exempt_options || manager.guards.exempt_options)
    {
        return GuardOutcome::now(Ok(None));
    }
    check_user(request, find, requirement, condition)
}

/// Decides whether the user of a request meets a guard, without a future if possible.
pub(crate) fn check_user(
    request: &HttpRequest,
    find: FindUser,
    requirement: Requirement,
    condition: &Condition,
) -> GuardOutcome {
    match Manager::of(request).and_then(|manager| Ok((manager, find(manager)?))) {
        Ok(found) => check_found(request, found, requirement, condition),
        Err(error) => GuardOutcome::now(Err(error.into())),
    }
}

/// The same for a caller that has the manager and the position of the user type.
pub(crate) fn check_found(
    request: &HttpRequest,
    (manager, index): (&Arc<Manager>, usize),
    requirement: Requirement,
    condition: &Condition,
) -> GuardOutcome {
    Seen::note_guard();
    let check = GuardCheck {
        manager,
        index,
        requirement,
        condition,
    };
    let user = match LoginState::look(request, manager, index) {
        Look::Known(user) => user,
        Look::Nobody if !manager.events.access_is_heard() => {
            return check.refuse(request, RefusalReason::Anonymous, None, None);
        }
        Look::Nobody => None,
        Look::Fast(lookup) => {
            return GuardOutcome::LookUp {
                lookup,
                request: request.clone(),
                requirement,
                condition: condition.clone(),
            };
        }
        Look::Slow => return check.look_up(request),
    };
    if manager.events.access_is_heard()
        && let Ok(state) = LoginState::of(request)
    {
        state.accessed(request);
    }
    check.decide(request, user)
}

/// What a guard asks for, and the manager that knows the user type.
struct GuardCheck<'a> {
    manager: &'a Arc<Manager>,
    index: usize,
    requirement: Requirement,
    condition: &'a Condition,
}

impl GuardCheck<'_> {
    /// Looks up the user, then decides.
    fn look_up(&self, request: &HttpRequest) -> GuardOutcome {
        let state = LoginState::of_or_new(request, self.manager);
        let (request, condition) = (request.clone(), self.condition.clone());
        let (index, requirement) = (self.index, self.requirement);
        GuardOutcome::Later(Box::pin(async move {
            if requirement.passive {
                state.passive.set(true);
            }
            let user = match state.user(&request, index).await {
                Ok(user) => user,
                Err(error) => return Err(failed(&request, &state.manager, error)),
            };
            let check = GuardCheck {
                manager: &state.manager,
                index,
                requirement,
                condition: &condition,
            };
            check.decide(&request, user).await
        }))
    }

    /// Decides about a user who has been looked up.
    fn decide(&self, request: &HttpRequest, user: Option<RequestUser>) -> GuardOutcome {
        let Some(user) = user else {
            let ended = LoginState::ended(request, self.manager, self.index);
            return self.refuse(request, RefusalReason::Anonymous, None, ended);
        };
        // Only freshness needs the time.
        let now = match self.requirement.freshness {
            Freshness::Any => 0,
            Freshness::Default | Freshness::Within(_) => self.manager.now(),
        };
        let login = Some((user.authenticated, &user.facts));
        let login = freshness::decide(&self.requirement, login, self.manager.guards.fresh_for, now);
        // The condition comes before freshness: a user who may never do this is not asked for a
        // password first.
        let answer = match (self.manager.users.get(self.index), login) {
            (Some(user_type), Ok(()) | Err(RefusalReason::Stale))
                if !self.condition.is_always() =>
            {
                self.condition.ask(&Subject {
                    user_type: Arc::clone(user_type),
                    user: Rc::clone(&user.user),
                    request: request.clone(),
                })
            }
            _ => ConditionAnswer::Now(Ok(true)),
        };
        match answer {
            ConditionAnswer::Now(answer) => self.conclude(request, user, answer, login),
            ConditionAnswer::Later(answer) => {
                let (request, manager) = (request.clone(), Arc::clone(self.manager));
                let (index, requirement) = (self.index, self.requirement);
                let condition = self.condition.clone();
                GuardOutcome::Later(Box::pin(async move {
                    let check = GuardCheck {
                        manager: &manager,
                        index,
                        requirement,
                        condition: &condition,
                    };
                    check.conclude(&request, user, answer.await, login).await
                }))
            }
        }
    }

    /// Decides by the answer to the condition and by what the login itself is worth.
    fn conclude(
        &self,
        request: &HttpRequest,
        user: RequestUser,
        answer: Result<bool, Unanswered>,
        login: Result<(), RefusalReason>,
    ) -> GuardOutcome {
        let decision = match (answer, login) {
            (Ok(true), Ok(())) => Ok(Some(user)),
            (Ok(true), Err(reason)) => {
                let ended = LoginState::ended(request, self.manager, self.index);
                return self.refuse(request, reason, Some(&user), ended);
            }
            (Ok(false), _) => return self.forbid(request, &user),
            (Err(Unanswered::Setup(error)), _) => Err(error.into()),
            (Err(Unanswered::Failed(error)), _) => {
                let event = LoginEvent::LoadFailed { error: &error };
                self.manager.events.emit(&event, request);
                Err(failed(request, self.manager, error))
            }
        };
        GuardOutcome::now(decision)
    }

    fn refuse(
        &self,
        request: &HttpRequest,
        reason: RefusalReason,
        user: Option<&RequestUser>,
        ended: Option<EndReason>,
    ) -> GuardOutcome {
        let user = user.zip(self.manager.users.get(self.index));
        refusal::refuse(
            request,
            &self.manager.refusal,
            &self.manager.events,
            ClientRefusal {
                kind: RefusalKind::of(reason),
                reason,
                max_age: self.manager.guards.max_age(self.requirement.freshness),
                ended,
            },
            user.map(|(user, user_type)| RefusedLogin {
                user: Some(EventUser::new(user_type, &*user.user)),
                login: self.manager.event_login(user_type, user.login),
            })
            .unwrap_or_default(),
        )
        .into()
    }

    fn forbid(&self, request: &HttpRequest, user: &RequestUser) -> GuardOutcome {
        let user_type = self.manager.users.get(self.index);
        let event = LoginEvent::Forbidden {
            user: user_type.map(|user_type| EventUser::new(user_type, &*user.user)),
            login: user_type.and_then(|user_type| self.manager.event_login(user_type, user.login)),
            condition: Some(self.condition),
        };
        refusal::forbid(
            request,
            &self.manager.refusal,
            &self.manager.events,
            &event,
            RefusalReason::Forbidden,
        )
        .into()
    }
}

/// The answer to a request whose user, or permission, could not be loaded.
pub(crate) fn failed(request: &HttpRequest, manager: &Manager, error: LoadError) -> Denied {
    let response = refusal::load_failed(request, &manager.refusal, &error);
    Denied::Failed(InternalError::from_response(error, response).into())
}
