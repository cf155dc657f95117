//! Who the user of a request is: looked up once, and shared by all who ask.

pub(crate) mod client;
pub(crate) mod credential;
pub(crate) mod lookup;
pub(crate) mod remember_cookie;
pub(crate) mod state;
pub(crate) mod trace;
