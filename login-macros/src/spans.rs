//! The place that errors of generated code point at.

use proc_macro2::{Group, Span, TokenStream, TokenTree};

/// Makes errors in `tokens` point at `span`. Names keep their meaning.
pub(crate) fn locate(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| {
            let mut token = match token {
                TokenTree::Group(group) => {
                    let mut moved = Group::new(group.delimiter(), locate(group.stream(), span));
                    moved.set_span(group.span());
                    TokenTree::Group(moved)
                }
                token => token,
            };
            token.set_span(token.span().located_at(span));
            token
        })
        .collect()
}
