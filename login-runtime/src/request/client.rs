//! TODO request/client.rs

use actix_web::{HttpRequest, http::header};

use crate::{
    core::{
        Verdict,
        protection::{self},
    },
    keys::Match,
    manager::Manager,
    store::Client,
};

/// The identity of the client that sends a request.
pub(crate) fn client(request: &HttpRequest, manager: &Manager) -> u64 {
    clients(request, manager).next().unwrap_or_default()
}

/// Compares the client a login was bound to with the client at hand, and says under which key they
/// are the same.
pub(crate) fn judge(
    request: &HttpRequest,
    manager: &Manager,
    bound: u64,
) -> (Verdict, Option<Match>) {
    let mut verdict = Verdict::Same;
    for (position, now) in clients(request, manager).enumerate() {
        verdict = protection::judge(manager.client.protection, bound, now);
        if bound == now {
            let found = if position == 0 {
                Match::Current
            } else {
                Match::Older
            };
            return (verdict, Some(found));
        }
    }
    (verdict, None)
}

fn clients<'a>(request: &'a HttpRequest, manager: &'a Manager) -> impl Iterator<Item = u64> + 'a {
    let agent = request.headers().get(header::USER_AGENT);
    let address = request.peer_addr().map(|address| address.ip());
    manager.keys.clients(
        manager.client.identity,
        agent.map(|value| value.as_bytes()),
        address,
    )
}

/// What the record of a login says about the client that sends a request.
pub(crate) fn of_record<'a>(request: &'a HttpRequest, manager: &Manager) -> Client<'a> {
    let user_agent = request.headers().get(header::USER_AGENT);
    let address = request.peer_addr();
    Client {
        identity: client(request, manager),
        user_agent: user_agent
            .and_then(|agent| agent.to_str().ok())
            .unwrap_or_default(),
        address: address
            .map(|address| address.ip().to_string())
            .unwrap_or_default(),
    }
}
