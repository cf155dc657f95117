//! Arguments that prove what the guard of their handler asks for.
//!
//! They are not extractors of actix-web, so they only exist behind a guard. The guard has looked up the
//! user and has asked the condition; the argument adds no cost. The compiler checks that the guard asks
//! for all that the argument proves.

use std::{
    future::Future,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{Error, FromRequest, HttpRequest, dev::Payload, http::Method};
use derive_more::Debug;
use pin_project_lite::pin_project;

use crate::{
    conditions::{Condition, other_user},
    core::{AuthUser, Freshness, Requirement},
    guard::{
        current::{CurrentUser, CurrentUserFuture},
        policy::{DefaultUser, Policy, find},
        terms::Term,
    },
    manager::Manager,
};

/// An argument that a handler behind a guard with the policy `P` can take.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "not an extractor",
    note = "handler arguments implement `FromRequest`, as `web::Path`, `web::Json`, `HttpRequest` and `CurrentUser` do"
)]
pub trait Argument<P>: Sized {
    /// Why it could not be extracted.
    type Error: Into<Error>;
    /// The future that extracts it.
    type Future: Future<Output = Result<Self, Self::Error>>;
    /// Extracts it, after the guard let the request through.
    fn extract(request: &HttpRequest, payload: &mut Payload) -> Self::Future;
}

impl<P, T: FromRequest> Argument<P> for T {
    type Error = T::Error;
    type Future = T::Future;

    fn extract(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        T::from_request(request, payload)
    }
}

/// A user whose credentials were given in this session; with `SECONDS`, at most that long ago.
///
/// Dereferences to the user. The handler compiles only if its guard asks for a fresh login: `fresh`,
/// `fresh = ".."` or `#[fresh_login_required]`. Code behind another guard gets it from
/// [`Auth::require_fresh_login`](crate::Auth::require_fresh_login).
///
/// # Examples
///
/// ```
/// use actix_web::post;
/// use login_runtime::{AuthUser, fresh_login_required, guards::FreshUser};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// // Can only be called with a user who gave a password within the last ten minutes.
/// fn delete(user: &FreshUser<User, 600>) -> String { format!("deleted {}", user.id) }
///
/// #[fresh_login_required(max_age = "10m")]
/// #[post("/account/delete")]
/// async fn delete_account(user: FreshUser<User, 600>) -> String { delete(&user) }
/// ```
///
/// A guard that asks for less is refused by the compiler:
///
/// ```compile_fail
/// # use login_runtime::{AuthUser, guards::FreshUser, login_required};
/// # #[derive(AuthUser)]
/// # struct User { id: i64 }
/// #[login_required]
/// async fn delete_account(user: FreshUser<User>) -> String { user.id.to_string() }
/// ```
#[derive(Debug)]
pub struct FreshUser<U, const SECONDS: u64 = { u64::MAX }>(CurrentUser<U>);

/// A user who meets the condition `C`: [`role!`](crate::role) or [`permission!`](crate::permission).
///
/// Dereferences to the user. The handler compiles only if its guard asks for the condition.
///
/// # Examples
///
/// ```
/// use actix_web::get;
/// use login_runtime::{AuthUser, guards::AuthorizedUser, login_required, role};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] role: String }
///
/// #[login_required(role = "admin")]
/// #[get("/admin")]
/// async fn admin(user: AuthorizedUser<User, role!("admin")>) -> String { format!("admin {}", user.id) }
/// ```
///
/// A guard that asks for less is refused by the compiler:
///
/// ```compile_fail
/// # use login_runtime::{AuthUser, guards::AuthorizedUser, login_required, role};
/// # #[derive(AuthUser)]
/// # struct User { id: i64 }
/// #[login_required(any(role = "admin", role = "editor"))]
/// async fn admin(user: AuthorizedUser<User, role!("admin")>) -> String { user.id.to_string() }
/// ```
///
/// Write the full type in the handler, as here: the error then points at the argument. For a type alias
/// (`type Admin = ..`), `cargo build` reports the error but `cargo check` does not, and the error does
/// not point at the argument.
#[derive(Debug)]
#[debug("AuthorizedUser({user:?})")]
pub struct AuthorizedUser<U, C> {
    user: CurrentUser<U>,
    condition: PhantomData<fn() -> C>,
}

