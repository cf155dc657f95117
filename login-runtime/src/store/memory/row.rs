//! A login as it is kept, in a fraction of the memory that a [`LoginRecord`] takes.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use super::{
    common::Common,
    packed::{Texts, pack},
};
use crate::store::{FamilyKey, LoginKey, LoginOwner, LoginRecord};

/// A login, found by its key. A clone is the same login.
#[derive(Clone)]
pub(super) struct Row(Arc<Fields>);

struct Fields {
    key: LoginKey,
    created_at: i64,
    authenticated_at: i64,
    expires_at: i64,
    client: u64,
    allow_inactive: bool,
    // These two change, and only while the part of the logins that the row is in is locked: who has
    // it locked sees both as they were at one time.
    fresh: AtomicBool,
    last_seen: AtomicI64,
    family: Option<FamilyKey>,
    common: Common,
    /// User type and user id first, which is what the owner is found by; then the address, and the
    /// hash if there is one.
    packed: Box<str>,
}

/// By what an owner is found.
pub(super) fn owner_key(owner: LoginOwner<'_>) -> Box<str> {
    pack(&[owner.user_type, owner.user_id])
}

impl Row {
    pub(super) fn new(key: LoginKey, record: &LoginRecord, common: Common) -> Self {
        let (user_type, user_id, address) =
            (&*record.user_type, &*record.user_id, &*record.address);
        let packed = match &record.hash {
            Some(hash) => pack(&[user_type, user_id, address, hash]),
            None => pack(&[user_type, user_id, address]),
        };
        Self(Arc::new(Fields {
            key,
            created_at: record.created_at,
            authenticated_at: record.authenticated_at,
            expires_at: record.expires_at,
            client: record.client,
            allow_inactive: record.allow_inactive,
            fresh: AtomicBool::new(record.fresh),
            last_seen: AtomicI64::new(record.last_seen),
            family: record.family,
            common,
            packed,
        }))
    }

    /// What it was made of, and what became of it.
    pub(super) fn record(&self) -> LoginRecord {
        let (mut common, mut own) = (self.0.common.texts(), Texts::of(&self.0.packed));
        // What was packed is there: none of these is ever missing.
        let text = |texts: &mut Texts<'_>| texts.next().unwrap_or_default().to_owned();
        let bare = self.bare_record();
        LoginRecord {
            method: text(&mut common),
            user_agent: text(&mut common),
            address: own.nth(2).unwrap_or_default().to_owned(),
            ..bare
        }
    }

    /// The same without what is only for people to read.
    pub(super) fn bare_record(&self) -> LoginRecord {
        let mut own = Texts::of(&self.0.packed);
        let text = |texts: &mut Texts<'_>| texts.next().unwrap_or_default().to_owned();
        LoginRecord {
            user_type: text(&mut own),
            user_id: text(&mut own),
            created_at: self.0.created_at,
            authenticated_at: self.0.authenticated_at,
            last_seen: self.last_seen(),
            expires_at: self.0.expires_at,
            fresh: self.0.fresh.load(Ordering::Relaxed),
            allow_inactive: self.0.allow_inactive,
            method: String::new(),
            client: self.0.client,
            user_agent: String::new(),
            address: String::new(),
            hash: own.nth(1).map(str::to_owned),
            family: self.0.family,
        }
    }

    pub(super) fn key(&self) -> &LoginKey {
        &self.0.key
    }

    /// By what its owner is found.
    pub(super) fn owner(&self) -> &str {
        let mut texts = Texts::of(&self.0.packed);
        texts.nth(1);
        let length = self.0.packed.len() - texts.rest().len();
        &self.0.packed[..length]
    }

    pub(super) fn family(&self) -> Option<FamilyKey> {
        self.0.family
    }

    pub(super) fn common(&self) -> &Common {
        &self.0.common
    }

    pub(super) fn created_at(&self) -> i64 {
        self.0.created_at
    }

    pub(super) fn is_live(&self, now: i64) -> bool {
        now < self.0.expires_at
    }

    pub(super) fn last_seen(&self) -> i64 {
        self.0.last_seen.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, last_seen: i64) {
        self.0.last_seen.fetch_max(last_seen, Ordering::Relaxed);
    }

