//! Lists and ends logins: those of the current user, and those of any user.

use std::{
    any::TypeId,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_session::storage::SessionStore;
use derive_more::Debug;
use serde::{Serialize, Serializer};

use crate::{
    auth::{
        auth::Auth,
        safe_method::{Change, check_method_of_task},
        seen_client::Clients,
    },
    core::{AuthUser, FamilyKey, LoginKey, LoginOwner, LoginRecord, LoginSelector},
    error::{LoginError, StoreError},
    events::{EventLogin, EventUser, LoginEvent, LoginsEndReason},
    guard::FreshUser,
    http::Seen,
    manager::{LoginManager, Manager},
    measure::Operation,
    store::{LoginRef, LoginStore as _, Records},
    users::{AnyUser, UserType},
};

/// One of a user's logins, for a list of devices (ASVS 7.5.2).
///
/// As JSON, its times are seconds since the Unix epoch. It contains nothing that can be used to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LoginInfo {
    /// Names the login in a form; see [`Auth::end_login`]. It cannot be used to log in.
    pub key: LoginKey,
    /// Whether it is the login of this request.
    pub is_current: bool,
    /// The start of the client's `User-Agent` header. The client chooses this text: escape it.
    pub user_agent: String,
    /// The address from which the client connected.
    pub address: String,
    /// When the login was made.
    #[serde(serialize_with = "as_seconds")]
    pub created_at: SystemTime,
    /// When credentials were given.
    #[serde(serialize_with = "as_seconds")]
    pub authenticated_at: SystemTime,
    /// When it was last used, to within a tenth of the idle limit.
    #[serde(serialize_with = "as_seconds")]
    pub last_seen: SystemTime,
    /// How the login was made: `password`, `remember`, `credentials changed`, or the reason of a
    /// [`Verified::trust`](crate::Verified::trust).
    pub method: String,
    /// Whether the browser has a remember cookie.
    pub is_remembered: bool,
}

fn as_seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(since.as_secs())
}

impl LoginInfo {
    fn new(key: LoginKey, record: LoginRecord, current: Option<LoginKey>) -> Self {
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
        };
        Self {
            key,
            is_current: current == Some(key),
            created_at: time(record.created_at),
            authenticated_at: time(record.authenticated_at),
            last_seen: time(record.last_seen),
            is_remembered: record.family.is_some_and(|family| family.has_tokens()),
            user_agent: record.user_agent,
            address: record.address,
            method: record.method,
        }
    }
}

/// Which logins survive a change of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// The current login: for a user who changed the password.
    Current,
    /// None: for a user whose account was taken over.
    None,
}

impl<U: AuthUser> Auth<U> {
    /// All logins of the current user, newest first.
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::NoStore`] without a login store.
    pub async fn logins(&self) -> Result<Vec<LoginInfo>, LoginError> {
        let current = self.current().await?;
        let (records, now) = (current.records, self.manager().now());
        let logins = records.store.list(current.owner(), now).await?;
        Ok(logins
            .into_iter()
            .filter(|(_, record)| !records.limits.is_idle(record.last_seen, now))
            .map(|(key, record)| LoginInfo::new(key, record, Some(current.login.key)))
            .collect())
    }

    /// Ends one of the user's own logins, and forgets the browser it was made with. Returns whether
    /// there was such a login: the key of another user's login ends nothing.
    ///
    /// The login is over at its next request, on every node.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Result, post, web};
    /// use login_runtime::{Auth, AuthUser, fresh_login_required, guards::FreshUser, store::LoginKey};
    ///
    /// #[derive(AuthUser)]
    /// struct User { id: i64 }
    ///
    /// #[fresh_login_required]
    /// #[post("/devices/{key}/end")]
    /// async fn end(auth: Auth<User>, user: FreshUser<User>, key: web::Path<LoginKey>) -> Result<HttpResponse> {
    ///     auth.end_login(&user, *key).await?;
    ///     Ok(HttpResponse::NoContent().finish())
    /// }
    /// ```
    ///
    /// A handler that lets stale logins through has no proof, so it does not compile:
    ///
    /// ```compile_fail
    /// # use login_runtime::{Auth, AuthUser, CurrentUser, LoginError, login_required, store::LoginKey};
    /// # #[derive(AuthUser)]
    /// # struct User { id: i64 }
    /// #[login_required]
    /// async fn end(auth: Auth<User>, user: CurrentUser<User>, key: LoginKey) -> Result<String, LoginError> {
    ///     auth.end_login(&user, key).await?;
    ///     Ok("ended".to_owned())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::OtherUser`] if the proof is another user's;
    /// [`LoginError::NoStore`] without a login store; [`LoginError::SafeMethod`] for a GET request.
    ///
    /// # Security
    ///
    /// The proof keeps a person who finds an unlocked device from locking the user out of all others
    /// (ASVS 7.5.2).
    pub async fn end_login<const SECONDS: u64>(
        &self,
        proof: &FreshUser<U, SECONDS>,
        key: LoginKey,
    ) -> Result<bool, LoginError> {
        self.check_method(Change::END_LOGIN, false)?;
        let current = self.current_of(proof).await?;
        let records = current.records;
        let record = records.store.find(key, self.manager().now()).await?;
        let Some(record) = record.filter(|record| record.owner() == current.owner()) else {
            return Ok(false);
        };
        let family = record.family;
        let login = LoginRef { key, family };
        records.end(login).await?;
        if key == current.login.key {
            Seen::note_log_out();
        }
        let ended = self.manager().event_login(current.user_type, Some(login));
        self.report_ended(&current, LoginsEndReason::Chosen, ended, 1);
        Ok(true)
    }

