//! The only file that signs, reads and writes cookies.

use std::{fmt, net::IpAddr};

use actix_web::cookie::Key;
use aes_gcm::{Aes256Gcm, aead::AeadInPlace};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use siphasher::sip::SipHasher13;
use subtle::ConstantTimeEq;

use crate::core::{
    CLIENT, ClientIdentity, FamilyKey, LoginKey, Token,
    remember::{self},
};

/// How many bytes of a fingerprint are kept.
///
/// Sixteen: nobody can compute one without the key, and 2^128 are out of reach for guessing. More
/// would only make sessions longer.
const FINGERPRINT_LEN: usize = 16;

/// Separates what is signed for one purpose from what is signed for another. The purpose and its
/// version go into every signature, because a signature that only covers the value would let a
/// value signed for one cookie pass as another.
const REMEMBER_PURPOSE: &[u8] = b"login-runtime remember token 1";

const FINGERPRINT_PURPOSE: &[u8] = b"login-runtime session hash 1";

const FAMILY_PURPOSE: &[u8] = b"login-runtime remember family 2";

const FAMILY_TAG_PURPOSE: &[u8] = b"login-runtime remember family tag 2";

const RESTORED_PURPOSE: &[u8] = b"login-runtime restored login 2";

const CLIENT_PURPOSE: &[u8] = b"login-runtime client identity 2";

const SESSION_PURPOSE: &[u8] = b"login-runtime session cookie 1";

const LOGIN_PURPOSE: &[u8] = b"login-runtime login cookie 1";

/// What is derived from one of the application's secrets.
struct Keys {
    remember: Hmac<Sha256>,
    fingerprint: Hmac<Sha256>,
    family: Hmac<Sha256>,
    family_tag: Hmac<Sha256>,
    restored: Hmac<Sha256>,
    client: [u8; 16],
    login: Aes256Gcm,
}

/// The keys that sign and verify: the first signs, all of them verify.
pub(crate) struct KeyRing(Vec<Keys>);

/// A value that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Under the key that signs.
    Current,
    /// Under an older key: write it anew.
    Older,
}

impl Match {
    fn at(position: usize) -> Self {
        match position {
            0 => Self::Current,
            _ => Self::Older,
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.0.len())
            .finish_non_exhaustive()
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length; the error cannot occur, and a MAC under the empty key would
    // be the alternative to a panic. `KeyRing` tests that keys differ.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

pub(crate) fn derive(secret: &Key, purpose: &[u8]) -> [u8; 32] {
    let mut mac = mac(secret.master());
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

/// The key for the session cookie: another one than those of our own values, from the same secret.
pub(crate) fn session_key(secret: &Key) -> Key {
    let mut bytes = [0; 64];
    let (first, second) = bytes.split_at_mut(32);
    first.copy_from_slice(&derive(secret, SESSION_PURPOSE));
    second.copy_from_slice(&derive(secret, &[SESSION_PURPOSE, b" 2"].concat()));
    Key::from(&bytes)
}

impl KeyRing {
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a Key>) -> Self {
        Self(
            secrets
                .map(|secret| {
                    let mut client = [0; 16];
                    client.copy_from_slice(&derive(secret, CLIENT_PURPOSE)[..16]);
                    Keys {
                        remember: mac(&derive(secret, REMEMBER_PURPOSE)),
                        fingerprint: mac(&derive(secret, FINGERPRINT_PURPOSE)),
                        family: mac(&derive(secret, FAMILY_PURPOSE)),
                        family_tag: mac(&derive(secret, FAMILY_TAG_PURPOSE)),
                        restored: mac(&derive(secret, RESTORED_PURPOSE)),
                        client,
                        login: aes_gcm::KeyInit::new(&derive(secret, LOGIN_PURPOSE).into()),
                    }
                })
                .collect(),
        )
    }

    /// A hash of what is known about the client, under each key, the current one first.
    ///
    /// SipHash and not HMAC, because it is computed at every request: it is a keyed function, so
    /// nobody can compute an identity from outside, and it protects no secret.
    pub(crate) fn clients<'a>(
        &'a self,
        identity: ClientIdentity,
        user_agent: Option<&'a [u8]>,
        address: Option<IpAddr>,
    ) -> impl Iterator<Item = u64> + 'a {
        use std::hash::Hasher;
        self.0.iter().map(move |keys| {
            let mut hasher = SipHasher13::new_with_key(&keys.client);
            identity.feed(user_agent, address, |bytes| hasher.write(bytes));
            hasher.finish() & CLIENT
        })
    }

