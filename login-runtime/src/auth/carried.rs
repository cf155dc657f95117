//! The login and the remember token that a request carries, for log in and log out.

use crate::{
    auth::auth::Auth,
    core::{AuthUser, FamilyKey, LoginOwner, Presented, TokenFamily, remember},
    error::LoginError,
    events::LoginEvent,
    request::{
        OpenedLoginCookie, credential,
        remember_cookie::{end_family, proves, read_family_tokens},
    },
    session::{Entry, fate},
    store::{LoginStore as _, Records, of_family},
    users::UserType,
};

impl<U: AuthUser> Auth<U> {
    /// Records that the browser gives up the login cookie that the request was sent with. Whether it
    /// had done so before, and has another cookie or none by now.
    pub(crate) async fn give_up_carried(&self, records: &Records, user_type: &UserType) -> bool {
        let opened = self.state.opened(self.index);
        // If this request has given it up itself, it is not late because of that.
        if let Some(given_up) = opened.and_then(OpenedLoginCookie::had_given_up) {
            return given_up;
        }
        let sent = credential::sent_login(&self.request, self.manager(), user_type);
        let Some(login) = sent else {
            return false;
        };
        let now = self.manager().now();
        let given_up = records.any_was_given_up(&[login.key], now).await;
        let (user_type, user_id) = fate::owner();
        let (user_type, user_id) = (&*user_type, &*user_id);
        let owner = LoginOwner { user_type, user_id };
        records.revoke(login.key, owner, now).await;
        let given_up = given_up.unwrap_or_default();
        if let Some(opened) = opened {
            opened.give_up(given_up);
        }
        given_up
    }

    /// The families whose tokens the request carries, if the tokens are genuine and not stolen. A stolen
    /// token ends its family.
    pub(crate) async fn genuine_families(
        &self,
        records: &Records,
        user_type: &UserType,
    ) -> Result<Vec<(FamilyKey, TokenFamily)>, LoginError> {
        let manager = self.manager();
        let now = manager.now();
        let mut families = Vec::new();
        for token in read_family_tokens(&self.request, manager, user_type) {
            let family = records.store.find_family(token.family, now).await?;
            let is_genuine =
                |family: &TokenFamily| proves(manager, user_type, &token, family).is_some();
            let Some(family) = family.filter(is_genuine) else {
                continue;
            };
            if remember::present(&family, token.generation, now) != Presented::Theft {
                families.push((token.family, family));
                continue;
            }
            end_family(records, token.family).await?;
            let event = LoginEvent::RememberTokenReused {
                user_type: &user_type.name,
                user_id: &family.user_id,
                login: manager.event_login(user_type, Some(of_family(token.family))),
            };
            manager.events.emit(&event, &self.request);
        }
        Ok(families)
    }

    /// Reads the login that the request carries, if it describes itself.
    pub(crate) fn carried_entry<T>(&self, read: impl FnOnce(Entry<'_>) -> T) -> Option<T> {
        self.state
            .credential(&self.request, self.index, |credential| {
                credential.entry().map(read)
            })
    }
}