    /// Ends all logins of the user except the current one, and forgets all other browsers. Returns how
    /// many logins ended.
    ///
    /// It takes the same proof as [`end_login`](Self::end_login).
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::OtherUser`] if the proof is another user's;
    /// [`LoginError::NoStore`] without a login store; [`LoginError::SafeMethod`] for a GET request.
    pub async fn end_other_logins<const SECONDS: u64>(
        &self,
        proof: &FreshUser<U, SECONDS>,
    ) -> Result<u64, LoginError> {
        self.check_method(Change::END_OTHERS, false)?;
        let current = self.current_of(proof).await?;
        let LoginRef { key, family } = current.login;
        let logins = self.end_logins(&current, Some(key), family).await?;
        self.report_ended(&current, LoginsEndReason::Others, None, logins);
        Ok(logins)
    }

    /// Call this when the user's password or another credential was changed (ASVS 7.4.3).
    ///
    /// `user` is the user with the new credentials. Store the user first, so that the session hash has
    /// changed even if this call fails. This ends all logins of the user and all remember tokens of the
    /// user's browsers. With [`Keep::Current`] the current login continues under a new id, and is no
    /// longer remembered.
    ///
    /// Without a login store, a new session hash ends all logins including the current one. Log the user
    /// in again in that case: `auth.log_in(Verified::trust(user, "new password"))`.
    ///
    /// `proof` shows that the user has given the old credentials lately. For a user who has forgotten them,
    /// and is not logged in, call [`Logins::end_all_of`] after the new ones are stored.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Result, post};
    /// use login_runtime::{Auth, AuthUser, guards::FreshUser, login_required, logins::Keep};
    ///
    /// #[derive(AuthUser, Clone)]
    /// struct User { id: i64, #[auth(session_hash)] password_hash: String }
    ///
    /// // A user who gave the password long ago is sent to the refresh view.
    /// #[login_required(fresh = "10m")]
    /// #[post("/password")]
    /// async fn change(auth: Auth<User>, proof: FreshUser<User>, new: String) -> Result<HttpResponse> {
    ///     let mut user = User::clone(&proof);
    ///     user.password_hash = hash(&new);
    ///     // .. store the user, and then:
    ///     auth.credentials_changed(&proof, user, Keep::Current).await?;
    ///     Ok(HttpResponse::NoContent().finish())
    /// }
    /// # fn hash(password: &str) -> String { password.to_owned() }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`] if the client is not logged in; [`LoginError::OtherUser`] if `user`
    /// or the proof is not the current user's; [`LoginError::NoStore`] without a login store;
    /// [`LoginError::SafeMethod`] for a GET request.
    pub async fn credentials_changed<const SECONDS: u64>(
        &self,
        proof: &FreshUser<U, SECONDS>,
        user: U,
        keep: Keep,
    ) -> Result<u64, LoginError> {
        self.check_method(Change::CREDENTIALS, false)?;
        let current = self.current_of(proof).await?;
        if current.user_type.loader.id(&user).as_ref() != Some(&current.user_id) {
            return Err(LoginError::OtherUser);
        }
        let login = current.login;
        let kept = (keep == Keep::Current).then_some(login.key);
        // The family ends, too: the browser's tokens from before the change are no longer valid.
        let ended = self.end_logins(&current, kept, None).await?;
        let (manager, user_type) = (self.manager(), current.user_type);
        // Before the login continues: a client that hangs up meanwhile does not suppress the event.
        let event = LoginEvent::CredentialsChanged {
            user: EventUser::new(user_type, &user),
            logins: ended,
            login: manager.event_login(user_type, Some(login)),
            continues: manager.event_login(user_type, kept.map(|_| login.without_tokens())),
        };
        manager.events.emit(&event, &self.request);
        if let Some(clients) = Clients::of(manager, &user_type.name, &current.user_id) {
            let but = (keep == Keep::Current).then_some(&self.request);
            Box::pin(clients.forget(but)).await;
        }
        match keep {
            Keep::Current => self.continue_as(Rc::new(user), login).await?,
            Keep::None => self.leave(false).await?,
        }
        Ok(ended)
    }

    /// Reports that the user has ended logins.
    fn report_ended(
        &self,
        current: &Current<'_>,
        reason: LoginsEndReason,
        ended: Option<EventLogin<'_>>,
        logins: u64,
    ) {
        let (manager, user_type) = (self.manager(), current.user_type);
        let event = LoginEvent::LoginsEnded {
            reason,
            user: Some(EventUser::new(user_type, &*current.user)),
            login: manager.event_login(user_type, Some(current.login)),
            ended,
            logins,
        };
        manager.events.emit(&event, &self.request);
    }

    /// Ends all logins of the current user except these. Returns how many.
    async fn end_logins(
        &self,
        current: &Current<'_>,
        but: Option<LoginKey>,
        but_family: Option<FamilyKey>,
    ) -> Result<u64, LoginError> {
        let selected = LoginSelector::Of {
            owner: current.owner(),
            but,
            but_family,
        };
        Ok(current.records.store.end_many(selected).await?)
    }

    /// The same, if the proof is of the current user: the request may have logged another one in.
    async fn current_of<const SECONDS: u64>(
        &self,
        proof: &FreshUser<U, SECONDS>,
    ) -> Result<Current<'_>, LoginError> {
        let current = self.current().await?;
        let proven: &U = proof;
        if current.user_type.loader.id(proven).as_ref() != Some(&current.user_id) {
            return Err(LoginError::OtherUser);
        }
        Ok(current)
    }

    /// The current user, and the record of the login.
    async fn current(&self) -> Result<Current<'_>, LoginError> {
        let records = self.manager().records.as_deref();
        let records = records.ok_or(LoginError::NoStore);
        let records = records.inspect_err(LoginError::log)?;
        let current = self.state.user(&self.request, self.index).await?;
        let current = current.ok_or(LoginError::NotLoggedIn)?;
        let login = current.login.ok_or(LoginError::NotLoggedIn)?;
        let user_type = self.user_type()?;
        let user_id = user_type.loader.id(&*current.user);
        Ok(Current {
            records,
            login,
            user_type,
            user_id: user_id.ok_or(LoginError::UnfitId)?,
            user: current.user,
        })
    }
}

