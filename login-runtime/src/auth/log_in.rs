//! Log in.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

#[cfg(feature = "tracing-actix-web")]
use crate::request::root_span;
use crate::{
    auth::{auth::Auth, establish::Establish, safe_method::Change, seen_client::Clients},
    core::{AuthUser, EndReason, FIRST_GENERATION, FamilyKey, LoginOwner},
    error::LoginError,
    events::{EventUser, LogInRefusal, LoginEvent},
    guard::CurrentUser,
    http::SetCookie,
    request::{
        credential,
        remember_cookie::{self, carries_token_of_another, end_family, family_cookie},
    },
    session,
    store::{LoginRef, LoginStore as _, Records, Replaced},
    users::{IntoVerified, UserType, Verified},
};

/// Whether and how long to remember.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remember {
    No,
    AsConfigured,
    For(Duration),
}

impl<U: AuthUser> Auth<U> {
    /// Logs a user in for the rest of this session, once it is awaited.
    ///
    /// The session gets a new id, so an id planted before is worthless (RFC 6265 §8.4, ASVS 7.2.4). It
    /// keeps the data of an anonymous visitor and loses the data of another user. The user is the
    /// current user for the rest of the request.
    ///
    /// # Errors
    ///
    /// [`LoginError::Inactive`] if the user may not log in, [`LoginError::SafeMethod`] for a GET request, or
    /// another [`LoginError`]. Nothing is written then.
    ///
    /// # Security
    ///
    /// Takes a [`Verified`] user, as a password verifier returns it, and never a bare user.
    ///
    /// A GET request logs nobody in, because any page of another site could make a browser send it, and so log
    /// its visitors in as the attacker. See [`Verified::state_checked`] for callbacks.
    pub fn log_in(&self, verified: impl IntoVerified<U>) -> LogIn<'_, U> {
        LogIn(Progress::Asked(Settings {
            auth: self,
            verified: verified.into_verified(),
            remember: Remember::No,
            fresh: true,
            allow_inactive: false,
            at: None,
        }))
    }
}

/// A log in that happens when it is awaited; returned by [`Auth::log_in`].
#[must_use = "the user is logged in when this is awaited"]
pub struct LogIn<'a, U>(Progress<'a, U>);

/// It is a future, and not only turned into one, so that the compiler suggests `.await` to a caller who writes
/// `?` in its place.
enum Progress<'a, U> {
    /// Nothing has happened yet.
    Asked(Settings<'a, U>),
    Running(Running<'a, U>),
    Done,
}

type Running<'a, U> = Pin<Box<dyn Future<Output = Result<CurrentUser<U>, LoginError>> + 'a>>;

/// The log in that was asked for.
struct Settings<'a, U> {
    auth: &'a Auth<U>,
    verified: Verified<U>,
    remember: Remember,
    fresh: bool,
    allow_inactive: bool,
    /// When credentials were given, if not now.
    at: Option<i64>,
}

impl<U> fmt::Debug for LogIn<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn").finish_non_exhaustive()
    }
}

impl<U: AuthUser> LogIn<'_, U> {
    fn set(mut self, change: impl FnOnce(&mut Settings<'_, U>)) -> Self {
        if let Progress::Asked(settings) = &mut self.0 {
            change(settings);
        }
        self
    }

    /// Whether to remember the login after the session ends, for the time set in the manager.
    ///
    /// The browser gets a signed cookie that can restore the login; a restored login is stale.
    pub fn remember(self, remember: bool) -> Self {
        let remember = if remember {
            Remember::AsConfigured
        } else {
            Remember::No
        };
        self.set(|settings| settings.remember = remember)
    }

    /// Remembers the login for this long, and at most for as long as
    /// [`RememberCookie::at_most`](crate::RememberCookie::at_most) says, or for 400 days, as browsers do.
    pub fn remember_for(self, duration: Duration) -> Self {
        self.set(|settings| settings.remember = Remember::For(duration))
    }

    /// Makes the login stale from the start.
    pub fn stale(self) -> Self {
        self.set(|settings| settings.fresh = false)
    }

    /// Logs the user in even if it is inactive, and makes guards let it through.
    ///
    /// # Security
    ///
    /// Deactivating the user does not end such a login.
    pub fn danger_even_if_inactive(self) -> Self {
        self.set(|settings| settings.allow_inactive = true)
    }

    /// Sets the time at which credentials were given.
    #[cfg(feature = "test-util")]
    pub(crate) fn at(self, at: Option<i64>) -> Self {
        self.set(|settings| settings.at = at)
    }
}

