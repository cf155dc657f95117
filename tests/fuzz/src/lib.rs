//! What must hold for every input that a client, or a store, can bring.
//!
//! Each module is a target: `check` takes the bytes of the fuzzer and panics if the property is broken. All of
//! them use the crate through its public interface, mostly by a request to an application. What an answer
//! has to be is computed a second time, by a slow and obvious model.

mod entry;
mod input;
mod seal;
mod site;

pub mod carried_next;
pub mod cookie_header;
pub mod forwarded;
pub mod login_cookie;
pub mod next;
pub mod remember_family;
pub mod remember_token;
pub mod request_headers;
pub mod session_entry;
