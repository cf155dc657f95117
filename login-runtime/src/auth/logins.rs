//! Seeing and ending logins: those of the user at hand, and those of anybody.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_session::storage::SessionStore;
use derive_more::Debug;

use crate::{
    auth::auth::Auth,
    core::{AuthUser, LoginKey, LoginOwner, LoginRecord, LoginSelector},
    error::{LoginError, StoreError},
    events::{EventUser, LoginEvent},
    manager::{LoginManager, Manager},
    store::{LoginRef, Records},
    users::AnyUser,
};

/// One of a user's logins, for a list of devices (ASVS 7.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginInfo {
    /// Names the login in a form; see [`Auth::end_login`]. It logs nobody in.
    pub key: LoginKey,
    /// Whether it is the login of this very request.
    pub is_current: bool,
    /// What the client called itself, cut short. The client's own text: escape it.
    pub user_agent: String,
    /// Where the client connected from.
    pub address: String,
    /// When the login was made.
    pub created_at: SystemTime,
    /// When credentials were given.
    pub authenticated_at: SystemTime,
    /// When it was last used, to within a tenth of the idle limit.
    pub last_seen: SystemTime,
    /// How the login came about: `password`, `remember`, `credentials changed`, or the reason of a
    /// [`Verified::trust`](crate::Verified::trust).
    pub method: String,
    /// Whether the browser has a remember cookie.
    pub is_remembered: bool,
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
    /// The one at hand: for a user who changed the password.
    Current,
    /// None: for a user whose account was taken over.
    None,
}

impl<U: AuthUser> Auth<U> {
    /// All logins of the user at hand, newest first.
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::NoStore`] without a login store.
    pub async fn logins(&self) -> Result<Vec<LoginInfo>, LoginError> {
        let at_hand = self.at_hand().await?;
        let now = self.manager().now();
        let owner = at_hand.owner(self);
        let logins = at_hand
            .records
            .store
            .call(|store| store.list(owner, now))
            .await?;
        let idle = |record: &LoginRecord| at_hand.records.limits.is_idle(record.last_seen, now);
        Ok(logins
            .into_iter()
            .filter(|(_, record)| !idle(record))
            .map(|(key, record)| LoginInfo::new(key, record, Some(at_hand.login.key)))
            .collect())
    }

    /// Ends one of the user's own logins, and forgets the browser it was made with. Whether there was
    /// such a login: the key of somebody else's ends nothing.
    ///
    /// It is over at its next request, on every node. Ask for a fresh login before (ASVS 7.5.2).
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::NoStore`] without a login store.
    pub async fn end_login(&self, key: LoginKey) -> Result<bool, LoginError> {
        let at_hand = self.at_hand().await?;
        let record = at_hand.records.find(key, self.manager().now()).await?;
        let Some(record) = record.filter(|record| record.owner() == at_hand.owner(self)) else {
            return Ok(false);
        };
        at_hand
            .records
            .end(LoginRef {
                key,
                family: record.family,
            })
            .await?;
        Ok(true)
    }

    /// Ends all logins of the user but the one at hand, and forgets all other browsers. How many
    /// logins ended.
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`]; [`LoginError::NoStore`] without a login store.
    pub async fn end_other_logins(&self) -> Result<u64, LoginError> {
        let at_hand = self.at_hand().await?;
        let LoginRef { key, family } = at_hand.login;
        let which = LoginSelector::Of {
            owner: at_hand.owner(self),
            but: Some(key),
            but_family: family,
        };
        let ended = at_hand
            .records
            .store
            .call(|store| store.end_many(which))
            .await?;
        self.manager()
            .events
            .emit(&self.ended_event(&at_hand, ended), self.request());
        Ok(ended)
    }

    /// To be called when the user's password, or another credential, was changed (ASVS 7.4.3).
    ///
    /// `user` is the user with the new credentials, which are stored before: if this fails, the session
    /// hash has changed all the same. All logins and remembered browsers of the user end; with
    /// [`Keep::Current`] the login at hand goes on, under a new id, and is not remembered any longer.
    ///
    /// Without a login store a new session hash ends all logins, the one at hand too; log the user in
    /// again then: `auth.log_in(Verified::trust(user, "new password"))`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actix_web::{HttpResponse, Result, post};
    /// use login_runtime::{Auth, AuthUser, FreshUser, Keep, login_required};
    ///
    /// #[derive(AuthUser, Clone)]
    /// struct User { id: i64, #[auth(session_hash)] password_hash: String }
    ///
    /// // Who is logged in, and gave the password long ago, is sent to the refresh view.
    /// #[login_required(fresh = "10m")]
    /// #[post("/password")]
    /// async fn change(auth: Auth<User>, user: FreshUser<User>, new: String) -> Result<HttpResponse> {
    ///     let mut user = User::clone(&user);
    ///     user.password_hash = hash(&new);
    ///     // .. store the user, and then:
    ///     auth.credentials_changed(user, Keep::Current).await?;
    ///     Ok(HttpResponse::NoContent().finish())
    /// }
    /// # fn hash(password: &str) -> String { password.to_owned() }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError::NotLoggedIn`], [`LoginError::OtherUser`] if `user` is not the one at hand;
    /// [`LoginError::NoStore`] without a login store.
    pub async fn credentials_changed(&self, user: U, keep: Keep) -> Result<u64, LoginError> {
        let at_hand = self.at_hand().await?;
        let user = Rc::new(user);
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        if kind.loader.id(&*user).as_ref() != Some(&at_hand.user_id) {
            return Err(LoginError::OtherUser);
        }
        let owner = at_hand.owner(self);
        let but = match keep {
            Keep::Current => Some(at_hand.login.key),
            Keep::None => None,
        };
        // The family too: what the browser was given before the change is good no longer.
        let which = LoginSelector::Of {
            owner,
            but,
            but_family: None,
        };
        let ended = at_hand
            .records
            .store
            .call(|store| store.end_many(which))
            .await?;
        self.manager()
            .events
            .emit(&self.ended_event(&at_hand, ended), self.request());
        match keep {
            Keep::Current => self.continue_as(user, at_hand.login).await?,
            Keep::None => self.log_out().await?,
        }
        Ok(ended)
    }

    /// The user at hand, and the record of the login.
    async fn at_hand(&self) -> Result<AtHand<'_>, LoginError> {
        let manager = self.manager();
        let records = manager.records.as_deref().ok_or(LoginError::NoStore)?;
        let known = self
            .state()
            .user(self.request(), self.index())
            .await?
            .ok_or(LoginError::NotLoggedIn)?;
        let login = known.login.ok_or(LoginError::NotLoggedIn)?;
        let kind = self.kind().ok_or(LoginError::NotLoggedIn)?;
        let user_id = kind.loader.id(&*known.user).ok_or(LoginError::UnfitId)?;
        Ok(AtHand {
            records,
            login,
            user: known.user,
            user_id,
        })
    }

    fn ended_event<'a>(&'a self, at_hand: &'a AtHand<'_>, logins: u64) -> LoginEvent<'a> {
        let user = self.kind().map(|kind| EventUser::new(kind, &*at_hand.user));
        LoginEvent::LoginsEnded { user, logins }
    }
}

