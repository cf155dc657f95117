//! The rewritten handler.

use proc_macro2::TokenStream;
use quote::quote;

use super::{expands, policy_is};
use crate::{
    guard_kind::GuardKind::{FreshLoginRequired, LoginRequired, PermissionRequired},
    guards::expand,
};

/// The check of an argument by its type.
fn checked(policy: TokenStream, ty: TokenStream) -> TokenStream {
    let p = quote!(::login_runtime::__private);
    quote! {
        const {
            use #p::AnyArgument as _;
            #p::ArgumentCheck::<#policy, #policy, #ty>::KIND.check::<#ty>()
        };
    }
}

#[test]
fn the_arguments_become_one_and_the_body_stays() {
    let login = quote!(::login_runtime::__private::LoginRequired);
    let id = checked(login.clone(), quote!(web::Path<u32>));
    let body = checked(login.clone(), quote!(Bytes));
    let query = checked(login, quote!(Query<Page>));
    expands(
        LoginRequired,
        quote!(),
        quote! {
            /// Shows a page.
            #[inline]
            pub(crate) async fn show(
                id: web::Path<u32>,
                mut body: Bytes,
                Query(q): Query<Page>,
            ) -> Result<HttpResponse, Error> {
                #![allow(clippy::unwrap_used)]
                half typed.
            }
        },
        quote! {
            /// Shows a page.
            #[inline]
            pub(crate) async fn show(
                ::login_runtime::__private::Guarded { args: (id, mut body, Query(q),), .. }:
                    ::login_runtime::__private::Guarded<
                        ::login_runtime::__private::LoginRequired,
                        (web::Path<u32>, Bytes, Query<Page>,)
                    >
            ) -> Result<HttpResponse, Error> {
                #![allow(clippy::unwrap_used)]
                #id
                #body
                #query
                const {
                    ::login_runtime::__private::assert_responder::<Result<HttpResponse, Error> >()
                };
                half typed.
            }
        },
    );
}

