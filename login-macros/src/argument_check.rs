//! Checks of a handler's arguments by their types.
//!
//! A macro sees the name of a type and cannot look it up: an application may have its own type
//! called `CurrentUser`, or rename ours. So generated code asks the type: see `ArgumentCheck` in
//! login-runtime.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Type, spanned::Spanned as _};

use crate::spans::locate;

/// A block that fails to compile unless `ty` can be an argument below a guard with this policy.
///
/// The user in it is that of `user_policy`.
pub(crate) fn assert_argument(
    private: &TokenStream,
    policy: &TokenStream,
    user_policy: &TokenStream,
    ty: &Type,
) -> TokenStream {
    let kind = quote!(#private::ArgumentCheck::<#policy, #user_policy, #ty>::KIND);
    assertion(private, quote!(#kind.check), ty)
}

/// A block that fails to compile if `ty` is an optional user.
pub(crate) fn assert_not_optional(private: &TokenStream, ty: &Type) -> TokenStream {
    let kind = quote!(#private::ArgumentCheck::<(), (), #ty>::KIND);
    assertion(private, quote!(#kind.check_optional), ty)
}

fn assertion(private: &TokenStream, method: TokenStream, ty: &Type) -> TokenStream {
    let at_type = |tokens| locate(tokens, ty.span());
    let import = at_type(quote!(use #private::AnyArgument as _;));
    let (method, open, close) = (at_type(method), at_type(quote!(::<)), at_type(quote!(>())));
    quote!({ #import #method #open #ty #close })
}
