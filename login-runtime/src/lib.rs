//! Login management for actix-web: it keeps users logged in across requests, and guards handlers
//! against clients that are not logged in.
//!
//! The application has a user type, a database and a password check. It derives [`AuthUser`] for the
//! user type, wraps its `App` in a [`LoginManager`], and annotates handlers with
//! [`#[login_required]`](macro@login_required).
//!
//! # What it does and does not do
//!
//! It logs users in and out, remembers logins beyond the session, requires fresh credentials for
//! sensitive actions, detects when another client uses a session, guards handlers and scopes, redirects
//! refused clients to the login page and back afterwards, and reports all of this as events. With a
//! [`LoginStore`](store::LoginStore), logins can be listed, limited and ended.
//!
//! It does not store users or render pages. It does not decide what a user may do, but asks the
//! application for roles and permissions. It checks passwords only with the feature `password`.
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
//!     // In place of a password check; see `PasswordVerifier`.
//!     let ada = User { id: 1, name: "Ada".to_owned(), is_active: true };
//!     auth.log_in(Verified::trust(ada, "example")).await?;
//!     Ok(auth.redirect_to_next_or("/"))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> std::io::Result<()> {
//!     let login_manager = LoginManager::builder(find)
//!         .login_view("/login")
//!         .login_store(MemoryLoginStore::new())
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
//! | term | meaning |
//! |---|---|
//! | user | the application's own type |
//! | anonymous | without a login |
//! | fresh | credentials were given in this session, at most 30 minutes ago (see `fresh_for`) |
//! | stale | not fresh: credentials were given too long ago, a remember cookie restored the login, or another client used the login |
//! | confirm | make a stale login fresh again, by giving credentials |
//! | guard | decides before the handler runs whether to let a request through or refuse it |
//! | unauthorized | refused because the client is not logged in: a redirect to the login view, or 401 |
//! | forbidden | refused with 403: the user is logged in and may not do this |
//! | next | the URL that a refused client asked for |
//!
//! # Guarding
//!
//! | what | how |
//! |---|---|
//! | a handler | [`#[login_required]`](macro@login_required), [`#[fresh_login_required]`](macro@fresh_login_required) |
//! | a closure, a handler of another crate | [`guarded`](guards::guarded) |
//! | a scope, a resource, a route | `.wrap(`[`login_required()`](fn@login_required)`)` |
//! | inside a handler | [`Auth::require_login`], [`Auth::require`], [`Auth::unauthorized`], [`Auth::forbidden`] |
//!
//! While a guard waits for the database, the body of the request is not read.
//!
//! # Roles and permissions
//!
//! A logged-in user who does not meet the condition gets 403, and is never redirected to the login view.
//!
//! | what the guard requires | in an attribute | as middleware, or inside a handler |
//! |---|---|---|
//! | a role, from `#[auth(roles)]` or [`AuthUser::has_role`] | `role = "admin"` | [`Condition::role`](guards::Condition::role) |
//! | a permission, which [`HasPermission`] looks up for the request | `permission = Permission::EditPost`, [`#[permission_required(..)]`](macro@permission_required) | [`Condition::permission`](guards::Condition::permission) |
//! | a check of the application's own | <code>check = \|user: &User\| ..</code> | [`Condition::check`](guards::Condition::check) |
//! | several of these | `any(..)`, `all(..)`, `not(..)` | [`Condition::any`](guards::Condition::any), [`Condition::all`](guards::Condition::all), `!condition` |
//!
//! A guard looks for reasons to refuse in this order: the client is not logged in, the user is not
//! active, the user may not do this, the login is not fresh. So a user who would get 403 even with a
//! fresh login is not asked for a password first. If a permission cannot be looked up, the response is
//! 503, also within `not(..)`.
//!
//! [`FreshUser`](guards::FreshUser) and [`AuthorizedUser`](guards::AuthorizedUser) are arguments that
//! prove what the guard required. If a handler takes one of them and its guard requires less, the
//! handler does not compile.
//!
//! # No route forgotten
//!
//! With [`deny_by_default`](config::LoginManagerBuilder::deny_by_default), anonymous clients are refused
//! on every route without a declaration. Each of the following is a declaration, for `deny_by_default`,
//! for [`strict`] and for the audit:
//!
//! | what | how |
//! |---|---|
//! | a handler with a route attribute | [`#[login_required]`](macro@login_required) or [`#[public]`](macro@public) *above* it |
//! | a route without one | `web::get().to(page).wrap(`[`public()`](fn@public)`)`, or `.wrap(`[`login_required()`](fn@login_required)`)` |
//! | files, services of other crates | a scope around them that is wrapped in one of these |
//!
//! `deny_by_default` and the audit cannot see some guards: a guard below a route attribute, a guard on a
//! handler without a route attribute, and [`guarded`](guards::guarded). Such a guard still works, but its route counts as
//! undeclared, so anonymous clients are refused there too.
//!
//! With [`strict`], an undeclared handler does not compile. The feature `audit` lists all routes with
//! the clients that may reach them. Middleware that awaits something before it calls the inner service
//! hides the routes inside it; wrap such middleware in [`routes_behind`](guards::routes_behind).
//!
//! # The user of a request
//!
//! Handlers take [`CurrentUser`], [`MaybeUser`] or [`Auth`]. The user is loaded at most once per
//! request, when the first of these arguments needs it. If a loader fails, the client gets 503 and does
//! not count as anonymous.
//!
//! # Logging in and out
//!
//! [`Auth::log_in`] takes a [`Verified`] user, which `PasswordVerifier` (feature `password`) or
//! [`Verified::trust`] creates. [`Auth::log_out`] ends the login. Write the login form without an
//! `action` attribute: the browser then posts it to the URL of the page, which contains `?next=`.
//! [`Auth::redirect_to_next_or`] redirects to `next` if it is on this origin. [`Auth::check_next`] checks an
//! address from a hidden field or a JSON body.
//!
//! # Fresh logins
//!
//! Require re-authentication for sensitive actions: `#[login_required(fresh = "10m")]`. If the user
//! gave credentials more than ten minutes ago, the browser is redirected to the
//! [`refresh_view`](config::LoginManagerBuilder::refresh_view). This is a page of the application, with
//! `#[login_required]`, and its form calls [`Auth::confirm_login`]. A change of password is such an
//! action; [`Auth::credentials_changed`] ends the user's other logins after it.
//!
//! # Logins that can be ended
//!
//! Without a login store only the session records a login, as in Flask-Login. If sessions are stored in
//! their cookie, a log out does not end a copy of that cookie, and a remember token cannot be revoked.
//! With [`login_store`](config::LoginManagerBuilder::login_store) each login has a record: a log out is
//! final, unused logins end (see [`Limits`]), remember tokens rotate, and [`Auth::logins`] and
//! [`Logins`](logins::Logins) list and end logins.
//!
//! # A cookie for the login
//!
//! By default a login is in the session, and a session is decrypted and parsed at every request that has
//! one, whether it is used or not. With [`login_cookie`](config::LoginManagerBuilder::login_cookie) the
//! login has its own cookie, which is opened only when the request asks for the user. The session then
//! contains only the application's data.
//!
//! # The guide
//!
//! The module [`guide`] has a page for each task: [keys](guide::keys), [login stores](guide::stores),
//! [the order of middlewares](guide::middlewares), [pages of other origins](guide::cross_site),
//! [WebSockets](guide::sockets) and [tests](guide::testing).
//!
//! # Features
//!
//! None is on by default.
//!
//! - `password`: `PasswordVerifier`, which checks argon2id hashes outside the async workers.
//! - `flash-messages`: messages for refused clients through `actix-web-flash-messages`.
//! - `sqlite`, `postgres`: login stores that use the application's sqlx pool.
//! - `redis`: a login store in Redis or Valkey.
//! - `uuid`, `chrono`, `time`, `secrecy`: session hashes that are values of these crates; with `secrecy`,
//!   password hashes, too.
//! - `metrics`: counters and times through the facade `metrics`, see the module `metrics`. It brings 3 crates.
//! - `tracing-actix-web`: the user of a request on its span, see the module `spans`. It brings 3 crates, which
//!   an application with `tracing-actix-web` has.
//! - `audit`: the module `audit`, which lists the clients that may reach each route.
//! - `test-util`: the module `test`, for the tests of applications.
//!
//! The last two belong in `[dev-dependencies]`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
// Pages of the public interface.
pub mod config;
pub mod guards;
pub mod guide;
pub mod logins;
pub mod password;
pub mod proxies;

