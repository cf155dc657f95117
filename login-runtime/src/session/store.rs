//! A session store, shared by all workers, that does not bring back a session that has ended.
//!
//! [`fate`](super::fate) has the rules.

use std::{
    any::TypeId,
    future::Future,
    hash::{BuildHasher, RandomState},
    sync::{Arc, OnceLock},
    time,
};

use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError,
};
use actix_web::cookie::time::Duration;
use derive_more::{Debug, Display, Error};
use tokio::sync::RwLock;

use crate::{
    clock::Clock,
    core::{LoginKey, LoginOwner, MAX_LEN},
    error::{Causes, StoreError},
    keys,
    measure::{Operation, Outcome, StoreCall},
    session::{
        contents::{is_short, json_len, log_too_long},
        entry::{self, ID_KEY, ID_LEN},
        fate::{
            self, Lock, SessionFate, State, has_logged_in, may_lose, note_failure, set_fate,
            with_tracker,
        },
    },
    store::{
        LATE_FOR, LoginStore as _, REVOKED_FOR, Records, STORE_DEADLINE, deadline::is_new, in_time,
    },
};

/// The number of locks; each session uses one of them.
///
/// Raising it lets more requests run at once. A lock is held for as long as the store takes for one or
/// two answers.
const LOCKS: usize = 256;

/// A session store that does not bring back a session that has ended.
///
/// [`LoginManagerBuilder::session_store`](crate::config::LoginManagerBuilder::session_store) wraps the store
/// it is given in this one. An application with its own `SessionMiddleware` should wrap its store,
/// too: `SessionMiddleware::new(SharedStore::new(store), key)`.
#[derive(Debug)]
#[debug("SharedStore")]
pub struct SharedStore<T> {
    store: Arc<T>,
    revocations: Arc<OnceLock<Revocations>>,
    locks: Arc<Locks>,
    deadline: time::Duration,
    /// The length of a session cookie without the session, if sessions are in their cookies.
    frame: Arc<OnceLock<usize>>,
}

/// A request holds one of these locks from the check that a session exists until it has acted on it.
/// Requests that only load sessions share a lock.
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

/// Records which sessions that are kept in their cookie have ended.
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
            frame: Arc::default(),
        }
    }

    /// How long `store` may take to answer before the request fails. The default is 2 seconds.
    ///
    /// A login manager sets it to its
    /// [`store_deadline`](crate::config::LoginManagerBuilder::store_deadline).
    #[must_use]
    pub fn deadline(mut self, limit: time::Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Takes the length of a session cookie without the session.
    pub(crate) fn set_frame(&self, frame: usize) {
        let _ = self.frame.set(frame);
    }

    /// Records here which sessions have ended.
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
            frame: Arc::clone(&self.frame),
        }
    }
}

static LOAD: Operation = Operation::new("session_load");
static SAVE: Operation = Operation::new("session_save");
static UPDATE: Operation = Operation::new("session_update");
static UPDATE_TTL: Operation = Operation::new("session_update_ttl");
static DELETE: Operation = Operation::new("session_delete");

/// An error of a session store.
trait Failed {
    /// The failure itself, if the store failed.
    fn cause(&self) -> Option<&anyhow::Error>;

    /// Logs the failure with its causes, once in a request: actix-session only shows its own words.
    fn log(&self) {
        if let Some(error) = self.cause() {
            let reason = Causes(error.as_ref()).to_string();
            if is_new(&reason) {
                tracing::error!(
                    target: "login", event = "session_store_failed", reason,
                    "the session store failed"
                );
            }
        }
    }
}

impl Failed for LoadError {
    fn cause(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Other(error) => Some(error),
            Self::Deserialization(_) => None,
        }
    }
}

impl Failed for SaveError {
    fn cause(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Serialization(error) | Self::Other(error) => Some(error),
        }
    }
}

