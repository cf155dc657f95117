//! A login record that was found before something asked for it.
//!
//! A session that is kept in its cookie is checked when the request begins. A login store in another process
//! tells about the session and its login in one round trip; the record waits here until the login is looked
//! up. A log out has to count at once, so the record is only used
//!
//! 1. by the request for which it was found, while that request is being polled: after anything that it had
//!    to wait for, the store is asked again,
//! 2. until the request makes another call of the store,
//! 3. once.

use std::cell::RefCell;

use crate::core::{LoginKey, LoginRecord};

/// What was found.
pub(crate) struct Found {
    pub(crate) key: LoginKey,
    pub(crate) record: Option<LoginRecord>,
}

thread_local! {
    static FOUND: RefCell<Option<Found>> = const { RefCell::new(None) };
}

/// Keeps what was found until the request waits.
pub(crate) fn keep(found: Found) {
    let _ = FOUND.try_with(|kept| kept.replace(Some(found)));
}

/// Takes what was found for the login with this key.
pub(crate) fn take(key: LoginKey) -> Option<Found> {
    let found = FOUND.try_with(RefCell::take).ok().flatten()?;
    (found.key == key).then_some(found)
}

/// Forgets what was found.
#[inline]
pub(crate) fn forget() {
    let _ = FOUND.try_with(|kept| {
        if kept.borrow().is_some() {
            kept.take();
        }
    });
}

/// Polls a request. What other requests found is not there, and what this one finds does not stay.
pub(crate) fn within<T>(poll: impl FnOnce() -> T) -> T {
    /// Also forgets if the request panics.
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            forget();
        }
    }
    forget();
    let _done = Done;
    poll()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(byte: u8) -> Found {
        Found {
            key: LoginKey([byte; 32]),
            record: None,
        }
    }

    #[test]
    fn what_was_found_is_taken_once_and_only_under_its_key() {
        keep(found(1));
        assert!(take(LoginKey([1; 32])).is_some());
        assert!(take(LoginKey([1; 32])).is_none());
        keep(found(1));
        assert!(take(LoginKey([2; 32])).is_none());
        // Another login of the request was looked up.
        assert!(take(LoginKey([1; 32])).is_none());
    }

    #[test]
    fn what_was_found_does_not_outlast_the_poll_of_its_request() {
        within(|| {
            keep(found(1));
            // A request that is polled within this one.
            within(|| assert!(take(LoginKey([1; 32])).is_none()));
            assert!(take(LoginKey([1; 32])).is_none());
            keep(found(1));
        });
        assert!(take(LoginKey([1; 32])).is_none());
        let panicked = std::panic::catch_unwind(|| {
            within(|| {
                keep(found(1));
                panic!("the request panics");
            });
        });
        assert!(panicked.is_err() && take(LoginKey([1; 32])).is_none());
    }
}
