//! Statements in the rewritten handler that turn a wall of errors into one at the type.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ReturnType, Type, spanned::Spanned as _};

use super::model::Guard;
use crate::{
    guard_kind::GuardKind,
    spans::locate,
    types::{is_concrete, is_guarded, is_proof, only_argument},
};

impl Guard<'_> {
    /// Statements that turn a wall of errors at `.to(handler)` into one error at the type.
    ///
    /// They cost nothing at run time, and they are left out where a type is not known before the
    /// handler is used.
    pub(super) fn assertions(&self) -> TokenStream {
        let sig = &self.handler.sig;
        if !sig.generics.params.is_empty() {
            return TokenStream::new();
        }
        let private = self.options.root.private();
        let assert = |name: &str, ty: &Type| {
            let name = Ident::new(name, Span::call_site());
            let span = ty.span().resolved_at(Span::call_site());
            quote_spanned!(span=> const { #private::#name::<#ty>() };)
        };
        let policy = self.policy();
        let mut assertions = TokenStream::new();
        if let Some(user) = &self.options.user
            && is_concrete(user)
        {
            assertions.extend(assert("assert_user", user));
        }
        if let (Some(user), Some(condition)) = (self.user_type(), &self.options.condition) {
            let asked = self.options.user.is_some();
            assertions.extend(condition.assertions(&private, &user, asked));
        }
        assertions.extend(self.same_user_assertions());
        // Another guard of ours already said the rest.
        if self.handler.arguments().any(is_guarded) {
            return assertions;
        }
        for argument in self.handler.arguments() {
            if is_concrete(&argument.ty) {
                let ty = &argument.ty;
                let span = ty.span().resolved_at(Span::call_site());
                assertions.extend(if is_proof(ty) {
                    // An item is evaluated also where the program is only checked.
                    let proof = quote!(#private::assert_proof::<#policy, #ty>());
                    let proof = locate(proof, ty.span());
                    quote_spanned!(span=> const _: () = #proof;)
                } else {
                    quote_spanned!(span=> const { #private::assert_argument::<#policy, #ty>() };)
                });
            }
        }
        // Without `async` the type is a future, and what it resolves to is not written here.
        if let (Some(_), ReturnType::Type(_, ty)) = (&sig.asyncness, &sig.output)
            && !matches!(**ty, Type::Never(_))
            && is_concrete(ty)
        {
            assertions.extend(assert("assert_responder", ty));
        }
        assertions
    }

    /// The user of each `CurrentUser<..>` is the guard's user, if the guard names one and is alone.
    fn same_user_assertions(&self) -> TokenStream {
        let private = self.options.root.private();
        let alone = !self
            .handler
            .attrs
            .iter()
            .any(|attr| GuardKind::of(attr).is_some())
            && !self.handler.arguments().any(is_guarded);
        let Some(user) = self.user_type().filter(|_| alone) else {
            return TokenStream::new();
        };
        let arguments = self.handler.arguments();
        let users = arguments.filter_map(|argument| only_argument(&argument.ty, "CurrentUser"));
        users
            .filter(|other| is_concrete(other))
            .map(|other| {
                let span = other.span().resolved_at(Span::call_site());
                quote_spanned!(span=> const { #private::assert_same_user::<#user, #other>() };)
            })
            .collect()
    }
}
