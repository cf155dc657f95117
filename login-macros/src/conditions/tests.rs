//! Messages and types of conditions.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Visibility, parse_quote};

use super::{Condition, ItemNames, parse::TABLE};
use crate::{errors::Errors, options::Reader, paths::Root};

fn parse(tokens: TokenStream) -> (Option<Condition>, Vec<String>) {
    let mut errors = Errors::default();
    let mut reader = Reader::new(TABLE, |_| None).repeating(|_| true);
    let options = reader.read(tokens, &mut errors);
    let conditions = options
        .iter()
        .filter_map(|(key, opt)| Condition::parse(*key, opt, &mut errors));
    let conditions = conditions.collect();
    (Condition::all(conditions), errors.messages())
}

fn names(vis: &Visibility) -> ItemNames<'_> {
    ItemNames {
        private: quote!(p),
        suffix: "of_h".to_owned(),
        vis,
        cfgs: Vec::new(),
    }
}

#[track_caller]
fn becomes(tokens: TokenStream, expected: TokenStream) {
    let (condition, messages) = parse(tokens);
    assert_eq!(messages, [""; 0]);
    let term = condition.map(|condition| condition.as_type(&names(&parse_quote!())));
    assert_eq!(term.unwrap().to_string(), expected.to_string());
}

#[track_caller]
fn refuses(tokens: TokenStream, messages: &[&str]) {
    assert_eq!(parse(tokens).1, messages);
}

#[test]
fn conditions_become_types_and_nest() {
    let admin = quote!(p::Role<5usize, 129456564412637535544701949612346310656u128>);
    becomes(quote!(role = "admin"), admin.clone());
    becomes(
        quote!(permission = posts::Permission::Edit),
        quote!(p::Permitted<posts::Permission, { posts::Permission::Edit as usize }>),
    );
    becomes(
        quote!(
            any(
                role = "admin",
                not(check = a),
                check = |u, _| u.b && c(u, 1) < 2
            ),
            all(role = "admin")
        ),
        quote!(p::And<
            p::Or<#admin, p::Or<
                p::Negated<p::Checked<__login_check_0_of_h> >,
                p::Checked<__login_check_1_of_h>
            > >,
            #admin
        >),
    );
    becomes(
        quote!(role = "seventeen bytes !"),
        quote!(p::Role<
            17usize,
            153388042858539053117722141425114903328u128,
            43864523860902223805825632989251371008u128
        >),
    );
}

#[test]
fn a_check_is_one_argument_of_a_call_whatever_operators_are_in_it() {
    let (condition, _) = parse(quote!(check = |u: &my::User| u.a || u.b < 3, role = "x"));
    let condition = condition.unwrap();
    assert_eq!(
        condition.user_type(&Root::default()).unwrap().to_string(),
        "my :: User"
    );
    let vis = parse_quote!(pub(crate));
    let items = condition.items(&names(&vis), &quote!(U)).to_string();
    let call = quote!({ p::check(__login_user, __login_request, |u: &my::User| u.a || u.b < 3) });
    assert!(items.contains(&call.to_string()), "{items}");
    assert!(
        items.contains("pub (crate) enum __login_check_0_of_h { }"),
        "{items}"
    );

    let (condition, _) = parse(quote!(permission = P::A));
    let user = condition.unwrap().user_type(&Root::default()).unwrap();
    assert_eq!(
        user.to_string(),
        quote!(<P as ::login_runtime::Permissions>::User).to_string()
    );
}

#[test]
fn what_is_no_condition_says_what_would_be_one() {
    refuses(
        quote!(any, all(), not = 1),
        &[
            "`any` needs conditions in its parentheses, such as `any(role = \"admin\", role = \"editor\")`",
            "`all` needs conditions in its parentheses, such as `all(role = \"admin\", role = \"editor\")`",
            "`not` needs conditions in its parentheses, such as `not(role = \"guest\")`",
        ],
    );
    refuses(
        quote!(not(role = "a", role = "b"), any(fresh, rol = "a")),
        &[
            "`not(..)` takes one condition; write `not(any(..))` or `not(all(..))`",
            "`fresh` goes on the guard itself, outside of these parentheses",
            "unknown option `rol`, expected `role`, `permission`, `check`, `any`, `all` or `not`",
        ],
    );
    refuses(
        quote!(
            role = admin,
            role,
            role = " a",
            permission = EditPost,
            permission = "a"
        ),
        &[
            "`role` needs a value, such as `role = \"admin\"`",
            "`role` needs a value, such as `role = \"admin\"`",
            "a role has 1 to 64 bytes, and no spaces around it",
            "a permission needs the name of its enum, such as `Permission::EditPost`",
            "`permission` needs a value, such as `permission = Permission::EditPost`",
        ],
    );
    let closure = "`check` is a closure or the path of a function; \
                   write `check = |user: &User| user.is_staff`";
    refuses(
        quote!(
            check = user.a,
            check = || true,
            check = async |u| true,
            check = f(u)
        ),
        &[
            closure,
            closure,
            "a `check` cannot be async; use a permission for what has to be looked up",
            closure,
        ],
    );
    let half_typed: TokenStream = "check = |user| user. , role = \"a\"".parse().unwrap();
    refuses(
        half_typed,
        &["`check` needs a value, such as `check = |user: &User| user.is_staff`"],
    );
}
