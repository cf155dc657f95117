//! What a request carries of a login, for those who log in and out.

use std::cell::OnceCell;

use crate::{
    auth::auth::Auth,
    core::{
        AuthUser, FamilyKey, LoginSelector, Presented, TokenFamily,
        remember::{self},
    },
    error::LoginError,
    events::LoginEvent,
    request::{
        OpenedLoginCookie, carried_family,
        credential::{self},
    },
    session::Entry,
    store::{LoginRef, Records},
    users::UserType,
};

impl<U: AuthUser> Auth<U> {
    /// Notes that the browser gives up the login cookie that the request came with. Whether it had done
    /// so before, and has another one by now, or none.
    pub(crate) async fn give_up_carried(&self, records: &Records, kind: &UserType) -> bool {
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
        records.revoke(login.key, now).await;
        let given_up = given_up.unwrap_or_default();
        if let Some(opened) = opened {
            opened.gives_up(given_up);
        }
        given_up
    }

    /// The family whose token the request carries, if it is genuine and no theft; theft ends it.
    pub(crate) async fn genuine_family(
        &self,
        records: &Records,
        kind: &UserType,
    ) -> Result<Option<(FamilyKey, TokenFamily)>, LoginError> {
        let manager = self.manager();
        let Some(token) = carried_family(&self.request, manager, kind) else {
            return Ok(None);
        };
        let now = manager.now();
        let family = records.find_family(token.family, now).await?;
        let proves = |family: &TokenFamily| {
            let proof = manager.keys.proves(&kind.name, &token, &family.seed);
            family.user_type == kind.name && proof.is_some()
        };
        let Some(family) = family.filter(proves) else {
            return Ok(None);
        };
        if remember::present(&family, token.generation, now) == Presented::Theft {
            records
                .store
                .call(|store| store.end_many(LoginSelector::Family(token.family)))
                .await?;
            let (user_type, user_id) = (&*kind.name, &*family.user_id);
            let event = LoginEvent::RememberTokenReused { user_type, user_id };
            manager.events.emit(&event, &self.request);
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
}
