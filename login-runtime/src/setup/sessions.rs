//! TODO setup/sessions.rs

use std::{sync::Arc, time::Duration};

use actix_session::{config::SessionLifecycle, storage::SessionStore};
use actix_web::cookie::Key;

use crate::{
    http::CheckedCookie,
    manager::SessionFactory,
    session::{self, Revocations, SharedStore},
};

/// Where sessions are kept.
pub(crate) enum Sessions<S: SessionStore> {
    /// In a store, with a middleware that we configure.
    Stored(MakeMiddleware<S>),
    /// In whatever the application's own middleware uses.
    Own(SessionFactory<S>),
}

type MakeMiddleware<S> =
    Box<dyn FnOnce(Key, CheckedCookie, SessionLifecycle, StoreSettings) -> SessionFactory<S>>;

/// What a session store needs from the manager.
pub(crate) struct StoreSettings {
    pub(crate) revocations: Option<Revocations>,
    pub(crate) deadline: Duration,
}

impl<T: SessionStore + Send + Sync + 'static> Sessions<SharedStore<T>> {
    pub(crate) fn stored(store: T) -> Self {
        Self::Stored(Box::new(move |key, cookie, lifecycle, settings| {
            let store = SharedStore::new(store).deadline(settings.deadline);
            if let Some(revocations) = settings.revocations {
                store.note_ends_in(revocations);
            }
            Arc::new(move || {
                session::middleware(store.clone(), key.clone(), &cookie, lifecycle.clone())
            })
        }))
    }
}
