//! What guards decide, decided by a handler.

use crate::{
    auth::auth::Auth,
    conditions::Condition,
    core::{AuthUser, Freshness, RefusalReason, Requirement},
    error::{LoginError, Refusal},
    events::{EventUser, LoginEvent},
    guard::{
        CurrentUser, MaybeUser,
        decide::{self},
        find,
    },
    refusal::{self, RefusalKind},
    request::LoginState,
};

impl<U: AuthUser> Auth<U> {
    /// Decides inside the handler what `#[login_required]` decides before it: the current user, or
    /// the refusal to return with `?`.
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader.
    pub async fn require_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        self.meet(Requirement::LOGIN, Condition::ALWAYS).await
    }

    /// Decides inside the handler what `#[fresh_login_required]` decides before it.
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader.
    pub async fn require_fresh_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        let requirement = Requirement {
            freshness: Freshness::Default,
            ..Requirement::LOGIN
        };
        self.meet(requirement, Condition::ALWAYS).await
    }

    /// Decides inside the handler what `#[login_required(role = ..)]` and its relatives decide before
    /// it: the user who meets the condition, or the refusal to return with `?`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{Result, delete, web};
    /// use login_runtime::{Auth, AuthUser, Condition, login_required};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64, #[auth(roles)] roles: Vec<String> }
    ///
    /// #[login_required]
    /// #[delete("/users/{id}")]
    /// async fn delete_user(auth: Auth<User>, id: web::Path<i64>) -> Result<String> {
    ///     let id = id.into_inner();
    ///     // Who is neither this user nor an admin gets 403.
    ///     let oneself = Condition::check(move |user: &User| user.id == id);
    ///     let user = auth.require(Condition::any([Condition::role("admin"), oneself])).await?;
    ///     Ok(format!("{id} deleted by {}", user.id))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader or permission check.
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

    /// What a guard answers a client without a login, whoever is logged in.
    pub async fn unauthorized(&self) -> Refusal {
        self.refuse(RefusalKind::Unauthorized).await
    }

    /// What a guard answers a client with a stale login, whoever is logged in.
    pub async fn needs_refresh(&self) -> Refusal {
        self.refuse(RefusalKind::NeedsRefresh).await
    }

    /// What a guard answers a user who may not do this.
    pub async fn forbidden(&self) -> Refusal {
        // Nobody is looked up for a refusal.
        let who = LoginState::peek(&self.request, &self.state.manager, self.index).flatten();
        let user = who.as_ref().zip(self.kind());
        let event = LoginEvent::Forbidden {
            user: user.map(|(known, kind)| EventUser::new(kind, &*known.user)),
            condition: None,
        };
        refusal::forbid(
            &self.request,
            &self.manager().refusal,
            &self.manager().events,
            &event,
            RefusalReason::Asked,
        )
        .done()
        .await
    }

    pub(crate) async fn refuse(&self, kind: RefusalKind) -> Refusal {
        refusal::refuse(
            &self.request,
            &self.manager().refusal,
            &self.manager().events,
            kind,
            RefusalReason::Asked,
            self.manager().guards.fresh_for,
        )
        .done()
        .await
    }
}