impl Failed for UpdateError {
    fn cause(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Serialization(error) | Self::Other(error) => Some(error),
        }
    }
}

impl Failed for anyhow::Error {
    fn cause(&self) -> Option<&anyhow::Error> {
        Some(self)
    }
}

/// Why a late write is refused.
#[derive(Debug, Display, Error)]
#[display("the session ended while the request was in progress")]
struct SessionGone;

impl<T: SessionStore + 'static> SharedStore<T> {
    /// Whether sessions are kept in their cookies. The key of such a session is the whole session.
    fn is_in_cookie() -> bool {
        is_in_cookie::<Self>()
    }

    /// Whether no session of this store can end: they are all in their cookies, and their ends are not
    /// recorded.
    fn never_ends(&self) -> bool {
        Self::is_in_cookie() && self.revocations.get().is_none()
    }

    /// Refuses a session that browsers may not keep in its cookie. actix-session only measures the text that
    /// it encrypts.
    fn check_room(&self, state: &State) -> Result<(), TooLong> {
        if !Self::is_in_cookie() || is_short(state, ID_LEN) {
            return Ok(());
        }
        let len = |(key, value): (&String, &String)| json_len(key) + json_len(value) + ":,".len();
        let len = "{}".len() + state.iter().map(len).sum::<usize>();
        let id = if state.contains_key(ID_KEY) {
            0
        } else {
            ID_LEN
        };
        let frame = self.frame.get().copied().unwrap_or_default();
        let bytes = frame + keys::sealed_session_len(len + id);
        if bytes <= MAX_LEN {
            return Ok(());
        }
        log_too_long(bytes);
        Err(TooLong)
    }

    /// Waits for the session store's answer until the deadline.
    async fn ask<R, E: Failed>(
        &self,
        operation: &'static Operation,
        question: impl Future<Output = Result<R, E>>,
        other: impl FnOnce(anyhow::Error) -> E,
    ) -> Result<R, E> {
        // The key of a session in a cookie is the session, so there is no answer to wait for.
        if Self::is_in_cookie() {
            return question.await;
        }
        let mut measured = StoreCall::start(operation);
        let answer = measured.watch(in_time(self.deadline, question)).await;
        measured.end(|| match &answer {
            Err(too_slow) => too_slow.outcome(),
            // A session that cannot be read is an answer, too.
            Ok(answer) if answer.as_ref().is_err_and(|it| it.cause().is_some()) => Outcome::Failed,
            Ok(_) => Outcome::Answered,
        });
        let answer = answer.unwrap_or_else(|too_slow| Err(other(too_slow.into())));
        note_failure(answer.inspect_err(Failed::log))
    }

    /// Locks a session and reads its contents, if it still exists. Nothing else in this process changes
    /// it until the guard is dropped.
    ///
    /// The deadline includes the wait for the lock: a request that waits for others, which wait for
    /// the store, waits no longer than they do.
    async fn lock_and_look(
        &self,
        key: &SessionKey,
    ) -> Result<(Lock, Option<State>), anyhow::Error> {
        let looking = async {
            // A session in its cookie has another key after each change, and the same id.
            let id = Self::is_in_cookie().then(|| id_in_cookie(key)).flatten();
            let lock = match &id {
                Some(id) => self.locks.of(id.as_bytes()),
                None => self.locks.of(key.as_ref().as_bytes()),
            };
            let lock = match lock {
                Some(lock) => Some(Arc::clone(lock).write_owned().await),
                None => None,
            };
            Ok((lock, self.look(key).await?))
        };
        match in_time(self.deadline, looking).await {
            Ok(looked) => looked,
            Err(too_slow) => note_failure(Err(too_slow.into()).inspect_err(Failed::log)),
        }
    }

    /// The contents of a session, if it still exists.
    async fn look(&self, key: &SessionKey) -> Result<Option<State>, anyhow::Error> {
        if Self::is_in_cookie() && self.is_revoked(id_in_cookie(key), 0).await? {
            return Ok(None);
        }
        match self
            .ask(&LOAD, self.store.load(key), LoadError::Other)
            .await
        {
            Ok(state) => Ok(state),
            // As in actix-session: a session that cannot be read exists, and is empty.
            Err(LoadError::Deserialization(_)) => Ok(Some(State::new())),
            Err(LoadError::Other(error)) => Err(error),
        }
    }

    /// Whether a session is recorded as ended, and stays so for at least this many seconds.
    async fn is_revoked(
        &self,
        session: Option<LoginKey>,
        seconds: i64,
    ) -> Result<bool, StoreError> {
        let Some((revocations, session)) = self.revocations.get().zip(session) else {
            return Ok(false);
        };
        let then = revocations.clock.now().saturating_add(seconds);
        let store = &revocations.records.store;
        let is_revoked = store.is_session_revoked(session, then);
        note_failure(is_revoked.await)
    }

    /// Whether the session ended so recently that the browser may not know yet.
    async fn ended_lately(&self, key: &SessionKey) -> Result<bool, StoreError> {
        if self.revocations.get().is_none() {
            return Ok(false);
        }
        let seconds = Self::revoked_for() - LATE_FOR;
        self.is_revoked(Self::revocation_key(key), seconds).await
    }

    /// Whether a login whose cookie the request carries has ended since the request arrived. A session
    /// that the request creates would belong to that login.
    async fn has_lost_login(&self) -> Result<bool, StoreError> {
        let (logins, arrived) = with_tracker(|tracker| tracker.carried.take());
        let Some(revocations) = self.revocations.get() else {
            return Ok(false);
        };
        note_failure(revocations.records.any_was_given_up(&logins, arrived).await)
    }

    /// The user whose session ends: the name of the user type, and the id as JSON.
    async fn owner_of(
        &self,
        revocations: &Revocations,
        state: Option<&State>,
    ) -> Result<(String, String), StoreError> {
        let noted = fate::owner();
        if !noted.1.is_empty() {
            return Ok(noted);
        }
        // The application has ended the session, and nothing has asked for the user.
        let logins = state.into_iter().flatten();
        let mut logins = logins.filter(|(key, _)| entry::is_login_key(key));
        let login = logins.find_map(|(_, text)| entry::read_login_id(text));
        let Some((id, _)) = login else {
            return Ok(noted);
        };
        let now = revocations.clock.now();
        let record = revocations.records.store.find(id.key(), now).await?;
        Ok(record.map_or(noted, |record| (record.user_type, record.user_id)))
    }

    /// Records that a session with these contents has ended.
    async fn revoke(&self, key: &SessionKey, state: Option<&State>) -> Result<(), StoreError> {
        let revocations = self.revocations.get();
        let Some((revocations, session)) = revocations.zip(Self::revocation_key(key)) else {
            return Ok(());
        };
        let until = revocations.clock.now().saturating_add(Self::revoked_for());
        let owner = self.owner_of(revocations, state);
        let (user_type, user_id) = note_failure(owner.await)?;
        let (user_type, user_id) = (&*user_type, &*user_id);
        let owner = LoginOwner { user_type, user_id };
        let revoked = revocations.records.revoke_session(session, owner, until);
        note_failure(revoked.await)
    }

    /// How many seconds a revocation lasts. A store on the server knows that a session has ended; it
    /// only needs the revocation to tell how long ago.
    fn revoked_for() -> i64 {
        if Self::is_in_cookie() {
            REVOKED_FOR
        } else {
            LATE_FOR
        }
    }

    /// The key of a session's revocation.
    fn revocation_key(key: &SessionKey) -> Option<LoginKey> {
        if Self::is_in_cookie() {
            id_in_cookie(key)
        } else {
            Some(LoginKey::of(key.as_ref().as_bytes()))
        }
    }
}

