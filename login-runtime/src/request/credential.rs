//! The login credential of a request: the entry in its session, or a login cookie.
//!
//! 1. actix-session decrypts and parses the session of each request that has one. A login cookie is only
//!    opened when something asks for the user.
//! 2. A login cookie holds what the session would hold, sealed with a key of this crate.
//! 3. A cookie that does not open is ignored.

use std::{
    any::Any,
    cell::{Cell, Ref, RefCell},
    rc::Rc,
};

use actix_web::HttpRequest;

use crate::{
    core::{FamilyKey, LoginKey},
    http::{CheckedCookie, SetCookie, cookies},
    keys::Match,
    manager::Manager,
    session::{self, Entry, entry},
    store::LoginRef,
    users::UserType,
};

/// The first byte of a cookie that names the record of its login. An entry starts with a bracket.
const RECORD: u8 = 2;

/// The content of a login cookie.
#[derive(Clone)]
pub(crate) enum LoginCookieContent {
    /// A login that describes itself, as the session would keep it.
    Entry(Rc<str>),
    /// The record of the login. The cookie has the key and not the id whose hash the key is: a login
    /// cookie cannot be made from the key without the application's secret.
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

    /// The sealed cookie. `None` if it is too long, or if the system's random number generator failed.
    pub(crate) fn cookie(&self, manager: &Manager, user_type: &UserType) -> Option<SetCookie> {
        let settings = user_type.login_cookie.as_ref()?;
        let seal = |text: &[u8]| manager.keys.seal(&user_type.name, text);
        let sealed = match self {
            Self::Entry(text) => seal(text.as_bytes()),
            Self::Record(login) => {
                let mut text = vec![RECORD];
                text.extend_from_slice(login.key.as_bytes());
                if let Some(family) = &login.family {
                    text.extend_from_slice(&family.0);
                }
                seal(&text)
            }
        };
        settings.until_closed(&sealed?)
    }
}

/// The login credential of a request.
pub(crate) enum LoginCredential<'a> {
    /// An entry, borrowed from the session, and whether the session is in a cookie that this crate encrypts.
    /// Do not hold it across an await.
    Session(Ref<'a, str>, bool),
    /// A login cookie, and the key that sealed it.
    Cookie(LoginCookieContent, Match),
}

impl LoginCredential<'_> {
    /// Whether an older key sealed the login cookie.
    pub(crate) fn is_old(&self) -> bool {
        matches!(self, Self::Cookie(_, Match::Older))
    }

    /// The login, if the credential describes it. `None` if the login has a record.
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        match self {
            Self::Session(text, _) => Entry::read(text),
            Self::Cookie(LoginCookieContent::Entry(text), _) => Entry::read(text),
            Self::Cookie(LoginCookieContent::Record(_), _) => None,
        }
    }

    /// The login, if it has a record.
    pub(crate) fn login(&self) -> Option<LoginRef> {
        match self {
            Self::Session(text, is_sealed) => entry::read_login(text, *is_sealed),
            Self::Cookie(LoginCookieContent::Record(login), _) => Some(*login),
            Self::Cookie(LoginCookieContent::Entry(_), _) => None,
        }
    }
}

/// The login cookie of a request after it was opened, or as the response will set it.
#[derive(Default)]
pub(crate) struct OpenedLoginCookie {
    /// `Some(None)` if the request has no valid cookie; with the key that sealed it otherwise.
    content: RefCell<Option<Option<(LoginCookieContent, Match)>>>,
    /// Which of several cookies of the name was opened.
    position: Cell<Option<usize>>,
    /// Whether the browser had given up the cookie before this request did so, too.
    given_up: Cell<Option<bool>>,
}

impl OpenedLoginCookie {
    /// Replaces the login cookie for the rest of the request.
    pub(crate) fn set(&self, content: Option<LoginCookieContent>) {
        *self.content.borrow_mut() = Some(content.map(|content| (content, Match::Current)));
    }

    /// The content of a valid login cookie that an older key sealed.
    pub(crate) fn old(&self) -> Option<LoginCookieContent> {
        match &*self.content.borrow() {
            Some(Some((content, Match::Older))) => Some(content.clone()),
            _ => None,
        }
    }

    /// Whether the cookie was opened and is invalid, or the request has dropped it.
    pub(crate) fn is_none(&self) -> bool {
        matches!(&*self.content.borrow(), Some(None))
    }

