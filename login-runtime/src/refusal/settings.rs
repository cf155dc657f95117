//! How a manager refuses: views, `next`, messages and handlers of the application.

use std::{borrow::Cow, future::Future, ops::Deref, pin::Pin, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, Responder};
use derive_more::Debug;

use crate::{
    core::{EndReason, NEXT_LEN, RefusalReason},
    error::{BuildError, Causes, LoadError},
    hooks::Hook,
    http::{Origin, Proxies, ViewAddress, escape::QUERY_VALUE},
    refusal::kept_next::NextCookie,
};

/// Flask-Login's message for the login view.
const LOGIN_MESSAGE: &str = "Please log in to access this page.";

/// Flask-Login's message for the refresh view.
const REFRESH_MESSAGE: &str = "Please reauthenticate to access this page.";

/// An answer of the application that has to be awaited.
pub(crate) type ResponseFuture = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// The application's handler for refused clients.
pub(crate) type Handler = Box<dyn Fn(RefusedRequest) -> ResponseFuture + Send + Sync>;

type Localize = Box<dyn Fn(&HttpRequest, &str) -> String + Send + Sync>;

type FlashFn = dyn Fn(&HttpRequest, Flash<'_>) + Send + Sync;

/// How the message for a refused client reaches the next page.
pub(crate) enum FlashHook {
    /// Through a function of the application.
    Own(Box<FlashFn>),
    /// Through `actix-web-flash-messages`.
    #[cfg(feature = "flash-messages")]
    Framework,
}

pub(crate) type LoadFailed = Box<dyn Fn(&HttpRequest, &LoadError) -> HttpResponse + Send + Sync>;

/// The two kinds of 401, by what the client has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// There is no login: the client has to log in.
    Unauthorized,
    /// The login is stale: the user has to give the credentials again.
    NeedsRefresh,
}

impl RefusalKind {
    pub(crate) fn of(reason: RefusalReason) -> Self {
        match reason {
            RefusalReason::Stale => Self::NeedsRefresh,
            // `forbid` answers forbidden users and requests of other sites.
            RefusalReason::Anonymous
            | RefusalReason::Inactive
            | RefusalReason::Forbidden
            | RefusalReason::Asked
            | RefusalReason::CrossSite => Self::Unauthorized,
        }
    }

    pub(crate) fn hook(self) -> Hook {
        match self {
            Self::Unauthorized => Hook::Unauthorized,
            Self::NeedsRefresh => Hook::NeedsRefresh,
        }
    }
}

/// Why a client has no fitting login.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientRefusal {
    pub(crate) kind: RefusalKind,
    pub(crate) reason: RefusalReason,
    /// How old a login that fits may be at most, if that is limited.
    pub(crate) max_age: Option<Duration>,
    /// Why the login of the request ended, if the request has ended one.
    pub(crate) ended: Option<EndReason>,
}

impl ClientRefusal {
    /// The name of the refusal for programs, which never changes.
    pub(crate) fn code(&self) -> &'static str {
        match (self.kind, self.ended) {
            (RefusalKind::NeedsRefresh, _) => "stale",
            (RefusalKind::Unauthorized, Some(EndReason::Expired | EndReason::Idle)) => "expired",
            // A forged login says nothing about another one.
            (RefusalKind::Unauthorized, None | Some(EndReason::Invalid))
                if self.reason != RefusalReason::Inactive =>
            {
                "anonymous"
            }
            (RefusalKind::Unauthorized, _) => "revoked",
        }
    }
}

/// What is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    /// A client without a fitting login.
    Client(ClientRefusal),
    /// A user who may not do this.
    Forbidden,
}

/// A request that is refused, for the application's handler that answers it.
///
/// It dereferences to the request.
///
/// # Examples
///
/// Programs get a body of the application's own, and browsers what they get without a handler:
///
/// ```
/// use actix_web::{HttpResponse, cookie::Key, http::header::ACCEPT};
/// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore, guards::RefusedRequest};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// async fn refuse(refused: RefusedRequest) -> HttpResponse {
///     let accept = refused.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
///     if accept == Some("application/vnd.api+json") {
///         return HttpResponse::Unauthorized().body(r#"{"errors":[{"status":"401"}]}"#);
///     }
///     refused.default_response()
/// }
///
/// # fn main() -> Result<(), login_runtime::BuildError> {
/// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
///     .login_store(MemoryLoginStore::new())
///     .login_view("/login")
///     .unauthorized_handler(refuse)
///     .build(Key::generate())?;
/// # let _ = login_manager;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[debug("RefusedRequest({reason:?})")]
pub struct RefusedRequest {
    pub(crate) request: HttpRequest,
    pub(crate) reason: RefusalReason,
    pub(crate) refused: Refused,
    pub(crate) settings: Arc<RefusalSettings>,
}

