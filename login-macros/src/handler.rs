//! A handler function as it was written.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    Abi, Attribute, Error, FnArg, PatType, Signature, Token, Visibility, braced,
    parse::{ParseStream, Parser as _},
    token::Brace,
};

use crate::errors::Errors;

/// A function whose body is kept as raw tokens: what we do not read, we cannot break.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) brace: Brace,
    /// The `#![..]` at the start of the body.
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) body: TokenStream,
}

impl Handler {
    /// Reads the item below `#[attribute]`.
    pub(crate) fn parse(attribute: &str, item: TokenStream) -> syn::Result<Self> {
        let parser = |input: ParseStream<'_>| Self::parse_function(attribute, input);
        parser.parse2(item)
    }

    fn parse_function(attribute: &str, input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !starts_function(input) {
            let (span, item) = kind_of_item(input.parse()?);
            return Err(Errors::not_a_function(span, attribute, item));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(Errors::no_body(attribute, &sig.ident));
        }
        let content;
        Ok(Self {
            attrs,
            vis,
            sig,
            brace: braced!(content in input),
            inner_attrs: content.call(Attribute::parse_inner)?,
            body: content.parse()?,
        })
    }

    /// The arguments but for `self`, which is reported as a mistake.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &PatType> {
        self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(argument) => Some(argument),
            FnArg::Receiver(_) => None,
        })
    }
}

impl ToTokens for Handler {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            attrs, vis, sig, ..
        } = self;
        tokens.extend(quote!(#(#attrs)* #vis #sig));
        self.brace.surround(tokens, |tokens| {
            let Self {
                inner_attrs, body, ..
            } = self;
            tokens.extend(quote!(#(#inner_attrs)* #body));
        });
    }
}

/// The `#[cfg(..)]` among these attributes.
pub(crate) fn cfgs(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
}

/// The error and the untouched item, which keeps editors working.
pub(crate) fn expand_fallback(error: &Error, item: &TokenStream) -> TokenStream {
    let errors = error.to_compile_error();
    quote!(#errors #item)
}

/// Whether a function comes next, with or without modifiers.
fn starts_function(input: ParseStream<'_>) -> bool {
    let ahead = input.fork();
    let modifiers = || -> syn::Result<()> {
        ahead.parse::<Option<Token![const]>>()?;
        ahead.parse::<Option<Token![async]>>()?;
        ahead.parse::<Option<Token![unsafe]>>()?;
        ahead.parse::<Option<Abi>>()?;
        Ok(())
    };
    modifiers().is_ok() && ahead.peek(Token![fn])
}

/// Keywords of items, and what to call such an item.
const ITEMS: &[(&str, &str)] = &[
    ("struct", "a struct"),
    ("enum", "an enum"),
    ("union", "a union"),
    ("mod", "a module"),
    ("impl", "an impl block"),
    ("trait", "a trait"),
    ("const", "a constant"),
    ("static", "a static"),
    ("type", "a type alias"),
    ("use", "an import"),
    ("extern", "an `extern` item"),
    ("macro_rules", "a macro"),
];

/// The keyword's span, and what to call the item.
fn kind_of_item(item: TokenStream) -> (Span, Option<&'static str>) {
    let mut first = None;
    for token in item {
        let span = token.span();
        first = first.or(Some(span));
        let TokenTree::Ident(word) = token else {
            break;
        };
        if let Some((_, kind)) = ITEMS.iter().find(|(keyword, _)| word == keyword) {
            return (span, Some(kind));
        }
    }
    (first.unwrap_or_else(Span::call_site), None)
}

/// Whether the body seems to start with an item, judged by its first word.
pub(crate) fn starts_with_item(body: &TokenStream) -> bool {
    match body.clone().into_iter().next() {
        Some(TokenTree::Ident(word)) => {
            word == "fn" || ITEMS.iter().any(|(keyword, _)| word == keyword)
        }
        Some(TokenTree::Punct(punct)) => punct.as_char() == '#',
        Some(TokenTree::Group(group)) => {
            group.delimiter() == Delimiter::None && starts_with_item(&group.stream())
        }
        _ => false,
    }
}
