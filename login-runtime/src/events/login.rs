//! The login that an event is about, as the log names it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use derive_more::{Debug, Display};

use crate::{
    keys::{KeyRing, LOGIN_HASH_LEN},
    store::LoginRef,
};

/// A keyed hash that names a login in events and in the log (ASVS 16.2.5).
///
/// It stays the same when a login is confirmed, and when a remember cookie restores it, so that all lines
/// about one login can be found. Without the application's secret, it can neither be computed from a
/// cookie or from a [`LoginKey`](crate::store::LoginKey), nor turned into one. As text it has 16 letters,
/// digits, `-` and `_`.
///
/// A login gets another hash if the secret changes. A remembered login also gets one when its user's
/// credentials change, because its remember tokens end then.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq, Hash)]
#[debug("LoginHash({self})")]
#[display("{}", BASE64.encode(_0))]
pub struct LoginHash([u8; LOGIN_HASH_LEN]);

/// The login of an event. Its hash is computed only when something asks for it.
#[derive(Clone, Copy, Debug)]
#[debug("EventLogin({:?})", self.hash())]
pub struct EventLogin<'a> {
    keys: &'a KeyRing,
    user_type: &'a str,
    login: LoginRef,
}

impl<'a> EventLogin<'a> {
    pub(crate) fn new(keys: &'a KeyRing, user_type: &'a str, login: LoginRef) -> Self {
        Self {
            keys,
            user_type,
            login,
        }
    }

    /// The name of the login.
    pub fn hash(&self) -> Option<LoginHash> {
        let hash = self.keys.login_hash(self.user_type, self.login.lasting());
        hash.map(LoginHash)
    }
}