/// The current user of a request, and the record of the login.
struct Current<'a> {
    records: &'a Records,
    login: LoginRef,
    user_type: &'a UserType,
    user: AnyUser,
    user_id: String,
}

impl Current<'_> {
    fn owner(&self) -> LoginOwner<'_> {
        LoginOwner {
            user_type: &self.user_type.name,
            user_id: &self.user_id,
        }
    }
}

/// The logins of all users, outside of any request: for administrators and for maintenance.
///
/// Returned by [`LoginManager::logins`].
///
/// # Security
///
/// Its methods take no proof, since a command-line tool or a job has none. A handler that calls them needs a
/// guard for administrators that asks for a fresh login: `#[fresh_login_required(role = "admin")]`. For a
/// user's own logins, take [`Auth::end_login`] and [`Auth::end_other_logins`].
#[derive(Clone, Debug)]
#[debug("Logins")]
pub struct Logins {
    manager: Arc<Manager>,
    records: Arc<Records>,
}

impl<S: SessionStore> LoginManager<S> {
    /// The logins of all users; `None` without a login store.
    pub fn logins(&self) -> Option<Logins> {
        let records = self.manager.records.clone()?;
        let manager = Arc::clone(&self.manager);
        Some(Logins { manager, records })
    }
}

impl Logins {
    /// The logins of a user, newest first.
    ///
    /// # Errors
    ///
    /// The store's error.
    pub async fn of<U: AuthUser>(&self, id: &U::Id) -> Result<Vec<LoginInfo>, StoreError> {
        let (user_type, user_id) = self.owner::<U>(id)?;
        let (user_type, user_id) = (&*user_type, &*user_id);
        let owner = LoginOwner { user_type, user_id };
        let logins = self.records.store.list(owner, self.manager.now()).await?;
        let info = |(key, record)| LoginInfo::new(key, record, None);
        Ok(logins.into_iter().map(info).collect())
    }

