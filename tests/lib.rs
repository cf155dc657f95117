//! What all test targets share: users, a manager for them, an application, session stores, database
//! servers, and the list of skipped tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use actix_http::Request;
use actix_session::storage::SessionStore;
use actix_web::{
    App, Error,
    body::BoxBody,
    cookie::Key,
    dev::{Service, ServiceResponse},
    middleware::Compat,
    test::init_service,
    web::ServiceConfig,
};
use login_runtime::{
    AuthUser, LoginManager, config::LoginManagerBuilder, store::LoginStore, test::TestClock,
};

pub mod services;
pub mod sessions;
pub mod skips;

/// The time of the test clock when a test starts, in seconds since 1970.
pub const START: i64 = 1_700_000_000;

/// A user like those of most applications.
#[derive(AuthUser, Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// Whether the user may log in.
    pub is_active: bool,
    /// A change of it ends every login of the user.
    #[auth(session_hash)]
    pub hash: String,
}

impl User {
    /// An active user.
    pub fn new(id: i64, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            is_active: true,
            hash: format!("hash of {name}"),
        }
    }
}

/// Another user type, whose id is a string.
#[derive(AuthUser, Clone, Debug, PartialEq, Eq)]
#[auth(name = "admin")]
pub struct Admin {
    /// The id.
    #[auth(id)]
    pub login: String,
}

impl Admin {
    /// An admin.
    pub fn new(login: &str) -> Self {
        Self {
            login: login.to_owned(),
        }
    }
}

/// A database of users that counts its loads, and that a test can change and take down.
#[derive(Clone, Default)]
pub struct Users(Arc<UsersInner>);

#[derive(Default)]
struct UsersInner {
    users: Mutex<HashMap<i64, User>>,
    loads: AtomicUsize,
    down: AtomicBool,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").finish_non_exhaustive()
    }
}

impl Users {
    /// Ada (1), Ben (2) and Cy (3), who is inactive.
    pub fn new() -> Self {
        let users = Self::default();
        users.put(User::new(1, "ada"));
        users.put(User::new(2, "ben"));
        users.put(User {
            is_active: false,
            ..User::new(3, "cy")
        });
        users
    }

    /// Adds or replaces a user.
    pub fn put(&self, user: User) {
        self.0.users.lock().unwrap().insert(user.id, user);
    }

    /// Changes a user.
    pub fn change(&self, id: i64, change: impl FnOnce(&mut User)) {
        change(self.0.users.lock().unwrap().get_mut(&id).unwrap());
    }

    /// Deletes a user.
    pub fn delete(&self, id: i64) {
        self.0.users.lock().unwrap().remove(&id);
    }

    /// Finds a user, without counting it as a load.
    pub fn get(&self, id: i64) -> Option<User> {
        self.0.users.lock().unwrap().get(&id).cloned()
    }

    /// Loads a user as a user loader does: counts the load, yields once, and fails if the database is
    /// down.
    pub async fn load(&self, id: i64) -> Result<Option<User>, String> {
        self.0.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.0.down.load(Ordering::SeqCst) {
            return Err("the database is down".to_owned());
        }
        Ok(self.get(id))
    }

    /// The number of loads since the last call.
    pub fn loads(&self) -> usize {
        self.0.loads.swap(0, Ordering::SeqCst)
    }

    /// Takes the database down, or up again.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }
}

/// The application's secret.
pub fn key() -> Key {
    key_of(7)
}

/// A secret for each number. It looks random, since a manager refuses a secret that does not.
pub fn key_of(number: u8) -> Key {
    Key::derive_from(&[number; 64])
}

/// A manager that records the logins of these users in the session only, with a login view and a
/// clock that shows [`START`].
pub fn manager(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let (builder, clock) = manager_base(users);
    (builder.session_only(), clock)
}

/// The same without the choice where logins are recorded. It cannot be built before that is added: see
/// [`record_logins`].
pub fn manager_base(users: &Users) -> (LoginManagerBuilder, TestClock) {
    let clock = TestClock::at(START);
    let users = users.clone();
    let builder = LoginManager::builder(move |id| {
        let users = users.clone();
        async move { users.load(id).await }
    });
    (builder.login_view("/login").clock(clock.clone()), clock)
}

/// Records logins in `store`, or in the session only if there is none.
pub fn record_logins<S: SessionStore + 'static>(
    builder: LoginManagerBuilder<S>,
    store: Option<impl LoginStore>,
) -> LoginManagerBuilder<S> {
    match store {
        Some(store) => builder.login_store(store),
        None => builder.session_only(),
    }
}

/// A loader for admins: every login exists.
pub async fn load_admin(login: String) -> Result<Option<Admin>, Infallible> {
    Ok(Some(Admin::new(&login)))
}

/// An application with these routes behind a manager.
pub async fn app<T>(
    manager: LoginManager<T>,
    routes: impl FnOnce(&mut ServiceConfig),
) -> impl Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>
where
    T: SessionStore + 'static,
{
    init_service(App::new().wrap(Compat::new(manager)).configure(routes)).await
}
