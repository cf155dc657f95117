//! Logins in the memory of one process.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard},
};

use super::{
    Family, FamilyKey, Inserted, LoginKey, LoginRecord, LoginStore, MaxLogins, Owner, StoreError,
    Which,
};

/// Into how many parts logins are divided, each with a lock of its own.
///
/// Raising it lets more threads in at once; each part costs a little memory.
const SHARDS: usize = 32;

/// How many logins a store takes unless told otherwise.
///
/// Raising it lets more people be logged in; lowering it bounds memory.
const MAX_LOGINS: usize = 1_000_000;

/// Keeps logins in memory: for one process, and until it ends.
///
/// The embedded default: nothing to install, and the fastest. Logins are gone when the process
/// restarts, and another process knows nothing of them; use a store of the `sqlite`, `postgres` or
/// `redis` features where that matters.
pub struct MemoryLoginStore {
    // Locked before the shards, where both are needed.
    owners: Vec<Mutex<HashMap<OwnerKey, Owned>>>,
    logins: Vec<Mutex<HashMap<LoginKey, LoginRecord>>>,
    families: Mutex<HashMap<FamilyKey, Family>>,
    buried: Mutex<HashMap<LoginKey, i64>>,
    max_per_shard: usize,
    hasher: RandomState,
}

/// User type and id.
type OwnerKey = (String, String);

/// What belongs to a user.
#[derive(Default)]
struct Owned {
    logins: HashSet<LoginKey>,
    families: HashSet<FamilyKey>,
}

impl fmt::Debug for MemoryLoginStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLoginStore").finish_non_exhaustive()
    }
}

/// A panic elsewhere does not make the data wrong: every change below is whole before it is shown.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl MemoryLoginStore {
    /// A store for up to a million logins.
    pub fn new() -> Self {
        Self::with_capacity(MAX_LOGINS)
    }

    /// A store for about this many logins. One more is refused with a [`StoreError`] when nothing
    /// that is over can make room.
    pub fn with_capacity(logins: usize) -> Self {
        Self {
            owners: (0..SHARDS).map(|_| Mutex::default()).collect(),
            logins: (0..SHARDS).map(|_| Mutex::default()).collect(),
            families: Mutex::default(),
            buried: Mutex::default(),
            max_per_shard: logins.div_ceil(SHARDS),
            hasher: RandomState::new(),
        }
    }
}

impl Default for MemoryLoginStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLoginStore {
    fn shard(&self, key: LoginKey) -> MutexGuard<'_, HashMap<LoginKey, LoginRecord>> {
        // The key is a hash: its first byte is as good as any.
        let index = usize::from(key.as_bytes()[0]) % SHARDS;
        lock(&self.logins[index])
    }

    fn owner(&self, owner: Owner<'_>) -> MutexGuard<'_, HashMap<OwnerKey, Owned>> {
        let hash = self.hasher.hash_one((owner.user_type, owner.user_id));
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        lock(&self.owners[index])
    }

    /// Removes a login whose owner's shard is locked.
    fn remove(&self, owned: &mut Owned, key: LoginKey) -> bool {
        owned.logins.remove(&key);
        self.shard(key).remove(&key).is_some()
    }

    /// Removes a login. Its owner is looked up first, since owners are locked before logins.
    fn take(&self, key: LoginKey, over: impl Fn(&LoginRecord) -> bool) -> bool {
        let Some((user_type, user_id)) = self
            .shard(key)
            .get(&key)
            .map(|record| (record.user_type.clone(), record.user_id.clone()))
        else {
            return false;
        };
        let owner = Owner {
            user_type: &user_type,
            user_id: &user_id,
        };
        let mut owners = self.owner(owner);
        let mut shard = self.shard(key);
        // It may have been used, or ended, since it was looked at.
        if !shard.get(&key).is_some_and(over) {
            return false;
        }
        shard.remove(&key);
        drop(shard);
        forget(&mut owners, owner, |owned| {
            owned.logins.remove(&key);
        });
        true
    }
}

fn owner_key(owner: Owner<'_>) -> OwnerKey {
    (owner.user_type.to_owned(), owner.user_id.to_owned())
}

/// Changes what belongs to a user, and forgets the user if nothing is left.
fn forget(
    owners: &mut HashMap<OwnerKey, Owned>,
    owner: Owner<'_>,
    change: impl FnOnce(&mut Owned),
) {
    let key = owner_key(owner);
    if let Some(owned) = owners.get_mut(&key) {
        change(owned);
        if owned.logins.is_empty() && owned.families.is_empty() {
            owners.remove(&key);
        }
    }
}

