//! What a guard asks of a user besides a login.

pub(crate) mod condition;
pub(crate) mod outcome;

pub(crate) use self::condition::{
    Check, CheckFn, Condition, ConditionAnswer, List, Subject, Test, Unanswered, other_user,
};