    /// Ends one login, and forgets the browser it was made with. Returns whether there was such a login.
    /// The key of a login of another application, which shares the store, ends nothing.
    ///
    /// # Errors
    ///
    /// [`LoginError::Store`]; [`LoginError::SafeMethod`] in a handler of a GET request.
    pub async fn end(&self, key: LoginKey) -> Result<bool, LoginError> {
        check_method_of_task(Change::END, &self.manager)?;
        let found = self.records.store.find(key, self.manager.now()).await?;
        // The store may have logins of other applications, too.
        let is_ours = |record: &LoginRecord| {
            let mut users = self.manager.users.iter();
            users.any(|user_type| user_type.name == record.user_type)
        };
        let Some(record) = found.filter(is_ours) else {
            return Ok(false);
        };
        let family = record.family;
        let login = LoginRef { key, family };
        self.records.end(login).await?;
        self.revoked(Some((&record.user_type, &record.user_id)), Some(login), 1);
        Ok(true)
    }

    /// Reports logins that have ended.
    fn revoked(&self, owner: Option<(&str, &str)>, login: Option<LoginRef>, logins: u64) {
        let login = owner
            .zip(login)
            .map(|((user_type, _), login)| EventLogin::new(&self.manager.keys, user_type, login));
        self.manager
            .events
            .emit_outside(&LoginEvent::LoginsRevoked {
                user_type: owner.map(|(user_type, _)| user_type),
                user_id: owner.map(|(_, user_id)| user_id),
                login,
                logins,
            });
    }

    /// Ends all logins of a user, and forgets all the user's browsers. Returns how many logins ended.
    ///
    /// # Errors
    ///
    /// [`LoginError::Store`]; [`LoginError::SafeMethod`] in a handler of a GET request.
    pub async fn end_all_of<U: AuthUser>(&self, id: &U::Id) -> Result<u64, LoginError> {
        check_method_of_task(Change::END_ALL_OF, &self.manager)?;
        let (user_type, user_id) = self.owner::<U>(id)?;
        let (user_type, user_id) = (&*user_type, &*user_id);
        let all = LoginSelector::Of {
            owner: LoginOwner { user_type, user_id },
            but: None,
            but_family: None,
        };
        let ended = self.records.store.end_many(all).await?;
        self.revoked(Some((user_type, user_id)), None, ended);
        if let Some(clients) = Clients::of(&self.manager, user_type, user_id) {
            clients.forget(None).await;
        }
        Ok(ended)
    }

    /// Ends all logins of all users, and forgets all browsers. Returns how many logins ended.
    ///
    /// This includes the logins of other applications that share the login store.
    ///
    /// # Errors
    ///
    /// [`LoginError::Store`]; [`LoginError::SafeMethod`] in a handler of a GET request.
    pub async fn end_all(&self) -> Result<u64, LoginError> {
        check_method_of_task(Change::END_ALL, &self.manager)?;
        static END_ALL: Operation = Operation::new("end_many");
        let store = &self.records.store;
        let ended = store
            .call_long(&END_ALL, |store| store.end_many(LoginSelector::All))
            .await?;
        self.revoked(None, None, ended);
        Ok(ended)
    }

    /// Deletes up to about `batch` rows that have been over for an hour. Returns how many; if it is
    /// `batch`, call again.
    ///
    /// This only frees space: logins are over without it, too. Run it regularly, in batches so small
    /// that log ins do not wait. The hour is for nodes whose clocks differ: none deletes what is still
    /// valid for another.
    ///
    /// Rows are over by the limits of this manager. Applications that share a login store need the same
    /// idle limit, or the shorter one counts for all of them.
    ///
    /// # Errors
    ///
    /// The store's error.
    pub async fn purge(&self, batch: u32) -> Result<u64, StoreError> {
        self.records.purge(self.manager.now(), batch).await
    }

    /// The name of the user type, and the id as JSON.
    fn owner<U: AuthUser>(&self, id: &U::Id) -> Result<(String, String), StoreError> {
        let index = self
            .manager
            .index(TypeId::of::<U>(), std::any::type_name::<U>)
            .map_err(StoreError::new)?;
        let user_type = self.manager.users.get(index);
        let name = user_type.map(|user_type| user_type.name.clone());
        let user_id = serde_json::to_string(id).map_err(StoreError::new)?;
        Ok((name.unwrap_or_default(), user_id))
    }
}
