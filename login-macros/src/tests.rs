//! Properties: what the macros make of any tokens.
//!
//! `cargo test` tries the same few inputs each time. `PROPTEST_CASES=100000 cargo test -p login-macros tests::`
//! tries so many others. Inputs that broke a property are in `proptest-regressions`, and are tried first.

use proc_macro2::{
    Delimiter, Spacing, TokenStream, TokenTree, extra::invalidate_current_thread_spans,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed},
};
use quote::ToTokens as _;

use crate::{
    auth_user, condition_types, guard_kind::GuardKind, guards, parse_and_expand, permissions,
    public,
};

/// A run that nobody has asked for has the same inputs each time, so that no change fails by chance.
fn config() -> Config {
    const USUAL: u32 = 256;
    // It reads `PROPTEST_CASES` and `PROPTEST_RNG_SEED`.
    let mut config = Config::default();
    if config.cases == USUAL && config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Macro {
    AuthUser,
    Permissions,
    Guard(GuardKind),
    Public,
    Role,
    Permission,
}

impl Macro {
    const DERIVES: &[Self] = &[Self::AuthUser, Self::Permissions];
    const ATTRIBUTES: &[Self] = &[
        Self::Guard(GuardKind::LoginRequired),
        Self::Guard(GuardKind::FreshLoginRequired),
        Self::Guard(GuardKind::PermissionRequired),
        Self::Public,
    ];
    const TYPES: &[Self] = &[Self::Role, Self::Permission];

    fn expand(self, options: TokenStream, item: TokenStream) -> TokenStream {
        match self {
            Self::AuthUser => parse_and_expand(item, |item| auth_user::expand(&item)),
            Self::Permissions => parse_and_expand(item, |item| permissions::expand(&item)),
            Self::Guard(kind) => guards::expand(kind, options, item),
            Self::Public => public::expand(options, item),
            Self::Role => condition_types::expand_role(item),
            Self::Permission => condition_types::expand_permission(item),
        }
    }
}

const HANDLERS: &[&str] = &[
    r#"#[get("/")] async fn h() -> impl Responder { 1 }"#,
    r#"#[cfg(x)] #[actix_web::route("/", method = "GET")] pub(crate) async fn h<T: A>(user: CurrentUser<User>, #[cfg(y)] Path((a, b)): Path<(u32, u32)>, mut c: Json<T>) -> Result<B, E> where T: C { #![allow(x)] let x = a < b; x }"#,
    r#"/// Docs.
    #[post("/")] #[login_required(role = "admin")] async fn h(a: A) -> B { use x::y; y(a) }"#,
    r#"#[permission_required(P::Edit)] #[put("/")] async fn r#type(r#fn: A<B, { C }>) -> B {}"#,
    r#"fn h(self, a: A, ...) {}"#,
    r#"#[get("/")] const async unsafe extern "C" fn h(#[cfg_attr(a, b)] a: A) -> B { loop {} }"#,
    r#"async fn h(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H, i: I, j: J, k: K, l: L, m: M, n: N) -> O { o }"#,
    r#"async fn h() -> B;"#,
    r#"impl X { async fn h(&self) {} }"#,
    r#"pub struct S;"#,
    r#"macro_rules! m { () => {} }"#,
];

const ITEMS: &[&str] = &[
    r#"struct User { id: i64, #[auth(active)] ok: bool, #[auth(session_hash)] hash: String }"#,
    r#"#[auth(name = "admin", crate = ::x)] pub struct Admin<'a, T: X, const N: usize>(#[auth(id)] T, #[auth(roles)] &'a [u8; N]) where T: Y<'a>;"#,
    r#"#[auth(id = Self::key -> i64, session_hash = Self::epoch, active = Self::may, name = "a")] struct User { is_active: bool, #[auth(password_hash)] hash: Option<String> }"#,
    r#"#[auth(password_hash = Self::a, set_password_hash = Self::b)] struct Unit;"#,
    r#"struct Wrapper { #[auth(flatten)] user: User, #[auth(inactive)] r#type: bool }"#,
    r#"#[auth(name = "all")] enum Account { Member(Member), Staff(Box<Staff>) }"#,
    r#"enum Never {}"#,
    r#"union U { id: i64, other: u8 }"#,
    r#"#[permissions(user = User, crate = ::x)] enum P { A, B = 3, #[cfg(x)] C }"#,
    r#"#[permissions(user = User)] enum P<T> { A(T), B {} }"#,
];

const OPTIONS: &[&str] = &[
    "user = Admin",
    "user = Either<A, fn(u8) -> B>",
    "fresh",
    r#"fresh = "10m""#,
    r#"max_age = "1h""#,
    r#"role = "admin""#,
    "permission = P::Edit",
    "P::Edit",
    "check = |user: &User| user.a < user.b",
    "check = |user: &User, request: &HttpRequest| { user.is(request) }",
    "check = is_staff",
    r#"any(role = "a", not(permission = P::Edit))"#,
    r#"all(role = "a", check = is_staff)"#,
    "not(any(role = \"a\"))",
    "exempt_options",
    "passive",
    "crate = ::my::login_runtime",
    "__last",
    "name = \"x\"",
    "id",
    "usr = A",
    "",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "#",
    "!",
    "=",
    ",",
    ";",
    ":",
    "::",
    "&",
    "->",
    "|",
    "+",
    "-",
    "..",
    "'a",
    "_",
    "a",
    "r#fn",
    "self",
    "Self",
    "crate",
    "async",
    "fn",
    "struct",
    "enum",
    "where",
    "impl",
    "dyn",
    "auth",
    "permissions",
    "id",
    "active",
    "roles",
    "flatten",
    "check",
    "fresh",
    "1",
    "\"x\"",
    "\"10m\"",
    "b'x'",
    "1.5",
    "é",
];

/// A change of the tokens: where, and what.
#[derive(Clone, Debug)]
enum Change {
    Delete(usize),
    Double(usize),
    Swap(usize, usize),
    Insert(usize, &'static str),
    Replace(usize, &'static str),
}

fn any_change() -> impl Strategy<Value = Change> {
    const PLACES: std::ops::Range<usize> = 0..200;
    let piece = || prop_oneof![3 => select(PIECES), 1 => select(OPTIONS)];
    prop_oneof![
        PLACES.prop_map(Change::Delete),
        PLACES.prop_map(Change::Double),
        (PLACES, PLACES).prop_map(|(a, b)| Change::Swap(a, b)),
        (PLACES, piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (PLACES, piece()).prop_map(|(at, piece)| Change::Replace(at, piece)),
    ]
}

/// The tokens of a text, flat.
fn words(text: &str) -> Vec<String> {
    fn walk(tokens: TokenStream, words: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::None => ("", ""),
                    };
                    words.push(open.to_owned());
                    walk(group.stream(), words);
                    words.push(close.to_owned());
                }
                TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint => {
                    words.push(punct.to_string());
                }
                token => words.push(format!("{token} ")),
            }
        }
    }

    let mut found = Vec::new();
    walk(text.parse().unwrap(), &mut found);
    found
}