impl LoginStore for MemoryLoginStore {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        let mut owners = self.owner(record.owner());
        let owned = owners.entry(owner_key(record.owner())).or_default();
        let mut ended = 0;
        if let Some(max) = max {
            let mut live: Vec<(i64, LoginKey)> = Vec::new();
            for &login in &owned.logins {
                if let Some(other) = self
                    .shard(login)
                    .get(&login)
                    .filter(|other| now < other.expires_at)
                {
                    live.push((other.created_at, login));
                }
            }
            let (limit, ends_oldest) = match max {
                MaxLogins::EndOldest(limit) => (limit.max(1), true),
                MaxLogins::Refuse(limit) => (limit, false),
            };
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let surplus = (live.len() + 1).saturating_sub(limit);
            if surplus > 0 && !ends_oldest {
                return Ok(Inserted::Refused);
            }
            live.sort_unstable();
            for (_, login) in live.into_iter().take(surplus) {
                if self.remove(owned, login) {
                    ended += 1;
                }
            }
        }
        let mut shard = self.shard(key);
        if shard.len() >= self.max_per_shard {
            // What is over makes room. Its owners are tidied up by `purge`.
            shard.retain(|_, other| now < other.expires_at);
            if shard.len() >= self.max_per_shard {
                return Err(StoreError::new("the login store is full"));
            }
        }
        shard.insert(key, record.clone());
        drop(shard);
        owned.logins.insert(key);
        Ok(Inserted::Done { ended })
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        Ok(self
            .shard(key)
            .get(&key)
            .filter(|record| now < record.expires_at)
            .cloned())
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        if let Some(record) = self.shard(key).get_mut(&key) {
            record.last_seen = record.last_seen.max(last_seen);
        }
        Ok(())
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        if let Some(record) = self.shard(key).get_mut(&key) {
            record.fresh = false;
        }
        Ok(())
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        Ok(self.take(key, |_| true))
    }

    async fn end_many(&self, which: Which<'_>) -> Result<u64, StoreError> {
        match which {
            Which::Of {
                owner,
                but,
                but_family,
            } => {
                let mut owners = self.owner(owner);
                let mut ended = 0;
                let mut families = Vec::new();
                forget(&mut owners, owner, |owned| {
                    let logins: Vec<_> = owned
                        .logins
                        .iter()
                        .copied()
                        .filter(|key| Some(*key) != but)
                        .collect();
                    for key in logins {
                        ended += u64::from(self.remove(owned, key));
                    }
                    families = owned
                        .families
                        .iter()
                        .copied()
                        .filter(|key| Some(*key) != but_family)
                        .collect();
                    owned.families.retain(|key| Some(*key) == but_family);
                });
                let mut all = lock(&self.families);
                for key in families {
                    all.remove(&key);
                }
                Ok(ended)
            }
            Which::Family(key) => {
                let Some(family) = lock(&self.families).get(&key).cloned() else {
                    return Ok(0);
                };
                let owner = Owner {
                    user_type: &family.user_type,
                    user_id: &family.user_id,
                };
                let mut owners = self.owner(owner);
                let mut ended = 0;
                forget(&mut owners, owner, |owned| {
                    let logins: Vec<_> = owned.logins.iter().copied().collect();
                    for login in logins {
                        if self
                            .shard(login)
                            .get(&login)
                            .is_some_and(|record| record.family == Some(key))
                        {
                            ended += u64::from(self.remove(owned, login));
                        }
                    }
                    owned.families.remove(&key);
                });
                lock(&self.families).remove(&key);
                Ok(ended)
            }
            Which::All => {
                let mut ended = 0;
                // All owners at once, in the order in which no other call takes two of them.
                let mut owners: Vec<_> = self.owners.iter().map(lock).collect();
                for shard in &self.logins {
                    let mut shard = lock(shard);
                    ended += shard.len() as u64;
                    shard.clear();
                }
                lock(&self.families).clear();
                owners.iter_mut().for_each(|owners| owners.clear());
                Ok(ended)
            }
        }
    }

    async fn list(
        &self,
        owner: Owner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let owners = self.owner(owner);
        let mut logins: Vec<_> = owners
            .get(&owner_key(owner))
            .into_iter()
            .flat_map(|owned| &owned.logins)
            .filter_map(|key| {
                let record = self
                    .shard(*key)
                    .get(key)
                    .filter(|record| now < record.expires_at)?
                    .clone();
                Some((*key, record))
            })
            .collect();
        logins.sort_unstable_by_key(|(key, record)| (std::cmp::Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &Family) -> Result<(), StoreError> {
        let owner = Owner {
            user_type: &family.user_type,
            user_id: &family.user_id,
        };
        let mut owners = self.owner(owner);
        owners
            .entry(owner_key(owner))
            .or_default()
            .families
            .insert(key);
        lock(&self.families).insert(key, family.clone());
        Ok(())
    }

    async fn find_family(&self, key: FamilyKey, now: i64) -> Result<Option<Family>, StoreError> {
        Ok(lock(&self.families)
            .get(&key)
            .filter(|family| now < family.expires_at)
            .cloned())
    }

    async fn claim_family(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &Family,
    ) -> Result<bool, StoreError> {
        match lock(&self.families)
            .get_mut(&key)
            .filter(|kept| kept.version == expected)
        {
            Some(kept) => {
                *kept = family.clone();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let over = |record: &LoginRecord| {
            record.expires_at <= now || idle_since.is_some_and(|since| record.last_seen < since)
        };
        let mut purged: u64 = 0;
        for shard in &self.logins {
            // Collected first, so that no lock is held for long and owners can be locked first.
            let room = limit.saturating_sub(usize::try_from(purged).unwrap_or(usize::MAX));
            let dead: Vec<_> = lock(shard)
                .iter()
                .filter(|(_, record)| over(record))
                .map(|(key, _)| *key)
                .take(room)
                .collect();
            for key in dead {
                purged += u64::from(self.take(key, over));
            }
        }
        let dead: Vec<_> = lock(&self.families)
            .iter()
            .filter(|(_, family)| family.expires_at <= now)
            .map(|(key, family)| (*key, family.user_type.clone(), family.user_id.clone()))
            .collect();
        for (key, user_type, user_id) in dead {
            let owner = Owner {
                user_type: &user_type,
                user_id: &user_id,
            };
            forget(&mut self.owner(owner), owner, |owned| {
                owned.families.remove(&key);
            });
            purged += u64::from(lock(&self.families).remove(&key).is_some());
        }
        lock(&self.buried).retain(|_, until| now < *until);
        Ok(purged)
    }

    async fn bury_session(&self, session: LoginKey, until: i64) -> Result<(), StoreError> {
        lock(&self.buried).insert(session, until);
        Ok(())
    }

    async fn is_buried(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        Ok(lock(&self.buried)
            .get(&session)
            .is_some_and(|until| now < *until))
    }
}
