//! The builder of a login manager.

pub(crate) mod builder;
pub(crate) mod sessions;
