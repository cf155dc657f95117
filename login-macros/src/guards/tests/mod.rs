//! Messages and output of the guards.

mod messages;
mod order;
mod output;

use proc_macro2::TokenStream;
use quote::quote;

use super::{expand, model::Guard};
use crate::{
    errors::Errors,
    guard_kind::GuardKind::{self, LoginRequired},
};

#[track_caller]
fn check(kind: GuardKind, options: TokenStream, item: TokenStream, messages: &[&str]) {
    let mut errors = Errors::default();
    let found = match Guard::parse(kind, &options, &item, &mut errors) {
        Ok(guard) => {
            guard.check(&mut errors);
            errors.messages()
        }
        Err(error) => vec![errors.finish_with(error).to_string()],
    };
    assert_eq!(found, messages);
    if !messages.is_empty() {
        let output = expand(kind, options, item.clone()).to_string();
        assert!(output.contains("compile_error"), "{output}");
        assert!(output.ends_with(&item.to_string()), "{output}");
    }
}

/// Checks one mistake in the signature.
#[track_caller]
fn refuses(item: TokenStream, message: &str) {
    check(LoginRequired, quote!(), item, &[message]);
}

#[track_caller]
fn expands(kind: GuardKind, options: TokenStream, item: TokenStream, expected: TokenStream) {
    assert_eq!(
        expand(kind, options, item).to_string(),
        expected.to_string()
    );
}

#[track_caller]
fn policy_is(kind: GuardKind, options: TokenStream, policy: TokenStream) {
    let handler = quote!(
        async fn h() -> impl Responder {
            body()
        }
    );
    let output = expand(kind, options, handler).to_string();
    let signature = quote! {
        async fn h(_: ::login_runtime::__private::Guarded<#policy, ()>) -> impl Responder
    };
    assert!(output.starts_with(&signature.to_string()), "{output}");
}