impl<U: AuthUser> Settings<'_, U> {
    async fn run(self) -> Result<CurrentUser<U>, LoginError> {
        let Self {
            auth,
            verified,
            remember,
            fresh,
            allow_inactive,
            at,
        } = self;
        auth.check_method(Change::LOG_IN, verified.is_state_checked())?;
        let (user, method) = verified.into_parts();
        let (manager, request, state) = (auth.manager(), &auth.request, &auth.state);
        let user_type = auth.user_type()?;
        let is_authenticated = user_type.loader.is_authenticated(&*user);
        if !allow_inactive && !is_authenticated {
            auth.report_refused(user_type, &*user, &LoginError::Inactive);
            return Err(LoginError::Inactive);
        }
        let id = user_type.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        let session = session::of(request);
        if session::is_purged(&session) {
            return Err(LoginError::SessionPurged);
        }
        // Everything that can fail comes before anything is written into the session.
        let previous = match &manager.records {
            None => auth.previous_in_entry(user_type, &id),
            Some(records) => Box::pin(auth.previous_in_records(records, user_type, &id)).await?,
        };
        let age = match remember {
            Remember::No => None,
            Remember::AsConfigured => Some(manager.remembering.lifetime(None)),
            Remember::For(asked) => Some(manager.remembering.lifetime(Some(asked))),
        };
        let (cookie, family) = match age {
            None => (None, previous.keeps_family),
            Some(age) => {
                let hash = credential::fingerprint(manager, user_type, &*user);
                let at = at.unwrap_or_else(|| manager.now());
                let making = auth.new_remember_cookie(user_type, &id, hash, at, age);
                let (cookie, family) = Box::pin(making).await?;
                (Some(cookie), family)
            }
        };
        let remembered = cookie.is_some();
        let replaced = previous.ended();
        let is_own =
            previous.keeps_family.is_some() || previous.login.is_some() && !previous.is_other_user;
        let mut families = previous.families;
        families.retain(|old| Some(*old) != family);
        let login = Establish {
            fresh,
            remembered: remembered || (previous.is_remembered && !previous.is_other_user),
            // An active user does not need it, and it would allow the login after deactivation.
            allow_inactive: allow_inactive && !is_authenticated,
            at,
            method,
            clears_session: previous.is_other_user
                || state.is_session_of_another(&session, auth.index, &id),
            replaces: Replaced {
                login: previous.login.map(|login| login.key),
                is_same_user: !previous.is_other_user,
                families,
                goes_on: false,
            },
            family,
            not_after: None,
            sends_token: family.filter(|_| remembered).map(|_| FIRST_GENERATION),
        };
        let established = match auth.establish(user_type, &user, login).await {
            Ok(established) => established,
            Err(error) => {
                auth.report_refused(user_type, &*user, &error);
                // No browser gets the token of the new family.
                let new_family = family.filter(|_| remembered);
                if let Some((records, family)) = manager.records.as_ref().zip(new_family) {
                    let _ = Box::pin(end_family(records, family)).await;
                }
                return Err(error);
            }
        };
        #[cfg(feature = "tracing-actix-web")]
        root_span::record(request, manager, user_type, &established);
        if let Some((user_id, login)) = &replaced {
            let event = LoginEvent::LoginEnded {
                reason: EndReason::Replaced,
                user_type: &user_type.name,
                user_id: Some(user_id),
                login: manager.event_login(user_type, *login),
            };
            manager.events.emit(&event, request);
        }
        match cookie {
            Some(cookie) => state.set_remember_cookie(auth.index, cookie),
            // The token of another user would restore that user's login when the session ends.
            None if previous.drops_cookie => state.clear_remember_cookie(auth.index),
            None => {}
        }
        let new_client = match Clients::of(manager, &user_type.name, &id) {
            Some(clients) => Box::pin(clients.note(request, is_own)).await,
            None => None,
        };
        let event = LoginEvent::LoggedIn {
            user: EventUser::new(user_type, &*user),
            login: manager.event_login(user_type, established.login),
            method,
            remembered,
            new_client,
        };
        manager.events.emit(&event, request);
        if let Some(records) = manager.records.as_ref().filter(|_| remembered) {
            let (user_type, user_id) = (&*user_type.name, &*id);
            let owner = LoginOwner { user_type, user_id };
            Box::pin(records.limit_families(owner)).await;
        }
        Ok(CurrentUser::new(user, established.facts, manager))
    }
}

