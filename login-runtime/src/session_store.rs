//! One session store, shared by all workers.

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time::Duration;

/// A session store in an `Arc`, since not every store can be cloned.
pub struct SharedStore<T>(Arc<T>);

impl<T> SharedStore<T> {
    /// Shares `store`.
    pub fn new(store: T) -> Self {
        Self(Arc::new(store))
    }
}

impl<T> Clone for SharedStore<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for SharedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

type State = HashMap<String, String>;

impl<T: SessionStore> SessionStore for SharedStore<T> {
    fn load(&self, key: &SessionKey) -> impl Future<Output = Result<Option<State>, LoadError>> {
        self.0.load(key)
    }

    fn save(
        &self,
        state: State,
        ttl: &Duration,
    ) -> impl Future<Output = Result<SessionKey, SaveError>> {
        self.0.save(state, ttl)
    }

    fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &Duration,
    ) -> impl Future<Output = Result<SessionKey, UpdateError>> {
        self.0.update(key, state, ttl)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), anyhow::Error> {
        self.0.update_ttl(key, ttl).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.0.delete(key).await
    }
}
