//! A store of any type, with a deadline for each call.
//!
//! 1. A call that takes longer than the limit fails, and the request is answered with 503.
//! 2. One request waits for missing answers no longer than the limit in total, however many calls it
//!    makes.
//! 3. An answer that arrives in time does not count towards that total.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use derive_more::{Display, Error};
use tokio::{
    task::{JoinError, futures::TaskLocalFuture},
    time::{Instant, timeout},
};

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        SessionCheck, TokenFamily,
    },
    error::{Causes, StoreError},
    measure::{Operation, Outcome, StoreCall, in_current_span},
    store::{ahead, login_store::LoginStore, throttle_store::AnyThrottleStore},
};

pub(crate) type StoreFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Passes all methods of [`LoginStore`] to a macro, with `$a` as the lifetime of each reference.
macro_rules! store_methods {
    ($macro:ident, $a:lifetime) => {
        $macro! {
            insert(
                key: LoginKey, record: &$a LoginRecord, max: Option<MaxLogins>, now: i64
            ) -> Inserted;
            find(key: LoginKey, now: i64) -> Option<LoginRecord>;
            find_for_auth(key: LoginKey, now: i64) -> Option<LoginRecord>;
            touch(key: LoginKey, last_seen: i64) -> ();
            make_stale(key: LoginKey) -> ();
            end(key: LoginKey) -> bool;
            end_many(which: LoginSelector<$a>) -> u64;
            list(owner: LoginOwner<$a>, now: i64) -> Vec<(LoginKey, LoginRecord)>;
            insert_family(key: FamilyKey, family: &$a TokenFamily) -> ();
            end_oldest_families(owner: LoginOwner<$a>, keep: u32) -> u64;
            find_family(key: FamilyKey, now: i64) -> Option<TokenFamily>;
            update_family_if(key: FamilyKey, expected: i64, family: &$a TokenFamily) -> bool;
            token_arrived(login: LoginKey, now: i64) -> ();
            purge(now: i64, idle_since: Option<i64>, limit: u32) -> u64;
            revoke_session(
                session: LoginKey, owner: LoginOwner<$a>, until: i64, max: u32
            ) -> ();
            is_session_revoked(session: LoginKey, now: i64) -> bool;
            check_session(session: LoginKey, login: LoginKey, now: i64) -> SessionCheck;
        }
    };
}

macro_rules! boxed_store {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// [`LoginStore`] with boxed futures, so that a manager need not be generic over the store.
        pub(crate) trait DynLoginStore: Send + Sync {
            $(fn $method<'a>(&'a self, $($argument: $type),*) -> StoreFuture<'a, $answer>;)*
            /// [`LoginStore::find_for_auth`] with a share of the store, for a caller that polls.
            fn find_for_auth_owned(
                self: Arc<Self>,
                key: LoginKey,
                now: i64,
            ) -> StoreFuture<'static, Option<LoginRecord>>;
        }

        impl<S: LoginStore> DynLoginStore for S {
            $(fn $method<'a>(&'a self, $($argument: $type),*) -> StoreFuture<'a, $answer> {
                Box::pin(LoginStore::$method(self, $($argument),*))
            })*

            fn find_for_auth_owned(
                self: Arc<Self>,
                key: LoginKey,
                now: i64,
            ) -> StoreFuture<'static, Option<LoginRecord>> {
                Box::pin(async move { LoginStore::find_for_auth(&*self, key, now).await })
            }
        }
    };
}

macro_rules! forwarding_stores {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// Lets several managers, and the code that purges old logins, share one store.
        impl<S: LoginStore> LoginStore for Arc<S> {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                S::$method(self, $($argument),*).await
            })*

            fn throttle_store(&self) -> Option<AnyThrottleStore> {
                S::throttle_store(self)
            }

            fn cached_for(&self) -> Option<Duration> {
                S::cached_for(self)
            }
        }

        /// Each call fails if the store does not answer within the limit.
        impl LoginStore for TimedStore {
            $(async fn $method(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                static OPERATION: Operation = Operation::new(stringify!($method));
                // This call may change what was found before.
                ahead::forget();
                let mut measured = StoreCall::start(&OPERATION);
                let call = DynLoginStore::$method(&*self.store, $($argument),*);
                let answer = measured.watch(in_time(self.limit, call)).await;
                let answer = answer.unwrap_or_else(|error| Err(error.into()));
                measured.end(|| outcome(&answer));
                answer.map_err(|error| report(error, OPERATION.name))
            })*
        }
    };
}