    /// The fingerprint of a user's session hash. `user_type` keeps apart users of different types.
    pub(crate) fn fingerprint(&self, user_type: &str, hash: &[u8]) -> Option<String> {
        self.0
            .first()
            .map(|keys| fingerprint(keys, user_type, hash))
    }

    /// Compares a fingerprint that was kept with the user's session hash, in constant time.
    pub(crate) fn same_hash(
        &self,
        user_type: &str,
        kept: Option<&str>,
        hash: Option<&[u8]>,
    ) -> Option<Match> {
        let (kept, hash) = match (kept, hash) {
            (None, None) => return Some(Match::Current),
            (Some(kept), Some(hash)) => (kept, hash),
            // A user who was given a password, or lost it, has other credentials than before.
            _ => return None,
        };
        self.matching(|keys| {
            fingerprint(keys, user_type, hash)
                .as_bytes()
                .ct_eq(kept.as_bytes())
                .into()
        })
    }

    /// Signs a remember token.
    pub(crate) fn sign(&self, user_type: &str, token: &Token<'_>) -> Option<String> {
        let text = token.write();
        let mac = remember_mac(self.0.first()?, user_type, &text)
            .finalize()
            .into_bytes();
        Some(format!("{}.{}", BASE64.encode(&text), BASE64.encode(mac)))
    }

    /// The text of a remember token that verifies, and under which key.
    pub(crate) fn verify(&self, user_type: &str, value: &str) -> Option<(String, Match)> {
        if value.len() > remember::MAX_LEN {
            return None;
        }
        let (text, tag) = value.split_once('.')?;
        let text = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
        let tag = BASE64.decode(tag).ok()?;
        // `verify_slice` compares in constant time.
        let found = self.matching(|keys| {
            remember_mac(keys, user_type, &text)
                .verify_slice(&tag)
                .is_ok()
        })?;
        Some((text, found))
    }

    /// Seals what a login cookie says, for this user type: encrypted, so that it tells the browser
    /// nothing, and good for nothing if a bit of it is changed.
    pub(crate) fn seal(&self, user_type: &str, text: &[u8]) -> Option<String> {
        let keys = self.0.first()?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut bytes = Vec::with_capacity(NONCE_LEN + text.len() + SEAL_LEN);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(text);
        let sealed = bytes.get_mut(NONCE_LEN..)?;
        let tag = keys
            .login
            .encrypt_in_place_detached(&nonce.into(), user_type.as_bytes(), sealed)
            .ok()?;
        bytes.extend_from_slice(&tag);
        Some(BASE64.encode(bytes))
    }

    /// Opens what [`seal`](Self::seal) sealed, and hands it over together with the key it was under.
    pub(crate) fn open<T>(
        &self,
        user_type: &str,
        value: &[u8],
        read: impl FnOnce(&[u8], Match) -> Option<T>,
    ) -> Option<T> {
        if value.len() > remember::MAX_LEN {
            return None;
        }
        for (position, keys) in self.0.iter().enumerate() {
            // Anew for each key: nobody says what a key that is not the right one leaves of it.
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
                keys.login
                    .decrypt_in_place_detached(&nonce, user_type.as_bytes(), text, &tag);
            if opened.is_ok() {
                return read(text, Match::at(position));
            }
        }
        None
    }

