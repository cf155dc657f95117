//! Logins in the memory of one process.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::poll_fn,
    hash::RandomState,
    mem,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    task::Poll,
};

use self::{
    common::Commons,
    owned::Owned,
    row::{Row, owner_key},
    shards::{RandomKeys, SHARDS, Shards},
};
use super::{
    FamilyKey, Full, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
    MaxLogins, StoreError, TokenFamily,
};

mod common;
mod owned;
mod packed;
mod row;
mod shards;

/// How many rows of a kind a purge deletes before it lets others of its thread run.
///
/// Raising it gets a purge done sooner; each takes a few microseconds, for which requests wait.
const BATCH: usize = 256;

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
    //
    // Users may have a say in their ids, so these are hashed with a key: nobody can have all collide.
    owners: Shards<Owned, (), RandomState>,
    logins: Shards<Row, (), RandomKeys>,
    families: Shards<FamilyKey, Box<TokenFamily>, RandomKeys>,
    // Which logins were born of a family. They may outlive it.
    born: Shards<FamilyKey, HashSet<Row, RandomKeys>, RandomKeys>,
    // What logins share. Each login in the store counts once.
    commons: Commons,
    revoked: Shards<LoginKey, i64, RandomKeys>,
    max: usize,
    // When all that was over was last cleared away to make room.
    cleared_at: AtomicI64,
    // The part with which the next purge begins: where the one before had to stop.
    purge_from: AtomicUsize,
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
            commons: Shards::default(),
            revoked: Shards::default(),
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

