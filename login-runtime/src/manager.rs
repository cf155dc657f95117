//! A built login manager: the loaders, handlers and settings that all workers share.

use std::{any::TypeId, collections::HashSet, sync::Arc, time::Duration};

use actix_session::{
    SessionMiddleware,
    storage::{CookieSessionStore, SessionStore},
};
use actix_web::{HttpMessage as _, HttpRequest};
use derive_more::Debug;

use crate::{
    clock::Clock,
    core::{AuthUser, ClientCheck, GuardDefaults, Limits, NextError, Remembering},
    error::SetupError,
    events::{EventLogin, Events, RouteRules},
    http::{Caching, CheckedCookie, CrossSiteCheck, Proxies, RememberCookie, SessionCookie},
    keys::KeyRing,
    refusal::{RefusalSettings, redirect},
    session::SharedStore,
    store::{LoginRef, Records, Throttle},
    users::{RequestLoader, UserType},
};

/// Keeps users logged in, across requests and browsers.
///
/// Build it once, outside the `HttpServer` closure, and wrap each `App` in a clone of it. That one
/// `.wrap(..)` includes actix-session's `SessionMiddleware`, in the right order.
///
/// # Examples
///
/// ```
/// use actix_web::{App, cookie::Key};
/// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// async fn find(id: i64) -> Result<Option<User>, std::io::Error> {
///     Ok((id == 1).then_some(User { id }))
/// }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let builder = || LoginManager::builder(find).login_store(MemoryLoginStore::new());
/// let login_manager = builder().login_view("/login").build(Key::generate())?;
/// let app = App::new().wrap(login_manager.clone());
/// # let _ = app;
///
/// // An invalid view is refused here, and not when the first client is redirected to it.
/// let error = builder().login_view("//evil.test").build(Key::generate()).unwrap_err();
/// assert_eq!(error.to_string(), "the view `//evil.test` names another host; write the whole URL");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[debug("LoginManager {{ users: {:?}, .. }}", manager.type_names())]
pub struct LoginManager<S: SessionStore = SharedStore<CookieSessionStore>> {
    pub(crate) manager: Arc<Manager>,
    // `SessionMiddleware` cannot be sent to the workers, so each of them makes its own.
    pub(crate) session: SessionFactory<S>,
}

pub(crate) type SessionFactory<S> = Arc<dyn Fn() -> SessionMiddleware<S> + Send + Sync>;

impl<S: SessionStore> LoginManager<S> {
    /// Checks an address to which a client is to be sent after a log in, by the rules of
    /// [`Auth::take_next`](crate::Auth::take_next).
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore, logins::NextError};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// # fn main() -> Result<(), login_runtime::BuildError> {
    /// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .login_store(MemoryLoginStore::new())
    ///     .origins(["https://app.example.com"])
    ///     .build(Key::generate())?;
    /// assert!(login_manager.check_next("/account?page=2").is_ok());
    /// assert!(login_manager.check_next("https://app.example.com/account").is_ok());
    /// assert_eq!(login_manager.check_next("//evil.test"), Err(NextError::OtherOrigin));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`NextError`] says why the address must not be followed.
    pub fn check_next(&self, next: &str) -> Result<String, NextError> {
        redirect::check_next(next, &self.manager.refusal)
    }
}

impl<S: SessionStore> Clone for LoginManager<S> {
    fn clone(&self) -> Self {
        Self {
            manager: Arc::clone(&self.manager),
            session: Arc::clone(&self.session),
        }
    }
}

/// What only the policy in words and the check before a deployment need to know about the settings.
pub(crate) struct Facts {
    /// The session cookie; `None` if the application has its own session middleware.
    pub(crate) session_cookie: Option<CheckedCookie>,
    /// Whether a session outlasts the browser.
    pub(crate) outlasts_browser: bool,
    /// The name of the type of the session store.
    pub(crate) session_store: String,
    pub(crate) sessions_in_cookie: bool,
    /// The name of the type of the login store, if there is one.
    pub(crate) login_store: Option<String>,
    /// How old the answers of the login store may be, if it has a cache.
    pub(crate) login_store_cached_for: Option<Duration>,
    pub(crate) store_deadline: Duration,
    /// The number of keys.
    pub(crate) keys: usize,
    /// Whether the application has its own clock.
    pub(crate) own_clock: bool,
    /// The realm, which is part of keys and cookies; empty if there is none.
    pub(crate) realm: String,
    /// Whether cookies travel over plain http.
    pub(crate) insecure: bool,
}

/// The parts of a built manager that all workers share.
pub(crate) struct Manager {
    pub(crate) users: Vec<Arc<UserType>>,
    pub(crate) session_cookie: SessionCookie,
    /// The request loader, and the position of its user type in `users`.
    pub(crate) request_loader: Option<(usize, RequestLoader)>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: ClientCheck,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) remember: RememberCookie,
    /// How long logins are remembered.
    pub(crate) remembering: Remembering,
    pub(crate) guards: GuardDefaults,
    /// How responses that depend on the user are kept from others.
    pub(crate) caching: Caching,
    pub(crate) refusal: Arc<RefusalSettings>,
    pub(crate) events: Events,
    /// How long logins last.
    pub(crate) limits: Limits,
    /// `None` without a login store: then only the session, or the login cookie, records a login.
    pub(crate) records: Option<Arc<Records>>,
    pub(crate) routes: RouteRules,
    /// How requests of other sites are recognized.
    pub(crate) cross_site: CrossSiteCheck,
    /// How failed tries are limited.
    pub(crate) throttle: Throttle,
    pub(crate) facts: Facts,
    /// Whether GET requests may end logins.
    pub(crate) get_log_out: bool,
    /// Whether a session can end while a request that uses it runs, and its store notices.
    pub(crate) watches_sessions: bool,
}