fn change(text: &str, changes: &[Change]) -> String {
    let mut words = words(text);
    for change in changes {
        if words.is_empty() {
            words.push(String::new());
        }
        let len = words.len();
        match change {
            Change::Delete(at) => drop(words.remove(at % len)),
            Change::Double(at) => words.insert(at % len, words[at % len].clone()),
            Change::Swap(a, b) => words.swap(a % len, b % len),
            Change::Insert(at, piece) => words.insert(at % len, format!(" {piece} ")),
            Change::Replace(at, piece) => words[at % len] = format!(" {piece} "),
        }
    }
    balance(&words.concat())
}

/// The text with as many closing delimiters as opening ones. No text of this file has one in a string.
fn balance(text: &str) -> String {
    let mut open = Vec::new();
    let mut balanced = String::new();
    for char in text.chars() {
        match char {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => {
                if open.last() != Some(&char) {
                    continue;
                }
                open.pop();
            }
            _ => {}
        }
        balanced.push(char);
    }
    balanced.extend(open.into_iter().rev());
    balanced
}

/// Tokens whose spans are not those of the call: that is at the start of the first line.
fn parse(text: &str) -> Option<TokenStream> {
    format!("\n\n{text}").parse().ok()
}

/// The messages of the errors in an output, and whether each points at a token of the input.
fn errors(output: TokenStream) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let tokens: Vec<_> = output.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match (token, tokens.get(at + 2)) {
            (TokenTree::Ident(word), Some(TokenTree::Group(message)))
                if word == "compile_error" =>
            {
                let is_located = word.span().start().line > 2;
                found.push((message.stream().to_string(), is_located));
            }
            (TokenTree::Group(group), _) => found.extend(errors(group.stream())),
            _ => {}
        }
    }
    found
}