store_methods!(boxed_store, 'a);
store_methods!(forwarding_stores, '_);

/// How long a login store may take to answer, by default.
pub(crate) const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// A call that goes through the whole store may take this many times the limit.
///
/// Raising it lets larger stores be purged in one call; the caller waits that long if the store is
/// down.
const PATIENCE: u32 = 30;

/// What one request has experienced with its stores.
#[derive(Default)]
pub(crate) struct Failures {
    /// How long it has waited for answers that never arrived.
    waited_in_vain: Cell<Duration>,
    /// The errors that it has logged.
    logged: RefCell<Vec<String>>,
}

impl Failures {
    /// The same, to continue in another task.
    fn take(&self) -> Self {
        Self {
            waited_in_vain: self.waited_in_vain.clone(),
            logged: RefCell::new(self.logged.take()),
        }
    }
}

tokio::task_local! {
    static FAILURES: Failures;
}

/// A request whose total waiting for a store that is down is limited.
pub(crate) type Bounded<F> = TaskLocalFuture<Failures, F>;

/// Runs one request, and limits its total waiting for a store that is down.
pub(crate) fn bounded<F: Future>(request: F) -> Bounded<F> {
    FAILURES.scope(Failures::default(), request)
}

/// Whether the request has not logged this error yet. An outage fails many calls of a request alike.
pub(crate) fn is_new(error: &str) -> bool {
    let note = |failures: &Failures| {
        let mut logged = failures.logged.borrow_mut();
        let is_new = !logged.iter().any(|other| other == error);
        if is_new {
            logged.push(error.to_owned());
        }
        is_new
    };
    FAILURES.try_with(note).unwrap_or(true)
}

/// Logs a failure of the login store with its causes, once. `call` is what the store was asked.
pub(crate) fn report(error: StoreError, call: &'static str) -> StoreError {
    if error.is_full() {
        // Old logins may make room, and then nothing has failed. Otherwise the caller logs it.
        return error;
    }
    // The same advice means the same cause, such as several tables that are missing.
    let is_known = !error.is_logged()
        && match error.advice() {
            Some(advice) => !is_new(advice),
            None => !is_new(&Causes(&error).to_string()),
        };
    if is_known {
        error.without_log()
    } else {
        error.logged(Some(call))
    }
}

/// Runs a part of a request so that it completes even if the client disconnects: in a separate task, if
/// it has to wait.
pub(crate) async fn spawn<T: 'static>(
    part: impl Future<Output = T> + 'static,
) -> Result<T, JoinError> {
    let mut part = Box::pin(part);
    // With a store that answers at once, such as the one in memory, nothing can come in between.
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(part.as_mut().poll(cx))).await {
        return Ok(done);
    }
    let taken = || FAILURES.try_with(Failures::take).unwrap_or_default();
    let task = FAILURES.scope(taken(), async move { (part.await, taken()) });
    let (done, failures) = actix_web::rt::spawn(in_current_span(task)).await?;
    let _ = FAILURES.try_with(|before| {
        before.waited_in_vain.swap(&failures.waited_in_vain);
        before.logged.swap(&failures.logged);
    });
    Ok(done)
}

/// Zero outside a request, for instance when an administrator ends logins.
fn waited_in_vain() -> Duration {
    let waited = FAILURES.try_with(|failures| failures.waited_in_vain.get());
    waited.unwrap_or_default()
}

/// A store whose calls fail if the answer takes too long.
#[derive(Clone)]
pub(crate) struct TimedStore {
    store: Arc<dyn DynLoginStore>,
    limit: Duration,
}

/// The login of a request is looked up.
pub(crate) static FIND_FOR_AUTH: Operation = Operation::new("find_for_auth");

/// The store did not answer before the deadline.
#[derive(Debug, Display, Error)]
#[display("no answer within {limit:?}")]
pub(crate) struct TooSlow {
    limit: Duration,
    /// Whether there was time left to ask the store.
    was_asked: bool,
}

/// How a call ended.
pub(crate) fn outcome<T>(answer: &Result<T, StoreError>) -> Outcome {
    match answer {
        Ok(_) => Outcome::Answered,
        Err(error) => failure(error),
    }
}

