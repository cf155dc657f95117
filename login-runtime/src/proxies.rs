//! Proxies in front of the application: which are trusted, and what they report.
//!
//! The guide has [a page](crate::guide::proxies) about it.

pub use crate::http::proxies::{ForwardedHeaders, TrustedProxies, client_address, path_prefix};
