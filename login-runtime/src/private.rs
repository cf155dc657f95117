//! What generated code may name. Not part of the public interface: only `login-macros` of the very
//! same version uses it.

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

/// Fails to compile at the user's own type, before actix-web's message about the whole handler.
pub const fn assert_responder<T: Response>() {}

/// What a handler without `async` returns.
#[diagnostic::on_unimplemented(
    message = "handlers must be async; write `async fn`, or return a future in place of `{Self}`",
    label = "not a future"
)]
pub trait ResponseFuture {}

#[diagnostic::do_not_recommend]
impl<T: Future> ResponseFuture for T {}

/// Fails to compile at the return type of a handler without `async` that is not a future.
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

/// Fails to compile at what is no set of permissions.
pub const fn assert_permissions<P: Permissions>() {}

/// Checks an argument of type `T` of a handler below a guard with the policy `P`.
///
/// The user in it is that of the policy `V`.
///
/// A macro sees names and cannot look them up, so the type chooses its check: for the arguments of
/// this crate, `KIND` is a constant of this type, which Rust prefers to the constant of the trait
/// [`AnyArgument`]. An application's own type called `CurrentUser` is an extractor like any other.
#[derive(Debug)]
pub struct ArgumentCheck<P, V, T>(PhantomData<(P, V, T)>);

/// The check of an argument that is not one of this crate's.
pub trait AnyArgument {
    /// What checks it.
    type Kind;
    /// What checks it.
    const KIND: Self::Kind;
}

impl<P, V, T> AnyArgument for ArgumentCheck<P, V, T> {
    type Kind = ExtractorCheck<P>;
    const KIND: Self::Kind = ExtractorCheck(PhantomData);
}

impl<P, V, U> ArgumentCheck<P, V, CurrentUser<U>> {
    /// What checks it.
    pub const KIND: UserCheck<V, U> = UserCheck(PhantomData);
}

impl<P, V, U, const SECONDS: u64> ArgumentCheck<P, V, FreshUser<U, SECONDS>> {
    /// What checks it.
    pub const KIND: ProofCheck<P> = ProofCheck(PhantomData);
}

impl<P, V, U, C> ArgumentCheck<P, V, AuthorizedUser<U, C>> {
    /// What checks it.
    pub const KIND: ProofCheck<P> = ProofCheck(PhantomData);
}

impl<P, V, U> ArgumentCheck<P, V, Option<CurrentUser<U>>> {
    /// What checks it.
    pub const KIND: OptionCheck<CurrentUser<U>> = OptionCheck(PhantomData);
}

impl<P, V, U, const SECONDS: u64> ArgumentCheck<P, V, Option<FreshUser<U, SECONDS>>> {
    /// What checks it.
    pub const KIND: OptionCheck<FreshUser<U, SECONDS>> = OptionCheck(PhantomData);
}

impl<P, V, U, C> ArgumentCheck<P, V, Option<AuthorizedUser<U, C>>> {
    /// What checks it.
    pub const KIND: OptionCheck<AuthorizedUser<U, C>> = OptionCheck(PhantomData);
}

// The methods take the argument's type again: the compiler then underlines the whole type.

/// The check of an extractor.
#[derive(Debug)]
pub struct ExtractorCheck<P>(PhantomData<fn() -> P>);

impl<P> ExtractorCheck<P> {
    /// Fails to compile if `T` cannot be an argument.
    pub const fn check<T: Argument<P>>(self) {}

    /// Checks nothing.
    pub const fn check_optional<T>(self) {}
}

/// The check of a `CurrentUser<U>`.
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

/// The check of a `FreshUser` or a `AuthorizedUser`.
#[derive(Debug)]
pub struct ProofCheck<P>(PhantomData<fn() -> P>);

impl<P> ProofCheck<P> {
    /// Fails to compile if the guard demands less than `T` proves, or names another user type.
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

/// The check of an `Option<T>` whose `T` is a user.
#[derive(Debug)]
pub struct OptionCheck<T>(PhantomData<fn() -> T>);

impl<T> OptionCheck<T> {
    /// Fails to compile.
    pub const fn check<O: OptionalUser<T>>(self) {}

    /// Fails to compile.
    pub const fn check_optional<O: OptionalUser<T>>(self) {}
}

/// An optional user as an argument. No type implements it: actix-web turns every error into `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` turns an outage into an anonymous user; write `{T}` below a guard, and `MaybeUser<..>` elsewhere",
    label = "`None` if the user could not be loaded"
)]
pub trait OptionalUser<T> {}
