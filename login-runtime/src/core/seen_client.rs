//! What makes two log ins of a user come from the same client, for events about new ones.
//!
//! 1. A client is the family of its browser, and the network that it is in. Both are coarse: a user who is
//!    told about a new client after each update of the browser, or for each new address, stops reading.
//! 2. The family is the letters of the user agent. Its numbers are versions.
//! 3. A client can write any user agent. So a known client proves nothing, and a new one is only a hint.

use std::net::IpAddr;

/// How many letters of a user agent count. Raising it tells unusual clients apart that begin alike; lowering
/// it saves time.
const MAX_LETTERS: usize = 200;

/// How many seconds a client from which a user has logged in counts as known: 30 days.
///
/// Raising it reports fewer log ins of people who seldom log in; lowering it forgets clients sooner.
pub(crate) const KNOWN_FOR: i64 = 30 * 24 * 60 * 60;

/// How many clients of a user are known at most. The one that was used least lately is forgotten first.
///
/// Raising it reports fewer log ins of people who travel; lowering it bounds what a user can store.
pub(crate) const MAX_KNOWN: u32 = 32;

/// The letters of a user agent.
pub(crate) fn family(user_agent: Option<&[u8]>) -> Vec<u8> {
    let letters = user_agent.unwrap_or_default().iter().copied();
    let letters = letters.filter(u8::is_ascii_alphabetic);
    letters.take(MAX_LETTERS).collect()
}

/// The network of an address: the first 16 bits of an IPv4 address, the first 32 of an IPv6 address. A
/// provider often gives its clients another address of such a network.
pub(crate) fn network(address: Option<IpAddr>) -> [u8; 5] {
    match address.map(|address| address.to_canonical()) {
        None => [0; 5],
        Some(IpAddr::V4(address)) => {
            let [first, second, ..] = address.octets();
            [4, first, second, 0, 0]
        }
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.octets();
            [6, a, b, c, d]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_of_a_browser_keeps_its_family_and_another_browser_has_another() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
        let family = |agent: &str| family(Some(agent.as_bytes()));
        assert_eq!(family(firefox), family(&firefox.replace("128", "140")));
        for other in [
            "",
            &firefox.replace("Firefox", "Waterfox"),
            &firefox.replace("X11; Linux x86_64", "Windows NT 10.0; Win64; x64"),
        ] {
            assert_ne!(family(firefox), family(other), "{other}");
        }
        assert_eq!(family(&"x".repeat(5_000)).len(), MAX_LETTERS);
        assert_eq!(super::family(None), b"");
    }

    #[test]
    fn addresses_of_one_network_are_one_and_others_are_not() {
        let network = |text: &str| network(Some(text.parse().unwrap()));
        for (one, other, same) in [
            ("192.0.2.7", "192.0.99.1", true),
            ("192.0.2.7", "192.1.2.7", false),
            ("192.0.2.7", "::ffff:192.0.2.8", true),
            ("2001:db8::1", "2001:db8:ffff::1", true),
            ("2001:db8::1", "2001:db9::1", false),
            ("192.0.0.0", "c000::", false),
        ] {
            assert_eq!(network(one) == network(other), same, "{one} {other}");
        }
        assert_ne!(super::network(None), network("0.0.0.0"));
    }
}
