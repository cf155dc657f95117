//! What a guard knows about its attribute and its handler.

use proc_macro2::TokenStream;
use quote::ToTokens as _;
use syn::Type;

use crate::{conditions::Condition, guard_kind::GuardKind, handler::Handler, paths::Root};

/// The option that a guard adds to its own attribute when it moves it behind the others.
///
/// Attributes above and below look the same to a macro. Without this mark it would move the
/// attribute again and again.
pub(super) const LAST: &str = "__last";

pub(super) struct Guard<'a> {
    pub(super) kind: GuardKind,
    /// The options as they were written.
    pub(super) tokens: &'a TokenStream,
    pub(super) options: Options,
    pub(super) handler: Handler,
}

#[derive(Default)]
pub(super) struct Options {
    pub(super) root: Root,
    pub(super) user: Option<Type>,
    pub(super) fresh: Freshness,
    pub(super) condition: Option<Condition>,
    pub(super) exempt_options: bool,
    pub(super) passive: bool,
    /// Whether the attribute carries the mark [`LAST`].
    pub(super) is_last: bool,
}

#[derive(Default)]
pub(super) enum Freshness {
    #[default]
    NotRequired,
    /// The login manager knows the greatest age.
    ByManager,
    /// The greatest age in seconds.
    Seconds(u64),
}

impl Guard<'_> {
    /// The user type that the guard demands, if an option or a condition names one.
    pub(super) fn user_type(&self) -> Option<TokenStream> {
        let Options {
            root,
            user,
            condition,
            ..
        } = &self.options;
        match user {
            Some(user) => Some(user.to_token_stream()),
            None => condition.as_ref()?.user_type(root),
        }
    }
}
