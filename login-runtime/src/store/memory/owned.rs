//! What belongs to a user.

use std::{
    borrow::Borrow,
    collections::HashSet,
    hash::{Hash, Hasher},
    mem,
};

use super::{row::Row, shards::RandomKeys};
use crate::store::{FamilyKey, LoginKey};

/// What belongs to a user, found by whose it is.
#[derive(Default)]
pub(super) enum Owned {
    #[default]
    Nothing,
    /// A login, which says whose it is. So it is for most users; this takes nothing but a pointer.
    One(Row),
    More(Box<More>),
}

pub(super) struct More {
    owner: Box<str>,
    logins: HashSet<Row, RandomKeys>,
    families: HashSet<FamilyKey, RandomKeys>,
}

impl Owned {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn logins(&self) -> impl Iterator<Item = &Row> {
        let (one, more) = match self {
            Self::Nothing => (None, None),
            Self::One(row) => (Some(row), None),
            Self::More(more) => (None, Some(&more.logins)),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    pub(super) fn families(&self) -> impl Iterator<Item = &FamilyKey> {
        let families = match self {
            Self::More(more) => Some(&more.families),
            _ => None,
        };
        families.into_iter().flatten()
    }

    pub(super) fn insert(&mut self, row: Row) {
        *self = match mem::take(self) {
            Self::Nothing => Self::One(row),
            some => {
                let mut more = some.into_more(row.owner());
                more.logins.insert(row);
                Self::More(more)
            }
        };
    }

    pub(super) fn insert_family(&mut self, owner: &str, key: FamilyKey) {
        let mut more = mem::take(self).into_more(owner);
        more.families.insert(key);
        *self = Self::More(more);
    }

    pub(super) fn remove(&mut self, key: &LoginKey) {
        *self = match mem::take(self) {
            Self::One(row) if row.key() == key => Self::Nothing,
            Self::More(mut more) => {
                more.logins.remove(key);
                more.settled()
            }
            other => other,
        };
    }

    pub(super) fn remove_family(&mut self, key: &FamilyKey) {
        *self = match mem::take(self) {
            Self::More(mut more) => {
                more.families.remove(key);
                more.settled()
            }
            other => other,
        };
    }

    fn into_more(self, owner: &str) -> Box<More> {
        let login = match self {
            Self::More(more) => return more,
            Self::One(row) => Some(row),
            Self::Nothing => None,
        };
        Box::new(More {
            owner: owner.into(),
            logins: login.into_iter().collect(),
            families: HashSet::default(),
        })
    }

    /// By what the owner is found; nothing belongs to nobody.
    fn owner(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::One(row) => row.owner(),
            Self::More(more) => &more.owner,
        }
    }
}

impl More {
    /// What is left after something was removed.
    fn settled(self: Box<Self>) -> Owned {
        if !self.families.is_empty() || self.logins.len() > 1 {
            return Owned::More(self);
        }
        let login = self.logins.into_iter().next();
        login.map_or(Owned::Nothing, Owned::One)
    }
}

impl Hash for Owned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.owner().hash(state);
    }
}

impl PartialEq for Owned {
    fn eq(&self, other: &Self) -> bool {
        self.owner() == other.owner()
    }
}

impl Eq for Owned {}

impl Borrow<str> for Owned {
    fn borrow(&self) -> &str {
        self.owner()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::common::Commons, *};
    use crate::store::LoginRecord;

    fn row(key: u8) -> Row {
        let record = LoginRecord {
            user_type: String::new(),
            user_id: "7".to_owned(),
            created_at: 100,
            authenticated_at: 100,
            last_seen: 100,
            expires_at: 200,
            fresh: true,
            allow_inactive: false,
            method: "password".to_owned(),
            client: 1,
            user_agent: "suite/1".to_owned(),
            address: "192.0.2.1".to_owned(),
            hash: None,
            family: None,
        };
        let common = Commons::default().share(&record.method, &record.user_agent);
        Row::new(LoginKey::from_bytes([key; 32]), &record, common)
    }

    fn keys(owned: &Owned) -> Vec<u8> {
        let mut keys: Vec<_> = owned.logins().map(|row| row.key().as_bytes()[0]).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_user_with_one_login_takes_little() {
        assert!(size_of::<Owned>() <= 2 * size_of::<usize>());
        let mut owned = Owned::default();
        owned.insert(row(1));
        assert!(matches!(owned, Owned::One(_)));
        for _ in 0..2 {
            owned.insert(row(2));
            assert!(matches!(owned, Owned::More(_)));
            owned.remove(row(2).key());
            assert!(matches!(owned, Owned::One(_)), "as before");
        }
    }

    #[test]
    fn what_belongs_to_a_user_comes_and_goes() {
        let owner = row(1).owner().to_owned();
        let (first, second) = (FamilyKey([1; 16]), FamilyKey([2; 16]));
        let mut owned = Owned::default();
        assert!(owned.is_nothing() && keys(&owned).is_empty());
        for key in [3, 1, 2, 3] {
            owned.insert(row(key));
            assert_eq!(owned.owner(), owner);
        }
        owned.insert_family(&owner, first);
        owned.insert_family(&owner, second);
        assert_eq!(keys(&owned), [1, 2, 3]);
        owned.remove(row(9).key());
        owned.remove_family(&FamilyKey([9; 16]));
        owned.remove_family(&first);
        assert!(owned.families().eq([&second]));
        for key in 1..=3 {
            assert!(keys(&owned).contains(&key));
            owned.remove(row(key).key());
            assert!(!keys(&owned).contains(&key));
            assert_eq!(owned.owner(), owner, "a family is left");
        }
        owned.remove_family(&second);
        assert!(owned.is_nothing());
        owned.insert_family(&owner, first);
        owned.insert(row(1));
        owned.remove_family(&first);
        assert!(matches!(owned, Owned::One(_)));
        owned.remove_family(&first);
        owned.remove(row(2).key());
        assert_eq!(keys(&owned), [1]);
    }
}
