//! `role!("admin")` and `permission!(Permission::EditPost)`: a condition as a type.

use proc_macro2::TokenStream;
use syn::parse_quote;

use crate::{
    conditions::{Condition, ItemNames, Permission, parse_role},
    errors::Errors,
    paths::Root,
};

pub(crate) fn expand_role(tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let condition = match syn::parse2(tokens.clone()) {
        Ok(role) => parse_role(role, &mut errors),
        Err(_) => {
            errors.type_macro(&tokens, "role!(\"admin\")");
            None
        }
    };
    expand(condition, errors)
}

pub(crate) fn expand_permission(tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let condition = match syn::parse2(tokens.clone()) {
        Ok(path) => Permission::parse(path, &mut errors).map(Condition::Permission),
        Err(_) => {
            errors.type_macro(&tokens, "permission!(Permission::EditPost)");
            None
        }
    };
    expand(condition, errors)
}

fn expand(condition: Option<Condition>, errors: Errors) -> TokenStream {
    match (errors.finish(), condition) {
        (Ok(()), Some(condition)) => condition.as_type(&ItemNames {
            private: Root::default().private(),
            suffix: String::new(),
            vis: &parse_quote!(),
            cfgs: Vec::new(),
        }),
        (Err(error), _) => error.to_compile_error(),
        (Ok(()), None) => TokenStream::new(),
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;

    #[test]
    fn wrong_input_is_told_what_to_write() {
        let role = "write `role!(\\\"admin\\\")`";
        for (output, message) in [
            (expand_role(quote!(admin)), role),
            (expand_role(quote!()), role),
            (
                expand_permission(quote!(EditPost)),
                "needs the name of its enum",
            ),
            (
                expand_permission(quote!("a")),
                "write `permission!(Permission::EditPost)`",
            ),
        ] {
            let output = output.to_string();
            assert!(
                output.contains("compile_error") && output.contains(message),
                "{output}"
            );
        }
    }

    #[test]
    fn a_permission_becomes_a_type() {
        assert_eq!(
            expand_permission(quote!(P::A)).to_string(),
            quote!(::login_runtime::__private::Permitted<P, { P::A as usize }>).to_string()
        );
    }
}
