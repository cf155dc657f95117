//! Guards as middleware, for scopes, resources and applications.

use std::{
    any::type_name,
    borrow::Cow,
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
use derive_more::Debug;

use crate::{
    conditions::Condition,
    core::{AuthUser, Freshness, Requirement},
    guard::{DefaultUser, Denied, FindUser, check, describe_options, find},
    request::{Declaration, Opens},
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
        find: find::<DefaultUser>,
        user_name: None,
        requirement: Requirement::LOGIN,
        condition: Condition::ALWAYS,
    }
}

/// A guard for a whole scope that asks for a fresh login; see [`login_required`](fn@login_required).
pub fn fresh_login_required() -> LoginGuard {
    let mut guard = login_required();
    guard.requirement.freshness = Freshness::Default;
    guard
}

/// A guard as middleware; made by [`login_required`](fn@login_required) and
/// [`fresh_login_required`](fn@fresh_login_required).
#[derive(Clone, Debug)]
pub struct LoginGuard {
    #[debug(skip)]
    find: FindUser,
    /// The name of the user type, if the guard names one.
    #[debug(skip)]
    user_name: Option<&'static str>,
    requirement: Requirement,
    condition: Condition,
}

impl LoginGuard {
    /// Asks for a user of this type, instead of the type of the manager's first loader.
    #[must_use]
    pub fn user<U: AuthUser>(mut self) -> Self {
        self.find = find::<U>;
        self.user_name = Some(type_name::<U>());
        self
    }

    /// Asks for a fresh login that is at most this old.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.requirement.freshness = Freshness::Within(age);
        self
    }

    /// Asks for a role, according to [`AuthUser::has_role`]; a user without it gets 403.
    #[must_use]
    pub fn role(self, role: impl Into<Cow<'static, str>>) -> Self {
        self.condition(Condition::role(role))
    }

    /// Asks for a permission, and for a user of the type that the permission belongs to; a user without
    /// the permission gets 403.
    #[must_use]
    pub fn permission<P: Permissions>(self, permission: P) -> Self {
        self.user::<P::User>()
            .condition(Condition::permission(permission))
    }

    /// Asks for a condition, in addition to earlier ones; a user who does not meet it gets 403.
    ///
    /// A condition about a user type needs [`user`](Self::user), unless it is the type of the manager's
    /// first loader.
    #[must_use]
    pub fn condition(mut self, condition: Condition) -> Self {
        self.condition = self.condition.and(condition);
        self
    }

    /// Does not count requests as use of the login, so that a page which polls does not keep a user
    /// logged in. Only matters with a login store, which has an idle limit.
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
#[derive(Debug)]
pub struct LoginGuardService<S> {
    #[debug(skip)]
    service: Rc<S>,
    guard: LoginGuard,
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
        let LoginGuard {
            find,
            user_name,
            requirement,
            condition,
        } = &self.guard;
        declare(&request, Opens::Guarded, || {
            Declaration::Guard(describe_options(*user_name, *requirement, condition))
        });
        #[cfg(feature = "audit")]
        if crate::routes::probe::is_audited(request.request()) {
            // The audit also sees the declarations inside. The handler does not run.
            let inner = self.service.call(request);
            return Box::pin(async move { inner.await.map(ServiceResponse::map_into_left_body) });
        }
        let service = Rc::clone(&self.service);
        let (find, requirement, condition) = (*find, *requirement, condition.clone());
        Box::pin(async move {
            // Not before the first poll: what a hook sends earlier does not reach a middleware around the
            // guard that keeps messages in a task local.
            let outcome = check(request.request(), find, requirement, &condition).await;
            match outcome {
                Ok(_) => service
                    .call(request)
                    .await
                    .map(ServiceResponse::map_into_left_body),
                // Responses and not errors: actix-session drops the changes to a session together
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
