//! The trait that every store for tries implements.

use std::{future::Future, sync::Arc};

use crate::{
    core::throttle::{Attempt, Claimed, Counted},
    error::StoreError,
};

/// Counts tries, so that passwords and codes cannot be guessed.
///
/// Every method is atomic: no other call for one of the same counters, on any node, takes effect between
/// its reads and its writes. [`Attempt`] has the rules; a store only keeps the numbers. It may forget a
/// counter after [`Counter::forgotten_at`](crate::throttle::Counter::forgotten_at).
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
