//! Whether the session of a request ended while the request was in progress.
//!
//! actix-session loads a session when a request begins and saves it when the request ends. It does not
//! notice what happens to the session in between: a request that was in progress while the user logged
//! in or out would save the old session again, and send its cookie to the browser. The session
//! middleware runs each request with a [`SessionTracker`], and the rules are:
//!
//! 1. A request is *late* if its session ends before the request ends. A late request cannot write to
//!    the session. If the application has written to the session, that data is lost, so the client gets
//!    a 409 without a session cookie.
//! 2. A late request that only read the session gets its response, without the cookies of this crate:
//!    the browser may have newer ones.
//! 3. A late request that renews the session does not create a new session, unless it logs a user in:
//!    two clicks on the same log in button both succeed. Two log outs both succeed, too.
//! 4. A request is also late if its session was ended by a log in or log out within the last three
//!    minutes: it is assumed that the browser sent the request before it got that response. One minute is
//!    for slow requests, and two for nodes whose clocks differ. After that, it is assumed that the browser
//!    never got that response, and the browser starts with a new session. A log in is never treated as
//!    late.
//! 5. If a session store fails or does not answer in time, the response is 503.
//!
//! If the server keeps the sessions, the store knows which of them have ended. The server cannot end a
//! session that is kept in its cookie. With a login store, each such session contains an id, and the id
//! is *revoked* when a login in the session ends, or when another login replaces it. A request that
//! writes to a revoked session is late. A session without a login also has an id. If it is renewed
//! without a log in, the new session keeps this id, so there is nothing to revoke.
//!
//! When a request checks that a session exists and then acts on it, no other request of this process can
//! change that session in between. Another process can change it; the effect is then the same as that of
//! two responses that are on the network at the same time.
//!
//! Limits:
//!
//! - A request without a session cookie that creates the first session replaces one that the browser
//!   got in the meantime.
//! - If two responses are on their way to the browser at the same time, the one that arrives last
//!   counts, even if the server created it first.
//! - Without a login store the end of a session is not recorded: a request with the cookie of an ended
//!   session gets a new one, and sessions that are kept in their cookie never end.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::http::Method;
use pin_project_lite::pin_project;
use tokio::sync::OwnedRwLockWriteGuard;

use crate::{
    core::LoginKey,
    session::identity::{Identity, State},
    store::{ahead, deadline},
};

/// Keeps other requests of this process from changing a session.
pub(crate) type Lock = Option<OwnedRwLockWriteGuard<()>>;

/// What the session store has to know about one request.
#[derive(Default)]
pub(crate) struct SessionTracker {
    pub(crate) fate: Cell<SessionFate>,
    /// The session keys of the logins that the request made. With any, the session is a new one.
    pub(crate) logged_in: RefCell<Vec<String>>,
    /// Whether the request logged a user out, so that the rest of its session may be lost.
    pub(crate) logged_out: Cell<bool>,
    /// Whether the request ended a login that a login cookie held instead of the session.
    pub(crate) held_elsewhere: Cell<bool>,
    /// The session after a change by this crate, if the application had not changed it before.
    pub(crate) ours: RefCell<Option<State>>,
    /// Held while the session gets another id.
    pub(crate) lock: RefCell<Lock>,
    /// The session in the cookie of the request, as it was loaded.
    pub(crate) loaded: Cell<Option<Identity>>,
    /// The id that a renewed session in a cookie keeps.
    pub(crate) id: Cell<Option<LoginKey>>,
    /// The name of the user type, and the id as JSON, of the user whose session this is.
    pub(crate) owner: RefCell<(String, String)>,
    /// Whether logins that the request did not make may have ended with the session.
    pub(crate) only_own_logins: Cell<bool>,
    /// Whether a store failed.
    pub(crate) failed: Cell<bool>,
    /// How many cookies the response sets, before the session middleware adds the session cookie.
    pub(crate) cookies: Cell<usize>,
    /// The logins whose cookies the request carries, and the time at which it arrived.
    pub(crate) carried: RefCell<(Vec<LoginKey>, i64)>,
    /// The method of the request, if it must only read.
    safe_method: Option<Method>,
}

/// Whether the session of a request has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SessionFate {
    /// It has not, or a log in has replaced it.
    #[default]
    Kept,
    /// It has ended, and the application has not written to it, or has only ended it too.
    EndedAfterRead,
    /// It has ended, and the application has written to it.
    EndedAfterWrite,
    /// A store failed, so this is not known.
    Unknown,
}

thread_local! {
    /// The tracker of the request that is being polled.
    static TRACKER: RefCell<Option<Rc<SessionTracker>>> = const { RefCell::new(None) };
}

pin_project! {
    /// Polls a request with its tracker in place.
    struct Tracked<F> {
        #[pin]
        work: F,
        // `None` while it is in place.
        tracker: Option<Rc<SessionTracker>>,
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        /// Puts the tracker in the place of that of a request around this one, and back in the end, even if
        /// the request panics.
        struct InPlace<'a>(&'a mut Option<Rc<SessionTracker>>);
        impl InPlace<'_> {
            fn swap(&mut self) {
                let _ = TRACKER.try_with(|current| mem::swap(&mut *current.borrow_mut(), self.0));
            }
        }
        impl Drop for InPlace<'_> {
            fn drop(&mut self) {
                self.swap();
            }
        }
        let this = self.project();
        let mut in_place = InPlace(this.tracker);
        in_place.swap();
        ahead::within(|| this.work.poll(cx))
    }
}

