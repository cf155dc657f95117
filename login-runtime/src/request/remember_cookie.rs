//! The remember cookie: makes, reads and prolongs the tokens in it.
//!
//! 1. Without a login store a token describes the login that it restores, and is valid until its time
//!    is over.
//! 2. With one it belongs to a family of tokens. A family has one valid token at a time; see
//!    [`core::remember`](crate::core::remember).

use std::time::Duration;

use actix_web::HttpRequest;

use crate::{
    core::{FamilyKey, LoginSelector, Token, TokenFamily},
    error::{LoginError, StoreError},
    http::{SetCookie, cookies},
    keys::{self, FamilyToken, Match},
    manager::Manager,
    session::Entry,
    store::{LoginRef, LoginStore as _, Records},
    users::UserType,
};

/// A remember cookie for a user, with a new token that describes the login.
pub(crate) fn new_token(
    manager: &Manager,
    user_type: &UserType,
    hash: Option<String>,
    id: &str,
    authenticated_at: i64,
    age: Duration,
) -> Result<SetCookie, LoginError> {
    let now = manager.now();
    let nonce = keys::nonce().map_err(|_| LoginError::NoRandomness)?;
    let expires_at = now.saturating_add_unsigned(age.as_secs());
    let token = Token {
        authenticated_at,
        issued_at: now,
        expires_at: manager.remembering.end(expires_at, authenticated_at),
        hash: hash.as_deref(),
        nonce: &nonce,
        id,
    };
    token_cookie(manager, user_type, &token, now).ok_or(LoginError::UnfitId)
}

/// The cookie with a token, signed with the current key. It lasts as long as the token.
pub(crate) fn token_cookie(
    manager: &Manager,
    user_type: &UserType,
    token: &Token<'_>,
    now: i64,
) -> Option<SetCookie> {
    let value = manager.keys.sign(&user_type.name, token)?;
    let age = token.expires_at.saturating_sub(now);
    user_type.remember.set(&value, seconds(age))
}

/// The cookie with the current token of a family, for an age in seconds.
pub(crate) fn family_cookie(
    manager: &Manager,
    user_type: &UserType,
    key: FamilyKey,
    family: &TokenFamily,
    age: i64,
) -> Option<SetCookie> {
    let (seed, generation) = (&family.seed, family.generation);
    let value = manager
        .keys
        .family_token(&user_type.name, key, seed, generation)?;
    user_type.remember.set(&value, seconds(age))
}

fn seconds(age: i64) -> Duration {
    Duration::from_secs(age.max(0).unsigned_abs())
}

/// The family tokens of a request that this crate made. Of each family only the newest counts: an older
/// one in a cookie that another domain of the application left behind is no theft.
pub(crate) fn read_family_tokens(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
) -> Vec<FamilyToken> {
    let mut tokens: Vec<FamilyToken> = Vec::new();
    for value in values(request, user_type) {
        let Some(token) = manager.keys.read_family_token(&user_type.name, value) else {
            continue;
        };
        let same_family = tokens.iter_mut().find(|known| known.family == token.family);
        match same_family {
            Some(known) if known.generation < token.generation => *known = token,
            Some(_) => {}
            None => tokens.push(token),
        }
    }
    tokens
}

/// Reads the first remember token of a request whose signature is valid and whose time is not over.
pub(crate) fn read_token<T>(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    read: impl FnOnce(&Token<'_>, Match) -> T,
) -> Option<T> {
    let now = manager.now();
    for value in values(request, user_type) {
        if let Some((text, found)) = manager.keys.verify(&user_type.name, value)
            && let Some(token) = Token::read(&text, now)
        {
            return Some(read(&token, found));
        }
    }
    None
}

/// The texts of all remember tokens of a request whose signature is valid, and the keys that made them.
pub(crate) fn verified_texts(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
) -> Vec<(String, Match)> {
    let verify = |value| manager.keys.verify(&user_type.name, value);
    values(request, user_type).filter_map(verify).collect()
}

fn values<'a>(request: &'a HttpRequest, user_type: &'a UserType) -> impl Iterator<Item = &'a str> {
    let values = cookies::usable(request, &user_type.remember.name);
    values.filter_map(|value| str::from_utf8(value).ok())
}

/// Whether a request has a remember cookie.
pub(crate) fn is_carried(request: &HttpRequest, user_type: &UserType) -> bool {
    cookies::carries(request, &user_type.remember.name)
}

/// Whether a request has a remember cookie that is not a valid one of this user.
pub(crate) fn carries_token_of_another(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    id: &str,
) -> bool {
    is_carried(request, user_type)
        && read_token(request, manager, user_type, |token, _| token.id == id) != Some(true)
}

/// The token of a request as a new one, if it is of the user whose entry the request has.
///
/// `has_asked` says whether the request asked for the user.
pub(crate) fn prolonged_token(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    entry: &Entry<'_>,
    has_asked: bool,
) -> Option<SetCookie> {
    let now = manager.now();
    let nonce = keys::nonce().ok()?;
    read_token(request, manager, user_type, |token, found| {
        let hash = match found {
            Match::Current => token.hash,
            // An older key made the token's fingerprint, too. A request that asked for the user has a
            // new one in its entry; any other leaves the token as it is.
            Match::Older if has_asked => entry.hash,
            Match::Older => return None,
        };
        // The new token lasts as long as this one was issued for.
        let lifetime = token.expires_at.saturating_sub(token.issued_at);
        let (remembering, at) = (&manager.remembering, token.authenticated_at);
        let prolonged = remembering.prolonged(now, at, lifetime);
        // Never less than it has, unless it was made under longer limits.
        let expires_at = prolonged.max(remembering.end(token.expires_at, at));
        let prolonged = Token {
            expires_at,
            issued_at: now,
            nonce: &nonce,
            hash,
            ..*token
        };
        let is_same_user = token.id == entry.id;
        is_same_user
            .then(|| token_cookie(manager, user_type, &prolonged, now))
            .flatten()
    })?
}

/// The family token of a request with a new age, if the request has the login that the family belongs
/// to.
pub(crate) async fn prolonged_family(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    records: &Records,
    login: LoginRef,
) -> Result<Option<SetCookie>, StoreError> {
    let tokens = read_family_tokens(request, manager, user_type);
    if tokens.is_empty() {
        return Ok(None);
    }
    let now = manager.now();
    let record = records.store.find(login.key, now).await?;
    let Some(key) = record.and_then(|record| record.family) else {
        return Ok(None);
    };
    let Some(token) = tokens.into_iter().find(|token| token.family == key) else {
        return Ok(None);
    };
    let family = records
        .prolong(key, token.generation, now, &manager.remembering, |family| {
            proves(manager, user_type, &token, family).is_some()
        })
        .await?;
    Ok(family.and_then(|(family, end)| {
        let age = end.saturating_sub(now);
        family_cookie(manager, user_type, key, &family, age)
    }))
}

/// Whether a token is genuine and of a user of this type, and the key that made it.
pub(crate) fn proves(
    manager: &Manager,
    user_type: &UserType,
    token: &FamilyToken,
    family: &TokenFamily,
) -> Option<Match> {
    let proof = manager.keys.proves(&user_type.name, token, &family.seed);
    proof.filter(|_| family.user_type == user_type.name)
}

/// Ends a family and the logins that it restored.
pub(crate) async fn end_family(records: &Records, family: FamilyKey) -> Result<u64, StoreError> {
    let end = LoginSelector::Family(family);
    records.store.end_many(end).await
}
