//! The macros of `login-runtime`, which re-exports and documents them.
//!
//! Each macro has its own file or folder and works in the same order: a model of the input,
//! `parse` fills it, `check` reads it, `expand` prints it, and `expand_fallback` prints what is left
//! after a mistake.

#![allow(
    missing_docs,
    reason = "login-runtime documents each macro where it re-exports it"
)]

use proc_macro2::TokenStream;
use syn::parse::Parse;

mod argument_check;
mod auth_user;
mod condition_types;
mod conditions;
mod errors;
mod guard_kind;
mod guards;
mod handler;
mod options;
mod paths;
mod permissions;
mod public;
mod routes;
mod source_text;
mod spans;
#[cfg(test)]
mod tests;
mod types;

use guard_kind::GuardKind;

#[proc_macro_derive(AuthUser, attributes(auth))]
pub fn derive_auth_user(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_with(input, |input| auth_user::expand(&input))
}

#[proc_macro_derive(Permissions, attributes(permissions))]
pub fn derive_permissions(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_with(input, |input| permissions::expand(&input))
}

#[proc_macro_attribute]
pub fn login_required(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_with(item, |item| {
        guards::expand(GuardKind::LoginRequired, options.into(), item)
    })
}

#[proc_macro_attribute]
pub fn fresh_login_required(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_with(item, |item| {
        guards::expand(GuardKind::FreshLoginRequired, options.into(), item)
    })
}

#[proc_macro_attribute]
pub fn permission_required(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_with(item, |item| {
        guards::expand(GuardKind::PermissionRequired, options.into(), item)
    })
}

#[proc_macro_attribute]
pub fn public(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_with(item, |item| public::expand(options.into(), item))
}

#[proc_macro]
pub fn role(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_with(tokens, condition_types::expand_role)
}

#[proc_macro]
pub fn permission(tokens: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_with(tokens, condition_types::expand_permission)
}

/// Parses what a macro was given, and expands it.
fn expand_with<I: Parse>(
    input: proc_macro::TokenStream,
    expand: impl FnOnce(I) -> TokenStream,
) -> proc_macro::TokenStream {
    parse_and_expand(input.into(), expand).into()
}

fn parse_and_expand<I: Parse>(
    input: TokenStream,
    expand: impl FnOnce(I) -> TokenStream,
) -> TokenStream {
    syn::parse2(input).map_or_else(|error| error.to_compile_error(), expand)
}
