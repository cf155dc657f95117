//! The client that sends a request, and whether it is the one that a login is bound to.

use actix_web::{HttpRequest, http::header};

use crate::{
    core::{Verdict, protection},
    keys::Match,
    manager::Manager,
    store::Client,
};

/// The identity of a request's client.
pub(crate) fn client(request: &HttpRequest, manager: &Manager) -> u64 {
    clients(request, manager).next().unwrap_or_default()
}

/// Compares the client that a login is bound to with the client of the request. Also returns the key
/// under which the two are the same.
pub(crate) fn judge(
    request: &HttpRequest,
    manager: &Manager,
    bound: u64,
) -> (Verdict, Option<Match>) {
    let mut verdict = Verdict::Same;
    for (position, now) in clients(request, manager).enumerate() {
        verdict = protection::judge(manager.client.protection, bound, now);
        if bound == now {
            let found = match position {
                0 => Match::Current,
                _ => Match::Older,
            };
            return (verdict, Some(found));
        }
    }
    (verdict, None)
}

/// The identities of a request's client under each key, the current key first.
fn clients<'a>(request: &'a HttpRequest, manager: &'a Manager) -> impl Iterator<Item = u64> + 'a {
    let agent = request.headers().get(header::USER_AGENT);
    let address = manager.proxies.client_address(request);
    manager.keys.clients(
        manager.client.identity,
        agent.map(|value| value.as_bytes()),
        address,
    )
}

/// What the record of a new login stores about a request's client.
pub(crate) fn of_record<'a>(request: &'a HttpRequest, manager: &Manager) -> Client<'a> {
    let user_agent = request.headers().get(header::USER_AGENT);
    let address = manager.proxies.client_address(request);
    Client {
        identity: client(request, manager),
        user_agent: user_agent
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default(),
        address: address
            .map(|address| address.to_string())
            .unwrap_or_default(),
    }
}
