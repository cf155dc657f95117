//! The index: which rows belong to which owner and family, and the texts that logins share.
//!
//! These are ordered sets and maps, because a hash set moves all its elements when it grows, and all calls
//! would wait for that.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use super::shard::{Login, OwnerKey, RevocationKey};
use crate::store::{FamilyKey, LoginKey, LoginOwner, LoginRecord};

#[derive(Default)]
pub(super) struct Index {
    /// Each login, by its owner.
    pub(super) logins: BTreeSet<(OwnerKey, LoginKey)>,
    /// Each family of remember tokens, by its owner.
    pub(super) families: BTreeSet<(OwnerKey, FamilyKey)>,
    /// Each revocation of a session, by the user whose session it was; of one user, the one that may be
    /// deleted first comes first.
    pub(super) revocations: BTreeSet<(OwnerKey, RevocationKey)>,
    /// How many revocations there are of the owners with the same hash, most often of one owner.
    revoked_by_hash: BTreeMap<u64, usize>,
    /// Each login that has a family, by the family, which may have expired before.
    pub(super) family_logins: BTreeSet<(FamilyKey, LoginKey)>,
    /// Texts that many logins have in common.
    pub(super) texts: BTreeSet<Arc<str>>,
    /// How many revocations were stored, those that are deleted by now included.
    pub(super) revoked: u64,
    /// When expired rows were last deleted to make room.
    pub(super) made_room_at: Option<i64>,
    /// The shard at which the last purge reached its limit.
    pub(super) purge_from: u8,
}

impl Index {
    pub(super) fn logins_of(&self, owner: OwnerKey) -> Vec<LoginKey> {
        under(&self.logins, owner, LoginKey([0; 32]))
    }

    pub(super) fn families_of(&self, owner: OwnerKey) -> Vec<FamilyKey> {
        under(&self.families, owner, FamilyKey([0; 16]))
    }

    /// Adds a revocation.
    pub(super) fn add_revocation(&mut self, row: (OwnerKey, RevocationKey)) {
        *self.revoked_by_hash.entry(row.0.hash).or_default() += 1;
        self.revocations.insert(row);
    }

    pub(super) fn remove_revocation(&mut self, row: &(OwnerKey, RevocationKey)) {
        self.revocations.remove(row);
        if let Entry::Occupied(mut count) = self.revoked_by_hash.entry(row.0.hash) {
            let left = count.get().saturating_sub(1);
            *count.get_mut() = left;
            if left == 0 {
                count.remove();
            }
        }
    }

    /// How many revocations an owner has beyond this number.
    pub(super) fn surplus_revocations(
        &self,
        owner: LoginOwner<'_>,
        hash: u64,
        max: usize,
    ) -> usize {
        let count = self.revoked_by_hash.get(&hash);
        if count.is_none_or(|count| *count <= max) {
            // They need not be counted one by one.
            return 0;
        }
        self.revocations_of(&owner.into())
            .count()
            .saturating_sub(max)
    }

    /// The revocations of an owner, those first that may be deleted first.
    pub(super) fn revocations_of(&self, owner: &OwnerKey) -> impl Iterator<Item = LoginKey> {
        let from = (owner.clone(), (i64::MIN, 0, LoginKey([0; 32])));
        let revocations = self.revocations.range(from..);
        let revocations = revocations.take_while(move |(found, _)| found == owner);
        revocations.map(|(_, (_, _, session))| *session)
    }

    /// Whether an owner has at least this many logins, which may have expired.
    pub(super) fn has_logins(&self, owner: OwnerKey, many: usize) -> bool {
        let from = (owner, LoginKey([0; 32]));
        let logins = self.logins.range(&from..);
        logins
            .take_while(|login| login.0 == from.0)
            .take(many)
            .count()
            == many
    }

    pub(super) fn logins_of_family(&self, family: FamilyKey) -> Vec<LoginKey> {
        under(&self.family_logins, family, LoginKey([0; 32]))
    }

    pub(super) fn add_login(&mut self, key: LoginKey, login: &Login) {
        self.logins.insert((login.bare.owner().into(), key));
        self.family_logins
            .extend(login.bare.family.map(|family| (family, key)));
    }

    pub(super) fn remove_login(&mut self, key: LoginKey, login: Login) {
        let LoginRecord {
            user_type,
            user_id,
            family,
            ..
        } = login.bare;
        self.logins.remove(&(OwnerKey::of(user_type, user_id), key));
        if let Some(family) = family {
            self.family_logins.remove(&(family, key));
        }
        self.release_text(login.method);
        self.release_text(login.user_agent);
    }

    /// Makes a login from a record. Texts that other logins have too are stored only once.
    pub(super) fn login(&mut self, record: &LoginRecord) -> Login {
        Login {
            bare: LoginRecord {
                user_type: record.user_type.clone(),
                user_id: record.user_id.clone(),
                hash: record.hash.clone(),
                method: String::new(),
                user_agent: String::new(),
                address: String::new(),
                ..*record
            },
            method: self.share_text(&record.method),
            user_agent: self.share_text(&record.user_agent),
            address: record.address.as_str().into(),
        }
    }

    /// Returns the stored copy of a text, and stores it if there is none.
    fn share_text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return Arc::clone(shared);
        }
        let shared = Arc::from(text);
        self.texts.insert(Arc::clone(&shared));
        shared
    }

    fn release_text(&mut self, text: Arc<str>) {
        // The index has one reference, and `text` is the other, so no login uses the text.
        if Arc::strong_count(&text) == 2 {
            self.texts.remove(&text);
        }
    }
}