/// Why a session is not written into its cookie.
#[derive(Debug, Display, Error)]
#[display("the session does not fit into its cookie")]
struct TooLong;

/// Whether a store keeps sessions in their cookies.
pub(crate) fn is_in_cookie<S: 'static>() -> bool {
    let store = TypeId::of::<S>();
    store == TypeId::of::<SharedStore<CookieSessionStore>>()
        || store == TypeId::of::<CookieSessionStore>()
}

/// The id of a session that is kept in its cookie, as JSON.
fn json_id_in_cookie(key: &SessionKey) -> Option<String> {
    let mut state: State = serde_json::from_str(key.as_ref()).ok()?;
    state.remove(ID_KEY)
}

/// The revocation key of a session that is kept in its cookie.
fn id_in_cookie(key: &SessionKey) -> Option<LoginKey> {
    parse_id(&json_id_in_cookie(key)?)
}

/// Reads an id. It needs no hash as the id of a login does: the cookie cannot be made from the id.
fn parse_id(json: &str) -> Option<LoginKey> {
    let id = json.strip_prefix('"')?.strip_suffix('"')?;
    keys::read_nonce(id).map(LoginKey::of_session)
}

/// Gives a session in a cookie the id it had, or a new one.
fn set_id(state: &mut State, kept: Option<String>) -> Result<(), anyhow::Error> {
    let id = match kept {
        Some(id) => id,
        None => serde_json::to_string(&keys::nonce().map_err(anyhow::Error::new)?)?,
    };
    state.insert(ID_KEY.to_owned(), id);
    Ok(())
}

