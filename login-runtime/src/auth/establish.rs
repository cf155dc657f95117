//! Gives the session a new id and a login: the last step of log in and of confirming a login.

use std::rc::Rc;

use crate::{
    auth::auth::Auth,
    core::{AuthUser, FamilyKey, LoginFacts, LoginSource},
    error::LoginError,
    events::{EventUser, LoginEvent, LoginsEndReason},
    keys::LoginToken,
    request::{LoginCookieContent, RequestUser, client, credential},
    session::{self, Entry, EntryFacts, Session, fate},
    store::{NewLogin, Replaced},
    users::{AnyUser, AuthMethod, UserType},
};

/// A login to establish.
pub(crate) struct Establish {
    pub(crate) fresh: bool,
    pub(crate) remembered: bool,
    pub(crate) allow_inactive: bool,
    /// When credentials were given, if not now.
    pub(crate) at: Option<i64>,
    pub(crate) method: AuthMethod,
    /// Whether the session contains data of another user.
    pub(crate) clears_session: bool,
    /// The logins and families that this login replaces.
    pub(crate) replaces: Replaced,
    pub(crate) family: Option<FamilyKey>,
    /// The generation of the remember token that the response sends together with this login.
    pub(crate) sends_token: Option<i64>,
    /// When the login ends at the latest, if that is before the absolute limit.
    pub(crate) not_after: Option<i64>,
}

impl<U: AuthUser> Auth<U> {
    /// Renews the session and writes a login into it.
    pub(crate) async fn establish(
        &self,
        user_type: &UserType,
        user: &Rc<U>,
        login: Establish,
    ) -> Result<RequestUser, LoginError> {
        let manager = self.manager();
        let session = session::of(&self.request);
        if session::is_purged(&session) {
            return Err(LoginError::SessionPurged);
        }
        let user: AnyUser = Rc::clone(user) as AnyUser;
        let user_id = user_type.loader.id(&*user).ok_or(LoginError::UnfitId)?;
        if manager.records.is_some() {
            fate::belongs_to(&user_type.name, &user_id);
        }
        let hash = credential::fingerprint(manager, user_type, &*user);
        let now = manager.now();
        let Establish {
            fresh,
            allow_inactive,
            family,
            ..
        } = login;
        let authenticated_at = login.at.unwrap_or(now);
        let clear = || {
            if login.clears_session {
                session::clear_but(&session, manager.kept_keys(self.index));
            }
        };
        let record = match &manager.records {
            None => {
                let facts = EntryFacts {
                    authenticated_at,
                    started_at: now,
                    fresh,
                    remembered: login.remembered,
                    allow_inactive,
                    client: client::client(&self.request, manager),
                };
                let (hash, id) = (hash.as_deref(), &*user_id);
                let entry = Entry { facts, hash, id };
                if user_type.login_cookie.is_some() {
                    // The text may be too long for a cookie. In that case the session stays as it is.
                    let text = entry.text().ok_or(LoginError::UnfitId)?;
                    self.set_login_cookie(LoginCookieContent::Entry(text.into()))?;
                    clear();
                } else {
                    // Numbers, the fingerprint and quotes; then the id.
                    let text = entry.max_len();
                    self.check_room(&session, user_type, &login, text, false)?;
                    clear();
                    session::write_entry(&session, &user_type.session_key, entry)
                        .map_err(|_| LoginError::UnfitId)?;
                }
                None
            }
            Some(records) => {
                let is_sealed = credential::is_sealed(manager, user_type);
                if user_type.login_cookie.is_none() {
                    let text = session::login_text_len(is_sealed, family.is_some());
                    self.check_room(&session, user_type, &login, text, is_sealed)?;
                }
                let id = LoginToken::random(is_sealed).map_err(|_| LoginError::NoRandomness)?;
                let new = NewLogin {
                    user_type: &user_type.name,
                    user_id,
                    authenticated_at,
                    fresh,
                    allow_inactive,
                    method: login.method.name(),
                    hash,
                    family,
                    unseen_token: login.sends_token,
                    not_after: login.not_after,
                    is_restored: false,
                };
                // Boxed, as is everything that only some log ins wait for, so that others need no
                // space for it.
                let client = client::of_record(&self.request, manager);
                let replacing = records.replace(login.replaces, &id, new, client, now);
                let (record, ended) = Box::pin(replacing).await?;
                if ended > 0 {
                    let event = LoginEvent::LoginsEnded {
                        reason: LoginsEndReason::Limit,
                        user: Some(EventUser::new(user_type, &*user)),
                        logins: ended,
                        login: manager.event_login(user_type, Some(record)),
                        ended: None,
                    };
                    manager.events.emit(&event, &self.request);
                }
                // A store that fails must not change the session, so this comes after it.
                clear();
                if user_type.login_cookie.is_some() {
                    Box::pin(self.give_up_carried(records, user_type)).await;
                    self.set_login_cookie(LoginCookieContent::Record(record))?;
                } else {
                    session::write_login(&session, &user_type.session_key, &id, family)
                        .map_err(|_| LoginError::SessionPurged)?;
                }
                Some(record)
            }
        };
        session::forget_previous_user(&session, &user_type.session_key);
        session.renew();
        fate::logged_in(&user_type.session_key);
        self.state.acted.set(true);
        let facts = LoginFacts::new(LoginSource::Session, Some(authenticated_at), fresh);
        let user = RequestUser::new(user_type, user, facts, allow_inactive, record);
        self.state.set_user(self.index, Some(user.clone()));
        Ok(user)
    }

    /// Refuses a login that makes the session too long for its cookie, before anything is written.
    fn check_room(
        &self,
        session: &Session,
        user_type: &UserType,
        login: &Establish,
        text: usize,
        is_id: bool,
    ) -> Result<(), LoginError> {
        let manager = self.manager();
        if session::is_short(&session.entries(), text) {
            return Ok(());
        }
        let stays = |key: &str| {
            !login.clears_session || manager.kept_keys(self.index).any(|kept| kept == key)
        };
        let (now, then) = session::lens_with(session, &user_type.session_key, text, is_id, stays);
        // A session that does not grow fits as it did before.
        match manager.session_cookie.too_long_for(then) {
            Some(bytes) if then > now => {
                session::log_too_long(bytes);
                Err(LoginError::SessionTooLong { bytes })
            }
            _ => Ok(()),
        }
    }

    fn set_login_cookie(&self, content: LoginCookieContent) -> Result<(), LoginError> {
        match self.state.set_login_cookie(self.index, content) {
            true => Ok(()),
            false => Err(LoginError::UnfitId),
        }
    }
}