    /// Opens the next cookie of the name, because the login of this one has ended. Returns whether there
    /// is one that opens.
    pub(crate) fn open_next(
        &self,
        request: &HttpRequest,
        manager: &Manager,
        user_type: &UserType,
    ) -> bool {
        let Some((cookie, position)) = user_type.login_cookie.as_ref().zip(self.position.take())
        else {
            return false;
        };
        let next = open(request, manager, user_type, cookie, position + 1);
        next.is_some_and(|(position, content)| {
            self.position.set(Some(position));
            *self.content.borrow_mut() = Some(Some(content));
            true
        })
    }

    /// The value that [`give_up`](Self::give_up) noted.
    pub(crate) fn had_given_up(&self) -> Option<bool> {
        self.given_up.get()
    }

    /// Notes that the request gives up the cookie it was sent with, and whether the browser had given
    /// it up before.
    pub(crate) fn give_up(&self, had_given_up: bool) {
        self.given_up.set(Some(had_given_up));
    }
}

/// Reads the credential that a request has for a user type. Without `opened`, this is the one that the
/// request was sent with. The session is only accessed if it keeps the logins.
pub(crate) fn read<T>(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    opened: Option<&OpenedLoginCookie>,
    read: impl FnOnce(LoginCredential<'_>) -> Option<T>,
) -> Option<T> {
    let Some(cookie) = &user_type.login_cookie else {
        let session = session::of(request);
        let text = session::entry(&session, &user_type.session_key)?;
        let is_sealed = manager.session_cookie.is_sealed();
        return read(LoginCredential::Session(text, is_sealed));
    };
    let open = || open(request, manager, user_type, cookie, 0);
    let content = match opened {
        Some(opened) => {
            let mut content = opened.content.borrow_mut();
            let open = || {
                let (position, content) = open()?;
                opened.position.set(Some(position));
                Some(content)
            };
            content.get_or_insert_with(open).clone()
        }
        None => open().map(|(_, content)| content),
    };
    let (content, found) = content?;
    read(LoginCredential::Cookie(content, found))
}

/// Opens the first login cookie of a request that opens, from this position on. Also returns its position
/// and the key that sealed it.
fn open(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    cookie: &CheckedCookie,
    from: usize,
) -> Option<(usize, (LoginCookieContent, Match))> {
    let values = cookies::usable(request, &cookie.name).enumerate();
    values.skip(from).find_map(|(position, value)| {
        let read = |text: &[u8], found| Some((LoginCookieContent::read(text)?, found));
        let content = manager.keys.open(&user_type.name, value, read)?;
        Some((position, content))
    })
}

/// The logins with records in the login cookies of a request, except that in the first one.
pub(crate) fn other_logins(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
) -> Vec<LoginRef> {
    let mut logins = Vec::new();
    if let Some(cookie) = &user_type.login_cookie
        && cookies::usable(request, &cookie.name).nth(1).is_some()
    {
        let mut from = 0;
        while let Some((position, (content, found))) =
            open(request, manager, user_type, cookie, from)
        {
            let login = LoginCredential::Cookie(content, found).login();
            logins.extend(login.filter(|_| from > 0));
            from = position + 1;
        }
    }
    logins
}

/// The login with a record that a request was sent with, whatever the request has done since.
pub(crate) fn sent_login(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
) -> Option<LoginRef> {
    read(request, manager, user_type, None, |credential| {
        credential.login()
    })
}

/// Whether the credential of a new login is encrypted, so that it may contain the key of the record.
pub(crate) fn is_sealed(manager: &Manager, user_type: &UserType) -> bool {
    user_type.login_cookie.is_some() || manager.session_cookie.is_sealed()
}

/// Whether a request may have a credential for a user type. Opens and parses nothing.
pub(crate) fn is_carried(request: &HttpRequest, user_type: &UserType) -> bool {
    match &user_type.login_cookie {
        Some(cookie) => cookies::carries(request, &cookie.name),
        None => session::entry(&session::of(request), &user_type.session_key).is_some(),
    }
}

/// The fingerprint of a user's session hash under the current key.
pub(crate) fn fingerprint(
    manager: &Manager,
    user_type: &UserType,
    user: &dyn Any,
) -> Option<String> {
    let hash = user_type.loader.session_hash(user)?;
    manager.keys.fingerprint(&user_type.name, &hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_another_form_is_not_read_as_a_login_cookie() {
        for text in [
            &[RECORD][..],
            &[RECORD; 32],
            &[RECORD; 34],
            &[RECORD; 50],
            &[0xff],
        ] {
            assert!(LoginCookieContent::read(text).is_none(), "{text:?}");
        }
        // `Entry::read` finds out that it is no entry.
        assert!(matches!(
            LoginCookieContent::read(b"[1]"),
            Some(LoginCookieContent::Entry(_))
        ));
    }

    #[test]
    fn a_login_cookie_for_a_record_reads_back() {
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
