//! Events: logged in, logged out, restored, confirmed, refused and others.
//!
//! Each event goes to the manager's subscribers (see
//! [`LoginManagerBuilder::on_event`](crate::config::LoginManagerBuilder::on_event)) and, as a [`tracing`] event
//! with the target `login`, to the application's log. A log line has the fields `event`, `user_type`,
//! `user` (the id as JSON), `login` (a [`LoginHash`], with a login store) and `reason`, where they apply, and
//! the client as far as it is known: `address` (see [`client_address`]), and `user_agent`, shortened and
//! escaped. Neither an event nor a log line contains a token, a cookie, a password, or a hash without a key
//! (ASVS 16.2.5).

use std::{
    any::Any,
    borrow::Cow,
    collections::HashSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    HttpRequest,
    http::{Method, header},
};
use derive_more::{Debug, Display};

pub use self::login::{EventLogin, LoginHash};
pub use crate::core::{
    cross_site::CrossSiteReason, freshness::RefusalReason, login::EndReason, throttle::ThrottledBy,
    user::PasswordRefusal,
};
use crate::{
    conditions::Condition,
    core::SessionProtection,
    error::{LoadError, LoginError},
    hooks::Hook,
    http::proxies::client_address,
    users::{AuthMethod, UserType},
};

#[cfg(feature = "metrics")]
pub(crate) mod count;
mod login;

