//! Log in, log out, confirm: what a handler holds in its hand.

use std::{
    fmt,
    future::{Future, IntoFuture, Ready, ready},
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header, web::Query};

use crate::{
    cookies::{self, Carried},
    current::{CurrentUser, MaybeUser},
    error::{LoadError, LoginError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    guard::{self, Check},
    loader::AnyUser,
    manager::{Manager, UserKind},
    next,
    policy::{Freshness, LoginFacts, LoginSource, Reason, Requirement},
    refuse::{self, RefusalKind},
    remember::Token,
    session::{self, Entry},
    state::{self, Known, LoginState},
    user::AuthUser,
    verified::{Proof, Verified},
};

/// Logs users of type `U` in and out; an extractor.
///
/// # Examples
///
/// ```
/// use actix_web::{Responder, post, web};
/// use login_runtime::{Auth, AuthUser, LoginError, Verified};
///
/// #[derive(AuthUser)]
/// struct User { id: i64, is_active: bool }
///
/// #[post("/login")]
/// async fn log_in(auth: Auth<User>) -> Result<impl Responder, LoginError> {
///     // Where credentials are checked; `PasswordVerifier` does that with passwords.
///     let user = Verified::trust(User { id: 7, is_active: true }, "example");
///     auth.log_in(user).await?;
///     Ok(auth.redirect_to_next_or("/"))
/// }
///
/// #[post("/logout")]
/// async fn log_out(auth: Auth<User>) -> Result<impl Responder, LoginError> {
///     auth.log_out().await?;
///     Ok(web::Redirect::to("/").see_other())
/// }
/// ```
pub struct Auth<U> {
    request: HttpRequest,
    state: Rc<LoginState>,
    index: usize,
    user: PhantomData<fn() -> U>,
}

impl<U> fmt::Debug for Auth<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl<U: AuthUser> Auth<U> {
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, SetupError> {
        let (_, index) = Manager::find::<U>(request)?;
        let state = LoginState::of(request)?;
        Ok(Self {
            request: request.clone(),
            state,
            index,
            user: PhantomData,
        })
    }

    fn manager(&self) -> &Manager {
        &self.state.manager
    }

    fn kind(&self) -> Option<&UserKind> {
        self.manager().users.get(self.index)
    }

    /// Logs a user in for the rest of this session; do not forget to `.await` it.
    ///
    /// The session gets a new id, so an id planted before is worth nothing after (RFC 6265 §8.4,
    /// ASVS 7.2.4). What an anonymous visitor put into the session stays; what belongs to another
    /// user goes. The user is the current user for the rest of the request.
    ///
    /// # Errors
    ///
    /// [`LoginError::Inactive`] if the user may not log in, and others as they say. Nothing is
    /// written then.
    ///
    /// # Security
    ///
    /// Takes the [`Verified`] user that a password verifier made, never a bare user.
    pub fn log_in(&self, verified: impl Proof<U>) -> LogIn<'_, U> {
        LogIn {
            auth: self,
            verified: verified.into_verified(),
            remember: Remember::No,
            fresh: true,
            forced: false,
            at: None,
        }
    }

    /// Logs the current user out.
    ///
    /// Everything in the session goes, but for logins of other user types; the session gets a new id,
    /// or ends; the remember cookie is cleared. Not an error if nobody is logged in. The rest of the
    /// request is anonymous.
    ///
    /// # Errors
    ///
    /// [`LoginError::Load`] if the user could not be loaded to be reported; the log out is done all
    /// the same.
    ///
    /// # Security
    ///
    /// With the cookie session store a *copy* of the session cookie is good until it expires, since
    /// nothing on the server says otherwise. Keep sessions in a store where that matters.
    pub async fn log_out(&self) -> Result<(), LoginError> {
        let who = self.state.who(&self.request, self.index).await;
        let session = session::of(&self.request);
        if let Some(kind) = self.kind() {
            let entry_remembered = session::entry(&session, &kind.session_key)
                .and_then(|text| Entry::read(&text).map(|(entry, _)| entry.remembered))
                .unwrap_or_default();
            if entry_remembered || cookies::carries(&self.request, &kind.remember.name) {
                self.state
                    .set_remember_cookie(self.index, kind.remember.clear());
            }
            self.state.settle_remember_cookie(self.index);
            session::clear_but(&session, self.manager().other_keys(self.index));
            session::renew(&session);
            self.state.end_session_if_empty();
            self.state.set_who(self.index, None);
            let user = who.as_ref().ok().and_then(Option::as_ref);
            let user = user.map(|known| EventUser::new(kind, &*known.user));
            self.manager()
                .emit(&LoginEvent::LoggedOut { user }, &self.request);
        }
        who?;
        Ok(())
    }

    /// Makes the current login fresh, after its user gave credentials again.
    ///
    /// The session gets a new id, and the login is bound to the client at hand. The remember cookie
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`] if there is no login in the session, [`LoginError::OtherUser`] if
    /// the credentials are another user's. Nothing is written then.
    pub async fn confirm_login(
        &self,
        verified: impl Proof<U>,
    ) -> Result<CurrentUser<U>, LoginError> {
        let (user, _) = verified.into_verified().into_parts();
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        // Looked at first: protection may say that this is not the login's own client.
        let Some(known) = self.state.who(&self.request, self.index).await? else {
            return Err(LoginError::NotLoggedIn);
        };
        if known.facts.source == LoginSource::Request {
            return Err(LoginError::NotLoggedIn);
        }
        let id = kind.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        if kind.loader.id(&*known.user).as_ref() != Some(&id) {
            return Err(LoginError::OtherUser);
        }
        let session = session::of(&self.request);
        let (remembered, forced) = session::entry(&session, &kind.session_key)
            .and_then(|text| Entry::read(&text).map(|(entry, _)| (entry.remembered, entry.forced)))
            .ok_or(LoginError::NotLoggedIn)?;
        if !forced && !kind.loader.is_authenticated(&*user) {
            return Err(LoginError::Inactive);
        }
        let known = self.establish(
            kind,
            &user,
            Establish {
                fresh: true,
                remembered,
                forced,
                at: None,
            },
        )?;
        self.manager().emit(
            &LoginEvent::LoginConfirmed {
                user: EventUser::new(kind, &*user),
            },
            &self.request,
        );
        Ok(CurrentUser::new(user, known.facts, self.manager()))
    }

    /// Renews the session and writes a login into it.
    fn establish(
        &self,
        kind: &UserKind,
        user: &Rc<U>,
        what: Establish,
    ) -> Result<Known, LoginError> {
        let manager = self.manager();
        let any: AnyUser = Rc::clone(user) as AnyUser;
        let session = session::of(&self.request);
        let hash = kind.loader.session_hash(&*any);
        let fingerprint = hash.and_then(|hash| manager.keys.fingerprint(&kind.name, &hash));
        let Establish {
            fresh,
            remembered,
            forced,
            at,
        } = what;
        let at = at.unwrap_or_else(|| manager.now());
        let entry = Entry {
            authenticated_at: at,
            fresh,
            remembered,
            forced,
            client: state::client(&self.request, manager),
            hash: fingerprint.as_deref(),
        };
        kind.loader
            .write(&entry, &session, &kind.session_key, &*any)
            .map_err(|_| LoginError::SessionPurged)?;
        session::renew(&session);
        let facts = LoginFacts {
            source: LoginSource::Session,
            authenticated_at: Some(at),
            fresh,
        };
        let authenticated = forced || kind.loader.is_authenticated(&*any);
        let known = Known {
            user: any,
            facts,
            authenticated,
        };
        self.state.set_who(self.index, Some(known.clone()));
        Ok(known)
    }

    /// The current user, if there is one.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the user could not be loaded.
    pub async fn current_user(&self) -> Result<MaybeUser<U>, LoadError> {
        let who = self.state.who(&self.request, self.index).await?;
        Ok(MaybeUser::of(&who, self.manager()))
    }

    /// Decides inside the handler what `#[login_required]` decides before it: the current user, or
    /// the refusal to return with `?`.
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader.
    pub async fn require_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        self.require(Requirement::LOGIN).await
    }

    /// Decides inside the handler what `#[fresh_login_required]` decides before it.
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader.
    pub async fn require_fresh_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        self.require(Requirement {
            freshness: Freshness::Default,
            ..Requirement::LOGIN
        })
        .await
    }

    async fn require(&self, requirement: Requirement) -> Result<CurrentUser<U>, actix_web::Error> {
        let find = |manager: &Manager| {
            manager.index(std::any::TypeId::of::<U>(), std::any::type_name::<U>)
        };
        let decision = match guard::check_user(&self.request, find, requirement) {
            Check::Done(decision) => decision,
            Check::Wait(deciding) => deciding.await,
        };
        let user = MaybeUser::of(&decision?, self.manager()).into_user();
        user.ok_or_else(|| LoginError::NotLoggedIn.into())
    }

    /// What a guard answers a client without a login, whoever is logged in.
    pub async fn unauthorized(&self) -> Refusal {
        self.refuse(RefusalKind::Unauthorized).await
    }

    /// What a guard answers a client with a stale login, whoever is logged in.
    pub async fn needs_refresh(&self) -> Refusal {
        self.refuse(RefusalKind::NeedsRefresh).await
    }

    async fn refuse(&self, kind: RefusalKind) -> Refusal {
        refuse::refuse(
            &self.request,
            self.manager(),
            kind,
            Reason::Asked,
            Freshness::Default,
        )
        .done()
        .await
    }

    /// Whether the request carries a remember cookie that verifies and is not being cleared.
    ///
    /// Says nothing about who is logged in.
    pub fn is_remembered(&self) -> bool {
        let Some(kind) = self
            .kind()
            .filter(|_| self.state.remember_counts(self.index))
        else {
            return false;
        };
        read_token(&self.request, self.manager(), kind, |_| ()).is_some()
    }

    /// Where the client wanted to go when it was refused, if that is an address of this origin.
    ///
    /// The query parameter `next` of this very request; with
    /// [`use_session_for_next`](crate::LoginManagerBuilder::use_session_for_next) what the session
    /// keeps, which is thereby taken out.
    ///
    /// # Security
    ///
    /// Only paths come back. Everything else that clients and the links they follow can put there is
    /// dropped: other hosts, schemes, and what browsers mistake for them.
    pub fn take_next(&self) -> Option<String> {
        let settings = &self.manager().refusing;
        let kept =
            session::take_next(&session::of(&self.request)).filter(|_| settings.session_for_next);
        let next = kept.or_else(|| self.next_in_query())?;
        next::safe(&next).map(str::to_owned)
    }

    fn next_in_query(&self) -> Option<String> {
        let pairs = Query::<Vec<(String, String)>>::from_query(self.request.query_string()).ok()?;
        let field = &self.manager().refusing.next_field;
        let mut values = pairs
            .into_inner()
            .into_iter()
            .filter(|(name, _)| name == field);
        // Of two, nobody knows which one was checked elsewhere.
        let (_, next) = values.next()?;
        values.next().is_none().then_some(next)
    }

    /// Sends the browser where it wanted to go when it was refused, or to `fallback`.
    ///
    /// See [`take_next`](Self::take_next) for what is followed.
    pub fn redirect_to_next_or(&self, fallback: &str) -> HttpResponse {
        let next = self.take_next();
        let location = refuse::location(next.as_deref().unwrap_or(fallback));
        HttpResponse::SeeOther()
            .insert_header((header::LOCATION, location))
            .finish()
    }
}