fn check(the_macro: Macro, options: &str, item: &str) {
    // What other inputs have left; otherwise a long run needs a lot of memory.
    invalidate_current_thread_spans();
    let (Some(options), Some(item)) = (parse(options), parse(item)) else {
        return;
    };
    let output = the_macro.expand(options.clone(), item.clone());
    let errors = errors(output.clone());
    for (message, is_located) in &errors {
        let is_without_token = WITHOUT_TOKEN.iter().any(|(of, start)| {
            message.contains(start) && of.is_none_or(|is_empty| is_empty(&options, &item))
        });
        assert!(
            *is_located || is_without_token,
            "not located: {message} in {options} / {item}"
        );
    }
    // Editors need what is left of the handler.
    if Macro::ATTRIBUTES.contains(&the_macro) && !errors.is_empty() {
        assert!(output.to_string().contains(&item.to_string()), "{output}");
    }
    let is_item = syn::parse2::<syn::File>(item.clone()).is_ok();
    let parsed = match the_macro {
        Macro::Role | Macro::Permission if errors.is_empty() => {
            syn::parse2::<syn::Type>(output.clone()).map(drop)
        }
        _ => syn::parse2::<syn::File>(output.clone()).map(drop),
    };
    if let Err(error) = parsed
        && (is_item || !Macro::ATTRIBUTES.contains(&the_macro))
    {
        panic!("{error}:\n{output}");
    }
}

type IsEmpty = fn(&TokenStream, &TokenStream) -> bool;

/// Whether no item follows the attributes and the visibility.
fn is_without_item(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().all(|token| match token {
        TokenTree::Group(group) => group.delimiter() != Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == '#',
        TokenTree::Ident(word) => word == "pub",
        TokenTree::Literal(_) => false,
    })
}

/// Whether the compiler would refuse the item before the macro gets it.
fn is_cut_off(item: &TokenStream) -> bool {
    syn::parse2::<syn::Item>(item.clone()).is_err()
}

