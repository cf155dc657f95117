//! One session store, shared by all workers, in which what has ended stays ended.
//!
//! actix-session loads a session when a request begins and writes it back when the request ends. What
//! happens to the session in between, it does not notice: a request that was under way while the user
//! logged in or out writes the old session back, and hands its cookie to the browser. [`SharedStore`]
//! notices:
//!
//! - A write to a session that is there no more is refused. The client of the late request gets a
//!   409, since what it wrote is lost, and no session cookie.
//! - A late request that only read gets its answer, and no session cookie.
//! - A late request that renews the session makes none, unless it logs somebody in: two clicks on the
//!   same button both succeed.
//!
//! With sessions on the server "there no more" is what the store says. Sessions that are kept in
//! their cookie are always there; with a login store, each of them carries an id that is buried when
//! the session ends or gets another cookie, and whoever writes to a buried session is late.
//!
//! What this cannot see is a late request that came without a session and makes the first: it takes
//! the place of a session cookie that the browser got in the meantime.

use std::{
    cell::Cell,
    collections::HashMap,
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
};

use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError,
};
use actix_web::cookie::time::Duration;

use crate::{clock::Clock, cookies::LoginId, records::Records, store::LoginKey};

/// Under what a session that is kept in its cookie has its id.
const ID_KEY: &str = "_session_id";

/// How long a note that a session ended is kept: as long as a late request can reasonably take.
///
/// Raising it keeps more notes; lowering it lets requests that take longer bring sessions back. Seven
/// days also outlast most copies of a cookie.
const BURIED_FOR: i64 = 7 * 24 * 60 * 60;

/// A session store that does not bring back what has ended.
///
/// [`LoginManagerBuilder::session_store`](crate::LoginManagerBuilder::session_store) puts the store it
/// is given into one of these. An application that brings its own `SessionMiddleware` does well to
/// give it its store in one: `SessionMiddleware::new(SharedStore::new(store), key)`.
pub struct SharedStore<T> {
    store: Arc<T>,
    graves: Arc<OnceLock<Graves>>,
}

/// Where it is noted which sessions that are kept in their cookie have ended.
pub(crate) struct Graves {
    pub(crate) records: Arc<Records>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl<T> SharedStore<T> {
    /// Shares `store`.
    pub fn new(store: T) -> Self {
        Self {
            store: Arc::new(store),
            graves: Arc::default(),
        }
    }

    /// From now on sessions that are kept in their cookie can end.
    pub(crate) fn set_graves(&self, graves: Graves) {
        let _ = self.graves.set(graves);
    }
}

impl<T> Clone for SharedStore<T> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            graves: Arc::clone(&self.graves),
        }
    }
}

impl<T> fmt::Debug for SharedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

tokio::task_local! {
    /// What the store has to say about the session of the request at hand.
    static WATCH: Watch;
}

/// One request, as the store sees it.
#[derive(Default)]
struct Watch {
    late: Cell<Late>,
    /// Whether the request logged somebody in, so that the session it leaves is a new one.
    logged_in: Cell<bool>,
    /// How many cookies the response sets, before the session middleware adds its own.
    cookies: Cell<usize>,
}

/// What became of the session of a request while the request was under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Late {
    /// Nothing that matters here.
    #[default]
    No,
    /// It has ended, and the request has not written to it, or has only ended it too.
    Read,
    /// It has ended, and the request has written to it.
    Write,
    /// Nobody knows: the login store failed.
    Unknown,
}

/// A session middleware's work on one request; `done` is told what the store said of it.
pub(crate) async fn watched<F: Future>(
    work: F,
    done: impl FnOnce(F::Output, Late, usize) -> F::Output,
) -> F::Output {
    WATCH
        .scope(Watch::default(), async move {
            let output = work.await;
            let (late, cookies) = WATCH.with(|watch| (watch.late.get(), watch.cookies.get()));
            done(output, late, cookies)
        })
        .await
}

/// The session that this request leaves is a new one, whatever became of the old one.
pub(crate) fn logged_in() {
    let _ = WATCH.try_with(|watch| watch.logged_in.set(true));
}

/// Before the session middleware adds its cookie, the response sets so many.
pub(crate) fn count_cookies(count: impl FnOnce() -> usize) {
    let _ = WATCH.try_with(|watch| watch.cookies.set(count()));
}

/// What the store said so far.
fn late() -> Late {
    WATCH.try_with(|watch| watch.late.get()).unwrap_or_default()
}

