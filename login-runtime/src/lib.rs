//! Login management for actix-web: who is logged in, across requests and browsers, and guards that
//! keep everybody else out.
//!
//! An application brings its user type, its database and its password check. It derives [`AuthUser`],
//! wraps its `App` in a [`LoginManager`], and annotates handlers with
//! [`#[login_required]`](macro@login_required).
//!
//! # It does, it does not
//!
//! It keeps who is logged in, logs in and out, remembers logins beyond the session, asks for fresh
//! credentials, notices sessions that move to another client, guards handlers and scopes, sends
//! refused clients to the login page and back, and reports all of it. With a [`LoginStore`] logins
//! can be seen, limited and ended.
//!
//! It does not store users, show pages, or know what a user may do: it asks the application for roles
//! and permissions. It checks passwords only if asked to (feature `password`).
//!
//! # A whole program
//!
//! ```no_run
//! use actix_web::{App, HttpServer, Responder, cookie::Key, get, post, web};
//! use login_runtime::{
//!     Auth, AuthUser, CurrentUser, LoginError, LoginManager, MemoryLoginStore, Verified,
//!     login_required, public,
//! };
//!
//! #[derive(AuthUser, Clone)]
//! struct User { id: i64, name: String, is_active: bool }
//!
//! async fn find(id: i64) -> Result<Option<User>, std::io::Error> {
//!     Ok((id == 1).then(|| User { id, name: "Ada".to_owned(), is_active: true }))
//! }
//!
//! #[login_required]
//! #[get("/")]
//! async fn index(user: CurrentUser<User>) -> impl Responder {
//!     format!("Hello, {}!", user.name)
//! }
//!
//! #[public]
//! #[get("/login")]
//! async fn login_page() -> impl Responder {
//!     web::Html::new(r#"<form method="post"><button>Log in as Ada</button></form>"#)
//! }
//!
//! #[public]
//! #[post("/login")]
//! async fn log_in(auth: Auth<User>) -> Result<impl Responder, LoginError> {
//!     // In place of a password check, for which see `PasswordVerifier`.
//!     let ada = User { id: 1, name: "Ada".to_owned(), is_active: true };
//!     auth.log_in(Verified::trust(ada, "example")).await?;
//!     Ok(auth.redirect_to_next_or("/"))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> std::io::Result<()> {
//!     let login_manager = LoginManager::builder(find)
//!         .login_store(MemoryLoginStore::new())
//!         .login_view("/login")
//!         .deny_by_default()
//!         .build(Key::generate())?;
//!     HttpServer::new(move || {
//!         App::new().wrap(login_manager.clone()).service(index).service(login_page).service(log_in)
//!     })
//!     .bind(("127.0.0.1", 8080))?
//!     .run()
//!     .await
//! }
//! ```
//!
//! # Terms
//!
//! The *user* is the application's own type; nobody is an *anonymous* user. A login is *fresh* if
//! credentials were given in this session, and *stale* if a remember cookie restored it or it showed
//! up from another client; to *confirm* is to make it fresh again. A *guard* lets through or refuses:
//! *unauthorized* (401) is who is not logged in, *forbidden* (403) who is and may not. *Next* is where
//! a refused client wanted to go.
//!
//! # Guarding
//!
//! | what | how |
//! |---|---|
//! | a handler | [`#[login_required]`](macro@login_required), [`#[fresh_login_required]`](macro@fresh_login_required) |
//! | a closure, a handler of another crate | [`guarded`] |
//! | a scope, a resource, a route | `.wrap(`[`login_required()`](fn@login_required)`)` |
//! | inside a handler | [`Auth::require_login`], [`Auth::require`], [`Auth::unauthorized`], [`Auth::forbidden`] |
//!
//! A guard that has to wait for the database keeps the body unread meanwhile.
//!
//! # Roles and permissions
//!
//! A user who is known and may not do something gets 403, and is never sent to the login view.
//!
//! | what is asked for | in an attribute | as middleware, or inside a handler |
//! |---|---|---|
//! | a role, which `#[auth(roles)]` or [`AuthUser::has_role`] knows | `role = "admin"` | [`Condition::role`] |
//! | a permission, which [`HasPermission`] looks up with the request at hand | `permission = Permission::EditPost`, [`#[permission_required(..)]`](macro@permission_required) | [`Condition::permission`] |
//! | something of the application's own | <code>check = \|user: &User\| ..</code> | [`Condition::check`] |
//! | several of these | `any(..)`, `all(..)`, `not(..)` | [`Condition::any`], [`Condition::all`], `!condition` |
//!
//! The reasons to refuse are looked for in this order: nobody is logged in, the user is not active, the
//! user may not do this, the login is not fresh. Whoever may never do something is so not sent to give
//! a password for it. A permission that cannot be looked up is a 503, also within `not(..)`.
//!
//! [`FreshUser`] and [`AuthorizedUser`] are arguments that carry the proof of what the guard asked for. A
//! handler that takes one of them below a guard that asks for less does not compile.
//!
//! # No route forgotten
//!
//! With [`deny_by_default`](LoginManagerBuilder::deny_by_default) anonymous clients only get to routes that
//! say so. Each of these declares a route, and all three checks see it:
//!
//! | what | how |
//! |---|---|
//! | a handler with a route attribute | [`#[login_required]`](macro@login_required) or [`#[public]`](macro@public) *above* it |
//! | a route without one | `web::get().to(page).wrap(`[`public()`](fn@public)`)`, or `.wrap(`[`login_required()`](fn@login_required)`)` |
//! | files, services of other crates | a scope around them that is wrapped like that |
//!
//! A guard that cannot be seen still guards: below a route attribute, without one, or as [`guarded`].
//! Its route counts as undeclared then, which closes it to anonymous clients all the same.
//!
//! [`strict`] is a configuration in which an undeclared handler does not compile, and the feature
//! `audit` lists all routes with who may reach them. Middleware that waits hides the routes in it, and
//! goes in a [`routes_behind`].
//!
//! # Who is it?
//!
//! Handlers take [`CurrentUser`], [`MaybeUser`] or [`Auth`]. The user is loaded when the first of them
//! asks, once per request, and not at all where nobody asks. A loader that fails is a 503 and never an
//! anonymous user.
//!
//! # Logging in and out
//!
//! [`Auth::log_in`] takes a [`Verified`] user: made by `PasswordVerifier` (feature `password`), or by
//! [`Verified::trust`]. [`Auth::log_out`] ends the login. A form for logging in posts to its own
//! address (no `action`), so that `?next=` stays; [`Auth::redirect_to_next_or`] follows it, if it
//! stays on this origin.
//!
//! # Fresh logins
//!
//! What is worth a password asks for it again: `#[login_required(fresh = "10m")]`. Who gave it longer ago
//! is sent to the [`refresh_view`](LoginManagerBuilder::refresh_view), a page of the application behind
//! `#[login_required]`, whose form ends in [`Auth::confirm_login`]. A new password is such a thing, and
//! [`Auth::credentials_changed`] ends the user's other logins after it.
//!
//! # Logins that can be ended
//!
//! Without a login store the session is all there is, as in Flask-Login: a copied session cookie is
//! not ended by a log out if sessions are kept in their cookie, and a remember token cannot be
//! revoked. With [`login_store`](LoginManagerBuilder::login_store) each login has a record, log out is
//! final, logins have [`Limits`], remember tokens rotate, and [`Auth::logins`] and [`Logins`] show and
//! end them.
//!
//! # A cookie for the login
//!
//! By default a login is in the session, and a session is decrypted and parsed at every request that has
//! one, asked for or not. With [`login_cookie`](LoginManagerBuilder::login_cookie) it is in a cookie of its
//! own, which is opened when somebody asks for the user. The session stays what it was, and is the
//! application's alone.
//!
//! # Features
//!
//! None is on by default.
//!
//! - `password`: `PasswordVerifier`, argon2id off the async workers.
//! - `flash-messages`: messages for refused clients through `actix-web-flash-messages`.
//! - `sqlite`, `postgres`: login stores through the application's sqlx pool.
//! - `redis`: a login store in Redis or Valkey.
//! - `audit`: the module `audit`, which lists who may reach which route.
//! - `test-util`: the module `test`, for the tests of applications.
//!
//! The last two belong into `[dev-dependencies]`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
// From the top of the stack to its bottom: each imports only what stands below it.
mod auth;
mod clock;
mod conditions;
mod core;
mod error;
mod events;
mod guard;
mod http;
mod keys;
mod manager;
mod refusal;
mod request;
mod routes;
mod service;
mod session;
mod setup;
mod store;
mod users;

