//! Where logins are kept, so that they can be ended.
//!
//! A session alone cannot promise that a log out is final: a slow request that still holds the
//! session writes it back, a copied cookie store cookie is good until it expires, and nobody can see
//! or end a login elsewhere. With a [`LoginStore`] each login is a *record*, and the session only
//! carries its id. Each request that asks for the user looks the record up; whatever becomes of the
//! session, without a record it is nobody's.
//!
//! Ids are 256 random bits. A store sees only their SHA-256, so what is in it logs nobody in.

use std::{error::Error, fmt, future::Future};

use sha2::{Digest, Sha256};

mod erased;
pub(crate) mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

pub(crate) use self::erased::{DynLoginStore, STORE_DEADLINE, TimedStore, in_time, spawn};
pub use self::memory::MemoryLoginStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisLoginStore;
#[cfg(feature = "postgres")]
pub use self::sql::PostgresLoginStore;
#[cfg(feature = "sqlite")]
pub use self::sql::SqliteLoginStore;

/// Under what a login record is stored: the SHA-256 of the login's id.
///
/// Good for naming a login in a list or a form: it logs nobody in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginKey([u8; 32]);

impl LoginKey {
    /// The key of the login with this id.
    pub(crate) fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }

    /// Under what the end of the session with this id is noted.
    pub(crate) fn of_session(id: [u8; 16]) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&id);
        Self(key)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the 64 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// Reads bytes from twice as many hexadecimal digits.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginKey({self})")
    }
}

/// Under what a family of remember tokens is stored: sixteen random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyKey(pub [u8; 16]);

impl FamilyKey {
    /// What a login without remember tokens shares with those that it goes on as, each under an id of
    /// its own: so a log out that only knows an old one ends them too.
    pub(crate) fn of_login(login: LoginKey) -> Self {
        let mut bytes = [0; 16];
        let hash: [u8; 32] = Sha256::digest(login.0).into();
        bytes.copy_from_slice(&hash[..16]);
        bytes[15] |= 1;
        Self(bytes)
    }

    /// A new one, for a browser that is given tokens.
    pub(crate) fn with_tokens(mut random: [u8; 16]) -> Self {
        random[15] &= !1;
        Self(random)
    }

    /// Whether a browser was given tokens of it.
    pub(crate) fn has_tokens(&self) -> bool {
        self.0[15] & 1 == 0
    }

    /// Reads the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for FamilyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FamilyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyKey({self})")
    }
}

/// Whose logins: the user type's name and the user's id as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner<'a> {
    /// Empty for the manager's first user type.
    pub user_type: &'a str,
    /// The id as JSON.
    pub user_id: &'a str,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// The user type's name; empty for the manager's first.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// When the login was made, in seconds since the epoch, like all times here.
    pub created_at: i64,
    /// When credentials were given; before `created_at` if a remember token restored the login.
    pub authenticated_at: i64,
    /// When the login was last used, to within a step.
    pub last_seen: i64,
    /// When it is over at the latest.
    pub expires_at: i64,
    /// Whether credentials were given in this login, and nothing made it stale since.
    pub fresh: bool,
    /// Whether the application insisted on it although the user was inactive.
    pub forced: bool,
    /// How credentials were checked.
    pub method: String,
    /// The identity of the client it is bound to: a keyed hash.
    pub client: u64,
    /// What the client calls itself, cut short; for lists.
    pub user_agent: String,
    /// Where the client connected from; for lists.
    pub address: String,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
    /// The family of remember tokens that the login's browser was given; or, of a login that went on
    /// under another id without one, what it shares with those before and after it.
    pub family: Option<FamilyKey>,
}

impl LoginRecord {
    /// Whose login it is.
    pub fn owner(&self) -> Owner<'_> {
        Owner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }
}

/// A family of remember tokens: those that one browser was given, each in place of the one before.
///
/// No token is stored, not even its hash: see the documentation of the `remember` module.
#[derive(Clone, PartialEq, Eq)]
pub struct Family {
    /// The user type's name; empty for the manager's first.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// Makes tokens unpredictable to who has the application's key but not the store.
    pub seed: [u8; 16],
    /// Counts every change of this row, so that a change can be refused if another came first.
    pub version: i64,
    /// Which token is the current one.
    pub generation: i64,
    /// When it became that.
    pub rotated_at: i64,
    /// When it was first presented.
    pub seen_at: Option<i64>,
    /// When a token last restored a login.
    pub restored_at: Option<i64>,
    /// When credentials were given.
    pub authenticated_at: i64,
    /// When the family is over.
    pub expires_at: i64,
    /// For how many seconds the browser was to be remembered; where use prolongs that, it does so by
    /// as much again.
    pub lifetime: i64,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
}

