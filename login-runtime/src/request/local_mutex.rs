//! An async mutex within one request, and so within one thread.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// Grants access to one task of a request at a time. Costs nothing while nobody waits.
#[derive(Default)]
pub(crate) struct LocalMutex {
    locked: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl LocalMutex {
    /// Whether the caller has the lock now; it then calls [`unlock`](Self::unlock).
    pub(crate) fn try_lock(&self) -> bool {
        !self.locked.replace(true)
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.locked.get()
    }

    pub(crate) async fn lock(&self) -> LocalMutexGuard<'_> {
        poll_fn(|cx| {
            if self.try_lock() {
                return Poll::Ready(LocalMutexGuard(self));
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(crate) fn unlock(&self) {
        self.locked.set(false);
        // All tasks that wait: one of them may have been dropped, and could not pass the lock on.
        for waker in self.waiting.take() {
            waker.wake();
        }
    }
}

/// Unlocks the mutex when it is dropped.
pub(crate) struct LocalMutexGuard<'a>(&'a LocalMutex);

impl Drop for LocalMutexGuard<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}
