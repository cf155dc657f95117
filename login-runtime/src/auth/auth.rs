//! The extractor with which a handler logs users in and out.

use std::{
    future::{Ready, ready},
    marker::PhantomData,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, HttpResponse, dev::Payload, http::header,
};
use derive_more::Debug;

use crate::{
    core::{AuthUser, NextError},
    error::{LoadError, LoginError, SetupError},
    guard::MaybeUser,
    http::escape,
    manager::Manager,
    refusal::{ResolvedViews, ScopeViews, redirect},
    request::{
        LoginState, StandIn,
        remember_cookie::{read_family_tokens, read_token},
    },
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
///     // Check the credentials here; `PasswordVerifier` does that for passwords.
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
/// In a middleware (`from_fn`) that runs before the route is found, it keeps a copy of the request's head
/// with the session and the login. Handlers for refusals that it calls do not find the application's data
/// there.
///
/// A middleware around a *scope* cannot take it for requests to exactly the scope's path, as with
/// `web::scope("/me").route("", ..)`: actix-web panics then. Take [`MaybeUser`] there.
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

    fn extract_from(request: &HttpRequest) -> Result<Self, SetupError> {
        let auth = Self::of(request)?;
        // A route takes the whole path. Before it is found, the request is in a middleware, which has to
        // give the request back.
        if request.match_info().unprocessed().is_empty() {
            return Ok(auth);
        }
        let mut stand_in = StandIn::of(request, auth.manager());
        let segments = request.match_info().iter();
        let segments = segments.map(|(name, value)| (name.to_owned(), value.to_owned()));
        stand_in = stand_in.with_segments(segments.collect());
        stand_in.scope_views = request.app_data::<ScopeViews>().cloned().map(Rc::new);
        if let Some(views) = &stand_in.scope_views {
            let mut resolved = ResolvedViews::of(views.iter(), request);
            resolved.extend(&stand_in.resolved);
            stand_in.resolved = resolved;
        }
        let request = stand_in.request(Arc::clone(&auth.state.manager));
        request.extensions_mut().insert(Rc::clone(&auth.state));
        Ok(Self { request, ..auth })
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.state.manager
    }

    pub(crate) fn user_type(&self) -> Result<&Arc<UserType>, LoginError> {
        let user_type = self.manager().users.get(self.index);
        user_type.ok_or(LoginError::NotLoggedIn)
    }

    /// The current user, if there is one.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the user could not be loaded.
    pub async fn current_user(&self) -> Result<MaybeUser<U>, LoadError> {
        let user = self.state.user(&self.request, self.index).await?;
        Ok(MaybeUser::of(&user, self.manager()))
    }

    /// Whether the request carries a remember cookie that verifies and is not being cleared.
    ///
    /// It does not tell whether a user is logged in. With a login store it tells that this application
    /// made the token; whether the family of the token still exists is known after a look at the user.
    pub fn is_remembered(&self) -> bool {
        let (request, manager) = (&self.request, self.manager());
        self.state.remember_counts(self.index)
            && self
                .user_type()
                .is_ok_and(|user_type| match manager.records {
                    Some(_) => !read_family_tokens(request, manager, user_type).is_empty(),
                    None => read_token(request, manager, user_type, |_, _| ()).is_some(),
                })
    }

    /// The address that the client asked for when it was refused, if it may be followed.
    ///
    /// This is the query parameter `next` of this request. With
    /// [`use_session_for_next`](crate::config::LoginManagerBuilder::use_session_for_next) it is the address
    /// that the browser keeps, which the response makes it forget.
    ///
    /// # Security
    ///
    /// Returns paths of this application, and whole addresses of the origins that the manager lists with
    /// [`origins`](crate::config::LoginManagerBuilder::origins) and
    /// [`next_origins`](crate::config::LoginManagerBuilder::next_origins), or of the origin that a
    /// [trusted proxy](crate::config::LoginManagerBuilder::trusted_proxies) reports. Everything else that a
    /// client or a link can put there is dropped: other hosts, schemes, and text that browsers mistake for them.
    pub fn take_next(&self) -> Option<String> {
        let kept = self.state.take_kept_next(&self.request);
        redirect::take_next(&self.request, &self.manager().refusal, kept)
    }

    /// Checks an address from elsewhere, by the rules of [`take_next`](Self::take_next): a hidden field of
    /// a form, a JSON body, the state of an OAuth request.
    ///
    /// Returns the address to redirect to. [`LoginManager::check_next`](crate::LoginManager::check_next)
    /// is the same outside of a request.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Responder, post, web};
    /// use login_runtime::{Auth, AuthUser, logins::NextError};
    /// use serde::Deserialize;
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// #[derive(Deserialize)]
    /// struct LogInRequest { password: String, next: String }
    ///
    /// #[post("/api/login")]
    /// async fn log_in(auth: Auth<User>, body: web::Json<LogInRequest>) -> Result<impl Responder, NextError> {
    ///     // `//evil.test` and `https://evil.test/` are answered 400.
    ///     let next = auth.check_next(&body.next)?;
    ///     // .. check the password, log the user in, and then:
    ///     Ok(HttpResponse::Ok().json(next))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`NextError`] says why the address must not be followed.
    pub fn check_next(&self, next: &str) -> Result<String, NextError> {
        redirect::check_next_of(&self.request, next, &self.manager().refusal)
    }

    /// Redirects the browser to the address that it asked for when it was refused, or to `fallback`.
    ///
    /// If a proxy cuts off the start of the path, a `fallback` that is a path gets it back; see
    /// [`path_prefix`](crate::proxies::path_prefix).
    ///
    /// See [`take_next`](Self::take_next) for the addresses that are followed.
    pub fn redirect_to_next_or(&self, fallback: &str) -> HttpResponse {
        self.see_other_or(self.take_next(), fallback)
    }

    /// Redirects the browser to `next` if it may be followed, or else to `fallback`.
    ///
    /// For an address that a hidden field of the form carries. See [`take_next`](Self::take_next) for the
    /// addresses that are followed.
    pub fn redirect_to_or(&self, next: Option<&str>, fallback: &str) -> HttpResponse {
        let next = next.and_then(|next| self.check_next(next).ok());
        self.see_other_or(next, fallback)
    }

    fn see_other_or(&self, next: Option<String>, fallback: &str) -> HttpResponse {
        let fallback = || redirect::own_address(&self.request, fallback, &self.manager().refusal);
        see_other(&next.unwrap_or_else(fallback))
    }

    /// Redirects the browser back to the login view, for instance because the password was wrong. The
    /// address that it asked for at first stays with it.
    ///
    /// `next` is that address if a hidden field of the form carries it; `None` if it is in the query of
    /// this request, or kept for the client.
    pub fn redirect_to_login_view(&self, next: Option<&str>) -> HttpResponse {
        let address = redirect::login_again(&self.request, &self.manager().refusal, next);
        see_other(&String::from_utf8_lossy(&address))
    }
}

fn see_other(address: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, escape::location(address)))
        .finish()
}

impl<U: AuthUser> FromRequest for Auth<U> {
    type Error = SetupError;
    type Future = Ready<Result<Self, SetupError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::extract_from(request))
    }
}
