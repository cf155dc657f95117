//! The login manager: loaders, handlers, settings.

use std::{any::TypeId, fmt, sync::Arc};

use actix_session::{
    SessionMiddleware,
    storage::{CookieSessionStore, SessionStore},
};
use actix_web::HttpRequest;

use crate::{
    clock::Clock,
    core::{AuthUser, ClientCheck, GuardDefaults, Limits},
    error::SetupError,
    events::{Events, RouteRules},
    http::RememberCookie,
    keys::KeyRing,
    refusal::RefusalSettings,
    session::SharedStore,
    store::Records,
    users::{RequestLoader, UserType},
};

/// Keeps who is logged in, across requests and browsers.
///
/// Build it once, outside the `HttpServer` closure, and wrap each `App` in a clone of it. That one
/// `.wrap(..)` contains actix-session's `SessionMiddleware`, in the right order.
///
/// # Examples
///
/// ```
/// use actix_web::{App, cookie::Key};
/// use login_runtime::{AuthUser, LoginManager};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// async fn find(id: i64) -> Result<Option<User>, std::io::Error> {
///     Ok((id == 1).then_some(User { id }))
/// }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let login_manager = LoginManager::builder(find).login_view("/login").build(Key::generate())?;
/// let app = App::new().wrap(login_manager.clone());
/// # let _ = app;
///
/// // A view that is no address is refused here, and not when the first client is.
/// let error = LoginManager::builder(find).login_view("//evil.test").build(Key::generate()).unwrap_err();
/// assert_eq!(error.to_string(), "the view `//evil.test` names another host; write the whole URL");
/// # Ok(())
/// # }
/// ```
pub struct LoginManager<S: SessionStore = SharedStore<CookieSessionStore>> {
    pub(crate) manager: Arc<Manager>,
    // `SessionMiddleware` cannot be sent to the workers, so each of them makes its own.
    pub(crate) session: SessionFactory<S>,
}

pub(crate) type SessionFactory<S> = Arc<dyn Fn() -> SessionMiddleware<S> + Send + Sync>;

impl<S: SessionStore> Clone for LoginManager<S> {
    fn clone(&self) -> Self {
        Self {
            manager: Arc::clone(&self.manager),
            session: Arc::clone(&self.session),
        }
    }
}

impl<S: SessionStore> fmt::Debug for LoginManager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types: Vec<_> = self
            .manager
            .users
            .iter()
            .map(|kind| kind.loader.type_name())
            .collect();
        f.debug_struct("LoginManager")
            .field("users", &types)
            .finish_non_exhaustive()
    }
}

/// What a built manager knows; shared by all workers.
pub(crate) struct Manager {
    pub(crate) users: Vec<Arc<UserType>>,
    /// The request loader, and the position of its user type in `users`.
    pub(crate) request_loader: Option<(usize, RequestLoader)>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: ClientCheck,
    pub(crate) remember: RememberCookie,
    pub(crate) guards: GuardDefaults,
    pub(crate) refusal: RefusalSettings,
    pub(crate) events: Events,
    /// How long logins last.
    pub(crate) limits: Limits,
    /// `None` without a login store: then the session is the only record of a login.
    pub(crate) records: Option<Arc<Records>>,
    pub(crate) routes: RouteRules,
    /// Whether a session can end while a request is under way, and its store notices.
    pub(crate) watches_sessions: bool,
}

impl Manager {
    /// The manager of a request, and where the user type stands in it.
    pub(crate) fn find<U: AuthUser>(
        request: &HttpRequest,
    ) -> Result<(&Arc<Self>, usize), SetupError> {
        let manager = Self::of(request)?;
        Ok((
            manager,
            manager.index(TypeId::of::<U>(), std::any::type_name::<U>)?,
        ))
    }

    /// The manager of a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<&Arc<Self>, SetupError> {
        match request.app_data::<ManagerData>() {
            Some(handle) => Ok(&handle.0),
            None => {
                tracing::error!(target: "login", "{}", SetupError::NoManager);
                Err(SetupError::NoManager)
            }
        }
    }

    /// Where a user type stands.
    pub(crate) fn index(
        &self,
        user_type: TypeId,
        name: fn() -> &'static str,
    ) -> Result<usize, SetupError> {
        let found = self
            .users
            .iter()
            .position(|kind| kind.loader.user_type() == user_type);
        found.ok_or_else(|| {
            let known = self
                .users
                .iter()
                .map(|kind| kind.loader.type_name())
                .collect();
            let error = SetupError::UnknownUser {
                asked: name(),
                known,
            };
            tracing::error!(target: "login", "{error}");
            error
        })
    }

    /// Whether logins are in cookies of their own.
    pub(crate) fn has_login_cookies(&self) -> bool {
        self.users.iter().any(|kind| kind.login_cookie.is_some())
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The session keys of all user types but one.
    pub(crate) fn other_keys(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        let others = self
            .users
            .iter()
            .enumerate()
            .filter(move |(i, _)| *i != index);
        others.map(|(_, kind)| kind.session_key.as_str())
    }

    /// The session keys of those among them whose logins are in the session, and stay there when the rest
    /// of it goes.
    pub(crate) fn kept_keys(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        let others = self.other_keys(index);
        others.filter(|_| !self.has_login_cookies())
    }
}

/// How a request finds its manager: in the app data that the middleware adds.
pub(crate) struct ManagerData(pub(crate) Arc<Manager>);
