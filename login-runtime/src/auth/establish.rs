//! Renewing the session and putting a login into it, which log in and confirm have in common.

use std::rc::Rc;

use crate::{
    auth::auth::Auth,
    core::{AuthUser, FamilyKey, LoginFacts, LoginSource},
    error::LoginError,
    keys::LoginToken,
    request::{LoginCookieContent, RequestUser, client},
    session::{self, Entry, fate},
    store::{NewLogin, Replaced},
    users::{AnyUser, AuthMethod, UserType},
};

/// What a login is to be like.
pub(crate) struct Establish {
    pub(crate) fresh: bool,
    pub(crate) remembered: bool,
    pub(crate) allow_inactive: bool,
    pub(crate) at: Option<i64>,
    pub(crate) method: AuthMethod,
    /// Whether what is in the session belongs to somebody else.
    pub(crate) clears_session: bool,
    /// What ends because this login takes its place.
    pub(crate) replaces: Replaced,
    pub(crate) family: Option<FamilyKey>,
}

impl<U: AuthUser> Auth<U> {
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
            allow_inactive,
            at,
            method,
            clears_session,
            replaces,
            family,
        } = what;
        let now = manager.now();
        let at = at.unwrap_or(now);
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
                    started_at: now,
                    fresh,
                    remembered,
                    allow_inactive,
                    client,
                    hash,
                };
                let id = kind.loader.id(&*any).ok_or(LoginError::UnfitId)?;
                if kind.login_cookie.is_some() {
                    // It may be longer than a cookie can be, and then nothing is taken away.
                    let text = entry.text(&id).ok_or(LoginError::UnfitId)?;
                    self.carry(LoginCookieContent::Entry(text.into()))?;
                    clear();
                } else {
                    clear();
                    session::write_entry(&session, &kind.session_key, &entry, &id)
                        .map_err(|_| LoginError::UnfitId)?;
                }
                None
            }
            Some(records) => {
                let id = LoginToken::random().map_err(|_| LoginError::NoRandomness)?;
                let new = NewLogin {
                    user_type: &kind.name,
                    user_id: kind.loader.id(&*any).ok_or(LoginError::UnfitId)?,
                    authenticated_at: at,
                    fresh,
                    allow_inactive,
                    method: method.name(),
                    hash: fingerprint,
                    family,
                    not_after: None,
                };
                // Boxed, as are others that only some log ins wait for: the rest need no room for them.
                let client = client::of_record(&self.request, manager);
                let replacing = records.replace(replaces, &id, new, client, now);
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
        let authenticated = allow_inactive || kind.loader.is_authenticated(&*any);
        let known = RequestUser {
            user: any,
            facts,
            authenticated,
            allow_inactive,
            login,
        };
        self.state.set_user(self.index, Some(known.clone()));
        Ok(known)
    }

    /// Has the response set the login cookie.
    fn carry(&self, ticket: LoginCookieContent) -> Result<(), LoginError> {
        match self.state.set_login_cookie(self.index, ticket) {
            true => Ok(()),
            false => Err(LoginError::UnfitId),
        }
    }
}
