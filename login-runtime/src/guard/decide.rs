//! TODO guard/decide.rs

use std::{future::Future, pin::Pin, rc::Rc, sync::Arc};

use actix_web::{Error, HttpRequest, ResponseError, error::InternalError, http::Method};

use crate::{
    conditions::{Condition, ConditionAnswer, Subject, Unanswered},
    core::{
        Freshness, RefusalReason, Requirement,
        freshness::{self},
    },
    error::{LoadError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    manager::Manager,
    refusal::{self, RefusalKind, Refusing},
    request::{LoginState, RequestUser},
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
            Ok(manager) if requirement.exempt_options || manager.guards.exempt_options => {
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
        let state = LoginState::of_or_new(request, manager);
        return GuardOutcome::Wait(look_up(state, request, index, requirement, condition));
    };
    if manager.events.access_is_heard()
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
fn look_up(
    state: Rc<LoginState>,
    request: &HttpRequest,
    index: usize,
    requirement: Requirement,
    condition: &Condition,
) -> GuardFuture {
    let (request, condition) = (request.clone(), condition.clone());
    Box::pin(async move {
        if requirement.passive {
            state.set_passive();
        }
        let who = match state.user(&request, index).await {
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
    Later(ConditionAnswer, Result<(), RefusalReason>),
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
            return match self.refuse(request, RefusalReason::Anonymous) {
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
        let login = freshness::decide(&self.requirement, login, self.manager.guards.fresh_for, now);
        // Before freshness: whoever may never do this is not sent to give a password for it.
        let user_type = self.manager.users.get(self.index);
        let answer = match (who.as_ref().zip(user_type), login) {
            (Some((known, user_type)), Ok(()) | Err(RefusalReason::Stale))
                if !self.condition.is_always() =>
            {
                self.condition.ask(&Subject {
                    user_type: Arc::clone(user_type),
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
        login: Result<(), RefusalReason>,
    ) -> Decision {
        let reason = match (answer, login) {
            (Ok(true), Ok(())) => return Decision::Passes,
            (Ok(true), Err(reason)) => reason,
            (Ok(false), _) => return self.forbid(request, who.as_ref()).into(),
            (Err(Unanswered::Setup(error)), _) => return Decision::Denies(error.into()),
            (Err(Unanswered::Failed(error)), _) => {
                self.manager
                    .events
                    .emit(&LoginEvent::LoadFailed { error: &error }, request);
                return Decision::Denies(failed(request, self.manager, error));
            }
        };
        self.refuse(request, reason).into()
    }

    fn refuse(&self, request: &HttpRequest, reason: RefusalReason) -> Refusing {
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
        refusal::forbid(
            request,
            &self.manager.refusal,
            &self.manager.events,
            &event,
            RefusalReason::Forbidden,
        )
    }
}

fn failed(request: &HttpRequest, manager: &Manager, error: LoadError) -> Denied {
    let response = refusal::load_failed(request, &manager.refusal, &error);
    Denied::Failed(InternalError::from_response(error, response).into())
}

pub(crate) fn refuse(
    request: &HttpRequest,
    manager: &Manager,
    reason: RefusalReason,
    requirement: Requirement,
) -> Refusing {
    refusal::refuse(
        request,
        &manager.refusal,
        &manager.events,
        RefusalKind::of(reason),
        reason,
        manager.guards.max_age(requirement.freshness),
    )
}
