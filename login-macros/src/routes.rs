//! Route attributes, and what a declaration adds to them.

use proc_macro2::{Literal, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Attribute, Ident, Meta, ext::IdentExt as _};

use crate::paths::Root;

/// The attributes of actix-web that make a route of a function.
const ROUTES: &[&str] = &[
    "connect", "delete", "get", "head", "options", "patch", "post", "put", "query", "route",
    "trace",
];

/// What a handler declares is said by middleware: see `declare.rs` in login-runtime.
const MARK: &str = "__private :: declared";

/// Whether the attribute makes a route. They all start with a path; others of the same name do not.
pub(crate) fn is_route(attr: &Attribute) -> bool {
    let Meta::List(list) = &attr.meta else {
        return false;
    };
    let named = list.path.segments.last().is_some_and(|segment| {
        let name = segment.ident.unraw();
        ROUTES.iter().any(|route| name == route)
    });
    named
        && matches!(
            list.tokens.clone().into_iter().next(),
            Some(TokenTree::Literal(_))
        )
}

/// Middleware that declares a policy.
pub(crate) fn guarded_by(root: &Root, policy: &TokenStream) -> TokenStream {
    let private = root.private();
    quote!(#private::declared::<#policy>())
}

/// Wraps all routes among the attributes in `middleware`.
pub(crate) fn wrap(attrs: &mut [Attribute], middleware: &TokenStream) {
    // actix-web takes code in quotes.
    let middleware = Literal::string(&middleware.to_string());
    for attr in attrs.iter_mut().filter(|attr| is_route(attr)) {
        let Meta::List(list) = &mut attr.meta else {
            continue;
        };
        let ends_in_comma = matches!(
            list.tokens.clone().into_iter().last(),
            Some(TokenTree::Punct(punct)) if punct.as_char() == ','
        );
        let comma = (!ends_in_comma).then(|| quote!(,));
        list.tokens.extend(quote!(#comma wrap = #middleware));
    }
}

/// What lets a handler into a strict configuration: nothing if it is no service by itself, or if
/// another declaration has said so.
pub(crate) fn declaration(root: &Root, attrs: &[Attribute], handler: &Ident) -> TokenStream {
    let declared = |attr: &Attribute| attr.to_token_stream().to_string().contains(MARK);
    if !attrs.iter().any(is_route) || attrs.iter().any(declared) {
        return TokenStream::new();
    }
    let private = root.private();
    let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        impl #private::DeclaredService for #handler {}
    }
}
