//! Conditions as types: what `role = ..`, `check = ..`, `any(..)` and their relatives expand to.
//!
//! A type with the values of the condition in it lets the compiler compare the conditions of a guard
//! with those of an argument, such as `AuthorizedUser<User, role!("admin")>`.

use std::{borrow::Cow, marker::PhantomData};

use actix_web::HttpRequest;

use crate::{
    conditions::{Check, CheckFn, Condition, List, Test},
    core::AuthUser,
    users::Permissions,
};

/// A condition as a type.
pub trait ConditionType: 'static {
    /// The conditions that it combines.
    const PARTS: &'static [Condition] = &[];
    /// The condition.
    const CONDITION: Condition;
}

/// A condition as a type, which can be asked about a user of type `U`.
#[diagnostic::on_unimplemented(
    message = "this condition is not about a `{U}`, and the guard asks for one",
    label = "not about `{U}`",
    note = "a guard asks for one user type; use one guard for each"
)]
pub trait Term<U>: ConditionType {}

/// A role as a type: its text in UTF-8 with a length of `LEN` bytes, 16 bytes in each number.
///
/// Numbers, because stable Rust has no texts as const parameters.
#[derive(Debug)]
pub struct Role<
    const LEN: usize,
    const A: u128,
    const B: u128 = 0,
    const C: u128 = 0,
    const D: u128 = 0,
>;

impl<const LEN: usize, const A: u128, const B: u128, const C: u128, const D: u128>
    Role<LEN, A, B, C, D>
{
    const BYTES: [[u8; 16]; 4] = [
        A.to_be_bytes(),
        B.to_be_bytes(),
        C.to_be_bytes(),
        D.to_be_bytes(),
    ];

    const TEXT: &'static str = match std::str::from_utf8(Self::BYTES.as_flattened().split_at(LEN).0)
    {
        Ok(text) => text,
        Err(_) => "",
    };
}

impl<U, const LEN: usize, const A: u128, const B: u128, const C: u128, const D: u128> Term<U>
    for Role<LEN, A, B, C, D>
{
}

impl<const LEN: usize, const A: u128, const B: u128, const C: u128, const D: u128> ConditionType
    for Role<LEN, A, B, C, D>
{
    const CONDITION: Condition = Condition(Test::Role(Cow::Borrowed(Self::TEXT)));
}

/// The user type that a set of permissions belongs to, if it is `U`.
#[diagnostic::on_unimplemented(
    message = "these are permissions of `{Self}`, and the guard asks for a `{U}`",
    label = "not permissions of `{U}`",
    note = "a guard asks for one user type; take `user = {U}` out of it, or use one guard for each type"
)]
pub trait Permits<U> {}

impl<U> Permits<U> for U {}

/// A permission as a type: the set, and the permission's number in it.
#[derive(Debug)]
pub struct Permitted<P, const NUMBER: usize>(PhantomData<fn() -> P>);

impl<U, P, const NUMBER: usize> Term<U> for Permitted<P, NUMBER> where
    P: Permissions<User: Permits<U>>
{
}

impl<P: Permissions, const NUMBER: usize> ConditionType for Permitted<P, NUMBER> {
    const CONDITION: Condition = Condition::numbered::<P>(NUMBER);
}

/// Calls the expression in `check = ..`. As an argument, a closure gets its types from here, and the
/// expression needs no parentheses.
pub fn check<U>(user: &U, _: &HttpRequest, check: fn(&U) -> bool) -> bool {
    check(user)
}

/// Calls an expression in `check = ..` that also takes the request.
pub fn check_request<U>(
    user: &U,
    request: &HttpRequest,
    check: fn(&U, &HttpRequest) -> bool,
) -> bool {
    check(user, request)
}

/// The item that `check = ..` expands to.
pub trait Checking: 'static {
    /// The user type that it checks.
    type User: AuthUser;
    /// The application's expression.
    const TEXT: &'static str;
    /// Evaluates it.
    fn check(user: &Self::User, request: &HttpRequest) -> bool;
}

/// A check of the application as a type.
#[derive(Debug)]
pub struct Checked<C>(PhantomData<fn() -> C>);

impl<U, C: Checking<User = U>> Term<U> for Checked<C> {}

impl<C: Checking> ConditionType for Checked<C> {
    const CONDITION: Condition = Condition(Test::Check(Check {
        text: C::TEXT,
        run: CheckFn::Static(|subject| Ok(C::check(subject.user()?, &subject.request))),
    }));
}

/// `any(A, B)`.
#[derive(Debug)]
pub struct Or<A, B>(PhantomData<fn() -> (A, B)>);

impl<U, A: Term<U>, B: Term<U>> Term<U> for Or<A, B> {}

impl<A: ConditionType, B: ConditionType> ConditionType for Or<A, B> {
    const PARTS: &'static [Condition] = &[A::CONDITION, B::CONDITION];
    const CONDITION: Condition = Condition(Test::Any(List::Static(Self::PARTS)));
}

/// `all(A, B)`.
#[derive(Debug)]
pub struct And<A, B>(PhantomData<fn() -> (A, B)>);

impl<U, A: Term<U>, B: Term<U>> Term<U> for And<A, B> {}

impl<A: ConditionType, B: ConditionType> ConditionType for And<A, B> {
    const PARTS: &'static [Condition] = &[A::CONDITION, B::CONDITION];
    const CONDITION: Condition = Condition(Test::All(List::Static(Self::PARTS)));
}

/// `not(A)`.
#[derive(Debug)]
pub struct Negated<A>(PhantomData<fn() -> A>);

impl<U, A: Term<U>> Term<U> for Negated<A> {}

impl<A: ConditionType> ConditionType for Negated<A> {
    const PARTS: &'static [Condition] = &[A::CONDITION];
    const CONDITION: Condition = Condition(Test::Not(List::Static(Self::PARTS)));
}
