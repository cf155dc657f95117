//! The only file that touches actix-session and names our session keys.

use std::{cell::Ref, collections::HashMap};

pub(crate) use actix_session::Session;
use actix_session::{
    SessionExt, SessionMiddleware, SessionStatus, config::SessionLifecycle, storage::SessionStore,
};
use actix_web::{HttpMessage as _, HttpRequest, cookie::Key};
use serde::Serialize;

use crate::{config::CheckedCookie, cookies::LoginToken, session_store, store::FamilyKey};

/// What starts an entry that only carries the id of a login record; nothing that says more about the
/// login starts so.
const RECORD_VERSION: u8 = 2;

/// Under which key the session keeps the login of the manager's first user type. A further type has
/// this key, a colon and its name.
const LOGIN_KEY: &str = "_login";

/// With this at its end, such a key has whose login ended in the session.
const LEFT: &str = ".left";

/// Under which key the session keeps where a refused client wanted to go.
const NEXT_KEY: &str = "_login_next";

/// Under this key the session keeps nothing.
const NOTHING: &str = "_login_nothing";

/// The bits that a client's identity has, nine digits: one stranger in 2^29 passes for the client.
/// Raising it makes sessions longer, and every byte of a session costs each request that carries it.
pub(crate) const CLIENT: u64 = (1 << 29) - 1;

/// Room for the flags.
const FLAG_BITS: u32 = 4;

/// Credentials were given in this session, and nothing has made the login stale since.
const FRESH: u8 = 1;
/// The browser was given a remember cookie.
const REMEMBERED: u8 = 2;
/// The application insisted on this login although the user was inactive.
const FORCED: u8 = 4;
/// The user has a session hash, whose fingerprint follows.
const HASHED: u8 = 8;

/// The session key for a user type.
pub(crate) fn login_key(user_type: &str) -> String {
    if user_type.is_empty() {
        LOGIN_KEY.to_owned()
    } else {
        format!("{LOGIN_KEY}:{user_type}")
    }
}

/// Whether a session keeps logins under this key.
pub(crate) fn is_login_key(key: &str) -> bool {
    let rest = key.strip_prefix(LOGIN_KEY);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':') && !rest.ends_with(LEFT))
}

/// Whether there is a login in what a session keeps.
pub(crate) fn holds_login(state: &HashMap<String, String>) -> bool {
    state.keys().any(|key| is_login_key(key))
}

/// What a session says about a login.
///
/// Kept as a JSON array with the id at its end, so that everything before it is read without knowing
/// the id's type, and nothing is allocated to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// When credentials were given, in seconds since the epoch.
    pub(crate) authenticated_at: i64,
    pub(crate) fresh: bool,
    pub(crate) remembered: bool,
    pub(crate) forced: bool,
    /// The client the login is bound to.
    pub(crate) client: u64,
    /// The fingerprint of the user's session hash, if the user has one: no quotation marks in it.
    pub(crate) hash: Option<&'a str>,
}

/// An entry and the user's id as JSON.
pub(crate) type EntryAndId<'a> = (Entry<'a>, &'a str);

impl<'a> Entry<'a> {
    fn flags(&self) -> u8 {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        flag(self.fresh, FRESH)
            | flag(self.remembered, REMEMBERED)
            | flag(self.forced, FORCED)
            | flag(self.hash.is_some(), HASHED)
    }

