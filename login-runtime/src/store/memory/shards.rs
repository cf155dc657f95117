//! Maps in parts, each with a lock of its own.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Into how many parts each kind of row is divided, each with a lock of its own.
///
/// Raising it lets more threads in at once, and makes a purge hold each lock for less long; each part
/// costs a little memory.
pub(super) const SHARDS: usize = 32;

/// How many times what is left in a part there has to be room for until the part gives it back.
///
/// Raising it keeps more memory for longer; lowering it has more rows moved when it is given back,
/// for which others wait.
const FEW: usize = 16;

/// A map in parts.
pub(super) struct Shards<K, V, S> {
    parts: Box<[Mutex<HashMap<K, V, S>>; SHARDS]>,
    hasher: S,
}

/// A hasher for keys that are random: nobody can choose them so that they collide.
pub(super) type RandomKeys = BuildHasherDefault<RandomKeyHasher>;

/// Odd, and with no pattern to its bits: each bit of a key gets to many of its hash.
const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;

#[derive(Default)]
pub(super) struct RandomKeyHasher(u64);

impl Hasher for RandomKeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // All of it, and mixed: keys in tests are not random.
        for word in bytes.as_chunks().0 {
            let word = self.0 ^ u64::from_le_bytes(*word);
            let product = u128::from(word) * FACTOR;
            self.0 = (product ^ product >> 64) as u64;
        }
    }

    fn write_usize(&mut self, _: usize) {
        // How long a key is: all are of the same length.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<K, V, S: Default> Default for Shards<K, V, S> {
    fn default() -> Self {
        Self {
            parts: Box::new(std::array::from_fn(|_| Mutex::default())),
            hasher: S::default(),
        }
    }
}

/// A panic elsewhere does not make the data wrong: every change here is whole before it is shown.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Shards<K, V, S> {
    /// The part in which a key is, if it is anywhere.
    pub(super) fn part(&self, key: &(impl Hash + ?Sized)) -> MutexGuard<'_, HashMap<K, V, S>> {
        // Not of the bits by which the map itself goes: those would be the same for all in a part.
        let hash = self.hasher.hash_one(key) >> 40;
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        lock(&self.parts[index])
    }

    /// Looks at what is there.
    pub(super) fn look<Q: Eq + Hash + ?Sized, T>(
        &self,
        key: &Q,
        look: impl FnOnce(&K, &V) -> T,
    ) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let part = self.part(key);
        let (key, value) = part.get_key_value(key)?;
        Some(look(key, value))
    }

    /// Removes what is there and still so.
    pub(super) fn remove_if<Q: Eq + Hash + ?Sized>(
        &self,
        key: &Q,
        so: impl FnOnce(&K, &V) -> bool,
    ) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let mut part = self.part(key);
        part.get_key_value(key)
            .filter(|(key, value)| so(key, value))?;
        part.remove_entry(key)
    }

    /// What is made of some of a part: of those of which anything is.
    pub(super) fn pick<T>(
        &self,
        part: usize,
        limit: usize,
        pick: impl Fn(&K, &V) -> Option<T>,
    ) -> Vec<T> {
        let part = lock(&self.parts[part]);
        let picked = part.iter().filter_map(|(key, value)| pick(key, value));
        picked.take(limit).collect()
    }

    /// All parts, locked.
    pub(super) fn lock_all(&self) -> Vec<MutexGuard<'_, HashMap<K, V, S>>> {
        self.parts.iter().map(lock).collect()
    }

    /// All there is, of which nothing is left. It is up to the caller when to drop it, which takes a
    /// while.
    pub(super) fn take(&self) -> Vec<HashMap<K, V, S>> {
        let parts = self.parts.iter();
        parts.map(|part| mem::take(&mut *lock(part))).collect()
    }

    /// Gives back the memory that a part took at its fullest, if little of it is left.
    pub(super) fn give_back(&self, part: usize) {
        let mut part = lock(&self.parts[part]);
        if part.len() < part.capacity() / FEW {
            // Room for as many again, or the next ones would have it grow at once.
            let room = 2 * part.len();
            part.shrink_to(room);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_whatever_they_differ_in() {
        let hasher = RandomKeys::default();
        for place in 0..32 {
            let mut parts = [0; SHARDS];
            for byte in 0..=255 {
                let mut key = [0_u8; 32];
                key[place] = byte;
                parts[(hasher.hash_one(key) >> 40) as usize % SHARDS] += 1;
            }
            let most = parts.iter().max().unwrap();
            assert!(*most <= 64, "{place}: {parts:?}");
        }
    }

    #[test]
    fn memory_is_given_back_when_little_is_left() {
        let shards: Shards<[u8; 8], (), RandomKeys> = Shards::default();
        let room = || -> usize { shards.lock_all().iter().map(|part| part.capacity()).sum() };
        let (keys, left) = (0_u64..10_000, 0_u64..100);
        for key in keys.clone() {
            shards
                .part(&key.to_le_bytes())
                .insert(key.to_le_bytes(), ());
        }
        let give_back = || (0..SHARDS).for_each(|part| shards.give_back(part));
        give_back();
        let fullest = room();
        assert!(fullest >= 10_000);
        for key in keys.skip(100) {
            shards.remove_if(&key.to_le_bytes(), |_, ()| true);
        }
        give_back();
        assert!(room() < fullest / 8);
        for key in left {
            let removed = shards.remove_if(&key.to_le_bytes(), |_, ()| true);
            assert!(removed.is_some(), "what is left is still found");
        }
        give_back();
        assert!(room() < SHARDS * FEW && shards.len() == 0);
    }
}