/// The login that a browser had before a log in.
#[derive(Default)]
struct Previous {
    is_other_user: bool,
    is_remembered: bool,
    /// Whether the remember cookie is another user's, or invalid.
    drops_cookie: bool,
    login: Option<LoginRef>,
    /// The id, as JSON, of its user. `None` if there was no login that counts.
    user_id: Option<String>,
    /// The families whose tokens the browser has, or had.
    families: Vec<FamilyKey>,
    /// The family among them that is valid for the user who logs in.
    keeps_family: Option<FamilyKey>,
}

impl Previous {
    /// The user and the name of the login that ends, if there is one.
    fn ended(&self) -> Option<(String, Option<LoginRef>)> {
        Some((self.user_id.clone()?, self.login))
    }
}

impl<U: AuthUser> Auth<U> {
    /// Reports that a log in was refused, if the error is a decision about the user.
    fn report_refused(&self, user_type: &UserType, user: &U, error: &LoginError) {
        if let Some(reason) = LogInRefusal::of(error) {
            let user = EventUser::new(user_type, user);
            let event = LoginEvent::LogInRefused { user, reason };
            self.manager().events.emit(&event, &self.request);
        }
    }

    /// The previous login according to the entry and the remember cookie.
    fn previous_in_entry(&self, user_type: &UserType, id: &str) -> Previous {
        let entry = self.carried_entry(|entry| (entry.id.to_owned(), entry.facts.remembered));
        let (user_id, is_remembered) = entry.unzip();
        let is_other_user = user_id.as_ref().is_some_and(|other| other != id);
        let is_remembered = is_remembered.unwrap_or_default();
        let drops_cookie = is_other_user && is_remembered
            || carries_token_of_another(&self.request, self.manager(), user_type, id);
        Previous {
            is_other_user,
            is_remembered,
            drops_cookie,
            user_id,
            ..Previous::default()
        }
    }

    /// The previous login according to the records.
    async fn previous_in_records(
        &self,
        records: &Records,
        user_type: &UserType,
        id: &str,
    ) -> Result<Previous, LoginError> {
        let now = self.manager().now();
        let mut previous = Previous::default();
        if let Some(LoginRef { key, .. }) = self.state.login(&self.request, self.index) {
            if let Some(record) = records.store.find(key, now).await? {
                let family = record.family;
                previous.login = Some(LoginRef { key, family });
                let owner = LoginOwner {
                    user_type: &user_type.name,
                    user_id: id,
                };
                previous.is_other_user = record.owner() != owner;
                let tokens = record.family.filter(FamilyKey::has_tokens);
                previous.families.extend(tokens);
                previous.keeps_family = tokens.filter(|_| !previous.is_other_user);
                previous.user_id = Some(record.user_id);
            } else {
                // The login has ended, so the owner of the session's data is unknown.
                previous.is_other_user = true;
            }
        }
        for (family, row) in self.genuine_families(records, user_type).await? {
            if !previous.families.contains(&family) {
                previous.families.push(family);
            }
            if row.user_id == id {
                previous.keeps_family = Some(family);
            }
        }
        let has_tokens =
            remember_cookie::is_carried(&self.request, user_type) || !previous.families.is_empty();
        previous.drops_cookie = has_tokens && previous.keeps_family.is_none();
        Ok(previous)
    }

    /// Makes a remember cookie, and the family of its token if there is a login store.
    async fn new_remember_cookie(
        &self,
        user_type: &UserType,
        id: &str,
        hash: Option<String>,
        at: i64,
        age: Duration,
    ) -> Result<(SetCookie, Option<FamilyKey>), LoginError> {
        let manager = self.manager();
        let Some(records) = &manager.records else {
            let cookie = remember_cookie::new_token(manager, user_type, hash, id, at, age)?;
            return Ok((cookie, None));
        };
        let (name, now) = (&user_type.name, manager.now());
        let (key, family) = records.insert_family(name, id, at, now, age, hash).await?;
        let cookie = family_cookie(manager, user_type, key, &family, family.lifetime);
        Ok((cookie.ok_or(LoginError::UnfitId)?, Some(key)))
    }
}

impl<U: AuthUser> Future for LogIn<'_, U> {
    type Output = Result<CurrentUser<U>, LoginError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let progress = &mut self.get_mut().0;
        if let Progress::Asked(_) = progress
            && let Progress::Asked(settings) = mem::replace(progress, Progress::Done)
        {
            *progress = Progress::Running(Box::pin(settings.run()));
        }
        match progress {
            Progress::Running(running) => {
                let done = ready!(running.as_mut().poll(cx)).inspect_err(LoginError::log);
                *progress = Progress::Done;
                Poll::Ready(done)
            }
            Progress::Asked(_) | Progress::Done => Poll::Pending,
        }
    }
}
