//! What can go wrong, and the status each error answers with.

use std::{cell::Cell, error::Error, fmt, io};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
};

use crate::core::RefusalReason;

/// The application is not set up for what a handler asks. Answers 500.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// No login manager is around this route.
    NoManager,
    /// The manager has no loader for the user type.
    UnknownUser {
        /// The type that was asked for.
        asked: &'static str,
        /// The types that the manager loads.
        known: Vec<&'static str>,
    },
    /// A condition or a proof about one user type belongs to a guard that asks for another.
    OtherUser {
        /// The type that it is about.
        asked: &'static str,
        /// The type that the guard asks for.
        guarded: &'static str,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoManager => f.write_str(
                "no login manager for this request; add `.wrap(login_manager.clone())` to the `App`",
            ),
            Self::UnknownUser { asked, known } => write!(
                f,
                "the login manager does not load `{asked}` but {known:?}; \
                 add `.user_loader(\"name\", ..)` for it",
            ),
            Self::OtherUser { asked, guarded } => write!(
                f,
                "a guard that asks for `{guarded}` says nothing of `{asked}`; \
                 name the user type in the guard: `user = {asked}` or `.user::<{asked}>()`",
            ),
        }
    }
}

impl Error for SetupError {}

impl ResponseError for SetupError {}

/// A loader, the login store or a permission check failed, so nobody knows who this is, or what they
/// may do. Answers 503.
///
/// Never an anonymous user: an outage must not look like a log out, and what anonymous users may see
/// must not be decided by it.
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

impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LoadError").field(&self.source).finish()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl ResponseError for LoadError {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Why [`Auth::log_in`](crate::Auth::log_in) or
/// [`Auth::confirm_login`](crate::Auth::confirm_login) did nothing.
///
/// Nothing is written when it occurs.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginError {
    /// The user says it may not be logged in. Answers 403.
    Inactive,
    /// Nobody is logged in whose login could be confirmed. Answers 401.
    NotLoggedIn,
    /// Another user than the one logged in gave credentials. Answers 403.
    OtherUser,
    /// The session was purged earlier in this request and takes nothing any more; use
    /// [`Auth::log_out`](crate::Auth::log_out), or clear and renew it. Answers 500.
    SessionPurged,
    /// The user's id cannot be written as JSON, or makes a cookie longer than browsers keep.
    /// Answers 500.
    UnfitId,
    /// The user has as many logins as [`MaxLogins::Refuse`](crate::MaxLogins::Refuse) allows.
    /// Answers 403.
    TooManyLogins,
    /// The login store failed. Answers 503.
    Store(StoreError),
    /// There is no login store; add `.login_store(..)` to the manager. Answers 500.
    NoStore,
    /// The machine has no random bytes. Answers 500.
    NoRandomness,
    /// The user could not be loaded to be compared. Answers 503.
    Load(LoadError),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "this user may not log in",
            Self::NotLoggedIn => "nobody is logged in",
            Self::OtherUser => "another user is logged in",
            Self::SessionPurged => {
                "the session was purged earlier in this request; call `log_out`, or clear and renew it"
            }
            Self::UnfitId => "the user id does not fit into a session or a cookie",
            Self::TooManyLogins => "this user has as many logins as are allowed; end one first",
            Self::Store(_) => "the login store did not answer as it should",
            Self::NoStore => "the login manager has no login store; add `.login_store(..)` to it",
            Self::NoRandomness => "no random bytes to be had",
            Self::Load(_) => "the user could not be loaded",
        })
    }
}

impl Error for LoginError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Load(error) => Some(error),
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<LoadError> for LoginError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl ResponseError for LoginError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Inactive | Self::OtherUser | Self::TooManyLogins => StatusCode::FORBIDDEN,
            Self::NotLoggedIn => StatusCode::UNAUTHORIZED,
            Self::Load(_) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::SessionPurged | Self::UnfitId | Self::NoRandomness | Self::NoStore => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if matches!(self, Self::NotLoggedIn) {
            // A 401 without a challenge is none (RFC 9110 §15.5.2).
            response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        response
            .content_type(ContentType::plaintext())
            .body(self.to_string())
    }
}

/// A guard's refusal: the answer that the client gets instead of the page.
///
/// Return it from a handler with `?`, or turn it into the response itself.
pub struct Refusal {
    reason: RefusalReason,
    status: StatusCode,
    // Behind a cell because an error is asked for its response by reference, and once.
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

    /// The answer.
    pub fn into_response(self) -> HttpResponse {
        self.error_response()
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("reason", &self.reason)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            RefusalReason::Anonymous => "nobody is logged in",
            RefusalReason::Inactive => "the user is not active",
            RefusalReason::Forbidden => "the user may not do this",
            RefusalReason::Stale => "the login is not fresh",
            RefusalReason::Asked => "the handler refused",
        })
    }
}

impl Error for Refusal {}

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
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Browsers would reject the cookie in silence.
    Cookie {
        /// The cookie's name.
        name: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A login or refresh view that is no address.
    View {
        /// The view as it was given.
        view: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// A setting with a value that cannot be meant.
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// It is not said where logins are recorded; see
    /// [`login_store`](crate::LoginManagerBuilder::login_store) and
    /// [`session_only`](crate::LoginManagerBuilder::session_only).
    NoLoginStore,
    /// The request loader finds users of a type that no user loader loads.
    RequestLoader {
        /// The type that it finds.
        user_type: &'static str,
    },
    /// Two user types share a name, or two loaders a user type.
    Loaders {
        /// The name or type that occurs twice.
        twice: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie { name, why } => write!(f, "the cookie `{name}` {why}"),
            Self::View { view, why } => write!(f, "the view `{view}` {why}"),
            Self::Setting { name, why } => write!(f, "`{name}` {why}"),
            Self::NoLoginStore => f.write_str(
                "nothing records logins; add `.login_store(..)`, or `.session_only()` if a log out need not end \
                 a copy of the session cookie",
            ),
            Self::RequestLoader { user_type } => {
                write!(
                    f,
                    "the request loader finds `{user_type}`, which no user loader loads; add `.user_loader(\"name\", ..)` for it"
                )
            }
            Self::Loaders { twice } => {
                write!(
                    f,
                    "`{twice}` has two user loaders; give each user type one, each with its own name"
                )
            }
        }
    }
}

impl Error for BuildError {}

impl From<BuildError> for io::Error {
    fn from(error: BuildError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// What went wrong in the application: any error, a `String`, `anyhow::Error`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A login store did not do what it was asked. Answers 503.
pub struct StoreError(Box<dyn Error + Send + Sync>);

impl StoreError {
    /// What the store says.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    /// Whether the store has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is::<Full>()
    }
}

/// A login store has no room.
#[derive(Debug)]
pub(crate) struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login store is full")
    }
}

impl Error for Full {}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreError").field(&self.0).finish()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the login store did not answer as it should")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl actix_web::ResponseError for StoreError {
    fn status_code(&self) -> actix_web::http::StatusCode {
        actix_web::http::StatusCode::SERVICE_UNAVAILABLE
    }
}

/// What a 401 asks for. There is no registered scheme for logins by cookie.
pub(crate) const CHALLENGE: &str = "Cookie realm=\"login\"";
