//! The types of logins that are kept in a store, so that they can be ended.
//!
//! 1. A session alone cannot make a log out final. A slow request that has read the session writes it
//!    back, a copied session cookie is valid until it expires, and no user can see or end a login on
//!    another device.
//! 2. With a [`LoginStore`](crate::store::LoginStore), each login has a *record*, and the session contains
//!    only its id. Each request that asks for the user looks the record up. Without a record, a
//!    session identifies no user.
//! 3. A session on the server contains an id of 256 random bits. A login store receives only its SHA-256, so
//!    a copy of that store tells no id.
//! 4. A cookie that is encrypted contains the key of the record, 128 random bits. Without the application's
//!    key, no cookie can be made from a copy of the store.

use std::{borrow::Cow, fmt, str::FromStr};

use derive_more::{Debug, Display, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// Where a login came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginSource {
    /// The session: the user gave credentials, or a remember cookie was redeemed, in an earlier
    /// request.
    Session,
    /// A remember cookie that this request redeemed.
    RememberCookie,
    /// The request loader, for this request only.
    Request,
}

/// The properties of a login, apart from its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginFacts {
    pub(crate) source: LoginSource,
    /// When the user gave credentials, in seconds since the Unix epoch.
    pub(crate) authenticated_at: Option<i64>,
    /// Whether the user gave them in this session, and nothing has made the login stale since.
    pub(crate) fresh: bool,
}

impl LoginFacts {
    pub(crate) fn new(source: LoginSource, authenticated_at: Option<i64>, fresh: bool) -> Self {
        Self {
            source,
            authenticated_at,
            fresh,
        }
    }
}

/// The key of a login record: the SHA-256 of the login's id, or random bytes, if the cookie that names the
/// login is encrypted.
///
/// It may appear in a page, for instance to name a login in a list or a form, because it
/// cannot be used to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[debug("LoginKey({self})")]
pub struct LoginKey(pub(crate) [u8; 32]);

/// As the 64 hexadecimal digits that `Display` writes.
impl Serialize for LoginKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From the 64 hexadecimal digits that `Display` writes, so that a form, a path or JSON can have a key.
impl<'de> Deserialize<'de> for LoginKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl FromStr for LoginKey {
    type Err = InvalidLoginKey;

    fn from_str(text: &str) -> Result<Self, InvalidLoginKey> {
        Self::parse(text).ok_or(InvalidLoginKey)
    }
}

/// A text is not the key of a login.
#[derive(Clone, Copy, Debug, Display, Error, PartialEq, Eq)]
#[display("the key of a login has 64 hexadecimal digits")]
pub struct InvalidLoginKey;

impl LoginKey {
    /// The key of the login with this id.
    pub(crate) fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }

    /// A key of sixteen random bytes, which is as long as all others because zeros follow: that of a login
    /// whose session is in its cookie, or that of such a session.
    pub(crate) fn from_short(bytes: [u8; 16]) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&bytes);
        Self(key)
    }

    /// The bytes of a key that [`from_short`](Self::from_short) made.
    pub(crate) fn short(&self) -> Option<[u8; 16]> {
        let (bytes, zeros) = self.0.split_first_chunk()?;
        zeros.iter().all(|byte| *byte == 0).then_some(*bytes)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 64 hexadecimal digits that `Display` writes.
    pub(crate) fn digits(&self) -> [u8; 64] {
        digits(&self.0)
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the 64 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

/// Reads `N` bytes from `2 * N` hexadecimal digits.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// The hexadecimal digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte / 16], digits[byte % 16]];
        byte += 1;
    }
    table
};

/// Two hexadecimal digits for each byte, by a table: each look-up in a store writes a key.
fn digits<const N: usize, const DIGITS_OF_N: usize>(bytes: &[u8; N]) -> [u8; DIGITS_OF_N] {
    let mut digits = [0; DIGITS_OF_N];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
    digits
}

fn write_digits(digits: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(str::from_utf8(digits).map_err(|_| fmt::Error)?)
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.digits(), f)
    }
}

