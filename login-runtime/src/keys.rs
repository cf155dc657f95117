//! Everything that needs a key or random bytes: signing, encrypting, hashing, ids.
//!
//! 1. Every key is derived from one of the application's secrets, with its purpose and version and the
//!    realm of the manager as the input. A signature covers only a value, so under a shared key a value
//!    made for one cookie would be accepted as another.
//! 2. The first secret signs and encrypts; all of them verify and decrypt. [`Match`] says which it was,
//!    so that a value under an older key is written again.
//! 3. Every value is bound to the name of its user type: user 2 of one type is never user 2 of another.
//! 4. Comparisons take constant time.

use std::{hash::Hasher, net::IpAddr};

use actix_web::cookie::{Cookie, CookieJar, Key};
use aes_gcm::{Aes256Gcm, KeyInit, aead::AeadInPlace};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher13;
use subtle::ConstantTimeEq;

pub(crate) use getrandom::Error as NoRandomness;

use crate::core::{
    CLIENT, ClientIdentity, FamilyKey, LoginKey, Token, remember,
    weak_secret::is_obviously_no_secret,
};

mod fingerprints;

use self::fingerprints::{Fingerprint, Fingerprints};

/// How many bytes of a fingerprint are kept. It cannot be computed without the key, and 2^128 guesses are
/// out of reach; more bytes would only make sessions longer.
const FINGERPRINT_LEN: usize = 16;

/// How many random bytes an encrypted text starts with. No two texts under one key may have the same:
/// after 2^32 logins the odds of that are one in 2^33, as with actix-session's own cookies.
const NONCE_LEN: usize = 12;

/// The length of the authentication tag that ends an encrypted text.
const SEAL_LEN: usize = 16;

/// Values up to this length are decrypted without allocating.
const SHORT_LEN: usize = 160;

/// What starts a family token; a stateless token cannot start like this.
const FAMILY_PREFIX: &str = "2.";

/// How many bytes of a family token's tag are kept: enough to make guessing hopeless.
const FAMILY_TAG_LEN: usize = 16;

/// Family, generation, proof and tag.
const FAMILY_TOKEN_LEN: usize = 16 + 8 + 32 + FAMILY_TAG_LEN;

/// The least bytes of a pepper: with 128 random bits, nobody can guess it.
#[cfg(feature = "password")]
const MIN_PEPPER_LEN: usize = 16;

/// How many bytes of a pepper's id are kept: enough that no two peppers of an application share one.
#[cfg(feature = "password")]
const PEPPER_ID_LEN: usize = 6;

/// How many bytes of the hash that names a login in the log are kept. Raising it makes lines longer; lowering
/// it makes it likelier that two logins share a name.
pub(crate) const LOGIN_HASH_LEN: usize = 12;

// The purposes of keys; no two may be equal.
const REMEMBER: &str = "login-runtime remember token 1";
const FINGERPRINT: &str = "login-runtime session hash 1";
const KEPT_FINGERPRINTS: &str = "login-runtime kept session hashes 1";
const FAMILY: &str = "login-runtime remember family 2";
const FAMILY_TAG: &str = "login-runtime remember family tag 2";
const RESTORED: &str = "login-runtime restored login 2";
const CLIENT_IDENTITY: &str = "login-runtime client identity 2";
const LOGIN: &str = "login-runtime login cookie 1";
const NEXT: &str = "login-runtime next cookie 1";
const LOGIN_HASH: &str = "login-runtime login hash 1";
const TRIES: &str = "login-runtime tries 1";
const SEEN_CLIENT: &str = "login-runtime seen client 1";
#[cfg(feature = "password")]
const PEPPER_ID: &str = "login-runtime pepper id 1";
const SESSION: [&str; 2] = [
    "login-runtime session cookie 1",
    "login-runtime session cookie 1 2",
];

/// Derives a key. The realm is empty if the manager has none.
fn derive(secret: &Key, realm: &str, purpose: &str) -> [u8; 32] {
    let mut mac = new_mac(secret.master());
    // The length first, so that the end of a purpose cannot pass as the start of a realm.
    mac.update(&(purpose.len() as u64).to_be_bytes());
    mac.update(purpose.as_bytes());
    mac.update(realm.as_bytes());
    mac.finalize().into_bytes().into()
}

fn new_mac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length, so the error cannot occur.
    <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap_or_else(|_| Mac::new(&Default::default()))
}

/// The key for the session cookie of a realm, derived from the application's secret.
pub(crate) fn session_key(secret: &Key, realm: &str) -> Key {
    Key::from(
        &SESSION
            .map(|purpose| derive(secret, realm, purpose))
            .concat(),
    )
}

/// Whether a secret of the application is obviously none.
pub(crate) fn is_obviously_none(secret: &Key) -> bool {
    is_obviously_no_secret(secret.master())
}

