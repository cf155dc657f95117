//! Where generated code finds `login_runtime`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Path;

/// `::login_runtime`, or the path in the option `crate = path`.
#[derive(Default)]
pub(crate) struct Root(Option<Path>);

impl Root {
    pub(crate) fn at(path: Path) -> Self {
        Self(Some(path))
    }

    /// The module with the items that only generated code uses.
    pub(crate) fn private(&self) -> TokenStream {
        quote!(#self::__private)
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.0 {
            Some(path) => path.to_tokens(tokens),
            None => tokens.extend(quote!(::login_runtime)),
        }
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn paths_are_absolute_unless_an_option_says_otherwise() {
        let root = Root::default();
        assert_eq!(
            root.private().to_string(),
            quote!(::login_runtime::__private).to_string()
        );
        let root = Root::at(parse_quote!(crate::facade));
        assert_eq!(
            root.private().to_string(),
            quote!(crate::facade::__private).to_string()
        );
    }
}
