//! Checks the settings of a login manager, and makes it.

use std::{
    iter,
    sync::{Arc, atomic::AtomicI64},
};

use actix_session::{
    config::{BrowserSession, SessionLifecycle},
    storage::SessionStore,
};
use actix_web::cookie::Key;

use crate::{
    core::{Limits, MAX_COOKIE_AGE},
    error::BuildError,
    http::{CheckedCookie, CookieSettings},
    keys::{self, KeyRing},
    manager::{LoginManager, Manager},
    session::{
        Revocations, entry,
        store::{self},
    },
    setup::{
        sessions::{Sessions, StoreSettings},
        settings::Settings,
    },
    store::{Records, TimedStore},
    users::{RequestLoader, UserType},
};

/// Makes the manager, or says which setting cannot work.
pub(crate) fn manager<S: SessionStore + 'static>(
    mut settings: Settings,
    sessions: Sessions<S>,
    key: Key,
) -> Result<LoginManager<S>, BuildError> {
    if let Some(error) = settings.error {
        return Err(error);
    }
    settings.refusal.check()?;
    check_sessions(&settings, &sessions)?;
    if settings.insecure {
        let insecure = CookieSettings::danger_insecure;
        settings.session_cookie = Some(
            settings
                .session_cookie
                .unwrap_or_default()
                .danger_insecure(),
        );
        settings.remember.cookie = settings.remember.cookie.danger_insecure();
        settings.login_cookie = settings.login_cookie.map(insecure);
        tracing::warn!(target: "login", "login cookies travel over plain http; this is for development only");
    }
    let cookie = settings
        .session_cookie
        .take()
        .unwrap_or_default()
        .check("session")?;
    let users = user_types(&mut settings)?;
    check_cookies(&users, &cookie, matches!(sessions, Sessions::Stored(_)))?;
    let request_loader = request_loader(&mut settings, &users)?;
    let (limits, records) = records(&mut settings)?;
    let session = match sessions {
        Sessions::Own(factory) => factory,
        Sessions::Stored(make) => {
            let lifecycle = settings
                .lifecycle
                .unwrap_or_else(|| BrowserSession::default().into());
            let revocations = records.as_ref().map(|records| Revocations {
                records: Arc::clone(records),
                clock: Arc::clone(&settings.clock),
            });
            let store = StoreSettings {
                revocations,
                deadline: settings.store_deadline,
            };
            make(keys::session_key(&key), cookie, lifecycle, store)
        }
    };
    let manager = Manager {
        users,
        request_loader,
        keys: KeyRing::new(iter::once(&key).chain(&settings.fallback_keys)),
        clock: settings.clock,
        client: settings.client,
        remember: settings.remember,
        guards: settings.guards,
        refusal: settings.refusal,
        events: settings.events,
        // Without records, a session that is kept in its cookie never ends on the server.
        watches_sessions: records.is_some() || !store::is_in_cookie::<S>(),
        limits,
        records,
        routes: settings.routes,
    };
    Ok(LoginManager {
        manager: Arc::new(manager),
        session,
    })
}

/// Refuses what does not go together with the application's own session middleware, or with login
/// cookies.
fn check_sessions<S: SessionStore + 'static>(
    settings: &Settings,
    sessions: &Sessions<S>,
) -> Result<(), BuildError> {
    let Settings {
        session_cookie,
        lifecycle,
        insecure,
        login_cookie,
        login_store,
        ..
    } = settings;
    let is_own = matches!(sessions, Sessions::Own(_));
    if is_own && (session_cookie.is_some() || lifecycle.is_some() || *insecure) {
        return Err(BuildError::Setting {
            name: "session_middleware",
            why: "brings its own cookie; configure that cookie there, and not here",
        });
    }
    if login_cookie.is_none() {
        return Ok(());
    }
    let why = if is_own {
        "needs sessions of which it knows how long they last; leave out `session_middleware`"
    } else if matches!(lifecycle, Some(SessionLifecycle::PersistentSession(_))) {
        "ends with the browser, and the session must not outlast it; leave out `session_lifecycle`"
    } else if login_store.is_none() && !store::is_in_cookie::<S>() {
        "says everything itself without a login store, so that no log out would be final; add `.login_store(..)`"
    } else {
        return Ok(());
    };
    Err(BuildError::Setting {
        name: "login_cookie",
        why,
    })
}

/// The user types with their cookies.
fn user_types(settings: &mut Settings) -> Result<Vec<Arc<UserType>>, BuildError> {
    let duration = settings.remember.duration;
    if duration.as_secs() == 0 || duration > MAX_COOKIE_AGE {
        return Err(BuildError::Setting {
            name: "RememberCookie::duration",
            why: "is not between 1 second and 400 days, the longest that browsers keep a cookie",
        });
    }
    let mut users: Vec<Arc<UserType>> = Vec::new();
    for (name, loader) in settings.users.drain(..) {
        let has_loader = |user: &Arc<UserType>| user.loader.user_type() == loader.user_type();
        if users.iter().any(has_loader) {
            let twice = loader.type_name().to_owned();
            return Err(BuildError::Loaders { twice });
        }
        if users.iter().any(|user| user.name == name) {
            return Err(BuildError::Loaders { twice: name });
        }
        let remember = settings.remember.cookie.clone().for_user_type(&name);
        let login = settings.login_cookie.clone();
        let login = login.map(|cookie| cookie.for_user_type(&name).check("login"));
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

/// Refuses cookies that get in each other's way.
fn check_cookies(
    users: &[Arc<UserType>],
    session: &CheckedCookie,
    is_stored: bool,
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
    let all = login_cookies()
        .chain(remember_cookies)
        .chain(is_stored.then_some(session));
    let mut names: Vec<_> = all.map(|cookie| &cookie.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()) {
        None => Ok(()),
        Some(twice) => Err(BuildError::Cookie {
            name: twice
                .first()
                .map(|name| (*name).clone())
                .unwrap_or_default(),
            why: "is two cookies at once; give each a name of its own",
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
    match users
        .iter()
        .position(|user| user.loader.user_type() == user_type)
    {
        Some(index) => Ok(Some((index, loader))),
        None => Err(BuildError::RequestLoader { user_type: name }),
    }
}

/// How long logins last, and their records, if there is a login store.
fn records(settings: &mut Settings) -> Result<(Limits, Option<Arc<Records>>), BuildError> {
    let refuse = |name, why| Err(BuildError::Setting { name, why });
    let limits = settings.limits.unwrap_or_default();
    limits.check().map_err(|why| BuildError::Setting {
        name: "limits",
        why,
    })?;
    let Some(store) = settings.login_store.take() else {
        if !settings.session_only {
            return Err(BuildError::NoLoginStore);
        }
        if settings.limits.is_some_and(|limits| limits.has_idle()) {
            return refuse(
                "limits",
                "has an idle limit, which needs a login store; add `.login_store(..)`, or `danger_no_idle_limit()` to the limits",
            );
        }
        if settings.max_logins.is_some() {
            return refuse(
                "max_logins",
                "needs a login store, where logins are counted; add `.login_store(..)`",
            );
        }
        return Ok((limits.without_idle(), None));
    };
    if settings.session_only {
        return refuse(
            "session_only",
            "contradicts `login_store`; leave out one of them",
        );
    }
    let records = Records {
        store: TimedStore::new(store, settings.store_deadline),
        limits,
        max: settings.max_logins,
        relieved_at: AtomicI64::new(i64::MIN),
    };
    Ok((limits, Some(Arc::new(records))))
}
