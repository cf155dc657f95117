//! Tests through the front door: HTTP in, status, headers and cookies out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod first;
mod guards;
mod hygiene;
mod loads;
mod login;
mod setup;
mod tidy;
