//! The fingerprints of session hashes that were computed last.
//!
//! A request of a logged-in user compares the fingerprint that its login was made with against that of the
//! hash that the user has now. Most users have the same hash at each request, so the result of the HMAC is
//! kept for the texts that were seen last:
//!
//! 1. What decides is the whole text: a look-up with any other text finds nothing. A user with a new
//!    password is noticed at the next request.
//! 2. A text is only kept as a keyed hash of 128 bits (SipHash), under a key of its own. A dump of the
//!    memory shows no password hash that was not there before, and nobody without the application's secret
//!    can look for two texts with the same hash.
//! 3. Each secret of the application has its own table, so nothing is found under another secret, in another
//!    realm or by another manager. The name of the user type is a part of the text.
//! 4. The table has a fixed size. A new text replaces the oldest one of its set, so clients with many users
//!    make others compute again, and no more.

use std::{
    hash::Hasher as _,
    sync::{Mutex, OnceLock, PoisonError},
};

use derive_more::Debug;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use subtle::ConstantTimeEq as _;

/// The length of a fingerprint as text: base64 of sixteen bytes.
pub(super) const LEN: usize = 22;

/// The number of sets, a power of two.
///
/// Raising it lets more users have their fingerprints kept, for 200 bytes each set; lowering it saves that
/// memory.
const SETS: usize = 1024;

/// How many texts a set keeps.
///
/// Raising it makes it likelier that a text is kept although others fall into the same set; each look-up
/// compares as many.
const WAYS: usize = 4;

/// How many texts are kept in all.
#[cfg(test)]
pub(super) const KEPT: usize = SETS * WAYS;

/// The fingerprint of a user's session hash, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[debug("Fingerprint")]
pub(super) struct Fingerprint([u8; LEN]);

impl Fingerprint {
    pub(super) fn new(text: [u8; LEN]) -> Self {
        Self(text)
    }

    /// Whether another one, which a client or a store may have kept, is the same. Takes the same time for
    /// every text of the right length.
    pub(super) fn is(&self, kept: &[u8]) -> bool {
        let Ok(kept) = kept.try_into() else {
            return false;
        };
        // In a few words instead of byte by byte, each of which is hidden from the optimizer.
        let pairs = words(&self.0).into_iter().zip(words(kept));
        let differences = pairs.fold(0, |bits, (one, other)| bits | (one ^ other));
        differences.ct_eq(&0).into()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// The bytes of a fingerprint as numbers.
fn words(text: &[u8; LEN]) -> [u64; 3] {
    let mut bytes = [0; 24];
    bytes[..LEN].copy_from_slice(text);
    let (words, _) = bytes.as_chunks();
    [0, 1, 2].map(|at| words.get(at).map_or(0, |word| u64::from_le_bytes(*word)))
}

/// A keyed hash of a user type and a session hash.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest(u64, u64);

/// Texts that fall into the same place of the table, and where the next one goes.
#[derive(Default)]
struct Set {
    kept: [Option<(Digest, Fingerprint)>; WAYS],
    next: usize,
}

/// The table of one secret.
pub(super) struct Fingerprints {
    hasher: SipHasher13,
    /// Made when it is first used: most applications have one secret, and some have no session hashes.
    sets: OnceLock<Box<[Mutex<Set>]>>,
}

impl Fingerprints {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(key),
            sets: OnceLock::new(),
        }
    }

    /// The fingerprint of this hash of a user of this type. `compute` is called if it is not known.
    pub(super) fn get(
        &self,
        user_type: &str,
        hash: &[u8],
        compute: impl FnOnce() -> Option<Fingerprint>,
    ) -> Option<Fingerprint> {
        let digest = self.digest(user_type, hash);
        let sets = self.sets.get_or_init(|| {
            let sets = (0..SETS).map(|_| Mutex::default());
            sets.collect()
        });
        // The remainder of a power of two: the lowest bits.
        let Some(set) = sets.get(digest.0 as usize % SETS) else {
            return compute();
        };
        let known = |set: &Set| {
            let mut kept = set.kept.iter().flatten();
            kept.find(|(other, _)| *other == digest)
                .map(|(_, fingerprint)| *fingerprint)
        };
        if let Some(known) = known(&set.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Some(known);
        }
        let fingerprint = compute()?;
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let next = set.next;
        if let Some(place) = set.kept.get_mut(next) {
            *place = Some((digest, fingerprint));
        }
        set.next = (next + 1) % WAYS;
        Some(fingerprint)
    }

