//! A condition as it was written.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, LitStr, Path, Type};

use crate::paths::Root;

pub(crate) enum Condition {
    Role(LitStr),
    Permission(Permission),
    Check(Box<Check>),
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
}

/// A permission: a variant of an enum that derives `Permissions`.
pub(crate) struct Permission {
    /// The enum.
    pub(super) set: Path,
    /// The variant.
    pub(super) path: Path,
}

/// A closure or function of the application.
pub(crate) struct Check {
    pub(crate) expr: Expr,
    /// The type in `|user: &User|`.
    pub(super) user: Option<Type>,
    pub(super) takes_request: bool,
}

impl Condition {
    /// The conditions of one guard, joined by `all`.
    pub(crate) fn all(mut conditions: Vec<Self>) -> Option<Self> {
        match conditions.len() {
            0 | 1 => conditions.pop(),
            _ => Some(Self::All(conditions)),
        }
    }

    /// This condition and all conditions within it.
    fn flattened(&self) -> Vec<&Self> {
        let mut all = vec![self];
        match self {
            Self::Any(list) | Self::All(list) => all.extend(list.iter().flat_map(Self::flattened)),
            Self::Not(one) => all.extend(one.flattened()),
            Self::Role(_) | Self::Permission(_) | Self::Check(_) => {}
        }
        all
    }

    pub(crate) fn checks(&self) -> impl Iterator<Item = &Check> {
        self.flattened()
            .into_iter()
            .filter_map(|condition| match condition {
                Self::Check(check) => Some(&**check),
                _ => None,
            })
    }

    pub(super) fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.flattened()
            .into_iter()
            .filter_map(|condition| match condition {
                Self::Permission(permission) => Some(permission),
                _ => None,
            })
    }

    /// The user type that the condition is about, if it names one.
    pub(crate) fn user_type(&self, root: &Root) -> Option<TokenStream> {
        match self.user_in_check() {
            Some(user) => Some(user.to_token_stream()),
            None => {
                let set = self.set_that_names_user()?;
                Some(quote!(<#set as #root::Permissions>::User))
            }
        }
    }

    fn user_in_check(&self) -> Option<&Type> {
        self.checks().find_map(|check| check.user.as_ref())
    }

    /// The set of permissions whose user type the condition is about, unless a check names the type.
    pub(crate) fn set_that_names_user(&self) -> Option<&Path> {
        match self.user_in_check() {
            Some(_) => None,
            None => self.permissions().next().map(|permission| &permission.set),
        }
    }
}
