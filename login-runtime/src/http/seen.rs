//! What was done for a request, as far as the headers of its response depend on it.
//!
//! The login layer completes each response. If a middleware returns an error, the layer does not get the
//! request back, and an anonymous client that a guard refuses has no
//! [`LoginState`](crate::request::LoginState). So this is kept for each thread, and belongs to the request
//! that is being polled.

use std::cell::Cell;

thread_local! {
    static SEEN: Cell<Seen> = const { Cell::new(Seen(0)) };
}

/// What was done for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen(u8);

impl Seen {
    /// Something asked who the user is.
    const LOOK: u8 = 1;
    /// A guard decided.
    const GUARD: u8 = 1 << 1;
    /// The client was refused, or the user could not be loaded.
    const REFUSAL: u8 = 1 << 2;
    /// A user was logged out.
    const LOG_OUT: u8 = 1 << 3;

    fn note(bits: u8) {
        SEEN.set(Self(SEEN.get().0 | bits));
    }

    pub(crate) fn note_look() {
        Self::note(Self::LOOK);
    }

    pub(crate) fn note_guard() {
        Self::note(Self::LOOK | Self::GUARD);
    }

    pub(crate) fn note_refusal() {
        Self::note(Self::LOOK | Self::GUARD | Self::REFUSAL);
    }

    pub(crate) fn note_log_out() {
        Self::note(Self::LOOK | Self::LOG_OUT);
    }

    /// What was done for the request that is being polled.
    pub(crate) fn now() -> Self {
        SEEN.get()
    }

    pub(crate) fn looked(self) -> bool {
        self.0 & Self::LOOK != 0
    }

    pub(crate) fn is_guarded(self) -> bool {
        self.0 & Self::GUARD != 0
    }

    pub(crate) fn is_refused(self) -> bool {
        self.0 & Self::REFUSAL != 0
    }

    pub(crate) fn logged_out(self) -> bool {
        self.0 & Self::LOG_OUT != 0
    }

    /// Runs code for the request for which this was done, and adds what the code does.
    #[inline]
    pub(crate) fn within<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let outer = SEEN.replace(*self);
        let result = run();
        *self = SEEN.get();
        // A login manager around this one handles the same request.
        SEEN.set(Self(outer.0 | self.0));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_sees_only_what_was_done_for_it() {
        let (mut one, mut other) = (Seen::default(), Seen::default());
        one.within(Seen::note_look);
        other.within(|| assert!(!Seen::now().looked()));
        other.within(Seen::note_log_out);
        one.within(|| assert!(Seen::now().looked() && !Seen::now().logged_out()));
        one.within(Seen::note_guard);
        assert!(one.is_guarded() && !one.logged_out());
        assert!(other.logged_out() && !other.is_guarded());
    }

    #[test]
    fn what_happens_inside_an_inner_manager_counts_outside_too() {
        let (mut outer, mut inner) = (Seen::default(), Seen::default());
        outer.within(|| {
            Seen::note_look();
            inner.within(|| {
                assert!(!Seen::now().looked());
                Seen::note_guard();
            });
        });
        assert!(inner.is_guarded() && outer.is_guarded() && outer.looked());
    }
}
