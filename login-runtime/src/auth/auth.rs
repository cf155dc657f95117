//! Log in, log out, confirm: what a handler holds in its hand.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header};
use derive_more::Debug;

use crate::{
    core::AuthUser,
    error::{LoadError, SetupError},
    guard::MaybeUser,
    http::escape,
    manager::Manager,
    refusal::redirect,
    request::{LoginState, carried_family, read_token},
    users::UserType,
};

/// Logs users of type `U` in and out; an extractor.
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, post, web};
/// use login_runtime::{Auth, AuthUser, LoginError, Verified};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, is_active: bool }
///
/// #[post("/login")]
/// async fn log_in(auth: Auth<User>) -> Result<impl Responder, LoginError> {
///     // Where credentials are checked; `PasswordVerifier` does that with passwords.
///     let user = Verified::trust(User { id: 7, is_active: true }, "example");
///     auth.log_in(user).await?;
///     Ok(auth.redirect_to_next_or("/"))
/// }
///
/// #[post("/logout")]
/// async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
///     auth.log_out().await?;
///     Ok(web::Redirect::to("/").see_other())
/// }
/// ```
///
/// It holds on to the request, so it is for handlers: in a middleware (`from_fn`) that passes the
/// request on, actix-web wants it back for itself, and panics. Take [`MaybeUser`] there.
#[derive(Debug)]
#[debug("Auth")]
pub struct Auth<U> {
    pub(crate) request: HttpRequest,
    pub(crate) state: Rc<LoginState>,
    pub(crate) index: usize,
    pub(crate) user: PhantomData<fn() -> U>,
}

impl<U: AuthUser> Auth<U> {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, SetupError> {
        let (_, index) = Manager::find::<U>(request)?;
        let state = LoginState::of(request)?;
        Ok(Self {
            request: request.clone(),
            state,
            index,
            user: PhantomData,
        })
    }

    pub(crate) fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub(crate) fn state(&self) -> &LoginState {
        &self.state
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.state.manager
    }

    pub(crate) fn kind(&self) -> Option<&Arc<UserType>> {
        self.manager().users.get(self.index)
    }

    /// The current user, if there is one.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the user could not be loaded.
    pub async fn current_user(&self) -> Result<MaybeUser<U>, LoadError> {
        let who = self.state.user(&self.request, self.index).await?;
        Ok(MaybeUser::of(&who, self.manager()))
    }

    /// Whether the request carries a remember cookie that verifies and is not being cleared.
    ///
    /// Says nothing about who is logged in. With a login store it says that the token was made here; that
    /// its family goes on is known once somebody looked at the user.
    pub fn is_remembered(&self) -> bool {
        let Some(kind) = self
            .kind()
            .filter(|_| self.state.remember_counts(self.index))
        else {
            return false;
        };
        if self.manager().records.is_some() {
            return carried_family(&self.request, self.manager(), kind).is_some();
        }
        read_token(&self.request, self.manager(), kind, |_, _| ()).is_some()
    }

    /// Where the client wanted to go when it was refused, if that is an address of this origin.
    ///
    /// The query parameter `next` of this very request; with
    /// [`use_session_for_next`](crate::LoginManagerBuilder::use_session_for_next) what the session
    /// keeps, which is thereby taken out.
    ///
    /// # Security
    ///
    /// Only paths come back. Everything else that clients and the links they follow can put there is
    /// dropped: other hosts, schemes, and what browsers mistake for them.
    pub fn take_next(&self) -> Option<String> {
        redirect::take_next(&self.request, &self.manager().refusal)
    }

    /// Sends the browser where it wanted to go when it was refused, or to `fallback`.
    ///
    /// See [`take_next`](Self::take_next) for what is followed.
    pub fn redirect_to_next_or(&self, fallback: &str) -> HttpResponse {
        let next = self.take_next();
        let location = escape::location(next.as_deref().unwrap_or(fallback));
        HttpResponse::SeeOther()
            .insert_header((header::LOCATION, location))
            .finish()
    }
}

impl<U: AuthUser> FromRequest for Auth<U> {
    type Error = SetupError;
    type Future = Ready<Result<Self, SetupError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
