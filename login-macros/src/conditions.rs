//! What a guard asks of a user besides a login: `role`, `permission`, `check`, `any`, `all`, `not`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{
    Expr, ExprClosure, LitStr, Pat, Path, Type, Visibility, parse_quote, punctuated::Punctuated,
    spanned::Spanned as _,
};

use crate::{
    errors::Errors,
    options::{Opt, Reader, Table},
    paths::Root,
    spans::locate,
};

/// The longest role in bytes: what fits into the four numbers that say it as a type.
const MAX_ROLE: usize = 64;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Key {
    Role,
    Permission,
    Check,
    Any,
    All,
    Not,
}

/// What can stand in `any(..)`, `all(..)` and `not(..)`.
const TABLE: Table<Key> = &[
    ("role", Key::Role),
    ("permission", Key::Permission),
    ("check", Key::Check),
    ("any", Key::Any),
    ("all", Key::All),
    ("not", Key::Not),
];

/// What stands in a guard besides conditions.
const ELSEWHERE: &[&str] = &[
    "user",
    "fresh",
    "max_age",
    "exempt_options",
    "passive",
    "crate",
];

pub(crate) enum Condition {
    Role(LitStr),
    Permission(Permission),
    Check(Box<Check>),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
}

/// A variant of a set of permissions.
pub(crate) struct Permission {
    set: Path,
    path: Path,
}

/// An expression of the application's own.
pub(crate) struct Check {
    expr: Expr,
    /// The type in `|user: &User|`.
    user: Option<Type>,
    takes_request: bool,
}

impl Condition {
    pub(crate) fn parse(key: Key, opt: &Opt, errors: &mut Errors) -> Option<Self> {
        match key {
            Key::Role => parse_role(opt.value("role = \"admin\"", errors)?, errors),
            Key::Permission => {
                let path = opt.value("permission = Permission::EditPost", errors)?;
                Permission::parse(path, errors).map(Self::Permission)
            }
            Key::Check => Check::parse(opt, errors).map(|check| Self::Check(Box::new(check))),
            Key::Any => parse_list(opt, errors).map(Self::Any),
            Key::All => parse_list(opt, errors).map(Self::All),
            Key::Not => {
                let mut conditions = parse_list(opt, errors)?;
                if conditions.len() > 1 {
                    errors.not_of_several(&opt.name);
                }
                conditions.pop().map(|one| Self::Not(Box::new(one)))
            }
        }
    }

    /// All of these, which are what one guard asks for.
    pub(crate) fn all(mut conditions: Vec<Self>) -> Option<Self> {
        match conditions.len() {
            0 | 1 => conditions.pop(),
            _ => Some(Self::All(conditions)),
        }
    }

    /// The condition and all that it is made of.
    fn parts(&self) -> Vec<&Self> {
        let mut parts = vec![self];
        match self {
            Self::Any(list) | Self::All(list) => parts.extend(list.iter().flat_map(Self::parts)),
            Self::Not(one) => parts.extend(one.parts()),
            Self::Role(_) | Self::Permission(_) | Self::Check(_) => {}
        }
        parts
    }

    fn checks(&self) -> impl Iterator<Item = &Check> {
        self.parts().into_iter().filter_map(|part| match part {
            Self::Check(check) => Some(&**check),
            _ => None,
        })
    }

    fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.parts().into_iter().filter_map(|part| match part {
            Self::Permission(permission) => Some(permission),
            _ => None,
        })
    }

    /// The user type that the condition is about, if it says so.
    pub(crate) fn user(&self, root: &Root) -> Option<TokenStream> {
        match self.user_in_check() {
            Some(user) => Some(user.to_token_stream()),
            None => {
                let set = self.set_of_user()?;
                Some(quote!(<#set as #root::Permissions>::User))
            }
        }
    }

    fn user_in_check(&self) -> Option<&Type> {
        self.checks().find_map(|check| check.user.as_ref())
    }

    /// The permissions whose user the condition is about, where nothing else names one.
    pub(crate) fn set_of_user(&self) -> Option<&Path> {
        match self.user_in_check() {
            Some(_) => None,
            None => self.permissions().next().map(|permission| &permission.set),
        }
    }

    // A check is a function of a user whose type is known.
    pub(crate) fn check_user(&self, errors: &mut Errors) {
        for check in self.checks() {
            errors.check_of_unknown_user(&check.expr);
        }
    }

    /// What tells the checks in here from those of another guard on the same handler.
    pub(crate) fn fingerprint(&self) -> u32 {
        let checks = self.checks().map(|check| check.expr.to_token_stream());
        let text = checks.map(|tokens| tokens.to_string()).collect::<String>();
        // How tokens are spaced depends on where they have been. FNV-1a, since std's hashers may change.
        let bytes = text.bytes().filter(|byte| !byte.is_ascii_whitespace());
        bytes.fold(0x811c_9dc5, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        })
    }

    /// The condition as a type. Checks are items of their own, next to the handler.
    pub(crate) fn term(&self, names: &Names<'_>) -> TokenStream {
        self.numbered_term(names, &mut 0)
    }

    fn numbered_term(&self, names: &Names<'_>, checks: &mut usize) -> TokenStream {
        let private = &names.private;
        let mut fold = |list: &[Self], join: Ident| {
            let terms: Vec<_> = list
                .iter()
                .map(|one| one.numbered_term(names, checks))
                .collect();
            let mut terms = terms.into_iter().rev();
            let last = terms.next().unwrap_or_default();
            terms.fold(last, |rest, first| quote!(#private::#join<#first, #rest>))
        };
        match self {
            Self::Role(role) => role_term(private, &role.value()),
            Self::Permission(permission) => permission.term(private),
            Self::Check(_) => {
                let name = names.check(*checks);
                *checks += 1;
                quote!(#private::Checked<#name>)
            }
            Self::Any(list) => fold(list, format_ident!("Or")),
            Self::All(list) => fold(list, format_ident!("And")),
            Self::Not(one) => {
                let one = one.numbered_term(names, checks);
                quote!(#private::Negated<#one>)
            }
        }
    }

    /// The items that the condition's type names.
    pub(crate) fn items(&self, names: &Names<'_>, user: &TokenStream) -> TokenStream {
        let items = self.checks().enumerate().map(|(index, check)| {
            let Names {
                private, vis, cfgs, ..
            } = names;
            let name = names.check(index);
            let call = check.call(private);
            // An `enum`, as nobody makes one.
            quote! {
                #(#cfgs)*
                #[doc(hidden)]
                #[allow(non_camel_case_types)]
                #[derive(::core::fmt::Debug, ::core::clone::Clone, ::core::marker::Copy)]
                #vis enum #name {}
                #(#cfgs)*
                #[automatically_derived]
                impl #private::Checking for #name {
                    type User = #user;
                    fn check(
                        __login_user: &Self::User,
                        __login_request: &#private::HttpRequest,
                    ) -> ::core::primitive::bool {
                        #call
                    }
                }
            }
        });
        items.collect()
    }

    /// Statements that point at a permission which cannot be in this guard.
    ///
    /// Where the first permission says who the user is, there is nothing to compare it with.
    pub(crate) fn assertions(
        &self,
        private: &TokenStream,
        user: &TokenStream,
        names_user: bool,
    ) -> TokenStream {
        let own = self.set_of_user().filter(|_| !names_user);
        let assertions = self.permissions().enumerate().map(|(index, permission)| {
            let assertion = match own {
                Some(set) if index == 0 => {
                    quote!(const { #private::assert_permissions::<#set>() };)
                }
                _ => {
                    let term = permission.term(private);
                    quote!(const { #private::assert_term::<#user, #term>() };)
                }
            };
            locate(assertion, permission.path.span())
        });
        assertions.collect()
    }
}

/// How the items of a condition are called.
pub(crate) struct Names<'a> {
    pub(crate) private: TokenStream,
    /// What tells this guard's items from those of another.
    pub(crate) stem: String,
    pub(crate) vis: &'a Visibility,
    /// The handler's `#[cfg]`, which the items share.
    pub(crate) cfgs: Vec<&'a syn::Attribute>,
}

impl Names<'_> {
    fn check(&self, index: usize) -> Ident {
        format_ident!("__login_check_{index}_{}", self.stem)
    }
}

fn parse_role(role: LitStr, errors: &mut Errors) -> Option<Condition> {
    let text = role.value();
    if text.trim() != text || text.is_empty() || text.len() > MAX_ROLE {
        errors.not_a_role(&role, MAX_ROLE);
        return None;
    }
    Some(Condition::Role(role))
}

fn parse_list(opt: &Opt, errors: &mut Errors) -> Option<Vec<Condition>> {
    let tokens = opt.list(errors)?;
    let elsewhere = |name: &str| {
        let known = ELSEWHERE.contains(&name);
        known.then_some("the guard itself, outside of these parentheses")
    };
    let mut reader = Reader::new(TABLE, elsewhere).repeating(|_| true);
    let options = reader.read(tokens, errors);
    let conditions = options
        .iter()
        .filter_map(|(key, opt)| Condition::parse(*key, opt, errors));
    let conditions: Vec<_> = conditions.collect();
    // What is wrong in there has been said already.
    (!conditions.is_empty()).then_some(conditions)
}

impl Permission {
    pub(crate) fn parse(path: Path, errors: &mut Errors) -> Option<Self> {
        let mut set = path.clone();
        set.segments.pop();
        // What is left ends in `::`.
        let segments: Punctuated<_, _> = set.segments.into_iter().collect();
        set.segments = segments;
        if set.segments.is_empty() {
            errors.permission_without_set(&path);
            return None;
        }
        Some(Self { set, path })
    }

    fn term(&self, private: &TokenStream) -> TokenStream {
        let Self { set, path } = self;
        let span = path.span().resolved_at(Span::call_site());
        quote_spanned!(span=> #private::Permitted<#set, { #path as usize }>)
    }
}

impl Check {
    fn parse(opt: &Opt, errors: &mut Errors) -> Option<Self> {
        let expr: Expr = opt.value("check = |user: &User| user.is_staff", errors)?;
        let (user, parameters) = match unwrapped(&expr) {
            Expr::Closure(closure) => {
                if let Some(token) = &closure.asyncness {
                    errors.check_that_waits(token);
                    return None;
                }
                (user_of(closure), closure.inputs.len())
            }
            Expr::Path(_) => (None, 1),
            _ => {
                errors.not_a_check(&expr);
                return None;
            }
        };
        if !matches!(parameters, 1 | 2) {
            errors.not_a_check(&expr);
            return None;
        }
        Some(Self {
            expr,
            user,
            takes_request: parameters == 2,
        })
    }

    /// The call. As an argument the expression stays whole, whatever operators are in it.
    fn call(&self, private: &TokenStream) -> TokenStream {
        let name = if self.takes_request {
            format_ident!("check_request")
        } else {
            format_ident!("check")
        };
        let expr = &self.expr;
        quote!(#private::#name(__login_user, __login_request, #expr))
    }
}

/// The expression without what macros and parentheses wrap around it.
fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => unwrapped(&paren.expr),
        Expr::Group(group) => unwrapped(&group.expr),
        _ => expr,
    }
}

/// `User` in `|user: &User|`.
fn user_of(closure: &ExprClosure) -> Option<Type> {
    let Some(Pat::Type(pattern)) = closure.inputs.first() else {
        return None;
    };
    match &*pattern.ty {
        Type::Reference(reference) => Some((*reference.elem).clone()),
        _ => None,
    }
}

/// A role as a type: its length, and its bytes in numbers of 16.
fn role_term(private: &TokenStream, role: &str) -> TokenStream {
    let numbers = role.as_bytes().chunks(16).map(|chunk| {
        let mut bytes = [0; 16];
        for (byte, of_role) in bytes.iter_mut().zip(chunk) {
            *byte = *of_role;
        }
        u128::from_be_bytes(bytes)
    });
    let length = role.len();
    quote!(#private::Role<#length, #(#numbers),*>)
}

/// `role!("admin")` and `permission!(Permission::EditPost)`: a condition as a type.
pub(crate) fn expand_type(key: Key, tokens: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let root = Root::default();
    let condition = match key {
        Key::Role => match syn::parse2(tokens.clone()) {
            Ok(role) => parse_role(role, &mut errors),
            Err(_) => {
                errors.type_macro(&tokens, "role!(\"admin\")");
                None
            }
        },
        _ => match syn::parse2(tokens.clone()) {
            Ok(path) => Permission::parse(path, &mut errors).map(Condition::Permission),
            Err(_) => {
                errors.type_macro(&tokens, "permission!(Permission::EditPost)");
                None
            }
        },
    };
    match (errors.finish(), condition) {
        (Ok(()), Some(condition)) => condition.term(&Names {
            private: root.private(),
            stem: String::new(),
            vis: &parse_quote!(),
            cfgs: Vec::new(),
        }),
        (Err(error), _) => error.to_compile_error(),
        (Ok(()), None) => TokenStream::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn names(vis: &Visibility) -> Names<'_> {
        Names {
            private: quote!(p),
            stem: "of_h".to_owned(),
            vis,
            cfgs: Vec::new(),
        }
    }

    #[track_caller]
    fn becomes(tokens: TokenStream, expected: TokenStream) {
        let (condition, messages) = parse(tokens);
        assert_eq!(messages, [""; 0]);
        let term = condition.map(|condition| condition.term(&names(&parse_quote!())));
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
            condition.user(&Root::default()).unwrap().to_string(),
            "my :: User"
        );
        let vis = parse_quote!(pub(crate));
        let items = condition.items(&names(&vis), &quote!(U)).to_string();
        let call =
            quote!({ p::check(__login_user, __login_request, |u: &my::User| u.a || u.b < 3) });
        assert!(items.contains(&call.to_string()), "{items}");
        assert!(
            items.contains("pub (crate) enum __login_check_0_of_h { }"),
            "{items}"
        );

        let (condition, _) = parse(quote!(permission = P::A));
        let user = condition.unwrap().user(&Root::default()).unwrap();
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
                "a role is a text of 1 to 64 bytes without spaces around it",
                "a permission is named with its set, such as `Permission::EditPost`",
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
                "a `check` answers at once; write a permission for what has to be looked up",
                closure,
            ],
        );
        let half_typed: TokenStream = "check = |user| user. , role = \"a\"".parse().unwrap();
        refuses(
            half_typed,
            &["`check` needs a value, such as `check = |user: &User| user.is_staff`"],
        );
    }

    #[test]
    fn the_type_macros_say_what_they_take() {
        for (key, tokens, message) in [
            (Key::Role, quote!(admin), "write `role!(\\\"admin\\\")`"),
            (Key::Role, quote!(), "write `role!(\\\"admin\\\")`"),
            (Key::Permission, quote!(EditPost), "is named with its set"),
            (
                Key::Permission,
                quote!("a"),
                "write `permission!(Permission::EditPost)`",
            ),
        ] {
            let output = expand_type(key, tokens).to_string();
            assert!(
                output.contains("compile_error") && output.contains(message),
                "{output}"
            );
        }
        assert_eq!(
            expand_type(Key::Permission, quote!(P::A)).to_string(),
            quote!(::login_runtime::__private::Permitted<P, { P::A as usize }>).to_string()
        );
    }
}
