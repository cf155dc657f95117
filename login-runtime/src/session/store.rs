//! TODO session/store.rs

use std::{
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
use derive_more::Debug;
use tokio::sync::RwLock;

use crate::{
    clock::Clock,
    core::LoginKey,
    error::StoreError,
    keys,
    session::{
        entry,
        fate::{
            Lock, SessionFate, State, has_logged_in, late, may_lose, set_late, watch, watching,
        },
    },
    store::{LATE_FOR, REVOKED_FOR, Records, STORE_DEADLINE, in_time},
};

/// Under what a session that is kept in its cookie has its id.
const ID_KEY: &str = "_session_id";

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
#[derive(Debug)]
#[debug("SharedStore")]
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
    pub(crate) fn note_ends_in(&self, revocations: Revocations) {
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

/// Why a late write is refused.
#[derive(Debug)]
struct SessionGone;

impl fmt::Display for SessionGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session ended while the request was under way")
    }
}

impl std::error::Error for SessionGone {}

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
        if Self::is_in_cookie()
            && self
                .is_session_revoked(Self::revocation_key(key), 0)
                .await?
        {
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
    async fn is_session_revoked(
        &self,
        key_of_note: Option<LoginKey>,
        more: i64,
    ) -> Result<bool, StoreError> {
        let Some((revocations, key_of_note)) = self.revocations.get().zip(key_of_note) else {
            return Ok(false);
        };
        let then = revocations.clock.now().saturating_add(more);
        let store = &revocations.records.store;
        watch(
            store
                .call(|store| store.is_session_revoked(key_of_note, then))
                .await,
        )
    }

    /// Whether the session ended so short a time ago that the browser may not know.
    async fn ended_lately(&self, key: &SessionKey) -> Result<bool, StoreError> {
        if self.revocations.get().is_none() {
            return Ok(false);
        }
        let more = Self::noted_for() - LATE_FOR;
        self.is_session_revoked(Self::revocation_key(key), more)
            .await
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
    async fn revoke(&self, key: &SessionKey) -> Result<(), StoreError> {
        if let Some((revocations, key_of_note)) =
            self.revocations.get().zip(Self::revocation_key(key))
        {
            let until = revocations.clock.now().saturating_add(Self::noted_for());
            let store = &revocations.records.store;
            watch(
                store
                    .call(|store| store.revoke_session(key_of_note, until))
                    .await,
            )?;
        }
        Ok(())
    }

    /// For how long. A server that keeps the session itself knows that it has ended, and needs the
    /// note only for as long as it asks when.
    fn noted_for() -> i64 {
        if Self::is_in_cookie() {
            REVOKED_FOR
        } else {
            LATE_FOR
        }
    }

    /// Under what the end of a session is noted.
    fn revocation_key(key: &SessionKey) -> Option<LoginKey> {
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
    keys::read_nonce(id).map(LoginKey::of_session)
}

/// Gives a session in a cookie the id it had, or one of its own.
fn name(state: &mut State, kept: Option<String>) -> Result<(), anyhow::Error> {
    let id = match kept {
        Some(id) => id,
        None => serde_json::to_string(&keys::nonce().map_err(anyhow::Error::new)?)?,
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
            state.retain(|key, _| !entry::is_login_key(key) || made.contains(key));
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
            let key_of_note = state.get(ID_KEY).and_then(|name| id_of_name(name));
            // A login store that is down keeps nobody from pages that ask for nobody: who the user is
            // depends on the record all the same, and a write looks again.
            if matches!(self.is_session_revoked(key_of_note, 0).await, Ok(true)) {
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
            held_elsewhere.unwrap_or_default() || state.as_ref().is_some_and(entry::holds_login);
        if held_login || has_logged_in() {
            self.revoke(key).await?;
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
