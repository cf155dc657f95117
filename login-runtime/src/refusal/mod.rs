//! The answer to a refused client.

pub(crate) mod answer;
pub(crate) mod kept_next;
pub(crate) mod navigation;
pub(crate) mod redirect;
pub(crate) mod scope;
pub(crate) mod settings;

pub(crate) use self::{
    answer::{RefusalKind, Refusing, forbid, keep_private, load_failed, refuse},
    kept_next::NextCookie,
    redirect::ResolvedView,
    settings::{Flash, RefusalSettings, erase_handler},
};