impl Family {
    /// Whose family it is.
    pub fn owner(&self) -> Owner<'_> {
        Owner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }

    /// The latest time it names: it was made or changed no earlier.
    fn latest(&self) -> i64 {
        let optional = self.seen_at.max(self.restored_at).unwrap_or(i64::MIN);
        self.authenticated_at.max(self.rotated_at).max(optional)
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the seed.
        f.debug_struct("Family")
            .field("user_type", &self.user_type)
            .field("user_id", &self.user_id)
            .field("version", &self.version)
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How many logins a user may have, and what happens to one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxLogins {
    /// The oldest ends.
    EndOldest(u32),
    /// The new one is refused.
    Refuse(u32),
}

/// What became of a new login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// It is stored; so many older ones ended to make room.
    Done {
        /// How many ended.
        ended: u64,
    },
    /// The user has as many as are allowed.
    Refused,
}

/// Which logins to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which<'a> {
    /// All of a user, and all of the user's families, but for those named.
    Of {
        /// Whose.
        owner: Owner<'a>,
        /// A login that stays.
        but: Option<LoginKey>,
        /// A family that stays.
        but_family: Option<FamilyKey>,
    },
    /// Those born of a family, and the family.
    Family(FamilyKey),
    /// Everything of everybody.
    All,
}

/// Keeps login records and families of remember tokens.
///
/// Every method is one step: nothing of another call comes between what it reads and what it writes,
/// on whatever node that call is made. That is what a log out relies on to be final, and a limit to
/// hold.
///
/// What is expired counts as absent wherever `now` is given. No method waits longer than it has to;
/// the manager gives each a deadline and answers 503 when it is over.
///
/// Run the suite `login_runtime::test::store` over an implementation of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no login store",
    label = "not a login store",
    note = "take `MemoryLoginStore`, or that of the feature `sqlite`, `postgres` or `redis`"
)]
pub trait LoginStore: Send + Sync + 'static {
    /// Stores a new login, if the limit allows it. One that is there already stays as it is, and is
    /// [`Inserted::Done`]: requests that restore a login together all store it.
    ///
    /// With [`MaxLogins::EndOldest`], logins of the same owner end, oldest `created_at` first, until
    /// the new one fits. Expired ones do not count.
    fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> impl Future<Output = Result<Inserted, StoreError>> + Send;

    /// Finds a login that is not over.
    fn find(
        &self,
        key: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<LoginRecord>, StoreError>> + Send;

    /// Finds a login that is not over, for a request that asks who its user is: what is only there for
    /// people to read (`method`, `user_agent`, `address`) may be left out.
    ///
    /// A store need not have this; one that has may spare every such request a little.
    fn find_bare(
        &self,
        key: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<LoginRecord>, StoreError>> + Send {
        self.find(key, now)
    }

    /// Moves `last_seen` forward, never back, and only of a login that is there.
    fn touch(
        &self,
        key: LoginKey,
        last_seen: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a login stale for good.
    fn make_stale(&self, key: LoginKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a login. Whether there was one.
    fn end(&self, key: LoginKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends several logins, and the families that `which` names. How many logins ended.
    ///
    /// A family may be over before the logins that were born of it; they end all the same. Who stores
    /// such a login and then still finds the family can rely on its end, when it comes, to take the
    /// login along. [`Which::All`] may go about it in parts, families first, and take a while.
    fn end_many(&self, which: Which<'_>) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The logins of a user that are not over, newest first.
    fn list(
        &self,
        owner: Owner<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Vec<(LoginKey, LoginRecord)>, StoreError>> + Send;

    /// Stores a new family.
    fn insert_family(
        &self,
        key: FamilyKey,
        family: &Family,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Finds a family that is not over.
    fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<Family>, StoreError>> + Send;

    /// Replaces a family that is there and still has the version `expected`. Whether it did.
    ///
    /// One of several callers with the same `expected` wins; nobody does once the family has ended.
    fn claim_family(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &Family,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Deletes what is over, at most about `limit` rows. How many it deleted; fewer than `limit` if
    /// nothing is left.
    ///
    /// Logins that nobody has used since `idle_since` are over too. Families, and notes of ended
    /// sessions, count as rows like logins.
    fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Notes that the session with this id has ended, so that a late request does not bring it back.
    /// The note may be forgotten after `until`; the latest of several notes counts.
    fn bury_session(
        &self,
        session: LoginKey,
        until: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether the session with this id has ended.
    fn is_buried(
        &self,
        session: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// A login store did not do what it was asked. Answers 503.
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// What the store says.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    /// Whether the store has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is::<Full>()
    }
}

/// A login store has no room.
#[derive(Debug)]
pub(crate) struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login store is full")
    }
}

impl Error for Full {}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreError").field(&self.0).finish()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login store did not answer as it should")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl actix_web::ResponseError for StoreError {
    fn status_code(&self) -> actix_web::http::StatusCode {
        actix_web::http::StatusCode::SERVICE_UNAVAILABLE
    }
}
