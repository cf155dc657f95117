//! The rows of the store, in hash maps behind one lock.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use crate::store::{FamilyKey, LoginKey, LoginRecord, TokenFamily};

type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// A part of all rows: those whose keys begin alike.
///
/// Values are boxed because a hash map may have twice as much room as it has rows.
#[derive(Default)]
pub(super) struct Shard {
    pub(super) logins: KeyMap<LoginKey, Box<Login>>,
    pub(super) families: KeyMap<FamilyKey, Box<TokenFamily>>,
    /// Ended sessions, each with the time until which it is remembered.
    pub(super) ended_sessions: KeyMap<LoginKey, i64>,
}

impl Shard {
    /// A login that has not expired.
    pub(super) fn live_login(&self, key: &LoginKey, now: i64) -> Option<&Login> {
        let login = self.logins.get(key)?;
        (now < login.bare.expires_at).then_some(login)
    }

    /// The keys of up to `limit` rows that pass the tests.
    pub(super) fn find(
        &self,
        limit: usize,
        login_test: impl Fn(&Login) -> bool,
        family_test: impl Fn(&TokenFamily) -> bool,
    ) -> (Vec<LoginKey>, Vec<FamilyKey>) {
        let logins = self.logins.iter().filter(|(_, login)| login_test(login));
        let logins: Vec<_> = logins.map(|(key, _)| *key).take(limit).collect();
        let families = self.families.iter();
        let families = families.filter(|(_, family)| family_test(family));
        let families = families.map(|(key, _)| *key).take(limit - logins.len());
        (logins, families.collect())
    }

    /// Deletes up to `limit` notes of ended sessions that are no longer needed. How many there were.
    pub(super) fn delete_notes(&mut self, limit: usize, now: i64) -> usize {
        let over = self.ended_sessions.extract_if(|_, until| *until <= now);
        over.take(limit).count()
    }

    /// Gives memory back, but keeps room for twice as many rows.
    pub(super) fn shrink(&mut self) {
        self.logins.shrink_to(2 * self.logins.len());
        self.families.shrink_to(2 * self.families.len());
        self.ended_sessions.shrink_to(2 * self.ended_sessions.len());
    }
}

/// A login, whose texts for people to read are kept apart from the rest of its record.
pub(super) struct Login {
    /// The record without `method`, `user_agent` and `address`.
    pub(super) bare: LoginRecord,
    pub(super) method: Arc<str>,
    pub(super) user_agent: Arc<str>,
    pub(super) address: Box<str>,
}

impl Login {
    pub(super) fn record(&self) -> LoginRecord {
        LoginRecord {
            method: (*self.method).to_owned(),
            user_agent: (*self.user_agent).to_owned(),
            address: (*self.address).to_owned(),
            ..self.bare.clone()
        }
    }
}

/// Hashes keys that are random bytes.
///
/// Clients cannot choose such keys, so they cannot make them collide. The default hasher prevents that
/// for any keys; with it, each look-up would take about half as many instructions again.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks().0 {
            let word = u128::from(self.0 ^ u64::from_le_bytes(*word));
            let product = word * 0x9e37_79b9_7f4a_7c15;
            // Each bit of the word reaches the lower half of the product, or the upper half.
            self.0 = (product ^ product >> 64) as u64;
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::BuildHasher};

    use super::*;

    #[test]
    fn hashes_differ_in_their_lowest_bits_whichever_byte_of_a_key_differs() {
        let map: KeyMap<LoginKey, ()> = KeyMap::default();
        for place in 0..32 {
            let hashes = (0..=255).map(|byte| {
                let mut key = [0; 32];
                key[place] = byte;
                map.hasher().hash_one(LoginKey(key)) % 256
            });
            let different = hashes.collect::<HashSet<_>>().len();
            assert!(different > 128, "byte {place}: {different} of 256");
        }
    }

    #[test]
    fn a_shard_gives_memory_back_when_it_shrinks() {
        let mut shard = Shard::default();
        let key = |number: u16| LoginKey([number.to_le_bytes(); 16].concat().try_into().unwrap());
        shard
            .ended_sessions
            .extend((0..1000).map(|number| (key(number), i64::from(number))));
        shard.shrink();
        assert!(shard.ended_sessions.capacity() >= 1000);
        assert_eq!(shard.delete_notes(900, 989), 900);
        assert_eq!(shard.delete_notes(900, 989), 90);
        shard.shrink();
        assert!(shard.ended_sessions.capacity() < 100);
        assert_eq!(shard.ended_sessions.get(&key(990)), Some(&990));
    }
}
