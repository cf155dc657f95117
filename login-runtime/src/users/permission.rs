//! Roles and permissions: the traits by which the application says who has which.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    future::Future,
    rc::Rc,
    sync::Arc,
};

use actix_web::HttpRequest;

use crate::{core::AuthUser, error::BoxError};

/// Implements [`Permissions`](trait@Permissions) for an enum whose variants have no fields.
///
/// | `#[permissions(..)]` | meaning | default |
/// |---|---|---|
/// | `user = Type` | the user type that has these permissions | required |
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
/// // In place of a database. A post that does not exist has no author; an error would be a 503.
/// async fn author_of(post: &str) -> Result<Option<i64>, std::io::Error> { Ok(post.parse().ok()) }
///
/// // A user who did not write the post gets 403, before a byte of the body is read.
/// #[permission_required(Permission::EditPost)]
/// #[post("/posts/{id}")]
/// async fn edit(post: web::Path<i64>, text: String) -> impl Responder {
///     format!("post {post} has {} bytes now", text.len())
/// }
/// ```
///
/// Without a user type it does not compile, and the message says what to do:
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
    message = "`{Self}` is not a set of permissions",
    label = "no permissions",
    note = "add `#[derive(Permissions)]` and `#[permissions(user = ..)]` to `{Self}`"
)]
pub trait Permissions: Sized + 'static {
    /// The user type that has these permissions.
    type User: AuthUser + HasPermission<Self>;

    /// The name of this permission, for the log and the route audit.
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
/// A guard with a permission asks at every request and caches nothing: a permission that is taken away is
/// gone at the next request (ASVS 8.3.2).
///
/// # Errors
///
/// Return an error if the answer could not be found out. The client then gets 503: it is neither let
/// through nor told that the user may not do this. A path parameter that cannot be parsed, or that names
/// something that does not exist, is not an error but the client's mistake: return `false`, or `true` if
/// the handler answers with 404.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who has the permissions `{P}`",
    label = "no `HasPermission<{P}>`",
    note = "implement `HasPermission<{P}>` for `{Self}`"
)]
pub trait HasPermission<P> {
    /// Whether this user has the permission, in this request.
    ///
    /// The path's parameters are in `request.match_info()`. What handlers take as `web::Data<T>` is in
    /// `request.app_data::<web::Data<T>>()`. The body has not been read yet.
    fn has_permission(
        &self,
        permission: P,
        request: &HttpRequest,
    ) -> impl Future<Output = Result<bool, BoxError>>;
}

/// The type of a field that is marked `#[auth(roles)]`: one role, none, or several.
///
/// Implement it for an enum of the application. One role may include another:
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
    note = "mark a text, an `Option`, a `Vec` or a set of texts, or implement `Roles` for `{Self}`",
    note = "a flag such as `is_admin: bool` is no role; ask for it in the guard: `check = |user: &User| user.is_admin`"
)]
pub trait Roles {
    /// Whether `role` is one of these roles.
    fn has_role(&self, role: &str) -> bool;
}

impl Roles for str {
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
    ($([$($generics:tt)*] $type:ty),* $(,)?) => {$(
        impl<$($generics)*> Roles for $type {
            fn has_role(&self, role: &str) -> bool {
                (**self).has_role(role)
            }
        }
    )*};
}

pointers_to_roles!(
    [] String,
    [] Cow<'_, str>,
    [T: Roles + ?Sized] &T,
    [T: Roles + ?Sized] Box<T>,
    [T: Roles + ?Sized] Rc<T>,
    [T: Roles + ?Sized] Arc<T>,
);