impl RefusedRequest {
    /// The request.
    pub fn request(&self) -> &HttpRequest {
        &self.request
    }

    /// Why it is refused.
    pub fn reason(&self) -> RefusalReason {
        self.reason
    }
}

impl Deref for RefusedRequest {
    type Target = HttpRequest;

    fn deref(&self) -> &HttpRequest {
        &self.request
    }
}

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
    pub(crate) login_view: Option<ViewAddress>,
    pub(crate) refresh_view: Option<ViewAddress>,
    pub(crate) next_field: String,
    /// The name of the query parameter as an address has it, and `=`.
    pub(crate) next_parameter: Vec<u8>,
    /// Whether the client keeps `next` in a cookie, and not in the address of the login view.
    pub(crate) session_for_next: bool,
    /// The cookie; set when the manager is built.
    pub(crate) kept_next: Option<NextCookie>,
    pub(crate) next_for_all_methods: bool,
    /// The longest address that is kept and followed, in bytes.
    pub(crate) next_max_len: usize,
    pub(crate) force_host: Option<String>,
    /// The origin at which clients reach this application, whatever their requests say.
    pub(crate) own_origin: Option<Origin>,
    pub(crate) origins: Vec<Origin>,
    /// The proxies, which report at which origin and below which path clients reach this application; set
    /// when the manager is built.
    pub(crate) proxies: Arc<Proxies>,
    /// Origins of other applications to which `next` may lead.
    pub(crate) next_origins: Vec<Origin>,
    pub(crate) any_host: bool,
    pub(crate) login_message: Message,
    pub(crate) refresh_message: Message,
    pub(crate) localize: Option<Localize>,
    pub(crate) flash: Option<FlashHook>,
    /// Whether browsers send this crate's cookies only over https.
    pub(crate) secure: bool,
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
            kept_next: None,
            next_for_all_methods: false,
            next_max_len: NEXT_LEN,
            force_host: None,
            own_origin: None,
            origins: Vec::new(),
            proxies: Arc::default(),
            next_origins: Vec::new(),
            any_host: false,
            login_message: message(LOGIN_MESSAGE),
            refresh_message: message(REFRESH_MESSAGE),
            localize: None,
            flash: None,
            secure: true,
            unauthorized: None,
            needs_refresh: None,
            forbidden: None,
            load_failed: None,
        }
    }
}

impl RefusalSettings {
    /// The message for clients that are redirected to this view.
    pub(crate) fn message(&self, kind: RefusalKind) -> &Message {
        match kind {
            RefusalKind::Unauthorized => &self.login_message,
            RefusalKind::NeedsRefresh => &self.refresh_message,
        }
    }

    /// The same, translated. `None` if there is none.
    pub(crate) fn text(&self, request: &HttpRequest, kind: RefusalKind) -> Option<Cow<'_, str>> {
        let text = self.message(kind).text.as_deref();
        let text = text.filter(|text| !text.is_empty())?;
        Some(match &self.localize {
            Some(localize) => Cow::Owned(localize(request, text)),
            None => Cow::Borrowed(text),
        })
    }

    /// Both views, as far as there are any.
    pub(crate) fn views(&self) -> impl Iterator<Item = &ViewAddress> {
        self.login_view.iter().chain(&self.refresh_view)
    }

    /// Whether code of the application runs at a refusal, which may write into the session.
    pub(crate) fn may_write_session(&self) -> bool {
        self.localize.is_some()
            || self.unauthorized.is_some()
            || matches!(self.flash, Some(FlashHook::Own(_)))
    }

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
        if self.next_max_len == 0 {
            return refuse(
                "next_max_len",
                "is 0, so that no address is kept; allow some bytes",
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
pub(crate) fn erase_handler<F, Fut, R>(hook: Hook, handler: F) -> Handler
where
    F: Fn(RefusedRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + 'static,
    R: Responder + 'static,
{
    Box::new(move |refused| {
        let request = refused.request.clone();
        let response = hook.run(|| handler(refused));
        Box::pin(hook.run_async(async move {
            let response = response.await.respond_to(&request).map_into_boxed_body();
            log_failure(&response);
            response
        }))
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
