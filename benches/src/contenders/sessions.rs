//! The session stores of the contenders on actix-session.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError,
};
use actix_web::cookie::time::Duration;

pub(super) fn in_cookies() -> CookieSessionStore {
    CookieSessionStore::default()
}

#[cfg(feature = "stores")]
pub(super) async fn redis(url: &str) -> actix_session::storage::RedisSessionStore {
    actix_session::storage::RedisSessionStore::new(url)
        .await
        .expect("Redis answers")
}

type State = HashMap<String, String>;

/// Sessions in the memory of this process.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Inner>);

#[derive(Default)]
struct Inner {
    sessions: Mutex<HashMap<String, State>>,
    last: AtomicUsize,
}

impl SessionStore for Memory {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        Ok(self.0.sessions.lock().unwrap().get(key.as_ref()).cloned())
    }

    async fn save(&self, state: State, _: &Duration) -> Result<SessionKey, SaveError> {
        // As long as a random key and cheaper to make, which is to the advantage of the floor.
        let id = self.0.last.fetch_add(1, Ordering::Relaxed);
        let key = format!("{id:064}");
        self.0.sessions.lock().unwrap().insert(key.clone(), state);
        Ok(key.try_into().expect("short enough"))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        self.0
            .sessions
            .lock()
            .unwrap()
            .insert(key.as_ref().to_owned(), state);
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.sessions.lock().unwrap().remove(key.as_ref());
        Ok(())
    }
}
