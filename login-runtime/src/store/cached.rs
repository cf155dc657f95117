//! A cache over any login store: for a second, a process does not ask again for a login that it has found.
//!
//! 1. An answer counts for the maximum age, measured from the moment *before* the store was asked. So what
//!    another process ends is refused here at most that much later.
//! 2. A look-up that began before a change is worth nothing once the change is over, whichever of the two
//!    is done first. Changes are counted; a look-up notes the count before it asks the store, and each
//!    change notes its number at what it changes: at a login, at a user, at a family, or at all logins. An
//!    entry counts while none of the four has a number above that of its look-up. So a user's logins are
//!    dropped without a search for them, and a late answer cannot put a login back.
//! 3. A change is noted when it begins and again when it is over: answered, failed or cancelled. After a
//!    failure nobody knows whether the store has made it.
//! 4. No lock is held while the store is asked. A look-up leaves nothing behind until it has its answer.
//! 5. Only logins that were found are kept: strangers, who name logins that do not exist, fill nothing.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    core::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, MaxLogins,
        TokenFamily,
    },
    error::StoreError,
    store::{login_store::LoginStore, throttle_store::AnyThrottleStore},
};

/// How old an answer may be by default.
///
/// Raising it asks the store less often; lowering it lets the ends of other processes take effect sooner.
/// A second covers the requests that a browser sends for one page.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The longest that [`CachedLoginStore::max_age`] accepts.
///
/// Raising it would let an application keep ended logins for longer than anybody expects of a log out.
const LONGEST_MAX_AGE: Duration = Duration::from_secs(60);

/// How many logins are kept by default.
///
/// Raising it takes more memory, and helps only if more users than that send requests within the maximum
/// age.
const CAPACITY: usize = 10_000;

/// The largest capacity.
///
/// Raising it would need more bits of a key's hash.
const LARGEST_CAPACITY: usize = 10_000_000;

/// How many logins share a lock. If there are more, the one that was read first makes room.
///
/// Raising it lets logins make room for others less often; lowering it makes a look-up compare fewer keys.
const WAYS: usize = 8;

/// The longest texts of a record that is kept, together, in bytes.
///
/// Raising it keeps logins of users with longer ids; lowering it limits memory.
const MAX_TEXTS: usize = 1024;

/// In how many places changes are noted: logins, users and families that share one are dropped together.
///
/// Raising it drops fewer others; each takes eight bytes.
const PLACES: usize = 8192;

/// A [`LoginStore`] that remembers for a second which logins it has found.
///
/// Each request that asks for the user looks up the login. Where that is a question to a database, and a
/// browser sends several requests for a page, most of these questions have just been answered. This store
/// keeps the answers of [`find_for_auth`](LoginStore::find_for_auth) and passes everything else on, so it can
/// be put around any store:
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::cookie::Key;
/// use login_runtime::{
///     AuthUser, BuildError, LoginManager, MemoryLoginStore,
///     store::{CachedLoginStore, LoginStore},
/// };
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// # fn main() -> Result<(), BuildError> {
/// # let my_store = MemoryLoginStore::new();
/// let store = CachedLoginStore::new(my_store).max_age(Duration::from_millis(500));
/// assert_eq!(store.cached_for(), Some(Duration::from_millis(500)));
/// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///     .login_store(store)
///     .build(Key::generate())?;
///
/// // The policy says what follows from it.
/// let policy = login_manager.policy().to_string();
/// assert!(policy.contains("another process takes effect in this one up to 0.5 s later"), "{policy}");
///
/// // Whatever is asked for, no answer is used for more than a minute.
/// let store = CachedLoginStore::new(MemoryLoginStore::new()).max_age(Duration::from_secs(3600));
/// assert_eq!(store.cached_for(), Some(Duration::from_secs(60)));
/// # Ok(())
/// # }
/// ```
///
/// It gains nothing over a [`MemoryLoginStore`](crate::MemoryLoginStore). It gains most where the login has
/// [its own cookie](crate::config::LoginManagerBuilder::login_cookie): then a request whose login is
/// kept asks the store nothing.
///
/// # Security
///
/// A log out is final in the process that carried it out, from the moment at which it is answered: no request
/// that arrives afterwards is logged in, and no look-up that was under way brings the login back. The same
/// holds for each other end of a login, and for a login that becomes stale.
///
/// **In another process these take effect up to the [maximum age](Self::max_age) later**, as they do after a
/// row was deleted by hand, and where the store itself drops logins because it is full. So
/// the requirement that an ended session cannot be used any more (ASVS 7.4.1) holds after that time. Within one
/// process, everything that ends logins has to go through the same cache: make it once, and share it in an
/// `Arc`.
///
/// - Nothing ends because of a kept answer. If a login seems to be unused for too long, or its user has other
///   credentials, the manager reads it again first.
/// - The limits of a login, its user, roles and permissions are judged at each request as without a cache.
/// - If the store fails, an answer counts until it is too old, and then the response is 503. If a change
///   fails, it is not known whether the store has made it or still will; such an end takes effect like one
///   of another process.
/// - It keeps no token and no key: a record contains the user's id and keyed hashes.
///
/// # Memory
///
/// About 450 bytes for each login that is kept, at most 1.5 kB; with the default
/// [capacity](Self::capacity) about 5 MB, at most 15 MB. A client can only add logins that exist, and a login that
/// makes room for another is asked for again. Entries that are too old stay in memory until others take their
/// places.
pub struct CachedLoginStore<S> {
    store: S,
    cache: Cache,
}

