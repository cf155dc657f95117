//! What the tokens of a type tell. A macro cannot look up names, so nothing here decides alone
//! whether a program is right.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Pat, PatType, PathSegment, Type, ext::IdentExt as _};

/// The last segment of a type's path, without parentheses and without the groups that macros add.
fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Whether the type may be a future. Only its form counts: a path may name a future.
pub(crate) fn can_be_future(ty: &Type) -> bool {
    match ty {
        Type::Group(group) => can_be_future(&group.elem),
        Type::Paren(paren) => can_be_future(&paren.elem),
        Type::Reference(reference) => reference.mutability.is_some(),
        Type::Array(_) | Type::Tuple(_) | Type::Ptr(_) | Type::Never(_) => false,
        _ => true,
    }
}

/// Whether the type seems to be a `FreshUser` or a `AuthorizedUser`.
pub(crate) fn looks_like_proof(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| {
        let name = segment.ident.unraw();
        name == "FreshUser" || name == "AuthorizedUser"
    })
}

/// Whether a guard has made this the one argument of its handler.
pub(crate) fn is_guarded(argument: &PatType) -> bool {
    let Type::Path(ty) = &*argument.ty else {
        return false;
    };
    // Generated code names the hidden module, and applications do not.
    let mut names = ty.path.segments.iter().rev().map(|segment| &segment.ident);
    matches!(*argument.pat, Pat::Struct(_) | Pat::Wild(_))
        && names.next().is_some_and(|name| name == "Guarded")
        && names.next().is_some_and(|name| name == "__private")
}

/// Whether the type can be written outside of the signature, where `impl Trait` has no name.
pub(crate) fn is_nameable(ty: &Type) -> bool {
    fn nameable(tokens: TokenStream) -> bool {
        tokens.into_iter().all(|token| match token {
            TokenTree::Ident(word) => word != "impl",
            TokenTree::Group(group) => nameable(group.stream()),
            _ => true,
        })
    }
    nameable(ty.to_token_stream())
}

/// Whether the type can be checked here: it seems to name no type parameter.
pub(crate) fn is_concrete(ty: &Type) -> bool {
    fn concrete(tokens: TokenStream) -> bool {
        tokens.into_iter().all(|token| match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                // A single capital letter may be a parameter of the impl block around the handler.
                let is_parameter = word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase());
                !is_parameter && !matches!(word.as_str(), "Self" | "impl" | "_")
            }
            TokenTree::Group(group) => concrete(group.stream()),
            _ => true,
        })
    }
    concrete(ty.to_token_stream())
}
