//! What a guard asks of a user besides a login, and a guard in words.

pub(crate) mod condition;
pub(crate) mod description;

pub(crate) use self::{
    condition::{CheckFn, Condition, ConditionAnswer, List, Subject, Test, Unanswered, typed},
    description::{Described, Description},
};
