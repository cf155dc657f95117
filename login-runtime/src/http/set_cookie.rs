//! Writing `Set-Cookie` headers.

use actix_web::http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use crate::core::MAX_LEN;

/// The value of a `Set-Cookie` header.
///
/// Names and attributes were checked when the manager was built, and the values are our own, so nothing is
/// escaped here.
#[derive(Clone)]
pub(crate) struct SetCookie {
    text: String,
    /// The length of the name, which starts the text.
    name: usize,
}

impl SetCookie {
    /// A cookie of this name; `parts` are the value and the attributes.
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

/// Appends a cookie to a response's headers. `false` if a header cannot contain it.
pub(crate) fn append(headers: &mut HeaderMap, cookie: SetCookie) -> bool {
    let value = HeaderValue::try_from(cookie.text);
    value.map(|value| headers.append(SET_COOKIE, value)).is_ok()
}