impl<U: AuthUser> FromRequest for Auth<U> {
    type Error = SetupError;
    type Future = Ready<Result<Self, SetupError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

/// What a login is to be like.
#[derive(Clone, Copy)]
struct Establish {
    fresh: bool,
    remembered: bool,
    forced: bool,
    at: Option<i64>,
}

/// Whether and how long to remember.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remember {
    No,
    AsConfigured,
    For(Duration),
}

/// A log in about to happen; made by [`Auth::log_in`], done by `.await`.
#[must_use = "nobody is logged in before this is awaited"]
pub struct LogIn<'a, U> {
    auth: &'a Auth<U>,
    verified: Verified<U>,
    remember: Remember,
    fresh: bool,
    forced: bool,
    /// When credentials were given, if not now.
    at: Option<i64>,
}

impl<U> fmt::Debug for LogIn<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn")
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

impl<'a, U: AuthUser> LogIn<'a, U> {
    /// Whether to remember the login beyond the session, for the time that the manager sets.
    ///
    /// The browser gets a signed cookie that can restore the login; a restored login is stale.
    pub fn remember(mut self, remember: bool) -> Self {
        self.remember = if remember {
            Remember::AsConfigured
        } else {
            Remember::No
        };
        self
    }

    /// Remembers the login for this long; no browser keeps a cookie for more than 400 days.
    pub fn remember_for(mut self, duration: Duration) -> Self {
        self.remember = Remember::For(duration);
        self
    }

