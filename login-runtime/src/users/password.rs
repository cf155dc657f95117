//! Checks passwords against argon2id hashes, on threads for blocking work.

use std::{sync::Arc, thread, time::Duration};

use actix_web::{HttpResponse, ResponseError, body::BoxBody, http::StatusCode, web};
use derive_more::{Debug, Display, Error};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};

use self::{
    check::{Checked, Checks, Foreign, Pepper, Refused, Settings},
    queue::Queue,
};
use crate::{
    core::{
        costs::Costs,
        throttle::ClientNetwork,
        user::{PasswordRefusal, PasswordUser},
    },
    error::{BoxError, not_done},
    measure::{Busy, Check, Waiting, password_check},
    users::verified::Verified,
};

mod check;
mod queue;

/// Memory, passes and lanes for new hashes, as the OWASP Password Storage Cheat Sheet recommends.
///
/// Raising memory or passes makes each guess of an attacker who has the hashes more expensive, and each
/// log in too. A stored hash with other costs is renewed.
const COSTS: Costs = Costs {
    memory_kib: 19 * 1024,
    passes: 2,
    lanes: 1,
};

/// How long a check waits until other checks are done.
///
/// Raising it lets more log ins succeed under load; lowering it answers 503 sooner.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// How long a check whose turn it is waits for a thread. Other blocking work of the application may
/// occupy them all.
const MAX_WAIT_FOR_THREAD: Duration = Duration::from_secs(5);

/// Checks passwords; the usual way to get a [`Verified`] user.
///
/// Create one verifier when the application starts, and clone it into the workers: the clones share the
/// limit on how many checks run at a time. Each check uses 19 MiB of memory and takes a few hundredths
/// of a second. The methods that take `self` are settings: call them before the first clone is made.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpResponse, post, web};
/// use login_runtime::{Auth, AuthUser, password::PasswordVerifier};
/// use serde::Deserialize;
///
/// #[derive(AuthUser)]
/// struct User {
///     id: i64,
///     #[auth(password_hash)]
///     password_hash: String,
/// }
///
/// #[derive(Deserialize)]
/// struct Credentials { name: String, password: String }
///
/// # async fn find(_: &str) -> Option<User> { None }
/// #[post("/login")]
/// async fn log_in(
///     auth: Auth<User>,
///     form: web::Form<Credentials>,
///     passwords: web::Data<PasswordVerifier>,
/// ) -> actix_web::Result<HttpResponse> {
///     // `None` if there is no user of that name: as much work, and the same answer.
///     let user = find(&form.name).await;
///     // After too many failed tries, `?` answers 429 with `Retry-After`.
///     let Some(user) = passwords.verify(&auth, &form.name, user, &form.password).await? else {
///         return Ok(HttpResponse::Forbidden().body("Wrong name or password."));
///     };
///     auth.log_in(user).await?;
///     Ok(auth.redirect_to_next_or("/"))
/// }
/// ```
///
/// # Security
///
/// Every refusal gives the same answer after the same work (ASVS 6.3.8): an unknown user, a wrong
/// password, a user without a password, an inactive user, a hash with other costs, and a hash that cannot
/// be checked. The event [`PasswordRefused`](crate::events::LoginEvent::PasswordRefused) says which of them it
/// was. It contains neither the password nor the hash.
///
/// Failed tries are limited by account and client (ASVS 6.3.1), see [`Throttle`](crate::throttle::Throttle).
/// The checks of one client wait for each other, and not the other clients for them.
#[derive(Clone, Debug)]
#[debug("PasswordVerifier({:?})", shared.checks.settings.costs)]
pub struct PasswordVerifier {
    shared: Arc<Shared>,
}

struct Shared {
    checks: Checks,
    limits: Limits,
    /// Which check runs next.
    queue: Arc<Queue>,
}

#[derive(Clone, Copy)]
struct Limits {
    at_a_time: usize,
    max_wait: Duration,
    /// Whether the right password of an inactive user is accepted.
    verifies_inactive: bool,
}

