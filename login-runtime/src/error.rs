//! Every error, its text, and the HTTP status it is answered with.

use std::{
    cell::Cell,
    fmt::{self, Write as _},
    io, iter,
};

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        Method, StatusCode,
        header::{self, ContentType, HeaderValue},
    },
};
use derive_more::{Debug, Display, Error, From};

use crate::core::{NextError, RefusalReason};

/// How many causes of an error are logged. An error may be its own cause, by mistake.
const MAX_CAUSES: usize = 16;

/// Any error of the application: a `String`, an `anyhow::Error`, an error of a database.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error with everything that caused it, in one line, for the log.
///
/// Line breaks and other control characters are escaped, so that no error looks like a line of its own. A
/// cause that only repeats the text before it is left out.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = String::new();
        for error in iter::successors(Some(self.0), |error| error.source()).take(MAX_CAUSES) {
            let text = error.to_string();
            // Some errors show their cause themselves.
            if !last.ends_with(&text) {
                f.write_str(if last.is_empty() { "" } else { ": " })?;
                for char in text.chars() {
                    match char.is_control() {
                        true => write!(f, "{}", char.escape_default())?,
                        false => f.write_char(char)?,
                    }
                }
            }
            last = text;
        }
        Ok(())
    }
}

/// In how many seconds a client may try again after a 503, if nothing better is known (RFC 9110 §10.2.3).
/// Raising it keeps clients away for longer than most outages of a store last; lowering it lets them add to
/// the load that may have caused the outage.
#[allow(
    clippy::declare_interior_mutable_const,
    reason = "the value of a static text never changes"
)]
pub(crate) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The answer to a client whose request was not done, as text. A 503 has `Retry-After`, and so has every
/// answer for which `retry_after` says in how many seconds the client may try again. No cache stores it
/// (for 429: RFC 6585 §4).
pub(crate) fn not_done(
    status: StatusCode,
    retry_after: Option<u32>,
    text: String,
) -> HttpResponse<BoxBody> {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(seconds) = retry_after {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
    } else if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    response.content_type(ContentType::plaintext()).body(text)
}

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
    /// A loader asks for the user whom it has to find, and would wait for itself. It is the source of the
    /// [`LoadError`] that the loader gets.
    #[display(
        "a loader of `{user_type}` asks for the current `{user_type}` of the same request, which is what it has \
         to find; read a header or a cookie of the request in it, and not `CurrentUser`, `MaybeUser` or `Auth`"
    )]
    LoaderAsksItself {
        /// The type of the user.
        user_type: &'static str,
    },
}

impl SetupError {
    /// Logs the error.
    pub(crate) fn logged(self) -> Self {
        tracing::error!(target: "login", event = "setup", "{self}");
        self
    }
}

impl ResponseError for SetupError {}

/// A loader, the login store or a permission check failed, so it is unknown which user this is, or what
/// the user may do. Answers 503 with `Retry-After`.
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

    /// Why it failed, for the log. The causes of a store's failure are in the log already.
    pub(crate) fn reason(&self) -> String {
        let store = self.source.downcast_ref::<StoreError>();
        match store {
            Some(error) if error.is_logged() => error.to_string(),
            _ => Causes(&*self.source).to_string(),
        }
    }

    /// Code of the application asked for the user that it has been called to find.
    pub(crate) fn asked_within() -> Self {
        let why = "a hook asks for the user who is being looked up, and would wait for itself";
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
        Self::new(error.logged(None))
    }
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.logged(None))
    }
}

impl ResponseError for LoadError {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        not_done(self.status_code(), None, self.to_string())
    }
}

