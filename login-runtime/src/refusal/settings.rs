//! How a manager refuses: views, `next`, messages and handlers of the application.

use std::{future::Future, pin::Pin};

use actix_web::{HttpRequest, HttpResponse, Responder};

use crate::http::escape::QUERY_VALUE;
use crate::{
    error::{BuildError, Causes, LoadError},
    http::{Origin, View},
};

/// Flask-Login's message for the login view.
const LOGIN_MESSAGE: &str = "Please log in to access this page.";

/// Flask-Login's message for the refresh view.
const REFRESH_MESSAGE: &str = "Please reauthenticate to access this page.";

/// An answer of the application that has to be awaited.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// The application's handler for refused clients.
pub(crate) type Handler = Box<dyn Fn(&HttpRequest) -> ResponseFuture + Send + Sync>;

type Localize = Box<dyn Fn(&HttpRequest, &str) -> String + Send + Sync>;

type FlashHook = Box<dyn Fn(&HttpRequest, Flash<'_>) + Send + Sync>;

pub(crate) type LoadFailed = Box<dyn Fn(&HttpRequest, &LoadError) -> HttpResponse + Send + Sync>;

/// A message for a refused client, which the next page shows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Flash<'a> {
    /// The message, translated if there is a [`localize`](crate::config::LoginManagerBuilder::localize) hook.
    pub text: &'a str,
    /// Its category, `message` by default.
    pub category: &'a str,
}

/// A message in the settings.
pub(crate) struct Message {
    pub(crate) text: Option<String>,
    pub(crate) category: String,
}

/// The settings for refusals.
pub(crate) struct RefusalSettings {
    pub(crate) login_view: Option<View>,
    pub(crate) refresh_view: Option<View>,
    pub(crate) next_field: String,
    /// The name of the query parameter as an address has it, and `=`.
    pub(crate) next_parameter: Vec<u8>,
    pub(crate) session_for_next: bool,
    pub(crate) next_for_all_methods: bool,
    pub(crate) force_host: Option<String>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) any_host: bool,
    pub(crate) login_message: Message,
    pub(crate) refresh_message: Message,
    pub(crate) localize: Option<Localize>,
    pub(crate) flash: Option<FlashHook>,
    pub(crate) unauthorized: Option<Handler>,
    pub(crate) needs_refresh: Option<Handler>,
    pub(crate) forbidden: Option<Handler>,
    pub(crate) load_failed: Option<LoadFailed>,
}

impl Default for RefusalSettings {
    fn default() -> Self {
        let message = |text: &str| Message {
            text: Some(text.to_owned()),
            category: "message".to_owned(),
        };
        Self {
            login_view: None,
            refresh_view: None,
            next_field: "next".to_owned(),
            next_parameter: b"next=".to_vec(),
            session_for_next: false,
            next_for_all_methods: false,
            force_host: None,
            origins: Vec::new(),
            any_host: false,
            login_message: message(LOGIN_MESSAGE),
            refresh_message: message(REFRESH_MESSAGE),
            localize: None,
            flash: None,
            unauthorized: None,
            needs_refresh: None,
            forbidden: None,
            load_failed: None,
        }
    }
}

impl RefusalSettings {
    pub(crate) fn set_next_field(&mut self, name: String) {
        self.next_parameter.clear();
        QUERY_VALUE.push(&mut self.next_parameter, &name);
        self.next_parameter.push(b'=');
        self.next_field = name;
    }

    /// Checks for settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        let refuse = |name, why| Err(BuildError::Setting { name, why });
        if self.next_field.is_empty() {
            return refuse(
                "next_field",
                "is empty; name a query parameter, such as `next`",
            );
        }
        if let Some(host) = &self.force_host
            && (Origin::parse(&format!("http://{host}")).is_err()
                || host.contains(['/', '@', '?', '#', '\\']))
        {
            return refuse(
                "force_host_for_redirects",
                "is not a host; write `example.com` or `example.com:8080`",
            );
        }
        Ok(())
    }
}

/// Erases the types of a handler.
pub(crate) fn erase_handler<F, Fut, R>(handler: F) -> Handler
where
    F: Fn(HttpRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + 'static,
    R: Responder + 'static,
{
    Box::new(move |request| {
        let response = handler(request.clone());
        let request = request.clone();
        Box::pin(async move {
            let response = response.await.respond_to(&request).map_into_boxed_body();
            log_failure(&response);
            response
        })
    })
}

/// Logs why a handler of the application failed. Nobody else sees its error.
fn log_failure(response: &HttpResponse) {
    let Some(error) = response.error() else {
        return;
    };
    if !response.status().is_server_error() {
        return;
    }
    let reason = match error.as_error::<Box<dyn std::error::Error>>() {
        Some(error) => Causes(&**error).to_string(),
        None => error.to_string().escape_debug().to_string(),
    };
    tracing::error!(target: "login", event = "handler_failed", reason);
}

/// Sends a message through `actix-web-flash-messages`.
#[cfg(feature = "flash-messages")]
pub(crate) fn send_flash_message(flash: Flash<'_>) {
    use actix_web_flash_messages::{FlashMessage, Level};
    let level = match flash.category {
        "debug" => Level::Debug,
        "success" => Level::Success,
        "warning" => Level::Warning,
        "error" => Level::Error,
        _ => Level::Info,
    };
    FlashMessage::new(flash.text.to_owned(), level).send();
}
