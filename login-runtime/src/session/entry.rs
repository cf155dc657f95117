//! The login that a session keeps, as text under one key for each user type.
//!
//! 1. With a login store the text carries the id of the login, or the key of its record, and the family of
//!    its remember tokens; everything else is in the login's record. Only a session in a cookie that this
//!    crate encrypts carries the key; anywhere else a text with a key is no login.
//! 2. Without one the text is an [`Entry`], which describes the whole login. A login cookie without a
//!    record holds the same text.
//! 3. When a login ends without a log out, a second key stores the id of its user. The next user must
//!    not see what that user left in the session.

use std::collections::HashMap;

use serde::{
    Serialize, Serializer,
    ser::{self, SerializeSeq as _},
};
use serde_json::value::RawValue;

use crate::{core::FamilyKey, keys::LoginToken, store::LoginRef};

/// The first number of a text that only carries the id of a login record. An [`Entry`] never starts
/// with this number.
pub(crate) const RECORD_VERSION: u8 = 2;

/// What a text starts with, after a quotation mark, that carries the key of a login record. The key and the
/// family follow.
const SEALED_VERSION: char = '3';

/// The start of the session key of a login. The name of the user type follows.
const LOGIN_KEY: &str = "_login:";

/// Suffix of the key that stores the id of the user whose login ended in the session.
pub(crate) const LEFT: &str = ".left";

/// The session key of the id of a session that is kept in its cookie.
pub(crate) const ID_KEY: &str = "_session_id";

/// The length of the id in a session, as JSON: the key, and sixteen bytes as base64, quoted twice.
pub(crate) const ID_LEN: usize = ID_KEY.len() + 2 + 22 + 6 + 2;

/// The length at most of the text, as JSON, that carries the id of a login record: 32 bytes as base64, 16
/// bytes in digits, and their quotes.
const ID_TEXT_LEN: usize = 43 + 32 + 20;

/// The same for the key of a login record: 16 bytes as base64, or 32 with the family.
const SEALED_TEXT_LEN: usize = 22 + 1 + 6;
const SEALED_FAMILY_TEXT_LEN: usize = 43 + 1 + 6;

/// The length at most of the text, as JSON, that names a login record.
pub(crate) fn login_text_len(is_sealed: bool, has_family: bool) -> usize {
    match (is_sealed, has_family) {
        (false, _) => ID_TEXT_LEN,
        (true, false) => SEALED_TEXT_LEN,
        (true, true) => SEALED_FAMILY_TEXT_LEN,
    }
}

/// A session key that never has a value.
pub(crate) const NOTHING: &str = "_login_nothing";

/// The number of bits reserved for the flags.
const FLAG_BITS: u32 = 5;

/// Credentials were given in this session, and nothing has made the login stale since.
pub(crate) const FRESH: u8 = 1;

/// The browser was given a remember cookie.
const REMEMBERED: u8 = 2;

/// The application allowed this login although the user was inactive.
const FORCED: u8 = 4;

/// The user has a session hash, and its fingerprint follows.
const HASHED: u8 = 8;

/// A remember cookie restored the login, so it was not made when credentials were given. The time at
/// which it was made follows the client.
const RESTORED: u8 = 16;

/// The session key for a user type.
pub(crate) fn login_key(user_type: &str) -> String {
    format!("{LOGIN_KEY}{user_type}")
}

/// Whether a session keeps logins under this key.
pub(crate) fn is_login_key(key: &str) -> bool {
    key.starts_with(LOGIN_KEY) && !key.ends_with(LEFT)
}

/// Whether a session with these contents keeps a login.
pub(crate) fn holds_login(state: &HashMap<String, String>) -> bool {
    state.keys().any(|key| is_login_key(key))
}

/// The parts of an [`Entry`] that are not text, and outlive the borrow of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryFacts {
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: i64,
    /// When the login was made, from which the absolute limit counts: another time, if a remember
    /// cookie restored it.
    pub(crate) started_at: i64,
    pub(crate) fresh: bool,
    pub(crate) remembered: bool,
    pub(crate) allow_inactive: bool,
    /// The client the login is bound to.
    pub(crate) client: u64,
}

impl EntryFacts {
    fn is_restored(&self) -> bool {
        self.started_at != self.authenticated_at
    }
}

