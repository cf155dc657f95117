//! The configuration that the kit hands in.

use std::collections::HashMap;

use serde::Deserialize;

/// One configuration of the subject; what is absent has its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) secret: String,
    pub(crate) session_cookie_name: String,
    pub(crate) permanent_session: bool,
    pub(crate) permanent_session_lifetime: i64,
    pub(crate) session_protection: Protection,
    pub(crate) login_view: Option<String>,
    pub(crate) refresh_view: Option<String>,
    pub(crate) scope_login_views: HashMap<String, Option<String>>,
    pub(crate) login_message: Option<String>,
    pub(crate) login_message_category: String,
    pub(crate) refresh_message: Option<String>,
    pub(crate) refresh_message_category: String,
    pub(crate) localize: bool,
    pub(crate) use_session_for_next: bool,
    pub(crate) force_host_for_redirects: Option<String>,
    pub(crate) remember_cookie_name: String,
    pub(crate) remember_cookie_duration: u64,
    pub(crate) remember_cookie_domain: Option<String>,
    pub(crate) remember_cookie_path: String,
    pub(crate) remember_cookie_secure: bool,
    pub(crate) remember_cookie_httponly: bool,
    pub(crate) remember_cookie_samesite: Option<Site>,
    pub(crate) remember_cookie_refresh_each_request: bool,
    pub(crate) unauthorized_handler: bool,
    pub(crate) needs_refresh_handler: bool,
    pub(crate) user_loader: bool,
    pub(crate) request_loader: bool,
    pub(crate) custom_anonymous: bool,
    pub(crate) allowed_hosts: Vec<String>,
}

/// A mode of session protection.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protection {
    None,
    Basic,
    Strong,
}

/// A value of SameSite.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum Site {
    Lax,
    Strict,
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: "a secret for the conformance kit, and long enough to derive keys from it"
                .to_owned(),
            session_cookie_name: "session".to_owned(),
            permanent_session: false,
            permanent_session_lifetime: 2_678_400,
            session_protection: Protection::Basic,
            login_view: None,
            refresh_view: None,
            scope_login_views: HashMap::new(),
            login_message: Some("Please log in to access this page.".to_owned()),
            login_message_category: "message".to_owned(),
            refresh_message: Some("Please reauthenticate to access this page.".to_owned()),
            refresh_message_category: "message".to_owned(),
            localize: false,
            use_session_for_next: false,
            force_host_for_redirects: None,
            remember_cookie_name: "remember_token".to_owned(),
            remember_cookie_duration: 31_536_000,
            remember_cookie_domain: None,
            remember_cookie_path: "/".to_owned(),
            remember_cookie_secure: false,
            remember_cookie_httponly: true,
            remember_cookie_samesite: None,
            remember_cookie_refresh_each_request: false,
            unauthorized_handler: false,
            needs_refresh_handler: false,
            user_loader: true,
            request_loader: false,
            custom_anonymous: false,
            allowed_hosts: Vec::new(),
        }
    }
}
