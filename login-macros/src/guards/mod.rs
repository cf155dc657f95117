//! `#[login_required]`, `#[fresh_login_required]` and `#[permission_required]`.
//!
//! The handler is rewritten in place: its arguments become one extractor, which asks the policy
//! first and extracts the arguments afterwards.
//!
//! ```text
//! async fn show(Guarded { args: (id, mut body), .. }: Guarded<Policy, (Path<u32>, Json<Page>)>) -> ..
//! ```
//!
//! The pattern of the parameter takes the arguments apart, and not a first line of the body: the
//! arguments live until the last temporary of the body is dropped. With locals, before edition 2024,
//! `data.lock().unwrap().len()` as the last expression would not compile.

mod assertions;
mod check;
mod expand;
mod model;
mod order;
mod parse;
mod policy;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use self::model::Guard;
use crate::{errors::Errors, guard_kind::GuardKind, handler::expand_fallback};

pub(crate) fn expand(kind: GuardKind, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let guard = match Guard::parse(kind, &options, &item, &mut errors) {
        Ok(guard) => guard,
        Err(error) => return expand_fallback(&errors.finish_with(error), &item),
    };
    if errors.is_empty()
        && let Some(tokens) = guard.expand_later()
    {
        return tokens;
    }
    guard.check(&mut errors);
    match errors.finish() {
        Ok(()) => guard.expand(),
        Err(error) => {
            let mut tokens = expand_fallback(&error, &item);
            // A strict configuration would report the same handler again.
            tokens.extend(guard.declaration());
            tokens
        }
    }
}
