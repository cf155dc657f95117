//! Whether a login is still used by the same client.
//!
//! A login keeps a keyed hash of what is known about its client. A changed hash is a sign of theft; an
//! equal hash proves nothing, because a thief who has the cookie can often imitate the browser too.

use std::net::IpAddr;

/// What happens to a login that another client uses.
///
/// A session without a login is not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionProtection {
    /// Nothing happens. Pick it if the address and user agent of your clients change all the time, and
    /// stale logins would do more harm than stolen cookies.
    None,
    /// The login becomes stale: it stays valid, but pages that need a fresh login ask for credentials.
    /// Pick it for most applications.
    #[default]
    Basic,
    /// The login ends, and its remember cookie with it; other session data stay. Pick it if a login
    /// that ends too often does less harm than a stolen one.
    Strong,
}

/// Which properties of a client identify it; see [`ClientIdentity::new`] for the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    pub(crate) user_agent: bool,
    pub(crate) address: AddressPart,
}

/// How much of the client's address is part of its identity.
///
/// It is the address of the connection. `X-Forwarded-For` and similar headers are used only if the application
/// names its proxies with [`trusted_proxies`](crate::config::LoginManagerBuilder::trusted_proxies), because a
/// client can write anything into them (ASVS 4.1.3). Behind a proxy that is not named, all clients have the
/// proxy's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressPart {
    /// Nothing. Pick it behind a proxy that is not named, or for phones that move between networks.
    Omit,
    /// The network only: the first 24 bits of an IPv4 address, the first 64 of an IPv6 address.
    /// Pick it if your clients' providers often assign new addresses.
    Network,
    /// The whole address, as in Flask-Login. Pick it if your clients keep their addresses.
    Full,
}

impl ClientIdentity {
    /// The user agent and the full peer address, as in Flask-Login.
    pub const fn new() -> Self {
        Self {
            user_agent: true,
            address: AddressPart::Full,
        }
    }

    /// Whether the `User-Agent` header is part of the identity.
    #[must_use]
    pub const fn user_agent(mut self, counts: bool) -> Self {
        self.user_agent = counts;
        self
    }

    /// How much of the peer address is part of the identity.
    #[must_use]
    pub const fn address(mut self, part: AddressPart) -> Self {
        self.address = part;
        self
    }

    /// Passes the chosen parts to `hash`; two different identities never give the same bytes.
    pub(crate) fn feed(
        self,
        user_agent: Option<&[u8]>,
        address: Option<IpAddr>,
        mut hash: impl FnMut(&[u8]),
    ) {
        let user_agent = user_agent.filter(|_| self.user_agent);
        // A proxy that listens on IPv6 reports IPv4 peers as mapped addresses.
        let address = address.map(|address| address.to_canonical());
        // Of fixed length, with the agent behind it: no byte of the agent can pass as part of the address.
        let mut head = [0; 24];
        head[0] = u8::from(user_agent.is_some());
        let (kind, octets) = match (self.address, &address) {
            (AddressPart::Omit, _) | (_, None) => (0, &[][..]),
            (AddressPart::Full, Some(IpAddr::V4(v4))) => (4, &v4.octets()[..]),
            (AddressPart::Full, Some(IpAddr::V6(v6))) => (6, &v6.octets()[..]),
            (AddressPart::Network, Some(IpAddr::V4(v4))) => (4, &v4.octets()[..3]),
            (AddressPart::Network, Some(IpAddr::V6(v6))) => (6, &v6.octets()[..8]),
        };
        head[1] = kind;
        head[8..8 + octets.len()].copy_from_slice(octets);
        hash(&head);
        hash(user_agent.unwrap_or_default());
    }
}

impl Default for ClientIdentity {
    fn default() -> Self {
        Self::new()
    }
}

/// How a login is bound to its client: what identifies the client, and what happens on a change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientCheck {
    pub(crate) protection: SessionProtection,
    pub(crate) identity: ClientIdentity,
}

/// What session protection decides about a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client is the same, or protection is off.
    Same,
    /// The client is another, and the login becomes stale.
    Stale,
    /// The client is another, and the login ends.
    Over,
}