impl<S> fmt::Debug for CachedLoginStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedLoginStore")
            .field("max_age", &self.cache.max_age)
            .field("capacity", &(self.cache.sets.len() * WAYS))
            .finish_non_exhaustive()
    }
}

impl<S: LoginStore> CachedLoginStore<S> {
    /// A cache over `store`, for up to 10,000 logins and one second.
    pub fn new(store: S) -> Self {
        let cache = Cache::new(CAPACITY);
        Self { store, cache }
    }

    /// How old an answer of the store may be: one second by default, at most a minute. A longer time counts as
    /// a minute, and zero turns the cache off.
    ///
    /// It is measured by a monotonic clock, from the moment before the store was asked.
    ///
    /// # Security
    ///
    /// For this long, a login that another process has ended still works in this one. `check_deploy` warns of
    /// more than five seconds.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.cache.max_age = age.min(LONGEST_MAX_AGE);
        self
    }

    /// About how many logins are kept: 10,000 by default, at most ten million.
    ///
    /// No more are needed than users who send requests within the [maximum age](Self::max_age).
    #[must_use]
    pub fn capacity(mut self, logins: usize) -> Self {
        let max_age = self.cache.max_age;
        self.cache = Cache::new(logins);
        self.cache.max_age = max_age;
        self
    }

    /// Asks the store, and keeps the answer.
    async fn look_up(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        // Before the store is asked.
        let began = self.cache.begin();
        let found = self.store.find_for_auth(key, now).await?;
        match &found {
            Some(record) => self.cache.keep(key, record, began),
            None => self.cache.forget(key),
        }
        Ok(found)
    }
}

/// What was found a short time ago.
struct Cache {
    max_age: Duration,
    /// The entries, by the hashes of their keys. No call locks two of them.
    sets: Box<[Mutex<Vec<Entry>>]>,
    changes: Changes,
}

/// A login that was found.
struct Entry {
    key: LoginKey,
    record: Arc<LoginRecord>,
    began: Began,
    /// Where its own changes are noted, those of its user's logins, and those of its family.
    places: [usize; 3],
}

/// The moment before a look-up asked the store.
#[derive(Clone, Copy)]
struct Began {
    at: Instant,
    /// How many changes there had been.
    changes: u64,
}

impl Cache {
    fn new(capacity: usize) -> Self {
        let sets = capacity.min(LARGEST_CAPACITY).div_ceil(WAYS);
        Self {
            max_age: MAX_AGE,
            sets: (0..sets).map(|_| Mutex::default()).collect(),
            changes: Changes::new(),
        }
    }

    fn begin(&self) -> Began {
        Began {
            at: Instant::now(),
            changes: self.changes.count.load(SeqCst),
        }
    }