    /// The token of a family's generation, under the key that signs.
    ///
    /// Computed and not kept: the same generation always has the same token, so the server can send
    /// it again, and a store that leaks holds none.
    pub(crate) fn family_token(
        &self,
        user_type: &str,
        family: FamilyKey,
        seed: &[u8; 16],
        generation: i64,
    ) -> Option<String> {
        let keys = self.0.first()?;
        let mut bytes = Vec::with_capacity(FAMILY_TOKEN_LEN);
        bytes.extend_from_slice(&family.0);
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(
            &family_proof(keys, user_type, family, seed, generation)
                .finalize()
                .into_bytes(),
        );
        let tag = family_tag(keys, user_type, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..FAMILY_TAG_LEN]);
        Some(format!("{FAMILY_PREFIX}{}", BASE64.encode(bytes)))
    }

    /// Reads a family token. `None` for everything that we did not make: the tag tells without
    /// asking the store.
    pub(crate) fn read_family_token(&self, user_type: &str, value: &str) -> Option<FamilyToken> {
        let mut bytes = [0; FAMILY_TOKEN_LEN];
        let encoded = value.strip_prefix(FAMILY_PREFIX)?;
        if BASE64.decode_slice(encoded, &mut bytes).ok()? != FAMILY_TOKEN_LEN {
            return None;
        }
        let (token, tag) = bytes.split_at(FAMILY_TOKEN_LEN - FAMILY_TAG_LEN);
        self.matching(|keys| {
            family_tag(keys, user_type, token)
                .verify_truncated_left(tag)
                .is_ok()
        })?;
        let (family, rest) = token.split_first_chunk::<16>()?;
        let (generation, proof) = rest.split_first_chunk::<8>()?;
        Some(FamilyToken {
            family: FamilyKey(*family),
            generation: i64::from_be_bytes(*generation),
            proof: proof.try_into().ok()?,
        })
    }

    /// Whether a token is the one of its generation, in constant time, and under which key.
    pub(crate) fn proves(
        &self,
        user_type: &str,
        token: &FamilyToken,
        seed: &[u8; 16],
    ) -> Option<Match> {
        self.matching(|keys| {
            family_proof(keys, user_type, token.family, seed, token.generation)
                .verify_slice(&token.proof)
                .is_ok()
        })
    }

    /// The id of the login that a family restored at a time: the same for all requests that shared
    /// in restoring it.
    pub(crate) fn restored_login(
        &self,
        user_type: &str,
        family: FamilyKey,
        seed: &[u8; 16],
        at: i64,
    ) -> Option<LoginToken> {
        let mut mac = self.0.first()?.restored.clone();
        update_framed(&mut mac, user_type.as_bytes());
        mac.update(&family.0);
        mac.update(seed);
        mac.update(&at.to_be_bytes());
        Some(LoginToken(mac.finalize().into_bytes().into()))
    }

    fn matching(&self, is_match: impl Fn(&Keys) -> bool) -> Option<Match> {
        self.0.iter().position(is_match).map(Match::at)
    }
}

/// How many random bytes a sealed text starts with. Two seals under one key must not have the same:
/// at 2^32 logins the odds of that are one in 2^33, as with actix-session's own cookies.
const NONCE_LEN: usize = 12;

/// Up to which length no memory is allocated to open one.
const SHORT_LEN: usize = 160;

/// How many bytes at its end say that it was sealed here.
const SEAL_LEN: usize = 16;

/// What starts a family token; a stateless token cannot start like this.
const FAMILY_PREFIX: &str = "2.";

/// How many bytes of the tag are kept: enough that guessing one is hopeless.
const FAMILY_TAG_LEN: usize = 16;

/// Family, generation, proof and tag.
const FAMILY_TOKEN_LEN: usize = 16 + 8 + 32 + FAMILY_TAG_LEN;

/// A remember token that names its family.
pub(crate) struct FamilyToken {
    pub(crate) family: FamilyKey,
    pub(crate) generation: i64,
    proof: [u8; 32],
}

fn family_proof(
    keys: &Keys,
    user_type: &str,
    family: FamilyKey,
    seed: &[u8; 16],
    generation: i64,
) -> Hmac<Sha256> {
    let mut mac = keys.family.clone();
    update_framed(&mut mac, user_type.as_bytes());
    mac.update(&family.0);
    mac.update(seed);
    mac.update(&generation.to_be_bytes());
    mac
}

