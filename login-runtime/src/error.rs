//! Every error, its text, and the HTTP status it is answered with.

use std::{cell::Cell, io};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
};
use derive_more::{Debug, Display, Error, From};

use crate::core::{NextError, RefusalReason};

/// Any error of the application: a `String`, an `anyhow::Error`, an error of a database.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The application is not set up for what a handler asks. Answers 500.
#[derive(Clone, Debug, Display, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// No login manager is wrapped around this route.
    #[display("no login manager for this request; add `.wrap(login_manager.clone())` to the `App`")]
    NoManager,
    /// The manager has no loader for the user type.
    #[display(
        "the login manager does not load `{asked}` but {known:?}; \
         add `.user_loader(..)` for it"
    )]
    UnknownUser {
        /// The type that was asked for.
        asked: &'static str,
        /// The types that the manager loads.
        known: Vec<&'static str>,
    },
    /// A login manager is wrapped inside another one, and the two would change each other's logins.
    #[display(
        "a login manager for {inner:?} is inside one for {outer:?}, and {why}; \
         wrap the `App` in one manager that loads both: `.user_loader(..)`"
    )]
    NestedManagers {
        /// The user types of the inner manager.
        inner: Vec<&'static str>,
        /// The user types of the outer manager.
        outer: Vec<&'static str>,
        /// What the two share.
        why: String,
    },
    /// A condition, or an argument that carries a proof, is about one user type, and its guard asks for
    /// another.
    #[display(
        "a guard that asks for `{guarded}` decides nothing about `{asked}`; \
         name the user type in the guard: `user = {asked}` or `.user::<{asked}>()`"
    )]
    OtherUser {
        /// The type of the condition or proof.
        asked: &'static str,
        /// The type that the guard asks for.
        guarded: &'static str,
    },
}

impl ResponseError for SetupError {}

/// A loader, the login store or a permission check failed, so it is unknown which user this is, or what
/// the user may do. Answers 503.
///
/// It never counts as an anonymous user: an outage must not look like a log out, and must not decide
/// what anonymous users may see.
#[derive(Debug, Display, Error)]
#[display("{what}")]
#[debug("LoadError({source:?})")]
pub struct LoadError {
    what: &'static str,
    source: BoxError,
}

impl LoadError {
    pub(crate) fn new(source: impl Into<BoxError>) -> Self {
        Self {
            what: "the user could not be loaded",
            source: source.into(),
        }
    }

    /// Code of the application asked for the user that it has been called to find.
    pub(crate) fn asked_within() -> Self {
        let why = "the request loader, or another hook, asks for the user who is being looked up; \
                   it would wait for itself";
        tracing::error!(target: "login", "{why}");
        Self::new(why)
    }

    pub(crate) fn of_permission(source: BoxError) -> Self {
        Self {
            what: "the permission could not be looked up",
            source,
        }
    }
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::new(error)
    }
}

impl ResponseError for LoadError {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

impl ResponseError for NextError {
    fn status_code(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// Why [`Auth::log_in`](crate::Auth::log_in) or
/// [`Auth::confirm_login`](crate::Auth::confirm_login) failed.
///
/// Nothing was written then.
#[derive(Debug, Display, Error, From)]
#[non_exhaustive]
pub enum LoginError {
    /// The user type says that this user may not be logged in. Answers 403.
    #[display("this user may not log in")]
    Inactive,
    /// No user is logged in, so there is no login to confirm. Answers 401.
    #[display("nobody is logged in")]
    NotLoggedIn,
    /// The credentials are those of another user than the one who is logged in. Answers 403.
    #[display("another user is logged in")]
    OtherUser,
    /// The session was purged earlier in this request and cannot be written to any more; use
    /// [`Auth::log_out`](crate::Auth::log_out), or clear and renew it. Answers 500.
    #[display(
        "the session was purged earlier in this request; call `log_out`, or clear and renew it"
    )]
    SessionPurged,
    /// The user's id cannot be written as JSON, or makes a cookie longer than browsers keep.
    /// Answers 500.
    #[display("the user id does not fit into a session or a cookie")]
    UnfitId,
    /// The session would be too long for its cookie, so the browser would drop it and the login with it.
    /// Keep less in the session, or keep sessions on the server with
    /// [`session_store`](crate::config::LoginManagerBuilder::session_store). Answers 500.
    #[display(
        "the session would make a cookie of {bytes} bytes, and browsers keep at most 4096; keep less \
         in the session, or add `.session_store(..)` to the login manager"
    )]
    #[from(skip)]
    SessionTooLong {
        /// The length of the cookie, at most.
        bytes: usize,
    },
    /// The user has as many logins as [`MaxLogins::Refuse`](crate::store::MaxLogins::Refuse) allows.
    /// Answers 403.
    #[display("this user has as many logins as are allowed; end one first")]
    TooManyLogins,
    /// The login store failed. Answers 503.
    #[display("the login store failed")]
    #[from]
    Store(StoreError),
    /// There is no login store; add `.login_store(..)` to the manager. Answers 500.
    #[display("the login manager has no login store; add `.login_store(..)` to it")]
    NoStore,
    /// The system's random number generator failed. Answers 500.
    #[display("the system's random number generator failed")]
    NoRandomness,
    /// The user could not be loaded to be compared. Answers 503.
    #[display("the user could not be loaded")]
    #[from]
    Load(LoadError),
}