impl<U: AuthUser, const SECONDS: u64> FreshUser<U, SECONDS> {
    /// The user without the proof.
    pub fn into_current(this: Self) -> CurrentUser<U> {
        this.0
    }

    /// The proof, for code that has made the decision of the guard itself.
    pub(crate) fn of(user: CurrentUser<U>) -> Self {
        Self(user)
    }
}

impl<U: AuthUser, C> AuthorizedUser<U, C> {
    /// The user without the proof.
    pub fn into_current(this: Self) -> CurrentUser<U> {
        this.user
    }
}

impl<U, const SECONDS: u64> Deref for FreshUser<U, SECONDS> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.0
    }
}

impl<U, C> Deref for AuthorizedUser<U, C> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.user
    }
}

/// An argument that proves what the guard of its handler asks for.
pub trait Evidence<P> {
    /// The user type that the proof is about.
    type User;
    /// What the guard does not ask for, as a compiler error; empty if it asks for all of this.
    const MISSING: &'static str;
}

/// The user type of a guard, if its proofs are about `U`.
#[diagnostic::on_unimplemented(
    message = "the guard asks for a `{Self}`, and this argument is a `{U}`",
    label = "not the user that the guard asks for",
    note = "name the same user type in both: `user = {U}` in the guard"
)]
pub trait SameUser<U> {}

impl<U: AuthUser> SameUser<U> for U {}

// Only the manager knows this type, so it is compared when a request arrives.
impl<U: AuthUser> SameUser<U> for DefaultUser {}

impl<P: Policy, U: AuthUser, const SECONDS: u64> Evidence<P> for FreshUser<U, SECONDS> {
    type User = U;
    const MISSING: &'static str = match P::REQUIREMENT.freshness {
        Freshness::Any => {
            "the guard lets stale logins through, and this is a `FreshUser`; \
             add `fresh` to the guard"
        }
        _ if P::REQUIREMENT.exempt_options => EXEMPT,
        _ if SECONDS == u64::MAX => "",
        Freshness::Within(age) if age.as_secs() <= SECONDS => "",
        _ => {
            "the guard lets older logins through than this `FreshUser` may have; \
             give the guard an age that is not greater: `fresh = \"10m\"`"
        }
    };
}

#[diagnostic::do_not_recommend]
impl<P, U, const SECONDS: u64> Argument<P> for FreshUser<U, SECONDS>
where
    P: Policy<User: SameUser<U>>,
    U: AuthUser,
{
    type Error = Error;
    type Future = MapOk<CurrentUserFuture<U>, CurrentUser<U>, Self>;

    fn extract(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        prove::<P, U, Self>(request, Self)
    }
}

impl<P: Policy, U: AuthUser, C: Term<U>> Evidence<P> for AuthorizedUser<U, C> {
    type User = U;
    const MISSING: &'static str = if P::REQUIREMENT.exempt_options {
        EXEMPT
    } else if P::CONDITION.implies(Self::CONDITION) {
        ""
    } else {
        "the guard does not ask for what this `AuthorizedUser` proves; \
         add the same `role = ..` or `permission = ..` to the guard"
    };
}

#[diagnostic::do_not_recommend]
impl<P, U, C> Argument<P> for AuthorizedUser<U, C>
where
    P: Policy<User: SameUser<U>>,
    U: AuthUser,
    C: Term<U>,
{
    type Error = Error;
    type Future = MapOk<CurrentUserFuture<U>, CurrentUser<U>, Self>;

    fn extract(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        prove::<P, U, Self>(request, |user| Self {
            user,
            condition: PhantomData,
        })
    }
}

