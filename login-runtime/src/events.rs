//! What happened: logged in, logged out, restored, confirmed, refused.
//!
//! Each event goes to the manager's subscribers (see
//! [`LoginManagerBuilder::on_event`](crate::LoginManagerBuilder::on_event)) and, as a
//! [`tracing`] event with the target `login`, to the application's log. The log lines have the
//! fields `event`, `user_type`, `user` (the id as JSON) and `reason`, as far as they apply. Neither
//! ever holds a token, a cookie, a password or a hash (ASVS 16.2.5).

use std::{
    any::Any,
    collections::HashSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use actix_web::{HttpRequest, http::Method};

use crate::{
    conditions::Condition,
    core::{EndReason, RefusalReason, SessionProtection},
    error::LoadError,
    users::{AuthMethod, UserType},
};

pub(crate) type Subscriber = Box<dyn Fn(&LoginEvent<'_>, &HttpRequest) + Send + Sync>;

/// The application's subscribers to events, beside the log.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) subscribers: Vec<Subscriber>,
}

impl Events {
    /// Tells the log and the subscribers.
    pub(crate) fn emit(&self, event: &LoginEvent<'_>, request: &HttpRequest) {
        event.log();
        for subscriber in &self.subscribers {
            subscriber(event, request);
        }
    }

    /// Whether anything listens to events that say whose login they are about.
    pub(crate) fn is_heard(&self) -> bool {
        !self.subscribers.is_empty() || tracing::enabled!(target: "login", tracing::Level::INFO)
    }

    /// Whether anything listens to [`LoginEvent::Accessed`].
    pub(crate) fn access_is_heard(&self) -> bool {
        !self.subscribers.is_empty() || tracing::enabled!(target: "login", tracing::Level::TRACE)
    }
}

/// What a route is usually for.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// What the manager does about routes that do not declare who may reach them.
#[derive(Default)]
pub(crate) struct RouteRules {
    /// Whether they are closed to anonymous clients.
    pub(crate) deny_by_default: bool,
    pub(crate) undeclared: UndeclaredRoutes,
}

/// The undeclared routes that requests came to, so that each is reported once.
#[derive(Default)]
pub(crate) struct UndeclaredRoutes(Mutex<HashSet<(Option<Method>, String)>>);

impl UndeclaredRoutes {
    pub(crate) fn is_first(&self, method: &Method, pattern: &str) -> bool {
        // There are as many patterns as routes, whatever clients send, and all methods that clients
        // make up count as one.
        let method = METHODS.contains(method).then(|| method.clone());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((method, pattern.to_owned()))
    }
}

/// Something that happened to a login.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginEvent<'a> {
    /// Credentials were given and the user was logged in. Flask-Login: `user_logged_in`.
    LoggedIn {
        /// Who.
        user: EventUser<'a>,
        /// How the credentials were checked.
        method: AuthMethod,
        /// Whether the browser was given a remember cookie.
        remembered: bool,
    },
    /// [`Auth::log_in`](crate::Auth::log_in) refused a user who is not active.
    LogInRefused {
        /// Who.
        user: EventUser<'a>,
    },
    /// The user was logged out; nobody, if nobody was logged in. Flask-Login: `user_logged_out`.
    LoggedOut {
        /// Who.
        user: Option<EventUser<'a>>,
    },
    /// A remember cookie restored a login. Flask-Login: `user_loaded_from_cookie`.
    LoadedFromCookie {
        /// Who.
        user: EventUser<'a>,
    },
    /// The request loader found a user. Flask-Login: `user_loaded_from_request`.
    LoadedFromRequest {
        /// Who.
        user: EventUser<'a>,
    },
    /// A login was made fresh by giving credentials again. Flask-Login: `user_login_confirmed`.
    LoginConfirmed {
        /// Who.
        user: EventUser<'a>,
    },
    /// A client was refused for want of a login. Flask-Login: `user_unauthorized`.
    Unauthorized {
        /// Why.
        reason: RefusalReason,
    },
    /// A client was refused for want of a fresh login. Flask-Login: `user_needs_refresh`.
    NeedsRefresh {
        /// Why.
        reason: RefusalReason,
    },
    /// A user who is logged in was refused for want of a right.
    Forbidden {
        /// Who.
        user: Option<EventUser<'a>>,
        /// What the guard asked for; nothing if a handler refused by itself.
        condition: Option<&'a Condition>,
    },
    /// A login showed up from another client. Flask-Login: `session_protected`.
    SessionProtected {
        /// What was done about it.
        mode: SessionProtection,
    },
    /// A request looked at the user for the first time. Flask-Login: `user_accessed`.
    Accessed,
    /// A login that the session held is over.
    LoginEnded {
        /// Why.
        reason: EndReason,
    },
    /// The user ended other logins, or changed credentials.
    LoginsEnded {
        /// Who.
        user: Option<EventUser<'a>>,
        /// How many logins ended.
        logins: u64,
    },
    /// A remember cookie was worthless and is being cleared.
    RememberCookieRefused {
        /// Why.
        reason: EndReason,
    },
    /// A remember token was presented that its browser had given up: a copy is about. The family of
    /// tokens has ended, and with it all logins that were born of it.
    RememberTokenReused {
        /// The name of the user type; empty for the manager's first.
        user_type: &'a str,
        /// The user's id as JSON.
        user_id: &'a str,
    },
    /// Under [`deny_by_default`](crate::LoginManagerBuilder::deny_by_default), a request came to a route
    /// that does not declare who may reach it, or with a method that no route takes, which looks the
    /// same. UndeclaredRoutes once for each method and pattern.
    UndeclaredRoute {
        /// The pattern that the path leads to, as `/users/{id}`.
        pattern: &'a str,
    },
    /// A loader, the login store or a permission check failed; the client got a 503.
    LoadFailed {
        /// What the loader said.
        error: &'a LoadError,
    },
}

