//! Structs.

use quote::quote;

use super::{check, expand, expands, falls_back, parse};

const NO_ID: &str = "no field holds the user id; name a field `id` or mark one with `#[auth(id)]`";

#[test]
fn a_field_called_id_is_the_id() {
    let output = expand(&parse(quote!(
        struct User {
            id: i64,
            name: String,
        }
    )));
    let expected = quote! {
        #[automatically_derived]
        impl ::login_runtime::AuthUser for User {
            const NAME: &'static ::core::primitive::str = "User";
            type Id = i64;
            fn get_id(&self) -> Self::Id {
                ::core::clone::Clone::clone(&self.id)
            }
            const HAS_SESSION_HASH: ::core::option::Option<::core::primitive::bool> =
                ::core::option::Option::Some(false);
        }
    };
    assert_eq!(output.to_string(), expected.to_string());
}

#[test]
fn a_marked_id_wins_over_a_field_called_id() {
    expands(
        quote!(
            struct User {
                id: i64,
                #[auth(id)]
                key: Uuid,
            }
        ),
        &[
            quote!(
                type Id = Uuid;
            ),
            quote!(&self.key),
        ],
    );
    expands(
        quote!(
            struct User {
                r#id: i64,
            }
        ),
        &[quote!(&self.r#id)],
    );
}

#[test]
fn a_tuple_struct_marks_its_id_or_has_one_field() {
    expands(
        quote!(
            struct User(u32);
        ),
        &[quote!(&self.0)],
    );
    expands(
        quote!(
            struct User(String, #[auth(id)] u32);
        ),
        &[
            quote!(
                type Id = u32;
            ),
            quote!(&self.1),
        ],
    );
    check(
        quote!(
            struct User(String, u32);
        ),
        &[NO_ID],
    );
}

#[test]
fn without_an_id_there_is_one_error_and_an_impl() {
    for input in [
        quote!(
            struct User {
                name: String,
            }
        ),
        quote!(
            struct User;
        ),
        quote!(
            struct User();
        ),
        quote!(
            struct User {}
        ),
    ] {
        check(input.clone(), &[NO_ID]);
        falls_back(
            input,
            &[
                quote!(impl ::login_runtime::AuthUser for User),
                quote!(
                    type Id = ::login_runtime::__private::UnknownId;
                ),
            ],
        );
    }
}

#[test]
fn a_field_tells_whether_a_user_is_active() {
    for (input, body) in [
        (
            quote!(
                struct User {
                    id: u8,
                    is_active: bool,
                }
            ),
            quote!({ ::login_runtime::__private::ActiveField::get(&self.is_active) }),
        ),
        (
            quote!(
                struct User {
                    id: u8,
                    #[auth(active)]
                    enabled: Flag,
                }
            ),
            quote!({ ::login_runtime::__private::ActiveField::get(&self.enabled) }),
        ),
        (
            quote!(
                struct User {
                    id: u8,
                    #[auth(inactive)]
                    locked: bool,
                }
            ),
            quote!({ !::login_runtime::__private::ActiveField::get(&self.locked) }),
        ),
        (
            quote!(
                struct User {
                    id: u8,
                    #[auth(inactive)]
                    is_active: bool,
                }
            ),
            quote!({ !::login_runtime::__private::ActiveField::get(&self.is_active) }),
        ),
    ] {
        expands(
            input,
            &[quote!(fn is_active(&self) -> ::core::primitive::bool #body)],
        );
    }
    let output = expand(&parse(quote!(
        struct User {
            id: u8,
        }
    )))
    .to_string();
    assert!(!output.contains("is_active"));
}

#[test]
fn a_function_decides_over_a_field_called_is_active() {
    expands(
        quote! {
            #[auth(active = Self::may_log_in)]
            struct User { id: u8, is_active: u8 }
        },
        &[quote!({ Self::may_log_in(self) })],
    );
}

#[test]
fn a_generic_flag_gets_a_bound() {
    expands(
        quote!(
            #[auth(name = "user")]
            struct User<F> {
                id: u8,
                #[auth(active)]
                flag: F,
            }
        ),
        &[quote!(where F: 'static, F: ::login_runtime::__private::ActiveField)],
    );
}

#[test]
fn one_field_or_function_tells_whether_a_user_is_active() {
    check(
        quote!(
            struct User {
                id: u8,
                #[auth(active)]
                a: bool,
                #[auth(inactive)]
                b: bool,
            }
        ),
        &[
            "two fields tell whether a user is active; keep one, or write `#[auth(active = path)]` on the struct",
        ],
    );
    check(
        quote!(
            struct User {
                id: u8,
                is_active: bool,
                #[auth(inactive)]
                locked: bool,
            }
        ),
        &[
            "`is_active` would be ignored; keep one of the two fields, or write `#[auth(active = path)]`",
        ],
    );
    check(
        quote! {
            #[auth(active = may_log_in)]
            struct User { id: u8, #[auth(inactive)] locked: bool }
        },
        &[
            "`inactive` on a field and `active = path` on the struct contradict each other; keep one",
        ],
    );
}

#[test]
fn a_password_hash_is_the_session_hash_too() {
    expands(
        quote!(
            struct User {
                id: u8,
                #[auth(password_hash)]
                hash: String,
            }
        ),
        &[
            quote!(::login_runtime::__private::SessionHashPart::part(
                &self.hash
            )),
            quote!(impl ::login_runtime::PasswordUser for User),
            quote!(::login_runtime::__private::PasswordField::get(&self.hash)),
            quote!(::login_runtime::__private::PasswordField::set(
                &mut self.hash,
                __login_hash
            )),
        ],
    );
    expands(
        quote! {
            struct User {
                id: u8,
                #[auth(password_hash)] hash: String,
                #[auth(session_hash)] generation: u32,
            }
        },
        &[
            quote!(SessionHashPart::part(&self.generation)),
            quote!(PasswordField::get(&self.hash)),
        ],
    );
}

#[test]
fn options_share_an_attribute_or_have_their_own() {
    for marks in [
        quote!(#[auth(id, session_hash, password_hash)]),
        quote!(#[auth(id)] #[auth(session_hash)] #[auth(password_hash)]),
    ] {
        expands(
            quote!(struct User { #marks name: String }),
            &[quote!(Clone::clone(&self.name)), quote!(part(&self.name))],
        );
    }
    check(
        quote!(
            struct User {
                #[auth(id)]
                #[auth(id)]
                name: String,
            }
        ),
        &["`id` is given twice; keep one"],
    );
}

#[test]
fn an_option_marks_one_field() {
    check(
        quote! {
            struct User {
                #[auth(id, session_hash)] a: u8,
                #[auth(id, session_hash)] b: u8,
                #[auth(password_hash)] c: String,
                #[auth(password_hash)] d: String,
            }
        },
        &[
            "two fields are marked `#[auth(id)]`; keep one",
            "two fields are marked `#[auth(password_hash)]`; keep one",
        ],
    );
}

#[test]
fn every_wrong_option_is_reported_at_once() {
    check(
        quote! {
            #[auth(active, crate = 1, id, logn = "x")]
            struct User {
                #[auth(id = "x", ident(1, 2), crate = here)] id: u8,
                #[auth(active = path)] on: bool,
            }
        },
        &[
            "unknown option `ident`, expected `id`, `active`, `inactive`, `session_hash`, `password_hash`, `roles` or `flatten`",
            "`crate` goes on the struct, above its fields",
            "`id = path` goes on the struct; on a field, `id` takes no value",
            "`active = path` goes on the struct; on a field, `active` takes no value",
            "unknown option `logn`, expected `active`, `id`, `session_hash`, `password_hash`, `set_password_hash`, `name` or `crate`",
            "`active` needs a value, such as `active = Self::may_log_in`",
            "`crate` needs a value, such as `crate = ::my_app::login_runtime`",
            "`id` goes on a field",
        ],
    );
}

#[test]
fn an_attribute_without_options_is_a_mistake() {
    for attr in [
        quote!(#[auth]),
        quote!(#[auth = "id"]),
        quote!(#[auth()]),
        quote!(#[auth[id]]),
    ] {
        check(
            quote!(#attr struct User { id: u8 }),
            &[
                "`#[auth(..)]` needs options in its parentheses: `active`, `id`, `session_hash`, `password_hash`, `set_password_hash`, `name` or `crate`",
            ],
        );
    }
}

#[test]
fn the_crate_can_have_another_path() {
    expands(
        quote! {
            #[auth(crate = crate::facade)]
            struct User { id: u8, #[auth(password_hash)] hash: String }
        },
        &[
            quote!(impl crate::facade::AuthUser for User),
            quote!(impl crate::facade::PasswordUser for User),
            quote!(crate::facade::__private::PasswordField::get),
        ],
    );
}

#[test]
fn generics_keep_their_bounds_and_get_what_the_id_needs() {
    expands(
        quote! {
            #[auth(name = "user")]
            struct User<T: Key = u8, const N: usize = 1> where T: Send {
                #[auth(id)] key: Option<T>,
                rest: [u8; N],
            }
        },
        &[quote! {
            impl<T: Key, const N: usize> ::login_runtime::AuthUser for User<T, N>
            where
                T: Send,
                T: 'static,
                Option<T>: ::core::clone::Clone + ::login_runtime::UserId
        }],
    );
    expands(
        quote!(
            #[auth(name = "user")]
            struct User<T> {
                id: u8,
                extra: T,
            }
        ),
        &[quote!(for User<T> where T: 'static)],
    );
}

#[test]
fn a_user_owns_its_data() {
    let message = "a user type cannot borrow; own the data instead";
    let input = quote!(
        struct User<'a> {
            id: &'a str,
        }
    );
    check(input.clone(), &[message]);
    falls_back(
        input,
        &[
            quote!(impl ::login_runtime::AuthUser for User<'static>),
            quote!(UnknownId),
        ],
    );
    check(
        quote!(
            struct User<'a, 'b, T> {
                id: u8,
                t: &'a &'b T,
            }
        ),
        &[message],
    );
}

#[test]
fn a_mistake_elsewhere_keeps_the_id() {
    falls_back(
        quote!(
            struct User {
                id: i64,
                is_active: bool,
                #[auth(inactive)]
                locked: bool,
                #[auth(password_hash)]
                hash: String,
            }
        ),
        &[
            quote!(
                type Id = i64;
            ),
            quote!(Clone::clone(&self.id)),
            quote!(impl ::login_runtime::PasswordUser for User),
        ],
    );
}

#[test]
fn a_deprecated_field_does_not_warn_about_the_derive() {
    expands(
        quote!(
            struct User {
                #[deprecated]
                id: u8,
            }
        ),
        &[quote!(#[allow(deprecated)])],
    );
    let output = expand(&parse(quote!(
        struct User {
            id: u8,
        }
    )))
    .to_string();
    assert!(!output.contains("deprecated"));
}

#[test]
fn a_user_type_is_called_like_its_struct_or_as_the_attribute_says() {
    for (input, name) in [
        (
            quote!(
                struct Customer(u8);
            ),
            quote!("Customer"),
        ),
        (
            quote!(
                struct r#type(u8);
            ),
            quote!("type"),
        ),
        (
            quote!(
                #[auth(name = "staff-member_2")]
                struct Employee(u8);
            ),
            quote!("staff-member_2"),
        ),
        (
            quote!(
                #[auth(name = names::EMPLOYEE)]
                struct Employee(u8);
            ),
            quote!(names::EMPLOYEE),
        ),
        (
            quote!(
                #[auth(name = T::NAME)]
                struct Account<T: Kind> {
                    id: u8,
                    kind: T,
                }
            ),
            quote!(T::NAME),
        ),
    ] {
        let expected = quote!(const NAME: &'static ::core::primitive::str = #name;);
        expands(input, &[expected]);
    }
}

#[test]
fn a_name_that_no_cookie_can_contain_is_refused() {
    let not_a_name = "the name of a user type has 1 to 32 ASCII letters, digits, `-` and `_`";
    for name in ["", "a b", "a.b", "a/b", "caf\u{e9}", "a;b", &"x".repeat(33)] {
        check(
            quote!(
                #[auth(name = #name)]
                struct User {
                    id: u8,
                }
            ),
            &[not_a_name],
        );
    }
    let longest = "x".repeat(32);
    check(
        quote!(
            #[auth(name = #longest)]
            struct User {
                id: u8,
            }
        ),
        &[],
    );
    let user = quote::format_ident!("Caf\u{e9}Guest");
    check(
        quote!(struct #user { id: u8 }),
        &[
            "`Caf\u{e9}Guest` does not fit into cookies and records, where a name has 1 to 32 ASCII letters, digits, `-` and `_`; add `#[auth(name = \"customer\")]`",
        ],
    );
    check(quote!(#[auth(name = "guest")] struct #user { id: u8 }), &[]);
    for value in [quote!(), quote!(= 7)] {
        check(
            quote!(
                #[auth(name #value)]
                struct User {
                    id: u8,
                }
            ),
            &["`name` needs a value, such as `name = \"customer\"`"],
        );
    }
}

#[test]
fn a_generic_user_type_is_not_called_the_same_for_every_parameter() {
    let needs_a_name = "a generic user type needs a name; add `#[auth(name = T::NAME)]` with a constant of each parameter, \
         or `#[auth(name = \"customer\")]` if there is only one";
    for input in [
        quote!(
            struct Account<T> {
                id: u8,
                kind: T,
            }
        ),
        quote!(
            struct Account<const ADMIN: bool> {
                id: u8,
            }
        ),
    ] {
        check(input, &[needs_a_name]);
    }
}

#[test]
fn functions_of_the_struct_give_id_session_hash_and_password_hash() {
    expands(
        quote! {
            #[auth(id = Self::key -> Vec<u8>, session_hash = epoch)]
            #[auth(password_hash = Self::hash, set_password_hash = Self::set)]
            struct User { row: Row }
        },
        &[
            quote!(
                type Id = Vec<u8>;
            ),
            quote!(
                fn get_id(&self) -> Self::Id {
                    Self::key(self)
                }
            ),
            quote!(::login_runtime::__private::owned_part(&epoch(self))),
            quote!(::login_runtime::__private::PasswordHashRef::get(
                Self::hash(self)
            )),
            quote!({ Self::set(self, __login_hash) }),
        ],
    );
    // The password hash is the session hash, unless there is another.
    expands(
        quote! {
            #[auth(password_hash = hash, set_password_hash = set)]
            struct User { id: u8 }
        },
        &[quote! {
            ::login_runtime::__private::owned_part(
                &::login_runtime::__private::PasswordHashRef::get(hash(self))
            )
        }],
    );
}

#[test]
fn a_function_that_lacks_something_says_what() {
    for (input, message) in [
        (
            quote!(
                #[auth(id = Self::key)]
                struct User {
                    row: Row,
                }
            ),
            "`id` needs a value, such as `id = Self::key -> i64`",
        ),
        (
            quote!(
                #[auth(session_hash = "epoch")]
                struct User {
                    id: u8,
                }
            ),
            "`session_hash` needs a value, such as `session_hash = Self::epoch`",
        ),
        (
            quote!(
                #[auth(session_hash = epoch)]
                struct User {
                    id: u8,
                    #[auth(session_hash)]
                    a: u8,
                }
            ),
            "`session_hash` on a field and `session_hash = path` on the struct contradict each other; keep one",
        ),
        (
            quote!(
                #[auth(id = key -> u8)]
                struct User {
                    #[auth(id)]
                    a: u8,
                }
            ),
            "`id` on a field and `id = path` on the struct contradict each other; keep one",
        ),
        (
            quote!(
                #[auth(password_hash = hash)]
                struct User {
                    id: u8,
                }
            ),
            "a password hash is replaced when it is outdated; add `set_password_hash = path`, a `fn(&mut Self, String)`",
        ),
        (
            quote!(
                #[auth(set_password_hash = set)]
                struct User {
                    id: u8,
                }
            ),
            "there is no hash to replace; add `password_hash = path`, a `fn(&Self) -> Option<&str>`",
        ),
        (
            quote!(
                struct User {
                    id: u8,
                    #[auth(session_hash = epoch)]
                    a: u8,
                }
            ),
            "`session_hash = path` goes on the struct; on a field, `session_hash` takes no value",
        ),
        (
            quote!(
                #[auth(session_hash = epoch)]
                enum User {
                    A(A),
                }
            ),
            "`session_hash = path` goes on the structs that the variants wrap",
        ),
        (
            quote!(
                struct User {
                    #[auth(flatten)]
                    a: A,
                    #[auth(flatten)]
                    b: B,
                }
            ),
            "two fields are marked `#[auth(flatten)]`; keep one",
        ),
    ] {
        match message.starts_with("`id` needs") {
            // Without the function there is no id, either.
            true => check(input, &[message, NO_ID]),
            false => check(input, &[message]),
        }
    }
}

#[test]
fn several_fields_together_are_the_session_hash() {
    expands(
        quote!(
            struct User {
                id: u8,
                #[auth(session_hash)]
                epoch: u32,
                #[auth(session_hash, password_hash)]
                hash: String,
            }
        ),
        &[quote! {
            ::login_runtime::__private::join_parts(&[
                ::login_runtime::__private::SessionHashPart::part(&self.epoch),
                ::login_runtime::__private::SessionHashPart::part(&self.hash)
            ])
        }],
    );
}

#[test]
fn a_flattened_user_answers_for_the_struct_around_it() {
    expands(
        quote!(
            struct UserWithRoles {
                #[auth(flatten, password_hash)]
                user: User,
                #[auth(roles)]
                roles: Vec<String>,
            }
        ),
        &[
            quote!(
                const NAME: &'static ::core::primitive::str = "UserWithRoles";
            ),
            quote!(
                type Id = <User as ::login_runtime::AuthUser>::Id;
            ),
            quote!({ ::login_runtime::AuthUser::get_id(&self.user) }),
            quote!({ ::login_runtime::AuthUser::is_active(&self.user) }),
            quote!({ ::login_runtime::AuthUser::session_hash(&self.user) }),
            quote!({ ::login_runtime::Roles::has_role(&self.roles, __login_role) }),
            quote!({ ::login_runtime::PasswordUser::password_hash(&self.user) }),
            quote!({
                ::login_runtime::PasswordUser::set_password_hash(&mut self.user, __login_hash)
            }),
        ],
    );
    // Both the user and the struct around it have to agree.
    expands(
        quote!(
            struct Tenant {
                #[auth(id)]
                key: u8,
                #[auth(flatten)]
                user: User,
                #[auth(inactive)]
                closed: bool,
                #[auth(session_hash)]
                epoch: u32,
            }
        ),
        &[
            quote!(
                type Id = u8;
            ),
            quote! {
                (!::login_runtime::__private::ActiveField::get(&self.closed))
                    && (::login_runtime::AuthUser::is_active(&self.user))
            },
            quote! {
                ::login_runtime::AuthUser::is_active(self)
                    && (::login_runtime::AuthUser::is_authenticated(&self.user))
            },
            quote! {
                ::login_runtime::__private::join_parts(&[
                    ::login_runtime::__private::SessionHashPart::part(&self.epoch),
                    ::login_runtime::AuthUser::session_hash(&self.user)
                ])
            },
            quote!({ ::login_runtime::AuthUser::has_role(&self.user, __login_role) }),
        ],
    );
    expands(
        quote!(
            #[auth(name = "wrapped")]
            struct Wrapped<U> {
                #[auth(flatten)]
                user: U,
            }
        ),
        &[quote!(U: ::login_runtime::AuthUser)],
    );
}