impl<U, C: Term<U>> AuthorizedUser<U, C> {
    const CONDITION: &'static Condition = &C::CONDITION;
}

const EXEMPT: &str = "a guard with `exempt_options` lets all OPTIONS requests through, \
                      so it proves nothing; take `MaybeUser`";

/// Fails to compile if a guard does not ask for what an argument proves.
///
/// The attribute calls this at the argument, where the error is easiest to read. In a generic handler,
/// or for a type behind another name, only the extraction knows the types, and calls it again.
#[track_caller]
pub const fn assert_proof<P: Policy<User: SameUser<T::User>>, T: Evidence<P>>() {
    assert!(T::MISSING.is_empty(), "{}", T::MISSING);
}

/// Makes an argument out of the user whom the guard has looked up and let through.
fn prove<P, U, T>(
    request: &HttpRequest,
    map: fn(CurrentUser<U>) -> T,
) -> MapOk<CurrentUserFuture<U>, CurrentUser<U>, T>
where
    P: Policy<User: SameUser<U>>,
    U: AuthUser,
    T: Evidence<P, User = U>,
{
    const { assert_proof::<P, T>() };
    let same = Manager::of(request).and_then(|manager| {
        let guarded = find::<P::User>(manager)?;
        if guarded == find::<U>(manager)? {
            return Ok(manager);
        }
        let user_type = manager.users.get(guarded);
        Err(other_user::<U>(
            user_type.map_or("", |user_type| user_type.loader.type_name()),
        ))
    });
    let future = match same {
        // The manager may exempt OPTIONS requests from all guards, so no guard has decided here.
        Ok(manager) if manager.guards.exempt_options && request.method() == Method::OPTIONS => {
            CurrentUserFuture::of(request, P::REQUIREMENT, P::CONDITION)
        }
        Ok(_) => CurrentUserFuture::of(request, Requirement::LOGIN, &Condition::ALWAYS),
        Err(error) => CurrentUserFuture::failed(error),
    };
    MapOk { future, map }
}

/// All arguments of a handler behind a guard with the policy `P`.
pub trait Arguments<P>: Sized {
    /// The extractors, which actix-web polls together.
    type Extractors: FromRequest;
    /// Takes the arguments out of the extractors.
    fn take(extracted: Self::Extractors) -> Self;
}

/// One argument as an extractor of actix-web.
#[derive(Debug)]
#[debug("Extracted")]
pub struct Extracted<P, T>(T, PhantomData<fn() -> P>);

impl<P, T: Argument<P>> FromRequest for Extracted<P, T> {
    type Error = T::Error;
    type Future = MapOk<T::Future, T, Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        MapOk {
            future: T::extract(request, payload),
            map: |argument| Self(argument, PhantomData),
        }
    }
}

macro_rules! tuples_are_arguments {
    ($($($name:ident)*;)*) => {$(
        impl<P: 'static, $($name: Argument<P> + 'static),*> Arguments<P> for ($($name,)*) {
            type Extractors = ($(Extracted<P, $name>,)*);

            #[allow(non_snake_case, clippy::unused_unit, reason = "one name for a type and its value")]
            fn take(($(Extracted($name, _),)*): Self::Extractors) -> Self {
                ($($name,)*)
            }
        }
    )*};
}

tuples_are_arguments! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
    A B C D E F G H I J K L M;
    A B C D E F G H I J K L M N;
    A B C D E F G H I J K L M N O;
    A B C D E F G H I J K L M N O Q;
}

pin_project! {
    /// Maps the value of a future, unless it is an error.
    #[derive(Debug)]
    #[debug("MapOk")]
    pub struct MapOk<F, A, B> {
        #[pin]
        future: F,
        map: fn(A) -> B,
    }
}

impl<F: Future<Output = Result<A, E>>, A, B, E> Future for MapOk<F, A, B> {
    type Output = Result<B, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.future.poll(cx).map_ok(this.map)
    }
}
