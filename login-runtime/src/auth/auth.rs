//! Log in, log out, confirm: what a handler holds in its hand.

use std::{
    cell::OnceCell,
    fmt,
    future::{Future, Ready, ready},
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header, web::Query};

use crate::{
    auth::log_in::{Establish, LogIn, Remember},
    conditions::condition::Condition,
    core::{
        freshness::{Freshness, Reason, Requirement},
        login::{Family, FamilyKey, LoginFacts, LoginSource, Which},
        next,
        remember::{self, Presented},
        user::AuthUser,
    },
    error::{LoadError, LoginError, Refusal, SetupError},
    events::{EventUser, LoginEvent},
    guard::{
        current::{self, CurrentUser, MaybeUser},
        decide::{self, GuardOutcome},
    },
    http::{cookies, escape},
    keys::LoginToken,
    manager::Manager,
    refusal::{self, answer::RefusalKind},
    request::{
        client,
        credential::{self, LoginCookieContent, OpenedLoginCookie},
        remember_cookie::{carried_family, read_token},
        state::{LoginState, RequestUser},
    },
    session::{self, entry::Entry, fate},
    store::records::{LoginRef, NewLogin, Records, Replaced},
    users::{
        loader::AnyUser,
        user_type::UserType,
        verified::{AuthMethod, Proof, Verified},
    },
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
///
/// It holds on to the request, so it is for handlers: in a middleware (`from_fn`) that passes the
/// request on, actix-web wants it back for itself, and panics. Take [`MaybeUser`] there.
pub struct Auth<U> {
    pub(crate) request: HttpRequest,
    pub(crate) state: Rc<LoginState>,
    pub(crate) index: usize,
    pub(crate) user: PhantomData<fn() -> U>,
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

    pub(crate) fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub(crate) fn state(&self) -> &LoginState {
        &self.state
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn manager(&self) -> &Manager {
        &self.state.manager
    }

    pub(crate) fn kind(&self) -> Option<&UserType> {
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
    /// With a login store the record is ended before this answers, together with the family of
    /// remember tokens, so no copy of a cookie and no late request brings the login back.
    ///
    /// # Errors
    ///
    /// [`LoginError::Store`] or [`LoginError::Load`] if the login store could not be reached: nothing
    /// is changed then, and the user is still logged in. Say so, and let them try again.
    ///
    /// # Security
    ///
    /// Without a login store nothing on the server says that the login is over. With sessions kept in
    /// their cookie, a *copy* of that cookie goes on working until the user's session hash or the key
    /// changes; a copy of a remember cookie does until its time is over, whatever keeps the sessions.
    pub async fn log_out(&self) -> Result<(), LoginError> {
        let Some(kind) = self.kind() else {
            return Ok(());
        };
        // Whatever becomes of it meanwhile: this is the login that is to end.
        let named = self.carried_login();
        // Without records, only to say who it was.
        let who = if self.manager().records.is_some() || self.manager().listens() {
            self.state.who(&self.request, self.index).await
        } else {
            Ok(None)
        };
        let session = session::of(&self.request);
        if let Some(records) = &self.manager().records {
            let known = who.as_ref().ok().and_then(Option::as_ref);
            Box::pin(self.end_records(records, kind, known, named)).await?;
        }
        let is_late = match &self.manager().records {
            Some(records) if kind.login_cookie.is_some() => {
                Box::pin(self.give_up_carried(records, kind)).await
            }
            _ => false,
        };
        let entry_remembered = self
            .carried_entry(|entry, _| entry.remembered)
            .unwrap_or_default();
        let family = who.as_ref().is_ok_and(|who| {
            who.as_ref()
                .and_then(|known| known.login)
                .is_some_and(|login| login.tokens().is_some())
        });
        if entry_remembered || family || cookies::carries(&self.request, &kind.remember.name) {
            self.state
                .set_remember_cookie(self.index, kind.remember.clear());
        }
        self.state.settle_remember_cookie(self.index);
        self.state
            .drop_login_cookie(&self.request, self.index, is_late);
        self.state.act();
        session::clear_but(&session, self.manager().kept_keys(self.index));
        session::renew(&session);
        let held_elsewhere =
            kind.login_cookie.is_some() && credential::is_carried(&self.request, kind);
        fate::logged_out(held_elsewhere);
        self.state.end_session_if_empty();
        self.state.set_who(self.index, None);
        let user = who.as_ref().ok().and_then(Option::as_ref);
        let user = user.map(|known| EventUser::new(kind, &*known.user));
        self.manager()
            .emit(&LoginEvent::LoggedOut { user }, &self.request);
        Ok(())
    }

    /// Notes that the browser gives up the login cookie that the request came with. Whether it had done
    /// so before, and has another one by now, or none.
    async fn give_up_carried(&self, records: &Records, kind: &UserType) -> bool {
        let opened = self.state.opened(self.index);
        // Asked before this request does it: what it gives up itself is not late for that.
        if let Some(given_up) = opened.and_then(OpenedLoginCookie::had_given_up) {
            return given_up;
        }
        // As it came: the request may have found another one since.
        let (manager, session) = (self.manager(), OnceCell::new());
        let carried = credential::carried(&self.request, manager, kind, None, &session);
        let Some(login) = carried.and_then(|carried| carried.login()) else {
            return false;
        };
        let now = manager.now();
        let given_up = records.any_was_given_up(&[login.key], now).await;
        records.bury(login.key, now).await;
        let given_up = given_up.unwrap_or_default();
        if let Some(opened) = opened {
            opened.gives_up(given_up);
        }
        given_up
    }

    /// Ends the login of this request, and whatever else could bring its user back.
    async fn end_records(
        &self,
        records: &Records,
        kind: &UserType,
        known: Option<&RequestUser>,
        named: Option<LoginRef>,
    ) -> Result<(), LoginError> {
        let login = match known.and_then(|known| known.login) {
            Some(login) => Some(login),
            // The user could not be loaded, or is inactive, or another request was quicker.
            None => match named {
                Some(LoginRef { key, family }) => {
                    let record = records.find(key, self.manager().now()).await?;
                    Some(LoginRef {
                        key,
                        family: record.map_or(family, |record| record.family),
                    })
                }
                None => None,
            },
        };
        if let Some(login) = login {
            records.end(login).await?;
        }
        // A login that was restored elsewhere, or ended by itself, leaves the token of its browser.
        if let Some((family, _)) = self.genuine_family(records, kind).await? {
            records
                .store
                .call(|store| store.end_many(Which::Family(family)))
                .await?;
        }
        Ok(())
    }

    /// The family whose token the request carries, if it is genuine and no theft; theft ends it.
    pub(crate) async fn genuine_family(
        &self,
        records: &Records,
        kind: &UserType,
    ) -> Result<Option<(FamilyKey, Family)>, LoginError> {
        let manager = self.manager();
        let Some(token) = carried_family(&self.request, manager, kind) else {
            return Ok(None);
        };
        let now = manager.now();
        let family = records.find_family(token.family, now).await?;
        let proves = |family: &Family| {
            let proof = manager.keys.proves(&kind.name, &token, &family.seed);
            family.user_type == kind.name && proof.is_some()
        };
        let Some(family) = family.filter(proves) else {
            return Ok(None);
        };
        if remember::present(&family, token.generation, now) == Presented::Theft {
            records
                .store
                .call(|store| store.end_many(Which::Family(token.family)))
                .await?;
            let (user_type, user_id) = (&*kind.name, &*family.user_id);
            let event = LoginEvent::RememberTokenReused { user_type, user_id };
            manager.emit(&event, &self.request);
            return Ok(None);
        }
        Ok(Some((token.family, family)))
    }

    /// The login whose record the request names.
    pub(crate) fn carried_login(&self) -> Option<LoginRef> {
        self.state
            .carried(&self.request, self.index, |carried| carried.login())
    }

    /// Reads the login that the request carries, where there are no records.
    pub(crate) fn carried_entry<T>(&self, read: impl FnOnce(Entry<'_>, &str) -> T) -> Option<T> {
        self.state.carried(&self.request, self.index, |carried| {
            carried.entry().map(|(entry, id)| read(entry, id))
        })
    }

    /// Makes the current login fresh, after its user gave credentials again.
    ///
    /// The session gets a new id, and the login is bound to the client at hand. The remember cookie
    /// stays as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Result, post};
    /// use login_runtime::{Auth, AuthUser, CurrentUser, Verified, login_required};
    ///
    /// #[derive(AuthUser, Clone)]
    /// struct User { id: i64 }
    ///
    /// // At the manager's `refresh_view`. Not `fresh`, or nobody would get here.
    /// #[login_required]
    /// #[post("/confirm")]
    /// async fn confirm(auth: Auth<User>, user: CurrentUser<User>, typed: String) -> Result<HttpResponse> {
    ///     let Some(verified) = verify(User::clone(&user), &typed) else {
    ///         return Ok(HttpResponse::Unauthorized().finish());
    ///     };
    ///     auth.confirm_login(verified).await?;
    ///     Ok(auth.redirect_to_next_or("/"))
    /// }
    ///
    /// // In place of `PasswordVerifier::verify`.
    /// fn verify(user: User, typed: &str) -> Option<Verified<User>> {
    ///     (typed == "difference engine").then(|| Verified::trust(user, "example"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`] if there is no login in the session, [`LoginError::OtherUser`] if
    /// the credentials are another user's. Nothing is written then.
    pub fn confirm_login(&self, verified: impl Proof<U>) -> Confirming<'_, U> {
        Box::pin(self.confirm(verified.into_verified()))
    }

    async fn confirm(&self, verified: Verified<U>) -> Result<CurrentUser<U>, LoginError> {
        let (user, method) = verified.into_parts();
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
        let (remembered, forced) = match known.login {
            Some(_) => (false, known.forced),
            None => self
                .carried_entry(|entry, _| (entry.remembered, entry.forced))
                .ok_or(LoginError::NotLoggedIn)?,
        };
        if !forced && !kind.loader.is_authenticated(&*user) {
            return Err(LoginError::Inactive);
        }
        let what = Establish {
            fresh: true,
            remembered,
            forced,
            at: None,
            method,
            clears_session: false,
            replaces: Replaced {
                login: known.login.map(|login| login.key),
                is_same_user: true,
                families: Vec::new(),
                goes_on: true,
            },
            family: known
                .login
                .map(|login| login.tokens().unwrap_or_else(|| login.goes_on())),
        };
        let known = self.establish(kind, &user, what).await?;
        let event = LoginEvent::LoginConfirmed {
            user: EventUser::new(kind, &*user),
        };
        self.manager().emit(&event, &self.request);
        Ok(CurrentUser::new(user, known.facts, self.manager()))
    }

    /// Goes on with a login whose user has other credentials now, under a new id and without a
    /// remember cookie.
    pub(crate) async fn continue_as(&self, user: Rc<U>, login: LoginRef) -> Result<(), LoginError> {
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        let known = self.state.who(&self.request, self.index).await?;
        let facts = known.as_ref().map(|known| (known.facts, known.forced));
        let (facts, forced) = facts.ok_or(LoginError::NotLoggedIn)?;
        let what = Establish {
            fresh: facts.fresh,
            remembered: false,
            forced,
            at: facts.authenticated_at,
            method: AuthMethod::Trusted("credentials changed"),
            clears_session: false,
            replaces: Replaced {
                login: Some(login.key),
                is_same_user: true,
                families: Vec::new(),
                goes_on: true,
            },
            family: Some(login.goes_on()),
        };
        self.establish(kind, &user, what).await?;
        if login.tokens().is_some() || cookies::carries(&self.request, &kind.remember.name) {
            self.state
                .set_remember_cookie(self.index, kind.remember.clear());
        }
        Ok(())
    }

    /// Renews the session and writes a login into it.
    pub(crate) async fn establish(
        &self,
        kind: &UserType,
        user: &Rc<U>,
        what: Establish,
    ) -> Result<RequestUser, LoginError> {
        let manager = self.manager();
        let any: AnyUser = Rc::clone(user) as AnyUser;
        let session = session::of(&self.request);
        if !session::takes(&session) {
            return Err(LoginError::SessionPurged);
        }
        let hash = kind.loader.session_hash(&*any);
        let fingerprint = hash.and_then(|hash| manager.keys.fingerprint(&kind.name, &hash));
        let Establish {
            fresh,
            remembered,
            forced,
            at,
            method,
            clears_session,
            replaces,
            family,
        } = what;
        let at = at.unwrap_or_else(|| manager.now());
        let clear = || {
            if clears_session {
                session::clear_but(&session, manager.kept_keys(self.index));
            }
        };
        let login = match &manager.records {
            None => {
                let client = client::client(&self.request, manager);
                let hash = fingerprint.as_deref();
                let entry = Entry {
                    authenticated_at: at,
                    fresh,
                    remembered,
                    forced,
                    client,
                    hash,
                };
                if kind.login_cookie.is_some() {
                    let id = kind.loader.id(&*any).ok_or(LoginError::UnfitId)?;
                    // It may be longer than a cookie can be, and then nothing is taken away.
                    self.carry(LoginCookieContent::Entry(entry.text(&id).into()))?;
                    clear();
                } else {
                    clear();
                    let written = kind
                        .loader
                        .write(&entry, &session, &kind.session_key, &*any);
                    written.map_err(|_| LoginError::UnfitId)?;
                }
                None
            }
            Some(records) => {
                let id = LoginToken::random().map_err(|_| LoginError::NoRandomness)?;
                let new = NewLogin {
                    kind,
                    user_id: kind.loader.id(&*any).ok_or(LoginError::UnfitId)?,
                    authenticated_at: at,
                    fresh,
                    forced,
                    method: method.name(),
                    hash: fingerprint,
                    family,
                    not_after: None,
                };
                // Boxed, as are others that only some log ins wait for: the rest need no room for them.
                let replacing = records.replace(replaces, &id, new, &self.request, manager);
                let login = Box::pin(replacing).await?;
                // Not before the store has done its part: one that fails takes nothing away.
                clear();
                if kind.login_cookie.is_some() {
                    Box::pin(self.give_up_carried(records, kind)).await;
                    self.carry(LoginCookieContent::Record(login))?;
                } else {
                    session::write_login_id(&session, &kind.session_key, &id, family)
                        .map_err(|_| LoginError::SessionPurged)?;
                }
                Some(login)
            }
        };
        session::forget_who_left(&session, &kind.session_key);
        session::renew(&session);
        fate::logged_in(&kind.session_key);
        self.state.act();
        let facts = LoginFacts {
            source: LoginSource::Session,
            authenticated_at: Some(at),
            fresh,
        };
        let authenticated = forced || kind.loader.is_authenticated(&*any);
        let known = RequestUser {
            user: any,
            facts,
            authenticated,
            forced,
            login,
        };
        self.state.set_who(self.index, Some(known.clone()));
        Ok(known)
    }

    /// Has the response set the login cookie.
    fn carry(&self, ticket: LoginCookieContent) -> Result<(), LoginError> {
        match self.state.set_login_cookie(self.index, ticket) {
            true => Ok(()),
            false => Err(LoginError::UnfitId),
        }
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
        self.meet(Requirement::LOGIN, Condition::ALWAYS).await
    }

    /// Decides inside the handler what `#[fresh_login_required]` decides before it.
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader.
    pub async fn require_fresh_login(&self) -> Result<CurrentUser<U>, actix_web::Error> {
        let requirement = Requirement {
            freshness: Freshness::Default,
            ..Requirement::LOGIN
        };
        self.meet(requirement, Condition::ALWAYS).await
    }

    /// Decides inside the handler what `#[login_required(role = ..)]` and its relatives decide before
    /// it: the user who meets the condition, or the refusal to return with `?`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{Result, delete, web};
    /// use login_runtime::{Auth, AuthUser, Condition, login_required};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64, #[auth(roles)] roles: Vec<String> }
    ///
    /// #[login_required]
    /// #[delete("/users/{id}")]
    /// async fn delete_user(auth: Auth<User>, id: web::Path<i64>) -> Result<String> {
    ///     let id = id.into_inner();
    ///     // Who is neither this user nor an admin gets 403.
    ///     let oneself = Condition::check(move |user: &User| user.id == id);
    ///     let user = auth.require(Condition::any([Condition::role("admin"), oneself])).await?;
    ///     Ok(format!("{id} deleted by {}", user.id))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The refusal, or the answer to a failing loader or permission check.
    pub async fn require(&self, condition: Condition) -> Result<CurrentUser<U>, actix_web::Error> {
        self.meet(Requirement::LOGIN, condition).await
    }

    async fn meet(
        &self,
        requirement: Requirement,
        condition: Condition,
    ) -> Result<CurrentUser<U>, actix_web::Error> {
        let find = current::find::<U>;
        let decision = match decide::check_user(&self.request, find, requirement, &condition) {
            GuardOutcome::Done(decision) => decision,
            GuardOutcome::Wait(deciding) => deciding.await,
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

    /// What a guard answers a user who may not do this.
    pub async fn forbidden(&self) -> Refusal {
        // Nobody is looked up for a refusal.
        let who = LoginState::peek(&self.request, &self.state.manager, self.index).flatten();
        let user = who.as_ref().zip(self.kind());
        let event = LoginEvent::Forbidden {
            user: user.map(|(known, kind)| EventUser::new(kind, &*known.user)),
            condition: None,
        };
        refusal::forbid(&self.request, self.manager(), &event, Reason::Asked)
            .done()
            .await
    }

    async fn refuse(&self, kind: RefusalKind) -> Refusal {
        refusal::refuse(
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
    /// Says nothing about who is logged in. With a login store it says that the token was made here; that
    /// its family goes on is known once somebody looked at the user.
    pub fn is_remembered(&self) -> bool {
        let Some(kind) = self
            .kind()
            .filter(|_| self.state.remember_counts(self.index))
        else {
            return false;
        };
        if self.manager().records.is_some() {
            return carried_family(&self.request, self.manager(), kind).is_some();
        }
        read_token(&self.request, self.manager(), kind, |_, _| ()).is_some()
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
        let location = escape::location(next.as_deref().unwrap_or(fallback));
        HttpResponse::SeeOther()
            .insert_header((header::LOCATION, location))
            .finish()
    }
}

/// What [`Auth::confirm_login`] brings. It names no proof, so that what is none is complained about once.
type Confirming<'a, U> = Pin<Box<dyn Future<Output = Result<CurrentUser<U>, LoginError>> + 'a>>;

impl<U: AuthUser> FromRequest for Auth<U> {
    type Error = SetupError;
    type Future = Ready<Result<Self, SetupError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