/// The errors about something that is missing, so that no token can be pointed at.
const WITHOUT_TOKEN: &[(Option<IsEmpty>, &str)] = &[
    (None, "no route attribute follows `#[public]`"),
    (Some(|_, item| is_cut_off(item)), "unexpected end of input"),
    (Some(|_, item| is_cut_off(item)), "\"expected `"),
    (
        Some(|options, _| options.is_empty()),
        "the permission is missing",
    ),
    (
        Some(|_, item| is_without_item(item)),
        "goes on a handler function",
    ),
    (Some(|_, item| item.is_empty()), "write `"),
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_derive_never_panics_and_says_where_a_mistake_is(
        the_macro in select(Macro::DERIVES),
        item in select(ITEMS),
        changes in vec(any_change(), 0..6),
    ) {
        check(the_macro, "", &change(item, &changes));
    }

    #[test]
    fn an_attribute_never_panics_and_says_where_a_mistake_is(
        the_macro in select(Macro::ATTRIBUTES),
        options in vec(select(OPTIONS), 0..4),
        of_options in vec(any_change(), 0..4),
        item in prop_oneof![4 => select(HANDLERS), 1 => select(ITEMS)],
        of_item in vec(any_change(), 0..4),
    ) {
        check(the_macro, &change(&options.join(", "), &of_options), &change(item, &of_item));
    }

    #[test]
    fn a_macro_for_types_never_panics_and_says_where_a_mistake_is(
        the_macro in select(Macro::TYPES),
        item in prop_oneof![Just("\"admin\""), Just("Permission::EditPost"), select(OPTIONS)],
        changes in vec(any_change(), 0..4),
    ) {
        check(the_macro, "", &change(item, &changes));
    }

    #[test]
    fn tokens_that_mean_nothing_are_refused_and_located(
        the_macro in prop_oneof![select(Macro::DERIVES), select(Macro::ATTRIBUTES), select(Macro::TYPES)],
        options in vec(select(PIECES), 0..12),
        item in vec(select(PIECES), 0..24),
    ) {
        check(the_macro, &balance(&options.join(" ")), &balance(&item.join(" ")));
    }

    #[test]
    fn a_right_guard_expands_whatever_its_handler_looks_like(
        kind in select(&[GuardKind::LoginRequired, GuardKind::FreshLoginRequired, GuardKind::PermissionRequired][..]),
        attributes in vec(select(&["/// Docs.\n", "#[cfg(x)]", "#[instrument(skip(a))]", "#[allow(unused)]"][..]), 0..3),
        vis in select(&["", "pub", "pub(crate)", "pub(in crate::a)"][..]),
        generics in select(&[("", ""), ("<T: A>", "where T: B<u8>"), ("<const N: usize>", "")][..]),
        arguments in vec(select(&["a: A", "mut b: B<u8, [u8; 4]>", "C { d, .. }: C", "(e, _): (E, F)", "#[cfg(y)] g: G", "_: impl H"][..]), 0..12),
        output in select(&["A", "impl Responder", "Result<Vec<u8>, Error>", "A where A: B"][..]),
        body in select(&["", "1", "let x = a < b; x", "struct X; X", "#![allow(x)] a.await?.b()", "fn f() {} f()"][..]),
        options in vec(select(&[
            "user = Admin", "role = \"a\"", "permission = P::A", "any(role = \"a\", role = \"b\")", "not(role = \"c\")",
            "exempt_options", "passive", "crate = ::x::y", "check = |user: &Admin| user.a < 1",
        ][..]), 0..4),
    ) {
        invalidate_current_thread_spans();
        let (params, bounds) = generics;
        let bounds = if output.contains("where") { "" } else { bounds };
        let item = format!(
            "{} {vis} async fn h{params}({}) -> {output} {bounds} {{ {body} }}",
            attributes.join(" "), arguments.join(", "),
        );
        let mut given = Vec::new();
        if kind == GuardKind::PermissionRequired {
            given.push("P::B");
        }
        for option in options {
            if !given.contains(&option) {
                given.push(option);
            }
        }
        let (options, item) = (parse(&given.join(", ")).unwrap(), parse(&item).unwrap());
        let guarded = Macro::Guard(kind).expand(options.clone(), item);
        assert_eq!(errors(guarded.clone()), [], "{options}");
        let file = syn::parse2::<syn::File>(guarded.clone()).unwrap();
        let Some(syn::Item::Fn(handler)) = file.items.first() else {
            panic!("no handler: {}", file.to_token_stream());
        };
        // Other attributes, and `cfg` on arguments, are expanded first: then the guard is written again.
        if !guarded.to_string().contains(kind.name()) {
            assert_eq!(handler.sig.inputs.len(), 1, "the guard is the only argument");
        }
    }
}
