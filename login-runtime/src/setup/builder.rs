//! TODO setup/builder.rs

use std::{any::TypeId, future::Future, sync::Arc, time::Duration};

use actix_session::{
    SessionMiddleware,
    config::SessionLifecycle,
    storage::{CookieSessionStore, SessionStore},
};
use actix_web::{HttpRequest, HttpResponse, Responder, cookie::Key};
use derive_more::Debug;

use crate::{
    clock::Clock,
    core::{AuthUser, ClientIdentity, Limits, MaxLogins, SessionProtection},
    error::{BoxError, BuildError},
    events::LoginEvent,
    http::{CookieSettings, Origin, RememberCookie, View},
    manager::LoginManager,
    refusal::{Flash, erase_handler},
    session::SharedStore,
    setup::{build, sessions::Sessions, settings::Settings},
    store::LoginStore,
    users::loader,
};

impl LoginManager {
    /// Starts to build a manager with the loader for the application's user type.
    ///
    /// The loader is given the id that the session keeps and looks the user up:
    /// `async move |id: i64| db.find(id).await`, or an `async fn`. `Ok(None)` says that there is no such user (any
    /// more); an error says that it could not be found out, and is answered with 503.
    /// It is called at most once per request, and only if something asks who the user is.
    pub fn builder<U, F, E>(user_loader: F) -> LoginManagerBuilder
    where
        U: AuthUser,
        F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
        E: Into<BoxError> + 'static,
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

    /// Changes a setting that may be wrong; the first error is what [`build`](Self::build) returns.
    fn try_set(mut self, change: impl FnOnce(&mut Settings) -> Result<(), BuildError>) -> Self {
        if let Err(error) = change(&mut self.settings) {
            self.settings.error.get_or_insert(error);
        }
        self
    }

    /// Adds a further user type, with a loader of its own.
    ///
    /// Logins of different types are kept apart: each has its own entry in the session and its own
    /// remember cookie, named after `name`, which must not change once logins exist.
    /// `#[login_required(user = Admin)]` asks for this type.
    #[must_use]
    pub fn user_loader<U, F, E>(self, name: &str, user_loader: F) -> Self
    where
        U: AuthUser,
        F: AsyncFn(U::Id) -> Result<Option<U>, E> + Send + Sync + 'static,
        E: Into<BoxError> + 'static,
    {
        self.set(|settings| {
            settings
                .users
                .push((name.to_owned(), loader::user_loader(user_loader)))
        })
    }

    /// Finds the user in the request itself, for API keys and bearer tokens.
    ///
    /// Asked when neither the session nor a remember cookie brought a user. What it needs of the
    /// request it takes before its first await. Its user is neither stored nor fresh.
    ///
    /// # Security
    ///
    /// The loader is what checks the credential: compare keys by their hashes or in constant time.
    #[must_use]
    pub fn request_loader<U, F, Fut, E>(self, request_loader: F) -> Self
    where
        U: AuthUser,
        F: Fn(&HttpRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<U>, E>> + 'static,
        E: Into<BoxError> + 'static,
    {
        self.set(|settings| {
            settings.request_loader = Some((
                TypeId::of::<U>(),
                std::any::type_name::<U>(),
                loader::request_loader(request_loader),
            ));
        })
    }

    /// Where clients without a login are sent: a path (`/login`), a URL, or the name of a route.
    ///
    /// The page they came for goes along as the query parameter `next`; a form without an `action`
    /// posts it on. Without a login view clients are answered 401, as are scripts and API clients
    /// always: those whose `Sec-Fetch-Mode`, `X-Requested-With` or `Accept` says that they show no
    /// page.
    #[must_use]
    pub fn login_view(self, view: impl Into<String>) -> Self {
        self.try_set(|settings| {
            settings.refusal.login_view = Some(View::parse(&view.into())?);
            Ok(())
        })
    }

    /// Where clients with a stale login are sent to give their credentials again.
    ///
    /// Without it they are answered 401, also if there is a login view.
    #[must_use]
    pub fn refresh_view(self, view: impl Into<String>) -> Self {
        self.try_set(|settings| {
            settings.refusal.refresh_view = Some(View::parse(&view.into())?);
            Ok(())
        })
    }

    /// The name of the query parameter that says where a refused client wanted to go; `next`.
    #[must_use]
    pub fn next_field(self, name: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.next_field = name.into())
    }

    /// Keeps where a refused client wanted to go in its session, and not in the address of the
    /// login view. [`Auth::take_next`](crate::Auth::take_next) takes it out again.
    #[must_use]
    pub fn use_session_for_next(self) -> Self {
        self.set(|settings| settings.refusal.session_for_next = true)
    }

