//! TODO request/remember_cookie.rs

use std::time::Duration;

use actix_web::HttpRequest;

use crate::{
    core::Token,
    error::LoginError,
    http::{
        CookieValue, SetCookie,
        cookies::{self},
    },
    keys::{self, FamilyToken, Match},
    manager::Manager,
    users::UserType,
};

/// A remember cookie for a user, that says everything itself.
pub(crate) fn remember_cookie(
    manager: &Manager,
    kind: &UserType,
    hash: Option<String>,
    id: &str,
    at: Option<i64>,
    age: Duration,
) -> Result<SetCookie, LoginError> {
    let now = manager.now();
    let nonce = keys::nonce().map_err(|_| LoginError::NoRandomness)?;
    let token = Token {
        authenticated_at: at.unwrap_or(now),
        issued_at: now,
        expires_at: now.saturating_add_unsigned(age.as_secs()),
        hash: hash.as_deref(),
        nonce: &nonce,
        id,
    };
    let value = manager
        .keys
        .sign(&kind.name, &token)
        .ok_or(LoginError::UnfitId)?;
    kind.remember.set(&value, age).ok_or(LoginError::UnfitId)
}

/// The family token that a request carries, if we made it.
pub(crate) fn carried_family(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
) -> Option<FamilyToken> {
    match cookies::carried(request, &kind.remember.name) {
        CookieValue::One(value) => manager.keys.read_family_token(&kind.name, &value),
        CookieValue::Missing | CookieValue::Ambiguous => None,
    }
}

/// Reads the remember token that a request carries, if it verifies and its time is not over.
pub(crate) fn read_token<T>(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    read: impl FnOnce(&Token<'_>, Match) -> T,
) -> Option<T> {
    let CookieValue::One(value) = cookies::carried(request, &kind.remember.name) else {
        return None;
    };
    let (text, found) = manager.keys.verify(&kind.name, &value)?;
    Token::read(&text, manager.now()).map(|token| read(&token, found))
}

/// Whether a request carries a remember cookie that is not this user's.
pub(crate) fn carries_token_of_another(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    id: &str,
) -> bool {
    cookies::carries(request, &kind.remember.name)
        && read_token(request, manager, kind, |token, _| token.id == id) != Some(true)
}