/// The user an event is about.
#[derive(Clone, Copy)]
pub struct EventUser<'a> {
    kind: &'a UserType,
    user: &'a dyn Any,
}

impl<'a> EventUser<'a> {
    pub(crate) fn new(kind: &'a UserType, user: &'a dyn Any) -> Self {
        Self { kind, user }
    }

    /// The user, if it is of this type.
    pub fn get<U: 'static>(&self) -> Option<&'a U> {
        self.user.downcast_ref()
    }

    /// The user's id as JSON.
    pub fn id(&self) -> String {
        self.kind.loader.id(self.user).unwrap_or_default()
    }

    /// The name of the user type; empty for the manager's first.
    pub fn user_type(&self) -> &'a str {
        &self.kind.name
    }
}

impl fmt::Debug for EventUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventUser")
            .field("type", &self.user_type())
            .field("id", &self.id())
            .finish()
    }
}

impl LoginEvent<'_> {
    /// The event's name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "logged_in",
            Self::LogInRefused { .. } => "log_in_refused",
            Self::LoggedOut { .. } => "logged_out",
            Self::LoadedFromCookie { .. } => "loaded_from_cookie",
            Self::LoadedFromRequest { .. } => "loaded_from_request",
            Self::LoginConfirmed { .. } => "login_confirmed",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NeedsRefresh { .. } => "needs_refresh",
            Self::Forbidden { .. } => "forbidden",
            Self::SessionProtected { .. } => "session_protected",
            Self::Accessed => "accessed",
            Self::LoginEnded { .. } => "login_ended",
            Self::LoginsEnded { .. } => "logins_ended",
            Self::RememberCookieRefused { .. } => "remember_cookie_refused",
            Self::RememberTokenReused { .. } => "remember_token_reused",
            Self::UndeclaredRoute { .. } => "undeclared_route",
            Self::LoadFailed { .. } => "load_failed",
        }
    }

    /// The user the event is about, if it is about one.
    pub fn user(&self) -> Option<EventUser<'_>> {
        match self {
            Self::LoggedIn { user, .. }
            | Self::LogInRefused { user }
            | Self::LoadedFromCookie { user }
            | Self::LoadedFromRequest { user }
            | Self::LoginConfirmed { user } => Some(*user),
            Self::LoggedOut { user }
            | Self::LoginsEnded { user, .. }
            | Self::Forbidden { user, .. } => *user,
            _ => None,
        }
    }

    /// Writes the event to the log.
    pub(crate) fn log(&self) {
        let event = self.name();
        match self {
            Self::Accessed | Self::LoadedFromRequest { .. } => {
                tracing::trace!(target: "login", event)
            }
            Self::LoggedIn {
                user,
                method,
                remembered,
            } => {
                // Within the macro, which asks only if somebody listens.
                tracing::info!(
                    target: "login", event, user_type = user.user_type(), user = user.id(),
                    reason = method.name(), remembered
                );
            }
            Self::LoggedOut { user: None } => tracing::info!(target: "login", event),
            Self::LoggedOut { user: Some(user) }
            | Self::LoadedFromCookie { user }
            | Self::LoginConfirmed { user } => {
                tracing::info!(target: "login", event, user_type = user.user_type(), user = user.id());
            }
            Self::LogInRefused { user } => {
                tracing::warn!(target: "login", event, user_type = user.user_type(), user = user.id(), reason = "inactive");
            }
            Self::Unauthorized { reason } | Self::NeedsRefresh { reason } => {
                tracing::info!(target: "login", event, reason = reason.name());
            }
            Self::Forbidden { user, condition } => {
                let (user_type, id) = user
                    .map(|user| (user.user_type(), user.id()))
                    .unwrap_or_default();
                let asked = condition.map(ToString::to_string);
                tracing::warn!(target: "login", event, user_type, user = id, reason = asked);
            }
            Self::SessionProtected { mode } => {
                tracing::warn!(target: "login", event, reason = ?mode);
            }
            Self::LoginEnded { reason } | Self::RememberCookieRefused { reason } => {
                tracing::warn!(target: "login", event, reason = reason.name());
            }
            Self::LoginsEnded { user, logins } => {
                let (user_type, id) = user
                    .map(|user| (user.user_type(), user.id()))
                    .unwrap_or_default();
                tracing::info!(target: "login", event, user_type, user = id, logins);
            }
            Self::RememberTokenReused { user_type, user_id } => {
                tracing::error!(target: "login", event, user_type, user = user_id);
            }
            Self::UndeclaredRoute { pattern } => {
                tracing::warn!(
                    target: "login", event, pattern,
                    "a route under this pattern declares nothing, or none takes the method, so anonymous \
                     clients are refused; to declare a route, put `#[login_required]` or `#[public]` above its `#[get(..)]`, or \
                     `.wrap(public())` around the route, resource or scope"
                );
            }
            Self::LoadFailed { error } => {
                let source = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(target: "login", event, reason = source);
            }
        }
    }
}
