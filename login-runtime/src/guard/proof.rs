//! Arguments that carry the proof of what their guard asked for.
//!
//! They are no extractors of actix-web's, so only a guard can make them: it has asked, and they are
//! free. What they prove is compared with the guard when the program is compiled.

use std::{
    fmt,
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
    conditions::Condition,
    core::{AuthUser, Requirement},
    error::SetupError,
    guard::{
        current::{self, CurrentUser, CurrentUserFuture},
        policy::{DefaultUser, GuardManager, Policy},
        terms::Term,
    },
    manager::Manager,
};

/// What a handler can take below a guard with the policy `P`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    label = "not an extractor",
    note = "handler arguments implement `FromRequest`, as `web::Path`, `web::Json`, `HttpRequest` and `CurrentUser` do"
)]
pub trait Argument<P>: Sized {
    /// What happens if it cannot be made.
    type Error: Into<Error>;
    /// Its being made.
    type Future: Future<Output = Result<Self, Self::Error>>;
    /// Makes it, below a guard that let the request through.
    fn extract(request: &HttpRequest, payload: &mut Payload) -> Self::Future;
}

impl<P, T: FromRequest> Argument<P> for T {
    type Error = T::Error;
    type Future = T::Future;

    fn extract(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        T::from_request(request, payload)
    }
}

/// A login whose credentials were given in this session; with `SECONDS`, at most so long ago.
///
/// The guard of the handler has to ask for it (`fresh`, `fresh = ".."`, `#[fresh_login_required]`), or
/// the handler does not compile. Dereferences to the user.
///
/// # Examples
///
/// ```
/// use actix_web::post;
/// use login_runtime::{AuthUser, FreshUser, fresh_login_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64 }
///
/// // Whoever calls this has a user who just gave a password.
/// fn delete(user: &FreshUser<User, 600>) -> String { format!("deleted {}", user.id) }
///
/// #[fresh_login_required(max_age = "10m")]
/// #[post("/account/delete")]
/// async fn delete_account(user: FreshUser<User, 600>) -> String { delete(&user) }
/// ```
///
/// A guard that asks for less is no proof:
///
/// ```compile_fail
/// # use login_runtime::{AuthUser, FreshUser, login_required};
/// # #[derive(AuthUser)]
/// # struct User { id: i64 }
/// #[login_required]
/// async fn delete_account(user: FreshUser<User>) -> String { user.id.to_string() }
/// ```
pub struct FreshUser<U, const SECONDS: u64 = { u64::MAX }>(CurrentUser<U>);

/// A user who meets the condition `C`: [`role!`](crate::role) or [`permission!`](crate::permission).
///
/// The guard of the handler has to ask for it, or the handler does not compile. Dereferences to the
/// user.
///
/// # Examples
///
/// ```
/// use actix_web::get;
/// use login_runtime::{AuthUser, AuthorizedUser, login_required, role};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] role: String }
///
/// #[login_required(role = "admin")]
/// #[get("/admin")]
/// async fn admin(user: AuthorizedUser<User, role!("admin")>) -> String { format!("admin {}", user.id) }
/// ```
///
/// A guard that asks for less is no proof:
///
/// ```compile_fail
/// # use login_runtime::{AuthUser, AuthorizedUser, login_required, role};
/// # #[derive(AuthUser)]
/// # struct User { id: i64 }
/// #[login_required(any(role = "admin", role = "editor"))]
/// async fn admin(user: AuthorizedUser<User, role!("admin")>) -> String { user.id.to_string() }
/// ```
///
/// Write the type out in the handler, as here: the error then points at the argument. Behind another
/// name (`type Admin = ..`) only `cargo build` finds it, and not `cargo check`, and the error says less
/// about where.
pub struct AuthorizedUser<U, C> {
    user: CurrentUser<U>,
    condition: PhantomData<fn() -> C>,
}

impl<U: AuthUser, const SECONDS: u64> FreshUser<U, SECONDS> {
    /// The user without the proof.
    pub fn into_current(this: Self) -> CurrentUser<U> {
        this.0
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

impl<U, const SECONDS: u64> fmt::Debug for FreshUser<U, SECONDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FreshUser").field(&self.0).finish()
    }
}

