//! The id of a session that is kept in its cookie, by which the login store knows that it has ended.
//!
//! 1. A log in makes a new session and a new record, so the key of the record is the session's id, too: the
//!    cookie, which each request carries, contains no other.
//! 2. A session without a login, one that the application renewed, and one with several logins contain a
//!    random id of their own. It counts even if there is a login.

use std::collections::HashMap;

use crate::{
    core::LoginKey,
    keys::{self, NoRandomness},
    session::entry::{ID_KEY, is_login_key, is_sealed_text, read_sealed},
};

/// The contents of a session.
pub(crate) type State = HashMap<String, String>;

/// What a session says about its id and its logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `None` if it has none, because no login manager with a login store has saved it.
    pub(crate) id: Option<LoginKey>,
    /// Whether it contains a login of any kind.
    pub(crate) has_login: bool,
    /// The key of a record that it contains.
    pub(crate) login: Option<LoginKey>,
}

impl Identity {
    pub(crate) fn of(state: &State) -> Self {
        let mut found = Self::default();
        for (name, text) in state {
            if name == ID_KEY {
                found.id = parse_id(text);
            } else if is_login_key(name) {
                found.has_login = true;
                // One of several, but always the same one.
                let login = carried_key(text).into_iter().chain(found.login).min();
                found.login = login;
            }
        }
        found.id = found.id.or(found.login);
        found
    }
}

/// The key of a login's record, if a text contains the key itself.
fn carried_key(text: &str) -> Option<LoginKey> {
    Some(read_sealed(text)?.key)
}

/// Reads an id. It needs no hash as the id of a login on the server does: the cookie cannot be made from
/// the id.
fn parse_id(json: &str) -> Option<LoginKey> {
    let id = json.strip_prefix('"')?.strip_suffix('"')?;
    keys::read_nonce(id).map(LoginKey::from_short)
}

/// Lets a session that is written keep the id that it had.
pub(crate) fn keep(state: &mut State, id: LoginKey) {
    if Identity::of(state).id != Some(id)
        && let Some(bytes) = id.short()
    {
        insert(state, &keys::write_nonce(bytes));
    }
}

/// Whether a session that is written again has an id of its own.
pub(crate) fn needs_own(state: &State) -> bool {
    state.contains_key(ID_KEY) || Identity::of(state).login.is_none()
}

/// Whether a new session has one login, which is as new as the session. `made` are the session keys of the
/// logins that the request has made.
pub(crate) fn is_its_login(state: &State, made: &[String]) -> bool {
    let mut logins = state.iter().filter(|(name, _)| is_login_key(name));
    let (first, second) = (logins.next(), logins.next());
    second.is_none()
        && first.is_some_and(|(name, text)| made.contains(name) && is_sealed_text(text))
}

/// Gives a new session its id, unless its login is its id.
pub(crate) fn renew(state: &mut State, is_its_login: bool) -> Result<(), NoRandomness> {
    state.remove(ID_KEY);
    if !is_its_login {
        insert(state, &keys::nonce()?);
    }
    Ok(())
}

fn insert(state: &mut State, id: &str) {
    // It contains no character that JSON escapes.
    state.insert(ID_KEY.to_owned(), format!("\"{id}\""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::LoginToken,
        session::entry::{login_key, login_text},
    };

    const USER: &str = "User";
    const ADMIN: &str = "admin";

    const ID: &str = "\"AAECAwQFBgcICQoLDA0ODw\"";

    fn state(entries: &[(&str, &str)]) -> State {
        let name = |name: &str| match name {
            USER | ADMIN => login_key(name),
            other => other.to_owned(),
        };
        let entries = entries.iter();
        entries
            .map(|(key, text)| (name(key), (*text).to_owned()))
            .collect()
    }

    fn key(byte: u8) -> LoginKey {
        LoginKey::from_short([byte; 16])
    }

    fn login(byte: u8) -> String {
        let token = LoginToken::Sealed([byte; 16]);
        serde_json::to_string(&login_text(&token, None)).unwrap()
    }

    #[test]
    fn the_id_is_that_of_the_session_or_else_the_key_of_its_login() {
        let own = parse_id(ID).unwrap();
        let (one, two) = (&*login(1), &*login(2));
        let old = r#"[2,"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]"#;
        for (entries, id, has_login, of) in [
            (&[][..], None, false, None),
            (&[("cart", "1")], None, false, None),
            (&[(ID_KEY, ID), ("cart", "1")], Some(own), false, None),
            (&[(USER, one)], Some(key(1)), true, Some(key(1))),
            (&[(ID_KEY, ID), (USER, one)], Some(own), true, Some(key(1))),
            (
                &[(USER, two), (ADMIN, one)],
                Some(key(1)),
                true,
                Some(key(1)),
            ),
            // The key of such a login is a hash, and no id.
            (&[(USER, old)], None, true, None),
            (&[(ID_KEY, ID), (USER, old)], Some(own), true, None),
            (&[(USER, "\"4\"")], None, true, None),
            // Not an id.
            (
                &[(ID_KEY, "7"), (USER, one)],
                Some(key(1)),
                true,
                Some(key(1)),
            ),
        ] {
            let expected = Identity {
                id,
                has_login,
                login: of,
            };
            assert_eq!(Identity::of(&state(entries)), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_session_keeps_its_id_when_its_login_is_removed_or_replaced() {
        let mut emptied = state(&[("cart", "1")]);
        keep(&mut emptied, key(1));
        assert_eq!(Identity::of(&emptied).id, Some(key(1)));
        let mut same = state(&[(USER, &login(1))]);
        keep(&mut same, key(1));
        assert_eq!(same.len(), 1, "the login is the id");
        let mut other = state(&[(USER, &login(2)), (ID_KEY, ID)]);
        keep(&mut other, key(1));
        assert_eq!(Identity::of(&other).id, Some(key(1)));
    }

    #[test]
    fn only_a_session_with_one_login_that_was_just_made_needs_no_id_of_its_own() {
        let (one, two) = (&*login(1), &*login(2));
        let user = [login_key(USER)];
        for (entries, made, has_own) in [
            (&[(USER, one)][..], &user[..], false),
            (&[(USER, one), (ID_KEY, ID)], &user, false),
            (&[(USER, one)], &[], true),
            (&[(USER, one), (ADMIN, two)], &user, true),
            (&[(ADMIN, one)], &user, true),
            (&[(USER, "\"4\"")], &user, true),
            (&[("cart", "1")], &[], true),
        ] {
            let mut state = state(entries);
            let is_its_login = is_its_login(&state, made);
            renew(&mut state, is_its_login).unwrap();
            assert_eq!(state.contains_key(ID_KEY), has_own, "{entries:?}");
            assert_ne!(state.get(ID_KEY).map(String::as_str), Some(ID));
            assert!(Identity::of(&state).id.is_some());
        }
    }
}
