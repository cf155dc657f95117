//! A session store on the server, with the semantics of actix-session's Redis store.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;

/// The content of a session: JSON values by key.
pub type State = HashMap<String, String>;

/// Keeps sessions in memory; its clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemorySessions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sessions: Mutex<HashMap<String, State>>,
    made: AtomicUsize,
    writes: AtomicUsize,
    no_revival: bool,
}

impl MemorySessions {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store in which an update does not create a session that was deleted before.
    pub fn without_revival() -> Self {
        Self(Arc::new(Inner {
            no_revival: true,
            ..Inner::default()
        }))
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.0.sessions.lock().unwrap().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All sessions, by their ids.
    pub fn contents(&self) -> HashMap<String, State> {
        self.0.sessions.lock().unwrap().clone()
    }

    /// The number of writes since the last call.
    pub fn writes(&self) -> usize {
        self.0.writes.swap(0, Ordering::SeqCst)
    }
}

impl SessionStore for MemorySessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        Ok(self.0.sessions.lock().unwrap().get(key.as_ref()).cloned())
    }

    async fn save(&self, state: State, _: &Duration) -> Result<SessionKey, SaveError> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        let key = format!("{:064}", self.0.made.fetch_add(1, Ordering::SeqCst));
        self.0.sessions.lock().unwrap().insert(key.clone(), state);
        SessionKey::try_from(key).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        if let Some(kept) = self.0.sessions.lock().unwrap().get_mut(key.as_ref()) {
            *kept = state;
            return Ok(key);
        }
        if self.0.no_revival {
            return Ok(key);
        }
        // The Redis store does the same if the key was deleted.
        self.save(state, ttl)
            .await
            .map_err(|error| UpdateError::Other(error.into()))
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.sessions.lock().unwrap().remove(key.as_ref());
        Ok(())
    }
}
