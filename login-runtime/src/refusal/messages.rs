//! Messages for refused clients, through `actix-web-flash-messages`.
//!
//! A message that is sent inside the middleware of that crate, the framework, reaches the next page. If a
//! client is refused outside the framework, as at an undeclared route when the login manager is around the
//! framework, nothing can be sent. A cookie then says which message is due, and the next page inside the
//! framework finds the message among its own. The cookie contains no text, so a forged cookie can only
//! show a message of the application.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix_web::{HttpMessage as _, HttpRequest};
use actix_web_flash_messages::{FlashMessage, Level, storage::FlashMessageStore};

use crate::{
    http::{SetCookie, cookies},
    refusal::settings::{RefusalKind, RefusalSettings},
};

/// The storage of the framework, in the extensions of a request inside it.
pub(crate) type Framework = Arc<dyn FlashMessageStore>;

/// The framework around a request.
pub(crate) fn framework(request: &HttpRequest) -> Option<Framework> {
    request.extensions().get::<Framework>().cloned()
}

/// Sends a message, or returns the cookie that keeps it for the next page.
pub(super) fn send(
    request: &HttpRequest,
    settings: &RefusalSettings,
    kind: RefusalKind,
    text: &str,
) -> Option<SetCookie> {
    let message = message(settings, kind, text);
    // `send` panics outside the framework. It also does so in a task that a handler has started inside.
    let is_sent =
        framework(request).is_some() && catch_unwind(AssertUnwindSafe(|| message.send())).is_ok();
    (!is_sent).then(|| cookie(settings, value(kind), "60"))
}

/// The message for clients that are redirected to a view.
pub(crate) fn message(settings: &RefusalSettings, kind: RefusalKind, text: &str) -> FlashMessage {
    let level = match &*settings.message(kind).category {
        "debug" => Level::Debug,
        "success" => Level::Success,
        "warning" => Level::Warning,
        "error" => Level::Error,
        _ => Level::Info,
    };
    FlashMessage::new(text.to_owned(), level)
}

/// Which message is due, according to the cookie of a request.
pub(crate) fn due(request: &HttpRequest, settings: &RefusalSettings) -> Option<RefusalKind> {
    let due = cookies::usable(request, name(settings)).next()?;
    [RefusalKind::Unauthorized, RefusalKind::NeedsRefresh]
        .into_iter()
        .find(|kind| value(*kind).as_bytes() == due)
}

/// Removes the cookie from the browser.
pub(crate) fn clear(settings: &RefusalSettings) -> SetCookie {
    cookie(settings, "", "0")
}

fn value(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Unauthorized => "login",
        RefusalKind::NeedsRefresh => "refresh",
    }
}

fn name(settings: &RefusalSettings) -> &'static str {
    if settings.secure {
        "__Host-login-message"
    } else {
        "login-message"
    }
}

fn cookie(settings: &RefusalSettings, value: &str, max_age: &str) -> SetCookie {
    let secure = if settings.secure { "; Secure" } else { "" };
    let attributes = "; Path=/; HttpOnly; SameSite=Lax; Max-Age=";
    SetCookie::new(name(settings), &[value, secure, attributes, max_age])
}
