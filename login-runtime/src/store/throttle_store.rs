//! The trait that every store for tries implements.

use std::{future::Future, pin::Pin, sync::Arc};

use derive_more::Debug;

use crate::{
    core::throttle::{Attempt, Claimed, Counted},
    error::StoreError,
};

/// Counts tries, so that passwords and codes cannot be guessed.
///
/// Every method is atomic: no other call for one of the same counters, on any node, takes effect between
/// its reads and its writes. [`Attempt`] has the rules; a store only keeps the numbers. It may forget a
/// counter after [`Counter::forgotten_at`](crate::throttle::Counter::forgotten_at).
///
/// The login stores of the features `sqlite`, `postgres` and `redis` implement it. Test your own
/// implementation with the suite in `login_runtime::test::throttle_store`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not count tries",
    label = "not a store for tries",
    note = "take `MemoryThrottleStore`, or implement `ThrottleStore`"
)]
pub trait ThrottleStore: Send + Sync + 'static {
    /// Counts a try if all of its counters allow it, with [`Attempt::claim`].
    fn claim(
        &self,
        attempt: &Attempt,
        now: i64,
    ) -> impl Future<Output = Result<Claimed, StoreError>> + Send;

    /// Takes a try back that was not made, with [`Attempt::give_back`]. A counter that is gone stays so.
    fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes a try back that succeeded, with [`Attempt::succeed`], and keeps the client at
    /// [`Attempt::known`] until the given time.
    fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Lets several managers share one store.
impl<S: ThrottleStore> ThrottleStore for Arc<S> {
    async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        S::claim(self, attempt, now).await
    }

    async fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> Result<(), StoreError> {
        S::give_back(self, attempt, counted, now).await
    }

    async fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        S::succeed(self, attempt, counted, known_until, now).await
    }
}

/// What a call of a store returns.
type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`ThrottleStore`] with boxed futures, so that a manager need not be generic over the store.
trait DynThrottleStore: Send + Sync {
    fn claim<'a>(&'a self, attempt: &'a Attempt, now: i64) -> Answer<'a, Claimed>;

    fn give_back<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        now: i64,
    ) -> Answer<'a, ()>;

    fn succeed<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Answer<'a, ()>;
}

impl<S: ThrottleStore> DynThrottleStore for S {
    fn claim<'a>(&'a self, attempt: &'a Attempt, now: i64) -> Answer<'a, Claimed> {
        Box::pin(ThrottleStore::claim(self, attempt, now))
    }

    fn give_back<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        now: i64,
    ) -> Answer<'a, ()> {
        Box::pin(ThrottleStore::give_back(self, attempt, counted, now))
    }

    fn succeed<'a>(
        &'a self,
        attempt: &'a Attempt,
        counted: &'a [Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Answer<'a, ()> {
        Box::pin(ThrottleStore::succeed(
            self,
            attempt,
            counted,
            known_until,
            now,
        ))
    }
}

/// A [`ThrottleStore`] of any type; clones share it.
///
/// A login store that also counts tries returns itself as one: see
/// [`LoginStore::throttle_store`](crate::store::LoginStore::throttle_store).
#[derive(Clone, Debug)]
#[debug("AnyThrottleStore")]
pub struct AnyThrottleStore(Arc<dyn DynThrottleStore>);

impl AnyThrottleStore {
    /// Takes a store of any type.
    pub fn new(store: impl ThrottleStore) -> Self {
        Self(Arc::new(store))
    }
}

impl ThrottleStore for AnyThrottleStore {
    async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        DynThrottleStore::claim(&*self.0, attempt, now).await
    }

    async fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> Result<(), StoreError> {
        DynThrottleStore::give_back(&*self.0, attempt, counted, now).await
    }

    async fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        DynThrottleStore::succeed(&*self.0, attempt, counted, known_until, now).await
    }
}