/// An id of a pepper, which is stored with each hash that is made with it. `None` if the secret is too
/// short, or obviously no secret.
///
/// It is a hash under the pepper itself, so that it tells nothing about a secret that cannot be guessed.
#[cfg(feature = "password")]
pub(crate) fn pepper_id(secret: &[u8]) -> Option<[u8; PEPPER_ID_LEN]> {
    if secret.len() < MIN_PEPPER_LEN || is_obviously_no_secret(secret) {
        return None;
    }
    let mut mac = new_mac(secret);
    mac.update(PEPPER_ID.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.first_chunk().copied()
}

/// Whether actix-session can open a cookie, given as name and value, under this key.
pub(crate) fn opens_session(key: &Key, name: &str, pair: &str) -> bool {
    let opened = session_jar(pair).and_then(|jar| jar.private(key).get(name));
    opened.is_some()
}

/// Encrypts a session cookie, given as name and value, under the current key. `None` if it opens under
/// none of the older ones.
pub(crate) fn reseal_session(
    older: &[Key],
    current: &Key,
    name: &str,
    pair: &str,
) -> Option<String> {
    let mut jar = session_jar(pair)?;
    let opened = older.iter().find_map(|key| jar.private(key).get(name))?;
    jar.private_mut(current).add(opened);
    Some(jar.get(name)?.stripped().encoded().to_string())
}

fn session_jar(pair: &str) -> Option<CookieJar> {
    let mut jar = CookieJar::new();
    jar.add_original(Cookie::parse_encoded(pair.to_owned()).ok()?);
    Some(jar)
}

/// How long the value of a session cookie is at most, for a session of this length: actix-session
/// encrypts it, encodes it as base64, and escapes `+`, `/` and `=`.
///
/// How many letters are escaped is random: one in 32 on average. Four standard deviations more are enough
/// for all but one cookie in 30,000.
pub(crate) fn sealed_session_len(session: usize) -> usize {
    let letters = (NONCE_LEN + session + SEAL_LEN).div_ceil(3) * 4;
    let escaped = letters / 32;
    letters + (escaped + 4 * escaped.isqrt() + 2) * "2B".len()
}

/// The keys that are derived from one of the application's secrets.
struct Keys {
    remember: MacKey,
    fingerprint: MacKey,
    /// The fingerprints that were computed last.
    fingerprints: Fingerprints,
    family: MacKey,
    family_tag: MacKey,
    restored: MacKey,
    login_hash: MacKey,
    tries: MacKey,
    seen_client: MacKey,
    client: SipHasher13,
    login: Aes256Gcm,
    next: Aes256Gcm,
}

impl Keys {
    fn new(secret: &Key, realm: &str) -> Self {
        let mac_key = |purpose| MacKey(new_mac(&derive(secret, realm, purpose)));
        let sip_key = |purpose| {
            let mut key = [0; 16];
            key.copy_from_slice(&derive(secret, realm, purpose)[..16]);
            key
        };
        Self {
            remember: mac_key(REMEMBER),
            fingerprint: mac_key(FINGERPRINT),
            fingerprints: Fingerprints::new(&sip_key(KEPT_FINGERPRINTS)),
            family: mac_key(FAMILY),
            family_tag: mac_key(FAMILY_TAG),
            restored: mac_key(RESTORED),
            login_hash: mac_key(LOGIN_HASH),
            tries: mac_key(TRIES),
            seen_client: mac_key(SEEN_CLIENT),
            client: SipHasher13::new_with_key(&sip_key(CLIENT_IDENTITY)),
            login: Aes256Gcm::new(&derive(secret, realm, LOGIN).into()),
            next: Aes256Gcm::new(&derive(secret, realm, NEXT).into()),
        }
    }

    fn fingerprint(&self, user_type: &str, hash: &[u8]) -> Option<Fingerprint> {
        self.fingerprints.get(user_type, hash, || {
            let mac = self.fingerprint.mac(user_type, &[hash]).finalize();
            let mut text = [0; fingerprints::LEN];
            let bytes = &mac.into_bytes()[..FINGERPRINT_LEN];
            BASE64.encode_slice(bytes, &mut text).ok()?;
            Some(Fingerprint::new(text))
        })
    }

    fn family_proof(
        &self,
        user_type: &str,
        family: FamilyKey,
        seed: &[u8; 16],
        generation: i64,
    ) -> Hmac<Sha256> {
        let parts: [&[u8]; 3] = [&family.0, seed, &generation.to_be_bytes()];
        self.family.mac(user_type, &parts)
    }
}

/// A key for message authentication codes, with the state that HMAC makes of it.
struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// The code of a user type and some parts. All parts but the last have a fixed length.
    fn mac(&self, user_type: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        // The length first, so that the end of a user type cannot pass as the start of the parts. Two bytes
        // hold the length of every name, and most tokens fit into one block of the hash.
        let len = u16::try_from(user_type.len()).unwrap_or(u16::MAX);
        mac.update(&len.to_be_bytes());
        mac.update(user_type.as_bytes());
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

/// Which key a value verifies under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// The key that signs.
    Current,
    /// An older key; the value has to be written again.
    Older,
}

impl Match {
    pub(crate) fn at(position: usize) -> Self {
        match position {
            0 => Self::Current,
            _ => Self::Older,
        }
    }
}

/// The keys of all secrets: the first signs, all of them verify.
pub(crate) struct KeyRing(Vec<Keys>);

impl KeyRing {
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a Key>, realm: &str) -> Self {
        Self(secrets.map(|secret| Keys::new(secret, realm)).collect())
    }

    /// Whether both sign with the same key.
    pub(crate) fn sign_alike(&self, other: &Self) -> bool {
        let probe = |ring: &Self| ring.fingerprint("", b"");
        let (ours, theirs) = (probe(self), probe(other));
        ours.unwrap_or_default()
            .as_bytes()
            .ct_eq(theirs.unwrap_or_default().as_bytes())
            .into()
    }

    fn matching(&self, is_match: impl Fn(&Keys) -> bool) -> Option<Match> {
        self.0.iter().position(is_match).map(Match::at)
    }

    /// A hash of what is known about the client, under each key, the current one first.
    ///
    /// SipHash and not HMAC, because it is computed at every request: it is a keyed function, so an
    /// outsider cannot compute an identity, and it protects no secret.
    pub(crate) fn clients<'a>(
        &'a self,
        identity: ClientIdentity,
        user_agent: Option<&'a [u8]>,
        address: Option<IpAddr>,
    ) -> impl Iterator<Item = u64> + 'a {
        self.0.iter().map(move |keys| {
            let mut hasher = keys.client;
            identity.feed(user_agent, address, |bytes| hasher.write(bytes));
            hasher.finish() & CLIENT
        })
    }

    /// The hash that names a login in events and in the log. `login` stays the same over its life.
    pub(crate) fn login_hash(
        &self,
        user_type: &str,
        login: FamilyKey,
    ) -> Option<[u8; LOGIN_HASH_LEN]> {
        let mac = self.0.first()?.login_hash.mac(user_type, &[&login.0]);
        mac.finalize().into_bytes().first_chunk().copied()
    }

    /// The fingerprint of a user's session hash.
    pub(crate) fn fingerprint(&self, user_type: &str, hash: &[u8]) -> Option<String> {
        let fingerprint = self.0.first()?.fingerprint(user_type, hash)?;
        Some(fingerprint.text())
    }

    /// Compares a stored fingerprint with the user's session hash.
    pub(crate) fn same_hash(
        &self,
        user_type: &str,
        kept: Option<&str>,
        hash: Option<&[u8]>,
    ) -> Option<Match> {
        let (kept, hash) = match (kept, hash) {
            (None, None) => return Some(Match::Current),
            (Some(kept), Some(hash)) => (kept.as_bytes(), hash),
            // A user who was given a password, or lost it, has other credentials than before.
            _ => return None,
        };
        self.matching(|keys| {
            let fingerprint = keys.fingerprint(user_type, hash);
            fingerprint.is_some_and(|fingerprint| fingerprint.is(kept))
        })
    }

    /// Signs a remember token.
    pub(crate) fn sign(&self, user_type: &str, token: &Token<'_>) -> Option<String> {
        let text = token.write();
        let mac = self.0.first()?.remember.mac(user_type, &[text.as_bytes()]);
        let tag = mac.finalize().into_bytes();
        Some(format!("{}.{}", BASE64.encode(&text), BASE64.encode(tag)))
    }

    /// The text of a remember token that verifies, and under which key.
    pub(crate) fn verify(&self, user_type: &str, value: &str) -> Option<(String, Match)> {
        if value.len() > remember::MAX_LEN {
            return None;
        }
        let (text, tag) = value.split_once('.')?;
        let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
        let tag = BASE64.decode(tag).ok()?;
        let found = self.matching(|keys| {
            let mac = keys.remember.mac(user_type, &[text.as_bytes()]);
            mac.verify_slice(&tag).is_ok()
        })?;
        Some((text, found))
    }

    /// Encrypts and authenticates the text of a login cookie: the browser cannot read it, and a changed
    /// bit makes it invalid.
    pub(crate) fn seal(&self, user_type: &str, text: &[u8]) -> Option<String> {
        seal(&self.0.first()?.login, user_type, text)
    }

    /// Decrypts what [`seal`](Self::seal) made, and passes it to `read` with the key that it was under.
    pub(crate) fn open<T>(
        &self,
        user_type: &str,
        value: &[u8],
        read: impl FnOnce(&[u8], Match) -> Option<T>,
    ) -> Option<T> {
        self.open_with(|keys| &keys.login, user_type, value, read)
    }

    /// Encrypts and authenticates the text of the cookie with the address that a client asked for.
    pub(crate) fn seal_next(&self, text: &[u8]) -> Option<String> {
        seal(&self.0.first()?.next, "", text)
    }

    /// Decrypts what [`seal_next`](Self::seal_next) made, and passes it to `read`.
    pub(crate) fn open_next<T>(
        &self,
        value: &[u8],
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        self.open_with(|keys| &keys.next, "", value, |text, _| read(text))
    }

    fn open_with<T>(
        &self,
        cipher: impl Fn(&Keys) -> &Aes256Gcm,
        bound_to: &str,
        value: &[u8],
        read: impl FnOnce(&[u8], Match) -> Option<T>,
    ) -> Option<T> {
        if value.len() > remember::MAX_LEN {
            return None;
        }
        for (position, keys) in self.0.iter().enumerate() {
            // Decoded again for each key: decrypting in place with a wrong key may destroy the bytes.
            let (mut short, mut long) = ([0; SHORT_LEN], Vec::new());
            let sealed = if value.len() <= SHORT_LEN {
                let len = BASE64.decode_slice(value, &mut short).ok()?;
                short.get_mut(..len)?
            } else {
                BASE64.decode_vec(value, &mut long).ok()?;
                &mut long
            };
            let (nonce, sealed) = sealed.split_first_chunk_mut::<NONCE_LEN>()?;
            let (text, tag) = sealed.split_last_chunk_mut::<SEAL_LEN>()?;
            let (nonce, tag) = ((*nonce).into(), (*tag).into());
            let opened =
                cipher(keys).decrypt_in_place_detached(&nonce, bound_to.as_bytes(), text, &tag);
            if opened.is_ok() {
                return read(text, Match::at(position));
            }
        }
        None
    }

    /// The token of a family's generation, under the key that signs. It is computed and not stored: the
    /// server can send the same token again, and a store that leaks contains none.
    pub(crate) fn family_token(
        &self,
        user_type: &str,
        family: FamilyKey,
        seed: &[u8; 16],
        generation: i64,
    ) -> Option<String> {
        let keys = self.0.first()?;
        let proof = keys.family_proof(user_type, family, seed, generation);
        let mut bytes = Vec::with_capacity(FAMILY_TOKEN_LEN);
        bytes.extend_from_slice(&family.0);
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&proof.finalize().into_bytes());
        let tag = keys.family_tag.mac(user_type, &[&bytes]).finalize();
        bytes.extend_from_slice(&tag.into_bytes()[..FAMILY_TAG_LEN]);
        Some(format!("{FAMILY_PREFIX}{}", BASE64.encode(bytes)))
    }

    /// Reads a family token. `None` for everything that was not made here, which the tag tells without
    /// asking the store.
    pub(crate) fn read_family_token(&self, user_type: &str, value: &str) -> Option<FamilyToken> {
        let bytes: [u8; FAMILY_TOKEN_LEN] = decode(value.strip_prefix(FAMILY_PREFIX)?)?;
        let (token, tag) = bytes.split_last_chunk::<FAMILY_TAG_LEN>()?;
        self.matching(|keys| {
            let mac = keys.family_tag.mac(user_type, &[token]);
            mac.verify_truncated_left(tag).is_ok()
        })?;
        let (family, rest) = token.split_first_chunk()?;
        let (generation, proof) = rest.split_first_chunk()?;
        Some(FamilyToken {
            family: FamilyKey(*family),
            generation: i64::from_be_bytes(*generation),
            proof: proof.try_into().ok()?,
        })
    }

    /// Whether a token is the one of its generation, and under which key.
    pub(crate) fn proves(
        &self,
        user_type: &str,
        token: &FamilyToken,
        seed: &[u8; 16],
    ) -> Option<Match> {
        self.matching(|keys| {
            let proof = keys.family_proof(user_type, token.family, seed, token.generation);
            proof.verify_slice(&token.proof).is_ok()
        })
    }

    /// The name of something that tries are counted under. All parts but the last have a fixed length.
    pub(crate) fn try_name(&self, kind: &str, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let mac = self.0.first()?.tries.mac(kind, parts);
        Some(mac.finalize().into_bytes().into())
    }

    /// The names under which a store knows a client of a user, under each key, the current key first.
    pub(crate) fn seen_clients<'a>(
        &'a self,
        user_type: &'a str,
        user_id: &'a str,
        network: &'a [u8; 5],
        family: &'a [u8],
    ) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.0.iter().map(move |keys| {
            let len = (user_id.len() as u64).to_be_bytes();
            let parts: [&[u8]; 4] = [network, &len, user_id.as_bytes(), family];
            keys.seen_client
                .mac(user_type, &parts)
                .finalize()
                .into_bytes()
                .into()
        })
    }

    /// The token of the login that a family restored at a time: the same for all requests that restored it
    /// together.
    pub(crate) fn restored_login(
        &self,
        user_type: &str,
        family: FamilyKey,
        seed: &[u8; 16],
        at: i64,
        is_sealed: bool,
    ) -> Option<LoginToken> {
        let parts: [&[u8]; 3] = [&family.0, seed, &at.to_be_bytes()];
        let mac = self.0.first()?.restored.mac(user_type, &parts);
        let bytes: [u8; 32] = mac.finalize().into_bytes().into();
        Some(match is_sealed {
            true => LoginToken::Sealed(*bytes.first_chunk()?),
            false => LoginToken::Id(bytes),
        })
    }
}

