//! The request at work, for those who are not handed it: stores, and what waits for them.

use std::{cell::Cell, future::Future, rc::Rc, time::Duration};

use crate::session::fate::SessionTracker;

tokio::task_local! {
    // Shared, so that whoever polls has only a pointer to move.
    static AT_WORK: Rc<AtWork>;
}

/// What is known of a request.
#[derive(Default)]
pub(crate) struct AtWork {
    /// How long it has waited for answers that did not come.
    pub(crate) lost: Cell<Duration>,
    /// What becomes of its session.
    pub(crate) watch: SessionTracker,
}

/// Works on one request.
pub(crate) async fn on<F: Future>(work: AtWork, request: F) -> F::Output {
    AT_WORK.scope(Rc::new(work), request).await
}

/// Looks at the request at work. Nothing where there is none, as where an administrator ends logins.
pub(crate) fn look<T>(look: impl FnOnce(&AtWork) -> T) -> Option<T> {
    AT_WORK.try_with(|work| look(work)).ok()
}
