//! Which attribute of a handler comes first.

use quote::quote;

use super::{expands, refuses};
use crate::{
    guard_kind::GuardKind::{FreshLoginRequired, LoginRequired, PermissionRequired},
    guards::expand,
};

#[test]
fn other_attributes_see_the_signature_first() {
    for options in [quote!(), quote!(fresh)] {
        expands(
            LoginRequired,
            options.clone(),
            quote! {
                /// Docs.
                #[measured]
                #[tracing::instrument(skip(req))]
                async fn h(req: HttpRequest) -> A {}
            },
            quote! {
                /// Docs.
                #[measured]
                #[tracing::instrument(skip(req))]
                #[::login_runtime::login_required(__last, #options)]
                async fn h(req: HttpRequest) -> A {}
            },
        );
    }
}

#[test]
fn a_route_below_is_declared_once() {
    let once = expand(
        FreshLoginRequired,
        quote!(max_age = "10m"),
        quote! {
            #[login_required]
            #[cfg(x)]
            #[web::post("/")]
            async fn h() -> A {}
        },
    );
    let twice = quote! {
        #[cfg(x)]
        #[web::post("/", wrap = ":: login_runtime :: __private :: declared :: < :: login_runtime :: __private :: Fresh < :: login_runtime :: __private :: LoginRequired , 600u64 > > ()")]
        #[::login_runtime::fresh_login_required(__last, max_age = "10m")]
        #[login_required]
        async fn h() -> A {}
    };
    let declaration = quote! {
        #[cfg(x)]
        #[automatically_derived]
        impl ::login_runtime::__private::DeclaredService for h {}
    };
    assert_eq!(once.to_string(), quote!(#twice #declaration).to_string());
    let again = expand(LoginRequired, quote!(), twice).to_string();
    assert_eq!(again.matches("declared ::").count(), 2, "{again}");
    assert!(!again.contains("DeclaredService"), "{again}");
}

#[test]
fn an_attribute_that_stays_is_waited_for_once() {
    let output = expand(
        LoginRequired,
        quote!(__last,),
        quote!(
            #[unheard_of]
            async fn h() -> impl Responder {}
        ),
    );
    assert!(output.to_string().contains("Guarded"), "{output}");
}

#[test]
fn inert_attributes_are_not_waited_for() {
    let output = expand(
        LoginRequired,
        quote!(),
        quote! {
            #[doc = "x"] #[allow(unused)] #[cfg(a)] #[must_use] #[clippy::msrv = "1"]
            async fn h() -> impl Responder {}
        },
    );
    assert!(output.to_string().contains("Guarded"), "{output}");
}

#[test]
fn a_login_is_demanded_before_a_fresh_login() {
    let handler = quote!(
        async fn h() -> A {}
    );
    // The guard that expands last wraps the other.
    expands(
        LoginRequired,
        quote!(),
        quote!(#[fresh_login_required] #handler),
        quote! {
            #[fresh_login_required]
            #[::login_runtime::login_required(__last,)]
            #handler
        },
    );
    expands(
        FreshLoginRequired,
        quote!(),
        quote!(#[instrument] #[login_required] #[doc = "x"] #handler),
        quote! {
            #[instrument]
            #[doc = "x"]
            #[::login_runtime::fresh_login_required(__last,)]
            #[login_required]
            #handler
        },
    );
    let output = expand(
        FreshLoginRequired,
        quote!(),
        quote!(#[login_required] #handler),
    );
    assert!(output.to_string().contains("Guarded"), "{output}");
}

#[test]
fn cfg_on_an_argument_is_decided_one_by_one() {
    expands(
        LoginRequired,
        quote!(fresh),
        quote! { async fn h(a: A, #[cfg(x)] #[cfg(y)] b: B, #[cfg(z)] c: C) -> D {} },
        quote! {
            #[cfg(x)]
            #[::login_runtime::login_required(fresh)]
            async fn h(a: A, #[cfg(y)] b: B, #[cfg(z)] c: C) -> D {}
            #[cfg(not(x))]
            #[::login_runtime::login_required(fresh)]
            async fn h(a: A, #[cfg(z)] c: C) -> D {}
        },
    );
    refuses(
        quote!(
            async fn h(#[cfg_attr(x, allow(unused))] a: A) -> D {}
        ),
        "`cfg_attr` is not supported on a handler's argument; use `cfg`, or put it on the function",
    );
}

#[test]
fn a_login_is_demanded_before_a_permission_and_a_fresh_login_last() {
    let handler = quote!(
        async fn h() -> A {}
    );
    expands(
        LoginRequired,
        quote!(),
        quote!(#[permission_required(P::A)] #handler),
        quote!(#[permission_required(P::A)] #[::login_runtime::login_required(__last,)] #handler),
    );
    expands(
        PermissionRequired,
        quote!(P::A),
        quote!(#[login_required] #[fresh_login_required] #handler),
        quote! {
            #[fresh_login_required]
            #[::login_runtime::permission_required(__last, P::A)]
            #[login_required]
            #handler
        },
    );
}