impl Manager {
    /// The manager of a request, and the position of a user type in `users`.
    pub(crate) fn find<U: AuthUser>(
        request: &HttpRequest,
    ) -> Result<(&Arc<Self>, usize), SetupError> {
        let manager = Self::of(request)?;
        let index = manager.index(TypeId::of::<U>(), std::any::type_name::<U>)?;
        Ok((manager, index))
    }

    /// The manager of a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<&Arc<Self>, SetupError> {
        Self::peek(request).ok_or_else(|| {
            // Several extractors may ask.
            match request.extensions_mut().insert(NoManagerLogged) {
                None => SetupError::NoManager.logged(),
                Some(_) => SetupError::NoManager,
            }
        })
    }

    /// The manager of a request, for a caller to whom it does not matter if there is none.
    pub(crate) fn peek(request: &HttpRequest) -> Option<&Arc<Self>> {
        let data = request.app_data::<ManagerData>();
        data.map(|data| &data.manager)
    }

    /// The position of a user type in `users`.
    pub(crate) fn index(
        &self,
        user_type: TypeId,
        name: fn() -> &'static str,
    ) -> Result<usize, SetupError> {
        let mut loaders = self.users.iter().map(|user_type| &user_type.loader);
        let found = loaders.position(|loader| loader.user_type() == user_type);
        found.ok_or_else(|| {
            let (asked, known) = (name(), self.type_names());
            SetupError::UnknownUser { asked, known }.logged()
        })
    }

    /// Checks that this manager and the one around it, if there is one, do not change each other's logins.
    ///
    /// Whether a manager is inside another is only known when a request reaches both.
    pub(crate) fn check_nesting(self: &Arc<Self>, request: &HttpRequest) -> Result<(), SetupError> {
        let Some(ManagerData { manager: outer, .. }) = request.app_data::<ManagerData>() else {
            return Ok(());
        };
        let theirs: HashSet<_> = outer.cookie_names().collect();
        let why = if Arc::ptr_eq(self, outer) {
            "it is the same one, wrapped twice".to_owned()
        } else if let Some(name) = self.cookie_names().find(|name| theirs.contains(name)) {
            format!("both have the cookie `{name}`")
        } else if !(self.has_login_cookies() && outer.has_login_cookies()) {
            // actix-session has one session for each request, which the inner middleware takes away.
            "a request has only one session, where one of them keeps its logins".to_owned()
        } else {
            return Ok(());
        };
        let (inner, outer) = (self.type_names(), outer.type_names());
        Err(SetupError::NestedManagers { inner, outer, why }.logged())
    }

    pub(crate) fn cookie_names(&self) -> impl Iterator<Item = &str> {
        let users = || self.users.iter();
        let remember = users().map(|user_type| &user_type.remember);
        let login = users().filter_map(|user_type| user_type.login_cookie.as_ref());
        let ours = remember.chain(login).map(|cookie| cookie.name.as_str());
        let next = self.refusal.kept_next.as_ref();
        ours.chain(self.session_cookie.name())
            .chain(next.map(|next| next.cookie.name.as_str()))
    }

    fn type_names(&self) -> Vec<&'static str> {
        let loaders = self.users.iter().map(|user_type| &user_type.loader);
        loaders.map(|loader| loader.type_name()).collect()
    }

    /// Whether logins are in login cookies, and not in the session.
    pub(crate) fn has_login_cookies(&self) -> bool {
        let mut users = self.users.iter();
        users.any(|user_type| user_type.login_cookie.is_some())
    }

    /// A login, for an event about it.
    pub(crate) fn event_login<'a>(
        &'a self,
        user_type: &'a UserType,
        login: Option<LoginRef>,
    ) -> Option<EventLogin<'a>> {
        Some(EventLogin::new(&self.keys, &user_type.name, login?))
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The session keys of all user types except the one at this position.
    pub(crate) fn other_keys(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        let users = self.users.iter().enumerate();
        let others = users.filter(move |(position, _)| *position != index);
        others.map(|(_, user_type)| user_type.session_key.as_str())
    }

    /// Those of the [`other_keys`](Self::other_keys) whose logins are in the session, and stay there when
    /// the rest of it is cleared.
    pub(crate) fn kept_keys(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        let others = self.other_keys(index);
        others.filter(|_| !self.has_login_cookies())
    }
}

/// Marks a request for which the log says that it has no manager.
struct NoManagerLogged;

/// The app data through which a request finds its manager; the middleware adds it.
pub(crate) struct ManagerData {
    pub(crate) manager: Arc<Manager>,
    /// Whether the request arrived with a method that must only read.
    pub(crate) by_safe_method: bool,
}
