//! Confirms a login, and continues one whose user has new credentials.

use std::{future::Future, pin::Pin, rc::Rc};

use crate::{
    auth::{auth::Auth, establish::Establish, safe_method::Change},
    core::{AuthUser, LoginSource},
    error::LoginError,
    events::{EventUser, LogInRefusal, LoginEvent},
    guard::CurrentUser,
    request::{LoginState, remember_cookie},
    store::{LoginRef, LoginStore as _, Replaced},
    users::{AuthMethod, IntoVerified, Verified},
};

/// The future of [`Auth::confirm_login`]. Its type does not contain the argument's, so that a wrong
/// argument causes a single compiler error.
type Confirming<'a, U> = Pin<Box<dyn Future<Output = Result<CurrentUser<U>, LoginError>> + 'a>>;

impl<U: AuthUser> Auth<U> {
    /// Makes the current login fresh, after its user gave credentials again.
    ///
    /// The session gets a new id, and the login is bound to the client of this request. The remember
    /// cookie does not change.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Result, post};
    /// use login_runtime::{Auth, AuthUser, CurrentUser, Verified, login_required};
    ///
    /// #[derive(AuthUser, Clone)]
    /// struct User { id: i64 }
    ///
    /// // At the manager's `refresh_view`. Not `fresh`: a stale login has to get here.
    /// #[login_required]
    /// #[post("/confirm")]
    /// async fn confirm(auth: Auth<User>, user: CurrentUser<User>, typed: String) -> Result<HttpResponse> {
    ///     let Some(verified) = verify(User::clone(&user), &typed) else {
    ///         return Ok(HttpResponse::Unauthorized().finish());
    ///     };
    ///     auth.confirm_login(verified).await?;
    ///     Ok(auth.redirect_to_next_or("/"))
    /// }
    ///
    /// // In place of `PasswordVerifier::verify`.
    /// fn verify(user: User, typed: &str) -> Option<Verified<User>> {
    ///     (typed == "difference engine").then(|| Verified::trust(user, "example"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`] if there is no login in the session, [`LoginError::OtherUser`] if the
    /// credentials are another user's, [`LoginError::SafeMethod`] for a GET request without a
    /// [checked state](Verified::state_checked). Nothing is written then.
    pub fn confirm_login(&self, verified: impl IntoVerified<U>) -> Confirming<'_, U> {
        let confirming = self.confirm(verified.into_verified());
        Box::pin(async { confirming.await.inspect_err(LoginError::log) })
    }

    async fn confirm(&self, verified: Verified<U>) -> Result<CurrentUser<U>, LoginError> {
        self.check_method(Change::CONFIRM, verified.is_state_checked())?;
        let (user, method) = verified.into_parts();
        let given = Rc::clone(&user);
        let confirmed = self.confirm_with(user, method).await;
        if let Err(error) = &confirmed
            && let Some(reason) = LogInRefusal::of(error)
            && let Ok(user_type) = self.user_type()
        {
            let current = LoginState::peek(&self.request, &self.state.manager, self.index);
            let current = current.flatten().and_then(|current| current.login);
            let event = LoginEvent::ConfirmationRefused {
                user: EventUser::new(user_type, &*given),
                reason,
                login: self.manager().event_login(user_type, current),
            };
            self.manager().events.emit(&event, &self.request);
        }
        confirmed
    }

    async fn confirm_with(
        &self,
        user: Rc<U>,
        method: AuthMethod,
    ) -> Result<CurrentUser<U>, LoginError> {
        let user_type = self.user_type()?;
        // First, because protection may find that another client uses the login.
        let current = self.state.user(&self.request, self.index).await?;
        let current = current
            .filter(|current| current.facts.source != LoginSource::Request)
            .ok_or(LoginError::NotLoggedIn)?;
        let id = user_type.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        if user_type.loader.id(&*current.user).as_ref() != Some(&id) {
            return Err(LoginError::OtherUser);
        }
        let (remembered, allow_inactive) = match current.login {
            Some(_) => (false, current.allow_inactive),
            None => self
                .carried_entry(|entry| (entry.facts.remembered, entry.facts.allow_inactive))
                .ok_or(LoginError::NotLoggedIn)?,
        };
        if !allow_inactive && !user_type.loader.is_authenticated(&*user) {
            return Err(LoginError::Inactive);
        }
        let login = Establish {
            fresh: true,
            remembered,
            allow_inactive,
            at: None,
            method,
            clears_session: false,
            replaces: continued(current.login),
            family: current
                .login
                .map(|login| login.tokens().unwrap_or_else(|| login.goes_on())),
            sends_token: None,
            not_after: None,
        };
        let confirmed = self.establish(user_type, &user, login).await?;
        let event = LoginEvent::LoginConfirmed {
            user: EventUser::new(user_type, &*user),
            login: self.manager().event_login(user_type, confirmed.login),
        };
        self.manager().events.emit(&event, &self.request);
        Ok(CurrentUser::new(user, confirmed.facts, self.manager()))
    }

    /// Continues the login of a user who has new credentials, under a new id and without a remember
    /// cookie.
    pub(crate) async fn continue_as(&self, user: Rc<U>, login: LoginRef) -> Result<(), LoginError> {
        let user_type = self.user_type()?;
        let current = self.state.user(&self.request, self.index).await?;
        let current = current.ok_or(LoginError::NotLoggedIn)?;
        let records = self.manager().records.as_ref();
        let records = records.ok_or(LoginError::NoStore)?;
        let record = records.store.find(login.key, self.manager().now());
        let record = record.await?;
        let continuation = Establish {
            fresh: current.facts.fresh,
            remembered: false,
            allow_inactive: current.allow_inactive,
            at: current.facts.authenticated_at,
            method: AuthMethod::Trusted("credentials changed"),
            clears_session: false,
            replaces: continued(Some(login)),
            family: login.without_tokens().family,
            sends_token: None,
            // Nobody gave credentials for the login itself, so it does not last longer.
            not_after: record.map(|record| record.expires_at),
        };
        let established = self.establish(user_type, &user, continuation).await;
        established.inspect_err(LoginError::log)?;
        if login.tokens().is_some() || remember_cookie::is_carried(&self.request, user_type) {
            self.state.clear_remember_cookie(self.index);
        }
        Ok(())
    }
}

/// A login that continues under a new id.
fn continued(login: Option<LoginRef>) -> Replaced {
    Replaced {
        login: login.map(|login| login.key),
        is_same_user: true,
        families: Vec::new(),
        goes_on: true,
    }
}
