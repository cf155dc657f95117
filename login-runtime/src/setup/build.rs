//! Checks the settings of a login manager, and makes the manager.

use std::{
    collections::HashSet,
    iter,
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use actix_session::{
    config::{BrowserSession, SessionLifecycle},
    storage::SessionStore,
};
use actix_web::cookie::Key;

use crate::{
    audit_trail::trail::TrailHost,
    clock::SystemClock,
    core::{Limits, MaxLogins, Remembering},
    error::BuildError,
    events::LoginEvent,
    http::{CheckedCookie, CookieSettings, SessionCookie},
    keys::{self, KeyRing},
    manager::{Facts, LoginManager, Manager},
    refusal::NextCookie,
    session::{Revocations, entry, store},
    setup::{
        sessions::{Sessions, session_frame},
        settings::Settings,
        warnings,
    },
    store::{Records, STORE_DEADLINE, TimedStore},
    users::{RequestLoader, UserType},
};

/// The longest realm, and the longest name of a user type. Both are in cookies and in each record.
///
/// `login-macros` checks the names that it knows by the same rule.
const MAX_NAME: usize = 32;

/// Makes the manager, or returns the first mistake in the settings.
pub(crate) fn manager<S: SessionStore + 'static>(
    mut settings: Settings,
    sessions: Sessions<S>,
    key: Key,
) -> Result<LoginManager<S>, BuildError> {
    if let Some(error) = settings.error {
        return Err(error);
    }
    check_keys(&key, &settings.fallback_keys)?;
    settings.refusal.check()?;
    check_sessions(&settings, &sessions)?;
    let mut cookie = settings.session_cookie.take().unwrap_or_default();
    if settings.insecure {
        settings.refusal.secure = false;
        cookie = cookie.danger_insecure();
        settings.remember.cookie = settings.remember.cookie.danger_insecure();
        settings.login_cookie = settings.login_cookie.map(CookieSettings::danger_insecure);
    }
    let realm = realm(&mut settings)?;
    let cookie = cookie.for_realm(&realm);
    let unnamed = cookie.clone().without_name();
    let cookie = cookie.check("session")?;
    let next_cookie = unnamed.check("next")?;
    let users = user_types(&mut settings, &realm)?;
    let session_cookie = matches!(sessions, Sessions::Stored(_)).then_some(&cookie);
    let kept_next = settings.refusal.session_for_next.then_some(&next_cookie);
    check_cookies(&users, &cookie, session_cookie.into_iter().chain(kept_next))?;
    let request_loader = request_loader(&mut settings, &users)?;
    settings.caching.varies_on_authorization = request_loader.is_some();
    let clock = settings.clock.take();
    let own_clock = clock.is_some();
    let clock = clock.unwrap_or_else(|| Arc::new(SystemClock));
    let deadline = settings.store_deadline.unwrap_or(STORE_DEADLINE);
    let (limits, records) = records(&mut settings, deadline)?;
    let facts = Facts {
        session_cookie: matches!(sessions, Sessions::Stored(_)).then(|| cookie.clone()),
        outlasts_browser: matches!(
            settings.lifecycle,
            Some(SessionLifecycle::PersistentSession(_))
        ),
        session_store: short_type_name(std::any::type_name::<S>()),
        sessions_in_cookie: store::is_in_cookie::<S>(),
        login_store: records
            .as_ref()
            .map(|_| short_type_name(settings.login_store_type)),
        login_store_cached_for: settings.login_store_cached_for,
        store_deadline: deadline,
        keys: 1 + settings.fallback_keys.len(),
        own_clock,
        realm: realm.clone(),
        insecure: settings.insecure,
    };
    let remember = &settings.remember;
    let remembering = Remembering::new(remember.duration, remember.at_most, limits.remember())
        .or_else(|(name, why)| invalid(name, why))?;
    let (session, session_cookie) = match sessions {
        Sessions::Own(factory) => {
            let is_in_cookie = store::is_in_cookie::<S>();
            (factory, SessionCookie::Unknown { is_in_cookie })
        }
        Sessions::Stored(make) => {
            let until_closed = || BrowserSession::default().into();
            let lifecycle = settings.lifecycle.unwrap_or_else(until_closed);
            let revocations = records.clone().map(|records| Revocations {
                records,
                clock: Arc::clone(&clock),
            });
            let derive = |secret: &Key| keys::session_key(secret, &realm);
            let older_keys = settings.fallback_keys.iter().map(derive).collect();
            let key = derive(&key);
            let frame = session_frame(&cookie);
            let session_cookie = SessionCookie::Known {
                name: cookie.name.clone(),
                key: key.clone(),
                older_keys,
                frame: store::is_in_cookie::<S>().then_some(frame),
            };
            let factory = make(key, cookie, lifecycle, revocations, deadline);
            (factory, session_cookie)
        }
    };
    let secrets = iter::once(&key).chain(&settings.fallback_keys);
    let keys = Arc::new(KeyRing::new(secrets, &realm));
    if settings.refusal.session_for_next {
        settings.refusal.kept_next = Some(NextCookie {
            cookie: next_cookie,
            keys: Arc::clone(&keys),
            clock: Arc::clone(&clock),
        });
    }
    let proxies = Arc::new(settings.proxies);
    settings.refusal.proxies = Arc::clone(&proxies);
    if let Some(trail) = &settings.audit_trail {
        settings.events.trail = Some(Box::new(trail.clone()));
    }
    #[cfg(feature = "metrics")]
    {
        settings.events.counter = Some(crate::events::count::event);
    }
    let manager = Manager {
        users,
        session_cookie,
        request_loader,
        keys,
        clock,
        client: settings.client,
        proxies,
        remember: settings.remember,
        remembering,
        guards: settings.guards,
        caching: settings.caching,
        refusal: Arc::new(settings.refusal),
        events: settings.events,
        // Without records, a session that is stored in its cookie never ends on the server.
        watches_sessions: records.is_some() || !store::is_in_cookie::<S>(),
        limits,
        records,
        routes: settings.routes,
        get_log_out: settings.get_log_out,
        cross_site: settings.cross_site,
        throttle: settings
            .throttle
            .built(deadline, settings.login_store_throttle),
        facts,
    };
    warnings::log(&manager);
    #[cfg(feature = "metrics")]
    crate::metrics::describe();
    let manager = Arc::new(manager);
    if let Some(trail) = &settings.audit_trail {
        trail.start(trail_host(&manager))?;
    }
    Ok(LoginManager { manager, session })
}

