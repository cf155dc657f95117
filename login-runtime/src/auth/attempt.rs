//! Tries to prove something, counted before they are made.

use std::{fmt, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError, body::BoxBody, dev::ServiceRequest, http::StatusCode,
};
use derive_more::{Debug, Display, Error};
use icu_normalizer::DecomposingNormalizerBorrowed;

use crate::{
    auth::auth::Auth,
    core::throttle::{
        Attempt, Claimed, ClientNetwork, Counted, CounterKey, KNOWN_CLIENTS, fold_account,
    },
    error::{SetupError, not_done},
    events::LoginEvent,
    manager::Manager,
};

/// What leads to the client's request: the request itself, or the [`Auth`] that a handler has anyway.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not lead to the client's request",
    label = "neither a request nor an `Auth`",
    note = "pass `&auth` of the handler's argument `auth: Auth<User>`, or `&request` of `request: HttpRequest`"
)]
pub trait AsRequest {
    /// The request.
    fn as_request(&self) -> &HttpRequest;
}

impl AsRequest for HttpRequest {
    fn as_request(&self) -> &HttpRequest {
        self
    }
}

impl AsRequest for ServiceRequest {
    fn as_request(&self) -> &HttpRequest {
        self.request()
    }
}

impl<U> AsRequest for Auth<U> {
    fn as_request(&self) -> &HttpRequest {
        &self.request
    }
}

/// Why a try was not made.
#[derive(Clone, Copy, Debug, Display, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThrottleError {
    /// There were too many failed tries. Answers 429 with `Retry-After`.
    #[display("too many failed tries; try again later")]
    Throttled {
        /// In how many seconds another try may be made.
        retry_after: u32,
    },
    /// The store that counts tries failed. Answers 503 with `Retry-After`.
    #[display("the tries could not be counted")]
    Unavailable,
    /// No login manager is wrapped around this route. Answers 500.
    #[display("no login manager for this request; add `.wrap(login_manager.clone())` to the `App`")]
    NoManager,
}

impl From<SetupError> for ThrottleError {
    fn from(_: SetupError) -> Self {
        Self::NoManager
    }
}

impl ResponseError for ThrottleError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoManager => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let retry_after = match self {
            Self::Throttled { retry_after } => Some(*retry_after),
            _ => None,
        };
        not_done(self.status_code(), retry_after, self.to_string())
    }
}

/// Makes a check, unless the client has failed too often: a one-time code, a second factor, an API key.
///
/// - `request` is the handler's [`Auth`] or its `HttpRequest`.
/// - `purpose` is what is checked, such as `"one-time code"`. Each purpose has its own counters, and is in the
///   log.
/// - `account` is what the client says it is, or whom it wants to be: a user's name or id, or the part of an
///   API key that is no secret. Upper case, accents and spaces do not count.
/// - `check` returns `Ok(Some(..))` for a right value, and `Ok(None)` for a wrong one, which is reported as
///   [`AttemptRefused`](LoginEvent::AttemptRefused). An error counts as a failed try.
///
/// [`PasswordVerifier`](crate::password) does this by itself.
///
/// # Examples
///
/// ```
/// use actix_web::{HttpResponse, post, web};
/// use login_runtime::{Auth, AuthUser, login_required, throttle::attempt};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// # async fn find_code(_: i64, _: &str) -> actix_web::Result<Option<()>> { Ok(None) }
/// #[login_required]
/// #[post("/code")]
/// async fn code(auth: Auth<User>, typed: String) -> actix_web::Result<HttpResponse> {
///     let id = auth.require_login().await?.id;
///     let check = async || find_code(id, &typed).await;
///     // After too many wrong codes, `?` answers 429 with `Retry-After`, and nothing is checked.
///     let right = attempt(&auth, "one-time code", &id.to_string(), check).await?;
///     Ok(match right {
///         Some(()) => HttpResponse::Ok().body("right"),
///         None => HttpResponse::Forbidden().body("wrong"),
///     })
/// }
/// ```
///
/// # Errors
///
/// Those of `check`, and a [`ThrottleError`] if the check was not made.
///
/// # Security
///
/// The try is counted before the check, so many requests at once are no more tries than one after the other
/// (ASVS 6.3.1, NIST SP 800-63B). A request that is cancelled during the check counts as a failed try.
pub async fn attempt<T, E: From<ThrottleError>>(
    request: &(impl AsRequest + ?Sized),
    purpose: &str,
    account: &str,
    check: impl AsyncFnOnce() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let request = request.as_request();
    let claim = Claim::new(request, Purpose { purpose, of: "" }, account).await?;
    let checked = check().await?;
    if checked.is_some() {
        claim.settle(true).await;
    } else {
        let account = &claim.account.to_string();
        let event = LoginEvent::AttemptRefused { purpose, account };
        claim.manager.events.emit(&event, request);
    }
    Ok(checked)
}

