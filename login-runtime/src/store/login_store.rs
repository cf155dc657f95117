//! The trait that every login store implements.

use std::{future::Future, time::Duration};

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        SessionCheck, TokenFamily,
    },
    error::StoreError,
    store::throttle_store::AnyThrottleStore,
};

/// Keeps login records and families of remember tokens.
///
/// Every method is atomic: no other call, on any node, takes effect between its reads and its writes.
/// A log out relies on this to be final, and a limit relies on it to hold.
///
/// Methods that take `now` treat expired rows as absent. No method needs a time limit: the manager
/// sets a deadline for each call, and answers 503 after it.
///
/// Test your own implementation with the suite in `login_runtime::test::store`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a login store",
    label = "not a login store",
    note = "take `MemoryLoginStore`, or that of the feature `sqlite`, `postgres` or `redis`"
)]
pub trait LoginStore: Send + Sync + 'static {
    /// Stores a new login, if the limit allows it.
    ///
    /// A login that is already stored is not changed, and the answer is [`Inserted::Done`]: several
    /// requests that restore the same login all store it.
    ///
    /// With [`MaxLogins::EndOldest`], this ends logins of the same owner, oldest `created_at` first,
    /// until there is room for the new one. Expired logins do not count.
    fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> impl Future<Output = Result<Inserted, StoreError>> + Send;

    /// Finds a login that has not expired.
    fn find(
        &self,
        key: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<LoginRecord>, StoreError>> + Send;

    /// Finds a login that has not expired, to authenticate a request. The fields that are only shown
    /// to people (`method`, `user_agent`, `address`) may be empty.
    ///
    /// By default this calls [`find`](Self::find). A store can implement it to save a little time in
    /// each request that loads its user.
    fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<LoginRecord>, StoreError>> + Send {
        self.find(key, now)
    }

    /// Moves `last_seen` of a stored login forward, never back.
    fn touch(
        &self,
        key: LoginKey,
        last_seen: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a login stale. It cannot become fresh again.
    fn make_stale(&self, key: LoginKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends a login. Returns whether it was stored.
    fn end(&self, key: LoginKey) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends the logins and families that `which` selects. Returns how many logins ended.
    ///
    /// A family may have expired before the logins that belong to it; they end nevertheless. A caller
    /// that stores such a login, and then still finds the family, can rely on the login to end
    /// together with the family. [`LoginSelector::All`] need not be atomic: it may end the families
    /// first and then the logins, and take a while.
    fn end_many(
        &self,
        which: LoginSelector<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Lists the logins of a user that have not expired, newest first.
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

    /// Ends the families of a user but for this many, and keeps those whose tokens were replaced last.
    /// Returns how many ended. Their logins stay.
    ///
    /// Expired families may count.
    fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Finds a family that has not expired.
    fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> impl Future<Output = Result<Option<TokenFamily>, StoreError>> + Send;

    /// Replaces a stored family if its version is still `expected`. Returns whether it did.
    ///
    /// Only one of several callers with the same `expected` succeeds, and none does after the family
    /// has ended.
    fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Records that the remember token which was sent together with this login has arrived.
    ///
    /// If the login has an [`unseen_token`](LoginRecord::unseen_token), this removes it. If that is
    /// also the current generation of the login's family, and the family has no
    /// [`seen_at`](TokenFamily::seen_at) yet, this sets `seen_at` to `now` and raises the family's
    /// version by one.
    fn token_arrived(
        &self,
        login: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deletes expired rows, at most about `limit` of them. Returns how many it deleted, which is
    /// fewer than `limit` if no more are left.
    ///
    /// Rows are logins, families, and revocations of sessions. Logins that were not used since
    /// `idle_since` are deleted too. If the store has its own clock, and that of the caller is ahead of it,
    /// the store's clock counts: a wrong clock on one node must not delete the logins of all.
    fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Records that the session with this id has ended, so that a late request does not restore it.
    ///
    /// The store may delete this after `until`; the latest `until` of several calls counts. It keeps at
    /// most `max` of them for each user, and deletes those with the earliest `until` first. `owner` has
    /// an empty id if the user is unknown.
    ///
    /// The manager also uses this for another thing that is over after a while: that a user has logged in
    /// from a client. `session` is a hash of the client then, and the `user_type` of `owner` ends with
    /// ` clients`, so that these count for themselves.
    fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether the session with this id is recorded as ended.
    fn is_session_revoked(
        &self,
        session: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Whether a session is recorded as ended, and, if the store can tell in the same round trip, what
    /// [`find_for_auth`](Self::find_for_auth) finds for the login in it.
    ///
    /// The manager asks this for each request with a session that is kept in its cookie. A record that is
    /// found is used only if nothing has waited since, so that no login outlives its end.
    ///
    /// By default this only calls [`is_session_revoked`](Self::is_session_revoked). A store in another
    /// process should implement it, to save one of two round trips. A store that answers at once, such as
    /// [`MemoryLoginStore`](crate::MemoryLoginStore), should not: it would look for logins of which nothing
    /// asks.
    fn check_session(
        &self,
        session: LoginKey,
        login: LoginKey,
        now: i64,
    ) -> impl Future<Output = Result<SessionCheck, StoreError>> + Send {
        let _ = login;
        async move {
            let is_revoked = self.is_session_revoked(session, now).await?;
            Ok(match is_revoked {
                true => SessionCheck::Revoked,
                false => SessionCheck::Valid,
            })
        }
    }

    /// Where failed tries are counted if the application does not choose: in the same database, for a
    /// store that also implements [`ThrottleStore`](crate::throttle::ThrottleStore).
    ///
    /// By default there is no such place, and the manager counts in memory.
    fn throttle_store(&self) -> Option<AnyThrottleStore> {
        None
    }

    /// How old an answer of [`find_for_auth`](Self::find_for_auth) may be, for a store that is or has a cache,
    /// as [`CachedLoginStore`](crate::store::CachedLoginStore) is. All other methods have to see every change
    /// at once.
    ///
    /// The manager then says so in its policy, and reads a login again with [`find`](Self::find) before it
    /// ends it. By default each answer is new.
    fn cached_for(&self) -> Option<Duration> {
        None
    }
}