    /// The entries among which the one of this key is. There are none if nothing is kept.
    fn set(&self, key: LoginKey) -> Option<MutexGuard<'_, Vec<Entry>>> {
        // Other bits of the hash than those that choose the place.
        let scaled = (hash(&key.0) >> 32) * self.sets.len() as u64;
        let set = self.sets.get((scaled >> 32) as usize)?;
        // No change of an entry can panic halfway.
        Some(set.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A login that was found a short time ago, and has not expired.
    fn find(&self, key: LoginKey, now: i64) -> Option<Arc<LoginRecord>> {
        let set = self.set(key)?;
        let entry = set.iter().find(|entry| entry.key == key)?;
        let age = Instant::now().checked_duration_since(entry.began.at)?;
        let counts = age < self.max_age
            && now < entry.record.expires_at
            && self.changes.none_since(entry.began.changes, entry.places);
        counts.then(|| Arc::clone(&entry.record))
    }

    /// Keeps what a look-up found, unless something has changed since it began.
    fn keep(&self, key: LoginKey, record: &LoginRecord, began: Began) {
        let own = place_of_key(key);
        let places = [
            own,
            self.changes.place_of_owner(record.owner()),
            record.family.map_or(own, place_of_family),
        ];
        let texts = [&record.user_type, &record.user_id];
        let texts = texts.into_iter().chain(&record.hash).map(String::len);
        if self.max_age.is_zero()
            || texts.sum::<usize>() > MAX_TEXTS
            || !self.changes.none_since(began.changes, places)
        {
            return;
        }
        let entry = Entry {
            key,
            record: Arc::new(LoginRecord {
                // Only shown to people, and not part of the answer.
                method: String::new(),
                user_agent: String::new(),
                address: String::new(),
                ..record.clone()
            }),
            began,
            places,
        };
        let Some(mut set) = self.set(key) else {
            return;
        };
        // Two look-ups may end in another order than they began.
        let is_newer = |other: &Entry| other.key == key && other.began.at > began.at;
        if set.iter().any(is_newer) {
            return;
        }
        set.retain(|other| other.key != key);
        if set.len() >= WAYS {
            let others = set.iter().enumerate();
            let first = others.min_by_key(|(_, other)| other.began.at);
            if let Some((index, _)) = first {
                set.swap_remove(index);
            }
        }
        set.push(entry);
    }

    /// Drops the entry of a login that the store did not find: after one request was refused, the next is not
    /// let through.
    fn forget(&self, key: LoginKey) {
        if let Some(mut set) = self.set(key) {
            set.retain(|entry| entry.key != key);
        }
    }

    /// Begins a change of what is noted in these places. It is over when the answer is dropped.
    fn change<const N: usize>(&self, places: [usize; N]) -> Change<'_, N> {
        let change = Change {
            changes: &self.changes,
            places,
        };
        change.note();
        change
    }
}

/// Which changes there were, by their numbers.
struct Changes {
    /// How many there were.
    count: AtomicU64,
    /// The number of the last change in each place; the one after them is for all logins.
    last: Box<[AtomicU64]>,
    /// Users may choose their ids.
    hasher: RandomState,
}

/// Where changes of all logins are noted.
const ALL: usize = PLACES;

impl Changes {
    fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            last: (0..=PLACES).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    fn place_of_owner(&self, owner: LoginOwner<'_>) -> usize {
        place(self.hasher.hash_one(owner))
    }

    /// Whether nothing was noted in these places, nor for all logins, since the count was `before`.
    fn none_since(&self, before: u64, places: [usize; 3]) -> bool {
        places.iter().chain(&[ALL]).all(|place| {
            let last = self.last.get(*place);
            last.is_some_and(|last| last.load(SeqCst) <= before)
        })
    }
}

/// A change of logins that is being made.
struct Change<'a, const N: usize> {
    changes: &'a Changes,
    places: [usize; N],
}

impl<const N: usize> Change<'_, N> {
    /// Makes what was read before now count no more.
    fn note(&self) {
        let number = self.changes.count.fetch_add(1, SeqCst) + 1;
        for place in self.places {
            if let Some(last) = self.changes.last.get(place) {
                last.fetch_max(number, SeqCst);
            }
        }
    }
}

impl<const N: usize> Drop for Change<'_, N> {
    fn drop(&mut self) {
        // A look-up that began after the change did may have read the store before it.
        self.note();
    }
}

