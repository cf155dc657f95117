//! What the tokens of a type tell. A macro cannot look up names, so these are guesses.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{GenericArgument, Pat, PatType, PathArguments, PathSegment, Type, ext::IdentExt as _};

/// The last segment of a type's path, without parentheses and without the groups that macros add.
fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Whether a function that returns this type can be a handler without `async`.
pub(crate) fn is_future(ty: &Type) -> bool {
    match ty {
        Type::ImplTrait(_) => true,
        Type::Group(group) => is_future(&group.elem),
        Type::Paren(paren) => is_future(&paren.elem),
        _ => last_segment(ty).is_some_and(|segment| {
            let name = segment.ident.unraw().to_string();
            name == "Pin" || name == "Ready" || name.ends_with("Future")
        }),
    }
}

/// `T` in `Name<T>`.
pub(crate) fn only_argument<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let segment = last_segment(ty).filter(|segment| segment.ident.unraw() == name)?;
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

pub(crate) fn is_proof(ty: &Type) -> bool {
    last_segment(ty).is_some_and(|segment| {
        let name = segment.ident.unraw();
        name == "FreshUser" || name == "UserWith"
    })
}

/// The user in an `Option`, by the name of one of our arguments.
pub(crate) fn optional_user(ty: &Type) -> Option<String> {
    let name = last_segment(only_argument(ty, "Option")?)?.ident.unraw();
    let name = name.to_string();
    matches!(&*name, "CurrentUser" | "FreshUser" | "UserWith").then_some(name)
}

pub(crate) fn is_optional_current_user(ty: &Type) -> bool {
    optional_user(ty).is_some_and(|name| name == "CurrentUser")
}

/// Whether the argument is one that a guard made.
pub(crate) fn is_guarded(argument: &PatType) -> bool {
    matches!(*argument.pat, Pat::Struct(_) | Pat::Wild(_))
        && last_segment(&argument.ty).is_some_and(|segment| segment.ident == "Guarded")
}

/// Whether the type is fully written here, so that bounds on it can be checked here.
pub(crate) fn is_concrete(ty: &Type) -> bool {
    fn concrete(tokens: TokenStream) -> bool {
        tokens.into_iter().all(|token| match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                // One capital letter is a type parameter, maybe one of the impl block around us.
                let parameter = word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase());
                !parameter && !matches!(word.as_str(), "Self" | "impl" | "_")
            }
            TokenTree::Group(group) => concrete(group.stream()),
            _ => true,
        })
    }
    concrete(ty.to_token_stream())
}