/// A random nonce, the encrypted text and its tag, as base64.
fn seal(cipher: &Aes256Gcm, bound_to: &str, text: &[u8]) -> Option<String> {
    let nonce = random::<NONCE_LEN>().ok()?;
    let mut bytes = Vec::with_capacity(NONCE_LEN + text.len() + SEAL_LEN);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(text);
    let sealed = bytes.get_mut(NONCE_LEN..)?;
    let tag = cipher
        .encrypt_in_place_detached(&nonce.into(), bound_to.as_bytes(), sealed)
        .ok()?;
    bytes.extend_from_slice(&tag);
    Some(BASE64.encode(bytes))
}

/// A remember token that names its family.
pub(crate) struct FamilyToken {
    pub(crate) family: FamilyKey,
    pub(crate) generation: i64,
    proof: [u8; 32],
}

/// What names a login in its session or its cookie.
#[derive(PartialEq, Eq)]
pub(crate) enum LoginToken {
    /// An id, which only a session on the server contains. The key of the record is its hash: neither a copy
    /// of the sessions nor one of the records tells what is in the other.
    Id([u8; 32]),
    /// The key of the record itself, for a cookie that is encrypted. A hash would protect nothing there, and
    /// costs each request some time.
    Sealed([u8; 16]),
}

impl LoginToken {
    /// A new token.
    pub(crate) fn random(is_sealed: bool) -> Result<Self, getrandom::Error> {
        Ok(match is_sealed {
            true => Self::Sealed(random()?),
            false => Self::Id(random()?),
        })
    }

