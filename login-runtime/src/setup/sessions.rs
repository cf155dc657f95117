//! Where sessions are stored, and how the session middleware of each worker is made.

use std::{sync::Arc, time::Duration};

use actix_session::{config::SessionLifecycle, storage::SessionStore};
use actix_web::cookie::Key;

use crate::{
    http::CheckedCookie,
    manager::SessionFactory,
    session::{self, Revocations, SharedStore},
};

/// Who configures the session middleware.
pub(crate) enum Sessions<S: SessionStore> {
    /// This crate, for a store of the application.
    Stored(MakeMiddleware<S>),
    /// The application.
    Own(SessionFactory<S>),
}

type MakeMiddleware<S> = Box<
    dyn FnOnce(
        Key,
        CheckedCookie,
        SessionLifecycle,
        Option<Revocations>,
        Duration,
    ) -> SessionFactory<S>,
>;

/// The length of the lifetime that a session cookie may have: `; Max-Age=34560000`.
const MAX_AGE_LEN: usize = 18;

/// The length of a session cookie without its value, at most.
pub(crate) fn session_frame(cookie: &CheckedCookie) -> usize {
    cookie.len_but_value() + MAX_AGE_LEN
}

impl<T: SessionStore + Send + Sync + 'static> Sessions<SharedStore<T>> {
    pub(crate) fn stored(store: T) -> Self {
        let make = |key: Key,
                    cookie: CheckedCookie,
                    lifecycle: SessionLifecycle,
                    revocations,
                    deadline| {
            let store = SharedStore::new(store).deadline(deadline);
            store.set_frame(session_frame(&cookie));
            if let Some(revocations) = revocations {
                store.note_ends_in(revocations);
            }
            let factory =
                move || session::middleware(store.clone(), key.clone(), &cookie, lifecycle.clone());
            Arc::new(factory) as SessionFactory<_>
        };
        Self::Stored(Box::new(make))
    }
}