#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test;
#[cfg(feature = "audit")]
#[cfg_attr(docsrs, doc(cfg(feature = "audit")))]
pub use crate::routes::audit;

/// Lets only clients with a login reach a handler.
///
/// | option | meaning | default |
/// |---|---|---|
/// | `user = Type` | asks for a user of this type | the type of the manager's first loader |
/// | `fresh` | asks for a fresh login, as old as the manager's `fresh_for` allows | any login will do |
/// | `fresh = "10m"` | asks for a fresh login of at most this age: `s`, `m`, `h` or `d` | |
/// | `role = "admin"` | asks for a role; a user without it gets 403 | none |
/// | `permission = Permission::EditPost` | asks for a permission, see [`Permissions`](trait@Permissions) | none |
/// | `check = \|user: &User\| ..` | asks a closure, or the function of this path; it may take the request too | none |
/// | `any(..)`, `all(..)`, `not(..)` | conditions of conditions: `any(role = "admin", role = "editor")` | |
/// | `exempt_options` | lets OPTIONS requests through | they are guarded too |
/// | `passive` | does not count the request as use of the login, for pages that poll | it counts |
/// | `crate = path` | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The guard decides before anything else of the handler happens: not a byte of the body is read for
/// a client who is refused. It works above and below `#[get(..)]` and its relatives; write it above.
/// The handler's type is another one afterwards: its arguments are folded into one, so it can be
/// given to a route, and not be called around the guard.
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, get, web};
/// use login_runtime::{AuthUser, CurrentUser, login_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, name: String }
///
/// #[login_required]
/// #[get("/account/{page}")]
/// async fn account(page: web::Path<String>, user: CurrentUser<User>) -> impl Responder {
///     format!("page {page} of {}", user.name)
/// }
/// ```
///
/// A user who is known and does not meet the conditions gets 403, and is never sent to the login view;
/// not to the refresh view either, since giving a password would not help.
///
/// ```
/// use actix_web::{Responder, delete, web};
/// use login_runtime::{AuthUser, login_required};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, #[auth(roles)] roles: Vec<String>, is_trainee: bool }
///
/// #[login_required(any(role = "admin", role = "editor"), check = |user: &User| !user.is_trainee)]
/// #[delete("/pages/{page}")]
/// async fn delete_page(page: web::Path<String>) -> impl Responder { format!("{page} deleted") }
/// ```
///
/// A `check` becomes an item next to the handler, which cannot be within an `impl` block; a permission
/// can be asked for there.
///
/// What cannot be guarded does not compile:
///
/// ```compile_fail
/// #[login_runtime::login_required]
/// fn account() -> &'static str { "" } // handlers must be async; write `async fn account`
/// ```
pub use login_macros::login_required;