    /// Makes the login stale from the start.
    pub fn stale(mut self) -> Self {
        self.fresh = false;
        self
    }

    /// Logs the user in although it is not active, and has guards let it through.
    ///
    /// # Security
    ///
    /// Deactivating the user does not end such a login.
    pub fn danger_even_if_inactive(mut self) -> Self {
        self.forced = true;
        self
    }

    /// Makes the login as old as if credentials had been given then.
    #[cfg(feature = "test-util")]
    pub(crate) fn at(mut self, at: Option<i64>) -> Self {
        self.at = at;
        self
    }

    pub(crate) fn run(self) -> Result<CurrentUser<U>, LoginError> {
        let Self {
            auth,
            verified,
            remember,
            fresh,
            forced,
            at,
        } = self;
        let (user, method) = verified.into_parts();
        let (manager, request) = (auth.manager(), &auth.request);
        let kind = auth.kind().ok_or(LoginError::UnfitId)?;
        // Forcing is for those who need it; for the others it would outlive their deactivation.
        let forced = forced && !kind.loader.is_authenticated(&*user);
        if !forced && !kind.loader.is_authenticated(&*user) {
            manager.emit(
                &LoginEvent::LogInRefused {
                    user: EventUser::new(kind, &*user),
                },
                request,
            );
            return Err(LoginError::Inactive);
        }
        let id = kind.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        let remembering = match remember {
            Remember::No => None,
            Remember::AsConfigured => Some(manager.remember_for),
            Remember::For(duration) => Some(duration),
        };
        // Everything that can fail comes before anything is written.
        let cookie = match remembering {
            None => None,
            Some(age) => Some(remember_cookie(manager, kind, &*user, &id, at, age)?),
        };
        let session = session::of(request);
        if !session::takes(&session) {
            return Err(LoginError::SessionPurged);
        }
        let previous = session::entry(&session, &kind.session_key).and_then(|text| {
            Entry::read(&text).map(|(entry, id)| (id.to_owned(), entry.remembered))
        });
        let (other_user, was_remembered) = match &previous {
            Some((previous_id, remembered)) => (*previous_id != id, *remembered),
            None => (false, false),
        };
        if other_user {
            session::clear_but(&session, manager.other_keys(auth.index));
        }
        let remembered = cookie.is_some();
        let keeps_cookie = remembered || (was_remembered && !other_user);
        let known = auth.establish(
            kind,
            &user,
            Establish {
                fresh,
                remembered: keeps_cookie,
                forced,
                at,
            },
        )?;
        match cookie {
            Some(cookie) => auth.state.set_remember_cookie(auth.index, cookie),
            // A token of somebody else would bring that user back when the session ends.
            None if other_user && was_remembered
                || carries_token_of_another(request, manager, kind, &id) =>
            {
                auth.state
                    .set_remember_cookie(auth.index, kind.remember.clear());
            }
            None => {}
        }
        let event = LoginEvent::LoggedIn {
            user: EventUser::new(kind, &*user),
            method,
            remembered,
        };
        manager.emit(&event, request);
        Ok(CurrentUser::new(user, known.facts, manager))
    }
}

