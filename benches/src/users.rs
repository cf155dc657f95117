//! The users of all contenders. They are in memory, so that no database is measured.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use login_runtime::AuthUser;

/// A user without a session hash, since the hand-written check has none either.
#[derive(AuthUser, Clone, Debug)]
pub struct User {
    pub id: i64,
    pub name: String,
    pub is_active: bool,
}

/// A user whose logins end when the password changes. axum-login always checks that.
#[derive(AuthUser, Clone, Debug)]
pub struct HashedUser {
    pub id: i64,
    pub name: String,
    pub is_active: bool,
    #[auth(session_hash)]
    pub password_hash: String,
}

/// The only user, Ada, and a count of how often she was loaded.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    ada: HashedUser,
    loads: AtomicUsize,
}

impl Default for Users {
    fn default() -> Self {
        Self(Arc::new(Inner {
            ada: HashedUser {
                id: 1,
                name: "Ada".to_owned(),
                is_active: true,
                password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
                    .to_owned(),
            },
            loads: AtomicUsize::new(0),
        }))
    }
}

/// A type that a contender can load users as.
pub trait Row: AuthUser<Id = i64> {
    fn of(ada: &HashedUser) -> Self;
    fn name(&self) -> &str;
    fn is_active(&self) -> bool;
}

impl Row for User {
    fn of(ada: &HashedUser) -> Self {
        Self {
            id: ada.id,
            name: ada.name.clone(),
            is_active: ada.is_active,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_active(&self) -> bool {
        self.is_active
    }
}

impl Row for HashedUser {
    fn of(ada: &HashedUser) -> Self {
        ada.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn is_active(&self) -> bool {
        self.is_active
    }
}

impl Users {
    fn row(&self, id: i64) -> Option<&HashedUser> {
        self.0.loads.fetch_add(1, Ordering::Relaxed);
        Some(&self.0.ada).filter(|user| user.id == id)
    }

    pub async fn find<U: Row>(&self, id: i64) -> Option<U> {
        self.row(id).map(U::of)
    }

    /// How often users were loaded so far.
    pub fn loads(&self) -> usize {
        self.0.loads.load(Ordering::Relaxed)
    }
}
