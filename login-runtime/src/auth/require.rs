//! Makes the decisions of guards inside a handler.

use crate::{
    auth::auth::Auth,
    conditions::Condition,
    core::{AuthUser, Freshness, RefusalReason, Requirement},
    error::{LoginError, Refusal},
    events::{EventUser, LoginEvent},
    guard::{CurrentUser, FreshUser, MaybeUser, decide, find},
    refusal::{self, ClientRefusal, RefusalKind, RefusedLogin},
    request::LoginState,
};

impl<U: AuthUser> Auth<U> {
    /// Makes the decision of `#[login_required]` inside the handler: returns the current user, or the
    /// refusal to return with `?`.
    ///
    /// # Errors
    ///
    /// The refusal, or the response to a failing loader.
    pub async fn require_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        self.meet(Requirement::LOGIN, Condition::ALWAYS).await
    }

    /// Makes the decision of `#[fresh_login_required]` inside the handler, and returns the proof of it.
    ///
    /// # Errors
    ///
    /// The refusal, or the response to a failing loader.
    pub async fn require_fresh_login(&self) -> Result<FreshUser<U>, actix_web::Error> {
        let requirement = Requirement {
            freshness: Freshness::Default,
            ..Requirement::LOGIN
        };
        let user = self.meet(requirement, Condition::ALWAYS).await?;
        Ok(FreshUser::of(user))
    }

    /// Makes the decision of `#[login_required(role = ..)]` and similar guards inside the handler:
    /// returns the user if the condition is met, or the refusal to return with `?`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{Result, delete, web};
    /// use login_runtime::{Auth, AuthUser, guards::Condition, login_required};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64, #[auth(roles)] roles: Vec<String> }
    ///
    /// #[login_required]
    /// #[delete("/users/{id}")]
    /// async fn delete_user(auth: Auth<User>, id: web::Path<i64>) -> Result<String> {
    ///     let id = id.into_inner();
    ///     // A user who is neither this user nor an admin gets 403.
    ///     let oneself = Condition::check(move |user: &User| user.id == id);
    ///     let user = auth.require(Condition::any([Condition::role("admin"), oneself])).await?;
    ///     Ok(format!("{id} deleted by {}", user.id))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The refusal, or the response to a failing loader or permission check.
    pub async fn require(&self, condition: Condition) -> Result<CurrentUser<U>, actix_web::Error> {
        self.meet(Requirement::LOGIN, condition).await
    }

    async fn meet(
        &self,
        requirement: Requirement,
        condition: Condition,
    ) -> Result<CurrentUser<U>, actix_web::Error> {
        let user = decide::check_user(&self.request, find::<U>, requirement, &condition).await?;
        let user = MaybeUser::of(&user, self.manager()).into_user();
        user.ok_or_else(|| LoginError::NotLoggedIn.into())
    }

    /// The response of a guard to an anonymous client, even if a user is logged in.
    pub async fn unauthorized(&self) -> Refusal {
        self.refuse(RefusalKind::Unauthorized).await
    }

    /// The response of a guard to a stale login, even if the login is fresh.
    pub async fn needs_refresh(&self) -> Refusal {
        self.refuse(RefusalKind::NeedsRefresh).await
    }

    /// The response of a guard to a user who may not do this.
    pub async fn forbidden(&self) -> Refusal {
        // A refusal does not look up the user.
        let user = LoginState::peek(&self.request, &self.state.manager, self.index).flatten();
        let user = user.as_ref().zip(self.user_type().ok());
        let event = LoginEvent::Forbidden {
            user: user.map(|(user, user_type)| EventUser::new(user_type, &*user.user)),
            login: user
                .and_then(|(user, user_type)| self.manager().event_login(user_type, user.login)),
            condition: None,
        };
        let manager = self.manager();
        refusal::forbid(
            &self.request,
            &manager.refusal,
            &manager.events,
            &event,
            RefusalReason::Asked,
        )
        .done()
        .await
    }

    async fn refuse(&self, kind: RefusalKind) -> Refusal {
        let manager = self.manager();
        // A refusal does not look up the user.
        let user = LoginState::peek(&self.request, &self.state.manager, self.index).flatten();
        let user = user.as_ref().zip(self.user_type().ok());
        let login = user
            .map(|(user, user_type)| RefusedLogin {
                user: Some(EventUser::new(user_type, &*user.user)),
                login: manager.event_login(user_type, user.login),
            })
            .unwrap_or_default();
        refusal::refuse(
            &self.request,
            &manager.refusal,
            &manager.events,
            ClientRefusal {
                kind,
                reason: RefusalReason::Asked,
                max_age: manager.guards.fresh_for,
                ended: LoginState::ended(&self.request, &self.state.manager, self.index),
            },
            login,
        )
        .done()
        .await
    }
}