/// What is to be proved, and by users of which type.
#[derive(Clone, Copy)]
pub(crate) struct Purpose<'a> {
    pub(crate) purpose: &'a str,
    pub(crate) of: &'a str,
}

/// A try that is counted. Unless it is [settled](Self::settle), it counts as failed.
pub(crate) struct Claim<'a> {
    pub(crate) manager: &'a Manager,
    #[cfg(feature = "password")]
    pub(crate) network: ClientNetwork,
    /// A keyed hash of the account's name, for events.
    pub(crate) account: AccountName,
    attempt: Attempt,
    /// `None` if the throttle is off.
    counted: Option<[Counted; 3]>,
}

/// The start of a keyed hash, as hexadecimal digits.
pub(crate) struct AccountName([u8; 16]);

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'a> Claim<'a> {
    /// Counts a try, or says why it must not be made.
    pub(crate) async fn new(
        request: &'a HttpRequest,
        purpose: Purpose<'_>,
        account: &str,
    ) -> Result<Self, ThrottleError> {
        let manager: &Manager = Manager::of(request)?;
        let network = ClientNetwork::of(manager.proxies.client_address(request));
        let named = Named::new(manager, purpose, account, network);
        let Named { attempt, account } = named.ok_or(ThrottleError::Unavailable)?;
        let claim = Self {
            manager,
            #[cfg(feature = "password")]
            network,
            account,
            attempt,
            counted: None,
        };
        if manager.throttle.is_off {
            return Ok(claim);
        }
        match manager.throttle.claim(&attempt, manager.now()).await {
            Ok(Claimed::Allowed(counted)) => Ok(Self {
                counted: Some(counted),
                ..claim
            }),
            Ok(Claimed::Refused { by, retry_after }) => {
                let retry_after = u32::try_from(retry_after.max(1)).unwrap_or(u32::MAX);
                let event = LoginEvent::Throttled {
                    purpose: purpose.purpose,
                    account: &claim.account.to_string(),
                    by,
                    retry_after,
                };
                manager.events.emit(&event, request);
                Err(ThrottleError::Throttled { retry_after })
            }
            // It is in the log.
            Err(_) => Err(ThrottleError::Unavailable),
        }
    }

    /// Takes the try back, because it has succeeded, or was not made.
    pub(crate) async fn settle(&self, has_succeeded: bool) {
        if let Some(counted) = &self.counted {
            let (throttle, now) = (&self.manager.throttle, self.manager.now());
            throttle
                .settle(&self.attempt, counted, has_succeeded, now)
                .await;
        }
    }
}

/// The names under which a try is counted.
struct Named {
    attempt: Attempt,
    account: AccountName,
}

impl Named {
    /// `None` if the manager has no key, which cannot be.
    fn new(
        manager: &Manager,
        Purpose { purpose, of }: Purpose<'_>,
        account: &str,
        network: ClientNetwork,
    ) -> Option<Self> {
        const NFKD: DecomposingNormalizerBorrowed<'static> =
            DecomposingNormalizerBorrowed::new_nfkd();
        let decompose = |text: &str| NFKD.normalize(text).into_owned();
        let folded = fold_account(account, decompose);
        let name = |kind: &str, parts: &[&[u8]]| manager.keys.try_name(kind, parts);
        let key = |kind: &str, parts: &[&[u8]]| {
            let name = name(kind, parts)?;
            Some(CounterKey(*name.first_chunk()?))
        };
        let purpose = name(
            "purpose",
            &[&name("user type", &[of.as_bytes()])?, purpose.as_bytes()],
        )?;
        let account = name("account", &[&purpose, folded.as_bytes()])?;
        let client = name("client", &[network.bytes()])?;
        let slot = client[8] % KNOWN_CLIENTS;
        let attempt = Attempt {
            counters: [
                key("account and client", &[&account, network.bytes()])?,
                key("all clients", &[&account])?,
                key("all accounts", &[&purpose, network.bytes()])?,
            ],
            limits: manager.throttle.limits,
            known: key("known client", &[&account, &[slot]])?,
            client: i64::from_be_bytes(*client.first_chunk()?),
        };
        let shown = name("shown account", &[folded.as_bytes()])?;
        let account = AccountName(*shown.first_chunk()?);
        Some(Self { attempt, account })
    }
}

impl ThrottleError {
    /// How long the client has to wait, if it was throttled.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } => Some(Duration::from_secs(u64::from(*retry_after))),
            _ => None,
        }
    }
}