    /// Reads the text of an id.
    pub(crate) fn parse_id(text: &str) -> Option<Self> {
        decode(text).map(Self::Id)
    }

    /// The text of an id. `None` for a key.
    pub(crate) fn id_text(&self) -> Option<String> {
        match self {
            Self::Id(id) => Some(BASE64.encode(id)),
            Self::Sealed(_) => None,
        }
    }

    /// Reads the text of a key, and of the family that follows it.
    pub(crate) fn parse_sealed(text: &str) -> Option<(Self, Option<FamilyKey>)> {
        if let Some(key) = decode(text) {
            return Some((Self::Sealed(key), None));
        }
        let bytes: [u8; 32] = decode(text)?;
        let (key, family) = bytes.split_first_chunk()?;
        let family = FamilyKey(family.try_into().ok()?);
        Some((Self::Sealed(*key), Some(family)))
    }

    /// Appends the text of a key and a family. Returns whether it is a key.
    pub(crate) fn write_sealed(&self, family: Option<FamilyKey>, text: &mut String) -> bool {
        match (self, family) {
            (Self::Id(_), _) => return false,
            (Self::Sealed(key), None) => BASE64.encode_string(key, text),
            (Self::Sealed(key), Some(family)) => {
                BASE64.encode_string([*key, family.0].concat(), text);
            }
        }
        true
    }

