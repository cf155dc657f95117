//! TODO http/set_cookie.rs

use actix_web::http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use crate::core::MAX_LEN;

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

    /// Whether browsers keep a cookie of this length.
    pub(crate) fn fits(&self) -> bool {
        self.text.len() <= MAX_LEN
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
