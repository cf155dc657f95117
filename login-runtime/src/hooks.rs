//! Which hooks of the application are running on this thread.
//!
//! A hook may call every function of this crate. Some of these functions would call the same hook again:
//! a handler for refused clients that asks for the response to a refused client would never end. So while a
//! hook runs, the crate does what it does without that hook.
//!
//! A hook that is a future counts as running only while it is polled. Other code of the same request,
//! which is polled in between, is not affected.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// How deep the conditions of the application may ask for other conditions. With a higher number, a
/// condition that asks for itself is noticed later.
const MOST_NESTED: u8 = 8;

thread_local! {
    /// One bit for each [`Hook`].
    static RUNNING: Cell<u16> = const { Cell::new(0) };
    /// How many conditions of the application are running, each within the one before.
    static NESTED: Cell<u8> = const { Cell::new(0) };
}

/// A hook of the application that functions of this crate would call again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Subscriber,
    Unauthorized,
    NeedsRefresh,
    Forbidden,
    LoadFailed,
    /// `localize` and `flash`.
    Message,
    /// A function that returns the address of a view.
    View,
    /// A function that returns the address of the client.
    ClientAddress,
}

impl Hook {
    const fn bit(self) -> u16 {
        match self {
            Self::Subscriber => 1,
            Self::Unauthorized => 1 << 1,
            Self::NeedsRefresh => 1 << 2,
            Self::Forbidden => 1 << 3,
            Self::LoadFailed => 1 << 4,
            Self::Message => 1 << 5,
            Self::View => 1 << 6,
            Self::ClientAddress => 1 << 7,
        }
    }

    /// Whether the code that calls this runs within the hook.
    pub(crate) fn is_running(self) -> bool {
        RUNNING.get() & self.bit() != 0
    }

    /// Whether the code that calls this runs within a hook that is an ordinary function. It cannot wait for
    /// anything that continues only after the hook has returned.
    pub(crate) fn is_blocking() -> bool {
        let functions = [
            Self::Subscriber,
            Self::LoadFailed,
            Self::Message,
            Self::View,
            Self::ClientAddress,
        ];
        functions.iter().any(|hook| hook.is_running())
    }

    /// Runs the hook.
    pub(crate) fn run<T>(self, hook: impl FnOnce() -> T) -> T {
        let _before = Restore::set(&RUNNING, RUNNING.get() | self.bit());
        hook()
    }

    /// Runs a hook that is a future.
    pub(crate) async fn run_async<F: Future>(self, hook: F) -> F::Output {
        let mut hook = pin!(hook);
        poll_fn(|cx| self.run(|| hook.as_mut().poll(cx))).await
    }
}

/// Runs a condition of the application. `None` if it runs within too many others, as one that asks for
/// itself does.
pub(crate) fn nested<T>(condition: impl FnOnce() -> T) -> Option<T> {
    let nested = NESTED.get();
    if nested >= MOST_NESTED {
        return None;
    }
    let _before = Restore::set(&NESTED, nested + 1);
    Some(condition())
}

/// The same for a condition that is a future.
pub(crate) async fn nested_async<F: Future>(condition: F) -> Option<F::Output> {
    let mut condition = pin!(condition);
    poll_fn(|cx| match nested(|| condition.as_mut().poll(cx)) {
        Some(poll) => poll.map(Some),
        None => Poll::Ready(None),
    })
    .await
}

/// Sets a cell back when it is dropped, also if the hook panics.
struct Restore<T: Copy + 'static> {
    cell: &'static std::thread::LocalKey<Cell<T>>,
    before: T,
}

impl<T: Copy + 'static> Restore<T> {
    fn set(cell: &'static std::thread::LocalKey<Cell<T>>, value: T) -> Self {
        let before = cell.replace(value);
        Self { cell, before }
    }
}

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.cell.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        pin::Pin,
        task::Context,
    };

    use super::*;

    #[test]
    fn a_hook_runs_until_it_returns_or_panics() {
        assert!(!Hook::View.is_running());
        Hook::View.run(|| {
            assert!(Hook::View.is_running());
            assert!(!Hook::Message.is_running());
            Hook::Message.run(|| assert!(Hook::View.is_running()));
            assert!(!Hook::Message.is_running());
        });
        let panics = || Hook::View.run(|| std::panic::resume_unwind(Box::new(())));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(!Hook::View.is_running());
    }

    #[test]
    fn a_hook_that_is_a_future_runs_only_while_it_is_polled() {
        let mut polls = 0;
        let hook = poll_fn(|_| {
            assert!(Hook::Forbidden.is_running());
            polls += 1;
            if polls == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let mut hook: Pin<Box<dyn Future<Output = ()>>> = Box::pin(Hook::Forbidden.run_async(hook));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(hook.as_mut().poll(&mut cx).is_pending());
        assert!(!Hook::Forbidden.is_running());
        assert!(hook.as_mut().poll(&mut cx).is_ready());
        assert!(!Hook::Forbidden.is_running());
    }

    #[test]
    fn a_condition_that_asks_for_itself_comes_to_an_end() {
        fn ask(depth: u8) -> u8 {
            nested(|| ask(depth + 1)).unwrap_or(depth)
        }
        assert_eq!(ask(0), MOST_NESTED);
        assert_eq!(NESTED.get(), 0);
    }
}
