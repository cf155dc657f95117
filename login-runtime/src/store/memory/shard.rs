//! The rows of the store, in hash maps behind one lock.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use crate::store::{FamilyKey, LoginKey, LoginOwner, LoginRecord, TokenFamily};

type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<KeyHasher>>;

/// The rows of the keys that begin with certain bytes.
///
/// Values are boxed because a hash map may have room for twice as many rows as it has.
#[derive(Default)]
pub(super) struct Shard {
    pub(super) logins: KeyMap<LoginKey, Box<Login>>,
    pub(super) families: KeyMap<FamilyKey, Box<TokenFamily>>,
    /// Revoked sessions.
    pub(super) revoked_sessions: KeyMap<LoginKey, Box<Revocation>>,
}

/// A [`LoginOwner`] with its own copies of the texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OwnerKey {
    /// The first field, so that few comparisons read the texts, which are elsewhere in memory. Two
    /// owners may have the same hash.
    pub(super) hash: u64,
    user_id: Box<str>,
    user_type: Box<str>,
}

impl OwnerKey {
    /// The same, from texts that are not needed any more.
    pub(super) fn of(user_type: String, user_id: String) -> Self {
        let owner = LoginOwner {
            user_type: &user_type,
            user_id: &user_id,
        };
        Self {
            hash: hash_of(owner),
            user_id: user_id.into(),
            user_type: user_type.into(),
        }
    }
}

impl From<LoginOwner<'_>> for OwnerKey {
    fn from(owner: LoginOwner<'_>) -> Self {
        Self {
            hash: hash_of(owner),
            user_id: owner.user_id.into(),
            user_type: owner.user_type.into(),
        }
    }
}

fn hash_of(owner: LoginOwner<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    owner.hash(&mut hasher);
    hasher.finish()
}

/// When a revocation may be deleted, its number, and the session.
pub(super) type RevocationKey = (i64, u64, LoginKey);

/// The revocation of a session.
pub(super) struct Revocation {
    /// The time after which it may be deleted.
    pub(super) until: i64,
    /// Counts the revocations of the store: of two with the same time, the older one is deleted first.
    pub(super) number: u64,
    pub(super) owner: OwnerKey,
}

impl Revocation {
    /// Its row in the index.
    pub(super) fn row(&self, session: LoginKey) -> (OwnerKey, RevocationKey) {
        (self.owner.clone(), (self.until, self.number, session))
    }
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

    /// The keys of up to `limit` revocations that are no longer needed.
    pub(super) fn old_revocations(&self, limit: usize, now: i64) -> Vec<LoginKey> {
        let all = self.revoked_sessions.iter();
        let old = all.filter(|(_, revocation)| revocation.until <= now);
        old.map(|(key, _)| *key).take(limit).collect()
    }

    /// Frees memory, but keeps room for twice as many rows as there are.
    pub(super) fn shrink(&mut self) {
        self.logins.shrink_to(2 * self.logins.len());
        self.families.shrink_to(2 * self.families.len());
        self.revoked_sessions
            .shrink_to(2 * self.revoked_sessions.len());
    }
}

/// A login. The texts that are only shown to people are kept apart from the rest of its record.
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

/// A hasher for keys that are random bytes.
///
/// Clients cannot choose such keys, so they cannot cause collisions. The default hasher prevents
/// collisions for any keys, but with it each look-up would take about 50 % more instructions.
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
    fn keys_that_differ_in_one_byte_have_different_lowest_bits() {
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
    fn a_shard_frees_memory_when_it_shrinks() {
        let mut shard = Shard::default();
        let key = |number: u16| LoginKey([number.to_le_bytes(); 16].concat().try_into().unwrap());
        shard.revoked_sessions.extend((0..1000).map(|number| {
            let owner = LoginOwner {
                user_type: "",
                user_id: "",
            };
            let revocation = Revocation {
                until: i64::from(number),
                number: u64::from(number),
                owner: owner.into(),
            };
            (key(number), Box::new(revocation))
        }));
        shard.shrink();
        assert!(shard.revoked_sessions.capacity() >= 1000);
        for (limit, found) in [(900, 900), (1_000, 990)] {
            assert_eq!(shard.old_revocations(limit, 989).len(), found);
        }
        for key in shard.old_revocations(1_000, 989) {
            shard.revoked_sessions.remove(&key);
        }
        shard.shrink();
        assert!(shard.revoked_sessions.capacity() < 100);
        assert!(shard.revoked_sessions.contains_key(&key(990)));
    }
}
