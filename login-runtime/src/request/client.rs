//! The client that sends a request, and whether it is the one that a login is bound to.

use std::net::IpAddr;

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

/// An address as text. Each log in stores one, and `Display` takes longer.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / unit % 10));
            }
        }
    }
    text
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
        address: address.map(text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_address_is_written_as_usual() {
        for octet in 0..=u8::MAX {
            let others = [0, 9, 10, 99, 100, 255];
            for other in others {
                let address = IpAddr::from([octet, other, 255 - octet, octet]);
                assert_eq!(text(address), address.to_string());
            }
        }
        for address in ["::1", "2001:db8::7", "::ffff:1.2.3.4"] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(text(address), address.to_string());
        }
        assert_eq!(text(Ipv4Addr::LOCALHOST.into()), "127.0.0.1");
    }
}
