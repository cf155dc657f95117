//! Guards: what lets a request through to a handler, or refuses it.

pub(crate) mod current;
pub(crate) mod decide;
pub(crate) mod guarded;
pub(crate) mod policy;
pub(crate) mod proof;
pub(crate) mod terms;

pub(crate) use self::{
    current::{CurrentUser, MaybeUser},
    decide::{Denied, FindUser, GuardOutcome, check},
    guarded::Guarded,
    policy::{GuardManager, GuardUser, Policy},
};