    fn digest(&self, user_type: &str, hash: &[u8]) -> Digest {
        let mut hasher = self.hasher;
        // The length first, so that the end of a user type cannot pass as the start of a hash.
        hasher.write(&(user_type.len() as u64).to_le_bytes());
        hasher.write(user_type.as_bytes());
        hasher.write(hash);
        let digest = hasher.finish128();
        Digest(digest.h1, digest.h2)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let sets = self.sets.get().into_iter().flatten();
        let sets = sets.map(|set| set.lock().unwrap_or_else(PoisonError::into_inner));
        sets.map(|set| set.kept.iter().flatten().count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, collections::HashSet, mem::size_of};

    use super::*;

    /// A fingerprint that shows which text it was made from.
    fn of(number: usize) -> Option<Fingerprint> {
        let text = format!("{number:022}");
        Some(Fingerprint::new(text.into_bytes().try_into().unwrap()))
    }

    #[test]
    fn only_the_same_fingerprint_is_the_same() {
        let text = "abcdefghijklmnopqrstuv";
        let fingerprint = Fingerprint::new(text.as_bytes().try_into().unwrap());
        assert!(fingerprint.is(text.as_bytes()));
        for at in 0..LEN {
            for bit in 0..8 {
                let mut other = text.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                assert!(!fingerprint.is(&other), "{at} {bit}");
            }
            assert!(!fingerprint.is(&text.as_bytes()[..at]), "{at}");
        }
        for longer in ["abcdefghijklmnopqrstuv\0", "abcdefghijklmnopqrstuvw"] {
            assert!(!fingerprint.is(longer.as_bytes()));
        }
    }

    #[test]
    fn a_text_is_computed_once() {
        let (table, computed) = (Fingerprints::new(&[1; 16]), Cell::new(0));
        let get = |user_type, hash: &str, number| {
            let fingerprint = table.get(user_type, hash.as_bytes(), || {
                computed.set(computed.get() + 1);
                of(number)
            });
            assert_eq!(fingerprint, of(number), "{user_type} {hash}");
        };
        for _ in 0..3 {
            get("user", "hash", 1);
            get("user", "hash2", 2);
            get("users", "hash", 3);
            get("use", "rhash", 4);
            get("", "userhash", 5);
            get("", "", 6);
        }
        assert_eq!(computed.get(), 6);
    }

    #[test]
    fn every_byte_of_a_hash_counts() {
        let table = Fingerprints::new(&[1; 16]);
        let text = [7; 100];
        table.get("", &text, || of(0));
        for at in 0..text.len() {
            let mut other = text;
            other[at] ^= 1;
            assert_eq!(table.get("", &other, || of(1)), of(1), "{at}");
            assert_eq!(table.get("", &text[..at], || of(2)), of(2), "{at}");
        }
        assert_eq!(table.get("", &text, || of(3)), of(0));
    }

    #[test]
    fn what_could_not_be_computed_is_not_kept() {
        let table = Fingerprints::new(&[1; 16]);
        assert_eq!(table.get("", b"hash", || None), None);
        assert_eq!(table.get("", b"hash", || of(1)), of(1));
        assert_eq!(table.get("", b"hash", || None), of(1));
    }

    #[test]
    fn a_table_does_not_grow_and_stays_right_however_many_users_there_are() {
        let table = Fingerprints::new(&[1; 16]);
        let computed = Cell::new(0);
        let get = |number: usize| {
            let text = number.to_string();
            table.get("user", text.as_bytes(), || {
                computed.set(computed.get() + 1);
                of(number)
            })
        };
        for round in 0..2 {
            for number in 0..20 * KEPT {
                assert_eq!(get(number), of(number), "{round} {number}");
            }
            assert_eq!(table.len(), KEPT);
        }
        assert!(size_of::<Mutex<Set>>() <= 256);
        // The last ones are kept, except for sets that got more than four of them.
        computed.set(0);
        (19 * KEPT + KEPT / 2..20 * KEPT).for_each(|number| {
            get(number);
        });
        assert!(computed.get() < KEPT / 8, "{}", computed.get());
    }

    #[test]
    fn users_are_spread_over_all_sets() {
        let table = Fingerprints::new(&[1; 16]);
        let sets = (0..20 * SETS).map(|number| {
            let digest = table.digest("user", number.to_string().as_bytes());
            digest.0 as usize % SETS
        });
        assert_eq!(sets.collect::<HashSet<_>>().len(), SETS);
    }

    #[test]
    fn tables_under_other_keys_choose_other_places() {
        let (one, other) = (Fingerprints::new(&[1; 16]), Fingerprints::new(&[2; 16]));
        assert!(one.digest("", b"hash") != other.digest("", b"hash"));
        one.get("", b"hash", || of(1));
        assert_eq!(other.get("", b"hash", || of(2)), of(2));
    }
}
