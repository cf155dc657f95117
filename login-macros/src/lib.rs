//! The macros of `login-runtime`, which re-exports and documents them.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod auth_user;
mod errors;
mod guards;
mod options;
mod paths;
mod public;
mod routes;

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_derive(AuthUser, attributes(auth))]
pub fn derive_auth_user(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    auth_user::expand(&input).into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_attribute]
pub fn login_required(options: TokenStream, item: TokenStream) -> TokenStream {
    guards::expand(guards::Kind::LoginRequired, options.into(), item.into()).into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_attribute]
pub fn fresh_login_required(options: TokenStream, item: TokenStream) -> TokenStream {
    guards::expand(
        guards::Kind::FreshLoginRequired,
        options.into(),
        item.into(),
    )
    .into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_attribute]
pub fn public(options: TokenStream, item: TokenStream) -> TokenStream {
    public::expand(options.into(), item.into()).into()
}