/// A login that has no record and describes itself.
///
/// Stored as a JSON array with the id at the end, so that everything before it is read without knowing
/// the id's type, and reading allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) facts: EntryFacts,
    /// The fingerprint of the user's session hash, if the user has one. It contains no quotation marks.
    pub(crate) hash: Option<&'a str>,
    /// The user's id as JSON.
    pub(crate) id: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads an entry. `None` if this crate did not write the text.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix('[')?.strip_suffix(']')?;
        let (packed, rest) = number(rest)?;
        let (client, rest) = number(rest)?;
        let is_set = |flag: u8| packed & u64::from(flag) != 0;
        // Other texts start with a number that is too small to be a time.
        let time = |number: u64| i64::try_from(number).ok().filter(|at| *at > 0);
        let authenticated_at = time(packed >> FLAG_BITS)?;
        let (started_at, rest) = if is_set(RESTORED) {
            let (at, rest) = number(rest)?;
            (time(at)?, rest)
        } else {
            (authenticated_at, rest)
        };
        let (hash, id) = if is_set(HASHED) {
            let (hash, id) = rest.strip_prefix('"')?.split_once("\",")?;
            (Some(hash), id)
        } else {
            (None, rest)
        };
        let facts = EntryFacts {
            authenticated_at,
            started_at,
            fresh: is_set(FRESH),
            remembered: is_set(REMEMBERED),
            allow_inactive: is_set(FORCED),
            client,
        };
        Some(Self { facts, hash, id })
    }

    /// The length at most of the text of the entry, as JSON again: numbers, the fingerprint and quotes,
    /// and the id, in which each character may be escaped.
    pub(crate) fn max_len(&self) -> usize {
        80 + self.hash.map_or(0, str::len) + 2 * self.id.len()
    }

    /// The entry as text. `None` if the id is not JSON.
    pub(crate) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The time and the flags in one number. A number, because a session escapes the quotation marks
    /// of a text, and each request that carries the session pays for their bytes.
    fn packed(&self) -> u64 {
        let facts = &self.facts;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags = flag(facts.fresh, FRESH)
            | flag(facts.remembered, REMEMBERED)
            | flag(facts.allow_inactive, FORCED)
            | flag(self.hash.is_some(), HASHED)
            | flag(facts.is_restored(), RESTORED);
        // A time before the epoch is invalid.
        facts.authenticated_at.max(1).unsigned_abs() << FLAG_BITS | u64::from(flags)
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let id: &RawValue = serde_json::from_str(self.id).map_err(ser::Error::custom)?;
        let mut array = serializer.serialize_seq(None)?;
        array.serialize_element(&self.packed())?;
        array.serialize_element(&self.facts.client)?;
        if self.facts.is_restored() {
            array.serialize_element(&self.facts.started_at)?;
        }
        if let Some(hash) = self.hash {
            array.serialize_element(hash)?;
        }
        array.serialize_element(id)?;
        array.end()
    }
}

/// Reads the number at the start of a text, and returns it with the text after the comma. Runs for each
/// guarded request, where it takes half as long as `str::parse`.
fn number(text: &str) -> Option<(u64, &str)> {
    let mut number = 0_u64;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                let digit = u64::from(byte - b'0');
                number = number.checked_mul(10)?.checked_add(digit)?;
            }
            b',' if at > 0 => return Some((number, text.get(at + 1..)?)),
            _ => return None,
        }
    }
    None
}

/// What a session stores for a login with a record.
pub(crate) fn login_text(token: &LoginToken, family: Option<FamilyKey>) -> impl Serialize + use<> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Text {
        Sealed(String),
        Id(u8, String),
        IdAndFamily(u8, String, String),
    }
    // With room for a key and a family.
    let mut text = String::with_capacity(1 + 43);
    text.push(SEALED_VERSION);
    if token.write_sealed(family, &mut text) {
        return Text::Sealed(text);
    }
    let id = token.id_text().unwrap_or_default();
    match family {
        None => Text::Id(RECORD_VERSION, id),
        Some(family) => Text::IdAndFamily(RECORD_VERSION, id, family.to_string()),
    }
}

/// Reads which record a text names. `is_sealed` says whether the session is in a cookie that this crate
/// encrypts: only there a key is a login.
pub(crate) fn read_login(text: &str, is_sealed: bool) -> Option<LoginRef> {
    if is_sealed_text(text) {
        return read_sealed(text).filter(|_| is_sealed);
    }
    let mut parts = text.strip_prefix('[')?.strip_suffix(']')?.splitn(3, ',');
    if parts.next()?.parse() != Ok(RECORD_VERSION) {
        return None;
    }
    let mut quoted = || parts.next()?.strip_prefix('"')?.strip_suffix('"');
    let key = LoginToken::parse_id(quoted()?)?.key();
    let family = quoted().and_then(FamilyKey::parse);
    Some(LoginRef { key, family })
}

/// Whether a text says that it carries the key of a record.
pub(crate) fn is_sealed_text(text: &str) -> bool {
    let text = text.strip_prefix('"');
    text.is_some_and(|text| text.starts_with(SEALED_VERSION))
}

/// Reads a text that carries the key of a record.
pub(crate) fn read_sealed(text: &str) -> Option<LoginRef> {
    let text = text.strip_prefix('"')?.strip_prefix(SEALED_VERSION)?;
    let text = text.strip_suffix('"')?;
    let (token, family) = LoginToken::parse_sealed(text)?;
    let key = token.key();
    Some(LoginRef { key, family })
}

