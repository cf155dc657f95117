//! Checks passwords against argon2id hashes, on threads for blocking work.

use std::{future::Future, pin::Pin, sync::Arc, thread, time::Duration};

use actix_web::{ResponseError, http::StatusCode, web};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use derive_more::{Debug, Display, Error};
use once_cell::sync::OnceCell;
use tokio::{sync::Semaphore, time::timeout};

use crate::{core::user::PasswordUser, users::verified::Verified};

/// Memory, passes and lanes for new hashes, as the OWASP Password Storage Cheat Sheet recommends.
///
/// Raising memory or passes makes each guess of an attacker who has the hashes more expensive, and each
/// log in too. A stored hash with other costs is renewed.
const MEMORY_KIB: u32 = 19 * 1024;

const PASSES: u32 = 2;

const LANES: u32 = 1;

/// How long a check waits until other checks are done.
///
/// Raising it lets more log ins succeed under load; lowering it answers 503 sooner.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Checks passwords; the usual way to get a [`Verified`] user.
///
/// Create one verifier when the application starts, and clone it into the workers: the clones share the
/// limit on how many checks run at a time. Each check uses 19 MiB of memory and takes a few hundredths
/// of a second.
///
/// # Examples
///
/// ```
/// use login_runtime::{AuthUser, password::{PasswordError, PasswordVerifier}};
///
/// #[derive(AuthUser)]
/// struct User {
///     id: i64,
///     #[auth(password_hash)]
///     password_hash: String,
/// }
///
/// # #[actix_web::main]
/// # async fn main() -> Result<(), PasswordError> {
/// let passwords = PasswordVerifier::new();
/// let ada = || async {
///     Ok::<_, PasswordError>(User { id: 1, password_hash: passwords.hash("difference engine").await? })
/// };
///
/// assert!(passwords.verify(Some(ada().await?), "wrong").await?.is_none());
/// // No user of that name: as much work, and the same answer.
/// assert!(passwords.verify(None::<User>, "difference engine").await?.is_none());
///
/// let verified = passwords.verify(Some(ada().await?), "difference engine").await?;
/// assert_eq!(verified.map(|verified| verified.user().id), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[debug("PasswordVerifier({:?})", shared.argon2.params())]
pub struct PasswordVerifier {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    argon2: Argon2<'static>,
    /// One permit for each check that may run at a time.
    permits: Arc<Semaphore>,
    max_wait: Duration,
    /// The hash that a password is compared with if the user does not exist or has no password.
    decoy: OnceCell<String>,
}

/// A running check of a password.
type Verifying<'a, U> =
    Pin<Box<dyn Future<Output = Result<Option<Verified<U>>, PasswordError>> + 'a>>;

impl PasswordVerifier {
    /// A verifier with the recommended costs, which runs as many checks at a time as there are processors.
    pub fn new() -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
        Self::with(
            params,
            thread::available_parallelism().map_or(1, usize::from),
            MAX_WAIT,
        )
    }

    fn with(params: Params, at_a_time: usize, max_wait: Duration) -> Self {
        let shared = Shared {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(at_a_time)),
            max_wait,
            decoy: OnceCell::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Makes new hashes with these costs: memory in KiB, passes over it, and lanes.
    ///
    /// Stored hashes with other costs still verify, and are then renewed.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Costs`] if argon2 does not allow them.
    pub fn costs(self, memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let params =
            Params::new(memory_kib, passes, lanes, None).map_err(|_| PasswordError::Costs)?;
        Ok(Self::with(
            params,
            self.shared.permits.available_permits(),
            self.shared.max_wait,
        ))
    }

    /// Runs at most `at_a_time` checks at a time, and lets each wait at most `max_wait` before it starts.
    #[must_use]
    pub fn at_most(self, at_a_time: usize, max_wait: Duration) -> Self {
        Self::with(
            self.shared.argon2.params().clone(),
            at_a_time.max(1),
            max_wait,
        )
    }

    /// Checks a password. It takes the same time and returns the same if there is no such user.
    ///
    /// `user` is the user whom the application found under the given name, and `password` is what was
    /// typed, unchanged. The result is `None` for a wrong password, for a user without a password, and for
    /// no user. [`Verified::new_hash`] says whether the stored hash has to be renewed.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many checks are waiting, [`PasswordError::MalformedHash`] if the
    /// stored hash is not an argon2 hash.
    // Not an `async fn`, for which the compiler reports a missing trait twice: at the call and at the
    // `.await`.
    pub fn verify<'a, U: PasswordUser>(
        &'a self,
        user: Option<U>,
        password: &'a str,
    ) -> Verifying<'a, U> {
        Box::pin(self.check(user, password))
    }

    async fn check<U: PasswordUser>(
        &self,
        user: Option<U>,
        password: &str,
    ) -> Result<Option<Verified<U>>, PasswordError> {
        let stored = user.as_ref().and_then(U::password_hash).map(str::to_owned);
        let password = password.to_owned();
        let outcome = self
            .run(move |shared| shared.verify(stored.as_deref(), &password))
            .await?;
        match (outcome, user) {
            (Outcome::Right { new_hash }, Some(user)) => {
                Ok(Some(Verified::by_password(user, new_hash)))
            }
            (_, user) => {
                let id = user.and_then(|user| serde_json::to_string(&user.get_id()).ok());
                tracing::info!(target: "login", event = "password_refused", user = id);
                Ok(None)
            }
        }
    }

    /// A hash of `password` to store, with a new salt.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many checks are waiting.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.run(move |shared| shared.hash(&password)).await
    }

    /// Runs `work` on a thread for blocking work, as soon as fewer checks run than may.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.shared.permits).acquire_owned();
        let permit = match timeout(self.shared.max_wait, permit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(PasswordError::Busy),
        };
        let shared = Arc::clone(&self.shared);
        let done = web::block(move || {
            let result = work(&shared);
            // Dropped here and not with the future, so that the limit holds if the client hangs up.
            drop(permit);
            result
        });
        done.await.map_err(|_| PasswordError::Busy)?
    }
}