impl<'a, U: AuthUser> IntoFuture for LogIn<'a, U> {
    type Output = Result<CurrentUser<U>, LoginError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run() })
    }
}

/// A remember cookie for a user.
fn remember_cookie(
    manager: &Manager,
    kind: &UserKind,
    user: &dyn std::any::Any,
    id: &str,
    at: Option<i64>,
    age: Duration,
) -> Result<actix_web::cookie::Cookie<'static>, LoginError> {
    let now = manager.now();
    let age = age.min(crate::config::MAX_COOKIE_AGE);
    let nonce = cookies::nonce().map_err(|_| LoginError::NoRandomness)?;
    let hash = kind.loader.session_hash(user);
    let hash = hash.and_then(|hash| manager.keys.fingerprint(&kind.name, &hash));
    let token = Token {
        authenticated_at: at.unwrap_or(now),
        issued_at: now,
        expires_at: now.saturating_add_unsigned(age.as_secs()),
        hash: hash.as_deref(),
        nonce: &nonce,
        id,
    };
    let value = manager
        .keys
        .sign(&kind.name, &token)
        .ok_or(LoginError::UnfitId)?;
    cookies::remember_cookie(&kind.remember, value, age).ok_or(LoginError::UnfitId)
}

/// Reads the remember token that a request carries, if it verifies and its time is not over.
pub(crate) fn read_token<T>(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserKind,
    read: impl FnOnce(&Token<'_>) -> T,
) -> Option<T> {
    let Carried::One(value) = cookies::carried(request, &kind.remember.name) else {
        return None;
    };
    let (text, _) = manager.keys.verify(&kind.name, &value)?;
    Token::read(&text, manager.now()).map(|token| read(&token))
}

/// Whether a request carries a remember cookie that is not this user's.
fn carries_token_of_another(
    request: &HttpRequest,
    manager: &Manager,
    kind: &UserKind,
    id: &str,
) -> bool {
    cookies::carries(request, &kind.remember.name)
        && read_token(request, manager, kind, |token| token.id == id) != Some(true)
}