    /// Tells the login view about requests of every method, and not only of GET and HEAD.
    ///
    /// A client that follows such a `next` sends a GET to an address that may only answer POST.
    #[must_use]
    pub fn next_for_all_methods(self) -> Self {
        self.set(|settings| settings.refusal.next_for_all_methods = true)
    }

    /// Sends refused clients to this host (`example.com`, or with a port), whatever host they named.
    #[must_use]
    pub fn force_host_for_redirects(self, host: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.force_host = Some(host.into()))
    }

    /// The origins under which this application is reached, such as `https://app.example.com`.
    ///
    /// Only needed for a login view on another host, which has to be told a whole URL to lead back
    /// to. A request that names none of these hosts gets a redirect without `next`.
    #[must_use]
    pub fn origins<I: IntoIterator<Item = impl Into<String>>>(self, origins: I) -> Self {
        self.try_set(|settings| {
            for origin in origins {
                settings
                    .refusal
                    .origins
                    .push(Origin::parse(&origin.into())?);
            }
            Ok(())
        })
    }

    /// Believes the `Host` header of every client when a whole URL of this application is needed.
    ///
    /// # Security
    ///
    /// An attacker who gets a victim's request to carry another host has the login view lead there.
    /// Use [`origins`](Self::origins).
    #[must_use]
    pub fn danger_any_host(self) -> Self {
        self.set(|settings| settings.refusal.any_host = true)
    }

    /// What clients are told on the way to the login view; `None` for nothing.
    ///
    /// Reaches them only if there is a [`flash`](Self::flash) hook.
    #[must_use]
    pub fn login_message(self, message: Option<&str>) -> Self {
        self.set(|settings| settings.refusal.login_message.text = message.map(str::to_owned))
    }

    /// The category of the login message; `message` by default.
    #[must_use]
    pub fn login_message_category(self, category: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.login_message.category = category.into())
    }

    /// What clients are told on the way to the refresh view; `None` for nothing.
    #[must_use]
    pub fn needs_refresh_message(self, message: Option<&str>) -> Self {
        self.set(|settings| settings.refusal.refresh_message.text = message.map(str::to_owned))
    }

    /// The category of the refresh message; `message` by default.
    #[must_use]
    pub fn needs_refresh_message_category(self, category: impl Into<String>) -> Self {
        self.set(|settings| settings.refusal.refresh_message.category = category.into())
    }

    /// Translates the two messages, with the request at hand.
    #[must_use]
    pub fn localize(
        self,
        translate: impl Fn(&HttpRequest, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.refusal.localize = Some(Box::new(translate)))
    }

    /// Takes the messages for refused clients, to show them on the next page.
    #[must_use]
    pub fn flash(self, flash: impl Fn(&HttpRequest, Flash<'_>) + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.refusal.flash = Some(Box::new(flash)))
    }

    /// Shows the messages for refused clients through `actix-web-flash-messages`, whose
    /// `FlashMessagesFramework` has to be wrapped around the application too.
    ///
    /// The category becomes the level where it is the name of one, and `Info` otherwise.
    #[cfg(feature = "flash-messages")]
    #[must_use]
    pub fn flash_messages(self) -> Self {
        self.flash(|_, flash| crate::refusal::settings::send_flash_message(flash))
    }

    /// Answers clients without a login in place of redirect, 401, message and `next`.
    #[must_use]
    pub fn unauthorized_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(HttpRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| settings.refusal.unauthorized = Some(erase_handler(handler)))
    }

    /// Answers clients with a stale login in place of redirect, 401, message and `next`.
    #[must_use]
    pub fn needs_refresh_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(HttpRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| settings.refusal.needs_refresh = Some(erase_handler(handler)))
    }

    /// Answers users who may not do what they asked for, in place of a bare 403; scripts too, which
    /// would get it as JSON.
    #[must_use]
    pub fn forbidden_handler<F, Fut, R>(self, handler: F) -> Self
    where
        F: Fn(HttpRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + 'static,
        R: Responder + 'static,
    {
        self.set(|settings| settings.refusal.forbidden = Some(erase_handler(handler)))
    }

    /// Answers when a loader or the login store failed, at guards and extractors; 503 without a word by
    /// default. Where a handler asks by itself, as with
    /// [`Auth::current_user`](crate::Auth::current_user), the error is the handler's.
    #[must_use]
    pub fn load_error_handler(
        self,
        handler: impl Fn(&HttpRequest, &crate::LoadError) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.refusal.load_failed = Some(Box::new(handler)))
    }

    /// Lets OPTIONS requests through all guards, as Flask-Login does.
    ///
    /// # Security
    ///
    /// Off by default: unlike Flask, actix-web gives `.to(handler)` requests of every method, so a
    /// client that says OPTIONS would be shown the page.
    #[must_use]
    pub fn exempt_options(self) -> Self {
        self.set(|settings| settings.guards.exempt_options = true)
    }

    /// Refuses anonymous clients on every route that does not declare who may reach it.
    ///
    /// A route declares itself by [`#[login_required]`](macro@crate::login_required) or
    /// [`#[public]`](macro@crate::public) *above* its route attribute, or by
    /// [`login_required()`](fn@crate::login_required) or [`public()`](fn@crate::public) around it, its
    /// resource or its scope. Who is logged in gets to undeclared routes too. The decision is made
    /// before the handler runs and before the body is read, whatever the method. Each undeclared
    /// route that is hit is reported once, as
    /// [`LoginEvent::UndeclaredRoute`](crate::LoginEvent::UndeclaredRoute) and to the log.
    ///
    /// A path that leads nowhere is 404 for everybody, and a
    /// [default service](actix_web::App::default_service) of the application's own that is not declared
    /// is only shown to who is logged in. Where the path leads somewhere but no route takes the
    /// method, who is logged in gets the 404 or 405; anonymous clients are refused, since it looks like
    /// an undeclared route. A resource in `public()` has its 405 for everybody, and the guards in it
    /// still hold.
    ///
    /// What hooks of the application (events, `unauthorized_handler`, `request_loader`) are given at an
    /// undeclared route is a copy of the request's head with the session, without the application's
    /// data; what is written into the session there is lost.
    ///
    /// Middleware between the manager and the routes must not wait before it calls them, or go in a
    /// [`routes_behind`](crate::routes_behind()). Cross-origin preflights need their middleware around the manager:
    /// `.wrap(login_manager).wrap(Cors::..)`. What a service or middleware does before it first waits,
    /// as the closure of `wrap_fn` may, happens before the decision; handlers and their extractors only
    /// run after it.
    #[must_use]
    pub fn deny_by_default(self) -> Self {
        self.set(|settings| settings.routes.deny_by_default = true)
    }

    /// What happens to a login that shows up from another client; `Basic` by default.
    #[must_use]
    pub fn session_protection(self, mode: SessionProtection) -> Self {
        self.set(|settings| settings.client.protection = mode)
    }

    /// What of a client makes its identity; user agent and peer address by default.
    #[must_use]
    pub fn client_identity(self, identity: ClientIdentity) -> Self {
        self.set(|settings| settings.client.identity = identity)
    }

    /// How long after giving credentials a login is fresh; 30 minutes by default.
    ///
    /// Freshness does not slide: use does not prolong it. A guard with an age of its own goes by
    /// that one.
    #[must_use]
    pub fn fresh_for(self, age: Duration) -> Self {
        self.set(|settings| settings.guards.fresh_for = Some(age))
    }

    /// Lets a login be fresh for as long as it lasts, as in Flask-Login.
    ///
    /// # Security
    ///
    /// Whoever gets hold of an unlocked device can then change the password hours after it was given
    /// (ASVS 7.5.1 asks for it again). Guards with an age of their own still ask.
    #[must_use]
    pub fn fresh_for_the_session(self) -> Self {
        self.set(|settings| settings.guards.fresh_for = None)
    }

    /// The remember cookie: attributes and life.
    #[must_use]
    pub fn remember_cookie(self, cookie: RememberCookie) -> Self {
        self.set(|settings| settings.remember = cookie)
    }

    /// Keys that were used before: values made under them are still good, and are written anew
    /// under the current key when they are seen.
    ///
    /// With a login store, keep an old key for as long as logins last at most (see
    /// [`Limits`](crate::Limits)): records keep the fingerprints they were made with.
    /// actix-session knows one key only, so with the cookie store sessions end when the key
    /// changes; a remember cookie under an old key then restores the login.
    #[must_use]
    pub fn fallback_keys(self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.set(|settings| settings.fallback_keys.extend(keys))
    }

    /// Lets both cookies travel over plain http, and takes the `__Host-` prefix off their names.
    ///
    /// For development where the address is neither https nor localhost. Logs a warning.
    #[must_use]
    pub fn danger_insecure_cookies(self) -> Self {
        self.set(|settings| settings.insecure = true)
    }

    /// Calls `subscriber` for everything that happens to a login; see [`LoginEvent`].
    ///
    /// It runs within the request: keep it short, and hand work over.
    #[must_use]
    pub fn on_event(
        self,
        subscriber: impl Fn(&LoginEvent<'_>, &HttpRequest) + Send + Sync + 'static,
    ) -> Self {
        self.set(|settings| settings.events.subscribers.push(Box::new(subscriber)))
    }

    /// Keeps a record of each login in `store`, so that logins can be seen, limited and ended.
    ///
    /// A log out is then final, whatever becomes of the session; logins end when they are not used
    /// (see [`limits`](Self::limits)); remember tokens rotate and can be revoked.
    #[must_use]
    pub fn login_store(self, store: impl LoginStore) -> Self {
        self.set(|settings| settings.login_store = Some(Arc::new(store)))
    }

    /// Records logins nowhere but in the session, or in the login cookie.
    ///
    /// # Security
    ///
    /// Nothing on the server then says that a login is over. With sessions kept in their cookie, a log
    /// out does not end a *copy* of that cookie: it goes on working until the login reaches its
    /// [absolute limit](Limits::absolute), or the user's session hash or the key changes. Remember
    /// cookies do not rotate and cannot be revoked. There is no idle limit, no list of devices and no
    /// way to end a login elsewhere. With a [login store](Self::login_store) all of that holds.
    #[must_use]
    pub fn session_only(self) -> Self {
        self.set(|settings| settings.session_only = true)
    }

    /// How long the login store, or a session store on the server, may take for an answer before the
    /// client gets a 503; 2 seconds.
    ///
    /// No request waits longer in vain, however many answers it needs: what it has lost to one it does
    /// not lose to the next.
    ///
    /// Raising it survives slower stores; lowering it answers sooner when the store is down.
    #[must_use]
    pub fn store_deadline(self, limit: Duration) -> Self {
        self.set(|settings| settings.store_deadline = Some(limit))
    }

    /// How long logins last: 30 minutes without use, and 12 hours at the latest.
    ///
    /// Without a login store there is no idle limit, and `limits` must not have one:
    /// `Limits::new().danger_no_idle_limit()`.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        self.set(|settings| settings.limits = Some(limits))
    }

    /// How many logins a user may have at a time; any number by default.
    #[must_use]
    pub fn max_logins(self, max: MaxLogins) -> Self {
        self.set(|settings| settings.max_logins = Some(max))
    }

    /// Asks `clock` for the time.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.set(|settings| settings.clock = Some(Arc::new(clock)))
    }

    /// Keeps sessions in `store` instead of the session cookie itself.
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

    /// Keeps logins in a cookie of their own, and not in the session.
    ///
    /// The session is then the application's alone, and a browser has one only if something is in it. A
    /// page that asks for nobody then costs half, and one that does a quarter less: the cookie is opened
    /// when somebody asks for the user, while a session is decrypted and parsed at every request that has
    /// one. Log in and log out renew and end the session as before.
    ///
    /// # Security
    ///
    /// What the cookie says is encrypted and authenticated with a key of its own, and bound to the user
    /// type; with a login store it names the record of the login and nothing else. It goes when the
    /// browser is closed. Older keys are good for it too, see [`fallback_keys`](Self::fallback_keys).
    ///
    /// Session and login are then two cookies, and nothing ties one to the other but what browsers make
    /// of their names: with `__Host-`, as by default, nobody else can put a session beside a victim's
    /// login.
    ///
    /// [`Session::purge`](actix_session::Session::purge) still ends the login, that of every user type; if
    /// the login store cannot be told, the answer is 503 and everybody is still logged in.
    /// [`Session::clear`](actix_session::Session::clear) does not, and neither does the loss of the
    /// session: call [`Auth::log_out`](crate::Auth::log_out).
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) refuses it together with what it would weaken: a session store on the server
    /// but no login store, where a log out would not be final any more; sessions that outlast the browser,
    /// which would be left to whoever logs in next; a path or domain other than the session cookie's; and a
    /// `SessionMiddleware` of the application's own, of which none of this can be told.
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
    #[must_use]
    pub fn login_cookie(self, cookie: CookieSettings) -> Self {
        self.set(|settings| settings.login_cookie = Some(cookie))
    }

    /// Whether sessions end with the browser (the default) or last for a while.
    #[must_use]
    pub fn session_lifecycle(self, lifecycle: impl Into<SessionLifecycle>) -> Self {
        self.set(|settings| settings.lifecycle = Some(lifecycle.into()))
    }

    /// Uses the application's own ready-made `SessionMiddleware`, which `factory` makes for each
    /// worker. Its key, store and cookie are then the application's business.
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
    /// `key` is the application's secret, 64 random bytes or more that survive a restart:
    /// `Key::try_from(bytes)`; with `Key::generate()` all logins end when the application does. The
    /// session cookie, remember tokens and fingerprints are each signed with a key of their own that
    /// is derived from it.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that says which setting cannot work.
    pub fn build(self, key: Key) -> Result<LoginManager<S>, BuildError> {
        build::manager(self.settings, self.sessions, key)
    }
}
