//! The users of all contenders. They are in memory, so that no database is measured.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use login_runtime::{AuthUser, UserId};
use uuid::Uuid;

/// How many users there are. Each log in is that of the next one, so that no user has many logins.
const USERS: i64 = 10_000;

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

/// The user of `README.md`.
#[derive(AuthUser, Clone, Debug)]
pub struct ReadmeUser {
    pub id: i64,
    pub name: String,
    #[auth(password_hash)]
    pub password_hash: String,
}

/// The user of `README.md` with an id of another type.
#[derive(AuthUser, Clone, Debug)]
pub struct UuidUser {
    pub id: Uuid,
    pub name: String,
    #[auth(password_hash)]
    pub password_hash: String,
}

/// The users, all of whom are called Ada, and a count of how often one was loaded.
#[derive(Clone)]
pub struct Users(Arc<Inner>);

struct Inner {
    ada: HashedUser,
    logged_in: AtomicI64,
    loads: AtomicUsize,
}

impl Default for Users {
    fn default() -> Self {
        Self(Arc::new(Inner {
            ada: HashedUser {
                id: 0,
                name: "Ada".to_owned(),
                is_active: true,
                password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"
                    .to_owned(),
            },
            logged_in: AtomicI64::new(0),
            loads: AtomicUsize::new(0),
        }))
    }
}

/// A type that a contender can load users as.
pub trait Row: AuthUser<Id: UserId + PartialEq> {
    /// The user with this number.
    fn of(ada: &HashedUser, number: i64) -> Self;
    /// The number of the user with this id.
    fn number(id: &Self::Id) -> i64;
    fn name(&self) -> &str;
}

impl Row for User {
    fn of(ada: &HashedUser, number: i64) -> Self {
        Self {
            id: number,
            name: ada.name.clone(),
            is_active: ada.is_active,
        }
    }

    fn number(id: &i64) -> i64 {
        *id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for HashedUser {
    fn of(ada: &HashedUser, number: i64) -> Self {
        Self {
            id: number,
            ..ada.clone()
        }
    }

    fn number(id: &i64) -> i64 {
        *id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for ReadmeUser {
    fn of(ada: &HashedUser, number: i64) -> Self {
        Self {
            id: number,
            name: ada.name.clone(),
            password_hash: ada.password_hash.clone(),
        }
    }

    fn number(id: &i64) -> i64 {
        *id
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Row for UuidUser {
    fn of(ada: &HashedUser, number: i64) -> Self {
        Self {
            id: Uuid::from_u64_pair(0x6ba7_b810_9dad_4bd1, number.cast_unsigned()),
            name: ada.name.clone(),
            password_hash: ada.password_hash.clone(),
        }
    }

    fn number(id: &Uuid) -> i64 {
        id.as_u64_pair().1.cast_signed()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Users {
    /// The user who logs in next. No contender checks a password.
    pub fn next<U: Row>(&self) -> U {
        let before = self.0.logged_in.fetch_add(1, Ordering::Relaxed);
        self.load(1 + before % USERS)
    }

    pub async fn find<U: Row>(&self, id: U::Id) -> Option<U> {
        let number = U::number(&id);
        (1..=USERS).contains(&number).then(|| self.load(number))
    }

    fn load<U: Row>(&self, number: i64) -> U {
        self.0.loads.fetch_add(1, Ordering::Relaxed);
        U::of(&self.0.ada, number)
    }

    /// How often users were loaded so far.
    pub fn loads(&self) -> usize {
        self.0.loads.load(Ordering::Relaxed)
    }
}
