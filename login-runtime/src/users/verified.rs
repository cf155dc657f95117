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
        }
    }

    #[cfg(feature = "password")]
    pub(crate) fn by_password(user: U, new_hash: Option<String>) -> Self {
        Self {
            user: Rc::new(user),
            method: AuthMethod::Password,
            new_hash,
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