/// Lets only clients with a fresh login reach a handler: whose credentials were given in this very
/// session.
///
/// Options as for [`login_required`](macro@login_required), with `max_age = "10m"` in place of
/// `fresh`. A client without a login is sent to the login view, one with a stale login to the refresh
/// view.
pub use login_macros::fresh_login_required;

/// Lets only users with a permission reach a handler; a user without it gets 403.
///
/// Takes the permission, and then the options of [`login_required`](macro@login_required). See
/// [`Permissions`](trait@Permissions) for how permissions are declared and looked up.
pub use login_macros::permission_required;

/// A role as a type, for [`AuthorizedUser`]: `AuthorizedUser<User, role!("admin")>`.
pub use login_macros::role;

/// A permission as a type, for [`AuthorizedUser`]: `AuthorizedUser<User, permission!(Permission::EditPost)>`.
pub use login_macros::permission;
/// Declares a handler public, for
/// [`deny_by_default`](LoginManagerBuilder::deny_by_default), [`strict`] and the audit.
///
/// | option | meaning | default |
/// |---|---|---|
/// | `crate = path` | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The handler stays as it is: who is logged in may be asked as everywhere. It goes above the route
/// attribute, since below it there is nothing that it could tell. A route without an attribute is
/// declared by [`.wrap(public())`](fn@public).
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, get};
/// use login_runtime::public;
///
/// #[public]
/// #[get("/about")]
/// async fn about() -> impl Responder { "about us" }
/// ```
///
/// Below the route attribute it does not compile:
///
/// ```compile_fail
/// # use actix_web::{Responder, get};
/// # use login_runtime::public;
/// #[get("/about")]
/// #[public] // no route attribute follows `#[public]`; put it above `#[get(..)]`, ..
/// async fn about() -> impl Responder { "about us" }
/// ```
pub use login_macros::public;

#[cfg(feature = "postgres")]
pub use crate::store::PostgresLoginStore;
#[cfg(feature = "redis")]
pub use crate::store::RedisLoginStore;
#[cfg(feature = "sqlite")]
pub use crate::store::SqliteLoginStore;
#[cfg(feature = "password")]
pub use crate::users::password::{PasswordError, PasswordVerifier};
pub use crate::{
    auth::{
        auth::Auth,
        log_in::LogIn,
        logins::{Keep, LoginInfo, Logins},
    },
    clock::{Clock, SystemClock},
    conditions::condition::Condition,
    core::{
        freshness::RefusalReason,
        limits::Limits,
        login::{EndReason, LoginSource},
        protection::{AddressPart, ClientIdentity, SessionProtection},
        user::{AuthUser, PasswordUser, UserId},
    },
    error::{BoxError, BuildError, LoadError, LoginError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    guard::{
        current::{CurrentUser, MaybeUser},
        guarded::{GuardedHandler, guarded},
        proof::{AuthorizedUser, FreshUser},
    },
    http::cookie_settings::{CookieSettings, RememberCookie},
    manager::LoginManager,
    refusal::{scope::LoginScope, settings::Flash},
    routes::{
        declare::{Declared, public},
        gate::{RoutesBehind, routes_behind},
        scope_guard::{LoginGuard, fresh_login_required, login_required},
        strict::{DeclaredArguments, DeclaredService, Declares, Strict, strict},
    },
    session::store::SharedStore,
    setup::builder::LoginManagerBuilder,
    store::{
        FamilyKey, Inserted, LoginKey, LoginOwner, LoginRecord, LoginSelector, LoginStore,
        MaxLogins, MemoryLoginStore, StoreError, TokenFamily,
    },
    users::{
        permission::{HasPermission, Permissions, Roles},
        verified::{AuthMethod, IntoVerified, Verified},
    },
};

/// The program in the README.
#[cfg(all(doctest, feature = "password"))]
#[doc = include_str!("../../README.md")]
pub struct Readme;
