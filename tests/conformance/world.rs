//! What the control routes show and change: users, events, counts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use login_runtime::{
    AuthUser,
    events::{EventUser, LoginEvent},
};
use serde_json::{Value, json};

/// A user of the contract. The key is what sessions and remember cookies keep.
#[derive(AuthUser, Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) name: String,
    #[auth(active)]
    pub(crate) active: bool,
    #[auth(id)]
    pub(crate) key: String,
}

/// Everything that changes.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

pub(crate) struct State {
    pub(crate) users: HashMap<String, User>,
    pub(crate) events: Vec<Value>,
    pub(crate) user_loads: usize,
    pub(crate) request_loads: usize,
    keys_made: usize,
}

/// The users that exist at first.
pub(crate) fn seed() -> HashMap<String, User> {
    let users = [
        ("1", "Alice", true),
        ("2", "Bob", true),
        ("3", "Carol", false),
        ("4", "Dave", true),
        ("佐藤", "Müller", true),
        ("p|q;r, \"s\"", "Odd", true),
    ];
    users
        .into_iter()
        .map(|(id, name, active)| {
            let user = User {
                id: id.to_owned(),
                name: name.to_owned(),
                active,
                key: id.to_owned(),
            };
            (id.to_owned(), user)
        })
        .collect()
}

impl World {
    pub(crate) fn new() -> Self {
        let state = State {
            users: seed(),
            events: Vec::new(),
            user_loads: 0,
            request_loads: 0,
            keys_made: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn find(&self, id: &str) -> Option<User> {
        self.lock().users.get(id).cloned()
    }

    /// The user loader.
    pub(crate) fn load(&self, key: &str) -> Option<User> {
        let mut state = self.lock();
        state.user_loads += 1;
        state.users.values().find(|user| user.key == key).cloned()
    }

    /// The request loader.
    pub(crate) fn load_from_request(&self, api_key: &str) -> Option<User> {
        let mut state = self.lock();
        state.request_loads += 1;
        state.users.get(api_key.strip_prefix("key-")?).cloned()
    }

    /// Writes an event down, under its name in the contract.
    pub(crate) fn record(&self, event: &LoginEvent<'_>) {
        let id = |user: &EventUser<'_>| user.get::<User>().map(|user| user.id.clone());
        let (name, user) = match event {
            LoginEvent::LoggedIn { user, .. } => ("logged-in", id(user)),
            LoginEvent::LoggedOut { user, .. } => ("logged-out", user.as_ref().and_then(id)),
            LoginEvent::LoadedFromCookie { user, .. } => ("loaded-from-cookie", id(user)),
            LoginEvent::LoadedFromRequest { user } => ("loaded-from-request", id(user)),
            LoginEvent::LoginConfirmed { .. } => ("login-confirmed", None),
            LoginEvent::Unauthorized { .. } => ("unauthorized", None),
            LoginEvent::NeedsRefresh { .. } => ("needs-refresh", None),
            LoginEvent::SessionProtected { .. } => ("session-protected", None),
            LoginEvent::Accessed => ("accessed", None),
            // What the toolkit reports besides.
            _ => return,
        };
        self.lock()
            .events
            .push(json!({ "event": name, "user": user }));
    }

    pub(crate) fn reset(&self) {
        let mut state = self.lock();
        state.users = seed();
        state.events.clear();
        (state.user_loads, state.request_loads) = (0, 0);
    }

    pub(crate) fn rotate_key(&self, id: &str) {
        let mut state = self.lock();
        state.keys_made += 1;
        let key = format!("{id} #{}", state.keys_made);
        if let Some(user) = state.users.get_mut(id) {
            user.key = key;
        }
    }
}
