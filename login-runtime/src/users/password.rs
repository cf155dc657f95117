//! Checks passwords against argon2id hashes, off the async workers.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, thread, time::Duration};

use actix_web::{ResponseError, http::StatusCode, web};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use once_cell::sync::OnceCell;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{core::PasswordUser, users::verified::Verified};

/// Memory, passes and lanes for new hashes: what the OWASP Password Storage sheet asks for.
///
/// Raising the first two makes each guess of an attacker who has the hashes dearer, and each log in
/// too; a hash with other costs than these is due for renewal.
const MEMORY_KIB: u32 = 19 * 1024;

const PASSES: u32 = 2;

const LANES: u32 = 1;

/// How long a check waits for its turn.
///
/// Raising it lets more log ins survive a rush; lowering it answers 503 sooner.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Checks passwords, and is the usual way to a [`Verified`] user.
///
/// Make one when the application starts, and clone it into the workers: its clones share the limit
/// on how many checks run at a time. Each takes 19 MiB and some hundredths of a second.
///
/// # Examples
///
/// ```
/// use login_runtime::{AuthUser, PasswordError, PasswordVerifier};
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
/// // Nobody of that name: as much work, and the same answer.
/// assert!(passwords.verify(None::<User>, "difference engine").await?.is_none());
///
/// let verified = passwords.verify(Some(ada().await?), "difference engine").await?;
/// assert_eq!(verified.map(|verified| verified.user().id), Some(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PasswordVerifier {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    argon2: Argon2<'static>,
    turns: Arc<Semaphore>,
    max_wait: Duration,
    /// The hash that passwords of nobody are compared with.
    decoy: OnceCell<String>,
}

/// A check of a password under way.
type Verifying<'a, U> =
    Pin<Box<dyn Future<Output = Result<Option<Verified<U>>, PasswordError>> + 'a>>;

impl PasswordVerifier {
    /// A verifier with today's recommended costs, that runs as many checks at a time as there are
    /// processors.
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
            turns: Arc::new(Semaphore::new(at_a_time)),
            max_wait,
            decoy: OnceCell::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Makes new hashes with these costs: memory in KiB, passes over it, and lanes.
    ///
    /// Stored hashes with other costs still verify, and are due for renewal.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Costs`] if argon2 does not allow them.
    pub fn costs(self, memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let params =
            Params::new(memory_kib, passes, lanes, None).map_err(|_| PasswordError::Costs)?;
        Ok(Self::with(
            params,
            self.shared.turns.available_permits(),
            self.shared.max_wait,
        ))
    }

    /// Runs at most so many checks at a time, and lets each wait at most so long for its turn.
    #[must_use]
    pub fn at_most(self, at_a_time: usize, max_wait: Duration) -> Self {
        Self::with(
            self.shared.argon2.params().clone(),
            at_a_time.max(1),
            max_wait,
        )
    }

    /// Checks a password; takes as long, and says as little, whether there is such a user or not.
    ///
    /// `user` is what the application found under the name that was typed, `password` what was typed,
    /// as it is. `None` comes back for a wrong password, for a user without one, and for nobody.
    /// [`Verified::new_hash`] tells when the stored hash is due for renewal.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many checks are waiting, [`PasswordError::MalformedHash`] if
    /// what is stored is no argon2 hash.
    // An `async fn` would repeat what is missing at the call and at the `.await`.
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

    /// A hash of `password` to store, with a salt of its own.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many checks are waiting.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.run(move |shared| shared.hash(&password)).await
    }

    /// Runs `work` on a thread for blocking work, when it is its turn.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = Arc::clone(&self.shared.turns).acquire_owned();
        let turn: OwnedSemaphorePermit = match timeout(self.shared.max_wait, turn).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(_)) | Err(_) => return Err(PasswordError::Busy),
        };
        let shared = Arc::clone(&self.shared);
        let done = web::block(move || {
            let result = work(&shared);
            // Given back here, so that clients who hang up do not let more than the limit run.
            drop(turn);
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

impl fmt::Debug for PasswordVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = self.shared.argon2.params();
        f.debug_struct("PasswordVerifier")
            .field("memory_kib", &params.m_cost())
            .field("passes", &params.t_cost())
            .field("lanes", &params.p_cost())
            .finish_non_exhaustive()
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
        // Made by whoever comes first, known user or not, so that making it tells nobody anything.
        let decoy = self
            .decoy
            .get_or_try_init(|| self.hash("the password of nobody"))?;
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
            // A new hash that cannot be made is no reason to refuse the right password.
            Ok(()) => Ok(Outcome::Right {
                new_hash: self.hash(password).ok(),
            }),
            Err(password_hash::Error::PasswordInvalid) => Ok(Outcome::Wrong),
            Err(_) => Err(PasswordError::MalformedHash),
        }
    }

    /// Whether a hash was made with the costs that new ones are made with.
    fn is_current(&self, hash: &PasswordHash) -> bool {
        let ours = self.argon2.params();
        let same_costs = Params::try_from(hash).is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (ours.m_cost(), ours.t_cost(), ours.p_cost())
        });
        hash.algorithm == Algorithm::Argon2id.ident() && same_costs
    }
}

/// Why a password could not be checked, or hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many checks are waiting for their turn. Answers 503.
    Busy,
    /// What is stored for the user is no argon2 hash in PHC form. Answers 500.
    MalformedHash,
    /// argon2 does not allow these costs. Answers 500.
    Costs,
    /// The hash could not be made. Answers 500.
    Hashing,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many passwords are being checked",
            Self::MalformedHash => "the stored password hash is no argon2 hash in PHC form",
            Self::Costs => "argon2 does not allow these costs",
            Self::Hashing => "the password could not be hashed",
        })
    }
}

impl Error for PasswordError {}

impl ResponseError for PasswordError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::MalformedHash | Self::Costs | Self::Hashing => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
