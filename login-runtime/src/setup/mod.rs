//! Building a login manager: the builder, its settings, and the checks of [`build`](build::manager).

pub(crate) mod build;
pub(crate) mod builder;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod warnings;
