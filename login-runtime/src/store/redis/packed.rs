//! A login in one value, which is read without a look at each field.
//!
//! ```text
//! version                              at 0
//! owner (64 digits), family (32)       at 1 and 65, where scripts read them
//! fresh, last_seen, unseen_token       at 97, 98 and 106, where scripts write them
//! length of all, checksum              at 115 and 119
//! times, client, flags, texts          from 127
//! ```
//!
//! 1. Numbers are big-endian. A flag is `0` or `1`. Each text starts with its length. A login without a
//!    family has spaces in its place.
//! 2. A value is a login only if its length is the one that it states, its checksum is right, and nothing
//!    is missing or left over. The checksum finds damage and no forgery: a person who can write to Redis can
//!    log in as any user.
//! 3. What scripts read and write has a fixed place in front. The checksum leaves out what they write, so
//!    that they need not compute it.

use crate::core::{FamilyKey, LoginRecord};

/// The version of this form. Another form needs another one.
const VERSION: u8 = b'1';

/// A key as hexadecimal digits.
type Digits = [u8; 64];

const FAMILY: usize = 65;
const FRESH: usize = 97;
const LENGTH: usize = 115;
const REST: usize = 127;

/// In the place of a family.
const NO_FAMILY: [u8; 32] = [b' '; 32];

/// Whether the texts are wanted that are only shown to people.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
}

const fn flag(is_set: bool) -> u8 {
    if is_set { b'1' } else { b'0' }
}

/// The FNV-1a hash, over words of eight bytes. A change within one word always changes it.
fn checksum(names: &[u8], rest: &[u8]) -> u64 {
    let add = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3);
    let mut sum = 0xcbf2_9ce4_8422_2325;
    for part in [names, rest] {
        let (words, left) = part.as_chunks();
        sum = words
            .iter()
            .fold(sum, |sum, word| add(sum, u64::from_be_bytes(*word)));
        sum = left
            .iter()
            .fold(sum, |sum, byte| add(sum, u64::from(*byte)));
    }
    sum
}

/// The value of `last_seen`, as it stands in a packed login.
pub(super) fn time(time: i64) -> [u8; 8] {
    time.to_be_bytes()
}

/// Packs a login. `owner` is the name of its user in keys.
pub(super) fn write(record: &LoginRecord, owner: &Digits) -> Vec<u8> {
    let texts = [
        record.user_type.as_str(),
        &record.user_id,
        record.hash.as_deref().unwrap_or_default(),
        &record.method,
        &record.user_agent,
        &record.address,
    ]
    .map(str::as_bytes);
    let mut rest = Vec::with_capacity(128 + texts.iter().map(|text| text.len()).sum::<usize>());
    rest.extend(record.created_at.to_be_bytes());
    rest.extend(record.authenticated_at.to_be_bytes());
    rest.extend(record.expires_at.to_be_bytes());
    rest.extend(record.client.to_be_bytes());
    rest.push(flag(record.allow_inactive));
    rest.push(flag(record.hash.is_some()));
    for text in texts {
        rest.extend(len(text.len()));
        rest.extend(text);
    }

    let family = record.family.map_or(NO_FAMILY, |family| family.digits());
    let mut packed = Vec::with_capacity(REST + rest.len());
    packed.push(VERSION);
    packed.extend(owner);
    packed.extend(family);
    packed.push(flag(record.fresh));
    packed.extend(time(record.last_seen));
    packed.push(flag(record.unseen_token.is_some()));
    packed.extend(record.unseen_token.unwrap_or_default().to_be_bytes());
    packed.extend(len(REST + rest.len()));
    let sum = checksum(packed.get(1..FRESH).unwrap_or_default(), &rest);
    packed.extend(sum.to_be_bytes());
    packed.extend(rest);
    packed
}

/// A length that is too large for its place makes a value that is no login.
fn len(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_be_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.bytes()? {
            [b'0'] => Some(false),
            [b'1'] => Some(true),
            _ => None,
        }
    }

    fn len(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.bytes()?)).ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.len()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }
}