/// Why a password was refused, for the log and the subscribers to events.
pub(crate) struct Why {
    pub(crate) reason: PasswordRefusal,
    /// What the application's operator has to do.
    pub(crate) problem: Option<String>,
}

impl PasswordVerifier {
    /// A verifier with the recommended costs, which runs as many checks at a time as there are processors.
    pub fn new() -> Self {
        let settings = Settings {
            costs: COSTS,
            dearest: COSTS,
            pepper: None,
            fallback_peppers: Vec::new(),
            foreign: Vec::new(),
        };
        let limits = Limits {
            at_a_time: thread::available_parallelism().map_or(1, usize::from),
            max_wait: MAX_WAIT,
            verifies_inactive: false,
        };
        Self::with(settings, limits)
    }

    fn with(settings: Settings, limits: Limits) -> Self {
        let shared = Shared {
            checks: Checks::new(settings),
            queue: Arc::new(Queue::new(limits.at_a_time)),
            limits,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.shared.checks.settings.clone();
        change(&mut settings);
        Self::with(settings, self.shared.limits)
    }

    fn limit(&self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.shared.limits;
        change(&mut limits);
        Self::with(self.shared.checks.settings.clone(), limits)
    }

    /// Makes new hashes with these costs: memory in KiB, passes over it, and lanes.
    ///
    /// Stored hashes with other costs still verify, and are then renewed. If some of them cost more than
    /// these, say so with [`dearest_stored`](Self::dearest_stored).
    ///
    /// # Errors
    ///
    /// [`PasswordError::Costs`] if argon2 does not allow them.
    pub fn costs(self, memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, PasswordError> {
        let costs = allowed(memory_kib, passes, lanes)?;
        Ok(self.set(|settings| {
            settings.costs = costs;
            settings.dearest = costs;
        }))
    }

    /// The costs of the dearest stored hashes, if they were made with higher costs than new ones are. Call
    /// it after [`costs`](Self::costs).
    ///
    /// Each check then does as much work as for one of these. Without this setting, the first check of
    /// such a hash takes longer than the checks before it, which shows that the user exists; from then on
    /// each check does as much work, and the log says so.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Costs`] if argon2 does not allow them.
    pub fn dearest_stored(
        self,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    ) -> Result<Self, PasswordError> {
        let costs = allowed(memory_kib, passes, lanes)?;
        Ok(self.set(|settings| settings.dearest = settings.costs.or_dearer(costs)))
    }

    /// Makes new hashes with a pepper: a secret of the application that is kept outside the database, so
    /// that the hashes alone do not allow to guess passwords.
    ///
    /// It is the secret input of argon2 (RFC 9106 §3.1). Take 32 random bytes. Hashes that were made
    /// without a pepper, or with a [`fallback_pepper`](Self::fallback_pepper), still verify and are then
    /// renewed. Each new hash contains an id of its pepper (`keyid=`), which is computed from it.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Pepper`] if the secret has fewer than 16 bytes, or is obviously no secret.
    ///
    /// # Security
    ///
    /// A user whose hash was made with a pepper that is lost cannot log in. Keep the pepper as carefully
    /// as the database.
    pub fn pepper(self, secret: impl AsRef<[u8]>) -> Result<Self, PasswordError> {
        let pepper = Pepper::new(secret.as_ref()).ok_or(PasswordError::Pepper)?;
        Ok(self.set(|settings| settings.pepper = Some(pepper)))
    }

    /// Accepts hashes that were made with an earlier [`pepper`](Self::pepper), and renews them.
    ///
    /// Without a `pepper`, they are renewed without one.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Pepper`] as for `pepper`.
    pub fn fallback_pepper(self, secret: impl AsRef<[u8]>) -> Result<Self, PasswordError> {
        let pepper = Pepper::new(secret.as_ref()).ok_or(PasswordError::Pepper)?;
        Ok(self.set(|settings| settings.fallback_peppers.push(pepper)))
    }

    /// Accepts hashes of another form, such as bcrypt's, and renews them.
    ///
    /// - `recognises` says whether a stored text is of this form. It is asked before argon2.
    /// - `decoy` is a hash of this form with the usual costs, and belongs to no user.
    /// - `check` gets the password and a stored hash, and says whether they belong together.
    ///
    /// # Examples
    ///
    /// ```
    /// use login_runtime::password::{PasswordError, PasswordVerifier};
    ///
    /// // In place of `bcrypt::verify(password, stored)`.
    /// fn check(password: &str, stored: &str) -> Result<bool, std::io::Error> {
    ///     Ok(stored.strip_prefix("$old$") == Some(password))
    /// }
    ///
    /// # fn main() -> Result<(), PasswordError> {
    /// let passwords = PasswordVerifier::new();
    /// let passwords =
    ///     passwords.foreign_hashes(|stored| stored.starts_with("$old$"), "$old$decoy", check)?;
    /// # let _ = passwords;
    ///
    /// // The decoy has to be of this form, or it would not take as long to check.
    /// let passwords = PasswordVerifier::new();
    /// let refused =
    ///     passwords.foreign_hashes(|stored| stored.starts_with("$old$"), "decoy", check);
    /// assert_eq!(refused.unwrap_err(), PasswordError::Decoy);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PasswordError::Decoy`] if `recognises` does not recognise the decoy, or `check` cannot check it.
    ///
    /// # Security
    ///
    /// While a form is accepted, *every* check calls its `check` once, with the stored hash or with the
    /// decoy: so its time does not show who has such a hash. If hashes of one form have several costs, add
    /// the form once for each of them. `check` must compare in constant time. It runs on a thread for
    /// blocking work; an error or a panic in it counts as a wrong password, and is logged.
    pub fn foreign_hashes<E: Into<BoxError>>(
        self,
        recognises: impl Fn(&str) -> bool + Send + Sync + 'static,
        decoy: impl Into<String>,
        check: impl Fn(&str, &str) -> Result<bool, E> + Send + Sync + 'static,
    ) -> Result<Self, PasswordError> {
        let foreign = Foreign {
            recognises: Box::new(recognises),
            decoy: decoy.into(),
            check: Box::new(move |password, stored| check(password, stored).map_err(Into::into)),
        };
        if !foreign.recognises(&foreign.decoy) || foreign.check("decoy", &foreign.decoy).is_err() {
            return Err(PasswordError::Decoy);
        }
        Ok(self.set(|settings| settings.foreign.push(Arc::new(foreign))))
    }

    /// Runs at most `at_a_time` checks at a time, and lets each wait at most `max_wait` for its turn.
    ///
    /// A check whose turn it is waits up to five more seconds if the application's other blocking work
    /// occupies all threads.
    #[must_use]
    pub fn at_most(self, at_a_time: usize, max_wait: Duration) -> Self {
        self.limit(|limits| {
            limits.at_a_time = at_a_time.clamp(1, Semaphore::MAX_PERMITS);
            limits.max_wait = max_wait;
        })
    }

    /// Accepts the right password of an inactive user. [`Auth::log_in`](crate::Auth::log_in) then refuses
    /// the user, unless it is told [otherwise](crate::logins::LogIn::danger_even_if_inactive).
    ///
    /// # Security
    ///
    /// An application that answers such a user differently tells everybody who knows the password that it
    /// is right. By default an inactive user gets the same answer as a wrong password.
    #[must_use]
    pub fn danger_verify_inactive(self) -> Self {
        self.limit(|limits| limits.verifies_inactive = true)
    }

    /// Checks a password of a client. A refusal contains the user again.
    pub(crate) async fn check<U: PasswordUser>(
        &self,
        client: ClientNetwork,
        user: Option<U>,
        password: &str,
    ) -> Result<Result<Verified<U>, (Option<U>, Why)>, PasswordError> {
        let may_log_in = |user: &U| user.is_active() && user.is_authenticated();
        let may_log_in =
            user.as_ref().is_some_and(may_log_in) || self.shared.limits.verifies_inactive;
        let stored = match &user {
            None => Err(Refused::UnknownUser),
            Some(user) => match user.password_hash() {
                None => Err(Refused::NoPassword),
                Some(hash) => Ok(hash.to_owned()),
            },
        };
        let password = password.to_owned();
        let check = self.run(Some(client), move |checks| match stored {
            Ok(stored) => checks.check(Ok(&stored), &password, may_log_in),
            Err(reason) => checks.check(Err(reason), &password, may_log_in),
        });
        let checked = password_check(check).await?;
        log(&checked, || {
            serde_json::to_string(&user.as_ref()?.get_id()).ok()
        });
        Ok(match (checked.result, user) {
            (Err(Refused::OutOfMemory), _) => {
                Busy::Memory.count();
                return Err(PasswordError::Busy);
            }
            (Ok(new_hash), Some(user)) => Ok(Verified::by_password(user, new_hash)),
            (Ok(_), None) => Err((None, why(Refused::UnknownUser))),
            (Err(refused), user) => Err((user, why(refused))),
        })
    }

    /// A hash of `password` to store, with a new salt.
    ///
    /// # Errors
    ///
    /// [`PasswordError::Busy`] if too many checks are waiting.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        let hash = self.run(None, move |checks| checks.hash(&password)).await?;
        hash.map_err(|error| {
            tracing::error!(target: "login", event = "password_not_hashed", reason = %error);
            PasswordError::Hashing
        })
    }

    /// How much work argon2 has done since this verifier was made, in KiB written in all passes together.
    ///
    /// Every check adds the same amount, to within 16 KiB, so a test of the application can compare a log
    /// in of an unknown user with one of a wrong password without a clock. It includes new hashes.
    pub fn work(&self) -> u64 {
        self.shared.checks.work()
    }

    /// Runs `work` on a thread for blocking work, when it is the client's turn.
    async fn run<T: Send + 'static>(
        &self,
        client: Option<ClientNetwork>,
        work: impl FnOnce(&Checks) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = Waiting::start();
        let permit = self.shared.queue.wait(client);
        let permit = timeout(self.shared.limits.max_wait, permit).await;
        let permit = permit.ok().flatten();
        waiting.end(permit.is_some());
        let Some(permit) = permit else {
            return Err(busy(Busy::Queue, "too many checks are waiting"));
        };
        let check = Check::new();
        let shared = Arc::clone(&self.shared);
        let (start, has_started) = oneshot::channel();
        let done = web::block(move || {
            // Nobody waits any more for a check that got no thread in time.
            let result = start.send(()).ok();
            let result = result.map(|()| check.run(|| work(&shared.checks)));
            // Dropped here and not with the future, so that the limit holds if the client hangs up.
            drop(permit);
            result
        });
        match timeout(MAX_WAIT_FOR_THREAD, has_started).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                return Err(busy(Busy::Threads, "no thread for blocking work is free"));
            }
        }
        let result = done.await.ok().flatten();
        result.ok_or(PasswordError::Hashing)
    }
}