// `tests/it/tidy.rs` has the order of these modules: each imports only modules below it.
pub mod audit_trail;
mod auth;
mod clock;
mod conditions;
mod core;
mod error;
pub mod events;
mod guard;
mod hooks;
mod http;
mod keys;
mod manager;
mod measure;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
mod policy;
mod refusal;
mod request;
mod routes;
mod service;
mod session;
mod setup;
#[cfg(feature = "tracing-actix-web")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing-actix-web")))]
pub mod spans;
pub mod store;
pub mod throttle;
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
/// | `user = Type` | requires a user of this type | the type of the manager's first loader |
/// | `fresh` | requires a fresh login, at most as old as the manager's `fresh_for` | a stale login is enough |
/// | `fresh = "10m"` | requires a fresh login of at most this age; the units are `s`, `m`, `h` and `d` | |
/// | `role = "admin"` | requires a role; a user without it gets 403 | none |
/// | `permission = Permission::EditPost` | requires a permission, see [`Permissions`](trait@Permissions) | none |
/// | `check = \|user: &User\| ..` | calls a closure, or the function with this path; it may take the request too | none |
/// | `any(..)`, `all(..)`, `not(..)` | combine conditions: `any(role = "admin", role = "editor")` | |
/// | `exempt_options` | lets OPTIONS requests through | they are guarded too |
/// | `passive` | does not count the request as use of the login, for pages that poll | it counts |
/// | `crate = path` | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The guard decides before the handler's arguments are extracted: if it refuses a client, no byte of
/// the body is read. It works above and below `#[get(..)]` and similar attributes; write it above. The
/// attribute changes the handler's type: it folds the arguments into one. A route can use the handler,
/// but code cannot call the handler without the guard.
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
/// A user who is logged in and does not meet the conditions gets 403. The user is sent neither to the
/// login view nor to the refresh view, since giving a password would not help.
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
/// A `check` becomes an item next to the handler, so it does not work inside an `impl` block; a
/// permission works there.
///
/// A function that cannot be guarded does not compile:
///
/// ```compile_fail
/// #[login_runtime::login_required]
/// fn account() -> &'static str { "" } // handlers must be async; write `async fn account`
/// ```
pub use login_macros::login_required;