impl Default for PasswordVerifier {
    fn default() -> Self {
        Self::new()
    }
}

enum Outcome {
    Right { new_hash: Option<String> },
    Wrong,
}

impl Shared {
    fn hash(&self, password: &str) -> Result<String, PasswordError> {
        match self.argon2.hash_password(password.as_bytes()) {
            Ok(hash) => Ok(hash.to_string()),
            Err(_) => Err(PasswordError::Hashing),
        }
    }

    fn verify(&self, stored: Option<&str>, password: &str) -> Result<Outcome, PasswordError> {
        // Made at the first check, whether there is such a user or not: so its time reveals nothing.
        let decoy = self.decoy.get_or_try_init(|| self.hash("decoy"))?;
        let parsed = stored.map(PasswordHash::new);
        let malformed = matches!(parsed, Some(Err(_)));
        let Some(Ok(hash)) = parsed else {
            let decoy = PasswordHash::new(decoy).map_err(|_| PasswordError::Hashing)?;
            let _ = self.argon2.verify_password(password.as_bytes(), &decoy);
            return if malformed {
                Err(PasswordError::MalformedHash)
            } else {
                Ok(Outcome::Wrong)
            };
        };
        match self.argon2.verify_password(password.as_bytes(), &hash) {
            Ok(()) if self.is_current(&hash) => Ok(Outcome::Right { new_hash: None }),
            // The right password is accepted even if a new hash cannot be made.
            Ok(()) => Ok(Outcome::Right {
                new_hash: self.hash(password).ok(),
            }),
            Err(password_hash::Error::PasswordInvalid) => Ok(Outcome::Wrong),
            Err(_) => Err(PasswordError::MalformedHash),
        }
    }

    /// Whether a hash has the costs of new hashes.
    fn is_current(&self, hash: &PasswordHash) -> bool {
        let ours = self.argon2.params();
        let same_costs = Params::try_from(hash).is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (ours.m_cost(), ours.t_cost(), ours.p_cost())
        });
        hash.algorithm == Algorithm::Argon2id.ident() && same_costs
    }
}

/// Why a password could not be checked or hashed.
#[derive(Clone, Copy, Debug, Display, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many checks are waiting. Answers 503.
    #[display("too many passwords are being checked")]
    Busy,
    /// The stored hash is not an argon2 hash in PHC form. Answers 500.
    #[display("the stored password hash is not an argon2 hash in PHC form")]
    MalformedHash,
    /// argon2 does not allow these costs. Answers 500.
    #[display("argon2 does not allow these costs")]
    Costs,
    /// The hash could not be made. Answers 500.
    #[display("the password could not be hashed")]
    Hashing,
}

impl ResponseError for PasswordError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::MalformedHash | Self::Costs | Self::Hashing => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
