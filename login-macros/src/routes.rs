//! Route attributes, and the middleware that a declaration adds to them.

use proc_macro2::{Literal, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Attribute, Ident, Meta, ext::IdentExt as _};

use crate::{handler::cfgs, paths::Root};

/// The attributes of actix-web that turn a function into a route.
const ROUTES: &[&str] = &[
    "connect", "delete", "get", "head", "options", "patch", "post", "put", "query", "route",
    "trace",
];

/// How the middleware of [`guarded_by`] looks as text.
const DECLARED: &str = "__private :: declared";

/// Whether the attribute is a route of actix-web: its name is known and its first argument is a
/// literal, the path. Attributes of other crates with these names rarely start with a literal.
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

/// Middleware that declares the policy of a route.
pub(crate) fn guarded_by(root: &Root, policy: &TokenStream) -> TokenStream {
    let private = root.private();
    quote!(#private::declared::<#policy>())
}

/// Wraps all routes among the attributes in `middleware`.
pub(crate) fn wrap(attrs: &mut [Attribute], middleware: &TokenStream) {
    // actix-web expects the code of a middleware as a string.
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

/// The impl that `strict` demands of a handler.
///
/// Empty if the handler has no route attribute, or if a guard above has declared it already.
pub(crate) fn declaration(root: &Root, attrs: &[Attribute], handler: &Ident) -> TokenStream {
    let declared = |attr: &Attribute| attr.to_token_stream().to_string().contains(DECLARED);
    if !attrs.iter().any(is_route) || attrs.iter().any(declared) {
        return TokenStream::new();
    }
    let private = root.private();
    let cfgs = cfgs(attrs);
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        impl #private::DeclaredService for #handler {}
    }
}
