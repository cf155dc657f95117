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
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time,
};

use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError,
};
use actix_web::cookie::time::Duration;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::{
    at_work::{self, AtWork},
    clock::Clock,
    cookies,
    records::Records,
    session,
    store::{LoginKey, STORE_DEADLINE, StoreError, in_time},
};

/// Under what a session that is kept in its cookie has its id.
const ID_KEY: &str = "_session_id";

/// How long a note that a session ended is kept: as long as a late request can reasonably take.
///
/// Raising it keeps more notes; lowering it lets requests that take longer bring sessions back. Seven
/// days also outlast most copies of a cookie.
pub(crate) const BURIED_FOR: i64 = 7 * 24 * 60 * 60;

/// For how long after the end of a session a request that comes with its cookie counts as late.
///
/// Raising it covers slower networks; but for as long a browser that never got the answer which ended
/// its session cannot write into a new one.
pub(crate) const LATE_FOR: i64 = 60;

/// Into how many groups sessions are divided, each with a lock of its own.
///
/// Raising it lets more requests in at once. A lock is held for as long as the store takes for one or
/// two answers.
const LOCKS: usize = 256;

/// A session store that does not bring back what has ended.
///
/// [`LoginManagerBuilder::session_store`](crate::LoginManagerBuilder::session_store) puts the store it
/// is given into one of these. An application that brings its own `SessionMiddleware` does well to
/// give it its store in one: `SessionMiddleware::new(SharedStore::new(store), key)`.
pub struct SharedStore<T> {
    store: Arc<T>,
    revocations: Arc<OnceLock<Revocations>>,
    locks: Arc<Locks>,
    deadline: time::Duration,
}

/// One of them is held by whoever looks whether a session is there, until what follows is done. Those
/// who only load sessions share it.
struct Locks {
    locks: Vec<Arc<RwLock<()>>>,
    hasher: RandomState,
}