/// How a call failed.
pub(crate) fn failure(error: &StoreError) -> Outcome {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<TooSlow>()) {
        Some(too_slow) => too_slow.outcome(),
        None if error.is_full() => Outcome::Full,
        None => Outcome::Failed,
    }
}

impl TooSlow {
    pub(crate) fn outcome(&self) -> Outcome {
        if self.was_asked {
            Outcome::TimedOut
        } else {
            Outcome::NotAsked
        }
    }
}

impl From<TooSlow> for StoreError {
    fn from(error: TooSlow) -> Self {
        Self::new(error).advise(
            "check that the store can be reached; `.store_deadline(..)` says how long an answer may take",
        )
    }
}

impl TimedStore {
    pub(crate) fn new(store: Arc<dyn DynLoginStore>, limit: Duration) -> Self {
        Self { store, limit }
    }

    /// Makes a call that may take longer than the limit, because no browser waits for its answer.
    pub(crate) async fn call_long<'a, T>(
        &'a self,
        operation: &'static Operation,
        call: impl FnOnce(&'a dyn DynLoginStore) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let limit = self.limit.saturating_mul(PATIENCE);
        let mut measured = StoreCall::start(operation);
        let answer = measured.watch(timeout(limit, call(&*self.store))).await;
        let was_asked = true;
        let answer = answer.unwrap_or_else(|_| Err(TooSlow { limit, was_asked }.into()));
        measured.end(|| outcome(&answer));
        answer.map_err(|error| report(error, operation.name))
    }

    /// Finds the login of a request, for a caller that polls, and that [reports](report) an error. If the
    /// answer is not there at once, the caller limits its wait by [`in_time`](Self::in_time).
    pub(crate) fn find_for_auth_owned(
        &self,
        key: LoginKey,
        now: i64,
    ) -> StoreFuture<'static, Option<LoginRecord>> {
        Arc::clone(&self.store).find_for_auth_owned(key, now)
    }

    /// Limits the wait for an answer.
    pub(crate) fn in_time<T: 'static>(
        &self,
        answer: StoreFuture<'static, T>,
    ) -> StoreFuture<'static, T> {
        let limit = self.limit;
        let asked_before = |error: TooSlow| TooSlow {
            was_asked: true,
            ..error
        };
        Box::pin(async move { in_time(limit, answer).await.map_err(asked_before)? })
    }
}

/// Waits for `work`, at most as long as the limit minus the time this request has waited in vain.
pub(crate) async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, TooSlow> {
    let left = limit.saturating_sub(waited_in_vain());
    if left.is_zero() {
        let was_asked = false;
        return Err(TooSlow { limit, was_asked });
    }
    let mut work = pin!(work);
    // A store that answers at once, such as the one in memory, needs no timer.
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        return Ok(done);
    }
    let started = Instant::now();
    timeout(left, work).await.map_err(|_| {
        let _ = FAILURES.try_with(|failures| {
            let waited = failures.waited_in_vain.get();
            failures.waited_in_vain.set(waited + started.elapsed());
        });
        let was_asked = true;
        TooSlow { limit, was_asked }
    })
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, task::Context, task::Waker};

    use tokio::task::yield_now;

    use super::*;

    #[test]
    fn what_is_done_at_once_needs_no_task() {
        // Without a runtime, a task cannot be started.
        let mut done = pin!(spawn(async { 7 }));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(done.as_mut().poll(&mut cx), Poll::Ready(Ok(7))));
    }

    #[actix_web::test]
    async fn what_has_begun_is_done_although_its_client_is_gone() {
        let steps = Rc::new(Cell::new(0));
        let counted = Rc::clone(&steps);
        let part = async move {
            for step in 1..=3 {
                counted.set(step);
                yield_now().await;
            }
        };
        {
            let mut caller = pin!(spawn(part));
            let polled = poll_fn(|cx| Poll::Ready(caller.as_mut().poll(cx))).await;
            assert!(polled.is_pending());
            assert_eq!(steps.get(), 1);
            // The client disconnects here.
        }
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(steps.get(), 3);
    }

    #[actix_web::test]
    async fn a_part_that_waits_gives_its_result_to_the_caller() {
        let part = async {
            yield_now().await;
            7
        };
        assert_eq!(spawn(part).await.unwrap(), 7);
    }
}
