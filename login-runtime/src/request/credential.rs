//! What carries a login from request to request: its session, or a cookie of the login's own.
//!
//! A session is decrypted, parsed and kept for every request that has one, asked for or not. A login
//! cookie is opened when somebody asks who the user is, and not before; and without a session there is
//! none to load. What the cookie says is what the session would say, sealed with a key of ours.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    rc::Rc,
};

use actix_web::HttpRequest;

use crate::{
    core::{FamilyKey, LoginKey},
    http::cookies,
    keys::Match,
    manager::Manager,
    session::{
        self, Entry, EntryAndId, Session,
        entry::{self},
    },
    store::LoginRef,
    users::UserType,
};

/// What starts the text of a cookie that names the record of its login. An entry that says everything
/// itself starts with a bracket.
const RECORD: u8 = 2;

/// What a login cookie says.
#[derive(Clone)]
pub(crate) enum LoginCookieContent {
    /// All that is known of the login, as the session would keep it.
    Entry(Rc<str>),
    /// The record of the login. Its key, and not the id that it is the hash of: nobody makes a login
    /// cookie of it without the application's secret.
    Record(LoginRef),
}

impl LoginCookieContent {
    fn read(text: &[u8]) -> Option<Self> {
        let [RECORD, rest @ ..] = text else {
            return Some(Self::Entry(std::str::from_utf8(text).ok()?.into()));
        };
        let (key, family) = rest.split_first_chunk()?;
        let family = match family {
            [] => None,
            family => Some(FamilyKey(family.try_into().ok()?)),
        };
        let key = LoginKey::from_bytes(*key);
        Some(Self::Record(LoginRef { key, family }))
    }

    /// Seals it for a cookie. `None` if the system has no random bytes.
    pub(crate) fn seal(&self, manager: &Manager, kind: &UserType) -> Option<String> {
        match self {
            Self::Entry(text) => manager.keys.seal(&kind.name, text.as_bytes()),
            Self::Record(login) => {
                let mut text = vec![RECORD];
                text.extend_from_slice(login.key.as_bytes());
                if let Some(family) = &login.family {
                    text.extend_from_slice(&family.0);
                }
                manager.keys.seal(&kind.name, &text)
            }
        }
    }
}

/// What a request carries of a login.
pub(crate) enum LoginCredential<'a> {
    /// An entry in the session, which is borrowed: not to be held across an await.
    Session(Ref<'a, str>),
    /// A login cookie, and the key that it was sealed with.
    Cookie(LoginCookieContent, Match),
}

impl LoginCredential<'_> {
    /// Whether a login cookie was sealed with an older key.
    pub(crate) fn is_old(&self) -> bool {
        matches!(self, Self::Cookie(_, Match::Older))
    }

    /// All that is known of the login, and the user's id. `None` if that is elsewhere.
    pub(crate) fn entry(&self) -> Option<EntryAndId<'_>> {
        match self {
            Self::Session(text) => Entry::read(text),
            Self::Cookie(LoginCookieContent::Entry(text), _) => Entry::read(text),
            Self::Cookie(LoginCookieContent::Record(_), _) => None,
        }
    }

    /// The login that has a record.
    pub(crate) fn login(&self) -> Option<LoginRef> {
        match self {
            Self::Session(text) => {
                let (id, family) = entry::read_login_id(text)?;
                let key = id.key();
                Some(LoginRef { key, family })
            }
            Self::Cookie(LoginCookieContent::Record(login), _) => Some(*login),
            Self::Cookie(LoginCookieContent::Entry(_), _) => None,
        }
    }
}

/// The login cookie of a request once it was opened, or as the response will set it; and whether it was
/// sealed with an older key.
#[derive(Default)]
pub(crate) struct OpenedLoginCookie {
    ticket: RefCell<Option<Option<(LoginCookieContent, Match)>>>,
    /// Whether the browser had given up the cookie before this request did so too.
    given_up: Cell<Option<bool>>,
}

impl OpenedLoginCookie {
    fn get_or_open(
        &self,
        open: impl FnOnce() -> Option<(LoginCookieContent, Match)>,
    ) -> Option<(LoginCookieContent, Match)> {
        self.ticket.borrow_mut().get_or_insert_with(open).clone()
    }

    /// From now on the request has this login cookie, or none.
    pub(crate) fn set(&self, ticket: Option<LoginCookieContent>) {
        *self.ticket.borrow_mut() = Some(ticket.map(|ticket| (ticket, Match::Current)));
    }

    /// A good login cookie that was sealed with an older key.
    pub(crate) fn old(&self) -> Option<LoginCookieContent> {
        match &*self.ticket.borrow() {
            Some(Some((ticket, Match::Older))) => Some(ticket.clone()),
            _ => None,
        }
    }

    /// Whether the request was found to have no good one, or has dropped it.
    pub(crate) fn is_none(&self) -> bool {
        matches!(&*self.ticket.borrow(), Some(None))
    }

    /// What [`gives_up`](Self::gives_up) was told.
    pub(crate) fn had_given_up(&self) -> Option<bool> {
        self.given_up.get()
    }

    /// The request gives up the cookie that it came with, which the browser had done before, or not.
    pub(crate) fn gives_up(&self, had_given_up: bool) {
        self.given_up.set(Some(had_given_up));
    }
}

/// What a request carries of a login of this kind. `session` has room for its session, which is only
/// touched if logins are kept there.
pub(crate) fn carried<'a>(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserType,
    opened: Option<&OpenedLoginCookie>,
    session: &'a OnceCell<Session>,
) -> Option<LoginCredential<'a>> {
    let Some(cookie) = &kind.login_cookie else {
        let session = session.get_or_init(|| session::of(request));
        return session::entry(session, &kind.session_key).map(LoginCredential::Session);
    };
    let open = || {
        let value = cookies::only(request, &cookie.name)?;
        manager.keys.open(&kind.name, value, |text, found| {
            LoginCookieContent::read(text).map(|ticket| (ticket, found))
        })
    };
    let ticket = match opened {
        Some(opened) => opened.get_or_open(open),
        None => open(),
    };
    ticket.map(|(ticket, found)| LoginCredential::Cookie(ticket, found))
}

/// Whether a request carries anything that may be a login of this kind, without a look into it.
pub(crate) fn is_carried(request: &HttpRequest, kind: &UserType) -> bool {
    match &kind.login_cookie {
        Some(cookie) => cookies::carries(request, &cookie.name),
        None => session::entry(&session::of(request), &kind.session_key).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_not_read_as_one() {
        for text in [
            &[RECORD][..],
            &[RECORD; 32],
            &[RECORD; 34],
            &[RECORD; 50],
            &[0xff],
        ] {
            assert!(LoginCookieContent::read(text).is_none(), "{text:?}");
        }
        // Says nothing of a login, which is for whoever reads it to find out.
        assert!(matches!(
            LoginCookieContent::read(b"[1]"),
            Some(LoginCookieContent::Entry(_))
        ));
    }

    #[test]
    fn a_ticket_for_a_record_reads_back() {
        let read = |text: &[u8]| match LoginCookieContent::read(text) {
            Some(LoginCookieContent::Record(login)) => login,
            _ => panic!("{text:?}"),
        };
        let mut text = vec![RECORD];
        text.extend_from_slice(&[7; 32]);
        assert_eq!(read(&text).key, LoginKey::from_bytes([7; 32]));
        assert_eq!(read(&text).family, None);
        text.extend_from_slice(&[8; 16]);
        assert_eq!(read(&text).family, Some(FamilyKey([8; 16])));
    }
}
