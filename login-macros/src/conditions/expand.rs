//! Conditions as types, and the items that these types name.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{Attribute, Visibility, spanned::Spanned as _};

use super::model::{Check, Condition, Permission};
use crate::{source_text, spans::locate};

/// The names of the items next to a handler that a condition needs.
pub(crate) struct ItemNames<'a> {
    pub(crate) private: TokenStream,
    /// Keeps the items of several guards on one handler apart.
    pub(crate) suffix: String,
    pub(crate) vis: &'a Visibility,
    /// The handler's `#[cfg]`, which the items repeat.
    pub(crate) cfgs: Vec<&'a Attribute>,
}

impl ItemNames<'_> {
    fn check(&self, index: usize) -> Ident {
        format_ident!("__login_check_{index}_{}", self.suffix)
    }
}

impl Condition {
    /// A number that keeps these checks apart from those of another guard on the same handler.
    pub(crate) fn fingerprint(&self) -> u32 {
        let checks = self.checks().map(|check| check.expr.to_token_stream());
        let text = checks.map(|tokens| tokens.to_string()).collect::<String>();
        // The spaces between tokens are not stable. FNV-1a is; the hashers of std may change.
        let bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
        bytes.fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
    }

    /// The condition as a type, which names the items for its checks.
    pub(crate) fn as_type(&self, names: &ItemNames<'_>) -> TokenStream {
        self.numbered_type(names, &mut 0)
    }

    fn numbered_type(&self, names: &ItemNames<'_>, checks: &mut usize) -> TokenStream {
        let private = &names.private;
        let mut fold = |list: &[Self], join: Ident| {
            let types: Vec<_> = list
                .iter()
                .map(|one| one.numbered_type(names, checks))
                .collect();
            let mut types = types.into_iter().rev();
            let last = types.next().unwrap_or_default();
            types.fold(last, |rest, first| quote!(#private::#join<#first, #rest>))
        };
        match self {
            Self::Role(role) => role_type(private, &role.value()),
            Self::Permission(permission) => permission.as_type(private),
            Self::Check(_) => {
                let name = names.check(*checks);
                *checks += 1;
                quote!(#private::Checked<#name>)
            }
            Self::Any(list) => fold(list, format_ident!("Or")),
            Self::All(list) => fold(list, format_ident!("And")),
            Self::Not(one) => {
                let one = one.numbered_type(names, checks);
                quote!(#private::Negated<#one>)
            }
        }
    }

    /// The items that the condition's type names, one per check.
    pub(crate) fn items(&self, names: &ItemNames<'_>, user: &TokenStream) -> TokenStream {
        let items = self.checks().enumerate().map(|(index, check)| {
            let ItemNames {
                private, vis, cfgs, ..
            } = names;
            let name = names.check(index);
            let call = check.call(private);
            let text = source_text::text(check.expr.to_token_stream());
            // An `enum` without variants: the type has no values.
            quote! {
                #(#cfgs)*
                #[doc(hidden)]
                #[allow(non_camel_case_types)]
                #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
                #vis enum #name {}
                #(#cfgs)*
                #[automatically_derived]
                impl #private::Checking for #name {
                    type User = #user;
                    const TEXT: &'static ::core::primitive::str = #text;
                    fn check(
                        __login_user: &Self::User,
                        __login_request: &#private::HttpRequest,
                    ) -> ::core::primitive::bool {
                        #call
                    }
                }
            }
        });
        items.collect()
    }

    /// Statements that fail to compile at a permission that the guard's user cannot have.
    ///
    /// If the first permission names the user type, there is nothing to compare it with.
    pub(crate) fn assertions(
        &self,
        private: &TokenStream,
        user: &TokenStream,
        guard_names_user: bool,
    ) -> TokenStream {
        let own = self.set_that_names_user().filter(|_| !guard_names_user);
        let assertions = self.permissions().enumerate().map(|(index, permission)| {
            let assertion = match own {
                Some(set) if index == 0 => {
                    quote!(const { #private::assert_permissions::<#set>() };)
                }
                _ => {
                    let permission_type = permission.as_type(private);
                    quote!(const { #private::assert_term::<#user, #permission_type>() };)
                }
            };
            locate(assertion, permission.path.span())
        });
        assertions.collect()
    }
}

impl Permission {
    fn as_type(&self, private: &TokenStream) -> TokenStream {
        let Self { set, path } = self;
        let span = path.span().resolved_at(Span::call_site());
        quote_spanned!(span=> #private::Permitted<#set, { #path as usize }>)
    }
}

impl Check {
    /// The call. The expression is an argument, so its operators need no parentheses.
    fn call(&self, private: &TokenStream) -> TokenStream {
        let name = if self.takes_request {
            format_ident!("check_request")
        } else {
            format_ident!("check")
        };
        let expr = &self.expr;
        quote!(#private::#name(__login_user, __login_request, #expr))
    }
}

/// A role as a type: its length, and its bytes as numbers of 16 bytes.
fn role_type(private: &TokenStream, role: &str) -> TokenStream {
    let numbers = role.as_bytes().chunks(16).map(|chunk| {
        let mut bytes = [0; 16];
        for (byte, of_role) in bytes.iter_mut().zip(chunk) {
            *byte = *of_role;
        }
        u128::from_be_bytes(bytes)
    });
    let length = role.len();
    quote!(#private::Role<#length, #(#numbers),*>)
}
