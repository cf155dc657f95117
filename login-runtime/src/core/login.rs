//! Where logins are kept, so that they can be ended.
//!
//! A session alone cannot promise that a log out is final: a slow request that still holds the
//! session writes it back, a copied cookie store cookie is good until it expires, and nobody can see
//! or end a login elsewhere. With a [`LoginStore`] each login is a *record*, and the session only
//! carries its id. Each request that asks for the user looks the record up; whatever becomes of the
//! session, without a record it is nobody's.
//!
//! Ids are 256 random bits. A store sees only their SHA-256, so what is in it logs nobody in.

use std::fmt;

use sha2::{Digest, Sha256};

/// Where a login came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginSource {
    /// The session: credentials were given, or a remember cookie was redeemed, earlier on.
    Session,
    /// A remember cookie, in this very request.
    RememberCookie,
    /// The request loader, for this request only.
    Request,
}

/// What is known about a login, besides whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoginFacts {
    pub(crate) source: LoginSource,
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: Option<i64>,
    /// Whether they were given in this session and nothing has made the login stale since.
    pub(crate) fresh: bool,
}

/// Under what a login record is stored: the SHA-256 of the login's id.
///
/// Good for naming a login in a list or a form: it logs nobody in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoginKey(pub(crate) [u8; 32]);

impl LoginKey {
    /// The key of the login with this id.
    pub(crate) fn of(id: &[u8]) -> Self {
        Self(Sha256::digest(id).into())
    }

    /// Under what the end of the session with this id is noted.
    pub(crate) fn of_session(id: [u8; 16]) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&id);
        Self(key)
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
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

/// Reads bytes from twice as many hexadecimal digits.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(*pair.first()?).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoginKey({self})")
    }
}

/// Under what a family of remember tokens is stored: sixteen random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyKey(pub [u8; 16]);

impl FamilyKey {
    /// What a login without remember tokens shares with those that it goes on as, each under an id of
    /// its own: so a log out that only knows an old one ends them too.
    pub(crate) fn of_login(login: LoginKey) -> Self {
        let mut bytes = [0; 16];
        let hash: [u8; 32] = Sha256::digest(login.0).into();
        bytes.copy_from_slice(&hash[..16]);
        bytes[15] |= 1;
        Self(bytes)
    }

    /// A new one, for a browser that is given tokens.
    pub(crate) fn with_tokens(mut random: [u8; 16]) -> Self {
        random[15] &= !1;
        Self(random)
    }

    /// Whether a browser was given tokens of it.
    pub(crate) fn has_tokens(&self) -> bool {
        self.0[15] & 1 == 0
    }

    /// Reads the 32 hexadecimal digits that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for FamilyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FamilyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyKey({self})")
    }
}

/// Whose logins: the user type's name and the user's id as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoginOwner<'a> {
    /// Empty for the manager's first user type.
    pub user_type: &'a str,
    /// The id as JSON.
    pub user_id: &'a str,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// The user type's name; empty for the manager's first.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// When the login was made, in seconds since the epoch, like all times here.
    pub created_at: i64,
    /// When credentials were given; before `created_at` if a remember token restored the login.
    pub authenticated_at: i64,
    /// When the login was last used, to within a step.
    pub last_seen: i64,
    /// When it is over at the latest.
    pub expires_at: i64,
    /// Whether credentials were given in this login, and nothing made it stale since.
    pub fresh: bool,
    /// Whether the application insisted on it although the user was inactive.
    pub allow_inactive: bool,
    /// How credentials were checked.
    pub method: String,
    /// The identity of the client it is bound to: a keyed hash.
    pub client: u64,
    /// What the client calls itself, cut short; for lists.
    pub user_agent: String,
    /// Where the client connected from; for lists.
    pub address: String,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
    /// The family of remember tokens that the login's browser was given; or, of a login that went on
    /// under another id without one, what it shares with those before and after it.
    pub family: Option<FamilyKey>,
}

impl LoginRecord {
    /// Whose login it is.
    pub fn owner(&self) -> LoginOwner<'_> {
        LoginOwner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }
}

/// A family of remember tokens: those that one browser was given, each in place of the one before.
///
/// No token is stored, not even its hash: see the documentation of the `remember` module.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFamily {
    /// The user type's name; empty for the manager's first.
    pub user_type: String,
    /// The user's id as JSON.
    pub user_id: String,
    /// Makes tokens unpredictable to who has the application's key but not the store.
    pub seed: [u8; 16],
    /// Counts every change of this row, so that a change can be refused if another came first.
    pub version: i64,
    /// Which token is the current one.
    pub generation: i64,
    /// When it became that.
    pub rotated_at: i64,
    /// When it was first presented.
    pub seen_at: Option<i64>,
    /// When a token last restored a login.
    pub restored_at: Option<i64>,
    /// When credentials were given.
    pub authenticated_at: i64,
    /// When the family is over.
    pub expires_at: i64,
    /// For how many seconds the browser was to be remembered; where use prolongs that, it does so by
    /// as much again.
    pub lifetime: i64,
    /// The fingerprint of the user's session hash.
    pub hash: Option<String>,
}

impl TokenFamily {
    /// Whose family it is.
    pub fn owner(&self) -> LoginOwner<'_> {
        LoginOwner {
            user_type: &self.user_type,
            user_id: &self.user_id,
        }
    }

    /// The latest time it names: it was made or changed no earlier.
    pub(crate) fn latest(&self) -> i64 {
        let optional = self.seen_at.max(self.restored_at).unwrap_or(i64::MIN);
        self.authenticated_at.max(self.rotated_at).max(optional)
    }
}

impl fmt::Debug for TokenFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the seed.
        f.debug_struct("TokenFamily")
            .field("user_type", &self.user_type)
            .field("user_id", &self.user_id)
            .field("version", &self.version)
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// How many logins a user may have, and what happens to one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaxLogins {
    /// The oldest ends.
    EndOldest(u32),
    /// The new one is refused.
    Refuse(u32),
}

/// What became of a new login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// It is stored; so many older ones ended to make room.
    Done {
        /// How many ended.
        ended: u64,
    },
    /// The user has as many as are allowed.
    Refused,
}

/// Which logins to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginSelector<'a> {
    /// All of a user, and all of the user's families, but for those named.
    Of {
        /// Whose.
        owner: LoginOwner<'a>,
        /// A login that stays.
        but: Option<LoginKey>,
        /// A family that stays.
        but_family: Option<FamilyKey>,
    },
    /// Those born of a family, and the family.
    Family(FamilyKey),
    /// Everything of everybody.
    All,
}

/// Why a login, or a remember cookie, is good no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// It is forged, cut short, of another version, or its time is over.
    Invalid,
    /// There is no such user any more.
    UserGone,
    /// The user is not active.
    Inactive,
    /// The user's session hash changed: a new password, for instance.
    SessionHashChanged,
    /// It was ended: by a log out, from another device, by an administrator, or by its age.
    Ended,
    /// It was not used for longer than the idle limit.
    Idle,
    /// It lasted as long as a login may last.
    Expired,
}

impl EndReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::UserGone => "user_gone",
            Self::Inactive => "inactive",
            Self::SessionHashChanged => "session_hash_changed",
            Self::Ended => "ended",
            Self::Idle => "idle",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