impl ResponseError for LoginError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Inactive | Self::OtherUser | Self::TooManyLogins => StatusCode::FORBIDDEN,
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Load(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::SessionPurged
            | Self::SessionTooLong { .. }
            | Self::UnfitId
            | Self::NoRandomness
            | Self::NoStore => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::NotLoggedIn) {
            // A 401 must carry a challenge (RFC 9110 §15.5.2).
            response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        response
            .content_type(ContentType::plaintext())
            .body(self.to_string())
    }
}

/// The challenge of a 401. There is no registered scheme for logins by cookie.
pub(crate) const CHALLENGE: &str = "Cookie realm=\"login\"";

/// A guard's refusal: the response that the client gets instead of the page.
///
/// Return it from a handler with `?`, or turn it into the response yourself.
#[derive(Debug, Display, Error)]
#[display("{}", text(*reason))]
pub struct Refusal {
    reason: RefusalReason,
    status: StatusCode,
    // In a cell because actix-web asks an error for its response by reference, and only once.
    #[debug(skip)]
    response: Cell<Option<HttpResponse>>,
}

impl Refusal {
    pub(crate) fn new(reason: RefusalReason, response: HttpResponse) -> Self {
        Self {
            reason,
            status: response.status(),
            response: Cell::new(Some(response)),
        }
    }

    /// Why the client is refused.
    pub fn reason(&self) -> RefusalReason {
        self.reason
    }

    /// The response.
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }
}

fn text(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Anonymous => "nobody is logged in",
        RefusalReason::Inactive => "the user is not active",
        RefusalReason::Forbidden => "the user may not do this",
        RefusalReason::Stale => "the login is not fresh",
        RefusalReason::Asked => "the handler refused",
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        self.response
            .take()
            .unwrap_or_else(|| HttpResponse::new(self.status))
    }
}

/// Why a [`LoginManager`](crate::LoginManager) could not be built.
#[derive(Clone, Debug, Display, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Browsers would reject the cookie without a message.
    #[display("the cookie `{name}` {why}")]
    Cookie {
        /// The cookie's name.
        name: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A login view, a refresh view or an origin is not a valid address.
    #[display("the view `{view}` {why}")]
    View {
        /// The address as it was given.
        view: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A setting has an invalid value, or contradicts another setting.
    #[display("`{name}` {why}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// The settings do not say where logins are recorded; see
    /// [`login_store`](crate::config::LoginManagerBuilder::login_store) and
    /// [`session_only`](crate::config::LoginManagerBuilder::session_only).
    #[display(
        "nothing records logins; add `.login_store(..)`, or `.session_only()` if a log out \
         need not end a copy of the session cookie"
    )]
    NoLoginStore,
    /// The request loader returns users of a type that no user loader loads.
    #[display(
        "the request loader finds `{user_type}`, which no user loader loads; \
         add `.user_loader(..)` for it"
    )]
    RequestLoader {
        /// The type that it returns.
        user_type: &'static str,
    },
    /// A user type has two loaders.
    #[display("`{twice}` has two user loaders; keep one")]
    Loaders {
        /// The type.
        twice: &'static str,
    },
    /// Two user types have the same name, so a login of one would be a login of the other.
    #[display(
        "`{first}` and `{second}` are both called `{name}`; give one of them another name: \
         `#[auth(name = \"..\")]`"
    )]
    SameName {
        /// The name.
        name: &'static str,
        /// The first of the two types.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// The name of a user type is not one that cookies and records can contain.
    #[display(
        "`{user_type}` is called {name:?}; a name has 1 to 32 ASCII letters, digits, `-` and `_`"
    )]
    UserName {
        /// The type.
        user_type: &'static str,
        /// Its [`AuthUser::NAME`](crate::AuthUser::NAME).
        name: &'static str,
    },
}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// A login store failed. Answers 503.
#[derive(Debug, Display, Error)]
#[display("the login store failed")]
pub struct StoreError(BoxError);

impl StoreError {
    /// Wraps the store's own error, which becomes the [`source`](std::error::Error::source).
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }

    /// Whether the store has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is::<Full>()
    }
}

impl ResponseError for StoreError {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// A login store has no room.
#[derive(Debug, Display, Error)]
#[display("the login store is full")]
pub(crate) struct Full;

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[track_caller]
    fn check(error: impl ResponseError + Error, texts: &[&str], status: u16) {
        let mut chain = vec![error.to_string()];
        let mut source = error.source();
        while let Some(error) = source {
            chain.push(error.to_string());
            source = error.source();
        }
        assert_eq!(chain, texts);
        assert_eq!(error.status_code(), status);
    }

    #[test]
    fn an_error_names_what_caused_it() {
        let down = || StoreError::new("the database is down");
        let store = ["the login store failed", "the database is down"];
        let load = ["the user could not be loaded", store[0], store[1]];
        check(down(), &store, 503);
        check(LoadError::from(down()), &load, 503);
        check(
            LoginError::from(LoadError::from(down())),
            &[&load[..1], &load].concat(),
            503,
        );
        check(
            LoginError::from(down()),
            &[&store[..1], &store].concat(),
            503,
        );
        let permission = LoadError::of_permission("the database is down".into());
        check(
            permission,
            &["the permission could not be looked up", store[1]],
            503,
        );
        check(LoginError::NotLoggedIn, &["nobody is logged in"], 401);
        check(
            LoginError::UnfitId,
            &[&*LoginError::UnfitId.to_string()],
            500,
        );
    }
}
