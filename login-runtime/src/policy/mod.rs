//! What a manager's settings mean: the policy in words, and what should not go live.

pub(crate) mod deploy;
pub(crate) mod describe;
pub(crate) mod document;
pub(crate) mod finding;
pub(crate) mod weaknesses;