impl Default for PasswordVerifier {
    fn default() -> Self {
        Self::new()
    }
}

fn allowed(memory_kib: u32, passes: u32, lanes: u32) -> Result<Costs, PasswordError> {
    let costs = Costs {
        memory_kib,
        passes,
        lanes,
    };
    if check::are_allowed(costs) {
        Ok(costs)
    } else {
        Err(PasswordError::Costs)
    }
}

fn busy(what: Busy, reason: &'static str) -> PasswordError {
    what.count();
    tracing::warn!(target: "login", event = "passwords_busy", reason);
    PasswordError::Busy
}

/// Logs what the application's operator has to know about the verifier.
fn log(checked: &Checked, id: impl Fn() -> Option<String>) {
    if let Some(costs) = checked.new_dearest {
        let Costs {
            memory_kib,
            passes,
            lanes,
        } = costs;
        tracing::warn!(
            target: "login", event = "dearer_hash", memory_kib, passes, lanes,
            "a stored hash costs more than any that was known, so its check took longer; from now on each \
             check takes as long; to do so from the start, add `.dearest_stored({memory_kib}, {passes}, \
             {lanes})` to the `PasswordVerifier`"
        );
    }
    if let Some(error) = &checked.not_renewed {
        tracing::error!(target: "login", event = "password_not_hashed", user = id(), reason = %error);
    }
    if matches!(checked.result, Err(Refused::OutOfMemory)) {
        tracing::error!(
            target: "login", event = "password_not_checked",
            "there is not enough memory to check a password; allow fewer at a time with `.at_most(..)`"
        );
    }
}

