//! Log in.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use crate::{
    auth::{auth::Auth, establish::Establish},
    core::{AuthUser, FamilyKey, LoginKey, LoginSelector, MAX_COOKIE_AGE},
    error::LoginError,
    events::{EventUser, LoginEvent},
    guard::CurrentUser,
    http::cookies,
    request::{carries_token_of_another, remember_cookie},
    session,
    store::{LoginRef, Records, Replaced},
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
    pub fn log_in(&self, verified: impl IntoVerified<U>) -> LogIn<'_, U> {
        LogIn {
            auth: self,
            verified: verified.into_verified(),
            remember: Remember::No,
            fresh: true,
            allow_inactive: false,
            at: None,
        }
    }
}

/// A log in about to happen; made by [`Auth::log_in`], done by `.await`.
#[must_use = "nobody is logged in before this is awaited"]
pub struct LogIn<'a, U> {
    pub(crate) auth: &'a Auth<U>,
    pub(crate) verified: Verified<U>,
    pub(crate) remember: Remember,
    pub(crate) fresh: bool,
    pub(crate) allow_inactive: bool,
    /// When credentials were given, if not now.
    pub(crate) at: Option<i64>,
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
        self.allow_inactive = true;
        self
    }

    /// Makes the login as old as if credentials had been given then.
    #[cfg(feature = "test-util")]
    pub(crate) fn at(mut self, at: Option<i64>) -> Self {
        self.at = at;
        self
    }

    pub(crate) async fn run(self) -> Result<CurrentUser<U>, LoginError> {
        let Self {
            auth,
            verified,
            remember,
            fresh,
            allow_inactive,
            at,
        } = self;
        let (user, method) = verified.into_parts();
        let (manager, request) = (auth.manager(), &auth.request);
        let kind = &**auth.kind().ok_or(LoginError::UnfitId)?;
        let is_authenticated = kind.loader.is_authenticated(&*user);
        // Forcing is for those who need it; for the others it would outlive their deactivation.
        let allow_inactive = allow_inactive && !is_authenticated;
        if !allow_inactive && !is_authenticated {
            manager.events.emit(
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
            Remember::AsConfigured => Some(manager.remember.duration),
            Remember::For(duration) => Some(duration.min(MAX_COOKIE_AGE)),
        };
        let session = session::of(request);
        if !session::takes(&session) {
            return Err(LoginError::SessionPurged);
        }
        // Everything that can fail comes before anything is written into the session.
        let hash = || {
            let hash = kind.loader.session_hash(&*user);
            hash.and_then(|hash| manager.keys.fingerprint(&kind.name, &hash))
        };
        let (previous, cookie, family) = match &manager.records {
            None => {
                let cookie = match remembering {
                    None => None,
                    Some(age) => Some(remember_cookie(manager, kind, hash(), &id, at, age)?),
                };
                (auth.previous_in_entry(kind, &id), cookie, None)
            }
            Some(records) => {
                let previous = Box::pin(auth.previous_in_records(records, kind, &id)).await?;
                match remembering {
                    None => {
                        let family = previous.keeps_family;
                        (previous, None, family)
                    }
                    Some(age) => {
                        let now = manager.now();
                        let at = at.unwrap_or(now);
                        let inserting =
                            records.insert_family(&kind.name, &id, at, now, age, hash());
                        let (key, family) = Box::pin(inserting).await?;
                        let value = manager.keys.family_token(
                            &kind.name,
                            key,
                            &family.seed,
                            family.generation,
                        );
                        let cookie = value.and_then(|value| kind.remember.set(&value, age));
                        (
                            previous,
                            Some(cookie.ok_or(LoginError::UnfitId)?),
                            Some(key),
                        )
                    }
                }
            }
        };
        let remembered = cookie.is_some();
        let what = Establish {
            fresh,
            remembered: remembered || (previous.is_remembered && !previous.is_other_user),
            allow_inactive,
            at,
            method,
            clears_session: previous.is_other_user
                || session::is_left_by_another(
                    &session,
                    &kind.session_key,
                    &id,
                    manager.other_keys(auth.index),
                )
                || kind.login_cookie.is_some() && session::keeps_login(&session),
            replaces: Replaced {
                login: previous.login,
                is_same_user: !previous.is_other_user,
                families: previous
                    .families
                    .into_iter()
                    .filter(|old| Some(*old) != family)
                    .collect(),
                goes_on: false,
            },
            family,
        };
        let known = match auth.establish(kind, &user, what).await {
            Ok(known) => known,
            Err(error) => {
                // Nobody gets the token of a family that was made for nothing.
                if let Some((records, family)) =
                    manager.records.as_ref().zip(family.filter(|_| remembered))
                {
                    let ending = records
                        .store
                        .call(|store| store.end_many(LoginSelector::Family(family)));
                    let _ = Box::pin(ending).await;
                }
                return Err(error);
            }
        };
        match cookie {
            Some(cookie) => auth.state.set_remember_cookie(auth.index, cookie),
            // A token of somebody else would bring that user back when the session ends.
            None if previous.drops_cookie => {
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
        manager.events.emit(&event, request);
        Ok(CurrentUser::new(user, known.facts, manager))
    }
}

/// What a log in finds in its browser.
#[derive(Default)]
struct Previous {
    is_other_user: bool,
    is_remembered: bool,
    /// Whether the remember cookie is somebody else's, or worthless.
    drops_cookie: bool,
    login: Option<LoginKey>,
    /// The families of which the browser has, or had, a token.
    families: Vec<FamilyKey>,
    /// The one among them that is good for the user who logs in.
    keeps_family: Option<FamilyKey>,
}

impl<U: AuthUser> Auth<U> {
    /// What the login at hand and the remember cookie say of the user before.
    fn previous_in_entry(&self, kind: &UserType, id: &str) -> Previous {
        let entry = self.carried_entry(|entry, previous| (previous != id, entry.remembered));
        let (is_other_user, is_remembered) = entry.unwrap_or_default();
        let drops_cookie = is_other_user && is_remembered
            || carries_token_of_another(&self.request, self.manager(), kind, id);
        Previous {
            is_other_user,
            is_remembered,
            drops_cookie,
            ..Previous::default()
        }
    }

    /// What the records say of the user before.
    async fn previous_in_records(
        &self,
        records: &Records,
        kind: &UserType,
        id: &str,
    ) -> Result<Previous, LoginError> {
        let now = self.manager().now();
        let mut previous = Previous::default();
        if let Some(LoginRef { key, .. }) = self.carried_login() {
            if let Some(record) = records.find(key, now).await? {
                previous.login = Some(key);
                previous.is_other_user = record.user_id != id;
                let tokens = record.family.filter(FamilyKey::has_tokens);
                previous.families.extend(tokens);
                previous.keeps_family = tokens.filter(|_| !previous.is_other_user);
            } else {
                // Ended: nobody knows whose data the session holds.
                previous.is_other_user = true;
            }
        }
        if let Some((family, row)) = self.genuine_family(records, kind).await? {
            if !previous.families.contains(&family) {
                previous.families.push(family);
            }
            if row.user_id == id {
                previous.keeps_family = Some(family);
            }
        }
        let carries = cookies::carries(&self.request, &kind.remember.name);
        previous.drops_cookie =
            (carries || !previous.families.is_empty()) && previous.keeps_family.is_none();
        Ok(previous)
    }
}

impl<'a, U: AuthUser> IntoFuture for LogIn<'a, U> {
    type Output = Result<CurrentUser<U>, LoginError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