/// Runs the session middleware for one request with this method. `done` gets its result, the fate of the session, and
/// how many cookies of the response stay if the request is late.
pub(crate) async fn track<F: Future>(
    method: Method,
    work: F,
    done: impl FnOnce(F::Output, SessionFate, usize) -> F::Output,
) -> F::Output {
    let tracker = Rc::new(SessionTracker {
        safe_method: method.is_safe().then_some(method),
        ..SessionTracker::default()
    });
    let request = Tracked {
        work,
        tracker: Some(Rc::clone(&tracker)),
    };
    let output = deadline::bounded(request).await;
    let fate = match tracker.failed.get() {
        true => SessionFate::Unknown,
        false => tracker.fate.get(),
    };
    done(output, fate, tracker.cookies.get())
}

/// The method of the current request, if it must only read. `None` also where sessions are not tracked.
pub(crate) fn safe_method() -> Option<Method> {
    with_tracker(|tracker| tracker.safe_method.clone())
}

/// Reads or changes the tracker of the current request. Returns the default value where sessions are
/// not tracked.
pub(crate) fn with_tracker<T: Default>(use_tracker: impl FnOnce(&SessionTracker) -> T) -> T {
    TRACKER
        .try_with(|current| current.borrow().as_deref().map(use_tracker))
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Notes whose session the request has, so that the end of the session counts as that user's.
pub(crate) fn belongs_to(user_type: &str, user_id: &str) {
    with_tracker(|tracker| {
        tracker
            .owner
            .replace((user_type.to_owned(), user_id.to_owned()))
    });
}

/// The name of the user type, and the id as JSON, that [`belongs_to`] noted; both are empty otherwise.
pub(crate) fn owner() -> (String, String) {
    with_tracker(|tracker| tracker.owner.borrow().clone())
}

/// Whether the current request has a tracker.
pub(crate) fn is_tracked() -> bool {
    with_tracker(|_| true)
}

/// The request logged a user in, so the session that it leaves is a new one.
pub(crate) fn logged_in(login_key: &str) {
    with_tracker(|tracker| {
        tracker.logged_in.borrow_mut().push(login_key.to_owned());
        tracker.fate.set(SessionFate::Kept);
    });
}

pub(crate) fn has_logged_in() -> bool {
    with_tracker(|tracker| !tracker.logged_in.borrow().is_empty())
}

/// A request that arrived at this time carries the cookies of these logins. If one of them has ended
/// since, so has the session that the request would create.
pub(crate) fn carries_logins(logins: Vec<LoginKey>, arrived: i64) {
    with_tracker(|tracker| tracker.carried.replace((logins, arrived)));
}

/// The request logged a user out: what it leaves in its session may be lost if the session has ended.
///
/// `held_elsewhere` says whether it ended a login that the session did not hold.
pub(crate) fn logged_out(held_elsewhere: bool) {
    with_tracker(|tracker| {
        tracker.logged_out.set(true);
        // Of two user types one may have had a login.
        let held = tracker.held_elsewhere.get();
        tracker.held_elsewhere.set(held || held_elsewhere);
    });
}

/// The request ended a login together with the session, which did not hold that login.
pub(crate) fn held_elsewhere() {
    with_tracker(|tracker| tracker.held_elsewhere.set(true));
}

/// Only this crate has changed the session, and these changes may be lost if the session has ended.
pub(crate) fn set_ours(state: &State) {
    with_tracker(|tracker| *tracker.ours.borrow_mut() = Some(state.clone()));
}

/// Whether the session is as [`set_ours`] noted it.
pub(crate) fn is_ours(state: &State) -> bool {
    with_tracker(|tracker| tracker.ours.borrow().as_ref() == Some(state))
}

/// Whether a late request loses no data of the application if this session is not saved.
pub(crate) fn may_lose(state: &State) -> bool {
    with_tracker(|tracker| tracker.logged_out.get()) || is_ours(state)
}

/// Counts the cookies of a response before the session middleware adds the session cookie; the last
/// `ours` of them are from this crate.
///
/// A late response is sent without the cookies of this crate, because the browser may have newer ones.
/// Those of a log out stay: no other response repeats them.
pub(crate) fn count_cookies(ours: usize, count: impl FnOnce() -> usize) {
    with_tracker(|tracker| {
        let dropped = if tracker.logged_out.get() { 0 } else { ours };
        tracker.cookies.set(count().saturating_sub(dropped));
    });
}

/// Notes that the session has ended. Does not apply to a log in, which makes a new session.
pub(crate) fn set_fate(fate: SessionFate) {
    with_tracker(|tracker| {
        if tracker.logged_in.borrow().is_empty() {
            tracker.fate.set(fate);
        }
    });
}

/// Notes whether a store failed: the session middleware treats all errors alike.
pub(crate) fn note_failure<T, E>(answer: Result<T, E>) -> Result<T, E> {
    with_tracker(|tracker| tracker.failed.set(answer.is_err()));
    answer
}
