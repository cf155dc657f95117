//! Signs and encrypts as the crate does, written a second time: so the targets get behind the check of a
//! signature, and need no door in the crate for it.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::site::{USER, key};

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).expect("keys of all lengths");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn derive(purpose: &str) -> [u8; 32] {
    let len = (purpose.len() as u64).to_be_bytes();
    mac(key().master(), &[&len, purpose.as_bytes()])
}

/// A code for values of the first user type.
fn code(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let len = (USER.len() as u16).to_be_bytes();
    mac(
        &derive(purpose),
        &[&[&len[..], USER.as_bytes()], parts].concat(),
    )
}

/// A remember token with this text, as a cookie's value.
pub fn remember_token(text: &[u8]) -> String {
    let tag = code("login-runtime remember token 1", &[text]);
    format!("{}.{}", BASE64.encode(text), BASE64.encode(tag))
}

/// The text of a remember token that is exactly what this secret signs.
pub fn read_remember_token(value: &[u8]) -> Option<String> {
    let value = str::from_utf8(value).ok()?;
    let text = BASE64.decode(value.split_once('.')?.0).ok()?;
    let is_ours = value.len() <= 4096 && remember_token(&text) == value;
    String::from_utf8(text).ok().filter(|_| is_ours)
}

/// The fingerprint of a user's session hash.
pub fn fingerprint(hash: &str) -> String {
    let code = code("login-runtime session hash 1", &[hash.as_bytes()]);
    BASE64.encode(&code[..16])
}

/// The proof of a generation of a family of remember tokens.
pub fn family_proof(family: [u8; 16], seed: [u8; 16], generation: i64) -> [u8; 32] {
    let parts: [&[u8]; 3] = [&family, &seed, &generation.to_be_bytes()];
    code("login-runtime remember family 2", &parts)
}

/// A family token with a valid tag, as a cookie's value.
pub fn family_token(family: [u8; 16], generation: i64, proof: [u8; 32]) -> String {
    let token = [&family[..], &generation.to_be_bytes(), &proof].concat();
    let tag = code("login-runtime remember family tag 2", &[&token]);
    format!("2.{}", BASE64.encode([&token[..], &tag[..16]].concat()))
}

/// The family, the generation and the proof of a token with a valid tag.
pub fn read_family_token(value: &[u8]) -> Option<([u8; 16], i64, [u8; 32])> {
    let value = str::from_utf8(value).ok()?;
    let bytes = BASE64.decode(value.strip_prefix("2.")?).ok()?;
    let (family, rest) = bytes.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (proof, _tag) = rest.split_first_chunk()?;
    let generation = i64::from_be_bytes(*generation);
    let is_ours = family_token(*family, generation, *proof) == value;
    is_ours.then_some((*family, generation, *proof))
}

/// What is encrypted in a cookie.
#[derive(Clone, Copy)]
pub enum Sealed {
    /// A login cookie.
    Login,
    /// The cookie that keeps `next`.
    Next,
}

impl Sealed {
    fn cipher(self) -> Aes256Gcm {
        let purpose = match self {
            Self::Login => "login-runtime login cookie 1",
            Self::Next => "login-runtime next cookie 1",
        };
        Aes256Gcm::new(&derive(purpose).into())
    }

    /// What the text is bound to.
    fn payload(self, msg: &[u8]) -> Payload<'_, '_> {
        let aad = match self {
            Self::Login => USER.as_bytes(),
            Self::Next => b"",
        };
        Payload { msg, aad }
    }

    /// The text as a cookie's value, always with the same nonce.
    pub fn seal(self, text: &[u8]) -> String {
        let nonce = [9; 12];
        let sealed = self
            .cipher()
            .encrypt(&nonce.into(), self.payload(text))
            .expect("a short text");
        BASE64.encode([&nonce[..], &sealed].concat())
    }

    /// The text of a cookie's value that this secret has sealed.
    pub fn open(self, value: &[u8]) -> Option<Vec<u8>> {
        let bytes = BASE64.decode(value).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<12>()?;
        // Unpadded base64 has one form only for each text.
        let is_ours = value.len() <= 4096 && BASE64.encode(&bytes).as_bytes() == value;
        let text = self
            .cipher()
            .decrypt(&(*nonce).into(), self.payload(sealed))
            .ok()?;
        is_ours.then_some(text)
    }
}