fn family_tag(keys: &Keys, user_type: &str, token: &[u8]) -> Hmac<Sha256> {
    let mut mac = keys.family_tag.clone();
    update_framed(&mut mac, user_type.as_bytes());
    mac.update(token);
    mac
}

fn fingerprint(keys: &Keys, user_type: &str, hash: &[u8]) -> String {
    let mut mac = keys.fingerprint.clone();
    update_framed(&mut mac, user_type.as_bytes());
    mac.update(hash);
    BASE64.encode(&mac.finalize().into_bytes()[..FINGERPRINT_LEN])
}

fn remember_mac(keys: &Keys, user_type: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = keys.remember.clone();
    update_framed(&mut mac, user_type.as_bytes());
    mac.update(text.as_bytes());
    mac
}

/// Writes the length first, so that no two pairs of texts run together to the same bytes.
fn update_framed(mac: &mut Hmac<Sha256>, bytes: &[u8]) {
    mac.update(&(bytes.len() as u64).to_be_bytes());
    mac.update(bytes);
}

/// The id of a login: what its session carries, and nobody else has.
pub(crate) struct LoginToken([u8; 32]);

impl LoginToken {
    /// A new id, of 256 random bits.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        match BASE64.decode_slice(text, &mut bytes) {
            Ok(32) => Some(Self(bytes)),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> String {
        BASE64.encode(self.0)
    }

    /// Under what the login's record is stored.
    pub(crate) fn key(&self) -> LoginKey {
        LoginKey::of(&self.0)
    }
}

impl fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginToken([redacted])")
    }
}

/// Sixteen random bytes.
pub(crate) fn random_16() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Sixteen random bytes as text.
pub(crate) fn nonce() -> Result<String, getrandom::Error> {
    random_16().map(|bytes| BASE64.encode(bytes))
}

/// Reads what [`nonce`] wrote.
pub(crate) fn read_nonce(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    match BASE64.decode_slice(text, &mut bytes) {
        Ok(16) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(secrets: &[u8]) -> KeyRing {
        let keys: Vec<_> = secrets.iter().map(|byte| Key::from(&[*byte; 64])).collect();
        KeyRing::new(keys.iter())
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
    fn one_changed_bit_anywhere_makes_a_token_worthless() {
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

    /// Not even with tokens of several generations at hand is another made from them. What is no
    /// token here is never looked up, and so ends nothing and raises no alarm.
    #[test]
    fn a_million_forged_family_tokens_are_none() {
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
        let same = |secrets: &[u8], user_type, kept: Option<&str>, hash| {
            ring(secrets).same_hash(user_type, kept, hash)
        };
        assert_eq!(
            same(&[1], "", Some(&kept), Some(b"hash")),
            Some(Match::Current)
        );
        assert_eq!(
            same(&[2, 1], "", Some(&kept), Some(b"hash")),
            Some(Match::Older)
        );
        assert_eq!(same(&[2], "", Some(&kept), Some(b"hash")), None);
        assert_eq!(same(&[1], "admin", Some(&kept), Some(b"hash")), None);
        assert_eq!(same(&[1], "", Some(&kept), Some(b"other")), None);
        assert_eq!(same(&[1], "", Some(&kept), None), None);
        assert_eq!(same(&[1], "", None, Some(b"hash")), None);
        assert_eq!(same(&[1], "", None, None), Some(Match::Current));
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
    fn the_same_text_is_sealed_differently_each_time() {
        let ring = ring(&[1]);
        assert_ne!(ring.seal("", b"secret"), ring.seal("", b"secret"));
    }

    #[test]
    fn keys_for_different_purposes_differ() {
        let secret = Key::from(&[1; 64]);
        let derived: Vec<_> = [
            REMEMBER_PURPOSE,
            FINGERPRINT_PURPOSE,
            CLIENT_PURPOSE,
            SESSION_PURPOSE,
            LOGIN_PURPOSE,
        ]
        .map(|purpose| derive(&secret, purpose))
        .into_iter()
        .collect();
        for (i, one) in derived.iter().enumerate() {
            assert!(derived[i + 1..].iter().all(|other| one != other));
        }
        assert_ne!(session_key(&secret).master(), secret.master());
    }
}
