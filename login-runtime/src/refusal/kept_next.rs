//! The address that a refused client asked for, kept in a cookie of its own.
//!
//! A session would be a drawer on the server that strangers can fill. The cookie costs the server
//! nothing, a browser has one, and the last page that a user wanted replaces the one before. It is
//! encrypted, since the address may contain secrets, and bound to its purpose: no other value of this
//! crate opens as one.

use std::{sync::Arc, time::Duration};

use actix_web::HttpRequest;

use crate::{
    clock::Clock,
    http::{CheckedCookie, SetCookie, cookies},
    keys::KeyRing,
};

/// How long an address is kept.
///
/// Raising it helps users who take long to log in; lowering it surprises fewer users by a page that they
/// wanted long ago.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// Writes and reads the cookie.
pub(crate) struct NextCookie {
    pub(crate) cookie: CheckedCookie,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl NextCookie {
    /// A cookie that keeps an address. `None` if the address is too long for a cookie.
    pub(crate) fn keep(&self, next: &str) -> Option<SetCookie> {
        let until = self.clock.now().saturating_add_unsigned(KEPT_FOR.as_secs());
        let text = [&until.to_be_bytes()[..], next.as_bytes()].concat();
        self.cookie.set(&self.keys.seal_next(&text)?, KEPT_FOR)
    }

    /// Whether a request carries the cookie.
    pub(crate) fn is_carried(&self, request: &HttpRequest) -> bool {
        cookies::carries(request, &self.cookie.name)
    }

    /// The address that a request carries.
    pub(crate) fn read(&self, request: &HttpRequest) -> Option<String> {
        let now = self.clock.now();
        let read = |text: &[u8]| {
            let (until, next) = text.split_first_chunk()?;
            let is_kept = i64::from_be_bytes(*until) > now;
            str::from_utf8(next)
                .ok()
                .filter(|_| is_kept)
                .map(str::to_owned)
        };
        cookies::usable(request, &self.cookie.name)
            .find_map(|value| self.keys.open_next(value, read))
    }

    /// A cookie that makes the browser forget the address.
    pub(crate) fn clear(&self) -> SetCookie {
        self.cookie.clear()
    }
}
