//! What a wrong guard is told.

use quote::{format_ident, quote};

use super::{check, refuses};
use crate::guard_kind::GuardKind::{FreshLoginRequired, LoginRequired, PermissionRequired};

#[test]
fn wrong_options_are_reported_at_once() {
    let item = quote!(
        async fn h() -> impl Responder {}
    );
    check(
        LoginRequired,
        quote!(
            user,
            fresh = "soon",
            max_age = "1m",
            exempt_options = true,
            crate
        ),
        item.clone(),
        &[
            "unknown option `max_age`, expected `user`, `fresh`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
            "`user` needs a value, such as `user = Admin`",
            "`soon` is not a duration; write a number and `s`, `m`, `h` or `d`: \"10m\"",
            "`exempt_options` takes no value",
            "`crate` needs a value, such as `crate = ::my_app::login_runtime`",
        ],
    );
    check(
        FreshLoginRequired,
        quote!(fresh, max_age = 10),
        item,
        &[
            "unknown option `fresh`, expected `user`, `max_age`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
            "`max_age` needs a value, such as `max_age = \"10m\"`",
        ],
    );
}

#[test]
fn options_and_signature_are_reported_together() {
    check(
        LoginRequired,
        quote!(usr = A),
        quote!(
            fn h() {}
        ),
        &[
            "unknown option `usr`, expected `user`, `fresh`, `role`, `permission`, `check`, `any`, `all`, `not`, `exempt_options`, `passive` or `crate`",
            "handlers must be async; write `async fn h`",
            "handler `h` returns nothing; give it a return type such as `-> impl Responder`",
        ],
    );
}

#[test]
fn only_a_function_is_guarded() {
    for (item, kind) in [
        (
            quote!(
                struct S;
            ),
            "a struct",
        ),
        (
            quote!(
                #[derive(Debug)]
                pub enum E {}
            ),
            "an enum",
        ),
        (quote!(union U { a: u8 }), "a union"),
        (
            quote!(
                pub mod m {}
            ),
            "a module",
        ),
        (quote!(impl S {}), "an impl block"),
        (
            quote!(
                unsafe impl Send for S {}
            ),
            "an impl block",
        ),
        (
            quote!(
                pub(crate) unsafe trait T {}
            ),
            "a trait",
        ),
        (
            quote!(
                const C: u8 = 1;
            ),
            "a constant",
        ),
        (
            quote!(
                static S: u8 = 1;
            ),
            "a static",
        ),
        (
            quote!(
                type T = u8;
            ),
            "a type alias",
        ),
        (
            quote!(
                use a::b;
            ),
            "an import",
        ),
        (
            quote!(
                extern crate a;
            ),
            "an `extern` item",
        ),
        (
            quote!(
                extern "C" {}
            ),
            "an `extern` item",
        ),
        (
            quote!(
                macro_rules! m {
                    () => {};
                }
            ),
            "a macro",
        ),
    ] {
        refuses(
            item,
            &format!("`#[login_required]` goes on a handler function, not on {kind}"),
        );
    }
    check(
        FreshLoginRequired,
        quote!(),
        quote!(a::b! {}),
        &["`#[fresh_login_required]` goes on a handler function"],
    );
}

#[test]
fn a_signature_that_actix_cannot_call_is_refused() {
    refuses(
        quote!(
            async fn h(&self) -> A {}
        ),
        "a handler cannot take `self`; take shared state as `web::Data`",
    );
    refuses(
        quote!(
            async unsafe fn h() -> A {}
        ),
        "handlers cannot be `unsafe fn`; remove `unsafe`",
    );
    refuses(
        quote!(
            const fn h() -> Ready<A> {}
        ),
        "handlers cannot be `const fn`; remove `const`",
    );
    refuses(
        quote!(
            async extern "C" fn h() -> A {}
        ),
        "handlers are called by actix-web; remove `extern`",
    );
    refuses(
        quote!(
            async fn h(a: A, ...) -> A {}
        ),
        "a handler cannot be variadic; remove `...`",
    );
    refuses(
        quote!(
            async fn h() -> A;
        ),
        "`h` has no body to guard; put `#[login_required]` where it is implemented",
    );
    refuses(
        quote!(
            async fn h() {}
        ),
        "handler `h` returns nothing; give it a return type such as `-> impl Responder`",
    );
}

#[test]
fn a_handler_is_async_or_returns_a_future() {
    for output in [
        quote!(impl Future<Output = A>),
        quote!(Pin<Box<dyn Future<Output = A>>>),
        quote!(futures::LocalBoxFuture<'static, A>),
        quote!(std::future::Ready<A>),
    ] {
        check(LoginRequired, quote!(), quote!(fn h() -> #output {}), &[]);
    }
    refuses(
        quote!(
            fn index() -> &'static str {}
        ),
        "handlers must be async; write `async fn index`",
    );
}

#[test]
fn the_seventeenth_argument_is_one_too_many() {
    let arguments = |count: usize| {
        let names = (0..count).map(|index| format_ident!("a{index}"));
        quote!(async fn h(#(#names: A),*) -> A {})
    };
    check(LoginRequired, quote!(), arguments(16), &[]);
    refuses(
        arguments(17),
        "actix-web handlers take at most 16 arguments; join some in one extractor",
    );
}

#[test]
fn a_role_and_a_permission_are_given_once() {
    let item = quote!(
        async fn h() -> impl Responder {}
    );
    check(
        LoginRequired,
        quote!(role = "a", role = "b", permission = P::A, permission = P::B),
        item.clone(),
        &[
            "`role` is given twice; write `any(role = .., role = ..)`, or `all(..)` if both are needed",
            "`permission` is given twice; write `any(permission = .., permission = ..)`, or `all(..)` if both are needed",
        ],
    );
    check(
        LoginRequired,
        quote!(any(role = "a"), any(role = "b")),
        item.clone(),
        &[],
    );
    let unknown =
        "the user type of `check` is unknown; write `|user: &User| ..`, or add `user = User`";
    check(
        LoginRequired,
        quote!(check = |u| u.a),
        item.clone(),
        &[unknown],
    );
    check(
        LoginRequired,
        quote!(not(check = is_staff)),
        item.clone(),
        &[unknown],
    );
    check(
        LoginRequired,
        quote!(check = |u| u.a, user = U),
        item.clone(),
        &[],
    );
    check(
        LoginRequired,
        quote!(check = is_staff, permission = P::A),
        item.clone(),
        &[],
    );
    let nothing = "the permission is missing; write `#[permission_required(Permission::EditPost)]`";
    for options in [
        quote!(),
        quote!(user = U),
        quote!("edit"),
        quote!(fresh = "1m"),
    ] {
        check(PermissionRequired, options, item.clone(), &[nothing]);
    }
}