    pub(super) fn make_stale(&self) {
        self.0.fresh.store(false, Ordering::Relaxed);
    }
}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Row {}

impl Borrow<LoginKey> for Row {
    fn borrow(&self) -> &LoginKey {
        &self.0.key
    }
}

#[cfg(test)]
mod tests {
    use super::{super::common::Commons, *};

    fn plain() -> LoginRecord {
        LoginRecord {
            user_type: String::new(),
            user_id: "7".to_owned(),
            created_at: 100,
            authenticated_at: 90,
            last_seen: 110,
            expires_at: 200,
            fresh: true,
            allow_inactive: false,
            method: "password".to_owned(),
            client: 1,
            user_agent: "suite/1".to_owned(),
            address: "192.0.2.1".to_owned(),
            hash: None,
            family: None,
        }
    }

    fn row(record: &LoginRecord) -> Row {
        let common = Commons::default().share(&record.method, &record.user_agent);
        Row::new(LoginKey::from_bytes([7; 32]), record, common)
    }

    #[track_caller]
    fn check(record: LoginRecord) {
        let row = row(&record);
        assert_eq!(row.record(), record);
        assert_eq!(*row.owner(), *owner_key(record.owner()));
        assert_eq!(row.family(), record.family);
        assert_eq!(*row.key(), LoginKey::from_bytes([7; 32]));
    }

    #[test]
    fn any_record_reads_back_as_written() {
        check(plain());
        check(LoginRecord {
            created_at: i64::MIN,
            authenticated_at: i64::MAX,
            last_seen: -1,
            expires_at: i64::MAX,
            fresh: false,
            allow_inactive: true,
            client: u64::MAX,
            ..plain()
        });
        let texts = [
            String::new(),
            " ".to_owned(),
            "\0".to_owned(),
            "\u{7f}\u{80}".to_owned(),
            "ünï © 🦀".to_owned(),
            r#""'; -- \"""#.to_owned(),
            "203.0.113.77".to_owned(),
            "2001:db8::1%eth0".to_owned(),
            "AbCdEfGhIjKlMnOpQrStUv".to_owned(),
            "AbCdEfGhIjKlMnOpQrStUv==".to_owned(),
            "a".repeat(127),
            "a".repeat(128),
            "Mözilla/5.0 ".repeat(2000),
        ];
        for text in texts {
            for change in [
                (|record, text| record.user_type = text) as fn(&mut LoginRecord, String),
                |record, text| record.user_id = text,
                |record, text| record.method = text,
                |record, text| record.user_agent = text,
                |record, text| record.address = text,
                |record, text| record.hash = Some(text),
                |record, text| {
                    record.user_type = text.clone();
                    record.user_id = text.clone();
                    record.method = text.clone();
                    record.user_agent = text.clone();
                    record.address = text.clone();
                    record.hash = Some(text);
                },
            ] {
                for family in [
                    None,
                    Some(FamilyKey([0; 16])),
                    Some(FamilyKey([0xff; 16])),
                    Some(FamilyKey::with_tokens([9; 16])),
                    Some(FamilyKey::of_login(LoginKey::from_bytes([1; 32]))),
                ] {
                    let mut record = LoginRecord { family, ..plain() };
                    change(&mut record, text.clone());
                    check(record);
                }
            }
        }
    }

    #[test]
    fn what_changes_reads_back_as_changed() {
        let row = row(&plain());
        row.touch(120);
        row.touch(115);
        assert_eq!(row.last_seen(), 120);
        row.make_stale();
        let expected = LoginRecord {
            last_seen: 120,
            fresh: false,
            ..plain()
        };
        assert_eq!(row.record(), expected);
        assert_eq!(row.clone().record(), expected, "a clone is the same login");
    }

    #[test]
    fn a_login_is_over_from_the_second_it_expires() {
        let row = row(&plain());
        assert!(row.is_live(199) && !row.is_live(200));
    }

    #[test]
    fn owners_are_told_apart() {
        let owner = |user_type, user_id| owner_key(LoginOwner { user_type, user_id });
        assert_ne!(owner("ab", "c"), owner("a", "bc"));
        assert_ne!(owner("", "a"), owner("a", ""));
        assert_eq!(owner("a", "1"), owner("a", "1"));
    }
}
