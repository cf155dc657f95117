//! TODO session/entry.rs

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::value::RawValue;

use crate::{core::FamilyKey, keys::LoginToken};

/// What starts an entry that only carries the id of a login record; nothing that says more about the
/// login starts so.
pub(crate) const RECORD_VERSION: u8 = 2;

/// Under which key the session keeps the login of the manager's first user type. A further type has
/// this key, a colon and its name.
const LOGIN_KEY: &str = "_login";

/// With this at its end, such a key has whose login ended in the session.
pub(crate) const LEFT: &str = ".left";

/// Under which key the session keeps where a refused client wanted to go.
pub(crate) const NEXT_KEY: &str = "_login_next";

/// Under this key the session keeps nothing.
pub(crate) const NOTHING: &str = "_login_nothing";

/// Room for the flags.
const FLAG_BITS: u32 = 5;

/// Credentials were given in this session, and nothing has made the login stale since.
pub(crate) const FRESH: u8 = 1;

/// The browser was given a remember cookie.
const REMEMBERED: u8 = 2;

/// The application insisted on this login although the user was inactive.
const FORCED: u8 = 4;

/// The user has a session hash, whose fingerprint follows.
const HASHED: u8 = 8;

/// The login was made after credentials were given: a remember cookie restored it. When it was made
/// follows the client.
const RESTORED: u8 = 16;

/// The session key for a user type.
pub(crate) fn login_key(user_type: &str) -> String {
    if user_type.is_empty() {
        LOGIN_KEY.to_owned()
    } else {
        format!("{LOGIN_KEY}:{user_type}")
    }
}

/// Whether a session keeps logins under this key.
pub(crate) fn is_login_key(key: &str) -> bool {
    let rest = key.strip_prefix(LOGIN_KEY);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':') && !rest.ends_with(LEFT))
}

/// Whether there is a login in what a session keeps.
pub(crate) fn holds_login(state: &HashMap<String, String>) -> bool {
    state.keys().any(|key| is_login_key(key))
}

/// What a session says about a login.
///
/// Kept as a JSON array with the id at its end, so that everything before it is read without knowing
/// the id's type, and nothing is allocated to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: i64,
    /// When the login was made: later, if a remember cookie restored it.
    pub(crate) started_at: i64,
    pub(crate) fresh: bool,
    pub(crate) remembered: bool,
    pub(crate) allow_inactive: bool,
    /// The client the login is bound to.
    pub(crate) client: u64,
    /// The fingerprint of the user's session hash, if the user has one: no quotation marks in it.
    pub(crate) hash: Option<&'a str>,
}

/// An entry and the user's id as JSON.
pub(crate) type EntryAndId<'a> = (Entry<'a>, &'a str);

impl<'a> Entry<'a> {
    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.fresh, FRESH)
            | flag(self.remembered, REMEMBERED)
            | flag(self.allow_inactive, FORCED)
            | flag(self.hash.is_some(), HASHED)
            | flag(self.is_restored(), RESTORED)
    }

    /// Reads an entry and the id behind it. `None` if that is none of ours.
    pub(crate) fn read(text: &'a str) -> Option<EntryAndId<'a>> {
        let rest = text.strip_prefix('[')?.strip_suffix(']')?;
        let (packed, rest) = number(rest)?;
        let (client, rest) = number(rest)?;
        let is_set = |flag: u8| packed & u64::from(flag) != 0;
        // Entries of another kind start with a number that is too small to be a time.
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
        let entry = Self {
            authenticated_at,
            started_at,
            fresh: is_set(FRESH),
            remembered: is_set(REMEMBERED),
            allow_inactive: is_set(FORCED),
            client,
            hash,
        };
        Some((entry, id))
    }

    /// The entry for a user whose id is given as JSON, as a login cookie says it. `None` if the id is not
    /// JSON.
    pub(crate) fn text(&self, id: &str) -> Option<String> {
        serde_json::to_string(&self.with_id(id)?).ok()
    }

    /// The entry together with the id of its user, which is given as JSON. `None` if it is not JSON.
    pub(crate) fn with_id<'b>(&self, id: &'b str) -> Option<EntryWithId<'a, 'b>> {
        let id = serde_json::from_str(id).ok()?;
        Some(EntryWithId { entry: *self, id })
    }

    fn is_restored(&self) -> bool {
        self.started_at > self.authenticated_at
    }

    /// The time and the flags. No text, as long as that can be: quotation marks have to be escaped in
    /// a session, and every request that carries it pays for that.
    fn packed(&self) -> u64 {
        // Nobody gave credentials before there were computers.
        self.authenticated_at.max(1).unsigned_abs() << FLAG_BITS | u64::from(self.flags())
    }
}

