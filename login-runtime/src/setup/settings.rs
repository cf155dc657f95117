//! The settings of a login manager while it is being built.
//!
//! The built manager takes over most of them as they are.

use std::{any::TypeId, sync::Arc, time::Duration};

use actix_session::config::SessionLifecycle;
use actix_web::cookie::Key;

use crate::{
    audit_trail::AuditTrail,
    clock::Clock,
    core::{ClientCheck, GuardDefaults, Limits, MaxLogins},
    error::BuildError,
    events::{Events, RouteRules},
    http::{Caching, CookieSettings, CrossSiteCheck, Proxies, RememberCookie},
    refusal::RefusalSettings,
    store::{AnyThrottleStore, DynLoginStore, Throttle},
    users::{Loader, RequestLoader},
};

/// Everything that does not depend on the type of the session store.
#[derive(Default)]
pub(crate) struct Settings {
    /// The loaders of the user types.
    pub(crate) users: Vec<Box<dyn Loader>>,
    /// The name of the application among those that share a secret or a store.
    pub(crate) realm: Option<String>,
    /// The user type of the request loader, the name of that type, and the loader.
    pub(crate) request_loader: Option<(TypeId, &'static str, RequestLoader)>,
    pub(crate) fallback_keys: Vec<Key>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) client: ClientCheck,
    pub(crate) proxies: Proxies,
    pub(crate) remember: RememberCookie,
    pub(crate) session_cookie: Option<CookieSettings>,
    pub(crate) login_cookie: Option<CookieSettings>,
    pub(crate) lifecycle: Option<SessionLifecycle>,
    /// Whether cookies travel over plain http.
    pub(crate) insecure: bool,
    pub(crate) guards: GuardDefaults,
    pub(crate) caching: Caching,
    pub(crate) refusal: RefusalSettings,
    pub(crate) events: Events,
    pub(crate) audit_trail: Option<AuditTrail>,
    /// Whether the application wants no login store.
    pub(crate) session_only: bool,
    pub(crate) login_store: Option<Arc<dyn DynLoginStore>>,
    /// The name of the type of the login store.
    pub(crate) login_store_type: &'static str,
    /// Where the login store counts tries.
    pub(crate) login_store_throttle: Option<AnyThrottleStore>,
    /// How old the answers of the login store may be, if it has a cache.
    pub(crate) login_store_cached_for: Option<Duration>,
    pub(crate) store_deadline: Option<Duration>,
    pub(crate) limits: Option<Limits>,
    pub(crate) max_logins: Option<MaxLogins>,
    /// Whether a user may have any number of logins.
    pub(crate) unlimited_logins: bool,
    pub(crate) routes: RouteRules,
    /// Whether GET requests may end logins.
    pub(crate) get_log_out: bool,
    pub(crate) cross_site: CrossSiteCheck,
    pub(crate) throttle: Throttle,
    /// The first mistake that a setter found.
    pub(crate) error: Option<BuildError>,
}

impl Settings {
    pub(crate) fn new(user_loader: Box<dyn Loader>) -> Self {
        Self {
            users: vec![user_loader],
            ..Self::default()
        }
    }
}
