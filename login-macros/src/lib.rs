//! The macros of `login-runtime`, which re-exports and documents them.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod auth_user;
mod conditions;
mod errors;
mod guards;
mod options;
mod paths;
mod permissions;
mod public;
mod routes;
mod spans;

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
pub fn permission_required(options: TokenStream, item: TokenStream) -> TokenStream {
    guards::expand(
        guards::Kind::PermissionRequired,
        options.into(),
        item.into(),
    )
    .into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_derive(Permissions, attributes(permissions))]
pub fn derive_permissions(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    permissions::expand(&input).into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro]
pub fn role(tokens: TokenStream) -> TokenStream {
    conditions::expand_type(conditions::Key::Role, tokens.into()).into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro]
pub fn permission(tokens: TokenStream) -> TokenStream {
    conditions::expand_type(conditions::Key::Permission, tokens.into()).into()
}

// Documented on its re-export in login-runtime.
#[allow(missing_docs, reason = "documented where login-runtime re-exports it")]
#[proc_macro_attribute]
pub fn public(options: TokenStream, item: TokenStream) -> TokenStream {
    public::expand(options.into(), item.into()).into()
}
