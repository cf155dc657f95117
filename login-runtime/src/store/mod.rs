//! Login stores: where logins are recorded, so that they can be ended, listed and limited.
//!
//! A session alone cannot promise that a log out is final: a slow request that still has the session
//! writes it back, and a copied cookie works until it expires. With a [`LoginStore`], each login is a
//! [`LoginRecord`], and the session or the login cookie only names it. Each request that asks for the user
//! looks the record up; without its record, a name is worthless. A session on a server contains a token, of
//! which the login store sees only the SHA-256. A cookie contains the key of the record, and is encrypted. So
//! the contents of a login store log nobody in.
//!
//! | store | feature | for |
//! |---|---|---|
//! | [`MemoryLoginStore`] | | one process, whose logins end with it |
//! | `SqliteLoginStore` | `sqlite` | several processes on one machine |
//! | `PostgresLoginStore` | `postgres` | several machines |
//! | `RedisLoginStore` | `redis` | several machines |
//!
//! [`CachedLoginStore`] is a cache around any of them.
//!
//! A store of your own implements [`LoginStore`]; `login_runtime::test::store` (feature `test-util`) tests
//! it.

pub(crate) mod ahead;
pub(crate) mod cached;
pub(crate) mod deadline;
pub(crate) mod event_sink;
pub(crate) mod login_store;
pub(crate) mod memory;
pub(crate) mod records;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "redis")]
mod redis_throttle;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod sql;
pub(crate) mod throttle;
pub(crate) mod throttle_store;

pub use self::cached::CachedLoginStore;
pub use self::login_store::LoginStore;
pub use self::memory::MemoryLoginStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis::RedisLoginStore;
#[cfg(feature = "postgres")]
#[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
pub use self::sql::PostgresLoginStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use self::sql::SqliteLoginStore;
pub(crate) use crate::error::Full;
pub use crate::{
    core::login::{
        FamilyKey, Inserted, InvalidLoginKey, LoginKey, LoginOwner, LoginRecord, LoginSelector,
        MaxLogins, SessionCheck, TokenFamily,
    },
    error::StoreError,
};

pub(crate) use self::{
    deadline::{DynLoginStore, STORE_DEADLINE, TimedStore, in_time},
    records::{
        Client, LATE_FOR, LoginRef, NewLogin, REVOKED_FOR, Records, Redeemed, Replaced, of_family,
    },
    throttle::{CountedIn, Throttle},
    throttle_store::AnyThrottleStore,
};
