//! The user of a request on its span, for applications with [`tracing_actix_web`], with the feature
//! `tracing-actix-web`.
//!
//! `TracingLogger` opens one span for each request, the root span. `tracing` records only fields that were
//! declared when a span was made. So nothing is recorded until the application declares these fields, by
//! [`LoginRootSpan`] or in a root span of its own:
//!
//! | field | value |
//! |---|---|
//! | `enduser.id` | the user's id, as text |
//! | `login.user_type` | the name of the user type, with the realm in front if the manager has one |
//! | `login.hash` | the [`LoginHash`](crate::events::LoginHash) that names the login in the log, with a login store |
//!
//! The fields are recorded when the user is looked up, and when a user logs in. A log out leaves them, because
//! the user made the request. A request of an anonymous client, and one that does not ask for the user, has
//! none of them. `enduser.id` is the name in the semantic conventions of OpenTelemetry.
//!
//! With this feature there are two more spans with the target `login` and the level `DEBUG`: `login_store`
//! around each call of a store, with the fields `operation` and `outcome` (see
//! [`guide::metrics`](crate::guide::metrics)), and `password_check` around each check of a password, with the
//! wait for its turn.
//!
//! # Examples
//!
//! ```
//! use actix_web::{App, cookie::Key};
//! use login_runtime::{AuthUser, LoginManager, MemoryLoginStore, spans::LoginRootSpan};
//! use tracing_actix_web::TracingLogger;
//!
//! #[derive(AuthUser)]
//! struct User { id: i64 }
//!
//! # fn main() -> Result<(), login_runtime::BuildError> {
//! let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
//!     .login_store(MemoryLoginStore::new())
//!     .build(Key::generate())?;
//! // The logger is wrapped last, so it is outside.
//! let app = App::new().wrap(login_manager).wrap(TracingLogger::<LoginRootSpan>::new());
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! An application with a root span of its own adds the fields to it:
//!
//! ```
//! use actix_web::{Error, body::MessageBody, dev::{ServiceRequest, ServiceResponse}};
//! use tracing::{Span, field::Empty};
//! use tracing_actix_web::{DefaultRootSpanBuilder, RootSpanBuilder, root_span};
//!
//! struct OurRootSpan;
//!
//! impl RootSpanBuilder for OurRootSpan {
//!     fn on_request_start(request: &ServiceRequest) -> Span {
//!         // The names of logins, and no ids of users.
//!         root_span!(request, tenant = Empty, login.hash = Empty)
//!     }
//!
//!     fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
//!         DefaultRootSpanBuilder::on_request_end(span, outcome);
//!     }
//! }
//! ```
//!
//! # Security
//!
//! A user's id in a trace is personal data. Traces are often kept by another company, for long, and many people
//! may read them; an id that is an e-mail address or a name says at once who it is. Declare `enduser.id` only if
//! all that is acceptable, and end the traces of a user who asks for it. `login.hash` alone still finds all
//! requests of one login, and nobody can compute it from a cookie, or the user from it, without the
//! application's data.

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::{Span, field::Empty};
use tracing_actix_web::{DefaultRootSpanBuilder, RootSpanBuilder, root_span};

/// The field with the user's id.
pub const USER_ID: &str = "enduser.id";
/// The field with the name of the user type.
pub const USER_TYPE: &str = "login.user_type";
/// The field with the name of the login.
pub const LOGIN_HASH: &str = "login.hash";

/// The default root span with the fields of this module: `TracingLogger::<LoginRootSpan>::new()`.
///
/// # Security
///
/// Ids of users are personal data: see [the module](self).
#[derive(Clone, Copy, Debug)]
pub struct LoginRootSpan;

impl RootSpanBuilder for LoginRootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        root_span!(
            request,
            enduser.id = Empty,
            login.user_type = Empty,
            login.hash = Empty
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        DefaultRootSpanBuilder::on_request_end(span, outcome);
    }
}
