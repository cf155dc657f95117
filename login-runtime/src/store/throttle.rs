//! The throttle of a manager: its limits, and the store that counts.

use std::{sync::Arc, time::Duration};

use derive_more::Debug;

use crate::{
    core::throttle::{Attempt, Claimed, Counted, TryLimit},
    error::StoreError,
    store::{
        deadline::{StoreFuture, in_time, report},
        memory::MemoryThrottleStore,
        throttle_store::ThrottleStore,
    },
};

/// [`ThrottleStore`] with boxed futures, so that a manager need not be generic over the store.
trait DynThrottleStore: Send + Sync {
    fn claim<'a>(&'a self, attempt: &'a Attempt, now: i64) -> StoreFuture<'a, Claimed>;

    /// `known_until` is `None` for a try that was not made.
    fn settle<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        known_until: Option<i64>,
        now: i64,
    ) -> StoreFuture<'a, ()>;
}

impl<S: ThrottleStore> DynThrottleStore for S {
    fn claim<'a>(&'a self, attempt: &'a Attempt, now: i64) -> StoreFuture<'a, Claimed> {
        Box::pin(ThrottleStore::claim(self, attempt, now))
    }

    fn settle<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        known_until: Option<i64>,
        now: i64,
    ) -> StoreFuture<'a, ()> {
        match known_until {
            Some(until) => Box::pin(self.succeed(attempt, counted, until, now)),
            None => Box::pin(self.give_back(attempt, counted, now)),
        }
    }
}

/// How failed tries are limited; for
/// [`LoginManagerBuilder::throttle`](crate::config::LoginManagerBuilder::throttle).
///
/// Without this setting, the limits are the defaults below, and the counters are in memory. The guide has a
/// page about [guessing](crate::guide::guessing) with the reasons for the numbers.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::cookie::Key;
/// use login_runtime::{
///     AuthUser, LoginManager, MemoryLoginStore,
///     throttle::{MemoryThrottleStore, Throttle, TryLimit},
/// };
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// // Several managers can share a store.
/// let throttle = Throttle::new()
///     .store(MemoryThrottleStore::new())
///     .per_account(TryLimit::new(50).max_delay(Duration::from_secs(60)));
/// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///     .login_store(MemoryLoginStore::new())
///     .throttle(throttle)
///     .build(Key::generate())?;
/// # let _ = login_manager;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Throttle {
    pub(crate) limits: [TryLimit; 3],
    pub(crate) is_off: bool,
    known_for: i64,
    #[debug(skip)]
    store: Arc<dyn DynThrottleStore>,
    /// Whether the application has chosen the store.
    pub(crate) has_own_store: bool,
    /// How long an answer of the store may take.
    deadline: Duration,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// The default limits, with counters in memory.
    pub fn new() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            limits: [
                TryLimit::new(5),
                TryLimit::new(100).max_delay(MINUTE),
                TryLimit::new(30).max_delay(MINUTE).forget_one_every(MINUTE),
            ],
            is_off: false,
            known_for: 30 * 24 * 60 * 60,
            store: Arc::new(MemoryThrottleStore::new()),
            has_own_store: false,
            deadline: Duration::MAX,
        }
    }

    /// Turns the throttle off: everybody may guess as fast as the passwords can be checked.
    ///
    /// # Security
    ///
    /// Only for an application behind something else that limits failed log ins by account (ASVS 6.3.1).
    pub fn danger_off() -> Self {
        Self {
            is_off: true,
            ..Self::new()
        }
    }

    /// Counts in this store. The default is in memory: it forgets its counters when the process ends, and
    /// each process counts for itself.
    pub fn store(self, store: impl ThrottleStore) -> Self {
        Self {
            store: Arc::new(store),
            has_own_store: true,
            ..self
        }
    }

    /// The limit of one client at one account. By default 5 tries are free, then the delay grows from one
    /// second to 15 minutes, and one try is forgotten every 15 minutes.
    pub fn per_account_and_client(mut self, limit: TryLimit) -> Self {
        self.limits[0] = limit;
        self
    }

    /// The limit of all clients together at one account, but for those from which it was logged in before.
    /// By default 100 tries are free, then the delay grows from one second to one minute, and one try is
    /// forgotten every 15 minutes.
    pub fn per_account(mut self, limit: TryLimit) -> Self {
        self.limits[1] = limit;
        self
    }

    /// The limit of one client at all accounts together. By default 30 tries are free, then the delay grows
    /// from one second to one minute, and one try is forgotten every minute.
    pub fn per_client(mut self, limit: TryLimit) -> Self {
        self.limits[2] = limit;
        self
    }

    /// How long a client from which an account was logged in is exempt from the account's limit. By default
    /// 30 days.
    pub fn known_for(mut self, time: Duration) -> Self {
        self.known_for = i64::try_from(time.as_secs())
            .unwrap_or(i64::MAX / 4)
            .min(i64::MAX / 4);
        self
    }

    pub(crate) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    pub(crate) async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        let answer = in_time(self.deadline, self.store.claim(attempt, now)).await;
        let answer = answer.unwrap_or_else(|error| Err(error.into()));
        answer.map_err(|error| report(error, "claim").logged(Some("claim")))
    }

    /// Takes a try back that succeeded, or was not made. A failure is only logged: the counters then stay
    /// higher than they should.
    pub(crate) async fn settle(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        has_succeeded: bool,
        now: i64,
    ) {
        let until = has_succeeded.then(|| now.saturating_add(self.known_for));
        let settle = self.store.settle(attempt, counted, until, now);
        let answer = in_time(self.deadline, settle).await;
        if let Err(error) = answer.unwrap_or_else(|error| Err(error.into())) {
            let _ = report(error, "settle").logged(Some("settle"));
        }
    }
}
