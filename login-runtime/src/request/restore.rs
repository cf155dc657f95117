//! Restores a login from the remember cookie.
//!
//! 1. The token in the cookie has to be genuine, and its time not over. Its user has to be active and
//!    have the same session hash as when the token was made. Otherwise the response clears the cookie.
//! 2. The session gets a new id, so that an id planted before gains nothing, and loses what another user
//!    left in it.
//! 3. The restored login is stale, and bound to its client from the start.
//! 4. With a login store, requests that present a token of the same family at the same time share one
//!    login. A token that was replaced before is a theft, and ends the family.

use crate::{
    core::{EndReason, FamilyKey, Inserted, LoginFacts, LoginSource, Token, TokenFamily},
    error::LoadError,
    events::{EventUser, LogInRefusal, LoginEvent, LoginsEndReason},
    keys::{FamilyToken, LoginToken, Match},
    request::{
        LoginCookieContent, RequestUser, client, credential,
        lookup::{Found, Lookup},
        remember_cookie::{self, end_family, proves},
    },
    session::{self, EntryFacts, Session, fate},
    store::{LoginRef, LoginStore as _, NewLogin, Records, Redeemed, of_family},
    users::{AnyUser, Loading},
};

/// The user of a remember token, who may be logged in again.
struct Remembered {
    user: AnyUser,
    /// The fingerprint of the user's session hash under the current key.
    fingerprint: Option<String>,
    /// Whether an older key made the fingerprint that was stored.
    has_old_hash: bool,
}

