//! Proof that a user's credentials were checked.

use std::rc::Rc;

use derive_more::Debug;

use crate::core::AuthUser;

/// How a user's credentials were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A password verifier compared the password with the user's hash.
    Password,
    /// The application vouches for the user, for this reason: see [`Verified::trust`].
    Trusted(&'static str),
}

impl AuthMethod {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Trusted(reason) => reason,
        }
    }
}

/// A user whose credentials were checked; the argument of [`Auth::log_in`](crate::Auth::log_in).
///
/// It is made by `PasswordVerifier` (feature `password`), or without a password by [`Verified::trust`].
/// It is not `Clone`: one check allows one log in.
///
/// # Security
///
/// A log in without a checked password does not compile. A search for `Verified::trust` finds all places
/// that vouch for a user by other means.
#[derive(Debug)]
pub struct Verified<U> {
    #[debug(skip)]
    user: Rc<U>,
    method: AuthMethod,
    #[debug(skip)]
    new_hash: Option<String>,
    /// Whether the request belongs to what its browser has begun.
    state_checked: bool,
}

impl<U: AuthUser> Verified<U> {
    /// Vouches for a user without a password check: a user who just registered, came back from an
    /// identity provider, or followed a link from an email.
    ///
    /// `reason` says which of these it was, and appears in the log and in events.
    ///
    /// # Security
    ///
    /// Authenticate the user first: this function checks nothing.
    pub fn trust(user: U, reason: &'static str) -> Self {
        Self {
            user: Rc::new(user),
            method: AuthMethod::Trusted(reason),
            new_hash: None,
            state_checked: false,
        }
    }

    /// Allows the log in, or the confirmation, for a GET request: for the address at which an identity provider
    /// or a one-time link leads the browser back.
    ///
    /// The application promises that this browser has begun what the request completes. When it began, the
    /// application made a random *state* and gave it to the browser in a cookie or in its session; it has now
    /// compared it with the state that the request brings, and dropped it. OAuth calls the parameter `state`
    /// (RFC 6749 §10.12, RFC 9700 §4.7); a one-time link can carry one of its own.
    ///
    /// It is for one log in, since each verified user is. It changes nothing for requests with other methods, and
    /// for a user whose password was checked: no redirect and no link carries a password.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_session::Session;
    /// use actix_web::{HttpResponse, Result, get, web};
    /// use login_runtime::{Auth, AuthUser, Verified};
    /// use serde::Deserialize;
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// #[derive(Deserialize)]
    /// struct Callback { state: String, code: String }
    ///
    /// #[get("/callback")]
    /// async fn callback(auth: Auth<User>, session: Session, query: web::Query<Callback>) -> Result<HttpResponse> {
    ///     // `remove` returns the state as JSON, and each state works once.
    ///     let expected = session.remove("state").and_then(|json| serde_json::from_str::<String>(&json).ok());
    ///     if expected.as_ref() != Some(&query.state) {
    ///         return Ok(HttpResponse::BadRequest().body("log in again"));
    ///     }
    ///     let user = exchange(&query.code).await?;
    ///     auth.log_in(Verified::trust(user, "provider").state_checked()).await?;
    ///     Ok(auth.redirect_to_next_or("/"))
    /// }
    /// # async fn exchange(_: &str) -> Result<User> { Ok(User { id: 1 }) }
    /// ```
    ///
    /// # Security
    ///
    /// Without the check, an attacker begins a log in, keeps the last address of it, and leads a victim there:
    /// the victim is then logged in as the attacker, and what the victim enters belongs to the attacker.
    #[must_use = "it returns the verified user"]
    pub fn state_checked(mut self) -> Self {
        self.state_checked = true;
        self
    }

    /// Whether a GET request may log this user in.
    pub(crate) fn is_state_checked(&self) -> bool {
        self.state_checked && matches!(self.method, AuthMethod::Trusted(_))
    }

    #[cfg(feature = "password")]
    pub(crate) fn by_password(user: U, new_hash: Option<String>) -> Self {
        Self {
            user: Rc::new(user),
            method: AuthMethod::Password,
            new_hash,
            state_checked: false,
        }
    }

    /// The user.
    pub fn user(&self) -> &U {
        &self.user
    }

    /// How the credentials were checked.
    pub fn method(&self) -> AuthMethod {
        self.method
    }

    /// A hash of the same password to replace the stored one, if that was made with other costs or another
    /// pepper than the verifier's, or by another algorithm; see [`save_new_hash`](Self::save_new_hash).
    pub fn new_hash(&self) -> Option<&str> {
        self.new_hash.as_deref()
    }

    /// Saves the new hash with `save`, if the stored one has to be renewed; returns whether it had to.
    ///
    /// Call it before the log in: a login keeps a fingerprint of the hash that it was made with. If the
    /// password hash is the session hash too, the user's *other* logins end when it changes.
    ///
    /// # Errors
    ///
    /// The error of `save`. The user can be logged in anyway; the hash is renewed at the next check.
    pub async fn save_new_hash<E>(
        &mut self,
        save: impl AsyncFnOnce(&U, &str) -> Result<(), E>,
    ) -> Result<bool, E>
    where
        U: crate::PasswordUser,
    {
        let Some(hash) = self.new_hash.take() else {
            return Ok(false);
        };
        save(&self.user, &hash).await?;
        // The only `Rc`: `user()` lends a reference.
        if let Some(user) = Rc::get_mut(&mut self.user) {
            user.set_password_hash(hash);
        }
        Ok(true)
    }

    pub(crate) fn into_parts(self) -> (Rc<U>, AuthMethod) {
        (self.user, self.method)
    }
}

/// Proof that a user's credentials were checked: a [`Verified<U>`], and no other type.
///
/// It exists so that the compiler can say what to do with a user that was not verified. Another type that
/// implements it still has to return a `Verified`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not prove that credentials were checked",
    label = "expected `Verified<{U}>`",
    note = "check the password with `PasswordVerifier::verify`, which returns a `Verified<{U}>`",
    note = "if the user was authenticated by other means, say so: `Verified::trust(user, \"reason\")`"
)]
pub trait IntoVerified<U> {
    #[doc(hidden)]
    fn into_verified(self) -> Verified<U>;
}

impl<U: AuthUser> IntoVerified<U> for Verified<U> {
    fn into_verified(self) -> Self {
        self
    }
}