/// The user of a request, and the record of the login.
struct AtHand<'a> {
    records: &'a Records,
    login: LoginRef,
    user: AnyUser,
    user_id: String,
}

impl AtHand<'_> {
    fn owner<'a, U: AuthUser>(&'a self, auth: &'a Auth<U>) -> LoginOwner<'a> {
        LoginOwner {
            user_type: auth.kind().map_or("", |kind| &kind.name),
            user_id: &self.user_id,
        }
    }
}

/// The logins of everybody, outside of any request: for administrators and for maintenance.
///
/// Made by [`LoginManager::logins`].
#[derive(Clone, Debug)]
#[debug("Logins")]
pub struct Logins {
    manager: Arc<Manager>,
    records: Arc<Records>,
}

impl<S: SessionStore> LoginManager<S> {
    /// The logins of everybody; nothing without a login store.
    pub fn logins(&self) -> Option<Logins> {
        let records = Arc::clone(self.manager.records.as_ref()?);
        Some(Logins {
            manager: Arc::clone(&self.manager),
            records,
        })
    }
}

impl Logins {
    /// The logins of a user, newest first.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn of<U: AuthUser>(&self, id: &U::Id) -> Result<Vec<LoginInfo>, StoreError> {
        let (user_type, user_id) = self.owner::<U>(id)?;
        let owner = LoginOwner {
            user_type: &user_type,
            user_id: &user_id,
        };
        let now = self.manager.now();
        let logins = self
            .records
            .store
            .call(|store| store.list(owner, now))
            .await?;
        Ok(logins
            .into_iter()
            .map(|(key, record)| LoginInfo::new(key, record, None))
            .collect())
    }

    /// Ends one login, and forgets the browser it was made with. Whether there was such a login.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn end(&self, key: LoginKey) -> Result<bool, StoreError> {
        let Some(record) = self.records.find(key, self.manager.now()).await? else {
            return Ok(false);
        };
        self.records
            .end(LoginRef {
                key,
                family: record.family,
            })
            .await?;
        Ok(true)
    }

    /// Ends all logins of a user, and forgets all the user's browsers. How many logins ended.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn end_all_of<U: AuthUser>(&self, id: &U::Id) -> Result<u64, StoreError> {
        let (user_type, user_id) = self.owner::<U>(id)?;
        let owner = LoginOwner {
            user_type: &user_type,
            user_id: &user_id,
        };
        let which = LoginSelector::Of {
            owner,
            but: None,
            but_family: None,
        };
        self.records.store.call(|store| store.end_many(which)).await
    }

    /// Ends every login of everybody, and forgets all browsers. How many logins ended.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn end_all(&self) -> Result<u64, StoreError> {
        self.records
            .store
            .call_long(|store| store.end_many(LoginSelector::All))
            .await
    }

    /// Deletes up to about `batch` rows that are over. How many; call again as long as it is `batch`.
    ///
    /// Logins are over without it, too: this only makes room. Run it every now and then, in batches
    /// that do not keep log ins waiting.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub async fn purge(&self, batch: u32) -> Result<u64, StoreError> {
        let now = self.manager.now();
        let idle_since = self.records.limits.idle_since(now);
        self.records
            .store
            .call_long(|store| store.purge(now, idle_since, batch))
            .await
    }

    fn owner<U: AuthUser>(&self, id: &U::Id) -> Result<(String, String), StoreError> {
        let name = std::any::type_name::<U>;
        let index = self
            .manager
            .index(std::any::TypeId::of::<U>(), name)
            .map_err(StoreError::new)?;
        let user_id = serde_json::to_string(id).map_err(StoreError::new)?;
        let user_type = self
            .manager
            .users
            .get(index)
            .map(|kind| kind.name.clone())
            .unwrap_or_default();
        Ok((user_type, user_id))
    }
}