impl Locks {
    fn new() -> Self {
        Self {
            locks: (0..LOCKS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn of(&self, session: &[u8]) -> Option<&Arc<RwLock<()>>> {
        let index = usize::try_from(self.hasher.hash_one(session) % LOCKS as u64).ok()?;
        self.locks.get(index)
    }
}

/// Where it is noted which sessions that are kept in their cookie have ended.
pub(crate) struct Revocations {
    pub(crate) records: Arc<Records>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<T> SharedStore<T> {
    /// Shares `store`.
    pub fn new(store: T) -> Self {
        Self {
            store: Arc::new(store),
            revocations: Arc::default(),
            locks: Arc::new(Locks::new()),
            deadline: STORE_DEADLINE,
        }
    }

    /// How long `store` may take for an answer before the request fails; 2 seconds.
    ///
    /// A login manager sets it to its
    /// [`store_deadline`](crate::LoginManagerBuilder::store_deadline).
    #[must_use]
    pub fn deadline(mut self, limit: time::Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// From now on sessions that are kept in their cookie can end.
    pub(crate) fn set_graves(&self, revocations: Revocations) {
        let _ = self.revocations.set(revocations);
    }
}

impl<T> Clone for SharedStore<T> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            revocations: Arc::clone(&self.revocations),
            locks: Arc::clone(&self.locks),
            deadline: self.deadline,
        }
    }
}

impl<T> fmt::Debug for SharedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

/// One request, as the store sees it.
#[derive(Default)]
pub(crate) struct SessionTracker {
    late: Cell<SessionFate>,
    /// The session keys of the logins that the request made, so that the session it leaves is a new
    /// one.
    logged_in: RefCell<Vec<String>>,
    /// Whether it logged somebody out, so that nobody needs what it leaves in the session.
    logged_out: Cell<bool>,
    /// Whether that ended a login which the session did not hold itself.
    held_elsewhere: Cell<bool>,
    /// The session after a change of our own, if the application had not changed it before.
    ours: RefCell<Option<State>>,
    /// Held while the session is given another id.
    lock: RefCell<Lock>,
    /// The name that a renewed session in a cookie keeps.
    name: RefCell<Option<String>>,
    /// Whether logins that the request did not make may have ended with the session.
    only_own_logins: Cell<bool>,
    /// Whether a store failed.
    failed: Cell<bool>,
    /// How many cookies the response sets, before the session middleware adds its own.
    cookies: Cell<usize>,
    /// The logins whose cookies the request carries, and when it arrived.
    carried: RefCell<(Vec<LoginKey>, i64)>,
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

/// A session middleware's work on one request; `done` is told what the store said of it.
pub(crate) async fn watched<F: Future>(
    work: F,
    done: impl FnOnce(F::Output, SessionFate, usize) -> F::Output,
) -> F::Output {
    at_work::on(AtWork::default(), async move {
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
    })
    .await
}

/// Looks at what is known of the request at work; outside a login manager nobody asks.
fn watching<T>(look: impl FnOnce(&SessionTracker) -> T) -> Option<T> {
    at_work::look(|work| look(&work.watch))
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

fn has_logged_in() -> bool {
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
fn may_lose(state: &State) -> bool {
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
fn late() -> SessionFate {
    watching(|watch| watch.late.get()).unwrap_or_default()
}

/// Notes that the session has ended; outside a login manager nobody asks.
fn set_late(late: SessionFate) {
    if !has_logged_in() {
        let _ = watching(|watch| watch.late.set(late));
    }
}

/// Why a late write is refused.
#[derive(Debug)]
struct SessionGone;

impl fmt::Display for SessionGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session ended while the request was under way")
    }
}

impl std::error::Error for SessionGone {}

type State = HashMap<String, String>;

/// Keeps others from a session.
type Lock = Option<OwnedRwLockWriteGuard<()>>;

impl<T: SessionStore + 'static> SharedStore<T> {
    /// Whether sessions are kept in their cookies, where a key is the whole session.
    fn is_in_cookie() -> bool {
        is_in_cookie::<Self>()
    }

    /// What the session store answers, if it does so in time.
    async fn ask<R, E>(
        &self,
        question: impl Future<Output = Result<R, E>>,
        other: impl FnOnce(anyhow::Error) -> E,
    ) -> Result<R, E> {
        // A session that is kept in its cookie is at hand.
        if Self::is_in_cookie() {
            return question.await;
        }
        let answer = in_time(self.deadline, question).await;
        watch(answer.unwrap_or_else(|too_slow| Err(other(too_slow.into()))))
    }

    /// What is in the session, if it is still there, which nobody in this process changes until the
    /// guard is gone.
    ///
    /// It is known in time or not at all: who waits for others that wait for a store waits no longer
    /// than they.
    async fn lock_and_look(
        &self,
        key: &SessionKey,
    ) -> Result<(Lock, Option<State>), anyhow::Error> {
        let looking = async {
            let lock = self.lock(key).await;
            Ok((lock, self.look(key).await?))
        };
        match in_time(self.deadline, looking).await {
            Ok(looked) => looked,
            Err(too_slow) => watch(Err(too_slow.into())),
        }
    }

    /// What is in the session, if it is still there.
    async fn look(&self, key: &SessionKey) -> Result<Option<State>, anyhow::Error> {
        if Self::is_in_cookie() && self.is_buried(Self::grave(key), 0).await? {
            return Ok(None);
        }
        match self.ask(self.store.load(key), LoadError::Other).await {
            Ok(state) => Ok(state),
            // As actix-session has it: a session that cannot be read is there, and empty.
            Err(LoadError::Deserialization(_)) => Ok(Some(State::new())),
            Err(LoadError::Other(error)) => Err(error),
        }
    }

    /// Whether no session ever ends here: they are all in their cookies, and nobody notes an end.
    fn never_ends(&self) -> bool {
        Self::is_in_cookie() && self.revocations.get().is_none()
    }

    /// Whether it is noted that a session has ended, and the note lasts for so many seconds more.
    async fn is_buried(&self, grave: Option<LoginKey>, more: i64) -> Result<bool, StoreError> {
        let Some((revocations, grave)) = self.revocations.get().zip(grave) else {
            return Ok(false);
        };
        let then = revocations.clock.now().saturating_add(more);
        let store = &revocations.records.store;
        watch(store.call(|store| store.is_buried(grave, then)).await)
    }

    /// Whether the session ended so short a time ago that the browser may not know.
    async fn ended_lately(&self, key: &SessionKey) -> Result<bool, StoreError> {
        if self.revocations.get().is_none() {
            return Ok(false);
        }
        let more = Self::buried_for() - LATE_FOR;
        self.is_buried(Self::grave(key), more).await
    }

    /// Whether somebody has logged out, or in, with a login cookie that the request carries. What it
    /// makes is none of theirs.
    async fn has_lost_login(&self) -> Result<bool, StoreError> {
        let carried = watching(|watch| watch.carried.take());
        let (logins, arrived) = carried.unwrap_or_default();
        match self.revocations.get() {
            Some(revocations) => {
                watch(revocations.records.any_was_given_up(&logins, arrived).await)
            }
            None => Ok(false),
        }
    }

    /// Notes that a session has ended.
    async fn bury(&self, key: &SessionKey) -> Result<(), StoreError> {
        if let Some((revocations, grave)) = self.revocations.get().zip(Self::grave(key)) {
            let until = revocations.clock.now().saturating_add(Self::buried_for());
            let store = &revocations.records.store;
            watch(store.call(|store| store.bury_session(grave, until)).await)?;
        }
        Ok(())
    }

    /// For how long. A server that keeps the session itself knows that it has ended, and needs the
    /// note only for as long as it asks when.
    fn buried_for() -> i64 {
        if Self::is_in_cookie() {
            BURIED_FOR
        } else {
            LATE_FOR
        }
    }

    /// Under what the end of a session is noted.
    fn grave(key: &SessionKey) -> Option<LoginKey> {
        if Self::is_in_cookie() {
            id_in_cookie(key)
        } else {
            Some(LoginKey::of(key.as_ref().as_bytes()))
        }
    }

    /// Keeps everybody else in this process from the session until the guard is gone.
    async fn lock(&self, key: &SessionKey) -> Lock {
        // A session in its cookie has another key after each change, and the same id.
        let id = Self::is_in_cookie().then(|| id_in_cookie(key)).flatten();
        let lock = match &id {
            Some(id) => self.locks.of(id.as_bytes()),
            None => self.locks.of(key.as_ref().as_bytes()),
        };
        Some(Arc::clone(lock?).write_owned().await)
    }
}

/// Notes whether a store failed: the session middleware makes the same of every error.
fn watch<T, E>(answer: Result<T, E>) -> Result<T, E> {
    let failed = answer.is_err();
    let _ = watching(|watch| watch.failed.set(failed));
    answer
}

/// Whether a store keeps sessions in their cookies.
pub(crate) fn is_in_cookie<S: 'static>() -> bool {
    use std::any::TypeId;
    let store = TypeId::of::<S>();
    store == TypeId::of::<SharedStore<CookieSessionStore>>()
        || store == TypeId::of::<CookieSessionStore>()
}

/// What a session that is kept in its cookie says its id is, as JSON.
fn name_in_cookie(key: &SessionKey) -> Option<String> {
    let mut state: State = serde_json::from_str(key.as_ref()).ok()?;
    state.remove(ID_KEY)
}

/// Under what the end of a session in a cookie is noted.
fn id_in_cookie(key: &SessionKey) -> Option<LoginKey> {
    id_of_name(&name_in_cookie(key)?)
}

/// The id itself: it needs no hash as those of logins do, for nobody who knows it can make the cookie.
fn id_of_name(name: &str) -> Option<LoginKey> {
    let id = name.strip_prefix('"')?.strip_suffix('"')?;
    cookies::read_nonce(id).map(LoginKey::of_session)
}

/// Gives a session in a cookie the id it had, or one of its own.
fn name(state: &mut State, kept: Option<String>) -> Result<(), anyhow::Error> {
    let id = match kept {
        Some(id) => id,
        None => serde_json::to_string(&cookies::nonce().map_err(anyhow::Error::new)?)?,
    };
    state.insert(ID_KEY.to_owned(), id);
    Ok(())
}

/// Takes out of the session of a late log in what may have been logged out meanwhile: without records
/// nobody else would notice.
fn drop_ended_logins(state: &mut State) {
    let _ = watching(|watch| {
        if watch.only_own_logins.get() {
            let made = watch.logged_in.borrow();
            state.retain(|key, _| !session::is_login_key(key) || made.contains(key));
        }
    });
}

// What watches takes long futures, which every request would have to make room for: so they are boxed.
impl<T: SessionStore + 'static> SessionStore for SharedStore<T> {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        match self.never_ends() {
            true => self.store.load(key).await,
            false => Box::pin(self.load_watched(key)).await,
        }
    }

    async fn save(&self, state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        match self.never_ends() {
            true => self.store.save(state, ttl).await,
            false => Box::pin(self.save_watched(state, ttl)).await,
        }
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        match self.never_ends() {
            true => self.store.update(key, state, ttl).await,
            false => Box::pin(self.update_watched(key, state, ttl)).await,
        }
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        match self.never_ends() {
            true => self.store.update_ttl(key, ttl).await,
            false => Box::pin(self.update_ttl_watched(key, ttl)).await,
        }
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        match self.never_ends() {
            true => self.store.delete(key).await,
            false => Box::pin(self.delete_watched(key)).await,
        }
    }
}

