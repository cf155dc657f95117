//! The only file that touches actix-session and names our session keys.

use std::cell::Ref;

use actix_session::{
    SessionExt, SessionMiddleware, SessionStatus, config::SessionLifecycle, storage::SessionStore,
};
use actix_web::{HttpMessage as _, HttpRequest, cookie::Key};

use crate::{
    core::FamilyKey,
    http::CheckedCookie,
    keys::LoginToken,
    session::{
        entry::{Entry, LEFT, NEXT_KEY, NOTHING, RECORD_VERSION, holds_login, left_key},
        fate,
    },
};

pub(crate) use actix_session::Session;

/// Writes the login of the user with this id, which is given as JSON.
pub(crate) fn write_entry(
    session: &Session,
    key: &str,
    entry: &Entry<'_>,
    id: &str,
) -> Result<(), SessionClosed> {
    if !takes(session) {
        return Err(SessionClosed);
    }
    let entry = entry.with_id(id).ok_or(SessionClosed)?;
    session.insert(key, entry).map_err(|_| SessionClosed)
}

/// Writes an entry that carries a login id. The family is there for a log out that comes when the
/// login already goes on under another id, and its record is gone.
pub(crate) fn write_login_id(
    session: &Session,
    key: &str,
    id: &LoginToken,
    family: Option<FamilyKey>,
) -> Result<(), SessionClosed> {
    if !takes(session) {
        return Err(SessionClosed);
    }
    let written = match family {
        None => session.insert(key, (RECORD_VERSION, id.text())),
        Some(family) => session.insert(key, (RECORD_VERSION, id.text(), family.to_string())),
    };
    written.map_err(|_| SessionClosed)
}

/// The session takes nothing any more: it was purged earlier in the request, or the id is none that
/// JSON can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionClosed;

/// actix-session's middleware, set up with our cookie attributes.
pub(crate) fn middleware<S: SessionStore>(
    store: S,
    key: Key,
    cookie: &CheckedCookie,
    lifecycle: SessionLifecycle,
) -> SessionMiddleware<S> {
    let mut builder = SessionMiddleware::builder(store, key)
        .cookie_name(cookie.name.clone())
        .cookie_path(cookie.settings.path.clone())
        .cookie_domain(cookie.settings.domain.clone())
        .cookie_secure(cookie.settings.secure)
        .cookie_http_only(cookie.settings.http_only)
        .session_lifecycle(lifecycle);
    if let Some(same_site) = cookie.settings.same_site {
        builder = builder.cookie_same_site(same_site);
    }
    builder.build()
}

/// The session of a request.
pub(crate) fn of(request: &HttpRequest) -> Session {
    if let Some(SharedSession(session)) = request.extensions().get() {
        return session.clone();
    }
    request.get_session()
}

/// The session of a request, for another that stands in for it.
pub(crate) struct SharedSession(Session);

impl SharedSession {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self(of(request))
    }
}

/// The text of a login entry, borrowed from the session: not to be held across an await.
pub(crate) fn entry<'a>(session: &'a Session, key: &str) -> Option<Ref<'a, str>> {
    Ref::filter_map(session.entries(), |state| {
        state.get(key).map(String::as_str)
    })
    .ok()
}

/// Whether the session takes anything: not after it was purged in this request.
pub(crate) fn takes(session: &Session) -> bool {
    session.status() != SessionStatus::Purged
}

/// Whether anything was written into the session, or it was ended.
pub(crate) fn is_written(session: &Session) -> bool {
    session.status() != SessionStatus::Unchanged
}

/// Whether the session was ended.
pub(crate) fn is_purged(session: &Session) -> bool {
    session.status() == SessionStatus::Purged
}

/// Makes a change of our own, which may get lost if the session ends before it is saved: nobody who
/// only reads a page is told that it is late.
fn quietly(session: &Session, change: impl FnOnce(&Session)) {
    let ours = session.status() == SessionStatus::Unchanged || fate::is_ours(&session.entries());
    change(session);
    if ours {
        fate::set_ours(&session.entries());
    }
}