/// Notes that the session has ended; outside a login manager nobody asks.
fn set_late(late: Late) {
    let _ = WATCH.try_with(|watch| {
        if !watch.logged_in.get() {
            watch.late.set(late);
        }
    });
}

/// Notes that the login store failed, since the session middleware makes the same of every error.
fn store_failed() {
    let _ = WATCH.try_with(|watch| watch.late.set(Late::Unknown));
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

impl<T: SessionStore + 'static> SharedStore<T> {
    /// Whether sessions are kept in their cookies, where a key is the whole session.
    fn is_in_cookie() -> bool {
        is_in_cookie::<Self>()
    }

    /// Whether the session is there no more.
    async fn is_gone(&self, key: &SessionKey) -> Result<bool, anyhow::Error> {
        if !Self::is_in_cookie() {
            return Ok(self.store.load(key).await?.is_none());
        }
        match (self.graves.get(), id_in_cookie(key)) {
            (Some(graves), Some(id)) => {
                let now = graves.clock.now();
                let store = &graves.records.store;
                let buried = store.call(|store| store.is_buried(id, now)).await;
                Ok(buried.inspect_err(|_| store_failed())?)
            }
            _ => Ok(false),
        }
    }

    /// Notes that a session in a cookie has ended.
    async fn bury(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        if let (true, Some(graves), Some(id)) =
            (Self::is_in_cookie(), self.graves.get(), id_in_cookie(key))
        {
            let until = graves.clock.now().saturating_add(BURIED_FOR);
            let store = &graves.records.store;
            let buried = store.call(|store| store.bury_session(id, until)).await;
            buried.inspect_err(|_| store_failed())?;
        }
        Ok(())
    }
}

/// Whether a store keeps sessions in their cookies.
pub(crate) fn is_in_cookie<S: 'static>() -> bool {
    use std::any::TypeId;
    let store = TypeId::of::<S>();
    store == TypeId::of::<SharedStore<CookieSessionStore>>()
        || store == TypeId::of::<CookieSessionStore>()
}

/// Under what the end of a session in a cookie is noted.
fn id_in_cookie(key: &SessionKey) -> Option<LoginKey> {
    let state: State = serde_json::from_str(key.as_ref()).ok()?;
    let id: String = serde_json::from_str(state.get(ID_KEY)?).ok()?;
    LoginId::parse(&id).map(|id| id.key())
}

/// Gives a session in a cookie an id of its own.
fn name(state: &mut State) -> Result<(), anyhow::Error> {
    let id = LoginId::random().map_err(anyhow::Error::new)?;
    state.insert(ID_KEY.to_owned(), serde_json::to_string(&id.text())?);
    Ok(())
}

impl<T: SessionStore + 'static> SessionStore for SharedStore<T> {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        // It ended before this request came, so the request is not late but has no session. As a
        // late one it would be answered 409 for as long as the browser keeps the cookie.
        let can_end = Self::is_in_cookie() && self.graves.get().is_some();
        // A login store that is down keeps nobody from pages that ask for nobody: who the user is
        // depends on the record all the same, and a write looks again.
        if can_end && matches!(self.is_gone(key).await, Ok(true)) {
            return Ok(None);
        }
        self.store.load(key).await
    }

    async fn save(&self, mut state: State, ttl: &Duration) -> Result<SessionKey, SaveError> {
        // Renewing deletes, and then saves.
        if late() != Late::No {
            set_late(Late::Write);
            return Err(SaveError::Other(SessionGone.into()));
        }
        if Self::is_in_cookie() && self.graves.get().is_some() {
            name(&mut state).map_err(SaveError::Other)?;
        }
        self.store.save(state, ttl).await
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        if self.is_gone(&key).await.map_err(UpdateError::Other)? {
            set_late(Late::Write);
            return Err(UpdateError::Other(SessionGone.into()));
        }
        let old = key.as_ref().to_owned();
        let updated = self.store.update(key, state, ttl).await?;
        // A store that finds the session gone between the look and the write saves it under a new
        // key. What was brought back ends again.
        if !Self::is_in_cookie() && updated.as_ref() != old {
            self.store
                .delete(&updated)
                .await
                .map_err(UpdateError::Other)?;
            set_late(Late::Write);
            return Err(UpdateError::Other(SessionGone.into()));
        }
        Ok(updated)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        if self.is_gone(key).await? {
            set_late(Late::Read);
            return Ok(());
        }
        self.store.update_ttl(key, ttl).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        if self.is_gone(key).await? {
            set_late(Late::Read);
        }
        self.bury(key).await?;
        self.store.delete(key).await
    }
}
