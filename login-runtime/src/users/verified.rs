//! Proof that a user's credentials were checked.

use std::{fmt, rc::Rc};

use crate::core::AuthUser;

/// How a user's credentials were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A password verifier compared the password with the user's hash.
    Password,
    /// The application says so, and why: see [`Verified::trust`].
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

/// A user whose credentials were checked; what [`Auth::log_in`](crate::Auth::log_in) takes.
///
/// Made by `PasswordVerifier` (feature `password`), or by [`Verified::trust`], the one way around
/// it. It is not `Clone`: one check is good for one log in.
///
/// # Security
///
/// A log in without a checked password does not compile; a search for `Verified::trust` finds all
/// places that vouch for a user by other means.
pub struct Verified<U> {
    user: Rc<U>,
    method: AuthMethod,
    new_hash: Option<String>,
}

impl<U: AuthUser> Verified<U> {
    /// Vouches for a user whom no password verifier has seen: who just registered, came back from
    /// an identity provider, or redeemed a link from a mail.
    ///
    /// `reason` says which, and appears in the log and in events.
    ///
    /// # Security
    ///
    /// This function believes its caller.
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

    /// A hash of the same password to replace the stored one, if that was made with other costs
    /// than the verifier's; see [`save_new_hash`](Self::save_new_hash).
    pub fn new_hash(&self) -> Option<&str> {
        self.new_hash.as_deref()
    }

    /// Saves the new hash with `save`, if the stored one is due for renewal.
    ///
    /// Whether there was anything to save. Call it before the log in: a login remembers a
    /// fingerprint of the hash it was made with. The user's *other* logins end when the stored hash
    /// changes, if it is the session hash too.
    ///
    /// # Errors
    ///
    /// What `save` says. The user can be logged in all the same; the hash is due again next time.
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
        // Nobody else has the user yet: `user()` only lends it.
        if let Some(user) = Rc::get_mut(&mut self.user) {
            user.set_password_hash(hash);
        }
        Ok(true)
    }

    pub(crate) fn into_parts(self) -> (Rc<U>, AuthMethod) {
        (self.user, self.method)
    }
}

impl<U> fmt::Debug for Verified<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// What proves that a user's credentials were checked: a [`Verified<U>`], and nothing else.
///
/// Only there so that the compiler can say what to do about a bare user. To implement it for another
/// type takes a `Verified` all the same.
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