/// The key of a family of remember tokens: sixteen random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[debug("FamilyKey({self})")]
pub struct FamilyKey(pub [u8; 16]);

impl FamilyKey {
    /// The key that a login without remember tokens shares with its successors.
    ///
    /// When a login continues under a new id, the new record has this key as its family. So a log out
    /// that only knows an old id ends the successors too.
    pub(crate) fn of_login(login: LoginKey) -> Self {
        let mut bytes = [0; 16];
        let hash: [u8; 32] = Sha256::digest(login.0).into();
        bytes.copy_from_slice(&hash[..16]);
        bytes[15] |= 1;
        Self(bytes)
    }

    /// The key of a family with tokens, for a browser that will be remembered.
    pub(crate) fn with_tokens(mut random: [u8; 16]) -> Self {
        random[15] &= !1;
        Self(random)
    }

    /// Whether this is the key of a family with tokens.
    pub(crate) fn has_tokens(&self) -> bool {
        self.0[15] & 1 == 0
    }

    /// The 32 hexadecimal digits that `Display` writes.
    pub(crate) fn digits(&self) -> [u8; 32] {
        digits(&self.0)
    }

    /// Reads the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for FamilyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_digits(&self.digits(), f)
    }
}

/// Identifies the user of a login: the name of the user type, and the user's id as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginOwner<'a> {
    /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
    pub user_type: &'a str,
    /// The user's id as JSON.
    pub user_id: &'a str,
}

/// What a store keeps about a login. All times are in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// When the login was stored.
    pub created_at: i64,
    /// When the user gave credentials; before `created_at` if a remember token restored the login.
    pub authenticated_at: i64,
    /// When the login was last used. It is not updated at each use.
    pub last_seen: i64,
    /// When the login expires, even if it is used.
    pub expires_at: i64,
    /// Whether the user gave credentials for this login, and nothing has made it stale since.
    pub fresh: bool,
    /// Whether the application allowed the login although the user was inactive.
    pub allow_inactive: bool,
    /// How credentials were checked.
    pub method: String,
    /// The identity of the client that the login is bound to: a keyed hash.
    pub client: u64,
    /// The client's user agent, cut short; for lists.
    pub user_agent: String,
    /// The address that the client connected from; for lists.
    pub address: String,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
    /// The family of the browser's remember tokens. A login that continued under a new id without
    /// tokens has the key that it shares with its predecessors and successors.
    pub family: Option<FamilyKey>,
    /// The generation of the remember token that was sent together with this login, until a request of
    /// the login shows that they arrived.
    pub unseen_token: Option<i64>,
}

impl LoginRecord {
    /// The user of this login.
    pub fn owner(&self) -> LoginOwner<'_> {
        LoginOwner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }
}

/// A family of remember tokens: the tokens of one browser, each of which replaces the one before.
///
/// No token is stored, not even its hash; the documentation of the `remember` module says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFamily {
    /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// Makes tokens unpredictable for a person who has the application's key but not the store.
    #[debug(skip)]
    pub seed: [u8; 16],
    /// Counts the changes of this row, so that a change fails if another request made one first.
    pub version: i64,
    /// The number of the current token.
    pub generation: i64,
    /// When the current token replaced the one before.
    pub rotated_at: i64,
    /// When a request first showed that a browser has the current token.
    pub seen_at: Option<i64>,
    /// When a token last restored a login.
    pub restored_at: Option<i64>,
    /// When the user gave credentials.
    pub authenticated_at: i64,
    /// When the family expires.
    pub expires_at: i64,
    /// How many seconds the browser is remembered. If use extends that, the family expires this many
    /// seconds after the use.
    pub lifetime: i64,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
}

impl TokenFamily {
    /// The user of this family.
    pub fn owner(&self) -> LoginOwner<'_> {
        LoginOwner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }

    /// The latest time in this row. The row was not changed before then.
    pub(crate) fn latest(&self) -> i64 {
        let optional = self.seen_at.max(self.restored_at).unwrap_or(i64::MIN);
        self.authenticated_at.max(self.rotated_at).max(optional)
    }
}

