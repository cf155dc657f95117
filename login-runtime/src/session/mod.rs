//! The session of actix-session: what this crate keeps in it, and how it ends.

pub(crate) mod contents;
pub(crate) mod entry;
pub(crate) mod fate;
pub(crate) mod identity;
pub(crate) mod store;

pub(crate) use self::contents::{
    clear_but, copy_shared, end_if_empty, entry, forget, forget_previous_user, is_copy_changed,
    is_left_by_another, is_purged, is_short, is_written, keeps_login, leave, lens_with,
    log_too_long, look_again, middleware, of, restore, update_entry, write_again, write_entry,
    write_login,
};
pub(crate) use actix_session::Session;

pub(crate) use self::{
    contents::SharedSession,
    entry::{Entry, EntryFacts, login_text_len},
    fate::SessionFate,
    store::{Revocations, SharedStore},
};
