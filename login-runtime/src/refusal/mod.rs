//! The answer to a refused client.

mod accept;
pub(crate) mod answer;
pub(crate) mod here;
pub(crate) mod kept_next;
#[cfg(feature = "flash-messages")]
pub(crate) mod messages;
pub(crate) mod navigation;
pub(crate) mod redirect;
pub(crate) mod scope;
pub(crate) mod settings;
pub(crate) mod views;

pub(crate) use self::{
    answer::{RefusedLogin, Refusing, forbid, load_failed, refuse, view_url},
    kept_next::NextCookie,
    scope::ScopeViews,
    settings::{
        ClientRefusal, Flash, FlashHook, RefusalKind, RefusalSettings, RefusedRequest,
        erase_handler,
    },
    views::ResolvedViews,
};