/// A hash of random bytes. Clients cannot choose keys, so they cannot cause collisions.
fn hash(key: &[u8]) -> u64 {
    let words = key.as_chunks().0.iter();
    let folded = words.fold(0, |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    folded ^ folded >> 32
}

fn place(hash: u64) -> usize {
    (hash % PLACES as u64) as usize
}

fn place_of_key(key: LoginKey) -> usize {
    place(hash(&key.0))
}

fn place_of_family(family: FamilyKey) -> usize {
    place(hash(&family.0))
}

impl<S: LoginStore> LoginStore for CachedLoginStore<S> {
    async fn insert(
        &self,
        key: LoginKey,
        record: &LoginRecord,
        max: Option<MaxLogins>,
        now: i64,
    ) -> Result<Inserted, StoreError> {
        // The limit may end logins of the same user.
        let owner = self.cache.changes.place_of_owner(record.owner());
        let _change = self.cache.change([place_of_key(key), owner]);
        self.store.insert(key, record, max, now).await
    }

    /// Always asks the store: what is done with the answer may end logins.
    async fn find(&self, key: LoginKey, now: i64) -> Result<Option<LoginRecord>, StoreError> {
        let found = self.store.find(key, now).await?;
        if found.is_none() {
            self.cache.forget(key);
        }
        Ok(found)
    }

    async fn find_for_auth(
        &self,
        key: LoginKey,
        now: i64,
    ) -> Result<Option<LoginRecord>, StoreError> {
        match self.cache.find(key, now) {
            Some(record) => Ok(Some((*record).clone())),
            // Boxed, so that an answer that is kept does not pay for the size of the store's future.
            None => Box::pin(self.look_up(key, now)).await,
        }
    }

    async fn touch(&self, key: LoginKey, last_seen: i64) -> Result<(), StoreError> {
        let _change = self.cache.change([place_of_key(key)]);
        self.store.touch(key, last_seen).await
    }

    async fn make_stale(&self, key: LoginKey) -> Result<(), StoreError> {
        let _change = self.cache.change([place_of_key(key)]);
        self.store.make_stale(key).await
    }

    async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let _change = self.cache.change([place_of_key(key)]);
        self.store.end(key).await
    }

    async fn end_many(&self, which: LoginSelector<'_>) -> Result<u64, StoreError> {
        let place = match which {
            LoginSelector::Of { owner, .. } => self.cache.changes.place_of_owner(owner),
            LoginSelector::Family(family) => place_of_family(family),
            LoginSelector::All => ALL,
        };
        let _change = self.cache.change([place]);
        self.store.end_many(which).await
    }

    async fn list(
        &self,
        owner: LoginOwner<'_>,
        now: i64,
    ) -> Result<Vec<(LoginKey, LoginRecord)>, StoreError> {
        self.store.list(owner, now).await
    }

    async fn insert_family(&self, key: FamilyKey, family: &TokenFamily) -> Result<(), StoreError> {
        self.store.insert_family(key, family).await
    }

    /// The logins of these families stay, so nothing that is kept changes.
    async fn end_oldest_families(
        &self,
        owner: LoginOwner<'_>,
        keep: u32,
    ) -> Result<u64, StoreError> {
        self.store.end_oldest_families(owner, keep).await
    }

    async fn find_family(
        &self,
        key: FamilyKey,
        now: i64,
    ) -> Result<Option<TokenFamily>, StoreError> {
        self.store.find_family(key, now).await
    }

    async fn update_family_if(
        &self,
        key: FamilyKey,
        expected: i64,
        family: &TokenFamily,
    ) -> Result<bool, StoreError> {
        self.store.update_family_if(key, expected, family).await
    }

    async fn token_arrived(&self, login: LoginKey, now: i64) -> Result<(), StoreError> {
        let _change = self.cache.change([place_of_key(login)]);
        self.store.token_arrived(login, now).await
    }

    async fn purge(
        &self,
        now: i64,
        idle_since: Option<i64>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let _change = self.cache.change([ALL]);
        self.store.purge(now, idle_since, limit).await
    }

    async fn revoke_session(
        &self,
        session: LoginKey,
        owner: LoginOwner<'_>,
        until: i64,
        max: u32,
    ) -> Result<(), StoreError> {
        self.store.revoke_session(session, owner, until, max).await
    }

    /// Always asks the store: a late response must not restore a session that another process has ended.
    async fn is_session_revoked(&self, session: LoginKey, now: i64) -> Result<bool, StoreError> {
        self.store.is_session_revoked(session, now).await
    }

    fn throttle_store(&self) -> Option<AnyThrottleStore> {
        self.store.throttle_store()
    }

    fn cached_for(&self) -> Option<Duration> {
        let own = Some(self.cache.max_age).filter(|age| !age.is_zero());
        // A cache over a cache is as old as both together.
        match (own, self.store.cached_for()) {
            (Some(own), Some(inner)) => Some(own.saturating_add(inner)),
            (own, inner) => own.or(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryLoginStore;

    fn key(number: u64) -> LoginKey {
        let mut bytes = [0; 32];
        for (word, bytes) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            // Any bits that differ.
            let mixed = (number + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *bytes = (mixed ^ mixed >> 29 ^ word as u64).to_le_bytes();
        }
        LoginKey(bytes)
    }

    fn record(user_id: &str, family: Option<FamilyKey>) -> LoginRecord {
        LoginRecord {
            user_type: "user".to_owned(),
            user_id: user_id.to_owned(),
            created_at: 100,
            authenticated_at: 100,
            last_seen: 100,
            expires_at: 200,
            fresh: true,
            allow_inactive: false,
            method: "form".to_owned(),
            client: 7,
            user_agent: "browser".to_owned(),
            address: "192.0.2.1".to_owned(),
            hash: Some("hash".to_owned()),
            family,
            unseen_token: None,
        }
    }

    fn kept(cache: &Cache) -> usize {
        let sets = cache.sets.iter();
        sets.map(|set| set.lock().unwrap().len()).sum()
    }

    fn is_kept(cache: &Cache, key: LoginKey) -> bool {
        cache.find(key, 150).is_some()
    }

    #[test]
    fn a_million_logins_take_no_more_room_than_the_capacity() {
        for (capacity, most, logins) in [
            (0, 0, 10_000),
            (1, 8, 10_000),
            (100, 104, 10_000),
            (4096, 4096, 1_000_000),
        ] {
            let cache = Cache::new(capacity);
            for number in 0..logins {
                cache.keep(key(number), &record("7", None), cache.begin());
            }
            assert!(kept(&cache) <= most, "{capacity}: {}", kept(&cache));
            // It is used, and its entries are the last ones.
            assert!(
                kept(&cache) >= most * 9 / 10,
                "{capacity}: {}",
                kept(&cache)
            );
            let last = logins - most as u64 / 20;
            let found = (last..logins).filter(|number| is_kept(&cache, key(*number)));
            assert_eq!(found.count() as u64, logins - last, "{capacity}");
            for set in &cache.sets {
                let set = set.lock().unwrap();
                assert!(set.capacity() <= WAYS);
                let texts = set.iter().map(|entry| entry.record.user_agent.len());
                assert_eq!(texts.sum::<usize>(), 0, "what is only shown is not kept");
            }
        }
    }

    #[test]
    fn a_capacity_is_divided_evenly() {
        let cache = Cache::new(CAPACITY);
        for number in 0..CAPACITY as u64 / 2 {
            cache.keep(key(number), &record("7", None), cache.begin());
        }
        // Of half as many as there is room for, few make room for others.
        assert!(kept(&cache) > CAPACITY * 97 / 200, "{}", kept(&cache));
    }

    #[test]
    fn a_record_with_long_texts_is_not_kept() {
        let cache = Cache::new(CAPACITY);
        let texts = "user".len() + "hash".len();
        for (length, expected) in [(MAX_TEXTS - texts, true), (MAX_TEXTS - texts + 1, false)] {
            let record = record(&"7".repeat(length), None);
            cache.keep(key(1), &record, cache.begin());
            assert_eq!(is_kept(&cache, key(1)), expected, "{length}");
            cache.forget(key(1));
        }
    }

    #[test]
    fn the_answer_of_the_look_up_that_began_last_is_kept() {
        let cache = Cache::new(CAPACITY);
        let (first, last) = (cache.begin(), cache.begin());
        let old = record("7", None);
        let new = LoginRecord {
            fresh: false,
            ..old.clone()
        };
        cache.keep(key(1), &new, last);
        cache.keep(key(1), &old, first);
        assert!(cache.find(key(1), 150).is_some_and(|found| !found.fresh));
        cache.keep(key(1), &old, cache.begin());
        assert!(cache.find(key(1), 150).is_some_and(|found| found.fresh));
        assert_eq!(kept(&cache), 1);
    }

    #[test]
    fn an_answer_counts_from_before_the_store_was_asked_until_it_is_too_old() {
        let mut cache = Cache::new(CAPACITY);
        cache.max_age = Duration::from_secs(20);
        let before = |seconds| {
            let at = Instant::now().checked_sub(Duration::from_secs(seconds));
            Began {
                at: at.unwrap(),
                changes: 0,
            }
        };
        for (seconds, expected) in [(0, true), (10, true), (20, false), (30, false)] {
            let login = key(seconds);
            cache.keep(login, &record("7", None), before(seconds));
            assert_eq!(is_kept(&cache, login), expected, "{seconds}");
        }
        // From a clock that goes backward.
        let at = Instant::now() + Duration::from_secs(5);
        cache.keep(key(1), &record("7", None), Began { at, changes: 0 });
        assert!(!is_kept(&cache, key(1)));
        // Until the login expires.
        cache.keep(key(2), &record("7", None), cache.begin());
        for (now, expected) in [(199, true), (200, false), (i64::MAX, false)] {
            assert_eq!(cache.find(key(2), now).is_some(), expected, "{now}");
        }
    }

    #[test]
    fn a_change_ends_what_began_before_it_was_over_and_nothing_else() {
        let family = FamilyKey([9; 16]);
        let of_family = || record("8", Some(family));
        let cache = Cache::new(CAPACITY);
        let owner = cache.changes.place_of_owner(record("7", None).owner());
        let logins = [
            (key(1), record("7", None)),
            (key(2), record("7", None)),
            (key(3), of_family()),
        ];
        for (place, ended) in [
            (place_of_key(key(1)), [true, false, false]),
            (owner, [true, true, false]),
            (place_of_family(family), [false, false, true]),
            (ALL, [true; 3]),
        ] {
            let keep = |began: Began| {
                for (key, record) in &logins {
                    cache.keep(*key, record, began);
                }
            };
            let found = || logins.each_ref().map(|(key, _)| is_kept(&cache, *key));
            // Before it, during it, and from before and during it to after it.
            keep(cache.begin());
            assert_eq!(found(), [true; 3]);
            let before = cache.begin();
            let change = cache.change([place]);
            assert_eq!(found(), ended.map(|ended| !ended));
            keep(before);
            assert_eq!(found(), ended.map(|ended| !ended));
            let during = cache.begin();
            keep(during);
            assert_eq!(found(), [true; 3]);
            drop(change);
            assert_eq!(found(), ended.map(|ended| !ended));
            keep(during);
            assert_eq!(found(), ended.map(|ended| !ended));
            keep(cache.begin());
            assert_eq!(found(), [true; 3]);
        }
    }

    #[test]
    fn settings_are_kept_in_any_order_and_have_limits() {
        let store = || CachedLoginStore::new(MemoryLoginStore::new());
        let short = Duration::from_millis(5);
        for store in [
            store().max_age(short).capacity(80),
            store().capacity(80).max_age(short),
        ] {
            assert_eq!(
                format!("{store:?}"),
                "CachedLoginStore { max_age: 5ms, capacity: 80, .. }"
            );
            assert_eq!(store.cached_for(), Some(short));
        }
        assert_eq!(store().cached_for(), Some(MAX_AGE));
        assert_eq!(
            store().max_age(Duration::MAX).cached_for(),
            Some(LONGEST_MAX_AGE)
        );
        assert_eq!(store().max_age(Duration::ZERO).cached_for(), None);
        let twice = CachedLoginStore::new(Arc::new(store())).max_age(short);
        assert_eq!(twice.cached_for(), Some(MAX_AGE + short));
        let twice = twice.max_age(Duration::ZERO);
        assert_eq!(twice.cached_for(), Some(MAX_AGE));
        let sets = Cache::new(usize::MAX).sets.len();
        assert_eq!(sets, LARGEST_CAPACITY / WAYS);
    }
}