/// What an audit trail needs of its manager.
fn trail_host(manager: &Arc<Manager>) -> TrailHost {
    let users = manager.users.iter();
    let names = users.map(|user| (user.loader.user_type(), user.name.clone()));
    // The manager owns the trail.
    let weak = Arc::downgrade(manager);
    TrailHost {
        clock: Arc::clone(&manager.clock),
        user_types: names.collect(),
        report: Box::new(move |events| {
            let event = LoginEvent::EventsLost { events };
            match weak.upgrade() {
                Some(manager) => manager.events.emit_outside(&event),
                None => event.log(None),
            }
        }),
    }
}

/// Refuses keys that are obviously none.
fn check_keys(key: &Key, fallback_keys: &[Key]) -> Result<(), BuildError> {
    if keys::is_obviously_none(key) {
        return Err(BuildError::WeakKey { setting: "build" });
    }
    if fallback_keys.iter().any(keys::is_obviously_none) {
        let setting = "fallback_keys";
        return Err(BuildError::WeakKey { setting });
    }
    Ok(())
}

/// Refuses settings that contradict the application's own session middleware, or login cookies.
fn check_sessions<S: SessionStore + 'static>(
    settings: &Settings,
    sessions: &Sessions<S>,
) -> Result<(), BuildError> {
    let is_own = matches!(sessions, Sessions::Own(_));
    let has_cookie = settings.session_cookie.is_some() || settings.insecure;
    if is_own && (has_cookie || settings.lifecycle.is_some()) {
        let why = "brings its own cookie; configure that cookie there, and not here";
        return invalid("session_middleware", why);
    }
    if settings.login_cookie.is_none() {
        return Ok(());
    }
    let why = if is_own {
        "needs to know how long sessions last; leave out `session_middleware`"
    } else if matches!(
        settings.lifecycle,
        Some(SessionLifecycle::PersistentSession(_))
    ) {
        "ends with the browser, and the session must not outlast it; leave out `session_lifecycle`"
    } else if settings.login_store.is_none() && !store::is_in_cookie::<S>() {
        "contains the whole login if there is no login store, so no log out would be final; add `.login_store(..)`"
    } else {
        return Ok(());
    };
    invalid("login_cookie", why)
}

fn invalid<T>(name: &'static str, why: &'static str) -> Result<T, BuildError> {
    Err(BuildError::Setting { name, why })
}

/// The realm; empty if there is none.
fn realm(settings: &mut Settings) -> Result<String, BuildError> {
    match settings.realm.take() {
        Some(realm) if !is_name(&realm) => {
            let why = "is not a name; use 1 to 32 ASCII letters, digits, `-` and `_`";
            invalid("realm", why)
        }
        realm => Ok(realm.unwrap_or_default()),
    }
}

/// Whether a text can be a realm or the name of a user type. Both are part of names of cookies.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The name of a type without the modules that it is in.
fn short_type_name(name: &str) -> String {
    let parts = name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let parts = parts.map(|part| part.rsplit_once("::").map_or(part, |(_, last)| last));
    parts.collect()
}

