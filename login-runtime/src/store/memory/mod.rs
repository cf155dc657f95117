//! Logins in the memory of one process.
//!
//! Rows are in hash maps, which are divided into shards, so requests that look logins up rarely wait
//! for each other. Logging in and out is less frequent: it locks the index until it is done, which
//! makes it atomic.

use std::{
    cmp::Reverse,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::task::yield_now;

use self::{
    index::{Index, fullest},
    shard::{Login, OwnerKey, Revocation, Shard},
};
use super::{
    FamilyKey, Full, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
    MaxLogins, StoreError, TokenFamily,
};

mod index;
mod shard;
mod throttle;

pub use self::throttle::MemoryThrottleStore;

/// The number of shards.
///
/// Raising it lets more threads work at the same time, and shortens the scans of a purge, which lock
/// one shard; each shard costs a little memory.
const SHARDS: u8 = 32;

/// How many rows a purge deletes before it lets other tasks of its thread run.
///
/// Raising it ends a purge sooner; lowering it shortens the time that requests may wait.
const SLICE: usize = 256;

/// How many logins a store accepts by default.
///
/// Raising it lets more users be logged in; lowering it limits memory.
const MAX_LOGINS: usize = 1_000_000;

/// Keeps logins in the memory of one process.
///
/// Start with this store: it needs no installation and is the fastest. Logins are lost when the
/// process restarts, and other processes do not see them. Where that matters, use the store of the
/// feature `sqlite`, `postgres` or `redis`.
pub struct MemoryLoginStore {
    // Locked before any shard, by each call that adds or removes a login or a family.
    index: Mutex<Index>,
    // No call locks two of them at the same time.
    shards: [Mutex<Shard>; SHARDS as usize],
    capacity: usize,
}

impl fmt::Debug for MemoryLoginStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLoginStore")
            .field("logins", &self.index().logins.len())
            .finish_non_exhaustive()
    }
}

impl Default for MemoryLoginStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLoginStore {
    /// A store for up to a million logins.
    pub fn new() -> Self {
        Self::with_capacity(MAX_LOGINS)
    }