#[test]
fn options_choose_the_policy() {
    let login = quote!(::login_runtime::__private::LoginRequired);
    let fresh = quote!(::login_runtime::__private::Fresh);
    let exempt = quote!(::login_runtime::__private::ExemptOptions);
    policy_is(LoginRequired, quote!(), login.clone());
    policy_is(LoginRequired, quote!(user = Admin), quote!(#login<Admin>));
    policy_is(LoginRequired, quote!(fresh), quote!(#fresh<#login>));
    policy_is(
        LoginRequired,
        quote!(fresh = "10m", user = Admin, exempt_options),
        quote!(#exempt<#fresh<#login<Admin>, 600u64> >),
    );
    policy_is(FreshLoginRequired, quote!(), quote!(#fresh<#login>));
    policy_is(
        FreshLoginRequired,
        quote!(max_age = "0s"),
        quote!(#fresh<#login, 0u64>),
    );
    policy_is(
        LoginRequired,
        quote!(exempt_options),
        quote!(#exempt<#login>),
    );
    let passive = quote!(::login_runtime::__private::Passive);
    policy_is(
        LoginRequired,
        quote!(passive, exempt_options),
        quote!(#exempt<#passive<#login> >),
    );
}

#[test]
fn the_user_type_is_checked_where_it_is_written() {
    let once = expand(
        LoginRequired,
        quote!(user = User),
        quote!(
            async fn h() -> impl Responder {
                body()
            }
        ),
    );
    let p = quote!(::login_runtime::__private);
    expands(
        LoginRequired,
        quote!(user = Admin),
        once,
        quote! {
            async fn h(
                #p::Guarded { args: (_,), .. }: #p::Guarded<
                    #p::LoginRequired<Admin>,
                    (#p::Guarded<#p::LoginRequired<User>, ()>,)
                >
            ) -> impl Responder {
                const { #p::assert_user::<Admin>() };
                {
                    const { #p::assert_user::<User>() };
                    body()
                }
            }
        },
    );
}

#[test]
fn the_crate_can_live_elsewhere() {
    expands(
        LoginRequired,
        quote!(crate = crate::facade),
        quote!(
            async fn h() -> impl Responder {}
        ),
        quote! {
            async fn h(
                _: crate::facade::__private::Guarded<crate::facade::__private::LoginRequired, ()>
            ) -> impl Responder {}
        },
    );
    expands(
        LoginRequired,
        quote!(crate = crate::facade),
        quote!(
            #[get("/")]
            async fn h() -> impl Responder {}
        ),
        quote! {
            #[get("/", wrap = "crate :: facade :: __private :: declared :: < crate :: facade :: __private :: LoginRequired > ()")]
            #[crate::facade::login_required(__last, crate = crate::facade)]
            async fn h() -> impl Responder {}
            #[automatically_derived]
            impl crate::facade::__private::DeclaredService for h {}
        },
    );
}

#[test]
fn a_guarded_handler_can_be_guarded_again() {
    let once = expand(
        FreshLoginRequired,
        quote!(),
        quote!(
            async fn h(a: Path) -> Page {
                body()
            }
        ),
    );
    let p = quote!(::login_runtime::__private);
    let path = checked(quote!(#p::Fresh<#p::LoginRequired>), quote!(Path));
    expands(
        LoginRequired,
        quote!(),
        once,
        quote! {
            async fn h(
                #p::Guarded { args: (#p::Guarded { args: (a,), .. },), .. }: #p::Guarded<
                    #p::LoginRequired,
                    (#p::Guarded<#p::Fresh<#p::LoginRequired>, (Path,)>,)
                >
            ) -> Page {
                #path
                const { #p::assert_responder::<Page>() };
                body()
            }
        },
    );
}

#[test]
fn lint_attributes_stay_on_the_argument() {
    let output = expand(
        LoginRequired,
        quote!(),
        quote!(
            async fn h(#[expect(unused_variables)] a: A) -> B {}
        ),
    );
    let argument = quote! {
        #[expect(unused_variables)] ::login_runtime::__private::Guarded { args: (a,), .. }
    };
    assert!(
        output.to_string().contains(&argument.to_string()),
        "{output}"
    );
}

#[test]
fn types_that_are_not_known_yet_are_not_checked() {
    for item in [
        quote!(
            async fn h<R>(a: Data<R>) -> A
            where
                R: Repo,
            {
            }
        ),
        quote!(
            async fn h(a: Data<Self>) -> Self::Output {}
        ),
        quote!(
            async fn h(a: impl FromRequest) -> Result<impl Responder, E> {}
        ),
        quote!(
            async fn h(a: Data<T>) -> Json<T> {}
        ),
        quote!(
            fn h() -> LocalBoxFuture<'static, A> {}
        ),
    ] {
        let output = expand(LoginRequired, quote!(user = U), item).to_string();
        assert!(output.contains("Guarded"), "{output}");
        for check in ["assert_argument", "assert_responder", ". check ::"] {
            assert!(!output.contains(check), "{output}");
        }
    }
}

#[test]
fn items_of_the_body_start_a_block() {
    let output = expand(
        LoginRequired,
        quote!(),
        quote!(
            async fn h(path: Path) -> impl Responder {
                use std::fmt::Write;
                body()
            }
        ),
    );
    assert!(
        output
            .to_string()
            .ends_with("{ use std :: fmt :: Write ; body () } }"),
        "{output}"
    );
}

#[test]
fn conditions_are_part_of_the_policy() {
    let p = quote!(::login_runtime::__private);
    let role = quote!(#p::Role<1usize, 128935115591136839671669284847193423872u128>);
    policy_is(
        LoginRequired,
        quote!(role = "a", fresh, passive),
        quote!(#p::Passive<#p::Requires<#p::Fresh<#p::LoginRequired>, #role> >),
    );
    policy_is(
        FreshLoginRequired,
        quote!(role = "a", user = Admin),
        quote!(#p::Requires<#p::Fresh<#p::LoginRequired<Admin> >, #role>),
    );
    let permitted = quote!(#p::Permitted<P, { P::A as usize }>);
    for (kind, options) in [
        (LoginRequired, quote!(permission = P::A)),
        (PermissionRequired, quote!(P::A)),
        (PermissionRequired, quote!(__last, P::A,)),
    ] {
        policy_is(
            kind,
            options,
            quote!(#p::Requires<#p::LoginOf<P>, #permitted>),
        );
    }
    policy_is(
        PermissionRequired,
        quote!(P::A, fresh = "1m", role = "a"),
        quote!(#p::Requires<
            #p::Fresh<#p::LoginOf<P>, 60u64>,
            #p::And<#permitted, #role>
        >),
    );
}

#[test]
fn a_check_is_an_item_next_to_its_handler() {
    let output = expand(
        LoginRequired,
        quote!(check = |u: &U| u.a || u.b),
        quote!(
            #[cfg(x)]
            #[doc = "y"]
            pub async fn r#try() -> A {}
        ),
    );
    let items = quote! {
        #[cfg(x)]
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
        pub enum __login_check_0_58e6f15e_try {}
        #[cfg(x)]
        #[automatically_derived]
        impl ::login_runtime::__private::Checking for __login_check_0_58e6f15e_try
    };
    assert!(output.to_string().contains(&items.to_string()), "{output}");
}

#[test]
fn half_typed_bodies_pass_through_untouched() {
    for body in [
        "let x = user. ;",
        "user.",
        "match user { Some(",
        "if let Some(x) = user.name.iter(). {",
        "a b c # $ ! => ..=",
    ] {
        // A body never has unbalanced brackets here: editors balance them before they expand.
        let Ok(body): Result<TokenStream, _> = body.parse() else {
            continue;
        };
        let item = quote!(async fn h(user: CurrentUser<U>) -> String { #body });
        let output = expand(LoginRequired, quote!(role = "a"), item).to_string();
        assert!(!output.contains("compile_error"), "{output}");
        assert!(output.contains(&format!("{body} }}")), "{output}");
    }
}

#[test]
fn a_failed_attribute_leaves_the_function_in_place() {
    for (kind, options) in [
        (LoginRequired, quote!(rol = "a")),
        (LoginRequired, quote!(check = |user| user.)),
        (FreshLoginRequired, quote!(max_age)),
        (PermissionRequired, quote!()),
    ] {
        let item = quote!(#[get("/")] async fn h(user: CurrentUser<U>) -> String { user. });
        let output = expand(kind, options, item.clone()).to_string();
        assert!(output.contains("compile_error"), "{output}");
        assert!(output.contains(&item.to_string()), "{output}");
    }
}

#[test]
fn an_optional_user_is_looked_for_where_types_are_not_known_yet_too() {
    let p = quote!(::login_runtime::__private);
    for item in [
        quote!(
            async fn h<R: Repo>(a: Data<R>) -> A {}
        ),
        quote!(
            async fn h(a: Data<R>) -> A {}
        ),
    ] {
        let output = expand(LoginRequired, quote!(), item).to_string();
        let check = quote! {
            const {
                use #p::AnyArgument as _;
                #p::ArgumentCheck::<(), (), Data<R> >::KIND.check_optional::<Data<R> >()
            };
        };
        assert!(output.contains(&check.to_string()), "{output}");
    }
    let item = quote!(
        async fn h(a: impl FromRequest) -> impl Responder {}
    );
    let output = expand(LoginRequired, quote!(), item).to_string();
    assert!(!output.contains("check"), "{output}");
}

#[test]
fn an_argument_below_several_guards_may_be_the_user_of_any() {
    let item = quote!(
        #[login_required(user = User)]
        async fn h(a: Me<Admin>) -> impl Responder {}
    );
    let output = expand(FreshLoginRequired, quote!(user = Admin), item).to_string();
    let p = quote!(::login_runtime::__private);
    let check = quote! {
        #p::ArgumentCheck::<#p::Fresh<#p::LoginRequired<Admin> >, #p::LoginRequired, Me<Admin> >
    };
    assert!(output.contains(&check.to_string()), "{output}");
}

#[test]
fn what_looks_like_a_proof_is_checked_in_an_item() {
    let item = quote!(
        async fn h(a: FreshUser<User>, b: my::AuthorizedUser) -> impl Responder {}
    );
    let output = expand(LoginRequired, quote!(), item).to_string();
    assert_eq!(output.matches("const _ : () = {").count(), 2, "{output}");
}

#[test]
fn a_return_type_with_a_name_is_a_future_if_the_compiler_says_so() {
    let p = quote!(::login_runtime::__private);
    let item = quote!(
        fn h() -> Later<Page> {}
    );
    let output = expand(LoginRequired, quote!(), item).to_string();
    let assertion = quote!(const { #p::assert_future::<Later<Page> >() };);
    assert!(output.contains(&assertion.to_string()), "{output}");
}