impl ResponseError for NextError {
    fn status_code(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// Why [`Auth::log_in`](crate::Auth::log_in), [`Auth::confirm_login`](crate::Auth::confirm_login), or another
/// function that changes a login, failed.
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
    /// The request has a method that must only read: GET, HEAD, OPTIONS or TRACE. Every page of another site
    /// can make a browser send such a request with its cookies, and so change who is logged in. Answers 500.
    ///
    /// Answer POST where users log in and out, and send a form to it. A callback of an identity provider is
    /// allowed with [`Verified::state_checked`](crate::Verified::state_checked), and a link that logs out with
    /// [`danger_allow_get_log_out`](crate::config::LoginManagerBuilder::danger_allow_get_log_out).
    #[display(
        "`{call}` was called for a {method} request, which any page of another site can make a browser send \
         with its cookies; answer POST here, and send a form to it{unless}"
    )]
    #[from(skip)]
    SafeMethod {
        /// The function that was called.
        call: &'static str,
        /// The method of the request.
        method: Method,
        /// What would allow it, as the end of a sentence; empty if nothing does.
        unless: &'static str,
    },
    /// The login store failed. Answers 503 with `Retry-After`.
    #[display("the login store failed")]
    #[from(skip)]
    Store(StoreError),
    /// There is no login store; add `.login_store(..)` to the manager. Answers 500.
    #[display("the login manager has no login store; add `.login_store(..)` to it")]
    NoStore,
    /// The system's random number generator failed. Answers 500.
    #[display("the system's random number generator failed")]
    NoRandomness,
    /// The user could not be loaded to be compared. Answers 503 with `Retry-After`.
    #[display("the user could not be loaded")]
    #[from]
    Load(LoadError),
}

impl LoginError {
    /// Logs an error that no other line reports, and that the application's operator has to know.
    pub(crate) fn log(&self) {
        if matches!(
            self,
            Self::NoStore | Self::SessionPurged | Self::UnfitId | Self::NoRandomness
        ) {
            tracing::error!(target: "login", event = "log_in_failed", "{self}");
        }
    }
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
            | Self::SafeMethod { .. }
            | Self::NoStore => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = not_done(self.status_code(), None, self.to_string());
        if matches!(self, Self::NotLoggedIn) {
            // A 401 must carry a challenge (RFC 9110 §15.5.2).
            let challenge = HeaderValue::from_static(CHALLENGE);
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
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
        RefusalReason::CrossSite => "a page of another site sent the request",
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
    /// A network of [`TrustedProxies`](crate::proxies::TrustedProxies) is none, or would trust everybody.
    #[display("the trusted proxy `{network}` {why}")]
    TrustedProxy {
        /// The network as it was given.
        network: String,
        /// What is wrong, and what to do.
        why: &'static str,
    },
    /// An origin of [`trusted_origins`](crate::config::LoginManagerBuilder::trusted_origins) is none.
    #[display("the trusted origin `{origin}` {why}")]
    TrustedOrigin {
        /// The origin as it was given.
        origin: String,
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
    /// A key is obviously no secret: everybody who guesses it can make logins for every user.
    #[display(
        "`{setting}` got a key that is obviously no secret: a repeated pattern, bytes that count up, or a \
         text of words; take 64 random bytes, for instance from `openssl rand -out login.key 64`"
    )]
    WeakKey {
        /// The method that got the key.
        setting: &'static str,
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

/// A login store failed. Answers 503 with `Retry-After`.
///
/// The manager logs each failure once, as an event `store_failed` with all that caused it. The client
/// learns nothing of the causes.
#[derive(Debug, Display, Error)]
#[display("the login store failed")]
#[debug("StoreError({source:?})")]
pub struct StoreError {
    source: BoxError,
    advice: Option<&'static str>,
    is_logged: bool,
}

impl StoreError {
    /// Wraps the store's own error, which becomes the [`source`](std::error::Error::source).
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
            advice: None,
            is_logged: false,
        }
    }

    /// Adds what the application's operator has to do, for the log.
    #[must_use]
    pub fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Whether the store has no room.
    pub(crate) fn is_full(&self) -> bool {
        self.source.is::<Full>()
    }

    pub(crate) fn advice(&self) -> Option<&'static str> {
        self.advice
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Logs the error with its causes, unless that was done before. `call` is what the store was asked.
    pub(crate) fn logged(self, call: Option<&'static str>) -> Self {
        if !self.is_logged {
            let (reason, advice) = (Causes(&*self.source), self.advice);
            tracing::error!(target: "login", event = "store_failed", call, %reason, advice);
        }
        self.without_log()
    }

    /// Keeps the error out of the log, where it is already.
    pub(crate) fn without_log(mut self) -> Self {
        self.is_logged = true;
        self
    }
}

impl ResponseError for StoreError {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        not_done(self.status_code(), None, self.to_string())
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
