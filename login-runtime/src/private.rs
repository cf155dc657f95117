//! What generated code may name. Not part of the public interface: only `login-macros` of the very
//! same version uses it.

pub use std::{borrow::Cow, string::String};

use actix_web::{FromRequest, Responder};

use crate::user::AuthUser;
pub use crate::{
    declare::declared,
    guard::{DefaultUser, ExemptOptions, Fresh, Guarded, LoginRequired, Passive},
    strict::DeclaredService,
    user::{PasswordField, SessionHashPart, UnknownId},
};

/// What a handler can take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "not an extractor",
    note = "handler arguments implement `FromRequest`, as `web::Path`, `web::Json`, `HttpRequest` and `CurrentUser` do"
)]
pub trait Extractor {}

impl<T: FromRequest> Extractor for T {}

/// What a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "not a response",
    note = "handlers return what implements `Responder`: `HttpResponse`, a `String`, `web::Json`, or a `Result` of one of these"
)]
pub trait Response {}

#[diagnostic::do_not_recommend]
impl<T: Responder> Response for T {}

/// Fails to compile at the user's own type, before actix-web's message about the whole handler.
pub const fn assert_extractor<T: Extractor>() {}

/// Fails to compile at the user's own type, before actix-web's message about the whole handler.
pub const fn assert_responder<T: Response>() {}

/// Fails to compile at the user type that a guard names, and not where the handler is used.
pub const fn assert_user<U: AuthUser>() {}