    /// A store for about this many logins, and as many families of remember tokens and notes of ended
    /// sessions.
    ///
    /// When it is full, it deletes expired rows. If there are none, those users give up logins or
    /// families who have the most: the ones that were not used for the longest time. If no user has two,
    /// it refuses new rows with a [`StoreError`].
    pub fn with_capacity(logins: usize) -> Self {
        Self {
            index: Mutex::default(),
            shards: std::array::from_fn(|_| Mutex::default()),
            capacity: logins,
        }
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    /// The shard with this number, or the shard of the keys that begin with this byte, which is
    /// random.
    fn shard(&self, number: u8) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(number % SHARDS)])
    }

    /// Deletes expired rows if the store is full.
    async fn make_room(&self, now: i64) {
        let is_due = {
            let mut index = self.index();
            let most = index
                .logins
                .len()
                .max(index.families.len())
                .max(index.revocations.len());
            // Once a second is enough: no other row expires before the clock moves.
            most >= self.capacity && index.made_room_at.replace(now) != Some(now)
        };
        if is_due {
            self.delete_expired(now, None, usize::MAX).await;
        }
    }

    /// Removes a login if it passes a test. Returns whether it did.
    fn end_login(&self, index: &mut Index, key: LoginKey, test: impl Fn(&Login) -> bool) -> bool {
        let mut shard = self.shard(key.0[0]);
        let is_removed = shard.logins.get(&key).is_some_and(|login| test(login));
        if is_removed && let Some(login) = shard.logins.remove(&key) {
            index.remove_login(key, *login);
        }
        is_removed
    }

    /// Removes a family of remember tokens if it passes a test. Returns whether it did.
    fn end_family(
        &self,
        index: &mut Index,
        key: FamilyKey,
        test: impl Fn(&TokenFamily) -> bool,
    ) -> bool {
        let mut shard = self.shard(key.0[0]);
        let is_removed = shard.families.get(&key).is_some_and(|family| test(family));
        if is_removed && let Some(family) = shard.families.remove(&key) {
            index.families.remove(&(family.owner().into(), key));
        }
        is_removed
    }

    /// Removes a revocation if it passes a test. Returns whether it did.
    fn end_revocation(
        &self,
        index: &mut Index,
        key: LoginKey,
        test: impl Fn(&Revocation) -> bool,
    ) -> bool {
        let mut shard = self.shard(key.0[0]);
        let stored = shard.revoked_sessions.get(&key);
        let is_removed = stored.is_some_and(|revocation| test(revocation));
        if is_removed && let Some(revocation) = shard.revoked_sessions.remove(&key) {
            index.remove_revocation(&revocation.row(key));
        }
        is_removed
    }

    /// How many rows a full store deletes at once. It has to look at all rows to find out who has the
    /// most, so it makes more room than for one.
    fn spare(&self) -> usize {
        (self.capacity / 1024).max(1)
    }

    /// Ends logins of those who have the most, if the store has too many. Their families end too,
    /// because their tokens would restore the logins, except the family of the newest login.
    fn relieve_logins(&self, index: &mut Index, newest: Option<FamilyKey>) {
        if index.logins.len() <= self.capacity {
            return;
        }
        for (owner, surplus) in fullest(&index.logins, self.spare()) {
            let mut logins = Vec::new();
            for key in index.logins_of(owner) {
                let shard = self.shard(key.0[0]);
                let login = shard.logins.get(&key);
                let used = login.map(|login| (login.bare.last_seen, login.bare.created_at));
                logins.push((used, key, login.and_then(|login| login.bare.family)));
            }
            logins.sort_unstable();
            for (_, key, family) in logins.into_iter().take(surplus) {
                self.end_login(index, key, |_| true);
                if let Some(family) = family.filter(|_| family != newest) {
                    self.end_family(index, family, |_| true);
                    let logins = index.logins_of_family(family);
                    self.end_logins(index, logins.into_iter());
                }
            }
        }
    }

    /// Ends families of those who have the most, if the store has too many.
    fn relieve_families(&self, index: &mut Index) {
        if index.families.len() <= self.capacity {
            return;
        }
        for (owner, surplus) in fullest(&index.families, self.spare()) {
            self.end_oldest(index, owner, surplus);
        }
    }

    /// Ends this many families of an owner: those whose tokens were replaced the longest time ago.
    fn end_oldest(&self, index: &mut Index, owner: OwnerKey, surplus: usize) {
        let mut families = Vec::new();
        for key in index.families_of(owner) {
            let shard = self.shard(key.0[0]);
            let family = shard.families.get(&key);
            families.push((family.map(|family| family.rotated_at), key));
        }
        families.sort_unstable();
        for (_, key) in families.into_iter().take(surplus) {
            self.end_family(index, key, |_| true);
        }
    }

    /// Deletes this many revocations of an owner: those that may be deleted first.
    fn drop_revocations(&self, index: &mut Index, owner: &OwnerKey, surplus: usize) {
        let oldest: Vec<_> = index.revocations_of(owner).take(surplus).collect();
        for key in oldest {
            self.end_revocation(index, key, |_| true);
        }
    }

    /// Removes logins. Returns how many of them were stored.
    fn end_logins(&self, index: &mut Index, keys: impl Iterator<Item = LoginKey>) -> u64 {
        let ended = keys.map(|key| u64::from(self.end_login(index, key, |_| true)));
        ended.sum()
    }

    /// Lists an owner's logins that have not expired, newest first.
    fn live_logins(
        &self,
        index: &Index,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Vec<(LoginKey, LoginRecord)> {
        let mut live = Vec::new();
        for key in index.logins_of(owner.into()) {
            let shard = self.shard(key.0[0]);
            let login = shard.live_login(&key, now);
            live.extend(login.map(|login| (key, login.record())));
        }
        live.sort_unstable_by_key(|(key, record)| (Reverse(record.created_at), *key));
        live
    }

    /// Deletes up to `limit` rows: those that have expired, and logins not used since `idle_since`.
    async fn delete_expired(&self, now: i64, idle_since: Option<i64>, limit: usize) -> usize {
        let login_expired = |login: &Login| {
            let record = &login.bare;
            record.expires_at <= now || idle_since.is_some_and(|since| record.last_seen < since)
        };
        let family_expired = |family: &TokenFamily| family.expires_at <= now;
        let first = self.index().purge_from;
        let mut deleted = 0;
        for shard in first..first + SHARDS {
            let rows = self.delete_rows(shard, limit - deleted, login_expired, family_expired);
            deleted += rows.await;
            let old = self.shard(shard).old_revocations(limit - deleted, now);
            for key in old {
                let is_old = |revocation: &Revocation| revocation.until <= now;
                deleted += usize::from(self.end_revocation(&mut self.index(), key, is_old));
            }
            self.shard(shard).shrink();
            if deleted == limit {
                self.index().purge_from = shard % SHARDS;
                break;
            }
        }
        deleted
    }

    /// Deletes up to `limit` rows of a shard that pass the tests. Returns how many it deleted.
    ///
    /// It finds a few rows at a time, so that it holds no lock for long, and lets other tasks of the
    /// thread run in between. A row may change after it was found, so it is tested again.
    async fn delete_rows(
        &self,
        shard: u8,
        limit: usize,
        login_test: impl Fn(&Login) -> bool,
        family_test: impl Fn(&TokenFamily) -> bool,
    ) -> usize {
        let mut deleted = 0;
        loop {
            let most = SLICE.min(limit - deleted);
            let (logins, families) = self.shard(shard).find(most, &login_test, &family_test);
            let is_last = logins.len() + families.len() < SLICE;
            for key in families {
                deleted += usize::from(self.end_family(&mut self.index(), key, &family_test));
            }
            for key in logins {
                deleted += usize::from(self.end_login(&mut self.index(), key, &login_test));
            }
            yield_now().await;
            if is_last {
                return deleted;
            }
        }
    }
}

