//! Guards: what lets a request through to a handler, or refuses it.

pub(crate) mod current;
pub(crate) mod decide;
pub(crate) mod description;
pub(crate) mod guarded;
pub(crate) mod policy;
pub(crate) mod proof;
pub(crate) mod terms;
pub(crate) mod views;

pub(crate) use self::{
    current::{CurrentUser, MaybeUser},
    decide::{Denied, FindUser, check},
    description::{describe, describe_options},
    guarded::Guarded,
    policy::{DefaultUser, GuardOptions, Policy, find},
    proof::FreshUser,
};