impl<U, C> fmt::Debug for AuthorizedUser<U, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthorizedUser").field(&self.user).finish()
    }
}

/// An argument that only a guard can make.
pub trait Evidence<P> {
    /// Whose it is.
    type User;
    /// What is missing in the guard; nothing if it asks for all of this.
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

// Which type that is, the manager knows.
impl<U: AuthUser> SameUser<U> for DefaultUser {}

impl<P: Policy, U: AuthUser, const SECONDS: u64> Evidence<P> for FreshUser<U, SECONDS> {
    type User = U;
    const MISSING: &'static str = match P::FRESH {
        Some(_) if !P::PROVES => EXEMPT,
        Some(age) if SECONDS == u64::MAX || age <= SECONDS => "",
        Some(_) => {
            "the guard lets older logins through than this `FreshUser` may have; \
             give the guard an age that is not greater: `fresh = \"10m\"`"
        }
        None => {
            "the guard lets stale logins through, and this is a `FreshUser`; \
             add `fresh` to the guard"
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
        const { assert_proof::<P, Self>() };
        MapOk {
            future: user_of::<P, U>(request),
            map: Self,
        }
    }
}

impl<P: Policy, U: AuthUser, C: Term<U>> Evidence<P> for AuthorizedUser<U, C> {
    type User = U;
    const MISSING: &'static str = if !P::PROVES {
        EXEMPT
    } else if P::CONDITION.implies(Self::ASKED) {
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
        const { assert_proof::<P, Self>() };
        MapOk {
            future: user_of::<P, U>(request),
            map: |user| Self {
                user,
                condition: PhantomData,
            },
        }
    }
}

impl<U, C: Term<U>> AuthorizedUser<U, C> {
    const ASKED: &'static Condition = &C::CONDITION;
}

const EXEMPT: &str = "a guard with `exempt_options` lets OPTIONS requests of everybody through, \
                      so it proves nothing; take `MaybeUser`";

/// Fails to compile where a guard does not prove what an argument says.
///
/// Said at the argument's own type where that can be. Where a handler is generic, or the type has another
/// name, the extraction is the first place that knows.
#[track_caller]
pub const fn assert_proof<P: Policy<User: SameUser<T::User>>, T: Evidence<P>>() {
    assert!(T::MISSING.is_empty(), "{}", T::MISSING);
}

/// The user whom the guard let through, who has been found.
fn user_of<P: Policy, U: AuthUser>(request: &HttpRequest) -> CurrentUserFuture<U> {
    let same = Manager::of(request).and_then(|manager| {
        let guarded = P::find(&GuardManager(manager))?;
        if guarded == current::find::<U>(manager)? {
            return Ok(manager);
        }
        let error = SetupError::OtherUser {
            asked: std::any::type_name::<U>(),
            guarded: manager
                .users
                .get(guarded)
                .map_or("", |kind| kind.loader.type_name()),
        };
        tracing::error!(target: "login", "{error}");
        Err(error)
    });
    match same {
        // The manager may let OPTIONS requests through that no guard has looked at.
        Ok(manager) if manager.guards.exempt_options && request.method() == Method::OPTIONS => {
            CurrentUserFuture::of(request, P::requirement().0, P::CONDITION)
        }
        Ok(_) => CurrentUserFuture::of(request, Requirement::LOGIN, &Condition::ALWAYS),
        Err(error) => CurrentUserFuture::failed(request, error),
    }
}

/// All arguments of a handler below a guard with the policy `P`.
pub trait Arguments<P>: Sized {
    /// As actix-web extracts them, which is together.
    type Extractors: FromRequest;
    /// Makes them the handler's.
    fn take(extracted: Self::Extractors) -> Self;
}

/// One argument, as an extractor of actix-web's.
pub struct Extracted<P, T>(T, PhantomData<fn() -> P>);

impl<P, T> fmt::Debug for Extracted<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Extracted").finish_non_exhaustive()
    }
}

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
    /// Does something with what a future brings, unless that is an error.
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
