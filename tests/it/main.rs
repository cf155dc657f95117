//! Tests through the front door: HTTP in, status, headers and cookies out.

mod login;
mod records;
