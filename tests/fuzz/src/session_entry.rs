//! A session logs a user in if, and only if, it has an entry of this version that is not over, whatever other
//! versions, other programs, or a broken store have left in it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::{cookie::time::Duration, http::header::COOKIE, test::TestRequest};
use login_runtime::{LoginManager, MemoryLoginStore};

use crate::{
    entry,
    input::Input,
    site::{ADA, NOW, Site, key, manager, shown},
};

const SESSION: &str = "__Host-session";

/// The keys of a session under which this crate keeps logins.
const OF_USER: &str = "_login:User";
const OF_ADMIN: &str = "_login:admin";

thread_local! {
    /// The only session.
    static STATE: RefCell<HashMap<String, String>> = RefCell::default();
    static WRITES: Cell<u32> = Cell::default();
    static DESCRIBED: Site = {
        let manager = manager().session_only().session_store(OneSession);
        site(manager.build(key()).expect("valid settings"))
    };
    static RECORDED: (Site, String) = {
        let manager = manager().login_store(MemoryLoginStore::new()).session_store(OneSession);
        let site = site(manager.build(key()).expect("valid settings"));
        STATE.with(|state| state.borrow_mut().clear());
        log_in(&site);
        let text = STATE.with(|state| state.borrow()[OF_USER].clone());
        (site, text)
    };
    /// A cookie that names the session.
    static COOKIE_OF_ALL: String = DESCRIBED.with(log_in);
}

fn site<S: SessionStore + 'static>(manager: LoginManager<S>) -> Site {
    Site::new(manager, |_| {})
}

/// Logs ada in, and returns the session cookie.
fn log_in(site: &Site) -> String {
    let answer = site.ask(TestRequest::post().uri("/login/1").to_request());
    let value = answer.cookie(SESSION).expect("a session cookie");
    format!("{SESSION}={value}")
}

/// A store that always loads what the target wrote.
struct OneSession;

fn the_key() -> Result<SessionKey, anyhow::Error> {
    SessionKey::try_from("session".to_owned()).map_err(anyhow::Error::msg)
}

impl SessionStore for OneSession {
    async fn load(&self, _: &SessionKey) -> Result<Option<HashMap<String, String>>, LoadError> {
        Ok(Some(STATE.with(|state| state.borrow().clone())))
    }

    async fn save(
        &self,
        new: HashMap<String, String>,
        _: &Duration,
    ) -> Result<SessionKey, SaveError> {
        STATE.with(|state| *state.borrow_mut() = new);
        WRITES.set(WRITES.get() + 1);
        the_key().map_err(SaveError::Other)
    }

    async fn update(
        &self,
        _: SessionKey,
        new: HashMap<String, String>,
        _: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        STATE.with(|state| *state.borrow_mut() = new);
        WRITES.set(WRITES.get() + 1);
        the_key().map_err(UpdateError::Other)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, _: &SessionKey) -> Result<(), anyhow::Error> {
        STATE.with(|state| state.borrow_mut().clear());
        Ok(())
    }
}

/// What `/me` shows if the login is in the store: the id of the login has one form only.
fn recorded(text: &str, of_ada: &str) -> Option<String> {
    let id = |text: &str| {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let mut parts = inner.splitn(3, ',');
        let version: u8 = parts.next()?.parse().ok()?;
        let id = parts
            .next()?
            .strip_prefix('"')?
            .strip_suffix('"')?
            .to_owned();
        (version == 2).then_some(id)
    };
    let is_ada = id(text).is_some() && id(text) == id(of_ada);
    is_ada.then(|| shown(ADA, true, NOW))
}

fn ask(site: &Site, path: &str, state: &HashMap<String, String>) -> String {
    let cookie = COOKIE_OF_ALL.with(String::clone);
    STATE.with(|now| now.borrow_mut().clone_from(state));
    WRITES.set(0);
    let request = TestRequest::get().uri(path).insert_header((COOKIE, cookie));
    let answer = site.ask(request.to_request());
    let now = STATE.with(|state| state.borrow().clone());
    if answer.body != "-" && WRITES.get() == 0 {
        assert_eq!(now, *state, "nothing was written");
    }
    // What other programs keep in the session stays, and what was refused does not come back.
    assert_eq!(now.get("theirs"), state.get("theirs"));
    if answer.body == "-" && state.contains_key(OF_USER) && path == "/me" {
        assert_eq!(
            now.get(OF_USER),
            None,
            "a login that is over leaves the session"
        );
    }
    answer.body
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    RECORDED.with(|(site, of_ada)| {
        let text = match kind % 4 {
            0 => String::from_utf8_lossy(input.rest()).into_owned(),
            1 => entry::generate(&mut input),
            2 => {
                let text = entry::generate(&mut Input(input.bytes(16)));
                String::from_utf8_lossy(&input.mutate(text.as_bytes())).into_owned()
            }
            _ => String::from_utf8_lossy(&input.mutate(of_ada.as_bytes())).into_owned(),
        };
        let mut state = HashMap::from([("theirs".to_owned(), "\"kept\"".to_owned())]);
        for key in [OF_USER, OF_ADMIN] {
            state.insert(key.to_owned(), text.clone());
        }
        if kind & 0x80 != 0 {
            state.insert("_login:User.left".to_owned(), text.clone());
        }
        let anonymous = || "-".to_owned();
        let expected = recorded(&text, of_ada).unwrap_or_else(anonymous);
        assert_eq!(ask(site, "/me", &state), expected, "recorded {text:?}");
        // The record is that of a user of the other type.
        assert_eq!(ask(site, "/admin", &state), "-", "recorded {text:?}");
        DESCRIBED.with(|site| {
            let expected = entry::model(&text).unwrap_or_else(anonymous);
            assert_eq!(ask(site, "/me", &state), expected, "described {text:?}");
            let expected = entry::model_of_admin(&text).unwrap_or_else(anonymous);
            assert_eq!(ask(site, "/admin", &state), expected, "described {text:?}");
        });
    });
}
