//! Events as an audit trail stores them.

use std::borrow::Cow;

use actix_web::HttpRequest;
use serde_json::{Map, Value};

use crate::{
    events::{EventLogin, LoginEvent, user_agent},
    http::proxies::client_address,
    store::event_sink::EventRecord,
};

/// Whether a client can cause as many of these events as it wants: refusals. `None` if an audit trail does not
/// store the event.
pub(crate) fn kind(event: &LoginEvent<'_>) -> Option<bool> {
    Some(match event {
        // The log has these. They are many, about no user, or errors of the application.
        LoginEvent::Accessed
        | LoginEvent::CrossSiteRefused { .. }
        | LoginEvent::LoadedFromRequest { .. }
        | LoginEvent::LoadFailed { .. }
        | LoginEvent::UndeclaredRoute { .. }
        | LoginEvent::HiddenRoute { .. }
        | LoginEvent::EventsLost { .. } => return None,
        LoginEvent::Unauthorized { user, .. } => {
            user.as_ref()?;
            true
        }
        LoginEvent::RememberCookieRefused { user_id, login, .. } => {
            if user_id.is_none() && login.is_none() {
                return None;
            }
            true
        }
        LoginEvent::PasswordRefused { .. }
        | LoginEvent::AttemptRefused { .. }
        | LoginEvent::Throttled { .. }
        | LoginEvent::NeedsRefresh { .. }
        | LoginEvent::Forbidden { .. } => true,
        _ => false,
    })
}

/// An event as it is stored, without an id.
pub(crate) fn record(
    event: &LoginEvent<'_>,
    request: Option<&HttpRequest>,
    at: i64,
) -> EventRecord {
    let mut details = Map::new();
    let mut note = |name: &str, value: Value| {
        if !value.is_null() {
            details.insert(name.to_owned(), value);
        }
    };
    let hash = |login: &Option<EventLogin<'_>>| {
        let hash = login.as_ref().and_then(|login| login.hash());
        Value::from(hash.map(|hash| hash.to_string()))
    };
    let mut hashed_account = None;
    let mut why = None;
    match event {
        LoginEvent::LoggedIn {
            method,
            remembered,
            new_client,
            ..
        } => {
            why = Some(Cow::Borrowed(method.name()));
            note("remembered", Value::from(*remembered));
            note("new_client", Value::from(*new_client));
        }
        LoginEvent::LogInRefused { reason, .. }
        | LoginEvent::ConfirmationRefused { reason, .. } => {
            why = Some(Cow::Borrowed(reason.name()));
        }
        LoginEvent::PasswordRefused {
            account, reason, ..
        } => {
            hashed_account = Some((*account).to_owned());
            why = Some(Cow::Borrowed(reason.name()));
        }
        LoginEvent::AttemptRefused { purpose, account } => {
            hashed_account = Some((*account).to_owned());
            note("purpose", Value::from(*purpose));
        }
        LoginEvent::Throttled {
            purpose,
            account,
            by,
            retry_after,
        } => {
            hashed_account = Some((*account).to_owned());
            why = Some(Cow::Borrowed(by.name()));
            note("purpose", Value::from(*purpose));
            note("retry_after", Value::from(*retry_after));
        }
        LoginEvent::Unauthorized { reason, .. } | LoginEvent::NeedsRefresh { reason, .. } => {
            why = Some(Cow::Borrowed(reason.name()));
        }
        LoginEvent::Forbidden { condition, .. } => {
            why = condition.map(|condition| Cow::Owned(condition.to_string()));
        }
        LoginEvent::SessionProtected { mode, .. } => why = Some(Cow::Owned(format!("{mode:?}"))),
        LoginEvent::LoginEnded { reason, .. }
        | LoginEvent::RememberCookieRefused { reason, .. } => {
            why = Some(Cow::Borrowed(reason.name()));
        }
        LoginEvent::LoginsEnded {
            reason,
            logins,
            ended,
            ..
        } => {
            why = Some(Cow::Borrowed(reason.name()));
            note("logins", Value::from(*logins));
            note("ended", hash(ended));
        }
        LoginEvent::CredentialsChanged {
            logins, continues, ..
        } => {
            note("logins", Value::from(*logins));
            note("continues", hash(continues));
        }
        LoginEvent::LoginsRevoked { logins, .. } => note("logins", Value::from(*logins)),
        LoginEvent::EventsLost { events } => note("events", Value::from(*events)),
        _ => {}
    }
    EventRecord {
        id: [0; 16],
        at,
        event: Cow::Borrowed(event.name()),
        user_type: event.user_type().map(str::to_owned),
        user_id: event.user_id().map(Cow::into_owned),
        login: event.login().map(|hash| hash.to_string()),
        account: hashed_account,
        address: request
            .and_then(client_address)
            .map(|address| address.to_string()),
        user_agent: request.and_then(user_agent),
        reason: why,
        details,
    }
}