pub(crate) type Subscriber = Box<dyn Fn(&LoginEvent<'_>, &HttpRequest) + Send + Sync>;

pub(crate) type OutsideSubscriber = Box<dyn Fn(&LoginEvent<'_>) + Send + Sync>;

/// How many bytes of a user agent or an origin are logged. Raising it shows more of unusual clients; lowering it saves
/// space.
const MAX_AGENT: usize = 120;

/// Stores events, without waiting.
pub(crate) trait StoresEvents: Send + Sync {
    /// There is no request if the application ends logins by itself.
    fn push(&self, event: &LoginEvent<'_>, request: Option<&HttpRequest>);
}

/// The application's subscribers to events, besides the log.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) subscribers: Vec<Subscriber>,
    /// Those to events that belong to no request.
    pub(crate) outside: Vec<OutsideSubscriber>,
    /// Where events are stored.
    pub(crate) trail: Option<Box<dyn StoresEvents>>,
    /// Counts each event, even those that a subscriber causes.
    #[cfg(feature = "metrics")]
    pub(crate) counter: Option<fn(&LoginEvent<'_>)>,
}

impl Events {
    /// Sends an event to the log and the subscribers.
    pub(crate) fn emit(&self, event: &LoginEvent<'_>, request: &HttpRequest) {
        event.log(Some(request));
        if let Some(trail) = &self.trail {
            trail.push(event, Some(request));
        }
        #[cfg(feature = "metrics")]
        self.count(event);
        // What a subscriber itself causes goes only to the log.
        if self.subscribers.is_empty() || Hook::Subscriber.is_running() {
            return;
        }
        Hook::Subscriber.run(|| {
            for subscriber in &self.subscribers {
                subscriber(event, request);
            }
        });
    }

    /// Sends an event that belongs to no request to the log and the subscribers.
    pub(crate) fn emit_outside(&self, event: &LoginEvent<'_>) {
        event.log(None);
        if let Some(trail) = &self.trail {
            trail.push(event, None);
        }
        #[cfg(feature = "metrics")]
        self.count(event);
        if !Hook::Subscriber.is_running() {
            Hook::Subscriber.run(|| self.outside.iter().for_each(|subscriber| subscriber(event)));
        }
    }

    #[cfg(feature = "metrics")]
    fn count(&self, event: &LoginEvent<'_>) {
        if let Some(count) = self.counter {
            count(event);
        }
    }

    /// Whether the log or a subscriber takes events that name a user.
    pub(crate) fn is_heard(&self) -> bool {
        !self.subscribers.is_empty()
            || self.trail.is_some()
            || tracing::enabled!(target: "login", tracing::Level::INFO)
    }

    /// Whether the log or a subscriber takes [`LoginEvent::Accessed`].
    pub(crate) fn access_is_heard(&self) -> bool {
        !self.subscribers.is_empty() || tracing::enabled!(target: "login", tracing::Level::TRACE)
    }
}

/// The standard methods.
pub(crate) const METHODS: [Method; 9] = [
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

/// What happens at routes that do not declare who may reach them.
#[derive(Default)]
pub(crate) struct RouteRules {
    /// Whether anonymous clients are refused there.
    pub(crate) deny_by_default: bool,
    pub(crate) undeclared: SeenRoutes,
    /// Those whose responses would have been stored by shared caches, although they depend on the user.
    pub(crate) overruled: SeenRoutes,
    /// Those that declare something behind middleware that hides it.
    pub(crate) hidden: SeenRoutes,
    /// Those that refused a request of another site, behind middleware that may hide what they declare.
    pub(crate) cross_site: SeenRoutes,
}

/// Routes that were requested, so that each is reported once.
#[derive(Default)]
pub(crate) struct SeenRoutes {
    routes: Mutex<HashSet<(Option<Method>, String)>>,
    count: AtomicUsize,
}

impl SeenRoutes {
    pub(crate) fn is_first(&self, method: &Method, pattern: &str) -> bool {
        let is_first = self.lock().insert(Self::key(method, pattern));
        if is_first {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        is_first
    }

    pub(crate) fn contains(&self, method: &Method, pattern: &str) -> bool {
        self.lock().contains(&Self::key(method, pattern))
    }

    /// How many there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(Option<Method>, String)>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(method: &Method, pattern: &str) -> (Option<Method>, String) {
        // Clients cannot make this grow: there are as many patterns as routes, and all non-standard
        // methods count as one.
        let method = METHODS.contains(method).then(|| method.clone());
        (method, pattern.to_owned())
    }
}

/// Something that happened to a login.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginEvent<'a> {
    /// Credentials were given and the user was logged in. Flask-Login: `user_logged_in`.
    LoggedIn {
        /// The user.
        user: EventUser<'a>,
        /// How the credentials were checked.
        method: AuthMethod,
        /// Whether the browser was given a remember cookie.
        remembered: bool,
        /// Whether this is a client from which the user has not logged in within the last 30 days. `None`
        /// without a login store, or if the store failed.
        ///
        /// A client is a browser, whatever its version, in a network: the first 16 bits of an IPv4 address,
        /// or the first 32 of an IPv6 address. A browser that is logged in as the user, or remembers the
        /// user, is never new; the client of a user's first log in is. A user who gets new credentials
        /// ([`Auth::credentials_changed`](crate::Auth::credentials_changed), or
        /// [`Logins::end_all_of`](crate::logins::Logins::end_all_of)) starts anew.
        ///
        /// It is a hint: a thief may use the same browser and provider, and a user may travel.
        new_client: Option<bool>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// [`Auth::log_in`](crate::Auth::log_in) refused a user, or a remember cookie did not restore the login
    /// of a user who has too many.
    LogInRefused {
        /// The user.
        user: EventUser<'a>,
        /// Why.
        reason: LogInRefusal,
    },
    /// [`Auth::confirm_login`](crate::Auth::confirm_login) refused to confirm a login.
    ConfirmationRefused {
        /// The user whose credentials were given.
        user: EventUser<'a>,
        /// Why.
        reason: LogInRefusal,
        /// The login of the request; `None` if there is none, or without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A password verifier refused a password.
    PasswordRefused {
        /// A keyed hash of the name that was typed. Two spellings of one name have the same.
        account: &'a str,
        /// The user with that name, if there is one, and the manager loads users of this type.
        user: Option<EventUser<'a>>,
        /// Why.
        reason: PasswordRefusal,
        /// What the application's operator has to do, if this user can never log in.
        problem: Option<&'a str>,
    },
    /// A check that [`attempt`](crate::throttle::attempt) counts has failed: a wrong code or API key, for
    /// instance.
    AttemptRefused {
        /// What was to be proved, as the application names it.
        purpose: &'a str,
        /// A keyed hash of the name of the account.
        account: &'a str,
    },
    /// A try to prove something was refused without a check, because there were too many before it.
    Throttled {
        /// What was to be proved: `password`, or what the application named.
        purpose: &'a str,
        /// A keyed hash of the name of the account.
        account: &'a str,
        /// Which counter refused it.
        by: ThrottledBy,
        /// In how many seconds another try may be made.
        retry_after: u32,
    },
    /// The user was logged out. Flask-Login: `user_logged_out`.
    LoggedOut {
        /// The user; `None` if no user was logged in, or if the user is gone or could not be loaded.
        user: Option<EventUser<'a>>,
        /// The name of the user type.
        user_type: &'a str,
        /// The id, as JSON, of the user of the login that has ended, if `user` is `None` and the id is known.
        user_id: Option<&'a str>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A remember cookie restored a login. Flask-Login: `user_loaded_from_cookie`.
    LoadedFromCookie {
        /// The user.
        user: EventUser<'a>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// The request loader found a user. Flask-Login: `user_loaded_from_request`.
    LoadedFromRequest {
        /// The user.
        user: EventUser<'a>,
    },
    /// A login was made fresh by giving credentials again. Flask-Login: `user_login_confirmed`.
    LoginConfirmed {
        /// The user.
        user: EventUser<'a>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A client was refused because it has no login. Flask-Login: `user_unauthorized`.
    Unauthorized {
        /// Why.
        reason: RefusalReason,
        /// The user, if the request has one: a user who is not active, for instance.
        user: Option<EventUser<'a>>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A client was refused because its login is not fresh. Flask-Login: `user_needs_refresh`.
    NeedsRefresh {
        /// Why.
        reason: RefusalReason,
        /// The user, if the request has one.
        user: Option<EventUser<'a>>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A user who is logged in was refused because the user may not do this.
    Forbidden {
        /// The user.
        user: Option<EventUser<'a>>,
        /// The condition of the guard; `None` if a handler refused by itself.
        condition: Option<&'a Condition>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A request was refused because a page of another site sent it. See
    /// [the guide](crate::guide::cross_site).
    CrossSiteRefused {
        /// What shows it.
        reason: CrossSiteReason,
        /// The start of the `Origin` header. Everything but printable ASCII is escaped.
        origin: Option<&'a str>,
        /// The pattern of the route, such as `/users/{id}`, as far as it is known.
        pattern: Option<&'a str>,
        /// The middleware between the login manager and the routes that may hide that the route takes
        /// requests of other sites, as far as it is known. Only at the first refusal for each method and
        /// pattern.
        middleware: Option<&'a str>,
    },
    /// A login was used by another client. Flask-Login: `session_protected`.
    SessionProtected {
        /// What happened to the login.
        mode: SessionProtection,
        /// The name of the user type.
        user_type: &'a str,
        /// The user's id as JSON, if it is known.
        user_id: Option<&'a str>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// A request asked for the user for the first time. Flask-Login: `user_accessed`.
    Accessed,
    /// The login that this browser had has ended. Reported by the request that finds it ended, or that
    /// replaces it.
    LoginEnded {
        /// Why.
        reason: EndReason,
        /// The name of the user type.
        user_type: &'a str,
        /// The user's id as JSON. `None` if the login is forged or its record is gone.
        user_id: Option<&'a str>,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// Other logins of a user ended: the user chose them, or a new login left no room for them.
    LoginsEnded {
        /// Why.
        reason: LoginsEndReason,
        /// The user.
        user: Option<EventUser<'a>>,
        /// How many logins ended.
        logins: u64,
        /// The login of the request.
        login: Option<EventLogin<'a>>,
        /// The login that ended, if the user chose one.
        ended: Option<EventLogin<'a>>,
    },
    /// The application said that a user has new credentials, with
    /// [`Auth::credentials_changed`](crate::Auth::credentials_changed), and logins have ended because of it.
    ///
    /// If it does not say so, the login of each browser ends at its next request, with
    /// [`LoginEnded`](Self::LoginEnded) and the reason [`EndReason::SessionHashChanged`].
    CredentialsChanged {
        /// The user, with the new credentials.
        user: EventUser<'a>,
        /// How many logins ended. The login of the request is among them if it does not continue.
        logins: u64,
        /// The login of the request.
        login: Option<EventLogin<'a>>,
        /// The login of the request as later events name it; `None` if it does not continue.
        continues: Option<EventLogin<'a>>,
    },
    /// The application ended logins with [`Logins`](crate::logins::Logins), outside of any request. It goes to
    /// the log, and to the subscribers of
    /// [`on_maintenance`](crate::config::LoginManagerBuilder::on_maintenance).
    LoginsRevoked {
        /// The name of the user type; `None` if the logins of all users ended.
        user_type: Option<&'a str>,
        /// The user's id as JSON; `None` if the logins of all users ended.
        user_id: Option<&'a str>,
        /// How many logins ended.
        logins: u64,
        /// The login that ended, if the application chose one.
        login: Option<EventLogin<'a>>,
    },
    /// An [`AuditTrail`](crate::audit_trail::AuditTrail) could not store events. It goes to the log, to the trail as soon as the trail works
    /// again, and to the subscribers of
    /// [`on_maintenance`](crate::config::LoginManagerBuilder::on_maintenance).
    EventsLost {
        /// How many.
        events: u64,
    },
    /// A remember cookie was invalid and is being cleared.
    RememberCookieRefused {
        /// Why.
        reason: EndReason,
        /// The name of the user type.
        user_type: &'a str,
        /// The user's id as JSON; `None` if the cookie proves nothing.
        user_id: Option<&'a str>,
        /// The login that it would have restored; `None` if the cookie proves nothing, or without a login
        /// store.
        login: Option<EventLogin<'a>>,
    },
    /// A remember token was presented that its browser had already replaced: somebody has a copy. The
    /// family of tokens has ended, and with it all logins that it restored.
    RememberTokenReused {
        /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
        user_type: &'a str,
        /// The user's id as JSON.
        user_id: &'a str,
        /// The login; `None` without a login store.
        login: Option<EventLogin<'a>>,
    },
    /// Under [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default), a request came to a route
    /// that does not declare who may reach it, or with a method that no route takes, which looks the
    /// same. Reported once for each method and pattern.
    UndeclaredRoute {
        /// The pattern that the path matches, such as `/users/{id}`.
        pattern: &'a str,
        /// The middleware between the login manager and the routes that may hide what the route declares,
        /// as far as it is known.
        middleware: Option<&'a str>,
    },
    /// Under [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default), a user who is logged
    /// in came to a route whose declaration was hidden by middleware, so that anonymous clients are refused
    /// there. Reported once for each method and pattern.
    HiddenRoute {
        /// The pattern of the route, such as `/users/{id}`.
        pattern: &'a str,
        /// The middleware, as far as it is known.
        middleware: Option<&'a str>,
    },
    /// A loader, the login store or a permission check failed; the client got a 503.
    LoadFailed {
        /// The error, with what caused it.
        error: &'a LoadError,
    },
}

/// Why a log in, or the confirmation of a login, was refused.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq)]
#[display("{}", self.name())]
#[non_exhaustive]
pub enum LogInRefusal {
    /// The user is not active.
    Inactive,
    /// The user has as many logins as [`MaxLogins::Refuse`](crate::store::MaxLogins::Refuse) allows.
    TooManyLogins,
    /// There is no login to confirm.
    NotLoggedIn,
    /// The credentials are those of another user than the one who is logged in.
    OtherUser,
}

impl LogInRefusal {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::TooManyLogins => "too_many_logins",
            Self::NotLoggedIn => "not_logged_in",
            Self::OtherUser => "other_user",
        }
    }

    /// The refusal that an error stands for. `None` if the error is no decision about the user.
    pub(crate) fn of(error: &LoginError) -> Option<Self> {
        Some(match error {
            LoginError::Inactive => Self::Inactive,
            LoginError::TooManyLogins => Self::TooManyLogins,
            LoginError::NotLoggedIn => Self::NotLoggedIn,
            LoginError::OtherUser => Self::OtherUser,
            _ => return None,
        })
    }
}

/// Why other logins of a user ended.
#[derive(Clone, Copy, Debug, Display, PartialEq, Eq)]
#[display("{}", self.name())]
#[non_exhaustive]
pub enum LoginsEndReason {
    /// The user chose this one, in a list of devices.
    Chosen,
    /// The user ended all but the current one.
    Others,
    /// The user logged in, and has no more logins than
    /// [`MaxLogins::EndOldest`](crate::store::MaxLogins::EndOldest) allows.
    Limit,
}

impl LoginsEndReason {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Others => "others",
            Self::Limit => "limit",
        }
    }
}

/// The user an event is about.
#[derive(Clone, Copy, Debug)]
#[debug("EventUser {{ type: {:?}, id: {:?} }}", self.user_type(), self.id())]
pub struct EventUser<'a> {
    user_type: &'a UserType,
    user: &'a dyn Any,
}

impl<'a> EventUser<'a> {
    pub(crate) fn new(user_type: &'a UserType, user: &'a dyn Any) -> Self {
        Self { user_type, user }
    }

    /// The user, if it is of this type.
    pub fn get<U: 'static>(&self) -> Option<&'a U> {
        self.user.downcast_ref()
    }

    /// The user's id as JSON.
    pub fn id(&self) -> String {
        self.user_type.loader.id(self.user).unwrap_or_default()
    }

    /// The name of the user type. It starts with the realm and a slash, if the manager has a realm.
    pub fn user_type(&self) -> &'a str {
        &self.user_type.name
    }
}

impl LoginEvent<'_> {
    /// The event's name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "logged_in",
            Self::LogInRefused { .. } => "log_in_refused",
            Self::ConfirmationRefused { .. } => "confirmation_refused",
            Self::PasswordRefused { .. } => "password_refused",
            Self::AttemptRefused { .. } => "attempt_refused",
            Self::Throttled { .. } => "throttled",
            Self::LoggedOut { .. } => "logged_out",
            Self::LoadedFromCookie { .. } => "loaded_from_cookie",
            Self::LoadedFromRequest { .. } => "loaded_from_request",
            Self::LoginConfirmed { .. } => "login_confirmed",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NeedsRefresh { .. } => "needs_refresh",
            Self::Forbidden { .. } => "forbidden",
            Self::CrossSiteRefused { .. } => "cross_site_refused",
            Self::SessionProtected { .. } => "session_protected",
            Self::Accessed => "accessed",
            Self::LoginEnded { .. } => "login_ended",
            Self::LoginsEnded { .. } => "logins_ended",
            Self::CredentialsChanged { .. } => "credentials_changed",
            Self::LoginsRevoked { .. } => "logins_revoked",
            Self::EventsLost { .. } => "events_lost",
            Self::RememberCookieRefused { .. } => "remember_cookie_refused",
            Self::RememberTokenReused { .. } => "remember_token_reused",
            Self::UndeclaredRoute { .. } => "undeclared_route",
            Self::HiddenRoute { .. } => "hidden_route",
            Self::LoadFailed { .. } => "load_failed",
        }
    }

    /// The user the event is about, if it is about one.
    pub fn user(&self) -> Option<EventUser<'_>> {
        match self {
            Self::LoggedIn { user, .. }
            | Self::LogInRefused { user, .. }
            | Self::ConfirmationRefused { user, .. }
            | Self::CredentialsChanged { user, .. }
            | Self::LoadedFromCookie { user, .. }
            | Self::LoadedFromRequest { user }
            | Self::LoginConfirmed { user, .. } => Some(*user),
            Self::LoggedOut { user, .. }
            | Self::PasswordRefused { user, .. }
            | Self::LoginsEnded { user, .. }
            | Self::Unauthorized { user, .. }
            | Self::NeedsRefresh { user, .. }
            | Self::Forbidden { user, .. } => *user,
            _ => None,
        }
    }

    /// The name of the type of the user that the event is about, if it is known. It starts with the realm and
    /// a slash, if the manager has a realm.
    pub fn user_type(&self) -> Option<&str> {
        match self {
            Self::LoggedOut { user_type, .. }
            | Self::SessionProtected { user_type, .. }
            | Self::LoginEnded { user_type, .. }
            | Self::RememberCookieRefused { user_type, .. }
            | Self::RememberTokenReused { user_type, .. } => Some(user_type),
            Self::LoginsRevoked { user_type, .. } => *user_type,
            _ => self.user().map(|user| user.user_type.name.as_str()),
        }
    }

    /// The id, as JSON, of the user that the event is about, if it is known.
    pub fn user_id(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::LoggedOut {
                user: None,
                user_id,
                ..
            }
            | Self::SessionProtected { user_id, .. }
            | Self::LoginEnded { user_id, .. }
            | Self::LoginsRevoked { user_id, .. }
            | Self::RememberCookieRefused { user_id, .. } => user_id.map(Cow::Borrowed),
            Self::RememberTokenReused { user_id, .. } => Some(Cow::Borrowed(user_id)),
            _ => self.user().map(|user| Cow::Owned(user.id())),
        }
    }

    /// The name of the login that the event is about. `None` if there is none, or without a login store.
    pub fn login(&self) -> Option<LoginHash> {
        let login = match self {
            Self::LoggedIn { login, .. }
            | Self::LoggedOut { login, .. }
            | Self::LoadedFromCookie { login, .. }
            | Self::LoginConfirmed { login, .. }
            | Self::Unauthorized { login, .. }
            | Self::NeedsRefresh { login, .. }
            | Self::Forbidden { login, .. }
            | Self::SessionProtected { login, .. }
            | Self::LoginEnded { login, .. }
            | Self::LoginsEnded { login, .. }
            | Self::LoginsRevoked { login, .. }
            | Self::ConfirmationRefused { login, .. }
            | Self::CredentialsChanged { login, .. }
            | Self::RememberCookieRefused { login, .. }
            | Self::RememberTokenReused { login, .. } => *login,
            _ => None,
        };
        login?.hash()
    }

    /// Writes the event to the log. There is no request if the application ends logins by itself.
    pub(crate) fn log(&self, request: Option<&HttpRequest>) {
        let event = self.name();
        let user_type = self.user_type();
        // Called inside the macros, which evaluate it only if the log takes the event: it allocates.
        let id = || self.user_id().map(Cow::into_owned);
        let address = || Some(client_address(request?)?.to_string());
        let user_agent = || request.and_then(user_agent);
        let login = || self.login().map(|hash| hash.to_string());
        let hash = |login: &Option<EventLogin<'_>>| Some(login.as_ref()?.hash()?.to_string());
        match self {
            Self::Accessed | Self::LoadedFromRequest { .. } => {
                tracing::trace!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id());
            }
            Self::LoggedIn {
                method,
                remembered,
                new_client,
                ..
            } => {
                let reason = method.name();
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason, remembered, new_client);
            }
            Self::LoggedOut { .. }
            | Self::LoadedFromCookie { .. }
            | Self::LoginConfirmed { .. } => {
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login());
            }
            Self::LoginsRevoked { logins, .. } => {
                tracing::info!(target: "login", event, user_type, user = id(), login = login(), logins);
            }
            Self::PasswordRefused {
                account,
                reason,
                problem,
                ..
            } => {
                let reason = reason.name();
                match problem {
                    None => {
                        tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), account, reason);
                    }
                    Some(problem) => {
                        tracing::error!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), account, reason, "{problem}");
                    }
                }
            }
            Self::AttemptRefused { purpose, account } => {
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, purpose, account);
            }
            Self::Throttled {
                purpose,
                account,
                by,
                retry_after,
            } => {
                tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, purpose, account, reason = by.name(), retry_after);
            }
            Self::LogInRefused { reason, .. } | Self::ConfirmationRefused { reason, .. } => {
                tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason = reason.name());
            }
            Self::Unauthorized { reason, .. } | Self::NeedsRefresh { reason, .. } => {
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason = reason.name());
            }
            Self::Forbidden { condition, .. } => {
                let asked = condition.map(ToString::to_string);
                tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason = asked);
            }
            Self::CrossSiteRefused {
                reason,
                origin,
                pattern,
                middleware,
            } => {
                let reason = reason.name();
                match middleware {
                    None => {
                        tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, reason, origin, pattern);
                    }
                    Some(middleware) => {
                        tracing::warn!(
                            target: "login", address = address(), user_agent = user_agent(), event, reason, origin, pattern, middleware,
                            "if this route is declared with `cross_site`, middleware hides that by awaiting something \
                             before it calls the routes: wrap that middleware in `routes_behind(..)`, or wrap it around \
                             the login manager"
                        );
                    }
                }
            }
            Self::SessionProtected { mode, .. } => {
                tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason = ?mode);
            }
            Self::LoginEnded {
                reason: EndReason::Replaced,
                ..
            } => {
                let reason = EndReason::Replaced.name();
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason);
            }
            Self::LoginEnded { reason, .. } | Self::RememberCookieRefused { reason, .. } => {
                tracing::warn!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason = reason.name());
            }
            Self::LoginsEnded {
                reason,
                logins,
                ended,
                ..
            } => {
                let reason = reason.name();
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), reason, ended = hash(ended), logins);
            }
            Self::CredentialsChanged {
                logins, continues, ..
            } => {
                tracing::info!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login(), continues = hash(continues), logins);
            }
            Self::EventsLost { events } => {
                tracing::error!(target: "login", event, events);
            }
            Self::RememberTokenReused { .. } => {
                tracing::error!(target: "login", address = address(), user_agent = user_agent(), event, user_type, user = id(), login = login());
            }
            Self::UndeclaredRoute {
                pattern,
                middleware: Some(middleware),
            } => {
                tracing::warn!(
                    target: "login", address = address(), user_agent = user_agent(), event, pattern, middleware,
                    "anonymous clients are refused at this pattern; if its route has `#[login_required]` or \
                     `#[public]`, middleware hides them by awaiting something before it calls the routes: wrap \
                     that middleware in `routes_behind(..)`, or wrap it around the login manager"
                );
            }
            Self::HiddenRoute {
                pattern,
                middleware,
            } => {
                tracing::error!(
                    target: "login", address = address(), user_agent = user_agent(), event, pattern, middleware,
                    "this route declares who may reach it, but middleware between the login manager and the \
                     route awaits something before it calls the route, which hides the declaration, so anonymous \
                     clients are refused; wrap that middleware in `routes_behind(..)`, or wrap it around the \
                     login manager"
                );
            }
            Self::UndeclaredRoute {
                pattern,
                middleware: None,
            } => {
                tracing::warn!(
                    target: "login", address = address(), user_agent = user_agent(), event, pattern,
                    "a route under this pattern declares nothing, or none takes the method, so anonymous \
                     clients are refused; to declare a route, put `#[login_required]` or `#[public]` above \
                     its `#[get(..)]`, or `.wrap(public())` around the route, resource or scope"
                );
            }
            Self::LoadFailed { error } => {
                tracing::error!(target: "login", address = address(), user_agent = user_agent(), event, reason = error.reason());
            }
        }
    }
}

/// The start of the client's `User-Agent` header. The client chooses it, so everything but printable ASCII
/// is escaped: it cannot look like another line, or change how the line is shown.
pub(crate) fn user_agent(request: &HttpRequest) -> Option<String> {
    let agent = request.headers().get(header::USER_AGENT)?;
    Some(shown(agent.as_bytes()))
}

/// The start of a text that the client chooses, as a log can show it.
pub(crate) fn shown(text: &[u8]) -> String {
    let start = text.get(..MAX_AGENT).unwrap_or(text);
    start.escape_ascii().to_string()
}
