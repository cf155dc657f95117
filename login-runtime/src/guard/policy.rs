//! Guards as types: what `#[login_required]` and its options expand to.
//!
//! Each option is a type around the policy before it, so the compiler knows what a guard asks for:
//! `#[login_required(fresh, passive)]` has the policy `Passive<Fresh<LoginRequired>>`.

use std::{
    any::{TypeId, type_name},
    marker::PhantomData,
    time::Duration,
};

use crate::{
    conditions::Condition,
    core::{AuthUser, Freshness, Requirement},
    error::SetupError,
    guard::terms::{ConditionType, Term},
    manager::Manager,
    users::Permissions,
};

/// The options of a guard.
///
/// Does not ask that the type in `user = ..` is a user, as [`Policy`] does: the compiler has reported
/// that already when it reads the options.
pub trait GuardOptions: 'static {
    /// What the login must be like.
    #[doc(hidden)]
    const REQUIREMENT: Requirement = Requirement::LOGIN;
    /// What the user must be like.
    #[doc(hidden)]
    const CONDITION: &'static Condition = &Condition::ALWAYS;
    /// The name of the user type, if the options name one.
    #[doc(hidden)]
    const USER_NAME: fn() -> Option<&'static str> = || None;
}

/// What a guard asks for, as a type.
pub trait Policy: GuardOptions {
    /// The user type that must be logged in.
    #[doc(hidden)]
    type User: GuardUser;
}

/// A user type that a guard can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be logged in",
    label = "not a user",
    note = "add `#[derive(AuthUser)]` to `{Self}`, or implement the trait by hand"
)]
pub trait GuardUser: 'static {}

/// The user type of the manager's first loader.
#[derive(Debug)]
pub struct DefaultUser;

impl GuardUser for DefaultUser {}

impl<U: AuthUser> GuardUser for U {}

fn is_default<U: 'static>() -> bool {
    TypeId::of::<U>() == TypeId::of::<DefaultUser>()
}

/// The position of a user type among those of the manager.
pub(crate) fn find<U: GuardUser>(manager: &Manager) -> Result<usize, SetupError> {
    if is_default::<U>() {
        return Ok(0);
    }
    manager.index(TypeId::of::<U>(), type_name::<U>)
}

/// A login of the user type `U`.
#[derive(Debug)]
pub struct LoginRequired<U = DefaultUser>(PhantomData<fn() -> U>);

impl<U: 'static> GuardOptions for LoginRequired<U> {
    const USER_NAME: fn() -> Option<&'static str> = || (!is_default::<U>()).then(type_name::<U>);
}

impl<U: GuardUser> Policy for LoginRequired<U> {
    type User = U;
}

/// A login of the user type that the permissions `P` belong to.
#[derive(Debug)]
pub struct LoginOf<P>(PhantomData<fn() -> P>);

// The permission names the user type.
impl<P: 'static> GuardOptions for LoginOf<P> {}

impl<P: Permissions> Policy for LoginOf<P> {
    type User = P::User;
}

/// What `P` asks for, and a login that is at most `SECONDS` old. Without a number, the manager's
/// `fresh_for` sets the limit.
#[derive(Debug)]
pub struct Fresh<P, const SECONDS: u64 = { u64::MAX }>(PhantomData<fn() -> P>);

impl<P: GuardOptions, const SECONDS: u64> GuardOptions for Fresh<P, SECONDS> {
    const REQUIREMENT: Requirement = Requirement {
        freshness: match SECONDS {
            u64::MAX => Freshness::Default,
            seconds => Freshness::Within(Duration::from_secs(seconds)),
        },
        ..P::REQUIREMENT
    };
    const CONDITION: &'static Condition = P::CONDITION;
    const USER_NAME: fn() -> Option<&'static str> = P::USER_NAME;
}

impl<P: Policy, const SECONDS: u64> Policy for Fresh<P, SECONDS> {
    type User = P::User;
}

/// What `P` asks for, except of OPTIONS requests.
#[derive(Debug)]
pub struct ExemptOptions<P>(PhantomData<fn() -> P>);

impl<P: GuardOptions> GuardOptions for ExemptOptions<P> {
    const REQUIREMENT: Requirement = Requirement {
        exempt_options: true,
        ..P::REQUIREMENT
    };
    const CONDITION: &'static Condition = P::CONDITION;
    const USER_NAME: fn() -> Option<&'static str> = P::USER_NAME;
}

impl<P: Policy> Policy for ExemptOptions<P> {
    type User = P::User;
}

/// What `P` asks for, of a request that does not count as use of the login.
#[derive(Debug)]
pub struct Passive<P>(PhantomData<fn() -> P>);

impl<P: GuardOptions> GuardOptions for Passive<P> {
    const REQUIREMENT: Requirement = Requirement {
        passive: true,
        ..P::REQUIREMENT
    };
    const CONDITION: &'static Condition = P::CONDITION;
    const USER_NAME: fn() -> Option<&'static str> = P::USER_NAME;
}

impl<P: Policy> Policy for Passive<P> {
    type User = P::User;
}

/// What `P` asks for, and a user who meets the condition `C`.
#[derive(Debug)]
pub struct Requires<P, C>(PhantomData<fn() -> (P, C)>);

impl<P: GuardOptions, C: ConditionType> GuardOptions for Requires<P, C> {
    const REQUIREMENT: Requirement = P::REQUIREMENT;
    const CONDITION: &'static Condition = &C::CONDITION;
    const USER_NAME: fn() -> Option<&'static str> = P::USER_NAME;
}

impl<P: Policy, C: Term<P::User>> Policy for Requires<P, C> {
    type User = P::User;
}
