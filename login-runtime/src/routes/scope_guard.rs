//! TODO routes/scope_guard.rs

use std::{
    borrow::Cow,
    fmt,
    future::{Future, Ready, ready},
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
};

use crate::{
    conditions::{Condition, Description},
    core::{AuthUser, Freshness, Requirement},
    guard::{Denied, FindUser, GuardManager, GuardOutcome, GuardUser, check},
    request::Declaration,
    routes::declare::declare,
    users::Permissions,
};

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
        if crate::routes::probe::is_audited(&request) {
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
