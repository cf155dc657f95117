//! Counts events, for the feature `metrics`.

use ::metrics::{Key, Label};

use crate::{
    core::{
        SessionProtection, cross_site::CrossSiteReason, freshness::RefusalReason, login::EndReason,
        throttle::ThrottledBy, user::PasswordRefusal,
    },
    events::{LogInRefusal, LoginEvent, LoginsEndReason},
    metrics::{
        ATTEMPTS_REFUSED, CONFIRMATIONS, CONFIRMATIONS_REFUSED, CREDENTIALS_CHANGED, ENDED,
        EVENTS_LOST, LOAD_FAILURES, LOGINS, LOGINS_REFUSED, LOGOUTS, NEW_CLIENTS, OTHER_CLIENTS,
        PASSWORDS_REFUSED, REFUSALS, REMEMBER_COOKIES_REFUSED, REMEMBER_TOKENS_REUSED, THROTTLED,
        count, static_key,
    },
    users::AuthMethod,
};

/// The key of a metric with one label, whose value is the name of this variant. The variants are listed so
/// that the keys are known at compile time.
macro_rules! key_of {
    ($value:expr, $metric:expr, $label:literal, $type:ident: $($variant:ident),+) => {
        match $value {
            $($type::$variant => static_key!($metric, $label => $type::$variant.name()),)+
        }
    };
}

/// Counts an event that says that logins, or tries, came to an end or were refused.
pub(crate) fn event(event: &LoginEvent<'_>) {
    let key = match event {
        LoginEvent::LoggedIn {
            method, new_client, ..
        } => {
            if *new_client == Some(true) {
                count(static_key!(NEW_CLIENTS), 1);
            }
            return log_in(*method);
        }
        LoginEvent::LoadedFromCookie { .. } => static_key!(LOGINS, "method" => "remember"),
        LoginEvent::LogInRefused { reason, .. } => refused_log_in(*reason),
        LoginEvent::ConfirmationRefused { reason, .. } => refused_confirmation(*reason),
        LoginEvent::LoginConfirmed { .. } => static_key!(CONFIRMATIONS),
        LoginEvent::LoggedOut { .. } => static_key!(LOGOUTS),
        LoginEvent::PasswordRefused { reason, .. } => refused_password(*reason),
        LoginEvent::AttemptRefused { .. } => static_key!(ATTEMPTS_REFUSED),
        LoginEvent::Throttled { purpose, by, .. } => throttled(purpose, *by),
        LoginEvent::Unauthorized { reason, .. } | LoginEvent::NeedsRefresh { reason, .. } => {
            refusal(*reason)
        }
        LoginEvent::Forbidden { .. } => refusal(RefusalReason::Forbidden),
        LoginEvent::CrossSiteRefused { reason, .. } => cross_site(*reason),
        LoginEvent::SessionProtected { mode, .. } => match mode {
            SessionProtection::Basic => static_key!(OTHER_CLIENTS, "mode" => "basic"),
            SessionProtection::Strong => static_key!(OTHER_CLIENTS, "mode" => "strong"),
            // Then nothing looks at the client.
            SessionProtection::None => return,
        },
        LoginEvent::LoginEnded { reason, .. } => ended(*reason),
        LoginEvent::LoginsEnded { reason, logins, .. } => {
            return count(ended_others(*reason), *logins);
        }
        LoginEvent::CredentialsChanged { logins, .. } => {
            count(
                static_key!(ENDED, "reason" => "credentials_changed"),
                *logins,
            );
            static_key!(CREDENTIALS_CHANGED)
        }
        LoginEvent::LoginsRevoked { logins, .. } => {
            return count(static_key!(ENDED, "reason" => "by_application"), *logins);
        }
        LoginEvent::RememberCookieRefused { reason, .. } => refused_cookie(*reason),
        LoginEvent::RememberTokenReused { .. } => static_key!(REMEMBER_TOKENS_REUSED),
        LoginEvent::LoadFailed { .. } => static_key!(LOAD_FAILURES),
        LoginEvent::EventsLost { events } => return count(static_key!(EVENTS_LOST), *events),
        // The first two belong to each request, and the others are about the application and not about use.
        LoginEvent::Accessed
        | LoginEvent::LoadedFromRequest { .. }
        | LoginEvent::UndeclaredRoute { .. }
        | LoginEvent::HiddenRoute { .. } => return,
    };
    count(key, 1);
}

fn log_in(method: AuthMethod) {
    match method {
        AuthMethod::Password => count(static_key!(LOGINS, "method" => "password"), 1),
        AuthMethod::Trusted(reason) => {
            let labels = vec![Label::from_static_parts("method", reason)];
            count(&Key::from_parts(LOGINS, labels), 1);
        }
    }
}

fn refused_log_in(reason: LogInRefusal) -> &'static Key {
    key_of!(
        reason, LOGINS_REFUSED, "reason", LogInRefusal:
        Inactive, TooManyLogins, NotLoggedIn, OtherUser
    )
}

fn refused_confirmation(reason: LogInRefusal) -> &'static Key {
    key_of!(
        reason, CONFIRMATIONS_REFUSED, "reason", LogInRefusal:
        Inactive, TooManyLogins, NotLoggedIn, OtherUser
    )
}

fn ended_others(reason: LoginsEndReason) -> &'static Key {
    key_of!(reason, ENDED, "reason", LoginsEndReason: Chosen, Others, Limit)
}

fn refusal(reason: RefusalReason) -> &'static Key {
    key_of!(
        reason, REFUSALS, "reason", RefusalReason:
        Anonymous, Inactive, Forbidden, CrossSite, Stale, Asked
    )
}

fn cross_site(reason: CrossSiteReason) -> &'static Key {
    key_of!(
        reason, REFUSALS, "reason", CrossSiteReason:
        SameSite, CrossSite, UnknownSite, OtherOrigin, NullOrigin, UnknownOrigin
    )
}

fn ended(reason: EndReason) -> &'static Key {
    key_of!(
        reason, ENDED, "reason", EndReason:
        Invalid, UserGone, Inactive, SessionHashChanged, Ended, Idle, Expired, Replaced
    )
}

fn refused_cookie(reason: EndReason) -> &'static Key {
    key_of!(
        reason, REMEMBER_COOKIES_REFUSED, "reason", EndReason:
        Invalid, UserGone, Inactive, SessionHashChanged, Ended, Idle, Expired, Replaced
    )
}

fn refused_password(reason: PasswordRefusal) -> &'static Key {
    key_of!(
        reason, PASSWORDS_REFUSED, "reason", PasswordRefusal:
        UnknownUser, NoPassword, Wrong, Inactive, MalformedHash, UnknownPepper, TooDear, ForeignCheckFailed
    )
}

/// The application chooses the purpose, so all but the one of the crate itself are one.
fn throttled(purpose: &str, by: ThrottledBy) -> &'static Key {
    macro_rules! key {
        ($purpose:literal: $($by:ident),+) => {
            match by {
                $(ThrottledBy::$by => static_key!(
                    THROTTLED, "purpose" => $purpose, "by" => ThrottledBy::$by.name()
                ),)+
            }
        };
    }
    if purpose == "password" {
        key!("password": AccountAndClient, Account, Client)
    } else {
        key!("other": AccountAndClient, Account, Client)
    }
}