/// The reason of a refusal, and what the application's operator has to do.
fn why(refused: Refused) -> Why {
    let simple = |reason| (reason, None);
    let (reason, problem) = match refused {
        Refused::UnknownUser => simple(PasswordRefusal::UnknownUser),
        Refused::NoPassword => simple(PasswordRefusal::NoPassword),
        // Running out of memory is answered before.
        Refused::Wrong | Refused::OutOfMemory => simple(PasswordRefusal::Wrong),
        Refused::Inactive => simple(PasswordRefusal::Inactive),
        Refused::Malformed(why, error) => {
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            let problem = format!(
                "{why}{error}; the stored password hash cannot be checked, so this user cannot log in; \
                 store what `PasswordVerifier::hash` returns, or add `.foreign_hashes(..)` for hashes of \
                 another form"
            );
            (PasswordRefusal::MalformedHash, Some(problem))
        }
        Refused::UnknownPepper => {
            let problem = "the stored password hash was made with a pepper that the `PasswordVerifier` \
                           does not have, so this user cannot log in; add `.fallback_pepper(..)`";
            (PasswordRefusal::UnknownPepper, Some(problem.to_owned()))
        }
        Refused::TooDear(costs) => {
            let Costs {
                memory_kib,
                passes,
                lanes,
            } = costs;
            let problem = format!(
                "the stored password hash costs more than is computed for one, so this user cannot log in; \
                 add `.dearest_stored({memory_kib}, {passes}, {lanes})` if you trust it"
            );
            (PasswordRefusal::TooDear, Some(problem))
        }
        Refused::Foreign(error) => {
            let problem = format!(
                "the `check` of `.foreign_hashes(..)` failed for this user's hash, so this user cannot log \
                 in: {error}"
            );
            (PasswordRefusal::ForeignCheckFailed, Some(problem))
        }
    };
    Why { reason, problem }
}

