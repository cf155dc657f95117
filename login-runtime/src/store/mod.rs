//! Login stores, which make it possible to list, limit and end logins.

pub(crate) mod deadline;
pub(crate) mod login_store;
pub(crate) mod memory;
pub(crate) mod records;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod sql;

pub use self::login_store::LoginStore;
pub use self::memory::MemoryLoginStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisLoginStore;
#[cfg(feature = "postgres")]
pub use self::sql::PostgresLoginStore;
#[cfg(feature = "sqlite")]
pub use self::sql::SqliteLoginStore;
pub(crate) use crate::error::Full;
pub use crate::{
    core::login::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily,
    },
    error::StoreError,
};

pub(crate) use self::{
    deadline::{DynLoginStore, STORE_DEADLINE, TimedStore, in_time},
    records::{Client, LATE_FOR, LoginRef, NewLogin, REVOKED_FOR, Records, Redeemed, Replaced},
};
