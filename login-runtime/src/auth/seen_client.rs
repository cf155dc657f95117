//! Whether a user has logged in from this client before.
//!
//! The login store keeps the clients of a user where it keeps sessions that have ended: names that are over
//! after a while, of which each owner has a limited number.

use actix_web::{HttpRequest, http::header};

use crate::{
    core::{
        LoginKey, LoginOwner,
        seen_client::{self, KNOWN_FOR, MAX_KNOWN},
    },
    manager::Manager,
    store::{LoginStore as _, Records},
};

/// The clients of one user.
pub(crate) struct Clients<'a> {
    manager: &'a Manager,
    records: &'a Records,
    /// No user type has this name, so the limit does not count sessions that have ended.
    owner_type: String,
    user_type: &'a str,
    user_id: &'a str,
}

impl<'a> Clients<'a> {
    /// `None` without a login store, or if nobody wants to know about clients.
    pub(crate) fn of(manager: &'a Manager, user_type: &'a str, user_id: &'a str) -> Option<Self> {
        let records = manager.records.as_deref();
        let records = records.filter(|_| manager.events.is_heard())?;
        Some(Self {
            manager,
            records,
            owner_type: format!("{user_type} clients"),
            user_type,
            user_id,
        })
    }

    /// The names of a client, of which the first is the current one.
    fn names(&self, request: &HttpRequest) -> Vec<LoginKey> {
        let agent = request.headers().get(header::USER_AGENT);
        let family = seen_client::family(agent.map(|agent| agent.as_bytes()));
        let address = self.manager.proxies.client_address(request);
        self.names_of(&seen_client::network(address), &family)
    }

    fn names_of(&self, network: &[u8; 5], family: &[u8]) -> Vec<LoginKey> {
        let keys = &self.manager.keys;
        let names = keys.seen_clients(self.user_type, self.user_id, network, family);
        names.map(LoginKey::from_bytes).collect()
    }

    /// Notes the client of a log in. Returns whether the user has not logged in from it lately; `None` if the
    /// store fails, which is only logged, because the user is logged in.
    ///
    /// `is_own` says that the browser has proved by a cookie that it is the user's.
    pub(crate) async fn note(&self, request: &HttpRequest, is_own: bool) -> Option<bool> {
        let names = self.names(request);
        let mut is_known = is_own;
        // An older key made the name of a client that was noted before the key was changed.
        for name in &names {
            let now = self.manager.now();
            is_known = is_known
                || self
                    .records
                    .store
                    .is_session_revoked(*name, now)
                    .await
                    .ok()?;
        }
        self.keep(*names.first()?, MAX_KNOWN).await;
        Some(!is_known)
    }

    /// Forgets the clients of a user who has new credentials, or whose account may have been taken over, but
    /// for that of a request.
    pub(crate) async fn forget(&self, but: Option<&HttpRequest>) {
        // No client has this network.
        if let Some(name) = self.names_of(&[u8::MAX; 5], b"").first() {
            self.keep(*name, 0).await;
        }
        let but = but.and_then(|request| self.names(request).first().copied());
        if let Some(name) = but {
            self.keep(name, MAX_KNOWN).await;
        }
    }

    /// Keeps a client, and `max` in all. A failure is only logged.
    async fn keep(&self, name: LoginKey, max: u32) {
        let owner = LoginOwner {
            user_type: &self.owner_type,
            user_id: self.user_id,
        };
        let until = self.manager.now().saturating_add(KNOWN_FOR);
        let _ = self
            .records
            .store
            .revoke_session(name, owner, until, max)
            .await;
    }
}