    /// Reads an entry and the id behind it. `None` if that is none of ours.
    pub(crate) fn read(text: &'a str) -> Option<EntryAndId<'a>> {
        let rest = text.strip_prefix('[')?.strip_suffix(']')?;
        let (packed, rest) = number(rest)?;
        let (client, rest) = number(rest)?;
        let is_set = |flag: u8| packed & u64::from(flag) != 0;
        let (hash, id) = if is_set(HASHED) {
            let (hash, id) = rest.strip_prefix('"')?.split_once("\",")?;
            (Some(hash), id)
        } else {
            (None, rest)
        };
        let entry = Self {
            // What starts an entry of another kind is no time at all.
            authenticated_at: i64::try_from(packed >> FLAG_BITS)
                .ok()
                .filter(|at| *at > 0)?,
            fresh: is_set(FRESH),
            remembered: is_set(REMEMBERED),
            forced: is_set(FORCED),
            client,
            hash,
        };
        Some((entry, id))
    }

    /// The entry for a user, as a login cookie says it.
    pub(crate) fn text(&self, id: &str) -> String {
        let facts = match self.hash {
            None => serde_json::to_string(&(self.packed(), self.client)),
            Some(hash) => serde_json::to_string(&(self.packed(), self.client, hash)),
        };
        // Numbers and a text can be written.
        let mut text = facts.unwrap_or_default();
        text.pop();
        text.push(',');
        text.push_str(id);
        text.push(']');
        text
    }

    /// Writes the entry for a user into the session.
    pub(crate) fn write(
        &self,
        session: &Session,
        key: &str,
        id: impl Serialize,
    ) -> Result<(), SessionClosed> {
        if !takes(session) {
            return Err(SessionClosed);
        }
        let written = match self.hash {
            None => session.insert(key, (self.packed(), self.client, id)),
            Some(hash) => session.insert(key, (self.packed(), self.client, hash, id)),
        };
        written.map_err(|_| SessionClosed)
    }

    /// The time and the flags. No text, as long as that can be: quotation marks have to be escaped in
    /// a session, and every request that carries it pays for that.
    fn packed(&self) -> u64 {
        // Nobody gave credentials before there were computers.
        self.authenticated_at.max(1).unsigned_abs() << FLAG_BITS | u64::from(self.flags())
    }
}

/// Reads the number at the start of a text, and what is behind the comma after it.
fn number(text: &str) -> Option<(u64, &str)> {
    let mut number = 0_u64;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                number = number
                    .checked_mul(10)?
                    .checked_add(u64::from(byte - b'0'))?
            }
            b',' if at > 0 => return Some((number, &text[at + 1..])),
            _ => return None,
        }
    }
    None
}

/// Reads the login id from an entry that carries one, and the family that stands behind it.
pub(crate) fn read_login_id(text: &str) -> Option<(LoginToken, Option<FamilyKey>)> {
    let mut parts = text.strip_prefix('[')?.strip_suffix(']')?.splitn(3, ',');
    if parts.next()?.parse() != Ok(RECORD_VERSION) {
        return None;
    }
    let mut quoted = || parts.next()?.strip_prefix('"')?.strip_suffix('"');
    let id = LoginToken::parse(quoted()?)?;
    Some((id, quoted().and_then(FamilyKey::parse)))
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
        .cookie_path(cookie.path.clone())
        .cookie_domain(cookie.domain.clone())
        .cookie_secure(cookie.secure)
        .cookie_http_only(cookie.http_only)
        .session_lifecycle(lifecycle);
    if let Some(same_site) = cookie.same_site {
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
    let ours =
        session.status() == SessionStatus::Unchanged || session_store::is_ours(&session.entries());
    change(session);
    if ours {
        session_store::set_ours(&session.entries());
    }
}

/// Has the session's store look whether the session is still there when the response is made, though
/// nothing is to be written: what the response says besides may be out of date.
pub(crate) fn look_again(session: &Session) {
    if session.status() == SessionStatus::Unchanged && session_store::is_watched() {
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

/// Under which key the session keeps whose login ended in it.
fn left_key(key: &str) -> String {
    format!("{key}{LEFT}")
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

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry<'static> = Entry {
        authenticated_at: 1_700_000_000,
        fresh: true,
        remembered: false,
        forced: false,
        client: CLIENT,
        hash: Some("a-_"),
    };

    #[test]
    fn an_entry_reads_back_as_written() {
        for entry in [
            ENTRY,
            Entry {
                fresh: false,
                remembered: true,
                forced: true,
                hash: None,
                ..ENTRY
            },
        ] {
            for id in [r#"7"#, r#""a,\"]b""#, r#"[1,"x"]"#, r#"{"a":[]}"#] {
                let id: serde_json::Value = serde_json::from_str(id).unwrap();
                let text = match entry.hash {
                    None => serde_json::to_string(&(entry.packed(), entry.client, &id)),
                    Some(hash) => serde_json::to_string(&(entry.packed(), entry.client, hash, &id)),
                };
                let text = text.unwrap();
                assert_eq!(entry.text(&id.to_string()), text);
                assert_eq!(Entry::read(&text), Some((entry, &*id.to_string())));
            }
        }
    }

    #[test]
    fn what_we_did_not_write_is_no_login() {
        for text in [
            "",
            "7",
            "[]",
            "[1]",
            "[1,1,1,1,null,7]",
            r#"[2,"AAAAAAAAAAAA"]"#,
            "[27200000000]",
            "[27200000000,1]",
            "[-27200000000,1,7]",
            "[27200000000,1,7",
            "[99999999999999999999,1,7]",
            // Says that there is a hash.
            "[27200000008,1,7]",
            "null",
        ] {
            assert_eq!(Entry::read(text), None, "{text}");
        }
    }
}
