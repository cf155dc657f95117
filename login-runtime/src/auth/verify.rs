//! Checking a password: the try is counted, the password checked, and a refusal reported.

use std::{any::TypeId, future::Future, pin::Pin};

use crate::{
    auth::attempt::{AsRequest, Claim, Purpose, ThrottleError},
    core::user::PasswordUser,
    events::{EventUser, LoginEvent},
    users::{
        password::{PasswordError, PasswordVerifier},
        verified::Verified,
    },
};

/// A running check of a password.
type Verifying<'a, U> =
    Pin<Box<dyn Future<Output = Result<Option<Verified<U>>, PasswordError>> + 'a>>;

impl PasswordVerifier {
    /// Checks a password, unless there were too many failed tries. It takes the same work and returns the
    /// same for every user who is refused, and if there is no such user.
    ///
    /// - `request` is the handler's [`Auth`](crate::Auth), or its `HttpRequest`.
    /// - `account` is the name that was typed, and by which the application has looked the user up. Failed
    ///   tries are counted by it, whether there is such a user or not. Case, accents and spaces do not count.
    /// - `user` is the user whom the application found under that name.
    /// - `password` is what was typed, unchanged.
    ///
    /// The result is `None` for a wrong password, for no user, and for a user who has no password, is not
    /// active, or whose stored hash cannot be checked. The event
    /// [`PasswordRefused`](crate::events::LoginEvent::PasswordRefused) says which of them it was.
    /// [`Verified::new_hash`] says whether the stored hash has to be renewed.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Throttled`] after too many failed tries of this client, or at this account, and
    /// [`PasswordError::Busy`] if too many checks are waiting, or if there is no memory for this one. `?` answers
    /// 429 with `Retry-After`, and 503.
    ///
    /// # Security
    ///
    /// The try is counted before the check and given back on success, so many requests at once are no more
    /// tries than one after the other (ASVS 6.3.1). [`Throttle`](crate::throttle::Throttle) has the limits.
    // Not an `async fn`, for which the compiler reports a missing trait twice: at the call and at the
    // `.await`.
    pub fn verify<'a, U: PasswordUser>(
        &'a self,
        request: &'a (impl AsRequest + ?Sized),
        account: &'a str,
        user: Option<U>,
        password: &'a str,
    ) -> Verifying<'a, U> {
        let request = request.as_request();
        Box::pin(async move {
            let purpose = Purpose {
                purpose: "password",
                of: U::NAME,
            };
            let claim = Claim::new(request, purpose, account).await?;
            let checked = self.check(claim.network, user, password).await;
            let (user, refused) = match checked {
                Ok(Ok(verified)) => {
                    claim.settle(true).await;
                    return Ok(Some(verified));
                }
                Ok(Err(refused)) => refused,
                Err(error) => {
                    if error == PasswordError::Busy {
                        claim.settle(false).await;
                    }
                    return Err(error);
                }
            };
            let mut types = claim.manager.users.iter();
            let user_type = types.find(|it| it.loader.user_type() == TypeId::of::<U>());
            let event = LoginEvent::PasswordRefused {
                account: &claim.account.to_string(),
                user: user_type
                    .zip(user.as_ref())
                    .map(|(user_type, user)| EventUser::new(user_type, user)),
                reason: refused.reason,
                problem: refused.problem.as_deref(),
            };
            claim.manager.events.emit(&event, request);
            Ok(None)
        })
    }
}

impl From<ThrottleError> for PasswordError {
    fn from(error: ThrottleError) -> Self {
        match error {
            ThrottleError::Throttled { retry_after } => Self::Throttled { retry_after },
            ThrottleError::Unavailable => Self::Unavailable,
            ThrottleError::NoManager => Self::NoManager,
        }
    }
}
