//! Counters of tries in memory.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    core::throttle::{Attempt, Claimed, Counted, Counter, CounterKey, KnownClient},
    error::StoreError,
    store::throttle_store::ThrottleStore,
};

/// How many counters there may be, and how many known clients, by default.
///
/// Raising it takes more memory, about 100 bytes for each; lowering it forgets counters of few tries sooner.
const CAPACITY: usize = 200_000;

/// Counts tries in memory.
///
/// Its counters are lost when the process ends, and other processes do not see them.
///
/// # Security
///
/// Strangers cannot make it grow over its capacity. When it is full, it first forgets the counters that would
/// be forgotten first anyway: those with few tries. A counter that refuses is older and longer, so making
/// the store forget it takes more tries than it has stopped.
pub struct MemoryThrottleStore {
    counts: Mutex<Counts>,
    capacity: usize,
}

#[derive(Default)]
struct Counts {
    counters: HashMap<CounterKey, Counter>,
    known: HashMap<CounterKey, KnownClient>,
}

impl fmt::Debug for MemoryThrottleStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryThrottleStore")
            .field("counters", &self.counts().counters.len())
            .finish_non_exhaustive()
    }
}

impl Default for MemoryThrottleStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryThrottleStore {
    /// A store for up to 200,000 counters and as many known clients, which take up to 40 MB.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// A store for about this many counters, and as many known clients. One try needs up to three counters.
    pub fn with_capacity(counters: usize) -> Self {
        Self {
            counts: Mutex::default(),
            capacity: counters.max(16),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the counters of a try that exist.
    fn change(
        &self,
        attempt: &Attempt,
        change: impl FnOnce([Counter; 3]) -> [Counter; 3],
        now: i64,
    ) -> MutexGuard<'_, Counts> {
        let mut counts = self.counts();
        let states = attempt
            .counters
            .map(|key| counts.counters.get(&key).copied());
        let changed = change(states.map(Option::unwrap_or_default));
        for ((key, state), before) in attempt.counters.iter().zip(changed).zip(states) {
            if state.forgotten_at() <= now {
                counts.counters.remove(key);
            } else if before.is_some() {
                counts.counters.insert(*key, state);
            }
        }
        counts
    }
}

/// Removes what is over, and then what is over first, until there is room for a few more.
fn make_room<T>(
    map: &mut HashMap<CounterKey, T>,
    capacity: usize,
    now: i64,
    over_at: impl Fn(&T) -> i64,
) {
    if map.len() + 3 <= capacity {
        return;
    }
    map.retain(|_, value| over_at(value) > now);
    // It has to look at all, so it makes more room than for one.
    let surplus = (map.len() + capacity / 16 + 3).saturating_sub(capacity);
    if surplus == 0 || map.is_empty() {
        return;
    }
    let mut order: Vec<_> = map
        .iter()
        .map(|(key, value)| (over_at(value), *key))
        .collect();
    let last = surplus.min(order.len()) - 1;
    order.select_nth_unstable(last);
    for (_, key) in order.into_iter().take(last + 1) {
        map.remove(&key);
    }
}

impl ThrottleStore for MemoryThrottleStore {
    async fn claim(&self, attempt: &Attempt, now: i64) -> Result<Claimed, StoreError> {
        let mut counts = self.counts();
        let counters = attempt
            .counters
            .map(|key| counts.counters.get(&key).copied().unwrap_or_default());
        let known = counts.known.get(&attempt.known).copied();
        let (states, claimed) = attempt.claim(counters, known, now);
        if matches!(claimed, Claimed::Allowed(_)) {
            make_room(&mut counts.counters, self.capacity, now, |it| {
                it.forgotten_at()
            });
        }
        for (key, state) in attempt.counters.into_iter().zip(states) {
            if state.forgotten_at() > now {
                counts.counters.insert(key, state);
            }
        }
        Ok(claimed)
    }

    async fn give_back(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        now: i64,
    ) -> Result<(), StoreError> {
        drop(self.change(attempt, |states| attempt.give_back(states, counted), now));
        Ok(())
    }

    async fn succeed(
        &self,
        attempt: &Attempt,
        counted: &[Counted; 3],
        known_until: i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut counts = self.change(attempt, |states| attempt.succeed(states, counted), now);
        make_room(&mut counts.known, self.capacity, now, |it| it.until);
        let known = KnownClient {
            client: attempt.client,
            until: known_until,
        };
        counts.known.insert(attempt.known, known);
        Ok(())
    }
}