/// The key that stores the id of the user whose login ended in the session.
pub(crate) fn left_key(key: &str) -> String {
    format!("{key}{LEFT}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::protection::CLIENT;

    const FACTS: EntryFacts = EntryFacts {
        authenticated_at: 1_700_000_000,
        started_at: 1_700_000_000,
        fresh: true,
        remembered: false,
        allow_inactive: false,
        client: CLIENT,
    };

    #[test]
    fn an_entry_reads_back_as_written() {
        let stale = EntryFacts {
            fresh: false,
            remembered: true,
            allow_inactive: true,
            ..FACTS
        };
        let restored = |started_at| EntryFacts {
            started_at,
            ..FACTS
        };
        for (facts, hash) in [
            (FACTS, Some("a-_")),
            (stale, None),
            (restored(1_700_000_001), Some("a-_")),
            (restored(1_800_000_000), None),
            (restored(1_699_999_999), None),
        ] {
            for id in [r#"7"#, r#""a,\"]b""#, r#"[1,"x"]"#, r#"{"a":[]}"#] {
                let entry = Entry { facts, hash, id };
                let text = entry.text().unwrap();
                assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{text}"
                );
                assert_eq!(Entry::read(&text), Some(entry));
            }
            let id = "not JSON";
            assert_eq!(Entry { facts, hash, id }.text(), None);
        }
    }

    #[test]
    fn a_text_of_another_form_is_not_read_as_an_entry() {
        for text in [
            "",
            "7",
            "[]",
            "[1]",
            "[1,1,1,1,null,7]",
            r#"[2,"AAAAAAAAAAAA"]"#,
            "[54400000000]",
            "[54400000000,1]",
            "[-54400000000,1,7]",
            "[+54400000000,1,7]",
            "[,1,7]",
            "[ 54400000000,1,7]",
            "[54400000000,1,7",
            "[99999999999999999999,1,7]",
            // The hash is missing.
            "[54400000008,1,7]",
            // The time of the restoration is missing, or 0.
            "[54400000016,1,7]",
            "[54400000016,1,0,7]",
            "null",
            // The key of a record.
            r#""3BwcHBwcHBwcHBwcHBwcHBw""#,
        ] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
    }

    const FAMILY: FamilyKey = FamilyKey([8; 16]);

    /// What this version and the one before wrote, byte for byte.
    #[test]
    fn a_login_with_a_record_is_read_as_it_was_written() {
        let id = LoginToken::Id([7; 32]);
        let sealed = LoginToken::Sealed([7; 16]);
        for (token, family, is_sealed, text) in [
            (
                &id,
                None,
                false,
                r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#,
            ),
            (
                &id,
                Some(FAMILY),
                false,
                r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","08080808080808080808080808080808"]"#,
            ),
            (&sealed, None, true, r#""3BwcHBwcHBwcHBwcHBwcHBw""#),
            (
                &sealed,
                Some(FAMILY),
                true,
                r#""3BwcHBwcHBwcHBwcHBwcHBwgICAgICAgICAgICAgICAg""#,
            ),
        ] {
            let written = serde_json::to_string(&login_text(token, family)).unwrap();
            assert_eq!(written, text);
            let as_json = serde_json::to_string(text).unwrap();
            let len = login_text_len(is_sealed, family.is_some());
            assert!(as_json.len() <= len, "{text}: {} of {len}", as_json.len());
            let key = token.key();
            assert_eq!(read_login(text, true), Some(LoginRef { key, family }));
            // A key is a login only where nobody can read or write it.
            let expected = (!is_sealed).then_some(LoginRef { key, family });
            assert_eq!(read_login(text, false), expected);
        }
    }

    #[test]
    fn half_a_text_and_a_text_of_a_later_version_name_no_login() {
        let whole = [
            r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#,
            r#""3BwcHBwcHBwcHBwcHBwcHBw""#,
            r#""3BwcHBwcHBwcHBwcHBwcHBwgICAgICAgICAgICAgICAg""#,
        ];
        for text in whole {
            for end in 0..text.len() {
                assert_eq!(read_login(&text[..end], true), None, "{}", &text[..end]);
            }
            for later in ["3", "4", "9", "33"] {
                let (two, three) = (format!("[{later},"), format!("\"4{later}"));
                let later = text.replacen("[2,", &two, 1).replacen("\"3", &three, 1);
                assert_eq!(read_login(&later, true), None, "{later}");
            }
        }
        for text in [
            "",
            "null",
            "\"3\"",
            "\"3",
            "\"3!wcHBwcHBwcHBwcHBwcHBw\"",
            "\"3BwcHBwcHBwcHBwcHBwcHBw=\"",
            "\"BwcHBwcHBwcHBwcHBwcHBw\"",
            r#"[3,"BwcHBwcHBwcHBwcHBwcHBw"]"#,
        ] {
            assert_eq!(read_login(text, true), None, "{text}");
        }
    }
}
