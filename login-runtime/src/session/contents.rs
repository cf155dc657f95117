//! What this crate reads and writes in a session of actix-session.

use std::{cell::Ref, collections::HashMap};

use actix_session::{
    SessionExt, SessionMiddleware, SessionStatus, config::SessionLifecycle, storage::SessionStore,
};
use actix_web::{HttpMessage as _, HttpRequest, cookie::Key};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    core::{FamilyKey, MAX_LEN},
    http::CheckedCookie,
    keys::LoginToken,
    session::{
        entry::{ID_KEY, ID_LEN, LEFT, NOTHING, holds_login, is_login_key, left_key, login_text},
        fate,
    },
};

pub(crate) use actix_session::Session;

/// The session was purged earlier in the request, or the user's id cannot be written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionClosed;

/// The lengths of a session as JSON, now and after a text of this length, as JSON, was written under
/// `key`, and only the other keys that stay are kept. `is_id` says whether a session with that text and no
/// other login has no other id.
pub(crate) fn lens_with(
    session: &Session,
    key: &str,
    text: usize,
    is_id: bool,
    stays: impl Fn(&str) -> bool,
) -> (usize, usize) {
    let entries = session.entries();
    let len = |key: &str, value: usize| json_len(key) + ":,".len() + value;
    let (mut now, mut then) = ("{}".len(), "{}".len() + len(key, text));
    let mut has_other_login = false;
    for (name, value) in entries.iter() {
        let len = len(name, json_len(value));
        now += len;
        if name != key && name != ID_KEY && stays(name) {
            has_other_login |= is_login_key(name);
            then += len;
        }
    }
    if !is_id || has_other_login {
        then += ID_LEN;
    }
    (now, then)
}

/// Whether a session fits into its cookie in any case, with a text of this length more. Most do, and
/// this costs less than to count exactly.
pub(crate) fn is_short(entries: &HashMap<String, String>, text: usize) -> bool {
    // JSON makes six bytes of some characters. The cookie is half as long again as the session.
    const MOST: usize = (MAX_LEN - 1024) * 2 / 3 / 6;
    let len = |(key, value): (&String, &String)| key.len() + value.len() + "\"\":\"\",".len();
    entries.iter().map(len).sum::<usize>() + text <= MOST
}

/// The length of a text as JSON.
pub(crate) fn json_len(text: &str) -> usize {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    });
    "\"\"".len() + escaped.sum::<usize>()
}

/// Reports that browsers do not keep the cookie of a session.
pub(crate) fn log_too_long(bytes: usize) {
    tracing::error!(
        target: "login",
        event = "session_too_long",
        bytes,
        "the session does not fit into its cookie, and browsers keep at most {MAX_LEN} bytes; keep less in the session, or add `.session_store(..)` to the login manager",
    );
}

/// Writes a login as an entry or as the id of its record.
pub(crate) fn write_entry(
    session: &Session,
    key: &str,
    entry: impl Serialize,
) -> Result<(), SessionClosed> {
    if is_purged(session) {
        return Err(SessionClosed);
    }
    session.insert(key, entry).map_err(|_| SessionClosed)
}

/// Writes a login that the session contains already, with other facts. A late request is not refused
/// because of it.
pub(crate) fn update_entry(session: &Session, key: &str, entry: impl Serialize) {
    quietly(session, |session| {
        let _ = write_entry(session, key, entry);
    });
}

/// Writes which record a login has. The family is for a log out that arrives after the login got
/// another record and its old one ended.
pub(crate) fn write_login(
    session: &Session,
    key: &str,
    token: &LoginToken,
    family: Option<FamilyKey>,
) -> Result<(), SessionClosed> {
    write_entry(session, key, login_text(token, family))
}

/// actix-session's middleware with the cookie attributes of the login manager.
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

/// The session of a request, stored in another request that stands in for it.
pub(crate) struct SharedSession(Session);

impl SharedSession {
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self(of(request))
    }

    pub(crate) fn new(session: Session) -> Self {
        Self(session)
    }
}

/// Gives a request that stands in for another one its own copy of the session, so that what hooks write
/// into it is saved with the response. Returns the session of the other request.
pub(crate) fn copy_shared(request: &HttpRequest) -> Option<Session> {
    let SharedSession(shared) = request.extensions_mut().remove()?;
    let own = request.get_session();
    for (key, value) in &*shared.entries() {
        if let Ok(value) = serde_json::from_str::<&RawValue>(value) {
            // Written as it is, so nothing can fail.
            let _ = own.insert(key, value);
        }
    }
    match shared.status() {
        SessionStatus::Purged => own.purge(),
        SessionStatus::Renewed => own.renew(),
        SessionStatus::Changed | SessionStatus::Unchanged => {}
    }
    Some(shared)
}

