//! Decisions and data without a framework: no actix, no clock, no randomness, no waiting.
//!
//! Time arrives as an argument. A security decision is a function here, tested as a table.

pub(crate) mod freshness;
pub(crate) mod limits;
pub(crate) mod login;
pub(crate) mod next;
pub(crate) mod protection;
pub(crate) mod remember;
pub(crate) mod resolve;
pub(crate) mod user;
