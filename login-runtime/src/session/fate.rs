//! One session store, shared by all workers, in which what has ended stays ended.
//!
//! actix-session loads a session when a request begins and writes it back when the request ends. What
//! happens to the session in between, it does not notice: a request that was under way while the user
//! logged in or out writes the old session back, and hands its cookie to the browser. [`SharedStore`]
//! notices:
//!
//! - A write to a session that is there no more is refused. The client of the late request gets a
//!   409, since what it wrote is lost, and no session cookie.
//! - A late request that only read gets its answer, and none of our cookies: the browser may have
//!   newer ones.
//! - A late request that renews the session makes none, unless it logs somebody in: two clicks on the
//!   same button both succeed. So do two that log out.
//!
//! With sessions on the server "there no more" is what the store says. Sessions that are kept in
//! their cookie are always there; with a login store, each of them carries an id that is *buried* when
//! a login ends in the session or takes its place, and whoever writes to a buried session is late. What
//! visitors do among themselves leaves no notes: their sessions keep their id when they are renewed.
//!
//! Late is also who comes with the cookie of a session that a log in or log out has ended within the
//! last minute: the browser had sent the request before it got the answer. Later than that, the browser
//! never got the answer, and starts over with a session of its own. Who logs in does not have to wait.
//!
//! A session store that fails, or does not answer in time, is a 503.
//!
//! Between the look whether a session is there and what follows from it, nothing happens to that
//! session in this process. In another process something may; that is no more than what the network
//! does to two answers that are under way at once.
//!
//! What this cannot see:
//!
//! - A request that came without a session cookie and makes the first session takes the place of one
//!   that the browser got in the meantime.
//! - Of two answers that are under way to the browser at once, the one that arrives last counts, though
//!   it was made first.
//! - Without a login store nobody knows when a session ended: who comes with the cookie of one that is
//!   there no more gets a new one, and sessions that are kept in their cookie never end.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    rc::Rc,
};

use tokio::sync::OwnedRwLockWriteGuard;

use crate::{core::LoginKey, store::deadline};

/// Keeps others from a session.
pub(crate) type Lock = Option<OwnedRwLockWriteGuard<()>>;

/// One request, as the store sees it.
#[derive(Default)]
pub(crate) struct SessionTracker {
    pub(crate) late: Cell<SessionFate>,
    /// The session keys of the logins that the request made, so that the session it leaves is a new
    /// one.
    pub(crate) logged_in: RefCell<Vec<String>>,
    /// Whether it logged somebody out, so that nobody needs what it leaves in the session.
    pub(crate) logged_out: Cell<bool>,
    /// Whether that ended a login which the session did not hold itself.
    pub(crate) held_elsewhere: Cell<bool>,
    /// The session after a change of our own, if the application had not changed it before.
    pub(crate) ours: RefCell<Option<State>>,
    /// Held while the session is given another id.
    pub(crate) lock: RefCell<Lock>,
    /// The name that a renewed session in a cookie keeps.
    pub(crate) name: RefCell<Option<String>>,
    /// Whether logins that the request did not make may have ended with the session.
    pub(crate) only_own_logins: Cell<bool>,
    /// Whether a store failed.
    pub(crate) failed: Cell<bool>,
    /// How many cookies the response sets, before the session middleware adds its own.
    pub(crate) cookies: Cell<usize>,
    /// The logins whose cookies the request carries, and when it arrived.
    pub(crate) carried: RefCell<(Vec<LoginKey>, i64)>,
}

/// What became of the session of a request while the request was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SessionFate {
    /// Nothing that matters here.
    #[default]
    No,
    /// It has ended, and the request has not written to it, or has only ended it too.
    Read,
    /// It has ended, and the request has written to it.
    Write,
    /// Nobody knows: a store failed.
    Unknown,
}

tokio::task_local! {
    // Shared, so that each poll moves a pointer and not the tracker.
    static TRACKER: Rc<SessionTracker>;
}

