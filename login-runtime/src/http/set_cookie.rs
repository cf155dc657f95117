//! TODO http/set_cookie.rs

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use crate::{core::remember, http::cookie_settings::CheckedCookie};

/// A `Set-Cookie` header.
///
/// Only texts that are good in one go in: names and attributes that were checked, and values of ours.
#[derive(Clone)]
pub(crate) struct SetCookie {
    text: String,
    name: usize,
}

impl SetCookie {
    /// A cookie of this name, with the value and the attributes in parts.
    pub(crate) fn new(name: &str, parts: &[&str]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut text = String::with_capacity(name.len() + "=".len() + len);
        text.push_str(name);
        text.push('=');
        parts.iter().for_each(|part| text.push_str(part));
        let name = name.len();
        Self { text, name }
    }

    pub(crate) fn name(&self) -> &str {
        self.text.get(..self.name).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Appends a cookie to a response's headers. `false` if the cookie cannot be put into a header.
pub(crate) fn append(headers: &mut HeaderMap, cookie: SetCookie) -> bool {
    match HeaderValue::try_from(cookie.text) {
        Ok(value) => {
            headers.append(SET_COOKIE, value);
            true
        }
        Err(_) => false,
    }
}

/// The cookie for a sealed login, which goes when the browser is closed. `None` if it would be longer
/// than browsers keep.
pub(crate) fn login_cookie(settings: &CheckedCookie, value: &str) -> Option<SetCookie> {
    let cookie = settings.until_closed(value);
    (cookie.text.len() <= remember::MAX_LEN).then_some(cookie)
}

/// The cookie for a signed token. `None` if it would be longer than browsers keep.
pub(crate) fn remember_cookie(
    settings: &CheckedCookie,
    value: &str,
    age: Duration,
) -> Option<SetCookie> {
    let cookie = settings.set(value, age);
    (cookie.text.len() <= remember::MAX_LEN).then_some(cookie)
}