/// The user types, with their cookies.
fn user_types(settings: &mut Settings, realm: &str) -> Result<Vec<Arc<UserType>>, BuildError> {
    let mut users: Vec<Arc<UserType>> = Vec::new();
    for loader in settings.users.drain(..) {
        let (name, user_type) = (loader.name(), loader.type_name());
        if !is_name(name) {
            return Err(BuildError::UserName { user_type, name });
        }
        let is_same = |user: &Arc<UserType>| user.loader.user_type() == loader.user_type();
        if users.iter().any(is_same) {
            let twice = user_type;
            return Err(BuildError::Loaders { twice });
        }
        if let Some(first) = users.iter().find(|user| user.loader.name() == name) {
            let (first, second) = (first.loader.type_name(), user_type);
            return Err(BuildError::SameName {
                name,
                first,
                second,
            });
        }
        // The names of cookies are short for most applications, which have one user type.
        let in_cookies = if users.is_empty() { "" } else { name };
        let of_type = |cookie: CookieSettings| cookie.for_realm(realm).for_user_type(in_cookies);
        let remember = of_type(settings.remember.cookie.clone());
        let login = settings.login_cookie.clone();
        let login = login.map(|cookie| of_type(cookie).check("login"));
        let name = if realm.is_empty() {
            name.to_owned()
        } else {
            format!("{realm}/{name}")
        };
        users.push(Arc::new(UserType {
            session_key: entry::login_key(&name),
            login_cookie: login.transpose()?,
            remember: remember.check("remember")?,
            loader,
            name,
        }));
    }
    Ok(users)
}

/// Refuses cookies that conflict with each other.
fn check_cookies<'a>(
    users: &'a [Arc<UserType>],
    session: &CheckedCookie,
    others: impl Iterator<Item = &'a CheckedCookie>,
) -> Result<(), BuildError> {
    let is_elsewhere = |login: &&CheckedCookie| {
        let (login, session) = (&login.settings, &session.settings);
        (&login.path, &login.domain) != (&session.path, &session.domain)
    };
    let login_cookies = || users.iter().filter_map(|user| user.login_cookie.as_ref());
    if let Some(login) = login_cookies().find(is_elsewhere) {
        return Err(BuildError::Cookie {
            name: login.name.clone(),
            why: "has another path or domain than the session cookie, so that a log out may see only one of them; give both the same",
        });
    }
    let remember_cookies = users.iter().map(|user| &user.remember);
    let all = login_cookies().chain(remember_cookies).chain(others);
    let mut names = HashSet::new();
    match all
        .map(|cookie| &cookie.name)
        .find(|name| !names.insert(*name))
    {
        None => Ok(()),
        Some(twice) => Err(BuildError::Cookie {
            name: twice.clone(),
            why: "is the name of two cookies; give each cookie its own name",
        }),
    }
}

/// The request loader, and the position of its user type.
fn request_loader(
    settings: &mut Settings,
    users: &[Arc<UserType>],
) -> Result<Option<(usize, RequestLoader)>, BuildError> {
    let Some((user_type, name, loader)) = settings.request_loader.take() else {
        return Ok(None);
    };
    let mut loaders = users.iter().map(|user| user.loader.user_type());
    match loaders.position(|found| found == user_type) {
        Some(index) => Ok(Some((index, loader))),
        None => Err(BuildError::RequestLoader { user_type: name }),
    }
}

/// How long logins last, and their records if there is a login store.
fn records(
    settings: &mut Settings,
    deadline: Duration,
) -> Result<(Limits, Option<Arc<Records>>), BuildError> {
    let limits = settings.limits.unwrap_or_default();
    limits.check().or_else(|why| invalid("limits", why))?;
    let (store, max) = (settings.login_store.take(), settings.max_logins);
    let Some(store) = store else {
        return if !settings.session_only {
            Err(BuildError::NoLoginStore)
        } else if settings.limits.is_some_and(|limits| limits.has_idle()) {
            let why = "has an idle limit, which needs a login store; add `.login_store(..)`, or `danger_no_idle_limit()` to the limits";
            invalid("limits", why)
        } else if max.is_some() {
            let why = "needs a login store, where logins are counted; add `.login_store(..)`";
            invalid("max_logins", why)
        } else {
            // The last use of a login is not recorded.
            Ok((limits.danger_no_idle_limit(), None))
        };
    };
    if settings.session_only {
        let why = "contradicts `login_store`; leave out one of them";
        return invalid("session_only", why);
    }
    let default = (!settings.unlimited_logins).then_some(MaxLogins::DEFAULT);
    let records = Records {
        store: TimedStore::new(store, deadline),
        limits,
        max: max.or(default),
        cached_for: settings.login_store_cached_for,
        relieved_at: AtomicI64::new(i64::MIN),
    };
    Ok((limits, Some(Arc::new(records))))
}