/// How many logins a user may have, and what a log in beyond that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxLogins {
    /// Ends the oldest login.
    EndOldest(u32),
    /// Is refused.
    Refuse(u32),
}

impl MaxLogins {
    /// What applies if the application sets no limit: the oldest of more than a hundred logins ends.
    ///
    /// Raising it lets a user have more devices, and fill more of the store; lowering it may end logins
    /// of people who share an account.
    pub(crate) const DEFAULT: Self = Self::EndOldest(100);

    /// How many logins a user may have. A new login is never ended to make room for itself.
    pub(crate) fn limit(self) -> u32 {
        match self {
            Self::EndOldest(limit) => limit.max(1),
            Self::Refuse(limit) => limit,
        }
    }
}

/// The outcome of storing a new login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// The login is stored.
    Done {
        /// How many older logins ended to make room.
        ended: u64,
    },
    /// The user already has as many logins as the limit allows.
    Refused,
}

/// What a store says about a session that is kept in its cookie, and about the login in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and a box would be one more allocation in each request"
)]
pub enum SessionCheck {
    /// The session is recorded as ended.
    Revoked,
    /// The session is not recorded as ended. The store did not look for the login.
    Valid,
    /// The session is not recorded as ended, and this is what
    /// [`find_for_auth`](crate::store::LoginStore::find_for_auth) finds for the login.
    ValidWithLogin(Option<LoginRecord>),
}

/// Which logins to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginSelector<'a> {
    /// All logins and families of a user, except those given here.
    Of {
        /// The user.
        owner: LoginOwner<'a>,
        /// A login that remains valid.
        but: Option<LoginKey>,
        /// A family that remains valid.
        but_family: Option<FamilyKey>,
    },
    /// A family, and the logins that belong to it.
    Family(FamilyKey),
    /// All logins and families of all users.
    All,
}

/// Why a login or a remember cookie is no longer valid.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq)]
#[display("{}", self.name())]
#[non_exhaustive]
pub enum EndReason {
    /// It is forged, truncated, of another version, or has expired.
    Invalid,
    /// The user no longer exists.
    UserGone,
    /// The user is not active.
    Inactive,
    /// The user's session hash changed, for instance because of a new password.
    SessionHashChanged,
    /// It was ended: by a log out, from another device, by an administrator, or by its age.
    Ended,
    /// It was unused for longer than the idle limit.
    Idle,
    /// It has reached the longest lifetime of a login.
    Expired,
    /// A log in in the same browser has replaced it.
    Replaced,
}

