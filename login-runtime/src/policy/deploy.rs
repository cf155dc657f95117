//! The check before a deployment.

use std::{fmt, sync::Arc};

use actix_session::storage::SessionStore;
use derive_more::Debug;

#[cfg(feature = "audit")]
use crate::routes::audit::Audit;
use crate::{
    manager::{LoginManager, Manager},
    policy::{
        finding::{Finding, Severity},
        weaknesses::weaknesses,
    },
};

/// All codes, so that a misspelled one is noticed.
const CODES: &[&str] = &[
    "any-host",
    "any-number-of-logins",
    "client-identity",
    "cookie-domain",
    "cookie-name",
    "cookie-path",
    "cookie-same-site-missing",
    "cookie-same-site-none",
    "cookie-script-readable",
    "exempt-options",
    "fresh-for-the-session",
    "get-log-out",
    "http-origin",
    "http-trusted-origin",
    "insecure-cookies",
    "key-made-at-start",
    "limits-beyond-aal1",
    "long-cached-logins",
    "memory-login-store",
    "memory-throttle",
    "no-cross-site-check",
    "no-deny-by-default",
    "no-idle-limit",
    "no-resource-policy",
    "no-session-hash",
    "no-throttle",
    "same-site-allowed",
    "session-middleware-key",
    "session-only",
    "session-protection",
    "undeclared-route",
    "unknown-code",
    "view-leads-nowhere",
];

impl<S: SessionStore> LoginManager<S> {
    /// Lists the settings that should not go live, as Django's `check --deploy` does.
    ///
    /// Call it in a test, on the manager that `main` builds for production.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, BuildError, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64, #[auth(password_hash)] hash: String }
    ///
    /// /// As `main` calls it.
    /// fn login_manager(key: Key) -> Result<LoginManager, BuildError> {
    ///     LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id, hash: String::new() })) })
    ///         .login_store(MemoryLoginStore::new())
    ///         .deny_by_default()
    ///         .build(key)
    /// }
    ///
    /// # fn main() -> Result<(), BuildError> {
    /// let check = login_manager(Key::generate())?
    ///     .check_deploy()
    ///     // Built again, as after a restart.
    ///     .after_restart(&login_manager(Key::generate())?);
    /// let codes: Vec<_> = check.findings().map(|finding| finding.code).collect();
    /// assert_eq!(codes, ["memory-login-store", "key-made-at-start"]);
    ///
    /// // With a reason, a finding can be allowed.
    /// let check = check.allow("memory-login-store").allow("key-made-at-start");
    /// assert_eq!(check.to_string(), "");
    /// # Ok(())
    /// # }
    /// ```
    pub fn check_deploy(&self) -> DeployCheck {
        let found = weaknesses(&self.manager).into_iter();
        let mut not_checked = Vec::new();
        if self.manager.facts.session_cookie.is_none() {
            not_checked
                .push("the session cookie: the application's own `SessionMiddleware` sets it");
        }
        let mut users = self.manager.users.iter();
        if users.any(|user| user.loader.has_session_hash().is_none()) {
            not_checked.push(
                "session hashes: a user type implements `AuthUser` by hand or is an enum; set `HAS_SESSION_HASH`",
            );
        }
        DeployCheck {
            findings: found.map(|weakness| weakness.finding).collect(),
            allowed: Vec::new(),
            not_checked,
            is_key_checked: false,
            are_routes_checked: false,
            manager: Arc::clone(&self.manager),
        }
    }
}

/// What a login manager's settings should not be in production; made by
/// [`LoginManager::check_deploy`].
///
/// `Display` writes one line for each finding, and nothing if there is none.
#[derive(Clone, Debug)]
#[debug("DeployCheck({findings:?})")]
pub struct DeployCheck {
    findings: Vec<Finding>,
    allowed: Vec<String>,
    not_checked: Vec<&'static str>,
    is_key_checked: bool,
    are_routes_checked: bool,
    manager: Arc<Manager>,
}

impl DeployCheck {
    /// Does not report findings with this code. A code that does not exist is a finding itself.
    #[must_use]
    pub fn allow(mut self, code: &str) -> Self {
        if !CODES.contains(&code) {
            self.findings.push(Finding {
                code: "unknown-code",
                severity: Severity::Error,
                what: format!("`{}` is allowed, and is no code", code.escape_debug()),
                follows: "it allows nothing",
                advice: "copy the code from a finding",
            });
        }
        self.allowed.push(code.to_owned());
        self
    }

    /// Compares the key with that of a second manager, which was built in the same way, as after a restart.
    ///
    /// A key that is made at start cannot be told from one that was loaded, but it is another at each start.
    #[must_use]
    pub fn after_restart<S: SessionStore>(mut self, again: &LoginManager<S>) -> Self {
        self.is_key_checked = true;
        if !self.manager.keys.sign_alike(&again.manager.keys) {
            self.findings.push(Finding {
                code: "key-made-at-start",
                severity: Severity::Error,
                what: "the key is another one after a restart".to_owned(),
                follows: "a restart logs out every user, and two processes do not accept each other's cookies",
                advice: "load a key that was made once",
            });
        }
        self
    }

    /// Adds what an audit of the routes has found: views that lead nowhere, and routes that declare nothing.
    #[cfg(feature = "audit")]
    #[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
    #[must_use]
    pub fn routes(mut self, audit: &Audit) -> Self {
        self.are_routes_checked = true;
        for view in audit.broken_views() {
            self.findings.push(Finding {
                code: "view-leads-nowhere",
                severity: Severity::Error,
                what: view.clone(),
                follows: "clients who are sent there cannot log in",
                advice: "add the route, or name another view",
            });
        }
        for route in audit.undeclared() {
            let (method, pattern) = (&route.method, &route.pattern);
            self.findings.push(Finding {
                code: "undeclared-route",
                severity: Severity::Warning,
                what: format!("the route `{method} {pattern}` does not declare who may reach it"),
                follows: "nobody can tell whether its guard was forgotten",
                advice: "add `#[login_required]` or `#[public]`",
            });
        }
        self
    }

    /// The findings that are not allowed: those of the settings first, always in the same order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let is_allowed = |finding: &&Finding| self.allowed.iter().any(|code| code == finding.code);
        self.findings
            .iter()
            .filter(move |finding| !is_allowed(finding))
    }

    /// What this check could not look at, and how to let it.
    pub fn not_checked(&self) -> impl Iterator<Item = &'static str> {
        let key = "the key: call `after_restart` with a manager that was built again";
        let routes = "views and routes: call `routes` with an audit (feature `audit`)";
        let key = (!self.is_key_checked).then_some(key);
        let routes = (!self.are_routes_checked).then_some(routes);
        self.not_checked.iter().copied().chain(key).chain(routes)
    }
}

impl fmt::Display for DeployCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings() {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}