/// Has the session's store look whether the session is still there when the response is made, though
/// nothing is to be written: what the response says besides may be out of date.
pub(crate) fn look_again(session: &Session) {
    if session.status() == SessionStatus::Unchanged && fate::is_watched() {
        quietly(session, |session| {
            session.remove(NOTHING);
        });
    }
}

/// Removes a login that ended without a log out, and nothing else; notes whose it was, as JSON, if
/// that is known. What else is in the session is that user's, and not for the next.
pub(crate) fn forget(session: &Session, key: &str, whose: Option<&str>) {
    quietly(session, |session| {
        session.remove(key);
        note_left(session, key, whose);
    });
}

/// The same, where the session does not carry the login.
pub(crate) fn leave(session: &Session, key: &str, whose: Option<&str>) {
    if !session.entries().is_empty() {
        quietly(session, |session| note_left(session, key, whose));
    }
}

fn note_left(session: &Session, key: &str, whose: Option<&str>) {
    if !session.entries().is_empty() {
        let _ = session.insert(left_key(key), whose);
    }
}

/// Gives the session a new id and a login that a remember cookie restored. If the session has ended
/// by now, somebody has logged in or out in the meantime, and knows better.
pub(crate) fn restore(session: &Session, write: impl FnOnce(&Session)) {
    quietly(session, |session| {
        session.renew();
        write(session);
    });
}

/// Whether a login ended in this session that was not this user's, or of another type.
pub(crate) fn is_left_by_another<'a>(
    session: &Session,
    key: &str,
    id: &str,
    mut others: impl Iterator<Item = &'a str>,
) -> bool {
    if session.entries().is_empty() {
        return false;
    }
    let left = entry(session, &left_key(key));
    let by_another = left.is_some_and(|whose| {
        let whose: Option<Option<String>> = serde_json::from_str(&whose).ok();
        whose.flatten().as_deref() != Some(id)
    });
    by_another || others.any(|other| session.contains_key(&left_key(other)))
}

/// Whether a session keeps a login, from before logins had cookies of their own. Nobody says whose it is.
pub(crate) fn keeps_login(session: &Session) -> bool {
    holds_login(&session.entries())
}

/// Somebody logs in: from now on the session is that user's.
pub(crate) fn forget_who_left(session: &Session, key: &str) {
    if has_left(session, key) {
        session.remove(&left_key(key));
    }
}

/// Whether the session keeps whose login ended in it.
fn has_left(session: &Session, key: &str) -> bool {
    let entries = session.entries();
    entries
        .keys()
        .any(|kept| kept.strip_suffix(LEFT) == Some(key))
}

/// Gives the session a new id, and its data to it.
pub(crate) fn renew(session: &Session) {
    session.renew();
}

/// Empties the session, but for the logins of other user types.
pub(crate) fn clear_but<'a>(session: &Session, others: impl Iterator<Item = &'a str> + Clone) {
    let stays = |key: &String| others.clone().any(|other| other == key.as_str());
    if session.entries().is_empty() {
        return;
    }
    let all_go = !session.entries().keys().any(stays);
    if all_go {
        return session.clear();
    }
    let doomed: Vec<_> = session
        .entries()
        .keys()
        .filter(|key| !stays(key))
        .cloned()
        .collect();
    for key in doomed {
        session.remove(&key);
    }
}

/// Ends the session if nothing is in it.
pub(crate) fn end_if_empty(session: &Session) {
    if session.entries().is_empty() {
        session.purge();
    }
}

/// Keeps where a refused client wanted to go; the last refusal wins.
pub(crate) fn keep_next(session: &Session, next: &str) {
    quietly(session, |session| {
        let _ = session.insert(NEXT_KEY, next);
    });
}

/// Where the client wanted to go, as kept at its last refusal; taken out of the session.
pub(crate) fn take_next(session: &Session) -> Option<String> {
    if !session.contains_key(NEXT_KEY) {
        return None;
    }
    session.remove_as(NEXT_KEY)?.ok()
}
