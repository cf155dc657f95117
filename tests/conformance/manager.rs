//! The login manager for a configuration.

use std::{convert::Infallible, env, time::Duration};

use actix_session::{
    SessionExt,
    config::{PersistentSession, SessionLifecycle, TtlExtensionPolicy},
};
use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Key, SameSite, time},
    web::Query,
};
use login_runtime::{
    BuildError, CookieSettings, Limits, LoginManager, MemoryLoginStore, RememberCookie,
    config::{IntoView, SessionProtection, SharedStore, View},
};
use login_tests::sessions::MemorySessions;
use serde_json::json;

use crate::{
    config::{Config, Protection, Site},
    pages,
    world::World,
};

/// Flask-Login ends no login because of its age. 400 days is longer than any scenario.
const NO_LIMIT: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Sets the toolkit up as the configuration says, and otherwise as Flask-Login is.
pub(crate) fn build(
    config: &Config,
    world: &World,
) -> Result<LoginManager<SharedStore<MemorySessions>>, BuildError> {
    let (loads, events) = (world.clone(), world.clone());
    let has_loader = config.user_loader;
    let mut builder = LoginManager::builder(move |key: String| {
        let world = loads.clone();
        // A manager without a loader cannot be written down; one that knows nobody is the same.
        async move { Ok::<_, Infallible>(has_loader.then(|| world.load(&key)).flatten()) }
    })
    .session_store(MemorySessions::without_revival())
    .session_cookie(plain(
        CookieSettings::new().name(&config.session_cookie_name),
    ))
    .session_protection(
        match (config.session_protection, config.permanent_session) {
            (Protection::None, _) => SessionProtection::None,
            // Flask-Login treats permanent sessions so; here it is one setting that says what happens.
            (Protection::Basic, _) | (Protection::Strong, true) => SessionProtection::Basic,
            (Protection::Strong, false) => SessionProtection::Strong,
        },
    )
    .login_message(config.login_message.as_deref())
    .login_message_category(&config.login_message_category)
    .needs_refresh_message(config.refresh_message.as_deref())
    .needs_refresh_message_category(&config.refresh_message_category)
    .flash(|request, flash| pages::flash(&request.get_session(), flash.category, flash.text))
    .remember_cookie(remember_cookie(config))
    .fresh_for_the_session()
    .limits(Limits::new().danger_no_idle_limit().absolute(NO_LIMIT))
    // Stricter by default than Flask-Login.
    .exempt_options()
    .next_for_all_methods()
    .on_event(move |event, _| events.record(event));

    if config.permanent_session {
        let ttl = time::Duration::seconds(config.permanent_session_lifetime);
        // As Flask does it: each response prolongs the session.
        let lifecycle = PersistentSession::default()
            .session_ttl(ttl)
            .session_ttl_extension_policy(TtlExtensionPolicy::OnEveryRequest);
        builder = builder.session_lifecycle(SessionLifecycle::from(lifecycle));
    }
    if let Some(view) = &config.login_view {
        builder = builder.login_view(AnyView(view));
    }
    if let Some(view) = &config.refresh_view {
        builder = builder.refresh_view(AnyView(view));
    }
    if config.localize {
        builder = builder.localize(|_, text| format!("[x] {text}"));
    }
    if config.use_session_for_next {
        builder = builder.use_session_for_next();
    }
    if let Some(host) = &config.force_host_for_redirects {
        builder = builder.force_host_for_redirects(host);
    }
    builder = if config.allowed_hosts.is_empty() {
        builder.danger_any_host()
    } else {
        builder.origins(
            config
                .allowed_hosts
                .iter()
                .map(|host| format!("http://{host}")),
        )
    };
    if config.unauthorized_handler {
        builder = builder.unauthorized_handler(|_| async {
            HttpResponse::Forbidden().json(json!({ "handler": "unauthorized" }))
        });
    }
    if config.needs_refresh_handler {
        builder = builder.needs_refresh_handler(|_| async {
            HttpResponse::Conflict().json(json!({ "handler": "needs_refresh" }))
        });
    }
    if config.request_loader {
        let world = world.clone();
        builder = builder.request_loader(move |request: &HttpRequest| {
            let user = api_key(request).and_then(|key| world.load_from_request(&key));
            async move { Ok::<_, Infallible>(user) }
        });
    }
    // Both kinds of set-up are played: with records, and with the session alone.
    match env::var("LOGIN_STORE").as_deref() {
        Ok("memory") | Err(_) => {
            builder = builder.login_store(MemoryLoginStore::new());
        }
        Ok("none") => builder = builder.session_only(),
        Ok(other) => panic!("LOGIN_STORE is `memory` or `none`, and not `{other}`"),
    }
    builder.build(Key::derive_from(&secret(&config.secret)))
}

/// A view as Flask-Login takes it: a path, a URL, or the name of a route.
pub(crate) struct AnyView<'a>(pub(crate) &'a str);

impl IntoView for AnyView<'_> {
    fn into_view(self) -> Result<View, BuildError> {
        if self.0.starts_with('/') || self.0.contains("://") {
            self.0.into_view()
        } else {
            View::route(self.0).into_view()
        }
    }
}

fn api_key(request: &HttpRequest) -> Option<String> {
    let header = request
        .headers()
        .get("x-api-key")
        .and_then(|key| key.to_str().ok());
    if let Some(key) = header.filter(|key| !key.is_empty()) {
        return Some(key.to_owned());
    }
    let query = Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    query
        .into_inner()
        .into_iter()
        .find(|(name, _)| name == "api_key")
        .map(|(_, key)| key)
}

/// `Key::derive_from` wants 32 bytes at least.
fn secret(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    while bytes.len() < 32 {
        bytes.push(b'.');
    }
    bytes
}

/// The kit speaks http.
fn plain(cookie: CookieSettings) -> CookieSettings {
    cookie.danger_insecure()
}

fn remember_cookie(config: &Config) -> RememberCookie {
    let mut cookie = CookieSettings::new()
        .name(&config.remember_cookie_name)
        .path(&config.remember_cookie_path)
        .same_site(config.remember_cookie_samesite.map(|site| match site {
            Site::Lax => SameSite::Lax,
            Site::Strict => SameSite::Strict,
            Site::None => SameSite::None,
        }));
    if let Some(domain) = &config.remember_cookie_domain {
        cookie = cookie.domain(domain);
    }
    if !config.remember_cookie_secure {
        cookie = plain(cookie);
    }
    if !config.remember_cookie_httponly {
        cookie = cookie.danger_script_readable();
    }
    let mut remember = RememberCookie::new()
        .cookie(cookie)
        .duration(Duration::from_secs(config.remember_cookie_duration));
    if config.remember_cookie_refresh_each_request {
        remember = remember.refresh_each_request();
    }
    remember
}