/// An entry as it is written.
pub(crate) struct EntryWithId<'a, 'b> {
    entry: Entry<'a>,
    id: &'b RawValue,
}

impl Serialize for EntryWithId<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { entry, id } = self;
        let mut array = serializer.serialize_seq(None)?;
        array.serialize_element(&entry.packed())?;
        array.serialize_element(&entry.client)?;
        if entry.is_restored() {
            array.serialize_element(&entry.started_at)?;
        }
        if let Some(hash) = entry.hash {
            array.serialize_element(hash)?;
        }
        array.serialize_element(id)?;
        array.end()
    }
}

/// Reads the number at the start of a text, and what is behind the comma after it.
fn number(text: &str) -> Option<(u64, &str)> {
    let mut number = 0_u64;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(u64::from(byte - b'0'))?
            }
            b',' if at > 0 => return Some((number, &text[at + 1..])),
            _ => return None,
        }
    }
    None
}

/// Reads the login id from an entry that carries one, and the family that stands behind it.
pub(crate) fn read_login_id(text: &str) -> Option<(LoginToken, Option<FamilyKey>)> {
    let mut parts = text.strip_prefix('[')?.strip_suffix(']')?.splitn(3, ',');
    if parts.next()?.parse() != Ok(RECORD_VERSION) {
        return None;
    }
    let mut quoted = || parts.next()?.strip_prefix('"')?.strip_suffix('"');
    let id = LoginToken::parse(quoted()?)?;
    Some((id, quoted().and_then(FamilyKey::parse)))
}

/// Under which key the session keeps whose login ended in it.
pub(crate) fn left_key(key: &str) -> String {
    format!("{key}{LEFT}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::protection::CLIENT;

    const ENTRY: Entry<'static> = Entry {
        authenticated_at: 1_700_000_000,
        started_at: 1_700_000_000,
        fresh: true,
        remembered: false,
        allow_inactive: false,
        client: CLIENT,
        hash: Some("a-_"),
    };

    #[test]
    fn an_entry_reads_back_as_written() {
        for entry in [
            ENTRY,
            Entry {
                fresh: false,
                remembered: true,
                allow_inactive: true,
                hash: None,
                ..ENTRY
            },
            Entry {
                started_at: 1_700_000_001,
                ..ENTRY
            },
            Entry {
                started_at: 1_800_000_000,
                hash: None,
                ..ENTRY
            },
        ] {
            for id in [r#"7"#, r#""a,\"]b""#, r#"[1,"x"]"#, r#"{"a":[]}"#] {
                let id: serde_json::Value = serde_json::from_str(id).unwrap();
                let text = entry.text(&id.to_string()).unwrap();
                assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{text}"
                );
                assert_eq!(Entry::read(&text), Some((entry, &*id.to_string())));
            }
        }
    }

    #[test]
    fn what_we_did_not_write_is_no_login() {
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
            "[54400000000,1,7",
            "[99999999999999999999,1,7]",
            // Says that there is a hash.
            "[54400000008,1,7]",
            // Says that it was restored.
            "[54400000016,1,7]",
            "[54400000016,1,0,7]",
            "null",
        ] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
    }
}
