//! Log out.

use crate::{
    auth::{auth::Auth, safe_method::Change},
    core::AuthUser,
    error::LoginError,
    events::{EventUser, LoginEvent},
    http::Seen,
    request::{
        credential,
        remember_cookie::{self, end_family},
    },
    session::{self, fate},
    store::{LoginRef, LoginStore as _, Records},
    users::UserType,
};

impl<U: AuthUser> Auth<U> {
    /// Logs the current user out.
    ///
    /// The session loses everything except the logins of other user types, and gets a new id or ends;
    /// the remember cookie is cleared. The rest of the request is anonymous. Logging out an anonymous
    /// client is not an error.
    ///
    /// With a login store, the record and the family of remember tokens are ended before this returns,
    /// so no copy of a cookie and no late request brings the login back.
    ///
    /// # Errors
    ///
    /// [`LoginError::Store`] or [`LoginError::Load`] if the login store could not be reached: nothing
    /// has changed, and the user is still logged in. Tell the user to try again.
    /// [`LoginError::SafeMethod`] for a GET request.
    ///
    /// # Security
    ///
    /// A GET request logs nobody out, because a link or an image of another site could make a browser send it.
    /// Use a form with a button; [`danger_allow_get_log_out`] is for a link that has to stay.
    ///
    /// Without a login store the server does not know that the login is over. With sessions that are
    /// kept in their cookie, a *copy* of that cookie works until the user's session hash or the key
    /// changes. A copy of a remember cookie works until its time is over, wherever sessions are kept.
    ///
    /// [`danger_allow_get_log_out`]: crate::config::LoginManagerBuilder::danger_allow_get_log_out
    pub async fn log_out(&self) -> Result<(), LoginError> {
        self.check_method(Change::LOG_OUT, false)?;
        self.leave(true).await
    }

    /// Logs the current user out, whatever the method of the request. If `reports` is `false`, the caller
    /// reports what happened.
    pub(crate) async fn leave(&self, reports: bool) -> Result<(), LoginError> {
        let Ok(user_type) = self.user_type() else {
            return Ok(());
        };
        let (request, manager, state) = (&self.request, self.manager(), &*self.state);
        // This is the login to end, even if the look-up drops it.
        let named = state.login(request, self.index);
        // For the event, if the user is gone or is not loaded.
        let mut user_id = self.carried_entry(|entry| entry.id.to_owned());
        let user = match state.found(self.index) {
            Some(found) => found,
            // Only an event needs the user.
            None if manager.events.is_heard() => {
                state.user(request, self.index).await.ok().flatten()
            }
            None => None,
        };
        let mut current = user.as_ref().and_then(|user| user.login);
        let session = session::of(request);
        let mut is_late = false;
        if let Some(records) = &manager.records {
            let known = user
                .as_ref()
                .and_then(|user| user_type.loader.id(&*user.user));
            let ending = Box::pin(self.end_records(records, user_type, current, named));
            let Ended {
                user_id: ended_id,
                login,
            } = ending.await?;
            current = current.or(login);
            let ended_before = || state.slot(self.index)?.ended_user.take();
            user_id = ended_id.or_else(ended_before).or(user_id);
            if let Some(id) = known.as_ref().or(user_id.as_ref()) {
                fate::belongs_to(&user_type.name, id);
            }
            if user_type.login_cookie.is_some() {
                is_late = Box::pin(self.give_up_carried(records, user_type)).await;
            }
        }
        let is_remembered = self.carried_entry(|entry| entry.facts.remembered) == Some(true)
            || current.is_some_and(|login| login.tokens().is_some())
            || remember_cookie::is_carried(request, user_type);
        if is_remembered {
            state.clear_remember_cookie(self.index);
        }
        state.settle_remember_cookie(self.index);
        state.take_kept_next(request);
        state.drop_login_cookie(request, self.index, is_late);
        state.acted.set(true);
        Seen::note_log_out();
        session::clear_but(&session, manager.kept_keys(self.index));
        session.renew();
        // A cookie that does not open held no login, so anybody can send it.
        let sent = || credential::read(request, manager, user_type, None, |_| Some(()));
        fate::logged_out(user_type.login_cookie.is_some() && sent().is_some());
        state.end_session_if_empty.set(true);
        state.set_user(self.index, None);
        if !reports {
            return Ok(());
        }
        let user = user
            .as_ref()
            .map(|user| EventUser::new(user_type, &*user.user));
        let event = LoginEvent::LoggedOut {
            user,
            user_type: &user_type.name,
            user_id: user_id.as_deref().filter(|_| user.is_none()),
            login: manager.event_login(user_type, current.or(named)),
        };
        manager.events.emit(&event, request);
        Ok(())
    }

    /// Ends the login of this request, and everything else that could restore it.
    async fn end_records(
        &self,
        records: &Records,
        user_type: &UserType,
        current: Option<LoginRef>,
        named: Option<LoginRef>,
    ) -> Result<Ended, LoginError> {
        let mut user_id = None;
        let login = match (current, named) {
            (Some(login), _) => Some(login),
            // The user was not loaded or is inactive, or another request was faster.
            (None, Some(LoginRef { key, family })) => {
                let record = records
                    .store
                    .find_for_auth(key, self.manager().now())
                    .await?;
                let family = record.as_ref().map_or(family, |record| record.family);
                user_id = record.map(|record| record.user_id);
                Some(LoginRef { key, family })
            }
            (None, None) => None,
        };
        if let Some(login) = login {
            records.end(login).await?;
        }
        // The browser keeps its token if a login was restored in another one, or ended by itself.
        for (family, row) in self.genuine_families(records, user_type).await? {
            end_family(records, family).await?;
            user_id.get_or_insert(row.user_id);
        }
        // Another domain of the application may have left cookies that no response of this one clears.
        for other in credential::other_logins(&self.request, self.manager(), user_type) {
            records.end(other).await?;
        }
        Ok(Ended { user_id, login })
    }
}

/// What a log out has ended.
struct Ended {
    /// The id of the user as JSON, unless the user is known.
    user_id: Option<String>,
    login: Option<LoginRef>,
}