/// Whether a copy of a session was changed, or the session itself before it was copied.
pub(crate) fn is_copy_changed(copy: &Session, of: &Session) -> bool {
    let is_ended = matches!(
        copy.status(),
        SessionStatus::Purged | SessionStatus::Renewed
    );
    is_ended || is_written(of) || *copy.entries() != *of.entries()
}

/// The text of a login, borrowed from the session. Do not hold it across an await.
pub(crate) fn entry<'a>(session: &'a Session, key: &str) -> Option<Ref<'a, str>> {
    Ref::filter_map(session.entries(), |state| {
        state.get(key).map(String::as_str)
    })
    .ok()
}

/// Whether the session was changed or ended.
pub(crate) fn is_written(session: &Session) -> bool {
    session.status() != SessionStatus::Unchanged
}

/// Whether the session was ended in this request. It stores nothing after that.
pub(crate) fn is_purged(session: &Session) -> bool {
    session.status() == SessionStatus::Purged
}

/// Makes a change that may be lost if the session ends before it is saved. A request that only reads
/// must not be refused as late because of it.
fn quietly(session: &Session, change: impl FnOnce(&Session)) {
    let ours = session.status() == SessionStatus::Unchanged || fate::is_ours(&session.entries());
    change(session);
    if ours {
        fate::set_ours(&session.entries());
    }
}

/// Makes the session store check whether the session still exists when the response is made, although
/// there is nothing to save. Otherwise the cookies of the response may be out of date.
pub(crate) fn look_again(session: &Session) {
    if session.status() == SessionStatus::Unchanged && fate::is_tracked() {
        write_again(session);
    }
}

/// Makes the session middleware set the session cookie, although the application may not change the
/// session: the value that it has now is under the current key.
pub(crate) fn write_again(session: &Session) {
    quietly(session, |session| {
        session.remove(NOTHING);
    });
}

/// Removes only a login that ended without a log out, and stores the id of its user as JSON, if known:
/// the rest of the session belongs to that user, and the next user must not get it.
pub(crate) fn forget(session: &Session, key: &str, owner: Option<&str>) {
    quietly(session, |session| {
        session.remove(key);
        note_left(session, key, owner);
    });
}

/// The same for a login that is not in the session.
pub(crate) fn leave(session: &Session, key: &str, owner: Option<&str>) {
    if !session.entries().is_empty() {
        quietly(session, |session| note_left(session, key, owner));
    }
}

fn note_left(session: &Session, key: &str, owner: Option<&str>) {
    if !session.entries().is_empty() {
        let _ = session.insert(left_key(key), owner);
    }
}

/// Gives the session a new id and a login that a remember cookie restored. If the session has ended
/// meanwhile, a log in or log out took its place, and these changes are lost.
pub(crate) fn restore(session: &Session, write: impl FnOnce(&Session)) {
    quietly(session, |session| {
        session.renew();
        write(session);
    });
}

/// Whether a login ended in this session that was another user's, or of another user type.
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
    let by_another = left.is_some_and(|owner| {
        let owner: Option<Option<String>> = serde_json::from_str(&owner).ok();
        owner.flatten().as_deref() != Some(id)
    });
    by_another || others.any(|other| session.contains_key(&left_key(other)))
}

/// Whether a session keeps a login from the time before logins had their own cookies. Its user is
/// unknown.
pub(crate) fn keeps_login(session: &Session) -> bool {
    holds_login(&session.entries())
}

/// Removes the id that [`forget`] stored, because the session now belongs to the user who logs in.
pub(crate) fn forget_previous_user(session: &Session, key: &str) {
    let has_left = session
        .entries()
        .keys()
        .any(|kept| kept.strip_suffix(LEFT) == Some(key));
    if has_left {
        session.remove(&left_key(key));
    }
}

/// Empties the session, except for the logins under these keys of other user types.
pub(crate) fn clear_but<'a>(session: &Session, others: impl Iterator<Item = &'a str> + Clone) {
    let stays = |key: &String| others.clone().any(|other| other == key.as_str());
    let (kept, dropped): (Vec<_>, Vec<_>) = session.entries().keys().cloned().partition(stays);
    if kept.is_empty() && !dropped.is_empty() {
        return session.clear();
    }
    for key in dropped {
        session.remove(&key);
    }
}

/// Ends the session if it is empty.
pub(crate) fn end_if_empty(session: &Session) {
    if session.entries().is_empty() {
        session.purge();
    }
}
