//! The rewritten handler.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::Signature;

use super::model::Guard;
use crate::{
    handler::{Handler, starts_with_item},
    routes,
};

impl Guard<'_> {
    pub(super) fn expand(&self) -> TokenStream {
        let Handler {
            attrs,
            vis,
            sig,
            brace,
            inner_attrs,
            body,
        } = &self.handler;
        let Signature {
            asyncness,
            fn_token,
            ident,
            generics,
            output,
            ..
        } = sig;
        let where_clause = &generics.where_clause;
        let argument = self.argument();
        let assertions = self.assertions();

        let mut tokens = quote! {
            #(#attrs)*
            #vis #asyncness #fn_token #ident #generics (#argument) #output #where_clause
        };
        brace.surround(&mut tokens, |tokens| {
            tokens.extend(quote!(#(#inner_attrs)* #assertions));
            if !assertions.is_empty() && starts_with_item(body) {
                // A lint of clippy wants the items of a block before its statements.
                brace.surround(tokens, |tokens| body.to_tokens(tokens));
            } else {
                body.to_tokens(tokens);
            }
        });
        if let (Some(user), Some(condition)) = (self.user_type(), &self.options.condition) {
            tokens.extend(condition.items(&self.item_names(), &user));
        }
        tokens
    }

    /// The one argument that takes the place of all others.
    fn argument(&self) -> TokenStream {
        let private = self.options.root.private();
        let policy = self.policy();
        let arguments: Vec<_> = self.handler.arguments().collect();
        let types = arguments.iter().map(|argument| &argument.ty);
        let ty = quote!(#private::Guarded<#policy, (#(#types,)*)>);
        if arguments.is_empty() {
            return quote!(_: #ty);
        }
        let attrs = arguments.iter().flat_map(|argument| &argument.attrs);
        let patterns = arguments.iter().map(|argument| &argument.pat);
        quote!(#(#attrs)* #private::Guarded { args: (#(#patterns,)*), .. }: #ty)
    }

    /// The impl that makes a handler with a route attribute fit into a strict configuration.
    pub(super) fn declaration(&self) -> TokenStream {
        let Handler { attrs, sig, .. } = &self.handler;
        routes::declaration(&self.options.root, attrs, &sig.ident)
    }
}
