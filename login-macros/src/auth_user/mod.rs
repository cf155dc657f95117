//! `#[derive(AuthUser)]`.

mod check;
mod expand;
mod fallback;
mod model;
mod parse;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use syn::DeriveInput;

use self::model::Model;
use crate::errors::Errors;

pub(crate) fn expand(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let model = Model::parse(input, &mut errors);
    model.check(&mut errors);
    match errors.finish() {
        Ok(()) => model.expand(),
        Err(error) => model.expand_fallback(&error),
    }
}