/// Reads a packed login. `None` if it is not exactly what [`write`] and the scripts write.
pub(super) fn read(packed: &[u8], shown: Shown) -> Option<LoginRecord> {
    if *packed.first()? != VERSION {
        return None;
    }
    let names = packed.get(1..FRESH)?;
    let family = match packed.get(FAMILY..FRESH)? {
        family if family == NO_FAMILY => None,
        family => Some(FamilyKey::parse(str::from_utf8(family).ok()?)?),
    };
    let mut head = Reader(packed.get(FRESH..LENGTH)?);
    let fresh = head.flag()?;
    let last_seen = head.number()?;
    let has_unseen_token = head.flag()?;
    let unseen_token = head.number()?;

    let mut reader = Reader(packed.get(LENGTH..)?);
    let len = reader.len()?;
    let expected = u64::from_be_bytes(reader.bytes()?);
    if len != packed.len() || expected != checksum(names, reader.0) {
        return None;
    }
    let created_at = reader.number()?;
    let authenticated_at = reader.number()?;
    let expires_at = reader.number()?;
    let client = reader.bytes().map(u64::from_be_bytes)?;
    let allow_inactive = reader.flag()?;
    let has_hash = reader.flag()?;
    let user_type = reader.text()?.to_owned();
    let user_id = reader.text()?.to_owned();
    let hash = reader.text()?;
    let mut shown_text = || {
        let text = reader.text()?;
        let wanted = if shown == Shown::Yes { text } else { "" };
        Some(wanted.to_owned())
    };
    let (method, user_agent, address) = (shown_text()?, shown_text()?, shown_text()?);
    if !reader.0.is_empty() {
        return None;
    }
    Some(LoginRecord {
        user_type,
        user_id,
        created_at,
        authenticated_at,
        last_seen,
        expires_at,
        fresh,
        allow_inactive,
        method,
        client,
        user_agent,
        address,
        hash: has_hash.then(|| hash.to_owned()),
        family,
        unseen_token: has_unseen_token.then_some(unseen_token),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Digits = [b'a'; 64];

    fn full() -> LoginRecord {
        LoginRecord {
            user_type: "realm/User".to_owned(),
            user_id: "\"ädä\"".to_owned(),
            created_at: 1_700_000_000,
            authenticated_at: -5,
            last_seen: i64::MAX,
            expires_at: i64::MIN,
            fresh: true,
            allow_inactive: true,
            method: "password".to_owned(),
            client: u64::MAX - 1,
            user_agent: "a browser\0".to_owned(),
            address: "::1".to_owned(),
            hash: Some(String::new()),
            family: Some(FamilyKey([0xc3; 16])),
            unseen_token: Some(7),
        }
    }

    fn empty() -> LoginRecord {
        LoginRecord {
            user_type: String::new(),
            user_id: String::new(),
            created_at: 0,
            authenticated_at: 0,
            last_seen: 0,
            expires_at: 0,
            fresh: false,
            allow_inactive: false,
            method: String::new(),
            client: 0,
            user_agent: String::new(),
            address: String::new(),
            hash: None,
            family: None,
            unseen_token: None,
        }
    }

    #[test]
    fn a_packed_login_reads_back_as_it_was_written() {
        for record in [full(), empty()] {
            let packed = write(&record, &OWNER);
            assert_eq!(read(&packed, Shown::Yes), Some(record));
        }
        let bare = LoginRecord {
            method: String::new(),
            user_agent: String::new(),
            address: String::new(),
            ..full()
        };
        assert_eq!(read(&write(&full(), &OWNER), Shown::No), Some(bare));
    }

    #[test]
    fn a_packed_login_that_is_cut_short_or_too_long_is_no_login() {
        for record in [full(), empty()] {
            let packed = write(&record, &OWNER);
            for len in 0..packed.len() {
                assert_eq!(read(&packed[..len], Shown::Yes), None, "{len}");
                assert_eq!(read(&packed[len + 1..], Shown::No), None, "from {len}");
            }
            for more in [vec![0], vec![b'0'; 4], packed.clone()] {
                let longer = [packed.clone(), more].concat();
                assert_eq!(read(&longer, Shown::Yes), None);
            }
        }
    }

    #[test]
    fn a_packed_login_with_a_damaged_bit_is_no_login() {
        let packed = write(&full(), &OWNER);
        // Scripts change the numbers among these.
        let changeable = |at: usize| (98..106).contains(&at) || (107..115).contains(&at);
        for at in (0..packed.len()).filter(|at| !changeable(*at)) {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[at] ^= 1 << bit;
                let read = read(&damaged, Shown::Yes);
                // One bit is between the two values of a flag.
                if read.is_some() {
                    assert!([97, 106].contains(&at) && bit == 0, "{at}");
                }
            }
        }
    }

    #[test]
    fn what_scripts_change_stands_where_they_change_it() {
        let packed = write(&full(), &OWNER);
        let other = LoginRecord {
            fresh: false,
            last_seen: 12,
            unseen_token: None,
            ..full()
        };
        let mut changed = packed.clone();
        changed[97] = b'0';
        changed[98..106].copy_from_slice(&time(12));
        changed[106] = b'0';
        assert_eq!(read(&changed, Shown::Yes), Some(other));
        assert_eq!(packed[1..65], OWNER);
        assert_eq!(packed[65..97], *b"c3".repeat(16));
        assert_eq!(write(&empty(), &OWNER)[65..97], [b' '; 32]);
    }
}
