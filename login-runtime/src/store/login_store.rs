//! TODO store/login_store.rs

use std::future::Future;

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily,
    },
    error::StoreError,
};

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
    fn find_for_auth(
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
    /// login along. [`LoginSelector::All`] may go about it in parts, families first, and take a while.
    fn end_many(
        &self,
        which: LoginSelector<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The logins of a user that are not over, newest first.
    fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Vec<(LoginKey, LoginRecord)>, StoreError>> + Send;

    /// Stores a new family.
    fn insert_family(
        &self,
        key: FamilyKey,
        family: &TokenFamily,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Finds a family that is not over.
    fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<TokenFamily>, StoreError>> + Send;

    /// Replaces a family that is there and still has the version `expected`. Whether it did.
    ///
    /// One of several callers with the same `expected` wins; nobody does once the family has ended.
    fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
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
    fn revoke_session(
        &self,
        session: LoginKey,
        until: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether the session with this id has ended.
    fn is_session_revoked(
        &self,
        session: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
