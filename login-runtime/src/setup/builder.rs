//! The builder: one method for each setting of a login manager.

use std::{
    any::TypeId,
    future::{Future, Ready, ready},
    marker::PhantomData,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use actix_session::{
    SessionMiddleware,
    config::SessionLifecycle,
    storage::{CookieSessionStore, SessionStore},
};
use actix_web::{
    HttpRequest, HttpResponse, Responder,
    cookie::Key,
    dev::{Service, ServiceRequest, Transform},
};
use derive_more::Debug;

use crate::{
    audit_trail::AuditTrail,
    clock::Clock,
    core::{
        AuthUser, ClientIdentity, Limits, MaxLogins, PageCaching, ResourcePolicy, SessionProtection,
    },
    error::BuildError,
    events::LoginEvent,
    hooks::Hook,
    http::{CookieSettings, IntoView, Origin, RememberCookie, proxies::TrustedProxies},
    manager::LoginManager,
    refusal::{Flash, FlashHook, RefusedRequest, erase_handler},
    session::SharedStore,
    setup::{build, sessions::Sessions, settings::Settings},
    store::{LoginStore, Throttle},
    users::loader::{self, LoaderError},
};

impl LoginManager {
    /// Starts to build a manager, with the loader for the application's user type.
    ///
    /// The loader gets the id from the session and looks the user up:
    /// `async move |id: i64| db.find(id).await`, or an `async fn`. It returns `Ok(None)` if there is no such
    /// user, and an error if that could not be found out; the client then gets 503.
    /// It is called at most once per request, and only if something asks for the user.
    ///
    /// The error can be of any type that can be sent between threads. An `actix_web::Error` and a
    /// `Box<dyn Error>` cannot: return a [`BoxError`](crate::BoxError) in place of these.
    pub fn builder<U, F, E>(user_loader: F) -> LoginManagerBuilder
    where
        U: AuthUser,
        F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
        E: LoaderError,
    {
        LoginManagerBuilder {
            settings: Settings::new(loader::user_loader(user_loader)),
            sessions: Sessions::stored(CookieSessionStore::default()),
        }
    }
}

/// Settings of a [`LoginManager`]; made by [`LoginManager::builder`].
#[derive(Debug)]
#[debug("LoginManagerBuilder")]
pub struct LoginManagerBuilder<S: SessionStore = SharedStore<CookieSessionStore>> {
    settings: Settings,
    sessions: Sessions<S>,
}

impl<S: SessionStore + 'static> LoginManagerBuilder<S> {
    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Changes a setting that may be invalid; [`build`](Self::build) returns the first error.
    fn try_set(mut self, change: impl FnOnce(&mut Settings) -> Result<(), BuildError>) -> Self {
        if let Err(error) = change(&mut self.settings) {
            self.settings.error.get_or_insert(error);
        }
        self
    }

    /// Adds another user type, with its own loader.
    ///
    /// Logins of different types are separate: each type has its own entry in the session and its own
    /// remember cookie. Both contain [the name of the type](AuthUser::NAME).
    /// `#[login_required(user = Admin)]` requires this type.
    #[must_use]
    pub fn user_loader<U, F, E>(self, user_loader: F) -> Self
    where
        U: AuthUser,
        F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
        E: LoaderError,
    {
        self.set(|settings| settings.users.push(loader::user_loader(user_loader)))
    }

    /// Separates this application from others that have the same secret, or the same login store.
    ///
    /// The realm is part of every key, record and session, and of the cookies' default names: no login, cookie
    /// or remember token of one realm is valid in another, and no list of logins shows both. It has 1 to 32
    /// ASCII letters, digits, `-` and `_`, and must not change once logins exist: all of them would end.
    ///
    /// Without a realm only the [name of the user type](AuthUser::NAME) separates two applications. If both
    /// call their user type `User`, user 2 of one is user 2 of the other.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// # fn main() -> Result<(), login_runtime::BuildError> {
    /// # let secret = Key::generate();
    /// # let store = std::sync::Arc::new(MemoryLoginStore::new());
    /// let builder = || LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .login_store(store.clone());
    /// let shop = builder().realm("shop").build(secret.clone())?;
    /// let back_office = builder().realm("back-office").build(secret.clone())?;
    /// # let _ = (shop, back_office);
    ///
    /// let error = builder().realm("back office").build(secret).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`realm` is not a name; use 1 to 32 ASCII letters, digits, `-` and `_`",
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Security
    ///
    /// A realm is no replacement for a secret of its own: an application that leaks the shared secret leaks
    /// the logins of all of them. [`Logins::end_all`](crate::logins::Logins::end_all) and
    /// [`Logins::purge`](crate::logins::Logins::purge) act on the whole login store, whatever realm
    /// calls them.
    #[must_use]
    pub fn realm(self, realm: impl Into<String>) -> Self {
        self.set(|settings| settings.realm = Some(realm.into()))
    }

    /// Finds the user from the request itself, for API keys and bearer tokens.
    ///
    /// It is called if neither the session nor a remember cookie gives a user. The returned future cannot
    /// borrow the request, so the loader copies what it needs from it first. The login is not stored, and
    /// not fresh.
    ///
    /// A loader that asks who the current user is (through [`CurrentUser`](crate::CurrentUser),
    /// [`MaybeUser`](crate::MaybeUser) or [`Auth`](crate::Auth)) asks itself: it gets an error, and so does the
    /// client. It may ask for a user of another type.
    ///
    /// # Security
    ///
    /// The loader checks the credential: compare keys by their hashes, or in constant time.
    #[must_use]
    pub fn request_loader<U, F, Fut, E>(self, request_loader: F) -> Self
    where
        U: AuthUser,
        F: Fn(&HttpRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<U>, E>> + 'static,
        E: LoaderError,
    {
        self.set(|settings| {
            settings.request_loader = Some((
                TypeId::of::<U>(),
                std::any::type_name::<U>(),
                loader::request_loader(request_loader),
            ));
        })
    }

    /// Redirects clients without a login to this page: a path (`/login`), a URL, a
    /// [`View`](crate::config::View), or a function from the request to an address.
    ///
    /// The query parameter `next` contains the address that the client asked for; a form without an
    /// `action` keeps it. Without a login view clients get 401. Scripts and API clients always do: those
    /// whose `Sec-Fetch-Mode`, `X-Requested-With` or `Accept` header says that they do not show a page.
    #[must_use]
    pub fn login_view(self, view: impl IntoView) -> Self {
        self.try_set(|settings| {
            settings.refusal.login_view = Some(view.into_view()?.into());
            Ok(())
        })
    }

    /// Redirects clients with a stale login to this page, where they give their credentials again.
    ///
    /// Without it they get 401, even if there is a login view.
    #[must_use]
    pub fn refresh_view(self, view: impl IntoView) -> Self {
        self.try_set(|settings| {
            settings.refusal.refresh_view = Some(view.into_view()?.into());
            Ok(())
        })
    }

    /// The name of the query parameter with the address that a refused client asked for; `next` by
    /// default.
    #[must_use]
    pub fn next_field(self, name: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.set_next_field(name.into()))
    }

    /// Makes the browser keep the address that it asked for when it was refused, and not the address of
    /// the login view. [`Auth::take_next`](crate::Auth::take_next) returns it and makes the browser forget
    /// it.
    ///
    /// Flask-Login keeps it in the session. Here it is in an encrypted cookie of its own, with the
    /// attributes of the session cookie and for an hour: a client needs no session for it, and the server
    /// stores nothing. A browser keeps one address, and only that of a document to which a user navigates:
    /// not that of a script, a frame, a socket, or a page that is loaded in advance. An address that is
    /// longer than [`next_max_len`](Self::next_max_len), or too long for a cookie, is not kept.
    #[must_use]
    pub fn use_session_for_next(self) -> Self {
        self.set(|settings| settings.refusal.session_for_next = true)
    }

    /// The longest address that is kept and followed after a log in, in bytes; 2048 by default.
    ///
    /// A client that asked for a longer one is sent to the login view without `next`. Raising it keeps
    /// longer search forms; lowering it limits what a client can make the server repeat in a `Location`
    /// header, where escapes make it up to three times as long.
    #[must_use]
    pub fn next_max_len(self, bytes: usize) -> Self {
        self.set(|settings| settings.refusal.next_max_len = bytes)
    }

    /// Passes `next` to the login view for requests of every method, and not only for GET and HEAD.
    ///
    /// A client that follows such a `next` sends a GET to an address that may only accept POST.
    #[must_use]
    pub fn next_for_all_methods(self) -> Self {
        self.set(|settings| settings.refusal.next_for_all_methods = true)
    }

    /// Redirects refused clients to this host (`example.com`, or with a port), and not to the host of their
    /// request.
    #[must_use]
    pub fn force_host_for_redirects(self, host: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.force_host = Some(host.into()))
    }

    /// The origin at which clients reach this application, such as `https://app.example.com`, whatever
    /// their requests say.
    ///
    /// Set it if a proxy in front of the application ends TLS or changes the `Host` header, and the login
    /// view is a whole URL. If clients reach the application at several origins, set
    /// [`origins`](Self::origins).
    #[must_use]
    pub fn own_origin(self, origin: impl Into<String>) -> Self {
        self.try_set(|settings| {
            settings.refusal.own_origin = Some(Origin::parse(&origin.into())?);
            Ok(())
        })
    }

    /// The origins of this application, such as `https://app.example.com`.
    ///
    /// They are needed if the login view is on another host, where `next` has to be a whole URL. A request
    /// whose `Host` header is none of these gets a redirect without `next`. After the log in, a `next`
    /// that is a whole URL of one of these origins is followed.
    #[must_use]
    pub fn origins<I: IntoIterator<Item = impl Into<String>>>(self, origins: I) -> Self {
        self.try_set(|settings| parse_origins(&mut settings.refusal.origins, origins))
    }

    /// The origins of other applications to which clients may be sent after a log in. For an application
    /// that logs users in for others.
    ///
    /// # Security
    ///
    /// A link to the login page can then lead to any page of these origins. List origins that you trust,
    /// and no host on which strangers publish pages.
    #[must_use]
    pub fn next_origins<I: IntoIterator<Item = impl Into<String>>>(self, origins: I) -> Self {
        self.try_set(|settings| parse_origins(&mut settings.refusal.next_origins, origins))
    }

    /// Origins of other applications whose pages may send requests that change something, such as a page at
    /// another host that calls this one as its API.
    ///
    /// By default, a request with an unsafe method and the handshake of a WebSocket are refused with 403 if a
    /// page of another origin sent them, at every route and before the body is read: also a log in, a log out
    /// and a confirmation. See [the guide](crate::guide::cross_site).
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// # fn main() -> Result<(), login_runtime::BuildError> {
    /// let builder = || {
    ///     LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///         .login_store(MemoryLoginStore::new())
    /// };
    /// builder().trusted_origins(["https://spa.example.com"]).build(Key::generate())?;
    ///
    /// let error = builder().trusted_origins(["https://*.example.com"]).build(Key::generate()).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the trusted origin `https://*.example.com` has a wildcard; list each origin, because every host that \
    ///      fits could act for the user",
    /// );
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns [`BuildError::TrustedOrigin`] for anything but a scheme, a host and perhaps a
    /// port.
    ///
    /// # Security
    ///
    /// A page of such an origin can do whatever the user can do here. List no host on which strangers publish
    /// pages. CORS is a setting of its own: it says which pages may read the answers.
    #[must_use]
    pub fn trusted_origins<I: IntoIterator<Item = impl Into<String>>>(self, origins: I) -> Self {
        self.try_set(|settings| settings.cross_site.trust(origins))
    }

    /// Takes requests of all pages of the same site, such as `b.example.com` for `a.example.com`.
    ///
    /// It works for browsers that send `Sec-Fetch-Site`, which they do to https and to `localhost`. For others,
    /// list the origins with [`trusted_origins`](Self::trusted_origins).
    ///
    /// # Security
    ///
    /// Whoever controls a host of the domain can then act for the user: an old application there, a page that
    /// users write, a subdomain that nobody uses any more. `SameSite` cookies do not help, since they are sent.
    /// Prefer `trusted_origins`.
    #[must_use]
    pub fn allow_same_site(self) -> Self {
        self.set(|settings| settings.cross_site.rules.same_site = true)
    }

    /// The headers in which a request may prove who sends it; `Authorization` and `X-Api-Key` by default.
    ///
    /// A request of another origin is taken if it has such a header, carries no cookie of this manager, and the
    /// [`request_loader`](Self::request_loader) finds an active user. `Authorization` with a scheme that
    /// browsers send by themselves, such as `Basic`, does not count.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns an error for a header that browsers send by themselves, such as `Cookie`.
    ///
    /// # Security
    ///
    /// A page of another origin can send such a header only if CORS allows it. List no header that a proxy
    /// adds to each request.
    #[must_use]
    pub fn credential_headers<I: IntoIterator<Item = impl AsRef<str>>>(self, names: I) -> Self {
        self.try_set(|settings| settings.cross_site.set_credential_headers(names))
    }

    /// Takes requests of pages of every site.
    ///
    /// # Security
    ///
    /// Every page that a user visits can then send requests with the user's login, as far as the browser sends
    /// its cookies; and can log the user in as somebody else. Use it only if something else in front of the
    /// application checks each request, such as CSRF tokens in every form, that of the log in included.
    #[must_use]
    pub fn danger_no_cross_site_check(self) -> Self {
        self.set(|settings| settings.cross_site.is_off = true)
    }

    /// Trusts the `Host` header of every client where a whole URL of this application is needed.
    ///
    /// # Security
    ///
    /// An attacker who can change the `Host` header of a victim's request makes the login view lead to
    /// another host. Use [`origins`](Self::origins).
    #[must_use]
    pub fn danger_any_host(self) -> Self {
        self.set(|settings| settings.refusal.any_host = true)
    }

    /// The proxies in front of this application, whose reports about a request are believed; none by default.
    ///
    /// They say from which address a request comes, and at which origin and below which path the client reached
    /// this application. The address is that in the list of logins, in the log, for session protection, and
    /// where failed log ins are counted; origin and path are those of redirects to a view and of `next`. See
    /// [the guide](crate::guide::proxies).
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns [`BuildError::TrustedProxy`] for a network that is none, or that
    /// contains every address.
    ///
    /// # Security
    ///
    /// Without it, such headers are ignored, because every client can send them (ASVS 4.1.3). With it, they
    /// are read from the right end, where the nearest proxy writes, and only as far as the proxies are
    /// trusted.
    #[must_use]
    pub fn trusted_proxies(self, proxies: TrustedProxies) -> Self {
        self.try_set(|settings| settings.proxies.set_trusted(proxies))
    }

    /// Finds the address of a client, for instance in a header of its own that a content delivery network sets.
    /// Where it returns `None`, [`trusted_proxies`](Self::trusted_proxies) or the peer of the connection
    /// decides.
    ///
    /// It may be called several times for a request, so it should be cheap. While it runs,
    /// [`client_address`](crate::proxies::client_address) is what it would be without this function.
    ///
    /// # Security
    ///
    /// Every client can send every header. Return what a header says only if the peer of the connection is
    /// the proxy that sets it, or if clients cannot reach the application without that proxy.
    #[must_use]
    pub fn client_address(
        self,
        address: impl Fn(&HttpRequest) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.proxies.set_function(Box::new(address)))
    }

    /// The start of the path that a proxy cuts off before it passes a request on, such as `/app`, whatever
    /// the proxies report.
    ///
    /// Views, `next` and fallbacks are paths of this application, without the prefix; clients get them with the
    /// prefix.
    #[must_use]
    pub fn own_prefix(self, prefix: impl AsRef<str>) -> Self {
        self.try_set(|settings| settings.proxies.set_prefix(prefix.as_ref()))
    }

    /// The message for clients that are redirected to the login view; `None` for no message.
    ///
    /// They see it only if there is a [`flash`](Self::flash) hook.
    #[must_use]
    pub fn login_message(self, message: Option<&str>) -> Self {
        self.set(|settings| settings.refusal.login_message.text = message.map(str::to_owned))
    }

    /// The category of the login message; `message` by default.
    #[must_use]
    pub fn login_message_category(self, category: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.login_message.category = category.into())
    }

    /// The message for clients that are redirected to the refresh view; `None` for no message.
    #[must_use]
    pub fn needs_refresh_message(self, message: Option<&str>) -> Self {
        self.set(|settings| settings.refusal.refresh_message.text = message.map(str::to_owned))
    }

    /// The category of the refresh message; `message` by default.
    #[must_use]
    pub fn needs_refresh_message_category(self, category: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.refresh_message.category = category.into())
    }

    /// Translates both messages; the request may say into which language.
    #[must_use]
    pub fn localize(
        self,
        translate: impl Fn(&HttpRequest, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.refusal.localize = Some(Box::new(translate)))
    }

    /// Calls `flash` with the message for a refused client, to show it on the next page.
    #[must_use]
    pub fn flash(self, flash: impl Fn(&HttpRequest, Flash<'_>) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.refusal.flash = Some(FlashHook::Own(Box::new(flash))))
    }

    /// Shows the messages for refused clients through `actix-web-flash-messages`. Wrap its
    /// `FlashMessagesFramework` around the application too.
    ///
    /// The category becomes the level if a level has that name, and `Info` otherwise.
    ///
    /// The framework may be inside or around the login manager. If a client is refused outside the
    /// framework, a cookie keeps the message for a minute, and the next page that takes
    /// `IncomingFlashMessages` and is declared (see [`deny_by_default`](Self::deny_by_default)) shows it.
    #[cfg(feature = "flash-messages")]
    #[must_use]
    pub fn flash_messages(self) -> Self {
        self.set(|settings| settings.refusal.flash = Some(FlashHook::Framework))
    }

    /// Responds to clients without a login, in place of redirect, 401, message and `next`.
    ///
    /// [`RefusedRequest::default_response`] is the response that the handler replaces. While the handler
    /// runs, a function that refuses clients, such as [`Auth::unauthorized`](crate::Auth::unauthorized),
    /// returns that response too.
    #[must_use]
    pub fn unauthorized_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(RefusedRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| {
            settings.refusal.unauthorized = Some(erase_handler(Hook::Unauthorized, handler))
        })
    }

    /// Responds to clients with a stale login, in place of redirect, 401, message and `next`.
    #[must_use]
    pub fn needs_refresh_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(RefusedRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| {
            settings.refusal.needs_refresh = Some(erase_handler(Hook::NeedsRefresh, handler))
        })
    }

    /// Responds to users who may not do what they asked for, in place of an empty 403. This includes
    /// scripts, which get JSON by default.
    #[must_use]
    pub fn forbidden_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(RefusedRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| {
            settings.refusal.forbidden = Some(erase_handler(Hook::Forbidden, handler))
        })
    }

    /// Responds if a loader or the login store failed at a guard or an extractor, in place of a 503 with
    /// `Retry-After`.
    ///
    /// [`LoadError::default_response`](crate::LoadError::default_response) is the response that the handler
    /// replaces. A 503 of the handler without `Retry-After` gets one.
    ///
    /// If a handler itself asks for the user, as with [`Auth::current_user`](crate::Auth::current_user),
    /// the handler gets the error.
    #[must_use]
    pub fn load_error_handler(
        self,
        handler: impl Fn(&HttpRequest, &crate::LoadError) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.refusal.load_failed = Some(Box::new(handler)))
    }

    /// Which caches may store responses for which the login was read; none by default.
    ///
    /// See [`guide::caching`](crate::guide::caching).
    #[must_use]
    pub fn page_caching(self, caching: PageCaching) -> Self {
        self.set(|settings| settings.caching.pages = caching)
    }

    /// Which pages may embed protected responses as images, scripts and other resources; only those of the
    /// same origin by default.
    ///
    /// See [`guide::caching`](crate::guide::caching) for what it protects from.
    #[must_use]
    pub fn resource_policy(self, policy: ResourcePolicy) -> Self {
        self.set(|settings| settings.caching.resources = policy)
    }

    /// Makes browsers delete what pages have stored when a user logs out, with `Clear-Site-Data: "storage"`:
    /// `localStorage`, `sessionStorage`, IndexedDB and service workers (ASVS 14.3.1).
    ///
    /// Off by default, because all applications of the origin lose their data. Browsers do it only for responses
    /// over https. See [`guide::caching`](crate::guide::caching).
    #[must_use]
    pub fn clear_storage_at_log_out(self) -> Self {
        self.set(|settings| settings.caching.clears_storage = true)
    }

    /// Lets OPTIONS requests through all guards, as Flask-Login does.
    ///
    /// # Security
    ///
    /// Off by default: unlike in Flask, `.to(handler)` gets requests of every method in actix-web, so a
    /// client that sends OPTIONS would see the page.
    #[must_use]
    pub fn exempt_options(self) -> Self {
        self.set(|settings| settings.guards.exempt_options = true)
    }

    /// Refuses anonymous clients on every route that does not declare who may reach it.
    ///
    /// A route is declared by [`#[login_required]`](macro@crate::login_required) or
    /// [`#[public]`](macro@crate::public) *above* its route attribute, or by
    /// [`login_required()`](fn@crate::login_required) or [`public()`](fn@crate::public) around it, its
    /// resource or its scope. Users who are logged in reach undeclared routes too. The decision is made
    /// before the handler runs and before the body is read, for every method. Each undeclared route that
    /// is requested is reported once, as
    /// [`LoginEvent::UndeclaredRoute`](crate::events::LoginEvent::UndeclaredRoute) and in the log.
    ///
    /// If a path matches no route, every client gets 404. If the application has its own
    /// [default service](actix_web::App::default_service) and this service is undeclared, only users who
    /// are logged in reach it. If the path matches but no route takes the method, users
    /// who are logged in get the 404 or 405; anonymous clients are refused, because this case looks like
    /// an undeclared route. A resource inside `public()` answers every client with its own 405, and the
    /// guards inside it still apply.
    ///
    /// At an undeclared route, the application's hooks (events, `unauthorized_handler`, `request_loader`)
    /// get a copy of the request's head with the session, but without the application's data.
    ///
    /// Middleware between the manager and the routes must not await anything before it calls the routes,
    /// as `from_fn` with an `async fn` does: it would hide what the routes declare, and they would all be
    /// closed. Wrap such middleware in [`routes_behind`](crate::guards::routes_behind()), or around the
    /// manager; the log and the audit name it. Another login manager in between needs neither: of two, the
    /// inner one decides. Middleware for
    /// cross-origin preflights goes around the manager: `.wrap(login_manager).wrap(Cors::..)`. Code that
    /// a service or middleware runs before its first await also runs before the decision; an example is
    /// the code in the closure of `wrap_fn`. Handlers and their extractors run only after the decision.
    #[must_use]
    pub fn deny_by_default(self) -> Self {
        self.set(|settings| settings.routes.deny_by_default = true)
    }

    /// What happens to a login that another client uses; `Basic` by default.
    #[must_use]
    pub fn session_protection(self, mode: SessionProtection) -> Self {
        self.set(|settings| settings.client.protection = mode)
    }

    /// Which properties of a client identify it; user agent and peer address by default.
    #[must_use]
    pub fn client_identity(self, identity: ClientIdentity) -> Self {
        self.set(|settings| settings.client.identity = identity)
    }

    /// How long a login is fresh after credentials were given; 30 minutes by default.
    ///
    /// Freshness does not slide: use does not extend it. An age in a guard overrides this one.
    #[must_use]
    pub fn fresh_for(self, age: Duration) -> Self {
        self.set(|settings| settings.guards.fresh_for = Some(age))
    }

    /// Keeps a login fresh for as long as it lasts, as in Flask-Login.
    ///
    /// # Security
    ///
    /// A person who finds an unlocked device can then change the password hours after it was given (ASVS
    /// 7.5.1 requires re-authentication). Guards with an age still require it.
    #[must_use]
    pub fn fresh_for_the_session(self) -> Self {
        self.set(|settings| settings.guards.fresh_for = None)
    }

    /// The attributes and the lifetime of the remember cookie.
    #[must_use]
    pub fn remember_cookie(self, cookie: RememberCookie) -> Self {
        self.set(|settings| settings.remember = cookie)
    }

    /// Keys that were used before: values under them are still valid, and are written again under the
    /// current key when they are seen.
    ///
    /// With a login store, keep an old key for as long as a login may last (see
    /// [`Limits`](crate::Limits)): records keep the fingerprints that they were made with.
    /// A session cookie is written again at the first request with it. An application that brings its own
    /// [`session_middleware`](Self::session_middleware) chooses its key itself: these keys do not open its
    /// cookies.
    #[must_use]
    pub fn fallback_keys(self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.set(|settings| settings.fallback_keys.extend(keys))
    }

    /// Lets browsers send the toolkit's cookies over plain http, and removes the `__Host-` prefix of their names.
    ///
    /// For development at an address that is neither https nor localhost. Logs a warning.
    #[must_use]
    pub fn danger_insecure_cookies(self) -> Self {
        self.set(|settings| settings.insecure = true)
    }

    /// Lets GET requests end logins: for an application whose link to log out has to stay.
    ///
    /// Without it, [`Auth::log_out`](crate::Auth::log_out) and all other functions that end logins return
    /// [`LoginError::SafeMethod`](crate::LoginError::SafeMethod) for GET, HEAD, OPTIONS and TRACE. It is a setting
    /// of the manager, and not an argument of each call, so that [`policy`](LoginManager::policy) and
    /// [`check_deploy`](LoginManager::check_deploy) report it. It does not let GET requests log users in, confirm
    /// logins or change credentials.
    ///
    /// # Security
    ///
    /// A link, an image or a redirect of any other site can then log users out (ASVS 3.5.3), and so can a
    /// browser that follows links in advance. Prefer a form with a button.
    #[must_use]
    pub fn danger_allow_get_log_out(self) -> Self {
        self.set(|settings| settings.get_log_out = true)
    }

    /// Calls `subscriber` for each [`LoginEvent`].
    ///
    /// It runs within the request: keep it short, and do longer work elsewhere. Events outside of requests
    /// go to [`on_maintenance`](Self::on_maintenance).
    #[must_use]
    pub fn on_event(
        self,
        subscriber: impl Fn(&LoginEvent<'_>, &HttpRequest) + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.events.subscribers.push(Box::new(subscriber)))
    }

    /// Calls `subscriber` for each [`LoginEvent`] that belongs to no request: logins that
    /// [`Logins`](crate::logins::Logins) ended.
    #[must_use]
    pub fn on_maintenance(
        self,
        subscriber: impl Fn(&LoginEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.events.outside.push(Box::new(subscriber)))
    }

    /// Stores the events in an audit trail. The trail can be read, flushed and closed through clones of it.
    #[must_use]
    pub fn audit_trail(self, trail: AuditTrail) -> Self {
        self.set(|settings| settings.audit_trail = Some(trail))
    }

    /// Keeps a record of each login in `store`, so that logins can be listed, limited and ended.
    ///
    /// A log out is then final, even if a copy of the session exists; logins end when they are not used
    /// (see [`limits`](Self::limits)); remember tokens rotate and can be revoked.
    #[must_use]
    pub fn login_store<L: LoginStore>(self, store: L) -> Self {
        self.set(|settings| {
            settings.login_store_type = std::any::type_name::<L>();
            settings.login_store_throttle = store.throttle_store();
            settings.login_store_cached_for = store.cached_for();
            settings.login_store = Some(Arc::new(store));
        })
    }

    /// Records logins only in the session, or in the login cookie.
    ///
    /// # Security
    ///
    /// The server then does not know that a login has ended. If sessions are stored in their cookie, a log
    /// out does not end a *copy* of that cookie: the copy works until the login reaches its
    /// [absolute limit](Limits::absolute), or the user's session hash or the key changes. Remember cookies
    /// do not rotate and cannot be revoked. A login of a user who is disabled is refused, but it is valid again
    /// if the user is enabled before the limit; change the session hash to end it. There is no idle limit, no list of devices and no way to end a
    /// login on another device. A [login store](Self::login_store) provides all of these.
    #[must_use]
    pub fn session_only(self) -> Self {
        self.set(|settings| settings.session_only = true)
    }

    /// How long the login store, or a session store on the server, may take to answer before the client
    /// gets a 503; 2 seconds by default.
    ///
    /// The time is for all calls of a request together: what one call has waited in vain is taken off the
    /// next.
    ///
    /// Raising it tolerates slower stores; lowering it answers sooner when the store is down.
    #[must_use]
    pub fn store_deadline(self, limit: Duration) -> Self {
        self.set(|settings| settings.store_deadline = Some(limit))
    }

    /// How long logins last; by default 30 minutes without use, and at most 12 hours.
    ///
    /// The presets also limit how long a login may be remembered; see [`Limits::remember_at_most`].
    ///
    /// Without a login store there is no idle limit, and `limits` must not have one:
    /// `Limits::new().danger_no_idle_limit()`.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.set(|settings| settings.limits = Some(limits))
    }

    /// How many logins a user may have at the same time. By default, the oldest ends if there are more
    /// than 100.
    ///
    /// A user may have as many remembered browsers as logins: if there are more, the one that has not come
    /// back for the longest time is forgotten.
    #[must_use]
    pub fn max_logins(self, max: MaxLogins) -> Self {
        self.set(|settings| {
            settings.max_logins = Some(max);
            settings.unlimited_logins = false;
        })
    }

    /// Lets a user have any number of logins and remembered browsers.
    ///
    /// # Security
    ///
    /// A single user can then fill the login store.
    #[must_use]
    pub fn danger_any_number_of_logins(self) -> Self {
        self.set(|settings| {
            settings.max_logins = None;
            settings.unlimited_logins = true;
        })
    }

    /// How failed tries are limited: of passwords, and of whatever [`attempt`](crate::throttle::attempt)
    /// checks.
    ///
    /// By default they are limited by [`Throttle::new`], and counted in the login store, if that can. The time
    /// limit for the store is that of [`store_deadline`](Self::store_deadline).
    #[must_use]
    pub fn throttle(self, throttle: Throttle) -> Self {
        self.set(|settings| settings.throttle = throttle)
    }

    /// Uses `clock` for the time.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.set(|settings| settings.clock = Some(Arc::new(clock)))
    }

    /// Stores sessions in `store` instead of the session cookie itself.
    ///
    /// A session in its cookie has room for about 2,700 bytes: browsers drop a cookie over 4096 bytes, and
    /// encryption and escapes add almost half. A log in that would exceed that fails with
    /// [`LoginError::SessionTooLong`](crate::LoginError::SessionTooLong), and any other response with such
    /// a session becomes a 500, with the size in the log.
    #[must_use]
    pub fn session_store<T>(self, store: T) -> LoginManagerBuilder<SharedStore<T>>
    where
        T: SessionStore + Send + Sync + 'static,
    {
        LoginManagerBuilder {
            settings: self.settings,
            sessions: Sessions::stored(store),
        }
    }

    /// The attributes of the session cookie.
    #[must_use]
    pub fn session_cookie(self, cookie: CookieSettings) -> Self {
        self.set(|settings| settings.session_cookie = Some(cookie))
    }

    /// Keeps logins in their own cookie, and not in the session.
    ///
    /// The session then contains only the application's data, and a browser has a session only if there
    /// is such data. A page that does not ask for the user costs half as much, and a page that asks for
    /// the user costs a quarter less: the login cookie is opened when the request asks for the user, but
    /// a session is decrypted and parsed at every request that has one. A log in still renews the
    /// session, and a log out still ends it.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, CookieSettings, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// # fn main() -> Result<(), login_runtime::BuildError> {
    /// let login_manager = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .login_store(MemoryLoginStore::new())
    ///     .login_cookie(CookieSettings::new())
    ///     .build(Key::generate())?;
    /// # let _ = login_manager;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns an error if the login cookie is combined with one of these:
    ///
    /// - a session store on the server without a login store: a log out would not be final any more;
    /// - sessions that outlast the browser: the next user of the browser would get them;
    /// - a path or domain that differs from that of the session cookie;
    /// - the application's own `SessionMiddleware`, because the manager does not know its settings.
    ///
    /// # Security
    ///
    /// The cookie is encrypted and authenticated with its own key, and bound to the user type. With a
    /// login store it contains only the key of the login's record. The browser deletes the cookie when
    /// the browser is closed. Older keys are accepted too, see [`fallback_keys`](Self::fallback_keys).
    ///
    /// Session and login are then two separate cookies, and only the browser's rules for cookie names
    /// protect the combination: with the default prefix `__Host-`, another host cannot add its own
    /// session cookie to a victim's login cookie.
    ///
    /// [`Session::purge`](actix_session::Session::purge) still ends the login of every user type; if the
    /// login store fails, the response is 503 and all logins continue.
    /// [`Session::clear`](actix_session::Session::clear) and the loss of the session do not end a login:
    /// call [`Auth::log_out`](crate::Auth::log_out).
    #[must_use]
    pub fn login_cookie(self, cookie: CookieSettings) -> Self {
        self.set(|settings| settings.login_cookie = Some(cookie))
    }

    /// Whether sessions end with the browser (the default) or last longer.
    #[must_use]
    pub fn session_lifecycle(self, lifecycle: impl Into<SessionLifecycle>) -> Self {
        self.set(|settings| settings.lifecycle = Some(lifecycle.into()))
    }

    /// Uses the application's own `SessionMiddleware`, which `factory` makes for each worker. The
    /// application then configures its key, store and cookie.
    ///
    /// # Security
    ///
    /// Give its cookie a name that starts with `__Host-`. The manager does not know the name, but it lets
    /// the middleware see cookies with that prefix only if the browser saw the prefix too, and only if
    /// there is one of the name. With any other name, another host of the same domain can set a session
    /// cookie, and the middleware takes the first.
    #[must_use]
    pub fn session_middleware<T>(
        self,
        factory: impl Fn() -> SessionMiddleware<T> + Send + Sync + 'static,
    ) -> LoginManagerBuilder<T>
    where
        T: SessionStore + 'static,
    {
        LoginManagerBuilder {
            settings: self.settings,
            sessions: Sessions::Own(Arc::new(factory)),
        }
    }

    /// Checks the settings and makes the manager.
    ///
    /// `key` is the application's secret: at least 64 random bytes that stay the same across restarts, as
    /// in `Key::try_from(bytes)`. A key that is obviously no secret is refused; the log names the settings
    /// that weaken a login. With `Key::generate()` all logins end when the application stops. The
    /// session cookie, remember tokens and fingerprints each have their own key, derived from it.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] says which setting is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::cookie::Key;
    /// use login_runtime::{AuthUser, BuildError, LoginManager, MemoryLoginStore};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// let builder = LoginManager::builder(|id| async move { Ok::<_, String>(Some(User { id })) })
    ///     .login_store(MemoryLoginStore::new());
    /// let refused = builder.build(Key::from(&[0; 64]));
    /// assert!(matches!(refused, Err(BuildError::WeakKey { .. })));
    /// ```
    pub fn build(self, key: Key) -> Result<LoginManager<S>, BuildError> {
        build::manager(self.settings, self.sessions, key)
    }
}

