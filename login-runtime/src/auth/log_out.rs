//! Log out.

use crate::{
    auth::auth::Auth,
    core::{AuthUser, LoginSelector},
    error::LoginError,
    events::{EventUser, LoginEvent},
    http::cookies,
    request::{RequestUser, credential},
    session::{self, fate},
    store::{LoginRef, Records},
    users::UserType,
};

impl<U: AuthUser> Auth<U> {
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
        let who = if self.manager().records.is_some() || self.manager().events.is_heard() {
            self.state.user(&self.request, self.index).await
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
        self.state.set_user(self.index, None);
        let user = who.as_ref().ok().and_then(Option::as_ref);
        let user = user.map(|known| EventUser::new(kind, &*known.user));
        self.manager()
            .events
            .emit(&LoginEvent::LoggedOut { user }, &self.request);
        Ok(())
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
                .call(|store| store.end_many(LoginSelector::Family(family)))
                .await?;
        }
        Ok(())
    }
}