impl Lookup<'_> {
    pub(crate) async fn by_remember_cookie(&self) -> Found {
        let (request, manager, user_type) = (self.request, self.manager(), self.user_type);
        if self.slot.remember_settled.get() || !remember_cookie::is_carried(request, user_type) {
            return Ok(None);
        }
        let mut found = None;
        // The first token that is good counts. There are several if another domain of the application
        // has left a cookie behind.
        if let Some(records) = &manager.records {
            let tokens = remember_cookie::read_family_tokens(request, manager, user_type);
            for token in tokens {
                self.state.keep_remember_cookie(self.index);
                found = Some(self.by_family(records, token).await?);
                if matches!(found, Some(Some(_))) {
                    break;
                }
            }
        } else {
            let texts = remember_cookie::verified_texts(request, manager, user_type);
            for (text, key) in texts {
                self.state.keep_remember_cookie(self.index);
                found = Some(self.by_token(&text, key).await?);
                if matches!(found, Some(Some(_))) {
                    break;
                }
            }
        }
        found.map_or_else(|| self.refuse_cookie(EndReason::Invalid, None, None), Ok)
    }

    /// Restores the login that a token describes.
    async fn by_token(&self, text: &str, key: Match) -> Found {
        let (manager, user_type) = (self.manager(), self.user_type);
        let now = manager.now();
        let token = Token::read(text, now);
        let end = |token: &Token<'_>| {
            let remembering = &manager.remembering;
            remembering.end(token.expires_at, token.authenticated_at)
        };
        // The signature proves whose it is, even if its time is over.
        let user_id = token.as_ref().map(|token| token.id);
        let Some((token, loading)) = token
            .filter(|token| now < end(token))
            .and_then(|token| Some((token, user_type.loader.load(token.id)?)))
        else {
            return self.refuse_cookie(EndReason::Invalid, user_id, None);
        };
        let remembered = self.load_remembered(Some(loading), token.id, token.hash, None);
        let Some(remembered) = remembered.await? else {
            return Ok(None);
        };
        let fingerprint = remembered.fingerprint.as_deref();
        if key == Match::Older || remembered.has_old_hash {
            // The same token under the current key; its time stays the same.
            let renewed = Token {
                hash: fingerprint,
                ..token
            };
            let cookie = remember_cookie::token_cookie(manager, user_type, &renewed, now);
            self.state.cookies.borrow_mut().extend(cookie);
        }
        let facts = EntryFacts {
            authenticated_at: token.authenticated_at,
            // The login ends with the token, as one that has a record does.
            started_at: manager.limits.started_at(end(&token), now),
            fresh: false,
            remembered: true,
            allow_inactive: false,
            client: client::client(self.request, manager),
        };
        self.take_session(token.id, |_| {
            self.write(facts, fingerprint, &*remembered.user);
        });
        let at = token.authenticated_at;
        Ok(Some(self.restored(remembered.user, at, None)))
    }

    /// Redeems the token of a family, and restores a login or shares the one that was just restored.
    async fn by_family(&self, records: &Records, token: FamilyToken) -> Found {
        let (manager, user_type) = (self.manager(), self.user_type);
        let now = manager.now();
        let key = token.family;
        let end = |family: &TokenFamily| {
            let remembering = &manager.remembering;
            remembering.end(family.expires_at, family.authenticated_at)
        };
        let is_proof = |family: &TokenFamily| {
            proves(manager, user_type, &token, family).is_some() && now < end(family)
        };
        let redeemed = records.redeem(key, token.generation, now, is_proof);
        let (family, at, send) = match redeemed.await? {
            Redeemed::Good { family, at, send } => (family, at, send),
            Redeemed::Worthless => return self.refuse_cookie(EndReason::Ended, None, Some(key)),
            Redeemed::Theft(family) => {
                self.emit(&LoginEvent::RememberTokenReused {
                    user_type: &user_type.name,
                    user_id: &family.user_id,
                    login: manager.event_login(user_type, Some(of_family(key))),
                });
                self.clear_remember_cookie();
                return Ok(None);
            }
        };
        let user_id = &*family.user_id;
        let loading = user_type.loader.load(user_id);
        let hash = family.hash.as_deref();
        let remembered = self.load_remembered(loading, user_id, hash, Some(key));
        let Some(remembered) = remembered.await? else {
            return Ok(None);
        };
        if remembered.has_old_hash {
            let next = TokenFamily {
                version: family.version + 1,
                hash: remembered.fingerprint.clone(),
                ..family.clone()
            };
            // Another request may have done the same before.
            records
                .store
                .update_family_if(key, family.version, &next)
                .await?;
        }
        // All requests that share the login compute the same id.
        let keys = &manager.keys;
        let is_sealed = credential::is_sealed(manager, user_type);
        let seed = &family.seed;
        let restored = keys.restored_login(&user_type.name, key, seed, at, is_sealed);
        let Some(id) = restored else {
            return self.refuse_cookie(EndReason::Invalid, Some(user_id), Some(key));
        };
        let login = self.find_or_insert(records, &id, key, &family, &remembered, now);
        let Some(login) = login.await?.filter(|_| !self.is_overtaken()) else {
            return Ok(None);
        };
        self.take_session(&family.user_id, |session| {
            if user_type.login_cookie.is_some() {
                self.state
                    .set_login_cookie(self.index, LoginCookieContent::Record(login));
            } else {
                let _ = session::write_login(session, &user_type.session_key, &id, Some(key));
            }
        });
        // The browser may not have the successor of its token, or an older key made the token.
        if send || proves(manager, user_type, &token, &family) == Some(Match::Older) {
            let age = end(&family).saturating_sub(now);
            let cookie = remember_cookie::family_cookie(manager, user_type, key, &family, age);
            if let Some(cookie) = cookie {
                self.state.set_remember_cookie(self.index, cookie);
            }
        }
        let at = family.authenticated_at;
        Ok(Some(self.restored(remembered.user, at, Some(login))))
    }

    /// Waits for the user of a remember token. Refuses the cookie, and ends the family, if the user may
    /// not be logged in.
    async fn load_remembered(
        &self,
        loading: Option<Loading>,
        user_id: &str,
        hash: Option<&str>,
        family: Option<FamilyKey>,
    ) -> Result<Option<Remembered>, LoadError> {
        let user = match loading {
            Some(mut loading) => self.slot.load(&mut loading).await?,
            None => None,
        };
        if self.is_overtaken() {
            return Ok(None);
        }
        let mut inactive = None;
        let reason = match user {
            None => EndReason::UserGone,
            Some(user) if !self.user_type.loader.is_authenticated(&*user) => {
                inactive = self.user_type.loader.id(&*user);
                EndReason::Inactive
            }
            Some(user) => match self.same_hash(&user, hash) {
                None => EndReason::SessionHashChanged,
                Some(found) => {
                    let fingerprint =
                        credential::fingerprint(self.manager(), self.user_type, &*user);
                    return Ok(Some(Remembered {
                        user,
                        fingerprint,
                        has_old_hash: found == Match::Older,
                    }));
                }
            },
        };
        if let Some((records, family)) = self.manager().records.as_ref().zip(family) {
            end_family(records, family).await?;
            if let Some(owner) = inactive.as_deref() {
                let owner = self.owner_of(owner);
                records.end_inactive(owner, self.manager().now()).await?;
            }
        }
        self.refuse_cookie(reason, Some(user_id), family)
    }

    /// The record of the login that a family restored, which another request may have made.
    async fn find_or_insert(
        &self,
        records: &Records,
        id: &LoginToken,
        key: FamilyKey,
        family: &TokenFamily,
        remembered: &Remembered,
        now: i64,
    ) -> Result<Option<LoginRef>, LoadError> {
        if records.store.find(id.key(), now).await?.is_some() {
            let (key, family) = (id.key(), Some(key));
            return Ok(Some(LoginRef { key, family }));
        }
        let login = NewLogin {
            user_type: &self.user_type.name,
            user_id: family.user_id.clone(),
            authenticated_at: family.authenticated_at,
            fresh: false,
            allow_inactive: false,
            method: "remember",
            hash: remembered.fingerprint.clone(),
            family: Some(key),
            unseen_token: family.seen_at.is_none().then_some(family.generation),
            not_after: Some(
                self.manager()
                    .remembering
                    .end(family.expires_at, family.authenticated_at),
            ),
            is_restored: true,
        };
        let client = client::of_record(self.request, self.manager());
        let (login, inserted) = records.insert(id, login, records.max, client, now).await?;
        let user = EventUser::new(self.user_type, &*remembered.user);
        match inserted {
            Inserted::Done { ended: 0 } => {}
            Inserted::Done { ended } => self.emit(&LoginEvent::LoginsEnded {
                reason: LoginsEndReason::Limit,
                user: Some(user),
                logins: ended,
                login: self.manager().event_login(self.user_type, Some(login)),
                ended: None,
            }),
            Inserted::Refused if records.store.find(id.key(), now).await?.is_some() => {}
            Inserted::Refused => {
                let reason = LogInRefusal::TooManyLogins;
                self.emit(&LoginEvent::LogInRefused { user, reason });
                return Ok(None);
            }
        }
        // Only redeeming the token depended on the family. If the family has ended since, the same
        // request ended this login, or it has to end here.
        if records.store.find_family(key, now).await?.is_none() {
            records.store.end(id.key()).await?;
            return self.refuse_cookie(EndReason::Ended, Some(&family.user_id), Some(key));
        }
        Ok(Some(login))
    }

    /// Gives the session a new id, and the user whom the remember cookie restored.
    fn take_session(&self, id: &str, write: impl FnOnce(&Session)) {
        fate::belongs_to(&self.user_type.name, id);
        session::restore(&session::of(self.request), |session| {
            if self.state.is_session_of_another(session, self.index, id) {
                session::clear_but(session, self.manager().kept_keys(self.index));
            }
            session::forget_previous_user(session, &self.user_type.session_key);
            write(session);
        });
    }

    fn restored(
        &self,
        user: AnyUser,
        authenticated_at: i64,
        login: Option<LoginRef>,
    ) -> RequestUser {
        let event_user = EventUser::new(self.user_type, &*user);
        let named = self.manager().event_login(self.user_type, login);
        self.emit(&LoginEvent::LoadedFromCookie {
            user: event_user,
            login: named,
        });
        let at = Some(authenticated_at);
        let facts = LoginFacts::new(LoginSource::RememberCookie, at, false);
        self.user(user, facts, false, login)
    }

    /// `user_id` and `family` are what the cookie has proved.
    fn refuse_cookie<T>(
        &self,
        reason: EndReason,
        user_id: Option<&str>,
        family: Option<FamilyKey>,
    ) -> Result<Option<T>, LoadError> {
        if self.is_overtaken() {
            return Ok(None);
        }
        self.emit(&LoginEvent::RememberCookieRefused {
            reason,
            user_type: &self.user_type.name,
            user_id,
            login: self
                .manager()
                .event_login(self.user_type, family.map(of_family)),
        });
        self.clear_remember_cookie();
        // Otherwise this might clear the cookie of a log in that is in progress.
        session::look_again(&session::of(self.request));
        Ok(None)
    }
}