/// Locks a mutex even if another thread panicked while it held the lock: none of our changes can
/// panic halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoginStore for MemoryLoginStore {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        self.make_room(now).await;
        let index = &mut *self.index();
        if self.shard(key.0[0]).live_login(&key, now).is_some() {
            return Ok(Inserted::Done { ended: 0 });
        }
        self.end_login(index, key, |_| true);
        let mut ended = 0;
        if let Some(max) = max.filter(|max| {
            let limit = usize::try_from(max.limit()).unwrap_or(usize::MAX);
            index.has_logins(record.owner().into(), limit)
        }) {
            let live = self.live_logins(index, record.owner(), now);
            let kept = match max {
                MaxLogins::EndOldest(limit) => limit.saturating_sub(1) as usize,
                MaxLogins::Refuse(limit) if live.len() >= limit as usize => {
                    return Ok(Inserted::Refused);
                }
                MaxLogins::Refuse(_) => live.len(),
            };
            ended = self.end_logins(index, live.into_iter().skip(kept).map(|(key, _)| key));
        }
        let login = index.login(record);
        index.add_login(key, &login);
        self.shard(key.0[0]).logins.insert(key, Box::new(login));
        // The new login counts for its user, too.
        self.relieve_logins(index, record.family);
        if index.logins.len() > self.capacity {
            self.end_login(index, key, |_| true);
            return Err(StoreError::new(Full));
        }
        Ok(Inserted::Done { ended })
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let shard = self.shard(key.0[0]);
        Ok(shard.live_login(&key, now).map(Login::record))
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        let shard = self.shard(key.0[0]);
        let login = shard.live_login(&key, now);
        Ok(login.map(|login| login.bare.clone()))
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        if let Some(login) = self.shard(key.0[0]).logins.get_mut(&key) {
            login.bare.last_seen = login.bare.last_seen.max(last_seen);
        }
        Ok(())
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        if let Some(login) = self.shard(key.0[0]).logins.get_mut(&key) {
            login.bare.fresh = false;
        }
        Ok(())
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        Ok(self.end_login(&mut self.index(), key, |_| true))
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        let mut ended = 0;
        match which {
            LoginSelector::Of {
                owner,
                but,
                but_family,
            } => {
                let index = &mut *self.index();
                for family in index.families_of(owner.into()) {
                    self.end_family(index, family, |_| Some(family) != but_family);
                }
                let logins = index.logins_of(owner.into());
                let others = logins.into_iter().filter(|key| Some(*key) != but);
                ended = self.end_logins(index, others);
            }
            LoginSelector::Family(family) => {
                let index = &mut *self.index();
                self.end_family(index, family, |_| true);
                let logins = index.logins_of_family(family);
                ended = self.end_logins(index, logins.into_iter());
            }
            LoginSelector::All => {
                // Families end first, so that a login which is stored before its family ends will end
                // too.
                for shard in 0..SHARDS {
                    let families = self.delete_rows(shard, usize::MAX, |_| false, |_| true);
                    families.await;
                }
                for shard in 0..SHARDS {
                    let logins = self.delete_rows(shard, usize::MAX, |_| true, |_| false);
                    ended += logins.await as u64;
                }
            }
        }
        Ok(ended)
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        Ok(self.live_logins(&self.index(), owner, now))
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        self.make_room(family.latest()).await;
        let index = &mut *self.index();
        index.families.insert((family.owner().into(), key));
        let family = Box::new(family.clone());
        self.shard(key.0[0]).families.insert(key, family);
        self.relieve_families(index);
        if index.families.len() > self.capacity {
            self.end_family(index, key, |_| true);
            return Err(StoreError::new(Full));
        }
        Ok(())
    }

    async fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> Result<u64, StoreError> {
        let index = &mut *self.index();
        let owner = OwnerKey::from(owner);
        let count = index.families_of(owner.clone()).len();
        let surplus = count.saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        if surplus > 0 {
            self.end_oldest(index, owner, surplus);
        }
        Ok(surplus as u64)
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let shard = self.shard(key.0[0]);
        let family = shard.families.get(&key);
        let family = family.filter(|family| now < family.expires_at);
        Ok(family.map(|family| TokenFamily::clone(family)))
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        let mut shard = self.shard(key.0[0]);
        let stored = shard.families.get_mut(&key);
        let stored = stored.filter(|stored| stored.version == expected);
        Ok(stored.map(|stored| family.clone_into(stored)).is_some())
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        // The index is locked so that the two changes, in two shards, are one step for other calls that
        // add or remove rows.
        let _index = self.index();
        let sent = {
            let mut shard = self.shard(login.0[0]);
            let login = shard.logins.get_mut(&login);
            login.and_then(|login| login.bare.family.zip(login.bare.unseen_token.take()))
        };
        let Some((key, generation)) = sent else {
            return Ok(());
        };
        let mut shard = self.shard(key.0[0]);
        let family = shard.families.get_mut(&key);
        if let Some(family) = family
            && family.generation == generation
            && family.seen_at.is_none()
        {
            family.seen_at = Some(now);
            family.version += 1;
        }
        Ok(())
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        Ok(self.delete_expired(now, idle_since, limit as usize).await as u64)
    }

    async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> Result<(), StoreError> {
        let index = &mut *self.index();
        let mut shard = self.shard(session.0[0]);
        if let Some(stored) = shard.revoked_sessions.get_mut(&session) {
            index.remove_revocation(&stored.row(session));
            stored.until = until.max(stored.until);
            index.add_revocation(stored.row(session));
            return Ok(());
        }
        index.revoked = index.revoked.wrapping_add(1);
        let revocation = Revocation {
            until,
            number: index.revoked,
            owner: owner.into(),
        };
        let hash = revocation.owner.hash;
        index.add_revocation(revocation.row(session));
        shard.revoked_sessions.insert(session, Box::new(revocation));
        drop(shard);
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let surplus = index.surplus_revocations(owner, hash, max);
        if surplus > 0 {
            self.drop_revocations(index, &owner.into(), surplus);
        }
        if index.revocations.len() > self.capacity {
            for (owner, surplus) in fullest(&index.revocations, self.spare()) {
                self.drop_revocations(index, &owner, surplus);
            }
        }
        Ok(())
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        let shard = self.shard(session.0[0]);
        let revocation = shard.revoked_sessions.get(&session);
        Ok(revocation.is_some_and(|revocation| now < revocation.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_OWNER: LoginOwner<'_> = LoginOwner {
        user_type: "",
        user_id: "0",
    };

    /// Four logins for each owner, three of which have a family.
    fn login(number: u8) -> (LoginKey, LoginRecord) {
        let record = LoginRecord {
            user_type: String::new(),
            user_id: (number / 4).to_string(),
            created_at: 100,
            authenticated_at: 100,
            last_seen: 100,
            expires_at: 200,
            fresh: true,
            allow_inactive: false,
            method: "password".to_owned(),
            client: 1,
            user_agent: format!("browser/{}", number % 2),
            address: "192.0.2.1".to_owned(),
            hash: None,
            family: (number % 4 < 3).then_some(FamilyKey([number / 2; 16])),
            unseen_token: None,
        };
        (LoginKey([number; 32]), record)
    }

    /// A store with 64 logins, each of whose 16 owners has two families.
    async fn filled() -> MemoryLoginStore {
        let store = MemoryLoginStore::new();
        for number in 0..64 {
            let (key, record) = login(number);
            store.insert(key, &record, None, 100).await.unwrap();
        }
        for number in 0..32 {
            let family = TokenFamily {
                user_type: String::new(),
                user_id: (number / 2).to_string(),
                seed: [1; 16],
                version: 1,
                generation: 0,
                rotated_at: 100,
                seen_at: None,
                restored_at: None,
                authenticated_at: 100,
                expires_at: 200,
                lifetime: 100,
                hash: None,
            };
            store
                .insert_family(FamilyKey([number; 16]), &family)
                .await
                .unwrap();
        }
        assert_eq!(rows(&store), [64, 64, 32, 32, 48, 3]);
        store
    }

    /// Counts logins in the shards and in the index, families in both, logins of families, and texts.
    fn rows(store: &MemoryLoginStore) -> [usize; 6] {
        let sum = |rows: fn(&Shard) -> usize| (0..SHARDS).map(|i| rows(&store.shard(i))).sum();
        let index = store.index();
        [
            sum(|shard| shard.logins.len()),
            index.logins.len(),
            sum(|shard| shard.families.len()),
            index.families.len(),
            index.family_logins.len(),
            index.texts.len(),
        ]
    }

    #[actix_web::test]
    async fn a_purge_removes_expired_rows_everywhere() {
        let store = filled().await;
        assert_eq!(store.purge(199, Some(100), u32::MAX).await.unwrap(), 0);
        assert_eq!(store.purge(200, None, 50).await.unwrap(), 50);
        assert_eq!(store.purge(200, None, 50).await.unwrap(), 46);
        assert_eq!(rows(&store), [0; 6]);
    }

    #[actix_web::test]
    async fn ending_removes_logins_and_families_everywhere() {
        let store = filled().await;
        for number in 0..16 {
            let user_id = &*number.to_string();
            let which = LoginSelector::Of {
                owner: LoginOwner {
                    user_id,
                    ..FIRST_OWNER
                },
                but: None,
                but_family: None,
            };
            assert_eq!(store.end_many(which).await.unwrap(), 4);
        }
        assert_eq!(rows(&store), [0; 6]);

        let store = filled().await;
        for number in 0..64 {
            assert!(store.end(login(number).0).await.unwrap());
        }
        assert_eq!(rows(&store), [0, 0, 32, 32, 0, 0]);
        for number in 0..32 {
            let which = LoginSelector::Family(FamilyKey([number; 16]));
            assert_eq!(store.end_many(which).await.unwrap(), 0);
        }
        assert_eq!(rows(&store), [0; 6]);

        let store = filled().await;
        assert_eq!(store.end_many(LoginSelector::All).await.unwrap(), 64);
        assert_eq!(rows(&store), [0; 6]);
    }

    #[actix_web::test]
    async fn a_limit_removes_the_logins_that_it_ends_or_refuses_everywhere() {
        let store = MemoryLoginStore::new();
        for (number, max, now) in [
            (0, Some(MaxLogins::EndOldest(1)), 100),
            (3, Some(MaxLogins::EndOldest(1)), 100),
            (2, Some(MaxLogins::Refuse(1)), 100),
            // This login is stored already; later it has expired and is stored again.
            (3, None, 100),
            (3, None, 200),
        ] {
            let (key, record) = login(number);
            store.insert(key, &record, max, now).await.unwrap();
            let families = usize::from(number == 0);
            assert_eq!(rows(&store), [1, 1, 0, 0, families, 2], "{number} at {now}");
        }
    }

    #[actix_web::test]
    async fn a_panic_in_another_thread_does_no_harm_and_debug_shows_no_row() {
        let store = filled().await;
        let panicked = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let (_index, _shard) = (store.index(), store.shard(0));
                panic!("with both locked");
            });
            thread.join().is_err()
        });
        assert!(panicked);
        assert!(store.find(login(0).0, 100).await.unwrap().is_some());
        assert_eq!(store.list(FIRST_OWNER, 100).await.unwrap().len(), 4);
        assert_eq!(format!("{store:?}"), "MemoryLoginStore { logins: 64, .. }");
    }
}