/// Lets only clients with a fresh login reach a handler: their credentials were given in this session.
///
/// It has the options of [`login_required`](macro@login_required), with `max_age = "10m"` in place of
/// `fresh`. A client without a login is sent to the login view, one with a stale login to the refresh
/// view.
pub use login_macros::fresh_login_required;

/// Lets only users with a permission reach a handler; a user without it gets 403.
///
/// It takes the permission, and then the options of [`login_required`](macro@login_required). See
/// [`Permissions`](trait@Permissions) for how permissions are declared and looked up.
pub use login_macros::permission_required;

/// A role as a type, for [`AuthorizedUser`](guards::AuthorizedUser): `AuthorizedUser<User, role!("admin")>`.
pub use login_macros::role;

/// A permission as a type, for [`AuthorizedUser`](guards::AuthorizedUser): `AuthorizedUser<User, permission!(Permission::EditPost)>`.
pub use login_macros::permission;

/// Declares a handler public, for
/// [`deny_by_default`](config::LoginManagerBuilder::deny_by_default), [`strict`] and the audit.
///
/// | option | meaning | default |
/// |---|---|---|
/// | `cross_site` | pages of other sites may send requests to it, without a login; see [the guide](guide::cross_site) | they get 403 |
/// | `crate = path` | where `login_runtime` is, if it is re-exported | `::login_runtime` |
///
/// The handler does not change, and can ask for the user like any other. The attribute goes above the route
/// attribute: below it, the macro cannot see the route. A route without a route attribute is declared
/// with [`.wrap(public())`](fn@public).
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

pub use crate::{
    auth::auth::Auth,
    core::{
        limits::Limits,
        user::{AuthUser, PasswordUser, UserId},
    },
    error::{BoxError, BuildError, LoadError, LoginError},
    guard::current::{CurrentUser, MaybeUser},
    http::cookie_settings::{CookieSettings, RememberCookie},
    manager::LoginManager,
    policy::{deploy::DeployCheck, document::Policy},
    routes::{
        declare::public,
        login_scope::LoginScope,
        scope_guard::{fresh_login_required, login_required},
        strict::strict,
    },
    store::MemoryLoginStore,
    users::{
        fields::{PasswordField, SessionHashPart},
        permission::{HasPermission, Permissions, Roles},
        verified::Verified,
    },
};

/// The program in the README.
#[cfg(all(doctest, feature = "password"))]
#[doc = include_str!("../../README.md")]
pub struct Readme;
