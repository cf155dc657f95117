//! Messages and output of `#[derive(AuthUser)]`.

mod enums;
mod structs;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use super::{expand, model::Model};
use crate::errors::Errors;

fn parse(input: TokenStream) -> DeriveInput {
    syn::parse2(input).unwrap()
}

#[track_caller]
fn check(input: TokenStream, messages: &[&str]) {
    let input = parse(input);
    let mut errors = Errors::default();
    Model::parse(&input, &mut errors).check(&mut errors);
    assert_eq!(errors.messages(), messages);
}

/// Checks that the input is accepted, and that the parts are in what comes out.
#[track_caller]
fn expands(input: TokenStream, parts: &[TokenStream]) {
    let output = expand(&parse(input)).to_string();
    assert!(!output.contains("compile_error"), "{output}");
    contains(&output, parts);
}

#[track_caller]
fn falls_back(input: TokenStream, parts: &[TokenStream]) {
    let output = expand(&parse(input)).to_string();
    assert!(output.contains("compile_error"), "{output}");
    contains(&output, parts);
}

#[track_caller]
fn contains(output: &str, parts: &[TokenStream]) {
    for part in parts {
        let part = part.to_string();
        assert!(output.contains(&part), "no `{part}` in `{output}`");
    }
}
