//! A login that describes itself, as a session or a login cookie has it: a second reading of its text.

use crate::{
    input::Input,
    seal::fingerprint,
    site::{ADA, BEN, NOW, hash_of, shown},
};

/// How long a login lasts, and how long it is fresh, by default.
const LASTS: i64 = 12 * 60 * 60;
const FRESH_FOR: i64 = 30 * 60;

/// What `/me` shows for an entry, if it logs a user in.
pub fn model(text: &str) -> Option<String> {
    let facts = Facts::read(text)?;
    let id: i64 = serde_json::from_str(facts.id).ok()?;
    let is_same = facts.hash == Some(&fingerprint(hash_of(id)?));
    is_same.then(|| facts.shown(id))?
}

/// The same for `/admin`, whose users have no hash, and a text as their id.
pub fn model_of_admin(text: &str) -> Option<String> {
    let facts = Facts::read(text)?;
    let id: String = serde_json::from_str(facts.id).ok()?;
    facts.hash.is_none().then(|| facts.shown(id))?
}

struct Facts<'a> {
    fresh: bool,
    at: i64,
    started_at: i64,
    hash: Option<&'a str>,
    id: &'a str,
}

impl<'a> Facts<'a> {
    /// `[at << 5 | flags, client, started_at?, "hash"?, id]`.
    fn read(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix('[')?.strip_suffix(']')?;
        let mut number = || {
            let (number, after) = rest.split_once(',')?;
            rest = after;
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            number.parse::<u64>().ok().filter(|_| is_number)
        };
        let (packed, _client) = (number()?, number()?);
        let flags = packed & 31;
        let at = i64::try_from(packed >> 5).ok()?;
        let started_at = if flags & 16 == 0 {
            at
        } else {
            i64::try_from(number()?).ok()?
        };
        let (hash, id) = if flags & 8 == 0 {
            (None, rest)
        } else {
            let (hash, id) = rest.strip_prefix('"')?.split_once("\",")?;
            (Some(hash), id)
        };
        let fresh = flags & 1 != 0;
        (at > 0 && started_at > 0).then_some(Self {
            fresh,
            at,
            started_at,
            hash,
            id,
        })
    }

    fn shown(&self, id: impl std::fmt::Debug) -> Option<String> {
        let ago = |at: i64| (i128::from(NOW) - i128::from(at)).max(0);
        let is_fresh = self.fresh && ago(self.at) <= i128::from(FRESH_FOR);
        (ago(self.started_at) < i128::from(LASTS)).then(|| shown(id, is_fresh, self.at))
    }
}

/// An entry of this version, or one that is nearly so.
pub fn generate(input: &mut Input<'_>) -> String {
    let shape = input.byte();
    let flags = u64::from(input.byte() & 31);
    let hash = match shape & 3 {
        0 => Some(fingerprint(hash_of(ADA).expect("ada"))),
        1 => Some(fingerprint(hash_of(BEN).expect("ben"))),
        2 => Some(String::from_utf8_lossy(input.bytes(4)).into_owned()),
        _ => None,
    };
    let time = |input: &mut Input<'_>| {
        let back = i64::from(u16::from_be_bytes(input.array()));
        (if shape & 4 == 0 {
            NOW - back
        } else {
            input.time(NOW)
        })
        .unsigned_abs()
    };
    let packed = time(input) << 5 | flags;
    let mut parts = vec![packed.to_string(), "5".to_owned()];
    parts.extend((shape & 8 != 0).then(|| time(input).to_string()));
    parts.extend(hash.map(|hash| format!("\"{hash}\"")));
    parts.push(match shape >> 4 {
        0..8 => ADA.to_string(),
        8 => BEN.to_string(),
        9 => "3".to_owned(),
        10 => "\"root\"".to_owned(),
        _ => String::from_utf8_lossy(input.rest()).into_owned(),
    });
    format!("[{}]", parts.join(","))
}
