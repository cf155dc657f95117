//! Logins in the memory of one process.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    future::poll_fn,
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    task::Poll,
};

use super::{
    Family, FamilyKey, Full, Inserted, LoginKey, LoginRecord, LoginStore, MaxLogins, Owner,
    StoreError, Which,
};

/// Into how many parts each kind of row is divided, each with a lock of its own.
///
/// Raising it lets more threads in at once, and makes a purge hold each lock for less long; each part
/// costs a little memory.
const SHARDS: usize = 32;

/// How many rows of a kind a purge deletes before it lets others of its thread run.
///
/// Raising it gets a purge done sooner; each takes a few microseconds, for which requests wait.
const BATCH: usize = 512;

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
    // Locked before all others where several are needed. Who adds or removes what is a user's has the
    // user's shard locked, so both can be done as one step. No two of the others are held at once.
    owners: Shards<OwnerKey, Owned>,
    logins: Shards<LoginKey, LoginRecord>,
    families: Shards<FamilyKey, Family>,
    // Which logins were born of a family. They may outlive it.
    born: Shards<FamilyKey, HashSet<LoginKey>>,
    buried: Shards<LoginKey, i64>,
    max: usize,
    // When all that was over was last cleared away to make room.
    cleared_at: AtomicI64,
    // The part with which the next purge begins: where the one before had to stop.
    purge_from: AtomicUsize,
}

/// User type and id.
type OwnerKey = (String, String);

/// What belongs to a user.
#[derive(Default)]
struct Owned {
    logins: HashSet<LoginKey>,
    families: HashSet<FamilyKey>,
}

/// A map in parts.
struct Shards<K, V> {
    parts: Vec<Mutex<HashMap<K, V>>>,
    hasher: RandomState,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self {
            parts: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

/// A panic elsewhere does not make the data wrong: every change here is whole before it is shown.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash, V> Shards<K, V> {
    fn part(&self, key: &impl Hash) -> MutexGuard<'_, HashMap<K, V>> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        lock(&self.parts[index])
    }

    fn with<T>(&self, key: &K, look: impl FnOnce(Option<&mut V>) -> T) -> T {
        look(self.part(key).get_mut(key))
    }

    /// Removes what is there and still so.
    fn remove_if(&self, key: &K, so: impl FnOnce(&V) -> bool) -> Option<V> {
        let mut part = self.part(key);
        part.get(key).filter(|value| so(value))?;
        part.remove(key)
    }

    fn clear(&self) -> usize {
        let mut cleared = 0;
        for part in &self.parts {
            let mut part = lock(part);
            cleared += part.len();
            // Not only emptied: this gives back the memory that they took at their fullest.
            *part = HashMap::new();
        }
        cleared
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

impl<K: Copy, V> Shards<K, V> {
    /// Some of a part that are so.
    fn pick<T>(
        &self,
        part: usize,
        limit: usize,
        so: impl Fn(&V) -> bool,
        with: impl Fn(&V) -> T,
    ) -> Vec<(K, T)> {
        let part = lock(&self.parts[part]);
        let picked = part.iter().filter(|(_, value)| so(value)).take(limit);
        picked.map(|(key, value)| (*key, with(value))).collect()
    }
}

impl fmt::Debug for MemoryLoginStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLoginStore")
            .field("logins", &self.logins.len())
            .finish_non_exhaustive()
    }
}

impl MemoryLoginStore {
    /// A store for up to a million logins.
    pub fn new() -> Self {
        Self::with_capacity(MAX_LOGINS)
    }

    /// A store for about this many logins, and as many families of remember tokens. One more is
    /// refused with a [`StoreError`] when nothing that is over can make room.
    pub fn with_capacity(logins: usize) -> Self {
        Self {
            owners: Shards::default(),
            logins: Shards::default(),
            families: Shards::default(),
            born: Shards::default(),
            buried: Shards::default(),
            max: logins,
            cleared_at: AtomicI64::new(i64::MIN),
            purge_from: AtomicUsize::new(0),
        }
    }
}

impl Default for MemoryLoginStore {
    fn default() -> Self {
        Self::new()
    }
}

fn owner_key(owner: Owner<'_>) -> OwnerKey {
    (owner.user_type.to_owned(), owner.user_id.to_owned())
}

