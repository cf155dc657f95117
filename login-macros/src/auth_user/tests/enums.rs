//! Enums that wrap users, and unions.

use quote::quote;

use super::{check, expands, falls_back};

#[test]
fn an_enum_delegates_to_the_user_it_wraps() {
    expands(
        quote!(
            enum Anyone {
                Staff(Staff),
                Guest(Guest),
            }
        ),
        &[
            quote!(
                type Id = <Staff as ::login_runtime::AuthUser>::Id;
            ),
            quote!(Self::Staff(__login_user) => ::login_runtime::AuthUser::get_id(__login_user),),
            quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::is_active(__login_user),),
            quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::is_authenticated(__login_user),),
            quote!(Self::Guest(__login_user) => ::login_runtime::AuthUser::session_hash(__login_user),),
        ],
    );
    expands(
        quote!(
            #[auth(name = "either")]
            enum Either<A, B> {
                A(A),
                B(B),
            }
        ),
        &[quote! {
            where
                A: 'static,
                B: 'static,
                A: ::login_runtime::AuthUser,
                B: ::login_runtime::AuthUser<Id = <A as ::login_runtime::AuthUser>::Id>
        }],
    );
}

#[test]
fn the_wrapped_user_can_refuse_what_a_function_on_the_enum_allows() {
    expands(
        quote!(
            #[auth(active = open)]
            enum Anyone {
                Staff(Staff),
            }
        ),
        &[
            quote!({ open(self) }),
            quote! {
                ::login_runtime::AuthUser::is_active(self) && (match self {
                    Self::Staff(__login_user) => ::login_runtime::AuthUser::is_authenticated(__login_user),
                })
            },
        ],
    );
}

#[test]
fn each_variant_of_an_enum_wraps_one_user() {
    check(
        quote!(
            enum Anyone {}
        ),
        &[
            "an enum without variants has no users; add a variant that wraps a user, such as `Member(Member)`",
        ],
    );
    let input = quote! {
        enum Anyone { Nobody, Named { user: A }, Two(A, B), #[auth(id)] One(#[auth(password_hash)] A) }
    };
    check(
        input.clone(),
        &[
            "variant `Nobody` does not wrap one user; write `Nobody(User)`",
            "variant `Named` does not wrap one user; write `Named(User)`",
            "variant `Two` does not wrap one user; write `Two(User)`",
            "`id` goes on a field of the struct that the variant wraps",
            "`password_hash` goes on a field of the struct that the variant wraps",
        ],
    );
    falls_back(
        input,
        &[
            quote!(::login_runtime::__private::UnknownId),
            quote!(impl ::login_runtime::PasswordUser for Anyone),
        ],
    );
}

#[test]
fn a_union_is_refused() {
    check(
        quote!(union User { id: u8 }),
        &["`AuthUser` cannot be derived for a union; use a struct or an enum"],
    );
}
