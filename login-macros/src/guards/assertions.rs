//! Statements in the rewritten handler that check types.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ReturnType, Type, spanned::Spanned as _};

use super::model::Guard;
use crate::{
    argument_check::{assert_argument, assert_not_optional},
    guard_kind::GuardKind,
    types::{is_concrete, is_guarded, is_nameable, looks_like_proof},
};

impl Guard<'_> {
    /// Statements that check the types of the handler where they are written.
    ///
    /// Without them a wrong type is a long error at `.to(handler)`. They cost nothing at run time, and
    /// skip types that are not known before the handler is used.
    pub(super) fn assertions(&self) -> TokenStream {
        let sig = &self.handler.sig;
        let mut assertions = TokenStream::new();
        // The guard that expanded before this one has checked the rest.
        let is_first = !self.handler.arguments().any(is_guarded);
        if sig.generics.params.is_empty() {
            assertions.extend(self.user_assertions());
            if is_first {
                assertions.extend(self.argument_assertions());
                assertions.extend(self.responder_assertion());
            }
        } else if is_first {
            assertions.extend(self.optional_assertions());
        }
        if is_first {
            assertions.extend(self.future_assertion());
        }
        assertions
    }

    /// The user type is a user, and can have the permissions.
    fn user_assertions(&self) -> TokenStream {
        let private = self.options.root.private();
        let mut assertions = TokenStream::new();
        if let Some(user) = &self.options.user
            && is_concrete(user)
        {
            assertions.extend(self.assert("assert_user", user));
        }
        if let (Some(user), Some(condition)) = (self.user_type(), &self.options.condition) {
            let guard_names_user = self.options.user.is_some();
            assertions.extend(condition.assertions(&private, &user, guard_names_user));
        }
        assertions
    }

    fn argument_assertions(&self) -> TokenStream {
        let private = self.options.root.private();
        let policy = self.policy();
        let attrs = &self.handler.attrs;
        // With several guards an argument may be the user of any of them.
        let is_alone = !attrs.iter().any(|attr| GuardKind::of(attr).is_some());
        let user_policy = if is_alone {
            policy.clone()
        } else {
            quote!(#private::LoginRequired)
        };
        let types = self.handler.arguments().map(|argument| &*argument.ty);
        let assertions = types.filter(|ty| is_nameable(ty)).map(|ty| {
            if !is_concrete(ty) {
                let check = assert_not_optional(&private, ty);
                quote!(const #check;)
            } else {
                let check = assert_argument(&private, &policy, &user_policy, ty);
                if looks_like_proof(ty) {
                    // `cargo check` evaluates items and skips blocks. If the guess is wrong, the same
                    // check runs, and at most it waits for `cargo build`.
                    quote!(const _: () = #check;)
                } else {
                    quote!(const #check;)
                }
            }
        });
        assertions.collect()
    }

    fn optional_assertions(&self) -> TokenStream {
        let private = self.options.root.private();
        let types = self.handler.arguments().map(|argument| &*argument.ty);
        let assertions = types.filter(|ty| is_nameable(ty)).map(|ty| {
            let check = assert_not_optional(&private, ty);
            quote!(const #check;)
        });
        assertions.collect()
    }

    /// An `async fn` returns a response.
    fn responder_assertion(&self) -> Option<TokenStream> {
        let ty = self.concrete_output()?;
        let is_response = self.handler.sig.asyncness.is_some() && !matches!(ty, Type::Never(_));
        is_response.then(|| self.assert("assert_responder", ty))
    }

    /// A function without `async` returns a future.
    fn future_assertion(&self) -> Option<TokenStream> {
        let ty = self.concrete_output()?;
        let is_future = self.handler.sig.asyncness.is_none();
        is_future.then(|| self.assert("assert_future", ty))
    }

    fn concrete_output(&self) -> Option<&Type> {
        match &self.handler.sig.output {
            ReturnType::Type(_, ty) if is_concrete(ty) => Some(ty),
            _ => None,
        }
    }

    fn assert(&self, name: &str, ty: &Type) -> TokenStream {
        let private = self.options.root.private();
        let name = Ident::new(name, Span::call_site());
        let span = ty.span().resolved_at(Span::call_site());
        quote_spanned!(span=> const { #private::#name::<#ty>() };)
    }
}
