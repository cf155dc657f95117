//! Roles and permissions: what the application's types say about them.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    future::Future,
    rc::Rc,
    sync::Arc,
};

use actix_web::HttpRequest;

use crate::{core::AuthUser, error::BoxError};

/// Implements [`Permissions`](trait@Permissions) for an enum whose variants hold nothing.
///
/// | `#[permissions(..)]` | meaning | default |
/// |---|---|---|
/// | `user = Type` | whose permissions these are | must be given |
/// | `crate = path` | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// # Examples
///
/// ```
/// use actix_web::{HttpRequest, Responder, post, web};
/// use login_runtime::{AuthUser, BoxError, HasPermission, Permissions, permission_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, is_moderator: bool }
///
/// #[derive(Permissions)]
/// #[permissions(user = User)]
/// enum Permission { EditPost, DeletePost }
///
/// impl HasPermission<Permission> for User {
///     async fn has_permission(&self, asked: Permission, request: &HttpRequest) -> Result<bool, BoxError> {
///         match asked {
///             Permission::EditPost => {
///                 let author = author_of(request.match_info().query("id")).await?;
///                 Ok(author == Some(self.id))
///             }
///             Permission::DeletePost => Ok(self.is_moderator),
///         }
///     }
/// }
///
/// // In place of a database. Nobody wrote what is not there: no error, which would be a 503.
/// async fn author_of(post: &str) -> Result<Option<i64>, std::io::Error> { Ok(post.parse().ok()) }
///
/// // Who did not write the post gets 403, before a byte of the body is read.
/// #[permission_required(Permission::EditPost)]
/// #[post("/posts/{id}")]
/// async fn edit(post: web::Path<i64>, text: String) -> impl Responder {
///     format!("post {post} has {} bytes now", text.len())
/// }
/// ```
///
/// What is no set of permissions is refused, with what to do:
///
/// ```compile_fail
/// #[derive(login_runtime::Permissions)]
/// enum Permission { EditPost } // say whose permissions these are: `#[permissions(user = User)]`
/// ```
pub use login_macros::Permissions;

/// A set of permissions: an enum with a variant for each thing that only some users may do.
///
/// Derive it: [`#[derive(Permissions)]`](derive@Permissions).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no set of permissions",
    label = "no permissions",
    note = "add `#[derive(Permissions)]` and `#[permissions(user = ..)]` to `{Self}`"
)]
pub trait Permissions: Sized + 'static {
    /// Whose permissions these are.
    type User: AuthUser + HasPermission<Self>;

    /// The name of this one, for the log and the route audit.
    fn name(self) -> &'static str;

    #[doc(hidden)]
    const SET: &'static str;
    #[doc(hidden)]
    fn number(self) -> usize;
    #[doc(hidden)]
    fn of_number(number: usize) -> Option<Self>;
}

/// A user who may have permissions of the set `P`.
///
/// Asked at each request that a guard with the permission sees, and never cached: a right that is
/// taken away is gone at the next request (ASVS 8.3.2).
///
/// # Errors
///
/// An error says that it could not be found out. It is answered with 503: nobody passes, and nobody
/// is told that they may not. A path parameter that cannot be read, or leads to nothing, is the client's
/// doing and no error: say `false`, or `true` if the handler is to answer 404.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who has the permissions `{P}`",
    label = "no `HasPermission<{P}>`",
    note = "implement `HasPermission<{P}>` for `{Self}`"
)]
pub trait HasPermission<P> {
    /// Whether this user has the permission, in this request.
    ///
    /// The path's parameters are in `request.match_info()`, what handlers take as `web::Data<T>` in
    /// `request.app_data::<web::Data<T>>()`. The body has not been read.
    fn has_permission(
        &self,
        permission: P,
        request: &HttpRequest,
    ) -> impl Future<Output = Result<bool, BoxError>>;
}

/// What a field marked `#[auth(roles)]` can be: one role, none, or several.
///
/// Implement it for an enum of the application's own. One role may well include another:
///
/// ```
/// use login_runtime::{AuthUser, Roles};
///
/// enum Level { Editor, Admin }
///
/// impl Roles for Level {
///     fn has_role(&self, role: &str) -> bool {
///         match self {
///             Level::Editor => role == "editor",
///             Level::Admin => role == "editor" || role == "admin",
///         }
///     }
/// }
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] level: Level }
///
/// assert!(!User { id: 7, level: Level::Editor }.has_role("admin"));
/// assert!(User { id: 8, level: Level::Admin }.has_role("editor"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which roles a user has",
    label = "no roles",
    note = "mark a text, an `Option`, a `Vec` or a set of texts, or implement `Roles` for `{Self}`"
)]
pub trait Roles {
    /// Whether the role is among them.
    fn has_role(&self, role: &str) -> bool;
}

impl Roles for str {
    fn has_role(&self, role: &str) -> bool {
        self == role
    }
}

impl Roles for String {
    fn has_role(&self, role: &str) -> bool {
        self == role
    }
}

impl Roles for Cow<'_, str> {
    fn has_role(&self, role: &str) -> bool {
        self == role
    }
}

impl<T: Roles> Roles for [T] {
    fn has_role(&self, role: &str) -> bool {
        self.iter().any(|one| one.has_role(role))
    }
}

macro_rules! many_roles {
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        impl<$($generics)*> Roles for $type {
            fn has_role(&self, role: &str) -> bool {
                self.iter().any(|one| one.has_role(role))
            }
        }
    )*};
}

many_roles!(
    [T: Roles] Option<T>,
    [T: Roles] Vec<T>,
    [T: Roles, const N: usize] [T; N],
    [T: Roles, S] HashSet<T, S>,
    [T: Roles] BTreeSet<T>,
);

macro_rules! pointers_to_roles {
    ($($type:ty),*) => {$(
        impl<T: Roles + ?Sized> Roles for $type {
            fn has_role(&self, role: &str) -> bool {
                T::has_role(self, role)
            }
        }
    )*};
}

pointers_to_roles!(&T, Box<T>, Rc<T>, Arc<T>);
