//! Log in, log out, confirm, and see or end logins.

#[allow(
    clippy::module_inception,
    reason = "the file is named after the extractor"
)]
pub(crate) mod auth;
pub(crate) mod log_in;
pub(crate) mod logins;
