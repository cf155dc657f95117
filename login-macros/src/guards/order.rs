//! What happens before the handler is rewritten: other attributes and `#[cfg]` come first.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, FnArg, Meta, parse_quote};

use super::model::{Guard, LAST};
use crate::{guard_kind::GuardKind, routes};

impl Guard<'_> {
    /// The handler with its attributes in another order, or without a `#[cfg]`; this macro runs again.
    pub(super) fn expand_later(&self) -> Option<TokenStream> {
        self.move_behind_others().or_else(|| self.decide_cfg())
    }

    /// Moves this attribute behind all others, so that they see the signature as it was written.
    fn move_behind_others(&self) -> Option<TokenStream> {
        let attrs = &self.handler.attrs;
        if self.options.is_last || !attrs.iter().any(|attr| self.waits_for(attr)) {
            return None;
        }
        let (behind, before): (Vec<_>, Vec<_>) = attrs.iter().cloned().partition(|attr| {
            GuardKind::of(attr).is_some_and(|kind| kind.rank() > self.kind.rank())
        });
        let last = format_ident!("{LAST}");
        let tokens = self.tokens;
        let this = self.attribute(&quote!(#last, #tokens));
        let mut handler = self.handler.clone();
        handler.attrs = before.into_iter().chain([this]).chain(behind).collect();
        let mark = routes::guarded_by(&self.options.root, &self.policy());
        routes::wrap(&mut handler.attrs, &mark);
        let declaration = self.declaration();
        Some(quote!(#handler #declaration))
    }

    /// Decides the first `#[cfg]` of an argument.
    ///
    /// Prints the handler twice, with and without the argument; the compiler keeps one of them. Each
    /// further `#[cfg]` takes another round.
    fn decide_cfg(&self) -> Option<TokenStream> {
        let (index, attr, condition) =
            self.handler
                .sig
                .inputs
                .iter()
                .enumerate()
                .find_map(|(index, input)| {
                    let FnArg::Typed(argument) = input else {
                        return None;
                    };
                    let (attr, condition) = first_cfg(&argument.attrs)?;
                    Some((index, attr, condition))
                })?;
        let this = self.attribute(self.tokens);

        let mut with = self.handler.clone();
        if let Some(FnArg::Typed(argument)) = with.sig.inputs.get_mut(index) {
            argument.attrs.remove(attr);
        }
        let mut without = self.handler.clone();
        without.sig.inputs = without
            .sig
            .inputs
            .into_iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, input)| input)
            .collect();
        Some(quote! {
            #[cfg(#condition)] #this #with
            #[cfg(not(#condition))] #this #without
        })
    }

    /// This attribute with these options.
    fn attribute(&self, options: &TokenStream) -> Attribute {
        let root = &self.options.root;
        let name = format_ident!("{}", self.kind.name());
        parse_quote!(#[#root::#name(#options)])
    }

    fn waits_for(&self, attr: &Attribute) -> bool {
        match GuardKind::of(attr) {
            Some(kind) => kind.rank() < self.kind.rank(),
            None => !is_inert(attr),
        }
    }
}

/// Attributes that never see the signature. The compiler has replaced `cfg_attr` before we run.
const INERT: &[&str] = &[
    "allow",
    "automatically_derived",
    "cfg",
    "cfg_attr",
    "cold",
    "deny",
    "deprecated",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "ignore",
    "inline",
    "link_section",
    "must_use",
    "no_mangle",
    "should_panic",
    "target_feature",
    "track_caller",
    "warn",
];

/// Tools whose attributes the compiler ignores.
const TOOLS: &[&str] = &["clippy", "diagnostic", "miri", "rust_analyzer", "rustfmt"];

fn is_inert(attr: &Attribute) -> bool {
    let path = attr.path();
    let one_of = |names: &[&str]| {
        path.segments
            .first()
            .is_some_and(|first| names.iter().any(|name| first.ident == name))
    };
    if path.segments.len() == 1 {
        one_of(INERT)
    } else {
        path.leading_colon.is_none() && one_of(TOOLS)
    }
}

/// The index of the first `#[cfg(..)]`, and its condition.
fn first_cfg(attrs: &[Attribute]) -> Option<(usize, TokenStream)> {
    attrs.iter().enumerate().find_map(|(index, attr)| {
        let Meta::List(list) = &attr.meta else {
            return None;
        };
        list.path
            .is_ident("cfg")
            .then(|| (index, list.tokens.clone()))
    })
}