/// Lets others of this thread run.
async fn rest() {
    let mut rested = false;
    poll_fn(|context| {
        if std::mem::replace(&mut rested, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl MemoryLoginStore {
    /// Changes what belongs to a user, and forgets the user if nothing is left. Nobody else adds or
    /// removes anything of the user in the meantime.
    fn change<T>(&self, owner: OwnerKey, change: impl FnOnce(&mut Owned) -> T) -> T {
        let mut owners = self.owners.part(&owner);
        let mut owned = match owners.entry(owner) {
            Entry::Occupied(owned) => owned,
            Entry::Vacant(none) => none.insert_entry(Owned::default()),
        };
        let changed = change(owned.get_mut());
        if owned.get().logins.is_empty() && owned.get().families.is_empty() {
            owned.remove();
        }
        changed
    }

    /// Removes a login of a user whose shard is locked.
    fn remove(
        &self,
        owned: &mut Owned,
        key: LoginKey,
        so: impl FnOnce(&LoginRecord) -> bool,
    ) -> bool {
        let Some(record) = self.logins.remove_if(&key, so) else {
            return false;
        };
        owned.logins.remove(&key);
        if let Some(family) = record.family {
            let mut born = self.born.part(&family);
            if let Some(logins) = born.get_mut(&family) {
                logins.remove(&key);
                if logins.is_empty() {
                    born.remove(&family);
                }
            }
        }
        true
    }

    /// Removes a family of a user whose shard is locked.
    fn remove_family(
        &self,
        owned: &mut Owned,
        key: FamilyKey,
        so: impl FnOnce(&Family) -> bool,
    ) -> bool {
        let removed = self.families.remove_if(&key, so).is_some();
        if removed {
            owned.families.remove(&key);
        }
        removed
    }

    /// Whose a family is; or its logins, if it is over and they are not.
    fn owner_of_family(&self, key: FamilyKey) -> Option<OwnerKey> {
        let owner = self.families.with(&key, |family| {
            family.map(|family| owner_key(family.owner()))
        });
        owner.or_else(|| {
            let login = *self.born.part(&key).get(&key)?.iter().next()?;
            self.logins.with(&login, |record| {
                record.map(|record| owner_key(record.owner()))
            })
        })
    }

    /// Deletes what is over, so that there is room.
    async fn make_room(&self, now: i64) {
        let fullest = self
            .logins
            .len()
            .max(self.families.len())
            .max(self.buried.len());
        // Once a second is enough: no more is over before the clock moves.
        if fullest >= self.max && self.cleared_at.swap(now, Ordering::Relaxed) != now {
            self.delete_over(now, None, usize::MAX).await;
        }
    }

    async fn delete_over(&self, now: i64, idle_since: Option<i64>, limit: usize) -> usize {
        let login_over = |record: &LoginRecord| {
            record.expires_at <= now || idle_since.is_some_and(|since| record.last_seen < since)
        };
        let family_over = |family: &Family| family.expires_at <= now;
        let mut deleted = 0;
        let first = self.purge_from.load(Ordering::Relaxed);
        for part in (0..SHARDS).map(|part| (first + part) % SHARDS) {
            loop {
                let batch = BATCH.min(limit - deleted);
                // Picked first and looked at again when they are deleted: users are locked before what
                // is theirs, and no lock is held for long.
                let logins = self
                    .logins
                    .pick(part, batch, login_over, |record| owner_key(record.owner()));
                let room = batch - logins.len();
                let families = self
                    .families
                    .pick(part, room, family_over, |family| owner_key(family.owner()));
                let room = room - families.len();
                let note_over = |until: &i64| *until <= now;
                let notes = self.buried.pick(part, room, note_over, |_| ());
                let has_more = notes.len() == room;
                for (key, owner) in logins {
                    let gone = self.change(owner, |owned| self.remove(owned, key, login_over));
                    deleted += usize::from(gone);
                }
                for (key, owner) in families {
                    let gone =
                        self.change(owner, |owned| self.remove_family(owned, key, family_over));
                    deleted += usize::from(gone);
                }
                for (key, ()) in notes {
                    deleted += usize::from(self.buried.remove_if(&key, note_over).is_some());
                }
                if deleted >= limit {
                    self.purge_from.store(part, Ordering::Relaxed);
                    return deleted;
                }
                rest().await;
                if !has_more {
                    break;
                }
            }
        }
        deleted
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
        self.make_room(now).await;
        if self.logins.len() >= self.max {
            return Err(StoreError::new(Full));
        }
        self.change(owner_key(record.owner()), |owned| {
            let is_live = |login: &mut LoginRecord| now < login.expires_at;
            if self.logins.with(&key, |login| login.is_some_and(is_live)) {
                return Ok(Inserted::Done { ended: 0 });
            }
            self.remove(owned, key, |_| true);
            let mut ended = 0;
            if let Some(max) = max {
                let mut live: Vec<(i64, LoginKey)> = Vec::new();
                for &login in &owned.logins {
                    let created_at = self.logins.with(&login, |other| {
                        other
                            .filter(|other| now < other.expires_at)
                            .map(|other| other.created_at)
                    });
                    live.extend(created_at.map(|created_at| (created_at, login)));
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
                    ended += u64::from(self.remove(owned, login, |_| true));
                }
            }
            if let Some(family) = record.family {
                self.born
                    .part(&family)
                    .entry(family)
                    .or_default()
                    .insert(key);
            }
            self.logins.part(&key).insert(key, record.clone());
            owned.logins.insert(key);
            Ok(Inserted::Done { ended })
        })
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.logins.with(&key, |record| {
            record.filter(|record| now < record.expires_at).cloned()
        });
        Ok(found)
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        self.logins.with(&key, |record| {
            if let Some(record) = record {
                record.last_seen = record.last_seen.max(last_seen);
            }
        });
        Ok(())
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.logins.with(&key, |record| {
            if let Some(record) = record {
                record.fresh = false;
            }
        });
        Ok(())
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let owner = self.logins.with(&key, |record| {
            record.map(|record| owner_key(record.owner()))
        });
        Ok(
            owner
                .is_some_and(|owner| self.change(owner, |owned| self.remove(owned, key, |_| true))),
        )
    }

    async fn end_many(&self, which: Which<'_>) -> Result<u64, StoreError> {
        match which {
            Which::Of {
                owner,
                but,
                but_family,
            } => self.change(owner_key(owner), |owned| {
                let mut ended = 0;
                for key in owned.logins.clone() {
                    if Some(key) != but {
                        ended += u64::from(self.remove(owned, key, |_| true));
                    }
                }
                for key in owned.families.clone() {
                    if Some(key) != but_family {
                        self.remove_family(owned, key, |_| true);
                    }
                }
                Ok(ended)
            }),
            Which::Family(key) => {
                let Some(owner) = self.owner_of_family(key) else {
                    return Ok(0);
                };
                self.change(owner, |owned| {
                    let logins = self.born.part(&key).get(&key).cloned().unwrap_or_default();
                    let mut ended = 0;
                    for login in logins {
                        ended += u64::from(self.remove(owned, login, |_| true));
                    }
                    self.remove_family(owned, key, |_| true);
                    Ok(ended)
                })
            }
            Which::All => {
                // All users at once, in the order in which no other call takes two of them.
                let mut owners: Vec<_> = self.owners.parts.iter().map(lock).collect();
                let ended = self.logins.clear();
                self.families.clear();
                self.born.clear();
                for owners in &mut owners {
                    **owners = HashMap::new();
                }
                Ok(u64::try_from(ended).unwrap_or(u64::MAX))
            }
        }
    }

    async fn list(
        &self,
        owner: Owner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let mut logins: Vec<_> = self.change(owner_key(owner), |owned| {
            let live = |key: &LoginKey| {
                let found = self.logins.with(key, |record| {
                    record.filter(|record| now < record.expires_at).cloned()
                });
                found.map(|record| (*key, record))
            };
            owned.logins.iter().filter_map(live).collect()
        });
        logins.sort_unstable_by_key(|(key, record)| (std::cmp::Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &Family) -> Result<(), StoreError> {
        self.make_room(family.latest()).await;
        if self.families.len() >= self.max {
            return Err(StoreError::new(Full));
        }
        self.change(owner_key(family.owner()), |owned| {
            owned.families.insert(key);
            self.families.part(&key).insert(key, family.clone());
        });
        Ok(())
    }

    async fn find_family(&self, key: FamilyKey, now: i64) -> Result<Option<Family>, StoreError> {
        let found = self.families.with(&key, |family| {
            family.filter(|family| now < family.expires_at).cloned()
        });
        Ok(found)
    }

    async fn claim_family(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &Family,
    ) -> Result<bool, StoreError> {
        let claimed = self.families.with(&key, |kept| {
            let kept = kept.filter(|kept| kept.version == expected);
            kept.map(|kept| family.clone_into(kept)).is_some()
        });
        Ok(claimed)
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let deleted = self.delete_over(now, idle_since, limit).await;
        Ok(u64::try_from(deleted).unwrap_or(u64::MAX))
    }

    async fn bury_session(&self, session: LoginKey, until: i64) -> Result<(), StoreError> {
        let mut buried = self.buried.part(&session);
        let known = buried.entry(session).or_insert(until);
        *known = until.max(*known);
        Ok(())
    }

    async fn is_buried(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        Ok(self
            .buried
            .with(&session, |until| until.is_some_and(|until| now < *until)))
    }
}
