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
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::http::{
    Method,
    header::{HeaderMap, SET_COOKIE},
};
use pin_project_lite::pin_project;
use tokio::{sync::OwnedRwLockWriteGuard, task::futures::TaskLocalFuture};

use crate::{
    core::LoginKey,
    session::identity::{Identity, State},
    store::{
        ahead,
        deadline::{self, Bounded},
    },
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

/// The watch over the session of one request.
#[derive(Default)]
pub(crate) struct Watch {
    /// Made when there is something to note: most requests only read.
    tracker: OnceCell<Box<SessionTracker>>,
    /// The method of the request, if it must only read.
    safe_method: Option<Method>,
    /// The session in the cookie of the request, as it was loaded.
    loaded: Cell<Option<Identity>>,
}

tokio::task_local! {
    static WATCH: Watch;
}

/// What is done with the result of a request, the fate of its session, and the number of cookies of the
/// response that stay if the request is late.
pub(crate) type Settle<T> = fn(T, SessionFate, usize) -> T;

pin_project! {
    /// A request within its [`Watch`].
    pub(crate) struct Settling<F: Future> {
        #[pin]
        work: F,
        settle: Settle<F::Output>,
    }
}

impl<F: Future> Future for Settling<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ahead::within(|| this.work.poll(cx));
        if output.is_pending() {
            return output;
        }
        let (fate, cookies) = with_noted(|tracker| match tracker.failed.get() {
            true => (SessionFate::Unknown, tracker.cookies.get()),
            false => (tracker.fate.get(), tracker.cookies.get()),
        });
        if fate == SessionFate::Kept {
            return output;
        }
        output.map(|output| (this.settle)(output, fate, cookies))
    }
}

/// A request whose session is watched, and whose waiting for stores is limited.
pub(crate) type Watched<F> = Bounded<TaskLocalFuture<Watch, Settling<F>>>;

/// Runs the session middleware for one request, which has this method.
pub(crate) fn track<F: Future>(method: &Method, work: F, settle: Settle<F::Output>) -> Watched<F> {
    let watch = Watch {
        safe_method: method.is_safe().then(|| method.clone()),
        ..Watch::default()
    };
    deadline::bounded(WATCH.scope(watch, Settling { work, settle }))
}

/// The method of the current request, if it must only read. `None` also where sessions are not tracked.
pub(crate) fn safe_method() -> Option<Method> {
    let method = WATCH.try_with(|watch| watch.safe_method.clone());
    method.ok().flatten()
}

/// Keeps what a session in a cookie says about itself, when it is loaded.
pub(crate) fn set_loaded(identity: Identity) {
    let _ = WATCH.try_with(|watch| watch.loaded.set(Some(identity)));
}

/// What [`set_loaded`] kept.
pub(crate) fn loaded() -> Option<Identity> {
    WATCH.try_with(|watch| watch.loaded.get()).ok().flatten()
}

/// Reads or changes the tracker of the current request. Returns the default value where sessions are
/// not tracked.
pub(crate) fn with_tracker<T: Default>(use_tracker: impl FnOnce(&SessionTracker) -> T) -> T {
    WATCH
        .try_with(|watch| use_tracker(watch.tracker.get_or_init(Box::default)))
        .unwrap_or_default()
}

/// Reads the tracker of the current request. Returns the default value if nothing was noted.
pub(crate) fn with_noted<T: Default>(read: impl FnOnce(&SessionTracker) -> T) -> T {
    let read = |watch: &Watch| watch.tracker.get().map(|tracker| read(tracker));
    WATCH.try_with(read).ok().flatten().unwrap_or_default()
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
    with_noted(|tracker| tracker.owner.borrow().clone())
}

/// Whether the current request has a tracker.
pub(crate) fn is_tracked() -> bool {
    WATCH.try_with(|_| true).unwrap_or_default()
}

/// The request logged a user in, so the session that it leaves is a new one.
pub(crate) fn logged_in(login_key: &str) {
    with_tracker(|tracker| {
        tracker.logged_in.borrow_mut().push(login_key.to_owned());
        tracker.fate.set(SessionFate::Kept);
    });
}

pub(crate) fn has_logged_in() -> bool {
    with_noted(|tracker| !tracker.logged_in.borrow().is_empty())
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
    with_noted(|tracker| tracker.ours.borrow().as_ref() == Some(state))
}

/// Whether a late request loses no data of the application if this session is not saved.
pub(crate) fn may_lose(state: &State) -> bool {
    with_noted(|tracker| tracker.logged_out.get()) || is_ours(state)
}

/// Counts the cookies of a response before the session middleware adds the session cookie; the last
/// `ours` of them are from this crate.
///
/// A late response is sent without the cookies of this crate, because the browser may have newer ones.
/// Those of a log out stay: no other response repeats them.
pub(crate) fn count_cookies(ours: usize, headers: &HeaderMap) {
    let count = |watch: &Watch| {
        // Without cookies there is nothing to note. Faster than a look-up: most responses have few headers.
        if !headers.keys().any(|name| *name == SET_COOKIE) {
            if let Some(tracker) = watch.tracker.get() {
                tracker.cookies.set(0);
            }
            return;
        }
        let tracker = watch.tracker.get_or_init(Box::default);
        let dropped = if tracker.logged_out.get() { 0 } else { ours };
        let count = headers.get_all(SET_COOKIE).count();
        tracker.cookies.set(count.saturating_sub(dropped));
    };
    let _ = WATCH.try_with(count);
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
    match &answer {
        Ok(_) => with_noted(|tracker| tracker.failed.set(false)),
        Err(_) => with_tracker(|tracker| tracker.failed.set(true)),
    }
    answer
}
