//! What a guard asks of a user besides a login, and a guard in words.

pub(crate) mod condition;
pub(crate) mod description;
