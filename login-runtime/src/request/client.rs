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

/// What the record of a new login stores about a request's client.
pub(crate) fn of_record<'a>(request: &'a HttpRequest, manager: &Manager) -> Client<'a> {
    let user_agent = request.headers().get(header::USER_AGENT);
    let address = manager.proxies.client_address(request);
    Client {
        identity: client(request, manager),
        user_agent: user_agent
            .and_then(|agent| plain_text(agent.as_bytes()))
            .unwrap_or_default(),
        address: address.map(address_text).unwrap_or_default(),
    }
}

/// The text of a header that is ASCII without control characters, as almost all are. Looks at all bytes, which
/// takes less time than to look for the first that is wrong.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let are_plain = bytes
        .iter()
        .fold(true, |so_far, byte| so_far & is_plain(byte));
    are_plain.then(|| str::from_utf8(bytes).ok())?
}

/// An address as text. Most are short, and the formatter of the standard library pads them.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (at, byte) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        for unit in [100, 10, 1] {
            if byte >= unit || unit == 1 {
                text.push(char::from(b'0' + byte / unit % 10));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_usual() {
        for text in [
            "0.0.0.0",
            "192.0.2.10",
            "255.100.99.9",
            "2001:db8::1",
            "::ffff:1.2.3.4",
        ] {
            assert_eq!(address_text(text.parse().unwrap()), text);
        }
        for byte in 0..=255 {
            let address = IpAddr::from([byte, 1, byte, 0]);
            assert_eq!(address_text(address), address.to_string());
        }
    }

    #[test]
    fn a_user_agent_is_kept_if_it_is_plain_text() {
        for bytes in [&b""[..], b"Mozilla/5.0 (X11; Linux)", b"a\tb~ "] {
            assert_eq!(plain_text(bytes), str::from_utf8(bytes).ok());
        }
        for bytes in [&b"\x1f"[..], b"a\x7f", b"caf\xc3\xa9", b"\xff", b"a\n"] {
            assert_eq!(plain_text(bytes), None);
        }
    }
}