/// Lets others of this thread run.
async fn rest() {
    let mut rested = false;
    poll_fn(|context| {
        if mem::replace(&mut rested, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Drops what is no longer in the store, which takes a while where there was much.
async fn forget<T>(parts: Vec<T>) {
    for part in parts {
        drop(part);
        rest().await;
    }
}

impl MemoryLoginStore {
    /// Changes what belongs to a user, and forgets the user if nothing is left. Nobody else adds or
    /// removes anything of the user in the meantime.
    fn change<T>(&self, owner: &str, change: impl FnOnce(&mut Owned) -> T) -> T {
        let mut owners = self.owners.part(owner);
        // Taken out for as long as it changes: it is found by what is in it.
        let owned = owners.remove_entry(owner);
        let mut owned = owned.map(|(owned, ())| owned).unwrap_or_default();
        let changed = change(&mut owned);
        if !owned.is_nothing() {
            owners.insert(owned, ());
        }
        changed
    }

    /// Removes a login of a user whose shard is locked.
    fn remove(&self, owned: &mut Owned, key: &LoginKey, so: impl FnOnce(&Row) -> bool) -> bool {
        let Some((row, ())) = self.logins.remove_if(key, |row, ()| so(row)) else {
            return false;
        };
        owned.remove(key);
        self.commons.release(row.common());
        if let Some(family) = row.family() {
            let mut born = self.born.part(&family);
            if let Some(logins) = born.get_mut(&family) {
                logins.remove(key);
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
        key: &FamilyKey,
        so: impl FnOnce(&TokenFamily) -> bool,
    ) -> bool {
        let removed = self.families.remove_if(key, |_, family| so(family));
        if removed.is_some() {
            owned.remove_family(key);
        }
        removed.is_some()
    }

    /// Whose a family is; or its logins, if it is over and they are not.
    fn owner_of_family(&self, key: &FamilyKey) -> Option<Box<str>> {
        let owner = self
            .families
            .look(key, |_, family| owner_key(family.owner()));
        owner.or_else(|| {
            let born = self.born.part(key);
            born.get(key)?.iter().next().map(|row| row.owner().into())
        })
    }

    /// Deletes what is over, so that there is room.
    async fn make_room(&self, now: i64) {
        let fullest = self
            .logins
            .len()
            .max(self.families.len())
            .max(self.revoked.len());
        // Once a second is enough: no more is over before the clock moves.
        if fullest >= self.max && self.cleared_at.swap(now, Ordering::Relaxed) != now {
            self.delete_over(now, None, usize::MAX).await;
        }
    }

    async fn delete_over(&self, now: i64, idle_since: Option<i64>, limit: usize) -> usize {
        let login_over = |row: &Row| {
            !row.is_live(now) || idle_since.is_some_and(|since| row.last_seen() < since)
        };
        let family_over = |family: &TokenFamily| family.expires_at <= now;
        let note_over = |_: &LoginKey, until: &i64| *until <= now;
        let mut deleted = 0;
        let first = self.purge_from.load(Ordering::Relaxed);
        for part in (0..SHARDS).map(|part| (first + part) % SHARDS) {
            loop {
                let batch = BATCH.min(limit - deleted);
                // Picked first and looked at again when they are deleted: users are locked before what
                // is theirs, and no lock is held for long.
                let logins = self
                    .logins
                    .pick(part, batch, |row, ()| login_over(row).then(|| row.clone()));
                let room = batch - logins.len();
                let families = self.families.pick(part, room, |key, family| {
                    family_over(family).then(|| (*key, owner_key(family.owner())))
                });
                let room = room - families.len();
                let notes = self.revoked.pick(part, room, |session, until| {
                    note_over(session, until).then_some(*session)
                });
                let has_more = notes.len() == room;
                for row in logins {
                    let gone = self.change(row.owner(), |owned| {
                        self.remove(owned, row.key(), login_over)
                    });
                    deleted += usize::from(gone);
                }
                for (key, owner) in families {
                    let gone =
                        self.change(&owner, |owned| self.remove_family(owned, &key, family_over));
                    deleted += usize::from(gone);
                }
                for session in notes {
                    let gone = self.revoked.remove_if(&session, note_over);
                    deleted += usize::from(gone.is_some());
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
        for part in 0..SHARDS {
            self.owners.give_back(part);
            self.logins.give_back(part);
            self.families.give_back(part);
            self.born.give_back(part);
            self.commons.give_back(part);
            self.revoked.give_back(part);
            rest().await;
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
        self.change(&owner_key(record.owner()), |owned| {
            let is_live = self.logins.look(&key, |row, ()| row.is_live(now));
            if is_live == Some(true) {
                return Ok(Inserted::Done { ended: 0 });
            }
            self.remove(owned, &key, |_| true);
            let mut ended = 0;
            if let Some(max) = max {
                let live = owned.logins().filter(|row| row.is_live(now));
                let mut live: Vec<_> = live.map(|row| (row.created_at(), *row.key())).collect();
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
                    ended += u64::from(self.remove(owned, &login, |_| true));
                }
            }
            let common = self.commons.share(&record.method, &record.user_agent);
            let row = Row::new(key, record, common);
            if let Some(family) = record.family {
                let mut born = self.born.part(&family);
                born.entry(family).or_default().insert(row.clone());
            }
            self.logins.part(&key).insert(row.clone(), ());
            owned.insert(row);
            Ok(Inserted::Done { ended })
        })
    }

    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let record = |row: &Row, _: &_| row.is_live(now).then(|| row.record());
        Ok(self.logins.look(&key, record).flatten())
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        let record = |row: &Row, _: &_| row.is_live(now).then(|| row.bare_record());
        Ok(self.logins.look(&key, record).flatten())
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        self.logins.look(&key, |row, ()| row.touch(last_seen));
        Ok(())
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        self.logins.look(&key, |row, ()| row.make_stale());
        Ok(())
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let row = self.logins.look(&key, |row, ()| row.clone());
        let end = |row: Row| self.change(row.owner(), |owned| self.remove(owned, &key, |_| true));
        Ok(row.is_some_and(end))
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        match which {
            LoginSelector::Of {
                owner,
                but,
                but_family,
            } => self.change(&owner_key(owner), |owned| {
                let others = owned.logins().map(|row| *row.key());
                let others: Vec<_> = others.filter(|key| Some(*key) != but).collect();
                let mut ended = 0;
                for key in others {
                    ended += u64::from(self.remove(owned, &key, |_| true));
                }
                let others = owned.families().copied();
                let others: Vec<_> = others.filter(|key| Some(*key) != but_family).collect();
                for key in others {
                    self.remove_family(owned, &key, |_| true);
                }
                Ok(ended)
            }),
            LoginSelector::Family(key) => {
                let Some(owner) = self.owner_of_family(&key) else {
                    return Ok(0);
                };
                self.change(&owner, |owned| {
                    let logins = self.born.look(&key, |_, logins| {
                        logins.iter().map(|row| *row.key()).collect::<Vec<_>>()
                    });
                    let mut ended = 0;
                    for login in logins.unwrap_or_default() {
                        ended += u64::from(self.remove(owned, &login, |_| true));
                    }
                    self.remove_family(owned, &key, |_| true);
                    Ok(ended)
                })
            }
            LoginSelector::All => {
                // All users at once, in the order in which no other call takes two of them. What
                // they had is dropped when others are let in again.
                let (owners, logins, families, born, commons) = {
                    let mut parts = self.owners.lock_all();
                    let owners = parts.iter_mut().map(|part| mem::take(&mut **part));
                    (
                        owners.collect::<Vec<_>>(),
                        self.logins.take(),
                        self.families.take(),
                        self.born.take(),
                        self.commons.take(),
                    )
                };
                let ended: usize = logins.iter().map(HashMap::len).sum();
                forget(owners).await;
                forget(logins).await;
                forget(families).await;
                forget(born).await;
                forget(commons).await;
                Ok(u64::try_from(ended).unwrap_or(u64::MAX))
            }
        }
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        let owner = owner_key(owner);
        let listed = self.owners.look(&*owner, |owned, ()| {
            let record = |row: &Row, _: &_| row.is_live(now).then(|| (*row.key(), row.record()));
            let live = |row: &Row| self.logins.look(row.key(), record).flatten();
            owned.logins().filter_map(live).collect()
        });
        let mut logins: Vec<_> = listed.unwrap_or_default();
        logins.sort_unstable_by_key(|(key, record)| (std::cmp::Reverse(record.created_at), *key));
        Ok(logins)
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        self.make_room(family.latest()).await;
        if self.families.len() >= self.max {
            return Err(StoreError::new(Full));
        }
        let owner = owner_key(family.owner());
        self.change(&owner, |owned| {
            owned.insert_family(&owner, key);
            let family = Box::new(family.clone());
            self.families.part(&key).insert(key, family);
        });
        Ok(())
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        let found = self.families.look(&key, |_, family| {
            (now < family.expires_at).then(|| TokenFamily::clone(family))
        });
        Ok(found.flatten())
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        let mut families = self.families.part(&key);
        let kept = families.get_mut(&key);
        let kept = kept.filter(|kept| kept.version == expected);
        Ok(kept.map(|kept| family.clone_into(kept)).is_some())
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

    async fn revoke_session(&self, session: LoginKey, until: i64) -> Result<(), StoreError> {
        let mut buried = self.revoked.part(&session);
        let known = buried.entry(session).or_insert(until);
        *known = until.max(*known);
        Ok(())
    }

    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        let is_session_revoked = self.revoked.look(&session, |_, until| now < *until);
        Ok(is_session_revoked.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            user_agent: format!("browser/{number}"),
            address: "192.0.2.1".to_owned(),
            hash: None,
            family: (number % 4 < 3).then_some(FamilyKey([number / 2; 16])),
        };
        (LoginKey::from_bytes([number; 32]), record)
    }

    fn family(number: u8) -> (FamilyKey, TokenFamily) {
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
        (FamilyKey([number; 16]), family)
    }

    async fn full() -> MemoryLoginStore {
        let store = MemoryLoginStore::new();
        for number in 0..64 {
            let (key, record) = login(number);
            store.insert(key, &record, None, 100).await.unwrap();
        }
        for number in 0..32 {
            let (key, family) = family(number);
            store.insert_family(key, &family).await.unwrap();
        }
        let rows = [store.owners.len(), store.logins.len(), store.families.len()];
        assert_eq!(rows, [16, 64, 32]);
        assert_eq!([store.born.len(), store.commons.len()], [32, 64]);
        store
    }

    #[track_caller]
    fn check_empty(store: &MemoryLoginStore) {
        let rows = [store.owners.len(), store.logins.len(), store.families.len()];
        assert_eq!(rows, [0; 3]);
        assert_eq!([store.born.len(), store.commons.len()], [0; 2]);
    }

    #[actix_web::test]
    async fn nothing_is_left_of_what_is_purged() {
        let store = full().await;
        assert_eq!(store.purge(199, Some(100), u32::MAX).await.unwrap(), 0);
        assert_eq!(store.purge(200, None, u32::MAX).await.unwrap(), 96);
        check_empty(&store);
    }

    #[actix_web::test]
    async fn nothing_is_left_of_what_is_ended() {
        let store = full().await;
        for number in 0..16 {
            let user_id = &*number.to_string();
            let user_type = "";
            let which = LoginSelector::Of {
                owner: LoginOwner { user_type, user_id },
                but: None,
                but_family: None,
            };
            assert_eq!(store.end_many(which).await.unwrap(), 4);
        }
        check_empty(&store);

        let store = full().await;
        for number in 0..64 {
            assert!(store.end(login(number).0).await.unwrap());
        }
        for number in 0..32 {
            let which = LoginSelector::Family(family(number).0);
            assert_eq!(store.end_many(which).await.unwrap(), 0);
        }
        check_empty(&store);

        let store = full().await;
        assert_eq!(store.end_many(LoginSelector::All).await.unwrap(), 64);
        check_empty(&store);
    }

    #[actix_web::test]
    async fn nothing_is_left_of_what_made_room() {
        let store = MemoryLoginStore::new();
        let max = Some(MaxLogins::EndOldest(1));
        for number in 0..4 {
            let (key, record) = login(number);
            store.insert(key, &record, max, 100).await.unwrap();
            assert_eq!([store.logins.len(), store.commons.len()], [1; 2]);
        }
        // Refused, and stored before.
        for (number, max) in [(2, Some(MaxLogins::Refuse(1))), (3, None)] {
            let (key, record) = login(number);
            store.insert(key, &record, max, 100).await.unwrap();
            assert_eq!([store.logins.len(), store.commons.len()], [1; 2]);
        }
        // Over, and stored anew.
        let (key, record) = login(3);
        store.insert(key, &record, None, 200).await.unwrap();
        assert_eq!([store.logins.len(), store.commons.len()], [1; 2]);
        assert!(store.end(key).await.unwrap());
        check_empty(&store);
    }
}
