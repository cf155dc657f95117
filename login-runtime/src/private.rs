//! What generated code may name. Not part of the public interface: only `login-macros` of the very
//! same version uses it.

pub use actix_web::HttpRequest;
pub use std::{borrow::Cow, string::String};

use actix_web::Responder;

use crate::{core::user::AuthUser, error::BoxError};
pub use crate::{
    core::user::{PasswordField, SessionHashPart, UnknownId},
    guard::{
        guarded::Guarded,
        policy::{
            DefaultUser, ExemptOptions, Fresh, GuardUser, LoginOf, LoginRequired, Passive, Policy,
            Requires,
        },
        proof::{Argument, SameUser, assert_proof},
        terms::{And, Checked, Checking, Negated, Or, Permitted, Role, Term, check, check_request},
    },
    routes::{declare::declared, strict::DeclaredService},
    users::permission::{HasPermission, Permissions, Roles},
};

/// What a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "not a response",
    note = "handlers return what implements `Responder`: `HttpResponse`, a `String`, `web::Json`, or a `Result` of one of these"
)]
pub trait Response {}

#[diagnostic::do_not_recommend]
impl<T: Responder> Response for T {}

/// Fails to compile at the argument's own type, before actix-web's message about the whole handler.
pub const fn assert_argument<P: Policy, T: Argument<P>>() {}

/// Fails to compile at the user's own type, before actix-web's message about the whole handler.
pub const fn assert_responder<T: Response>() {}

/// Fails to compile at the user type that a guard names, and not where the handler is used.
pub const fn assert_user<U: AuthUser>() {}

/// Fails to compile at a permission that is none of this user's.
pub const fn assert_term<U, C: Term<U>>() {}

/// Stands for the user of permissions whose derive failed, so that one mistake stays one error.
#[derive(Debug)]
pub struct UnknownUser;

impl AuthUser for UnknownUser {
    type Id = UnknownId;

    fn get_id(&self) -> UnknownId {
        UnknownId
    }
}

impl<P> HasPermission<P> for UnknownUser {
    async fn has_permission(&self, _: P, _: &HttpRequest) -> Result<bool, BoxError> {
        Ok(false)
    }
}

/// Fails to compile at an argument that is not the user whom the guard asks for.
pub const fn assert_same_user<U: SameUser<V>, V>() {}

/// Fails to compile at what is no set of permissions.
pub const fn assert_permissions<P: Permissions>() {}