/// A session middleware's work on one request; `done` is told what the store said of it.
pub(crate) async fn watched<F: Future>(
    work: F,
    done: impl FnOnce(F::Output, SessionFate, usize) -> F::Output,
) -> F::Output {
    let request = async move {
        let output = work.await;
        let found = watching(|watch| {
            let late = match watch.failed.get() {
                true => SessionFate::Unknown,
                false => watch.late.get(),
            };
            (late, watch.cookies.get())
        });
        let (late, cookies) = found.unwrap_or_default();
        done(output, late, cookies)
    };
    deadline::bounded(TRACKER.scope(Rc::default(), request)).await
}

/// Looks at what is known of the request at work; outside a login manager nobody asks.
pub(crate) fn watching<T>(look: impl FnOnce(&SessionTracker) -> T) -> Option<T> {
    TRACKER.try_with(|tracker| look(tracker)).ok()
}

/// The session that this request leaves is a new one, whatever became of the old one.
pub(crate) fn logged_in(login_key: &str) {
    let _ = watching(|watch| {
        watch.logged_in.borrow_mut().push(login_key.to_owned());
        watch.late.set(SessionFate::No);
    });
}

/// Whether anybody asks what became of the session.
pub(crate) fn is_watched() -> bool {
    watching(|_| ()).is_some()
}

pub(crate) fn has_logged_in() -> bool {
    let logged_in = watching(|watch| !watch.logged_in.borrow().is_empty());
    logged_in.unwrap_or_default()
}

/// A request that arrived at this time carries the cookies of these logins. If one of them has ended
/// since, so has the session that the request would make.
pub(crate) fn carries_logins(logins: Vec<LoginKey>, arrived: i64) {
    let _ = watching(|watch| watch.carried.replace((logins, arrived)));
}

/// Nobody needs what this request leaves in its session, if that has ended.
///
/// `held_elsewhere` says whether there was a login, and the session did not hold it.
pub(crate) fn logged_out(held_elsewhere: bool) {
    let _ = watching(|watch| {
        watch.logged_out.set(true);
        // Of two user types one may have had a login.
        let held = watch.held_elsewhere.get();
        watch.held_elsewhere.set(held || held_elsewhere);
    });
}

/// A login ends with this session which the session did not hold.
pub(crate) fn held_elsewhere() {
    let _ = watching(|watch| watch.held_elsewhere.set(true));
}

/// The application has not changed the session, and what we have changed may get lost if the session
/// has ended.
pub(crate) fn set_ours(state: &State) {
    let _ = watching(|watch| *watch.ours.borrow_mut() = Some(state.clone()));
}

/// Whether the session holds what [`set_ours`] was told, and nothing else.
pub(crate) fn is_ours(state: &State) -> bool {
    let is_ours = |watch: &SessionTracker| watch.ours.borrow().as_ref() == Some(state);
    watching(is_ours).unwrap_or_default()
}

/// Whether a late request may go without this session.
pub(crate) fn may_lose(state: &State) -> bool {
    has_logged_out() || is_ours(state)
}

fn has_logged_out() -> bool {
    let logged_out = watching(|watch| watch.logged_out.get());
    logged_out.unwrap_or_default()
}

/// Before the session middleware adds its cookie, the response sets so many, the last of which are
/// `ours`. A late response does without those too, for there may be newer ones; but nobody repeats
/// what a log out says.
pub(crate) fn count_cookies(ours: usize, count: impl FnOnce() -> usize) {
    let ours = if has_logged_out() { 0 } else { ours };
    let _ = watching(|watch| watch.cookies.set(count().saturating_sub(ours)));
}

/// What the store said so far.
pub(crate) fn late() -> SessionFate {
    watching(|watch| watch.late.get()).unwrap_or_default()
}

/// Notes that the session has ended; outside a login manager nobody asks.
pub(crate) fn set_late(late: SessionFate) {
    if !has_logged_in() {
        let _ = watching(|watch| watch.late.set(late));
    }
}

pub(crate) type State = HashMap<String, String>;

/// Notes whether a store failed: the session middleware makes the same of every error.
pub(crate) fn watch<T, E>(answer: Result<T, E>) -> Result<T, E> {
    let failed = answer.is_err();
    let _ = watching(|watch| watch.failed.set(failed));
    answer
}
