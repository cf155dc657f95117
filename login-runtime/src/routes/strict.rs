//! A configuration that only takes routes which declare which clients may reach them.

use actix_web::{
    FromRequest, Handler, Responder, Route, Scope,
    dev::HttpServiceFactory,
    web::{self, ServiceConfig},
};
use derive_more::Debug;

use crate::{
    guard::{Guarded, Policy},
    routes::{
        declare::{Declared, declared, public},
        scope_guard::LoginGuard,
    },
};

/// Configures an application, or a scope, with handlers that all declare which clients may reach them.
///
/// A handler without a declaration does not compile here. Routes that are registered elsewhere are not
/// checked; use [`deny_by_default`](crate::config::LoginManagerBuilder::deny_by_default) and the audit for those.
///
/// # Examples
///
/// ```
/// use actix_web::{App, Responder, get, web};
/// use login_runtime::{login_required, public, strict};
///
/// #[public]
/// #[get("/")]
/// async fn index() -> impl Responder { "welcome" }
///
/// #[login_required]
/// #[get("/account")]
/// async fn account() -> impl Responder { "yours" }
///
/// #[login_required(fresh)]
/// async fn remove(id: web::Path<u32>) -> impl Responder { format!("removed {id}") }
///
/// let app = App::new().configure(strict(|routes| {
///     routes
///         .service((index, account))
///         .scope("/items", |items| { items.route("/{id}", web::delete(), remove); })
///         .public_route("/health", web::get().to(|| async { "up" }));
/// }));
/// # let _ = app;
/// ```
///
/// Without `#[public]` the page does not compile here:
///
/// ```compile_fail
/// # use actix_web::{App, Responder, get};
/// # use login_runtime::strict;
/// #[get("/")]
/// async fn index() -> impl Responder { "welcome" }
///
/// // handler `index` declares no login policy
/// let app = App::new().configure(strict(|routes| { routes.service(index); }));
/// ```
pub fn strict<F>(configure: F) -> impl FnOnce(&mut ServiceConfig)
where
    F: FnOnce(&mut Strict<'_>),
{
    |config| configure(&mut Strict { config })
}

/// The configuration that [`strict`] passes to its closure.
#[derive(Debug)]
#[debug("Strict")]
pub struct Strict<'a> {
    config: &'a mut ServiceConfig,
}

impl Strict<'_> {
    /// Adds a handler, or a tuple of handlers, with [`#[login_required]`](macro@crate::login_required)
    /// or [`#[public]`](macro@crate::public) above the route attribute.
    pub fn service<S: DeclaredService + 'static>(&mut self, service: S) -> &mut Self {
        self.config.service(service);
        self
    }

    /// Adds a handler with a guard and without a route attribute: `.route("/x", web::get(), handler)`.
    pub fn route<F, Args>(&mut self, path: &str, route: Route, handler: F) -> &mut Self
    where
        F: Handler<Args>,
        F::Output: Responder + 'static,
        Args: DeclaredArguments<F> + FromRequest + 'static,
    {
        let route = route.to(handler).wrap(Args::declared());
        self.config.route(path, route);
        self
    }

    /// Adds a public route, with any handler.
    pub fn public_route(&mut self, path: &str, route: Route) -> &mut Self {
        self.config.route(path, route.wrap(public()));
        self
    }

    /// Adds a scope whose handlers all have a declaration too.
    pub fn scope<F>(&mut self, path: &str, configure: F) -> &mut Self
    where
        F: FnOnce(&mut Strict<'_>),
    {
        let scope = web::scope(path).configure(strict(configure));
        self.config.service(scope);
        self
    }

    /// Adds a scope that is declared as a whole, by [`public()`](fn@public) or
    /// [`login_required()`](fn@crate::login_required). Its handlers need no declaration.
    pub fn declared_scope<D, F>(&mut self, path: &str, declaration: D, configure: F) -> &mut Self
    where
        D: Declares,
        F: FnOnce(&mut ServiceConfig),
    {
        declaration.wrap_scope(web::scope(path).configure(configure), self.config);
        self
    }

    /// Adds data for extractors; see [`ServiceConfig::app_data`].
    pub fn app_data<T: 'static>(&mut self, data: T) -> &mut Self {
        self.config.app_data(data);
        self
    }
}

/// A handler, or a tuple of handlers, that [`Strict::service`] takes. The attribute of the handler
/// implements this trait.
#[diagnostic::on_unimplemented(
    message = "handler `{Self}` declares no login policy",
    label = "who may reach it?",
    note = "put `#[login_required]` or `#[public]` above its route attribute, such as `#[get(..)]`",
    note = "add a handler without a route attribute by `.route(..)`, `.public_route(..)` or `.declared_scope(..)`"
)]
pub trait DeclaredService: HttpServiceFactory {}

macro_rules! declared_tuples {
    ($first:ident $($rest:ident)*) => {
        impl<$first: DeclaredService, $($rest: DeclaredService),*> DeclaredService
            for ($first, $($rest,)*)
        {
        }
        declared_tuples!($($rest)*);
    };
    () => {};
}

declared_tuples!(A B C D E F G H I J K L);

/// The arguments of a handler `F` that has a guard, for [`Strict::route`].
#[diagnostic::on_unimplemented(
    message = "handler `{F}` declares no login policy",
    label = "who may reach it?",
    note = "put `#[login_required]` above it, or add it by `.public_route(..)`"
)]
pub trait DeclaredArguments<F> {
    #[doc(hidden)]
    fn declared() -> Declared;
}

impl<F, P: Policy, A> DeclaredArguments<F> for (Guarded<P, A>,) {
    fn declared() -> Declared {
        declared::<P>()
    }
}

/// Middleware that declares which clients may reach a scope: [`Declared`] or [`LoginGuard`].
pub trait Declares {
    #[doc(hidden)]
    fn wrap_scope(self, scope: Scope, config: &mut ServiceConfig);
}

impl Declares for Declared {
    fn wrap_scope(self, scope: Scope, config: &mut ServiceConfig) {
        config.service(scope.wrap(self));
    }
}

impl Declares for LoginGuard {
    fn wrap_scope(self, scope: Scope, config: &mut ServiceConfig) {
        config.service(scope.wrap(self));
    }
}
