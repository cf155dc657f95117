//! Confirming a login, and going on with it under other credentials.

use std::{future::Future, pin::Pin, rc::Rc};

use crate::{
    auth::{auth::Auth, establish::Establish},
    core::{AuthUser, LoginSource},
    error::LoginError,
    events::{EventUser, LoginEvent},
    guard::CurrentUser,
    http::cookies,
    store::{LoginRef, Replaced},
    users::{AuthMethod, IntoVerified, Verified},
};

/// What [`Auth::confirm_login`] brings. It names no proof, so that what is none is complained about once.
type Confirming<'a, U> = Pin<Box<dyn Future<Output = Result<CurrentUser<U>, LoginError>> + 'a>>;

impl<U: AuthUser> Auth<U> {
    /// Makes the current login fresh, after its user gave credentials again.
    ///
    /// The session gets a new id, and the login is bound to the client at hand. The remember cookie
    /// stays as it is.
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
    /// // At the manager's `refresh_view`. Not `fresh`, or nobody would get here.
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
    /// [`LoginError::NotLoggedIn`] if there is no login in the session, [`LoginError::OtherUser`] if
    /// the credentials are another user's. Nothing is written then.
    pub fn confirm_login(&self, verified: impl IntoVerified<U>) -> Confirming<'_, U> {
        Box::pin(self.confirm(verified.into_verified()))
    }

    async fn confirm(&self, verified: Verified<U>) -> Result<CurrentUser<U>, LoginError> {
        let (user, method) = verified.into_parts();
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        // Looked at first: protection may say that this is not the login's own client.
        let Some(known) = self.state.user(&self.request, self.index).await? else {
            return Err(LoginError::NotLoggedIn);
        };
        if known.facts.source == LoginSource::Request {
            return Err(LoginError::NotLoggedIn);
        }
        let id = kind.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        if kind.loader.id(&*known.user).as_ref() != Some(&id) {
            return Err(LoginError::OtherUser);
        }
        let (remembered, allow_inactive) = match known.login {
            Some(_) => (false, known.allow_inactive),
            None => self
                .carried_entry(|entry, _| (entry.remembered, entry.allow_inactive))
                .ok_or(LoginError::NotLoggedIn)?,
        };
        if !allow_inactive && !kind.loader.is_authenticated(&*user) {
            return Err(LoginError::Inactive);
        }
        let what = Establish {
            fresh: true,
            remembered,
            allow_inactive,
            at: None,
            method,
            clears_session: false,
            replaces: Replaced {
                login: known.login.map(|login| login.key),
                is_same_user: true,
                families: Vec::new(),
                goes_on: true,
            },
            family: known
                .login
                .map(|login| login.tokens().unwrap_or_else(|| login.goes_on())),
        };
        let known = self.establish(kind, &user, what).await?;
        let event = LoginEvent::LoginConfirmed {
            user: EventUser::new(kind, &*user),
        };
        self.manager().events.emit(&event, &self.request);
        Ok(CurrentUser::new(user, known.facts, self.manager()))
    }

    /// Goes on with a login whose user has other credentials now, under a new id and without a
    /// remember cookie.
    pub(crate) async fn continue_as(&self, user: Rc<U>, login: LoginRef) -> Result<(), LoginError> {
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        let known = self.state.user(&self.request, self.index).await?;
        let facts = known
            .as_ref()
            .map(|known| (known.facts, known.allow_inactive));
        let (facts, allow_inactive) = facts.ok_or(LoginError::NotLoggedIn)?;
        let what = Establish {
            fresh: facts.fresh,
            remembered: false,
            allow_inactive,
            at: facts.authenticated_at,
            method: AuthMethod::Trusted("credentials changed"),
            clears_session: false,
            replaces: Replaced {
                login: Some(login.key),
                is_same_user: true,
                families: Vec::new(),
                goes_on: true,
            },
            family: Some(login.goes_on()),
        };
        self.establish(kind, &user, what).await?;
        if login.tokens().is_some() || cookies::carries(&self.request, &kind.remember.name) {
            self.state
                .set_remember_cookie(self.index, kind.remember.clear());
        }
        Ok(())
    }
}
