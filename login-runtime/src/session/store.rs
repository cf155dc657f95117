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
    core::{LoginKey, LoginOwner, MAX_LEN, SessionCheck},
    error::{Causes, StoreError},
    keys::{self, NoRandomness},
    measure::{Operation, Outcome, StoreCall},
    session::{
        contents::{is_short, json_len, log_too_long},
        entry::{self, ID_KEY, ID_LEN},
        fate::{
            self, Lock, SessionFate, has_logged_in, may_lose, note_failure, set_fate, with_noted,
            with_tracker,
        },
        identity::{self, Identity, State},
    },
    store::{
        LATE_FOR, LoginStore as _, REVOKED_FOR, Records, STORE_DEADLINE,
        ahead::{self, Found},
        deadline::is_new,
        in_time,
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
    /// it encrypts. `needs_id` says whether the session is written with an id of its own.
    fn check_room(
        &self,
        state: &State,
        needs_id: impl FnOnce(&State) -> bool,
    ) -> Result<(), TooLong> {
        if !Self::is_in_cookie() || is_short(state, ID_LEN) {
            return Ok(());
        }
        let len = |(key, value): (&String, &String)| json_len(key) + json_len(value) + ":,".len();
        let others = state.iter().filter(|(key, _)| *key != ID_KEY);
        let len = "{}".len() + others.map(len).sum::<usize>();
        let id = if needs_id(state) { ID_LEN } else { 0 };
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

    /// Locks a session and looks whether it still exists. Nothing else in this process changes it until the
    /// guard is dropped.
    ///
    /// The deadline includes the wait for the lock: a request that waits for others, which wait for
    /// the store, waits no longer than they do.
    async fn lock_and_look(&self, key: &SessionKey) -> Result<(Lock, Looked), anyhow::Error> {
        let looking = async {
            let identity = self.identity_in_cookie(key);
            // A session in its cookie has another key after each change, and the same id.
            let lock = match &identity.id {
                Some(id) => self.locks.of(id.as_bytes()),
                None => self.locks.of(key.as_ref().as_bytes()),
            };
            let lock = match lock {
                Some(lock) => Some(Arc::clone(lock).write_owned().await),
                None => None,
            };
            Ok((lock, self.look(key, identity).await?))
        };
        match in_time(self.deadline, looking).await {
            Ok(looked) => looked,
            Err(too_slow) => note_failure(Err(too_slow.into()).inspect_err(Failed::log)),
        }
    }

    /// Looks whether a session still exists.
    async fn look(&self, key: &SessionKey, identity: Identity) -> Result<Looked, anyhow::Error> {
        if Self::is_in_cookie() {
            return Ok(Looked {
                exists: !self.is_revoked(identity.id, 0).await?,
                identity,
                state: None,
            });
        }
        let state = match self
            .ask(&LOAD, self.store.load(key), LoadError::Other)
            .await
        {
            Ok(state) => state,
            // As in actix-session: a session that cannot be read exists, and is empty.
            Err(LoadError::Deserialization(_)) => Some(State::new()),
            Err(LoadError::Other(error)) => return Err(error),
        };
        Ok(Looked {
            exists: state.is_some(),
            identity: Identity {
                has_login: state.as_ref().is_some_and(entry::holds_login),
                ..Identity::default()
            },
            state,
        })
    }

    /// The id of a session that is kept in its cookie, and what else is known of it. Most often it is known
    /// since the request began.
    fn identity_in_cookie(&self, key: &SessionKey) -> Identity {
        if !Self::is_in_cookie() {
            return Identity::default();
        }
        fate::loaded().unwrap_or_else(|| {
            let state = serde_json::from_str(key.as_ref()).ok();
            state.as_ref().map(Identity::of).unwrap_or_default()
        })
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
    async fn ended_lately(&self, session: Option<LoginKey>) -> Result<bool, StoreError> {
        self.is_revoked(session, Self::revoked_for() - LATE_FOR)
            .await
    }

    /// Whether a session that is kept in its cookie is recorded as ended. If the login store also tells about
    /// its login, that waits for the look-up.
    async fn check(&self, session: Identity) -> Result<bool, StoreError> {
        let (Some(login), Some(id)) = (session.login, session.id) else {
            return self.is_revoked(session.id, 0).await;
        };
        let Some(revocations) = self.revocations.get() else {
            return Ok(false);
        };
        let now = revocations.clock.now();
        let store = &revocations.records.store;
        let checked = store.check_session(id, login, now).await;
        Ok(match note_failure(checked)? {
            SessionCheck::Revoked => true,
            SessionCheck::Valid => false,
            SessionCheck::ValidWithLogin(record) => {
                ahead::keep(Found { key: login, record });
                false
            }
        })
    }

    /// Loads a session that is kept in its cookie.
    async fn load_from_cookie(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let Some(state) = self.store.load(key).await? else {
            return Ok(None);
        };
        let identity = Identity::of(&state);
        fate::set_loaded(identity);
        // A failing login store does not block pages that need no user: the record decides about the user
        // anyway, and a write checks again.
        let checked = self.check(identity).await;
        let is_revoked = matches!(checked, Ok(true));
        if is_revoked && matches!(Box::pin(self.ended_lately(identity.id)).await, Ok(true)) {
            set_fate(SessionFate::EndedAfterRead);
        }
        with_noted(|tracker| tracker.failed.set(false));
        Ok(Some(state).filter(|_| !is_revoked))
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
        key: &SessionKey,
        looked: &Looked,
    ) -> Result<(String, String), StoreError> {
        let noted = fate::owner();
        if !noted.1.is_empty() {
            return Ok(noted);
        }
        // The application has ended the session, and nothing has asked for the user.
        let login = match (looked.identity.login, looked.identity.has_login) {
            (Some(login), _) => Some(login),
            (None, false) => None,
            (None, true) => {
                let parsed = match Self::is_in_cookie() {
                    true => serde_json::from_str(key.as_ref()).ok(),
                    false => None,
                };
                let state = parsed.as_ref().or(looked.state.as_ref());
                let mut logins = state
                    .into_iter()
                    .flatten()
                    .filter(|(key, _)| entry::is_login_key(key));
                let read = |text| entry::read_login(text, Self::is_in_cookie());
                logins.find_map(|(_, text)| read(text)).map(|it| it.key)
            }
        };
        let Some(login) = login else {
            return Ok(noted);
        };
        let now = revocations.clock.now();
        let record = revocations.records.store.find(login, now).await?;
        Ok(record.map_or(noted, |record| (record.user_type, record.user_id)))
    }

    /// Records that a session has ended.
    async fn revoke(&self, key: &SessionKey, looked: &Looked) -> Result<(), StoreError> {
        let revocations = self.revocations.get();
        let session = match Self::is_in_cookie() {
            true => looked.identity.id,
            false => revocations.map(|_| key_on_server(key)),
        };
        let Some((revocations, session)) = revocations.zip(session) else {
            return Ok(());
        };
        let until = revocations.clock.now().saturating_add(Self::revoked_for());
        let owner = self.owner_of(revocations, key, looked);
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
}

/// What a look at a session has found.
struct Looked {
    exists: bool,
    /// The id is only known of a session in its cookie.
    identity: Identity,
    /// The contents of a session on the server.
    state: Option<State>,
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

/// The key of the revocation of a session on the server.
fn key_on_server(key: &SessionKey) -> LoginKey {
    LoginKey::of(key.as_ref().as_bytes())
}

/// Gives a session that is saved into its cookie the id that it had before it was renewed, or a new one.
fn give_id(state: &mut State) -> Result<(), NoRandomness> {
    if let Some(id) = with_tracker(|tracker| tracker.id.take()) {
        identity::keep(state, id);
        return Ok(());
    }
    let is_its_login = is_its_login(state);
    identity::renew(state, is_its_login)
}

/// Whether a new session contains nothing but one login, besides data, and that login is new, too.
fn is_its_login(state: &State) -> bool {
    with_tracker(|tracker| identity::is_its_login(state, &tracker.logged_in.borrow()))
}

/// Whether a session that is saved gets an id of its own.
fn needs_id_when_new(state: &State) -> bool {
    with_tracker(|tracker| tracker.id.get().is_some()) || !is_its_login(state)
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
        if Self::is_in_cookie() {
            return self.load_from_cookie(key).await;
        }
        let loading = async {
            let loading = async {
                // While the session gets another id, it is in neither place.
                let _lock = match self.locks.of(key.as_ref().as_bytes()) {
                    Some(lock) => Some(lock.read().await),
                    None => None,
                };
                self.store.load(key).await
            };
            let loaded = self.ask(&LOAD, loading, LoadError::Other).await;
            // A request that arrives long after the end is not late but has no session. A late one
            // would be answered 409 for as long as the browser keeps the cookie.
            if matches!(loaded, Ok(None))
                && self.revocations.get().is_some()
                && matches!(self.ended_lately(Some(key_on_server(key))).await, Ok(true))
            {
                set_fate(SessionFate::EndedAfterRead);
            }
            if !matches!(loaded, Err(LoadError::Other(_))) {
                with_noted(|tracker| tracker.failed.set(false));
            }
            loaded
        };
        Box::pin(loading).await
    }

    async fn save(&self, mut state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        self.check_room(&state, needs_id_when_new)
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
                give_id(&mut state).map_err(|error| SaveError::Other(error.into()))?;
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
        self.check_room(&state, identity::needs_own)
            .map_err(|error| UpdateError::Other(error.into()))?;
        if self.never_ends() {
            return self.store.update(key, state, ttl).await;
        }
        let updating = async {
            let (_lock, looked) = self.lock_and_look(&key).await.map_err(UpdateError::Other)?;
            if !looked.exists {
                if may_lose(&state) {
                    set_fate(SessionFate::EndedAfterRead);
                    return Ok(key);
                }
                set_fate(SessionFate::EndedAfterWrite);
                return Err(UpdateError::Other(SessionGone.into()));
            }
            if Self::is_in_cookie() && self.revocations.get().is_some() {
                // The application may have emptied the session, which still is the same one.
                match looked.identity.id {
                    Some(id) => identity::keep(&mut state, id),
                    None => identity::renew(&mut state, false)
                        .map_err(|error| UpdateError::Other(error.into()))?,
                }
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
            let (_lock, looked) = self.lock_and_look(key).await?;
            if !looked.exists {
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
            let (lock, looked) = self.lock_and_look(key).await?;
            if !looked.exists {
                set_fate(SessionFate::EndedAfterRead);
            }
            // A session without a login needs no revocation, and keeps its id when it is renewed.
            if with_tracker(|tracker| tracker.held_elsewhere.get())
                || looked.exists && looked.identity.has_login
                || has_logged_in()
            {
                self.revoke(key, &looked).await?;
            } else {
                with_tracker(|tracker| tracker.id.set(looked.identity.id));
            }
            with_tracker(|tracker| tracker.only_own_logins.set(!looked.exists));
            self.ask(&DELETE, self.store.delete(key), |error| error)
                .await?;
            // If the session is only renewed, the lock is held until the new one is saved.
            with_tracker(|tracker| *tracker.lock.borrow_mut() = lock);
            Ok(())
        };
        Box::pin(deleting).await
    }
}
