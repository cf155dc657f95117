//! The answer to a refused client.

pub(crate) mod answer;
#[cfg(feature = "flash-messages")]
pub(crate) mod messages;
pub(crate) mod redirect;
pub(crate) mod scope;
pub(crate) mod settings;

pub(crate) use self::{
    answer::{Refusing, forbid, keep_private, load_failed, refuse, view_url},
    redirect::ResolvedView,
    settings::{Flash, FlashHook, RefusalKind, RefusalSettings, RefusedRequest, erase_handler},
};
