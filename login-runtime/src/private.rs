//! The names that generated code uses. They are not part of the public interface: only `login-macros` of
//! exactly this version may use them.

pub use actix_web::HttpRequest;
pub use std::{borrow::Cow, string::String};

use std::marker::PhantomData;

use actix_web::Responder;

use crate::{
    core::user::AuthUser,
    error::BoxError,
    guard::{
        current::CurrentUser,
        proof::{AuthorizedUser, Evidence, FreshUser},
    },
};
pub use crate::{
    core::user::UnknownId,
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
    users::{
        fields::{PasswordField, PasswordHashRef, SessionHashPart, join_parts, owned_part},
        permission::{HasPermission, Permissions, Roles},
    },
};

/// A value that a handler can return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a handler",
    label = "not a response",
    note = "return a type that implements `Responder`: `HttpResponse`, a `String`, `web::Json`, or a `Result` of one of these"
)]
pub trait Response {}

#[diagnostic::do_not_recommend]
impl<T: Responder> Response for T {}

/// Fails to compile at the return type, so that its message comes before that of actix-web about the whole
/// handler.
pub const fn assert_responder<T: Response>() {}

/// A value that a handler without `async` can return.
#[diagnostic::on_unimplemented(
    message = "handlers must be async; write `async fn`, or return a future in place of `{Self}`",
    label = "not a future"
)]
pub trait ResponseFuture {}

#[diagnostic::do_not_recommend]
impl<T: Future> ResponseFuture for T {}

/// Fails to compile at the return type of a handler without `async`, if it is not a future.
pub const fn assert_future<T: ResponseFuture>() {}

/// A field that tells whether a user is active.
#[diagnostic::on_unimplemented(
    message = "a `{Self}` does not tell whether a user is active; write `#[auth(active = path)]` on the struct",
    label = "not a `bool`"
)]
pub trait ActiveField {
    /// The value of the field.
    fn get(&self) -> bool;
}

impl ActiveField for bool {
    fn get(&self) -> bool {
        *self
    }
}

/// Fails to compile at the user type that a guard names, and not at each use of the handler.
pub const fn assert_user<U: AuthUser>() {}

/// Fails to compile at a permission that does not belong to the user type.
pub const fn assert_term<U, C: Term<U>>() {}

/// The user type of permissions whose derive failed, so that one mistake causes one error.
#[derive(Debug)]
pub struct UnknownUser;

impl AuthUser for UnknownUser {
    const NAME: &'static str = "Unknown";
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

/// Fails to compile at a type that is not a set of permissions.
pub const fn assert_permissions<P: Permissions>() {}

/// Chooses the check for an argument of type `T` of a handler behind a guard with the policy `P`. The user
/// type of the argument must be that of the policy `V`.
///
/// A macro sees names and not types, so the type itself chooses the check. For the arguments of this crate,
/// `KIND` is a constant of this type, which Rust prefers to the constant of the trait [`AnyArgument`]. A
/// type of the application with the name `CurrentUser` is checked like any other extractor.
#[derive(Debug)]
pub struct ArgumentCheck<P, V, T>(PhantomData<(P, V, T)>);

/// Chooses the check for an argument that is not a type of this crate.
pub trait AnyArgument {
    /// The type of the check.
    type Kind;
    /// The check.
    const KIND: Self::Kind;
}

impl<P, V, T> AnyArgument for ArgumentCheck<P, V, T> {
    type Kind = ExtractorCheck<P>;
    const KIND: Self::Kind = ExtractorCheck(PhantomData);
}

impl<P, V, U> ArgumentCheck<P, V, CurrentUser<U>> {
    /// The check.
    pub const KIND: UserCheck<V, U> = UserCheck(PhantomData);
}

impl<P, V, U, const SECONDS: u64> ArgumentCheck<P, V, FreshUser<U, SECONDS>> {
    /// The check.
    pub const KIND: ProofCheck<P> = ProofCheck(PhantomData);
}

impl<P, V, U, C> ArgumentCheck<P, V, AuthorizedUser<U, C>> {
    /// The check.
    pub const KIND: ProofCheck<P> = ProofCheck(PhantomData);
}

impl<P, V, U> ArgumentCheck<P, V, Option<CurrentUser<U>>> {
    /// The check.
    pub const KIND: OptionCheck<CurrentUser<U>> = OptionCheck(PhantomData);
}

impl<P, V, U, const SECONDS: u64> ArgumentCheck<P, V, Option<FreshUser<U, SECONDS>>> {
    /// The check.
    pub const KIND: OptionCheck<FreshUser<U, SECONDS>> = OptionCheck(PhantomData);
}

impl<P, V, U, C> ArgumentCheck<P, V, Option<AuthorizedUser<U, C>>> {
    /// The check.
    pub const KIND: OptionCheck<AuthorizedUser<U, C>> = OptionCheck(PhantomData);
}

// The methods take the argument's type again, so that the compiler underlines the whole type.

/// The check for an extractor.
#[derive(Debug)]
pub struct ExtractorCheck<P>(PhantomData<fn() -> P>);

impl<P> ExtractorCheck<P> {
    /// Fails to compile if `T` cannot be an argument.
    pub const fn check<T: Argument<P>>(self) {}

    /// Checks nothing.
    pub const fn check_optional<T>(self) {}
}

/// The check for a `CurrentUser<U>`.
#[derive(Debug)]
pub struct UserCheck<V, U>(PhantomData<fn() -> (V, U)>);

impl<V, U> UserCheck<V, U> {
    /// Fails to compile if the policy `V` is about another user type.
    pub const fn check<T>(self)
    where
        U: AuthUser,
        V: Policy<User: SameUser<U>>,
    {
    }

    /// Checks nothing.
    pub const fn check_optional<T>(self) {}
}

/// The check for a `FreshUser` or an `AuthorizedUser`.
#[derive(Debug)]
pub struct ProofCheck<P>(PhantomData<fn() -> P>);

impl<P> ProofCheck<P> {
    /// Fails to compile if the guard asks for less than `T` proves, or names another user type.
    #[track_caller]
    pub const fn check<T>(self)
    where
        P: Policy<User: SameUser<T::User>>,
        T: Evidence<P>,
    {
        assert_proof::<P, T>();
    }

    /// Checks nothing.
    pub const fn check_optional<T>(self) {}
}

/// The check for an `Option<T>` whose `T` is a user.
#[derive(Debug)]
pub struct OptionCheck<T>(PhantomData<fn() -> T>);

impl<T> OptionCheck<T> {
    /// Fails to compile.
    pub const fn check<O: OptionalUser<T>>(self) {}

    /// Fails to compile.
    pub const fn check_optional<O: OptionalUser<T>>(self) {}
}

/// An optional user as an argument. No type implements it, because actix-web turns every error into
/// `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` turns an outage into an anonymous user; write `{T}` below a guard, and `MaybeUser<..>` elsewhere",
    label = "`None` if the user could not be loaded"
)]
pub trait OptionalUser<T> {}