impl EndReason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::UserGone => "user_gone",
            Self::Inactive => "inactive",
            Self::SessionHashChanged => "session_hash_changed",
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_room_for_the_new_login() {
        for (max, limit) in [
            (MaxLogins::EndOldest(0), 1),
            (MaxLogins::EndOldest(3), 3),
            (MaxLogins::Refuse(0), 0),
            (MaxLogins::Refuse(3), 3),
        ] {
            assert_eq!(max.limit(), limit, "{max:?}");
        }
        assert_eq!(MaxLogins::DEFAULT.limit(), 100);
    }

    #[test]
    fn a_key_is_the_same_after_it_was_text_or_json() {
        let key = LoginKey(counting());
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!("1234".parse::<LoginKey>().is_err());
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!("\"{key}\""));
        assert_eq!(serde_json::from_str::<LoginKey>(&json).unwrap(), key);
        assert!(serde_json::from_str::<LoginKey>("\"1234\"").is_err());
    }

    /// The bytes 1, 2, 3 and so on, with digits of every kind.
    fn counting<const N: usize>() -> [u8; N] {
        std::array::from_fn(|at| u8::try_from(at).unwrap().wrapping_mul(0x2b) ^ 0x0f)
    }

    #[test]
    fn a_key_reads_back_from_what_it_writes() {
        let login = LoginKey::from_bytes(counting());
        let family = FamilyKey(counting());
        assert_eq!(login.as_bytes(), &counting::<32>());
        let (text, short) = (login.to_string(), family.to_string());
        assert_eq!(
            text,
            "0f24598ea3d80d22578ca1d60b20558abfd4093e5388bdd2073c5186bbd0053a"
        );
        assert!(text.starts_with(&short));
        assert_eq!((text.len(), short.len()), (64, 32));
        assert_eq!(LoginKey::parse(&text), Some(login));
        assert_eq!(FamilyKey::parse(&short), Some(family));
        assert_eq!(format!("{login:?}"), format!("LoginKey({text})"));
        for wrong in [
            "",
            &text[1..],
            &text[..63],
            &format!("{text}0"),
            &text.replace('0', "g"),
            &text.replace('0', "+"),
            &text.replace('0', " "),
        ] {
            assert_eq!(LoginKey::parse(wrong), None, "{wrong}");
        }
        assert_eq!(LoginKey::parse(&short), None);
        assert_eq!(FamilyKey::parse(&text), None);
    }

    #[test]
    fn only_a_family_that_was_made_for_tokens_has_tokens() {
        for last in 0..=u8::MAX {
            let mut random = [7; 16];
            random[15] = last;
            let family = FamilyKey::with_tokens(random);
            assert!(family.has_tokens(), "{last}");
            // Only one bit is not random.
            assert_eq!(family.0[15] | 1, last | 1);
            assert_eq!(family.0[..15], [7; 15]);
            let login = LoginKey::of(&[last]);
            let successors = FamilyKey::of_login(login);
            assert!(!successors.has_tokens(), "{last}");
            assert_ne!(successors.0[..], login.0[..16]);
            assert_ne!(successors, FamilyKey::of_login(LoginKey::of(&[last, 0])));
        }
        let login = LoginKey::from_bytes(counting());
        let hash: [u8; 32] = Sha256::digest(login.0).into();
        assert_eq!(FamilyKey::of_login(login).0[..15], hash[..15]);
    }

    #[test]
    fn a_revoked_session_is_kept_under_a_key_that_holds_its_id() {
        let key = LoginKey::from_short(counting());
        assert_eq!(key.0[..16], counting::<16>());
        assert_eq!(key.0[16..], [0; 16]);
        assert_eq!(key.short(), Some(counting()));
        for last in 16..32 {
            let mut longer = key;
            longer.0[last] = 1;
            assert_eq!(longer.short(), None);
        }
    }

    #[test]
    fn the_latest_time_of_a_family_is_that_of_its_last_change() {
        let family = |authenticated_at, rotated_at, seen_at, restored_at| TokenFamily {
            user_type: "user".to_owned(),
            user_id: "7".to_owned(),
            seed: [1; 16],
            version: 1,
            generation: 1,
            rotated_at,
            seen_at,
            restored_at,
            authenticated_at,
            expires_at: 1_000_000,
            lifetime: 1_000_000,
            hash: None,
        };
        for (family, latest) in [
            (family(1, 2, None, None), 2),
            (family(2, 1, None, None), 2),
            (family(1, 2, Some(3), None), 3),
            (family(1, 2, None, Some(3)), 3),
            (family(1, 2, Some(3), Some(4)), 4),
            (family(1, 2, Some(4), Some(3)), 4),
            (family(1, 5, Some(4), Some(3)), 5),
        ] {
            assert_eq!(family.latest(), latest, "{family:?}");
            let (user_type, user_id) = ("user", "7");
            assert_eq!(family.owner(), LoginOwner { user_type, user_id });
        }
    }

    #[test]
    fn each_end_has_a_name_of_its_own() {
        let reasons = [
            EndReason::Invalid,
            EndReason::UserGone,
            EndReason::Inactive,
            EndReason::SessionHashChanged,
            EndReason::Ended,
            EndReason::Idle,
            EndReason::Expired,
            EndReason::Replaced,
        ];
        assert_eq!(
            reasons.map(EndReason::name),
            [
                "invalid",
                "user_gone",
                "inactive",
                "session_hash_changed",
                "ended",
                "idle",
                "expired",
                "replaced",
            ]
        );
    }
}
