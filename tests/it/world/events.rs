//! What happened to logins, as texts that tests compare.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use actix_session::storage::SessionStore;
use login_runtime::{config::LoginManagerBuilder, events::LoginEvent};
use login_tests::{Admin, User};

/// The events of a manager, in order; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    /// Records the events of this manager.
    pub(crate) fn of<T: SessionStore + 'static>(
        builder: LoginManagerBuilder<T>,
    ) -> (LoginManagerBuilder<T>, Self) {
        let events = Self::default();
        (events.record(builder), events)
    }

    /// Records the events of this manager too.
    pub(super) fn record<T: SessionStore + 'static>(
        &self,
        builder: LoginManagerBuilder<T>,
    ) -> LoginManagerBuilder<T> {
        let events = self.clone();
        builder.on_event(move |event, _| events.0.lock().unwrap().push(words(event)))
    }

    /// Takes the events since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Takes the events since the last call, and counts those with this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        let events = self.take();
        events.iter().filter(|event| *event == text).count()
    }

    /// Takes the events since the last call, without `accessed`.
    pub(crate) fn take_but_accessed(&self) -> Vec<String> {
        let mut events = self.take();
        events.retain(|event| event != "accessed");
        events
    }
}

fn words(event: &LoginEvent<'_>) -> String {
    let mut words = event.name().to_owned();
    // Who was refused is in the golden list; other tests ask why.
    let is_refusal = matches!(
        event,
        LoginEvent::Unauthorized { .. } | LoginEvent::NeedsRefresh { .. }
    );
    if let Some(user) = event.user().filter(|_| !is_refusal) {
        let name = match (user.get::<User>(), user.get::<Admin>()) {
            (Some(user), None) => user.name.clone(),
            (None, Some(admin)) => admin.login.clone(),
            _ => user.id(),
        };
        words.push_str(&format!(" {name}"));
    }
    let mut detail = |detail: &dyn Debug| words.push_str(&format!(" {detail:?}"));
    match event {
        LoginEvent::Unauthorized { reason, .. } | LoginEvent::NeedsRefresh { reason, .. } => {
            detail(reason);
        }
        LoginEvent::LoginEnded { reason, .. }
        | LoginEvent::RememberCookieRefused { reason, .. } => {
            detail(reason);
        }
        LoginEvent::SessionProtected { mode, .. } => detail(mode),
        LoginEvent::CrossSiteRefused { reason, .. } => detail(reason),
        LoginEvent::Forbidden {
            condition: Some(condition),
            ..
        } => words.push_str(&format!(" {condition}")),
        LoginEvent::LoggedIn { remembered, .. } if *remembered => words.push_str(" remembered"),
        _ => {}
    }
    words
}
