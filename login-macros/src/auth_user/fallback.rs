//! What is printed after a mistake: the error, and impls that keep other code compiling.
//!
//! Without the impls, every use of the user type would be an error too.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, GenericParam};

use super::model::{FieldKey, Model, Shape};

impl Model<'_> {
    pub(super) fn expand_fallback(&self, error: &Error) -> TokenStream {
        let errors = error.to_compile_error();
        // `'static` in place of every lifetime makes the impl well-formed, unless bounds forbid it.
        let generics = &self.input.generics;
        let only_lifetimes = generics
            .params
            .iter()
            .all(|param| matches!(param, GenericParam::Lifetime(_)));
        if self.has_lifetime_parameter() && !(only_lifetimes && generics.where_clause.is_none()) {
            return errors;
        }
        let auth_user = self.impl_auth_user(&TokenStream::new());
        let has_password = match &self.shape {
            Shape::Struct(fields) => fields.marked(FieldKey::PasswordHash).is_some(),
            Shape::Enum(users) => users.has_password_mark,
            Shape::Union(_) => false,
        };
        let password_user = has_password.then(|| {
            let private = self.root.private();
            let header = self.header(&format_ident!("PasswordUser"));
            quote! {
                #header {
                    fn password_hash(&self) -> ::core::option::Option<&::core::primitive::str> {
                        ::core::option::Option::None
                    }
                    fn set_password_hash(&mut self, _: #private::String) {}
                }
            }
        });
        quote!(#errors #auth_user #password_user)
    }
}