/// A manager that an `App` can be wrapped in. No type implements it: a builder is none yet.
#[diagnostic::on_unimplemented(
    message = "this login manager is not built yet; write `.build(key)?` first, and wrap the `App` in what that returns",
    label = "the settings of a login manager"
)]
pub trait Built {}

/// Stands for a builder in the bound below. For the builder itself, the compiler would not show the message.
#[derive(Debug)]
#[debug("NotBuilt")]
pub struct NotBuilt<T>(PhantomData<fn() -> T>);

/// For the message of [`Built`]: without it, the error about a forgotten `build` would list all middlewares.
#[doc(hidden)]
impl<S, T> Transform<S, ServiceRequest> for LoginManagerBuilder<T>
where
    S: Service<ServiceRequest>,
    T: SessionStore,
    NotBuilt<T>: Built,
{
    type Response = S::Response;
    type Error = S::Error;
    type Transform = S;
    type InitError = ();
    type Future = Ready<Result<S, ()>>;

    fn new_transform(&self, _: S) -> Self::Future {
        ready(Err(()))
    }
}

fn parse_origins<I: IntoIterator<Item = impl Into<String>>>(
    list: &mut Vec<Origin>,
    origins: I,
) -> Result<(), BuildError> {
    for origin in origins {
        list.push(Origin::parse(&origin.into())?);
    }
    Ok(())
}