    /// The key under which the login's record is stored.
    pub(crate) fn key(&self) -> LoginKey {
        match self {
            Self::Id(id) => LoginKey::of(id),
            Self::Sealed(key) => LoginKey::from_short(*key),
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let len = BASE64.decode_slice(text, &mut bytes).ok()?;
    (len == N).then_some(bytes)
}

pub(crate) fn random_16() -> Result<[u8; 16], getrandom::Error> {
    random()
}

/// Sixteen random bytes as text.
pub(crate) fn nonce() -> Result<String, getrandom::Error> {
    random_16().map(|bytes| BASE64.encode(bytes))
}

/// Writes such bytes as [`nonce`] does.
pub(crate) fn write_nonce(bytes: [u8; 16]) -> String {
    BASE64.encode(bytes)
}

/// Reads what [`nonce`] wrote.
pub(crate) fn read_nonce(text: &str) -> Option<[u8; 16]> {
    decode(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ring(secrets: &[u8]) -> KeyRing {
        let keys: Vec<_> = secrets.iter().map(|byte| Key::from(&[*byte; 64])).collect();
        KeyRing::new(keys.iter(), "")
    }

    const TOKEN: Token<'static> = Token {
        authenticated_at: 1,
        issued_at: 1,
        expires_at: 2,
        hash: None,
        nonce: "n",
        id: "7",
    };

    #[test]
    fn a_token_verifies_under_its_own_user_type_and_keys_only() {
        let value = ring(&[1]).sign("", &TOKEN).unwrap();
        assert_eq!(
            ring(&[1]).verify("", &value),
            Some((TOKEN.write(), Match::Current))
        );
        assert_eq!(
            ring(&[2, 1]).verify("", &value),
            Some((TOKEN.write(), Match::Older))
        );
        assert_eq!(ring(&[2]).verify("", &value), None);
        assert_eq!(ring(&[1]).verify("admin", &value), None);
    }

    #[test]
    fn one_changed_bit_anywhere_makes_a_token_invalid() {
        let ring = ring(&[1]);
        let value = ring.sign("", &TOKEN).unwrap();
        for position in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[position] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert_eq!(ring.verify("", &changed), None, "{position}");
            }
        }
        for changed in [
            "",
            ".",
            "a.b",
            &value[1..],
            &value[..value.len() - 1],
            &format!("{value}A"),
        ] {
            assert_eq!(ring.verify("", changed), None, "{changed}");
        }
        assert_eq!(ring.verify("", &value.repeat(40)), None);
    }

    #[test]
    fn a_family_token_reads_back_under_its_own_user_type_and_keys_only() {
        let (family, seed) = (FamilyKey([5; 16]), [6; 16]);
        let value = ring(&[1]).family_token("", family, &seed, 7).unwrap();
        for (secrets, found) in [(&[1][..], Match::Current), (&[2, 1], Match::Older)] {
            let token = ring(secrets).read_family_token("", &value).unwrap();
            assert_eq!((token.family, token.generation), (family, 7));
            assert_eq!(ring(secrets).proves("", &token, &seed), Some(found));
            assert_eq!(ring(secrets).proves("", &token, &[0; 16]), None);
        }
        assert!(ring(&[2]).read_family_token("", &value).is_none());
        assert!(ring(&[1]).read_family_token("admin", &value).is_none());
    }

