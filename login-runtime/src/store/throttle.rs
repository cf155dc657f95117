//! The throttle of a manager: its limits, and the store that counts.

use std::time::Duration;

use derive_more::Debug;

use crate::{
    core::throttle::{Attempt, Claimed, Counted, TryLimit},
    error::StoreError,
    measure::{Operation, StoreCall},
    store::{
        deadline::{in_time, outcome, report},
        memory::MemoryThrottleStore,
        throttle_store::{AnyThrottleStore, ThrottleStore},
    },
};

/// Where tries are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedIn {
    /// In the memory of each process.
    Memory,
    /// In the database of the login store.
    LoginStore,
    /// In another store, which the application has chosen.
    Own,
}

/// How failed tries are limited; for
/// [`LoginManagerBuilder::throttle`](crate::config::LoginManagerBuilder::throttle).
///
/// Without this setting, the limits are the defaults below. The counters are in the database of the login
/// store if that is a `SqliteLoginStore`, a `PostgresLoginStore` or a `RedisLoginStore`, and otherwise in
/// memory. The guide has a page about [guessing](crate::guide::guessing) with the reasons for the numbers.
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
    store: AnyThrottleStore,
    pub(crate) counted_in: CountedIn,
    /// Whether the application has chosen the store.
    has_own_store: bool,
    /// How long an answer of the store may take.
    deadline: Duration,
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

impl Throttle {
    /// The default limits. The login store decides where tries are counted; see
    /// [`store`](Self::store).
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
            store: AnyThrottleStore::new(MemoryThrottleStore::new()),
            counted_in: CountedIn::Memory,
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

    /// Counts in this store.
    ///
    /// The default is the database of the login store if that is a `SqliteLoginStore`, a
    /// `PostgresLoginStore` or a `RedisLoginStore`: all processes share the counters, and they survive a
    /// restart. Otherwise it is a [`MemoryThrottleStore`]: it forgets its counters when the process ends,
    /// and each process counts for itself.
    pub fn store<S: ThrottleStore>(self, store: S) -> Self {
        // By name, because a store may be shared: `Arc<MemoryThrottleStore>`.
        let is_memory = std::any::type_name::<S>().contains("MemoryThrottleStore");
        Self {
            store: AnyThrottleStore::new(store),
            counted_in: match is_memory {
                true => CountedIn::Memory,
                false => CountedIn::Own,
            },
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

    /// With the deadline of the manager, and the place where its login store counts tries.
    pub(crate) fn built(self, deadline: Duration, login_store: Option<AnyThrottleStore>) -> Self {
        match login_store {
            Some(store) if !self.has_own_store => Self {
                store,
                counted_in: CountedIn::LoginStore,
                deadline,
                ..self
            },
            _ => Self { deadline, ..self },
        }
    }

    pub(crate) async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        static CLAIM: Operation = Operation::new("claim");
        let mut measured = StoreCall::start(&CLAIM);
        let claim = in_time(self.deadline, self.store.claim(attempt, now));
        let answer = measured.watch(claim).await;
        let answer = answer.unwrap_or_else(|error| Err(error.into()));
        measured.end(|| outcome(&answer));
        answer.map_err(|error| report(error, CLAIM.name).logged(Some(CLAIM.name)))
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
        static SUCCEED: Operation = Operation::new("succeed");
        static GIVE_BACK: Operation = Operation::new("give_back");
        let operation = if has_succeeded { &SUCCEED } else { &GIVE_BACK };
        let mut measured = StoreCall::start(operation);
        let settle = async {
            if has_succeeded {
                let until = now.saturating_add(self.known_for);
                self.store.succeed(attempt, counted, until, now).await
            } else {
                self.store.give_back(attempt, counted, now).await
            }
        };
        let answer = measured.watch(in_time(self.deadline, settle)).await;
        let answer = answer.unwrap_or_else(|error| Err(error.into()));
        measured.end(|| outcome(&answer));
        if let Err(error) = answer {
            let _ = report(error, operation.name).logged(Some(operation.name));
        }
    }
}
