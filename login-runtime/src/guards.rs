//! Guards in addition to the attributes: conditions, proofs, guards for closures and scopes, and a
//! configuration in which every route is declared.
//!
//! | for | use |
//! |---|---|
//! | a condition that is made at run time | [`Condition`], with [`Auth::require`](crate::Auth::require) or [`LoginGuard::condition`] |
//! | an argument that proves what the guard required | [`FreshUser`], [`AuthorizedUser`] |
//! | a closure, or a handler that cannot have an attribute | [`guarded`] |
//! | a scope or resource | [`login_required()`](fn@crate::login_required), [`public()`](fn@crate::public) |
//! | middleware that awaits something before it calls the routes, under [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default) | [`routes_behind`] |
//! | an application without a login manager, against requests of other sites | [`CrossSiteGuard`] |
//! | handlers that all declare which clients may reach them | [`strict`](crate::strict) |
//!
//! # Examples
//!
//! ```
//! use actix_web::web;
//! use login_runtime::{guards::Condition, login_required};
//!
//! let editors = Condition::any([Condition::role("editor"), Condition::role("admin")]);
//! let drafts = web::scope("/drafts").wrap(login_required().condition(editors));
//! # let _ = drafts;
//! ```

pub use crate::{
    conditions::condition::Condition,
    error::Refusal,
    guard::{
        guarded::{GuardedHandler, guarded},
        proof::{AuthorizedUser, FreshUser},
        views::{login_url, refresh_url},
    },
    refusal::settings::RefusedRequest,
    routes::{
        declare::Declared,
        gate::{RoutesBehind, routes_behind},
        scope_guard::LoginGuard,
        strict::{DeclaredArguments, DeclaredService, Declares, Strict},
    },
    service::cross_site::CrossSiteGuard,
};
