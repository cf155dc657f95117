//! The `Auth` extractor: log in, log out, confirm, require, and list or end logins.

pub(crate) mod attempt;
#[allow(
    clippy::module_inception,
    reason = "the file is named after the extractor"
)]
pub(crate) mod auth;
pub(crate) mod carried;
pub(crate) mod confirm;
pub(crate) mod establish;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod logins;
pub(crate) mod require;
pub(crate) mod safe_method;
pub(crate) mod seen_client;
#[cfg(feature = "password")]
pub(crate) mod verify;

#[cfg(feature = "test-util")]
pub(crate) use self::auth::Auth;