/// Compares the client that a login is bound to with the client of the request.
pub(crate) fn judge(mode: SessionProtection, bound: u64, now: u64) -> Verdict {
    match mode {
        SessionProtection::None => Verdict::Same,
        _ if bound == now => Verdict::Same,
        SessionProtection::Basic => Verdict::Stale,
        SessionProtection::Strong => Verdict::Over,
    }
}

/// The bits of a client's identity, nine decimal digits: another client has the same identity with a
/// probability of 1 in 2^29. Raising it makes sessions longer, and every byte of a session costs each
/// request that carries it.
pub(crate) const CLIENT: u64 = (1 << 29) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(identity: ClientIdentity, agent: Option<&str>, address: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let address = address.map(|address| address.parse().unwrap());
        identity.feed(agent.map(str::as_bytes), address, |part| {
            bytes.extend_from_slice(part)
        });
        bytes
    }

    #[test]
    fn another_agent_or_address_is_another_client() {
        let all = ClientIdentity::new();
        let base = fed(all, Some("a/1"), Some("192.0.2.1"));
        assert_eq!(base, fed(all, Some("a/1"), Some("192.0.2.1")));
        assert_eq!(base, fed(all, Some("a/1"), Some("::ffff:192.0.2.1")));
        for (agent, address) in [
            (Some("a/2"), Some("192.0.2.1")),
            (Some("a/1"), Some("192.0.2.2")),
            (None, Some("192.0.2.1")),
            (Some(""), Some("192.0.2.1")),
            (Some("a/1"), None),
            (Some("a/1"), Some("2001:db8::1")),
        ] {
            assert_ne!(base, fed(all, agent, address), "{agent:?} {address:?}");
        }
        assert_ne!(fed(all, None, None), fed(all, Some(""), None));
    }

    #[test]
    fn all_addresses_of_a_network_are_one_client() {
        let network = ClientIdentity::new().address(AddressPart::Network);
        let at = |address| fed(network, Some("a/1"), Some(address));
        assert_eq!(at("192.0.2.1"), at("192.0.2.254"));
        assert_ne!(at("192.0.2.1"), at("192.0.3.1"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    }

    #[test]
    fn parts_that_are_switched_off_do_not_matter() {
        let agent_only = ClientIdentity::new().address(AddressPart::Omit);
        assert_eq!(
            fed(agent_only, Some("a"), Some("192.0.2.1")),
            fed(agent_only, Some("a"), None)
        );
        let address_only = ClientIdentity::new().user_agent(false);
        assert_eq!(
            fed(address_only, Some("a"), None),
            fed(address_only, Some("b"), None)
        );
    }

    #[test]
    fn an_identity_has_29_bits() {
        assert_eq!(CLIENT, 0x1fff_ffff);
    }

    #[test]
    fn what_is_hashed_of_a_client_tells_all_its_parts_apart() {
        let all = ClientIdentity::new();
        let agent_only = all.address(AddressPart::Omit);
        let network = all.address(AddressPart::Network);
        let clients = [
            fed(all, Some("a"), Some("192.0.2.1")),
            fed(all, Some("a"), Some("192.0.2.0")),
            fed(network, Some("a"), Some("2001:db8::1")),
            fed(all, Some("a"), Some("2001:db8::1")),
            fed(all, Some("a"), Some("c000:200::")),
            fed(agent_only, Some("a"), Some("192.0.2.1")),
            fed(agent_only, Some("\0a"), None),
            fed(agent_only, Some("a\0"), None),
            fed(agent_only, Some(""), None),
            fed(agent_only, None, None),
        ];
        for (nth, client) in clients.iter().enumerate() {
            assert!(!clients[..nth].contains(client), "{nth}");
        }
    }

    #[test]
    fn each_mode_decides_about_a_changed_client() {
        use SessionProtection::*;
        for (mode, bound, expected) in [
            (None, 1, Verdict::Same),
            (None, 2, Verdict::Same),
            (Basic, 1, Verdict::Same),
            (Basic, 2, Verdict::Stale),
            (Strong, 1, Verdict::Same),
            (Strong, 2, Verdict::Over),
        ] {
            assert_eq!(judge(mode, bound, 1), expected, "{mode:?} {bound}");
        }
    }
}
