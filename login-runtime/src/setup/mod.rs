//! The builder of a login manager.

pub(crate) mod build;
pub(crate) mod builder;
pub(crate) mod sessions;
pub(crate) mod settings;