/// What happens to sessions that can end.
impl<T: SessionStore + 'static> SharedStore<T> {
    async fn load_watched(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let loading = async {
            // While it is being given another id, it is neither there nor gone.
            let lock = self.locks.of(key.as_ref().as_bytes());
            let _lock = match lock.filter(|_| !Self::is_in_cookie()) {
                Some(lock) => Some(lock.read().await),
                None => None,
            };
            self.store.load(key).await
        };
        let mut loaded = self.ask(loading, LoadError::Other).await;
        if Self::is_in_cookie()
            && let Ok(Some(state)) = &loaded
        {
            let grave = state.get(ID_KEY).and_then(|name| id_of_name(name));
            // A login store that is down keeps nobody from pages that ask for nobody: who the user is
            // depends on the record all the same, and a write looks again.
            if matches!(self.is_buried(grave, 0).await, Ok(true)) {
                loaded = Ok(None);
            }
        }
        // A request that comes long after the end is not late but has no session: as a late one it
        // would be answered 409 for as long as the browser keeps the cookie.
        if matches!(loaded, Ok(None)) && matches!(self.ended_lately(key).await, Ok(true)) {
            set_late(SessionFate::Read);
        }
        if !matches!(loaded, Err(LoadError::Other(_))) {
            let _ = watching(|watch| watch.failed.set(false));
        }
        loaded
    }

    async fn save_watched(
        &self,
        mut state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, SaveError> {
        // Renewing deletes, and then saves.
        if late() != SessionFate::No
            || self
                .has_lost_login()
                .await
                .map_err(|error| SaveError::Other(error.into()))?
        {
            if may_lose(&state) {
                // Its cookie is taken out of the response again.
                let none = SessionKey::try_from(String::new());
                return none.map_err(|error| SaveError::Other(error.into()));
            }
            set_late(SessionFate::Write);
            return Err(SaveError::Other(SessionGone.into()));
        }
        if Self::is_in_cookie() && self.revocations.get().is_some() {
            let kept = watching(|watch| watch.name.take()).flatten();
            name(&mut state, kept).map_err(SaveError::Other)?;
        }
        if self.revocations.get().is_none() {
            drop_ended_logins(&mut state);
        }
        let saved = self
            .ask(self.store.save(state, ttl), SaveError::Other)
            .await;
        let _ = watching(|watch| watch.lock.take());
        saved
    }

    async fn update_watched(
        &self,
        key: SessionKey,
        mut state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let (_lock, there) = self.lock_and_look(&key).await.map_err(UpdateError::Other)?;
        if there.is_none() {
            if may_lose(&state) {
                set_late(SessionFate::Read);
                return Ok(key);
            }
            set_late(SessionFate::Write);
            return Err(UpdateError::Other(SessionGone.into()));
        }
        let is_unnamed = !state.contains_key(ID_KEY);
        if is_unnamed && Self::is_in_cookie() && self.revocations.get().is_some() {
            // The application has emptied it; it is the same session all the same.
            name(&mut state, name_in_cookie(&key)).map_err(UpdateError::Other)?;
        }
        let old = key.as_ref().to_owned();
        let updating = self.store.update(key, state, ttl);
        let updated = self.ask(updating, UpdateError::Other).await?;
        // A store that finds the session gone between the look and the write saves it under a new
        // key. What was brought back ends again.
        if !Self::is_in_cookie() && updated.as_ref() != old {
            let deleted = self.ask(self.store.delete(&updated), |error| error).await;
            deleted.map_err(UpdateError::Other)?;
            set_late(SessionFate::Write);
            return Err(UpdateError::Other(SessionGone.into()));
        }
        Ok(updated)
    }

    async fn update_ttl_watched(
        &self,
        key: &SessionKey,
        ttl: &Duration,
    ) -> Result<(), anyhow::Error> {
        let (_lock, there) = self.lock_and_look(key).await?;
        if there.is_none() {
            set_late(SessionFate::Read);
            return Ok(());
        }
        self.ask(self.store.update_ttl(key, ttl), |error| error)
            .await
    }

    async fn delete_watched(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        let (lock, state) = self.lock_and_look(key).await?;
        if state.is_none() {
            set_late(SessionFate::Read);
        }
        // The session of a visitor needs no note, and a renewed one goes on under its name.
        let held_elsewhere = watching(|watch| watch.held_elsewhere.get());
        let held_login =
            held_elsewhere.unwrap_or_default() || state.as_ref().is_some_and(session::holds_login);
        if held_login || has_logged_in() {
            self.bury(key).await?;
        } else {
            let _ = watching(|watch| watch.name.replace(name_in_cookie(key)));
        }
        let _ = watching(|watch| watch.only_own_logins.set(state.is_none()));
        self.ask(self.store.delete(key), |error| error).await?;
        // If the session is only renewed, until the new one is there.
        let _ = watching(|watch| *watch.lock.borrow_mut() = lock);
        Ok(())
    }
}
