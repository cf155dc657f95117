//! What a refused client is answered.

pub(crate) mod answer;
pub(crate) mod redirect;
pub(crate) mod scope;
pub(crate) mod settings;

pub(crate) use self::answer::{forbid, keep_private, load_failed, refuse};

pub(crate) use self::{
    answer::{RefusalKind, Refusing},
    redirect::ResolvedView,
    settings::{Flash, RefusalSettings, erase_handler},
};
