//! Reads conditions from the options of a guard.

use syn::{Expr, ExprClosure, LitStr, Pat, Path, Type, punctuated::Punctuated};

use super::model::{Check, Condition, Permission};
use crate::{
    errors::{Errors, place},
    options::{Opt, Reader, Table},
};

/// The longest role in bytes. As a type, a role is four numbers of 16 bytes.
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
pub(super) const TABLE: Table<Key> = &[
    ("role", Key::Role),
    ("permission", Key::Permission),
    ("check", Key::Check),
    ("any", Key::Any),
    ("all", Key::All),
    ("not", Key::Not),
];

/// The options of a guard that are not conditions.
const GUARD_OPTIONS: &[&str] = &[
    "user",
    "fresh",
    "max_age",
    "exempt_options",
    "passive",
    "crate",
];

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
}

pub(crate) fn parse_role(role: LitStr, errors: &mut Errors) -> Option<Condition> {
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
        let known = GUARD_OPTIONS.contains(&name);
        known.then_some(place::GUARD)
    };
    let mut reader = Reader::new(TABLE, elsewhere).repeating(|_| true);
    let options = reader.read(tokens, errors);
    let conditions = options
        .iter()
        .filter_map(|(key, opt)| Condition::parse(*key, opt, errors));
    let conditions: Vec<_> = conditions.collect();
    // If none is left, errors have been reported.
    (!conditions.is_empty()).then_some(conditions)
}

impl Permission {
    pub(crate) fn parse(path: Path, errors: &mut Errors) -> Option<Self> {
        let mut set = path.clone();
        set.segments.pop();
        // Collecting the segments again drops the `::` at the end.
        let segments: Punctuated<_, _> = set.segments.into_iter().collect();
        set.segments = segments;
        if set.segments.is_empty() {
            errors.permission_without_set(&path);
            return None;
        }
        Some(Self { set, path })
    }
}

impl Check {
    fn parse(opt: &Opt, errors: &mut Errors) -> Option<Self> {
        let expr: Expr = opt.value("check = |user: &User| user.is_staff", errors)?;
        let (user, parameters) = match unwrapped(&expr) {
            Expr::Closure(closure) => {
                if let Some(token) = &closure.asyncness {
                    errors.async_check(token);
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
}

/// The expression without parentheses and without the groups that macros add.
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