/// The owners who have the most rows, and how many rows each has to give up so that together they give up
/// `many`. None gives up its only row, so there may be fewer.
pub(super) fn fullest<K>(rows: &BTreeSet<(OwnerKey, K)>, many: usize) -> Vec<(OwnerKey, usize)> {
    let mut owners: Vec<(&OwnerKey, usize)> = Vec::new();
    for (owner, _) in rows {
        match owners.last_mut() {
            Some((last, count)) if *last == owner => *count += 1,
            _ => owners.push((owner, 1)),
        }
    }
    owners.retain(|(_, count)| *count > 1);
    owners.sort_unstable_by_key(|(_, count)| Reverse(*count));
    // All of the first `taking` owners are cut down to the same number of rows, step by step.
    let (mut given, mut left) = (vec![0; owners.len()], many);
    let mut taking = 0;
    while left > 0 {
        let Some((_, most)) = owners.get(taking).copied() else {
            break;
        };
        let next = owners[taking..].iter().find(|(_, count)| *count < most);
        let next = next.map_or(1, |(_, count)| *count);
        while owners.get(taking).is_some_and(|(_, count)| *count == most) {
            taking += 1;
        }
        for level in (next..most).rev() {
            for ((_, count), given) in owners[..taking].iter().zip(&mut given) {
                if left == 0 {
                    break;
                }
                *given = count - level;
                left -= 1;
            }
        }
    }
    let owners = owners.into_iter().map(|(owner, _)| owner.clone());
    let pairs = owners.zip(given);
    pairs.filter(|(_, given)| *given > 0).collect()
}

/// The second halves of all pairs with this first half.
fn under<A: Ord, B: Copy + Ord>(pairs: &BTreeSet<(A, B)>, first: A, lowest: B) -> Vec<B> {
    let from = (first, lowest);
    let pairs = pairs.range(&from..).take_while(|pair| pair.0 == from.0);
    pairs.map(|(_, second)| *second).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_have_the_most_rows_give_up_some() {
        fn owner(index: usize) -> OwnerKey {
            let user_id = &*index.to_string();
            let user_type = "";
            LoginOwner { user_type, user_id }.into()
        }
        let counts = [5_u8, 3, 1, 5];
        let mut rows = BTreeSet::new();
        for (index, count) in counts.iter().enumerate() {
            for row in 0..*count {
                rows.insert((owner(index), row));
            }
        }
        for (many, expected) in [
            (1, [1, 0, 0, 0]),
            (2, [1, 0, 0, 1]),
            (3, [2, 0, 0, 1]),
            (4, [2, 0, 0, 2]),
            (7, [3, 1, 0, 3]),
            // Nobody loses the only row.
            (100, [4, 2, 0, 4]),
        ] {
            let given = fullest(&rows, many);
            let found = [0, 1, 2, 3].map(|index| {
                let mut given = given.iter().filter(|given| given.0 == owner(index));
                given.next().map_or(0, |given| given.1)
            });
            let total: usize = expected.iter().sum();
            assert_eq!(found.iter().sum::<usize>(), total, "{many}");
            // The two who have equally many are in no order.
            let mut pair = [found[0], found[3]];
            pair.sort_unstable();
            assert_eq!(pair, [expected[3], expected[0]], "{many}");
            assert_eq!([found[1], found[2]], [expected[1], expected[2]], "{many}");
        }
        assert!(fullest(&BTreeSet::<(OwnerKey, u8)>::new(), 1).is_empty());
    }

    #[test]
    fn revocations_beyond_a_number_are_counted_for_each_owner() {
        let mut index = Index::default();
        let owner = |user_id| LoginOwner {
            user_type: "",
            user_id,
        };
        let row = |user_id, number: u64| {
            let key = LoginKey::from_bytes([u8::try_from(number).unwrap(); 32]);
            (OwnerKey::from(owner(user_id)), (1, number, key))
        };
        for number in 0..5 {
            index.add_revocation(row("ada", number));
        }
        index.add_revocation(row("ben", 5));
        let surplus = |index: &Index, user_id, max| {
            let hash = OwnerKey::from(owner(user_id)).hash;
            index.surplus_revocations(owner(user_id), hash, max)
        };
        for (max, expected) in [(0, 5), (3, 2), (4, 1), (5, 0), (usize::MAX, 0)] {
            assert_eq!(surplus(&index, "ada", max), expected, "{max}");
        }
        assert_eq!(
            (surplus(&index, "ben", 0), surplus(&index, "cy", 0)),
            (1, 0)
        );
        // Of another owner with the same hash.
        let hash = OwnerKey::from(owner("ada")).hash;
        assert_eq!(index.surplus_revocations(owner("ben"), hash, 1), 0);
        for number in 0..5 {
            index.remove_revocation(&row("ada", number));
        }
        assert_eq!(surplus(&index, "ada", 0), 0);
        index.remove_revocation(&row("ben", 5));
        assert!(index.revoked_by_hash.is_empty() && index.revocations.is_empty());
    }

    #[test]
    fn a_text_is_kept_once_and_only_while_it_is_used() {
        let mut index = Index::default();
        let (first, second) = (index.share_text("browser"), index.share_text("browser"));
        let other = index.share_text("Browser");
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(
            (&*first, &*other, index.texts.len()),
            ("browser", "Browser", 2)
        );
        index.release_text(first);
        index.release_text(other);
        assert_eq!(index.texts.len(), 1);
        index.release_text(second);
        assert_eq!(index.texts.len(), 0);
    }
}