/// Why a password could not be checked or hashed, or a setting of the verifier is invalid.
#[derive(Clone, Copy, Debug, Display, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many checks are waiting, or there is no memory for this one. Answers 503 with `Retry-After`.
    #[display("too many passwords are being checked")]
    Busy,
    /// argon2 does not allow these costs. Answers 500.
    #[display("argon2 does not allow these costs")]
    Costs,
    /// The pepper is too short, or obviously no secret. Answers 500.
    #[display("the pepper is too short or obviously no secret; take 32 random bytes")]
    Pepper,
    /// The decoy is not of the form that it stands for. Answers 500.
    #[display(
        "the decoy is not of its form, or cannot be checked; take a hash of the same form and costs as \
         the stored ones"
    )]
    Decoy,
    /// The hash could not be made. Answers 500.
    #[display("the password could not be hashed")]
    Hashing,
    /// There were too many failed tries. Answers 429 with `Retry-After`.
    #[display("too many failed tries; try again later")]
    Throttled {
        /// In how many seconds another try may be made.
        retry_after: u32,
    },
    /// The store that counts tries failed. Answers 503 with `Retry-After`.
    #[display("the tries could not be counted")]
    Unavailable,
    /// No login manager is wrapped around this route. Answers 500.
    #[display("no login manager for this request; add `.wrap(login_manager.clone())` to the `App`")]
    NoManager,
}

impl PasswordError {
    /// How long the client has to wait, if it was throttled; for a page of your own.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } => Some(Duration::from_secs(u64::from(*retry_after))),
            _ => None,
        }
    }
}

impl ResponseError for PasswordError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Costs | Self::Pepper | Self::Decoy | Self::Hashing | Self::NoManager => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let retry_after = match self {
            Self::Throttled { retry_after } => Some(*retry_after),
            _ => None,
        };
        not_done(self.status_code(), retry_after, self.to_string())
    }
}
