//! Records the user of a request on its root span, for the feature `tracing-actix-web`.

use actix_web::{HttpMessage as _, HttpRequest};
use tracing_actix_web::RootSpan;

use crate::{
    manager::Manager,
    request::state::RequestUser,
    spans::{LOGIN_HASH, USER_ID, USER_TYPE},
    users::UserType,
};

/// Records a user whom guards let through. A span without the fields does not get them.
pub(crate) fn record(
    request: &HttpRequest,
    manager: &Manager,
    user_type: &UserType,
    user: &RequestUser,
) {
    let span = request.extensions().get::<RootSpan>().cloned();
    let Some(span) = span.filter(|span| user.authenticated && !span.is_disabled()) else {
        return;
    };
    if span.has_field(USER_ID)
        && let Some(id) = user_type.loader.id(&*user.user)
    {
        // An id that is a text is recorded without the quotes and escapes of JSON.
        let text = serde_json::from_str::<String>(&id);
        span.record(USER_ID, text.as_ref().unwrap_or(&id).as_str());
    }
    if span.has_field(USER_TYPE) {
        span.record(USER_TYPE, &*user_type.name);
    }
    if span.has_field(LOGIN_HASH) {
        let login = manager.event_login(user_type, user.login);
        if let Some(hash) = login.and_then(|login| login.hash()) {
            span.record(LOGIN_HASH, hash.to_string());
        }
    }
}