    /// Tokens of several generations do not help to forge another. A token that is refused here is never
    /// looked up, so it ends nothing and raises no alarm.
    #[test]
    fn a_million_forged_family_tokens_are_refused() {
        let (ring, family, seed) = (ring(&[1]), FamilyKey([5; 16]), [6; 16]);
        let genuine: Vec<_> = (0..4)
            .map(|generation| {
                let value = ring.family_token("", family, &seed, generation).unwrap();
                BASE64.decode(&value[FAMILY_PREFIX.len()..]).unwrap()
            })
            .collect();
        // Xorshift: the same forgeries in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let mut value = String::new();
        for nth in 0..1_000_000 {
            let mut bytes = genuine[random(4)].clone();
            match nth % 4 {
                // Another generation, with the proof of this one.
                0 => bytes[16..24].copy_from_slice(&(4 + nth as i64).to_be_bytes()),
                // Flipped bits.
                1 => (0..=nth % 3).for_each(|_| bytes[random(24)] ^= 1 << random(8)),
                2 => bytes[24 + random(FAMILY_TOKEN_LEN - 24)] ^= 1 + random(255) as u8,
                // A tag that was guessed.
                _ => {
                    let tag = &mut bytes[FAMILY_TOKEN_LEN - FAMILY_TAG_LEN..];
                    tag.fill_with(|| random(256) as u8);
                }
            }
            if genuine.contains(&bytes) {
                continue; // Bits that were flipped twice.
            }
            value.clear();
            value.push_str(FAMILY_PREFIX);
            BASE64.encode_string(&bytes, &mut value);
            assert!(ring.read_family_token("", &value).is_none(), "{value}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_key_type_and_hash() {
        let kept = ring(&[1]).fingerprint("", b"hash").unwrap();
        let (kept, hash) = (Some(&*kept), Some(&b"hash"[..]));
        for (secrets, user_type, kept, hash, expected) in [
            (&[1][..], "", kept, hash, Some(Match::Current)),
            (&[2, 1], "", kept, hash, Some(Match::Older)),
            (&[2], "", kept, hash, None),
            (&[1], "admin", kept, hash, None),
            (&[1], "", kept, Some(b"other"), None),
            (&[1], "", kept, None, None),
            (&[1], "", None, hash, None),
            (&[1], "", None, None, Some(Match::Current)),
        ] {
            let found = ring(secrets).same_hash(user_type, kept, hash);
            assert_eq!(
                found, expected,
                "{secrets:?} {user_type:?} {kept:?} {hash:?}"
            );
        }
    }

    #[test]
    fn a_sealed_text_opens_under_its_own_user_type_and_keys_only() {
        let value = ring(&[1]).seal("", b"secret").unwrap();
        let open = |secrets: &[u8], user_type, value: &[u8]| {
            ring(secrets).open(user_type, value, |text, found| Some((text.to_vec(), found)))
        };
        let secret = b"secret".to_vec();
        assert_eq!(
            open(&[1], "", value.as_bytes()),
            Some((secret.clone(), Match::Current))
        );
        assert_eq!(
            open(&[2, 1], "", value.as_bytes()),
            Some((secret, Match::Older))
        );
        assert_eq!(open(&[2], "", value.as_bytes()), None);
        assert_eq!(open(&[1], "admin", value.as_bytes()), None);
        for position in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[position] ^= 1;
            assert_eq!(open(&[1], "", &changed), None, "{position}");
        }
        for changed in [
            "",
            "A",
            &value[1..],
            &value[..value.len() - 1],
            &value.repeat(100),
        ] {
            assert_eq!(open(&[1], "", changed.as_bytes()), None, "{changed}");
        }
    }

    #[test]
    fn a_login_cookie_does_not_open_as_an_address_nor_the_other_way_round() {
        let ring = ring(&[1]);
        let login = ring.seal("", b"text").unwrap();
        let next = ring.seal_next(b"text").unwrap();
        let read = |text: &[u8]| Some(text.to_vec());
        assert_eq!(
            ring.open_next(next.as_bytes(), read).as_deref(),
            Some(&b"text"[..])
        );
        assert_eq!(ring.open_next(login.as_bytes(), read), None);
        assert_eq!(ring.open("", next.as_bytes(), |text, _| read(text)), None);
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let ring = ring(&[1]);
        assert_ne!(ring.seal("", b"secret"), ring.seal("", b"secret"));
    }

    #[test]
    fn a_session_cookie_opens_under_its_own_key_and_name_only() {
        let (key, other) = (Key::from(&[1; 64]), Key::from(&[2; 64]));
        let mut jar = CookieJar::new();
        jar.private_mut(&key).add(Cookie::new("session", "text"));
        let pair = jar.get("session").unwrap().encoded().to_string();
        assert!(opens_session(&key, "session", &pair));
        assert!(!opens_session(&other, "session", &pair));
        assert!(!opens_session(&key, "other", &pair));
        let renamed = pair.replace("session=", "other=");
        assert!(!opens_session(&key, "other", &renamed));
        let (cut, longer) = (&pair[..pair.len() - 1], format!("{pair}A"));
        for pair in ["", "session", "session=", "session=text", cut, &longer] {
            assert!(!opens_session(&key, "session", pair), "{pair}");
        }
    }

    #[test]
    fn the_length_of_a_session_cookie_is_that_of_its_letters_and_most_escapes() {
        for (session, letters, escaped) in [(0, 40, 7), (1, 40, 7), (1_000, 1_372, 68)] {
            assert_eq!(sealed_session_len(session), letters + 2 * escaped);
        }
    }

    #[test]
    fn no_two_purposes_share_a_key() {
        let ring = ring(&[1]);
        let keys = &ring.0[0];
        let codes = [
            &keys.remember,
            &keys.fingerprint,
            &keys.family,
            &keys.family_tag,
            &keys.restored,
            &keys.login_hash,
            &keys.tries,
            &keys.seen_client,
        ]
        .map(|key| key.mac("user", &[b"text"]).finalize().into_bytes());
        let different: HashSet<_> = codes.iter().collect();
        assert_eq!(different.len(), codes.len());
        // Whoever knows the seed of a family can ask for tags, and must not get proofs.
        let (family, seed) = (FamilyKey([5; 16]), [6; 16]);
        let proof = keys.family_proof("user", family, &seed, 7).finalize();
        let parts: [&[u8]; 3] = [&family.0, &seed, &7_i64.to_be_bytes()];
        let tag = keys.family_tag.mac("user", &parts).finalize();
        assert_ne!(proof.into_bytes(), tag.into_bytes());
    }

    #[test]
    fn the_parts_of_a_code_are_told_apart() {
        let ring = ring(&[1]);
        let fingerprint = |user_type: &str, hash: &str| {
            let fingerprint = ring.fingerprint(user_type, hash.as_bytes());
            fingerprint.unwrap()
        };
        let text = "userhash";
        let split = (0..=text.len()).map(|at| text.split_at(at));
        let codes: Vec<_> = split.map(|(one, other)| fingerprint(one, other)).collect();
        let different: HashSet<_> = codes.iter().collect();
        assert_eq!(different.len(), codes.len());
    }

    #[test]
    fn only_the_whole_fingerprint_is_the_same() {
        let ring = ring(&[1]);
        let kept = ring.fingerprint("", b"hash").unwrap();
        let same = |kept: &str, hash: &[u8]| ring.same_hash("", Some(kept), Some(hash));
        assert_eq!(same(&kept, b"hash"), Some(Match::Current));
        for at in 0..kept.len() {
            let (start, end) = kept.split_at(at);
            assert_eq!(same(start, b"hash"), None, "{start}");
            let other = if end.starts_with('A') { "B" } else { "A" };
            let changed = format!("{start}{other}{}", &end[1..]);
            assert_eq!(same(&changed, b"hash"), None, "{changed}");
        }
        for longer in [format!("{kept}A"), format!("{kept}="), format!("A{kept}")] {
            assert_eq!(same(&longer, b"hash"), None, "{longer}");
        }
        // Hashes of passwords start with the same parameters.
        for at in [0, 1, 31, 32, 63, 64, 65, 199] {
            let mut long = [7; 200];
            let kept = ring.fingerprint("", &long).unwrap();
            assert_eq!(same(&kept, &long[..199]), None);
            long[at] ^= 1;
            assert_eq!(same(&kept, &long), None, "{at}");
        }
    }

    #[test]
    fn a_cookie_is_read_up_to_the_length_that_browsers_keep() {
        let ring = ring(&[1]);
        let (mut longest, mut too_long) = (0, 0);
        for len in 2_900..3_100 {
            let id = "7".repeat(len);
            let token = Token { id: &id, ..TOKEN };
            let value = ring.sign("", &token).unwrap();
            let is_read = ring.verify("", &value).is_some();
            assert_eq!(is_read, value.len() <= 4_096, "{}", value.len());
            let sealed = ring.seal("", id.as_bytes()).unwrap();
            let opened = ring.open("", sealed.as_bytes(), |text, _| Some(text.len()));
            assert_eq!(opened, (sealed.len() <= 4_096).then_some(len));
            longest += usize::from(sealed.len() == 4_096) + usize::from(value.len() == 4_096);
            too_long += usize::from(sealed.len() > 4_096 && value.len() > 4_096);
        }
        assert!(longest >= 2 && too_long > 0);
        // Around the length up to which nothing is allocated.
        for len in 0..300 {
            let text = vec![7; len];
            let sealed = ring.seal("", &text).unwrap();
            let opened = ring.open("", sealed.as_bytes(), |text, _| Some(text.to_vec()));
            assert_eq!(opened, Some(text));
        }
    }

    #[test]
    fn a_client_is_known_under_each_key() {
        let client = |secrets: &[u8], agent: &str| -> Vec<_> {
            let agent = Some(agent.as_bytes());
            let clients = ring(secrets);
            let clients = clients.clients(ClientIdentity::new(), agent, None);
            clients.collect()
        };
        let both = client(&[1, 2], "a/1");
        assert_eq!(both, [client(&[1], "a/1"), client(&[2], "a/1")].concat());
        assert_ne!(both[0], both[1]);
        // All bits of the identity are used, and no other.
        let clients = (0..100).flat_map(|nth| client(&[1], &format!("a/{nth}")));
        let clients: Vec<_> = clients.collect();
        let (mut set, mut always) = (0, CLIENT);
        for client in &clients {
            set |= client;
            always &= client;
        }
        assert_eq!((set, always), (CLIENT, 0));
        assert_eq!(clients.iter().collect::<HashSet<_>>().len(), 100);
    }

    #[test]
    fn a_restored_login_follows_from_all_that_restored_it() {
        let login = |secret, user_type, family, seed, at| {
            let ring = ring(&[secret]);
            let family = FamilyKey([family; 16]);
            let login = ring.restored_login(user_type, family, &[seed; 16], at, true);
            login.unwrap().key()
        };
        let logins = [
            login(1, "user", 5, 6, 7),
            login(2, "user", 5, 6, 7),
            login(1, "admin", 5, 6, 7),
            login(1, "user", 4, 6, 7),
            login(1, "user", 5, 5, 7),
            login(1, "user", 5, 6, 8),
        ];
        assert_eq!(logins.iter().collect::<HashSet<_>>().len(), logins.len());
        assert_eq!(login(1, "user", 5, 6, 7), logins[0]);
    }

    #[test]
    fn random_bytes_are_different_each_time_and_read_back() {
        let ids: Vec<_> = (0..100)
            .map(|_| {
                let id = LoginToken::random(false).unwrap();
                let read = LoginToken::parse_id(&id.id_text().unwrap()).unwrap();
                assert_eq!(read.key(), id.key());
                let LoginToken::Id(bytes) = read else {
                    panic!("an id is no key");
                };
                assert_eq!(id.key(), LoginKey::of(&bytes));
                bytes
            })
            .collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        let nonces: HashSet<_> = (0..100).map(|_| nonce().unwrap()).collect();
        let read: HashSet<_> = nonces
            .iter()
            .map(|text| read_nonce(text).unwrap())
            .collect();
        assert_eq!((nonces.len(), read.len()), (100, 100));
        let more: HashSet<_> = (0..100).map(|_| random_16().unwrap()).collect();
        assert_eq!(more.len(), 100);
        let id = LoginToken::Id([7; 32]);
        let text = id.id_text().unwrap();
        for other in ["", &text[1..], &format!("{text}A"), &text.replace('B', "+")] {
            assert!(LoginToken::parse_id(other).is_none(), "{other}");
            assert_eq!(read_nonce(other), None, "{other}");
        }
        assert!(!id.write_sealed(None, &mut String::new()));
    }

    #[test]
    fn a_key_in_an_encrypted_cookie_reads_back_with_its_family_or_not_at_all() {
        let one = LoginToken::random(true).unwrap();
        let other = LoginToken::random(true).unwrap();
        assert_ne!(one.key(), other.key());
        assert_eq!(one.id_text(), None);
        for family in [None, Some(FamilyKey([9; 16]))] {
            let mut text = String::new();
            assert!(one.write_sealed(family, &mut text));
            let (read, read_family) = LoginToken::parse_sealed(&text).unwrap();
            assert_eq!((read.key(), read_family), (one.key(), family));
            for changed in ["", &text[1..], &text[..text.len() - 1], &format!("{text}A")] {
                assert!(LoginToken::parse_sealed(changed).is_none(), "{changed}");
            }
        }
    }

    #[test]
    fn keys_for_different_purposes_differ() {
        let secret = Key::from(&[1; 64]);
        let purposes = [
            REMEMBER,
            FINGERPRINT,
            KEPT_FINGERPRINTS,
            FAMILY,
            FAMILY_TAG,
            RESTORED,
            CLIENT_IDENTITY,
            LOGIN,
            NEXT,
            LOGIN_HASH,
            TRIES,
            SEEN_CLIENT,
            SESSION[0],
            SESSION[1],
        ];
        let derived: HashSet<_> = purposes.map(|purpose| derive(&secret, "", purpose)).into();
        assert_eq!(derived.len(), purposes.len());
        assert_ne!(session_key(&secret, "").master(), secret.master());
    }

    #[test]
    fn a_secret_that_is_obviously_none_is_noticed() {
        assert!(is_obviously_none(&Key::from(&[0; 64])));
        assert!(!is_obviously_none(&Key::derive_from(&[1; 64])));
    }

    #[cfg(feature = "password")]
    #[test]
    fn a_pepper_has_an_id_unless_it_is_short_or_obviously_none() {
        let secret = derive(&Key::from(&[1; 64]), "", "pepper");
        let id = |len: usize| pepper_id(&secret[..len]);
        assert_eq!(id(MIN_PEPPER_LEN - 1), None);
        let (shortest, longer) = (id(MIN_PEPPER_LEN), id(MIN_PEPPER_LEN + 1));
        assert!(shortest.is_some() && longer.is_some());
        assert_ne!(shortest, longer);
        assert_eq!(pepper_id(&[0; 32]), None);
    }

    #[test]
    fn keys_for_different_realms_differ() {
        let secret = Key::from(&[1; 64]);
        let derived: HashSet<_> = [
            derive(&secret, "", "purpose"),
            derive(&secret, "shop", "purpose"),
            derive(&secret, "office", "purpose"),
            // The end of the one is the start of the other.
            derive(&secret, "e", "purpos"),
            derive(&secret, "purpose", ""),
        ]
        .into();
        assert_eq!(derived.len(), 5);
        let session = |realm| session_key(&secret, realm).master().to_vec();
        assert_ne!(session("shop"), session("office"));
        assert_ne!(session("shop"), session(""));
    }

    /// Everything that is made in one realm, or for one user type, and read in another.
    #[test]
    fn nothing_of_one_realm_is_read_in_another() {
        let secret = Key::from(&[1; 64]);
        let of = |realm| KeyRing::new([&secret].into_iter(), realm);
        let (shop, office) = (of("shop"), of("office"));
        let (family, seed) = (FamilyKey([5; 16]), [6; 16]);
        let token = shop.sign("user", &TOKEN).unwrap();
        assert_eq!(office.verify("user", &token), None);
        let sealed = shop.seal("user", b"secret").unwrap();
        let open = |ring: &KeyRing| ring.open("user", sealed.as_bytes(), |_, _| Some(()));
        assert_eq!((open(&shop), open(&office)), (Some(()), None));
        let kept = shop.fingerprint("user", b"hash").unwrap();
        let same = |ring: &KeyRing| ring.same_hash("user", Some(&*kept), Some(b"hash"));
        assert_eq!((same(&shop), same(&office)), (Some(Match::Current), None));
        let value = shop.family_token("user", family, &seed, 7).unwrap();
        assert!(office.read_family_token("user", &value).is_none());
        let token = shop.read_family_token("user", &value).unwrap();
        assert_eq!(office.proves("user", &token, &seed), None);
        let restored = |ring: &KeyRing| {
            ring.restored_login("user", family, &seed, 9, false)
                .unwrap()
        };
        assert_ne!(restored(&shop).key(), restored(&office).key());
        let client = |ring: &KeyRing| {
            let mut clients = ring.clients(ClientIdentity::default(), Some(b"browser"), None);
            clients.next().unwrap()
        };
        assert_ne!(client(&shop), client(&office));
    }

    /// The end of a user type is not the start of what is signed.
    #[test]
    fn a_user_type_ends_where_it_says() {
        let ring = ring(&[1]);
        let fingerprint =
            |user_type: &str, hash: &str| ring.fingerprint(user_type, hash.as_bytes()).unwrap();
        assert_ne!(fingerprint("user", "shash"), fingerprint("users", "hash"));
        assert_ne!(fingerprint("", "userhash"), fingerprint("user", "hash"));
        let keys = Keys::new(&Key::from(&[1; 64]), "");
        let code =
            |user_type, parts: &[&[u8]]| keys.family.mac(user_type, parts).finalize().into_bytes();
        assert_ne!(code("user", &[b"s", b"x"]), code("users", &[b"", b"x"]));
        assert_ne!(code("shop/user", &[b"x"]), code("shop", &[b"/userx"]));
    }
}