/// Removes logins that may have ended meanwhile from the session of a late log in: without records
/// nothing else would reveal that they ended.
fn drop_ended_logins(state: &mut State) {
    with_tracker(|tracker| {
        if tracker.only_own_logins.get() {
            let made = tracker.logged_in.borrow();
            state.retain(|key, _| !entry::is_login_key(key) || made.contains(key));
        }
    });
}

// The futures for sessions that can end are long, and boxed so that other requests need no room for
// them.
impl<T: SessionStore + 'static> SessionStore for SharedStore<T> {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        if self.never_ends() {
            return self.store.load(key).await;
        }
        let loading = async {
            let loading = async {
                // While the session gets another id, it is in neither place.
                let lock = self.locks.of(key.as_ref().as_bytes());
                let _lock = match lock.filter(|_| !Self::is_in_cookie()) {
                    Some(lock) => Some(lock.read().await),
                    None => None,
                };
                self.store.load(key).await
            };
            let mut loaded = self.ask(&LOAD, loading, LoadError::Other).await;
            if Self::is_in_cookie()
                && let Ok(Some(state)) = &loaded
            {
                let id = state.get(ID_KEY).and_then(|id| parse_id(id));
                // A failing login store does not block pages that need no user: the record decides
                // about the user anyway, and a write checks again.
                if matches!(self.is_revoked(id, 0).await, Ok(true)) {
                    loaded = Ok(None);
                }
            }
            // A request that arrives long after the end is not late but has no session. A late one
            // would be answered 409 for as long as the browser keeps the cookie.
            if matches!(loaded, Ok(None)) && matches!(self.ended_lately(key).await, Ok(true)) {
                set_fate(SessionFate::EndedAfterRead);
            }
            if !matches!(loaded, Err(LoadError::Other(_))) {
                with_tracker(|tracker| tracker.failed.set(false));
            }
            loaded
        };
        Box::pin(loading).await
    }

    async fn save(&self, mut state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.check_room(&state)
            .map_err(|error| SaveError::Other(error.into()))?;
        if self.never_ends() {
            return self.store.save(state, ttl).await;
        }
        let saving = async {
            // Renewing deletes, and then saves.
            if with_tracker(|tracker| tracker.fate.get()) != SessionFate::Kept
                || self
                    .has_lost_login()
                    .await
                    .map_err(|error| SaveError::Other(error.into()))?
            {
                if may_lose(&state) {
                    // The response is sent without this cookie.
                    let none = SessionKey::try_from(String::new());
                    return none.map_err(|error| SaveError::Other(error.into()));
                }
                set_fate(SessionFate::EndedAfterWrite);
                return Err(SaveError::Other(SessionGone.into()));
            }
            if self.revocations.get().is_none() {
                drop_ended_logins(&mut state);
            } else if Self::is_in_cookie() {
                let kept = with_tracker(|tracker| tracker.id.take());
                set_id(&mut state, kept).map_err(SaveError::Other)?;
            }
            let saved = self
                .ask(&SAVE, self.store.save(state, ttl), SaveError::Other)
                .await;
            with_tracker(|tracker| tracker.lock.take());
            saved
        };
        Box::pin(saving).await
    }

    async fn update(
        &self,
        key: SessionKey,
        mut state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.check_room(&state)
            .map_err(|error| UpdateError::Other(error.into()))?;
        if self.never_ends() {
            return self.store.update(key, state, ttl).await;
        }
        let updating = async {
            let (_lock, there) = self.lock_and_look(&key).await.map_err(UpdateError::Other)?;
            if there.is_none() {
                if may_lose(&state) {
                    set_fate(SessionFate::EndedAfterRead);
                    return Ok(key);
                }
                set_fate(SessionFate::EndedAfterWrite);
                return Err(UpdateError::Other(SessionGone.into()));
            }
            let has_id = state.contains_key(ID_KEY);
            if !has_id && Self::is_in_cookie() && self.revocations.get().is_some() {
                // The application emptied the session, which still is the same one.
                set_id(&mut state, json_id_in_cookie(&key)).map_err(UpdateError::Other)?;
            }
            let old = key.as_ref().to_owned();
            let updating = self.store.update(key, state, ttl);
            let updated = self.ask(&UPDATE, updating, UpdateError::Other).await?;
            // If the session ends between the check and the write, the store saves it under a new
            // key. This ends it again.
            if !Self::is_in_cookie() && updated.as_ref() != old {
                let deleted = self
                    .ask(&DELETE, self.store.delete(&updated), |error| error)
                    .await;
                deleted.map_err(UpdateError::Other)?;
                set_fate(SessionFate::EndedAfterWrite);
                return Err(UpdateError::Other(SessionGone.into()));
            }
            Ok(updated)
        };
        Box::pin(updating).await
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        if self.never_ends() {
            return self.store.update_ttl(key, ttl).await;
        }
        let updating = async {
            let (_lock, there) = self.lock_and_look(key).await?;
            if there.is_none() {
                set_fate(SessionFate::EndedAfterRead);
                return Ok(());
            }
            self.ask(&UPDATE_TTL, self.store.update_ttl(key, ttl), |error| error)
                .await
        };
        Box::pin(updating).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        if self.never_ends() {
            return self.store.delete(key).await;
        }
        let deleting = async {
            let (lock, state) = self.lock_and_look(key).await?;
            if state.is_none() {
                set_fate(SessionFate::EndedAfterRead);
            }
            // A session without a login needs no revocation, and keeps its id when it is renewed.
            if with_tracker(|tracker| tracker.held_elsewhere.get())
                || state.as_ref().is_some_and(entry::holds_login)
                || has_logged_in()
            {
                self.revoke(key, state.as_ref()).await?;
            } else {
                with_tracker(|tracker| tracker.id.replace(json_id_in_cookie(key)));
            }
            with_tracker(|tracker| tracker.only_own_logins.set(state.is_none()));
            self.ask(&DELETE, self.store.delete(key), |error| error)
                .await?;
            // If the session is only renewed, the lock is held until the new one is saved.
            with_tracker(|tracker| *tracker.lock.borrow_mut() = lock);
            Ok(())
        };
        Box::pin(deleting).await
    }
}
