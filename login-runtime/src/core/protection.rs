//! Is this still the same browser?
//!
//! A login remembers a keyed hash over what is known of its client. The hash is a tripwire and no
//! credential: who steals a cookie can often imitate the browser too.

use std::net::IpAddr;

/// What happens to a login that shows up from another client.
///
/// A session without a login is never suspicious, whatever its client does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionProtection {
    /// Nothing. Pick it if the clients of your application change address and agent all the time,
    /// and stale logins bother them more than a stolen cookie would.
    None,
    /// The login becomes stale: it goes on, but pages that need a fresh login ask for credentials.
    /// The right choice for most applications.
    #[default]
    Basic,
    /// The login ends, and a remember cookie with it; other session data stay. Pick it where a
    /// login that ends too often does less harm than one that was stolen.
    Strong,
}

/// What of a client goes into its identity; see [`ClientIdentity::default`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    pub(crate) user_agent: bool,
    pub(crate) address: AddressPart,
}

/// How much of the peer address goes into a client's identity.
///
/// The address is that of the connection. `X-Forwarded-For` and its relatives are the client's own
/// text and never count (ASVS 4.1.3); behind a proxy the address says nothing, so leave it out there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressPart {
    /// None of it. Pick it behind a proxy, or for phones that move between networks.
    Omit,
    /// The network only: the first 24 bits of an IPv4 address, the first 64 of an IPv6 address.
    /// Pick it where providers hand out changing addresses.
    Network,
    /// All of it, as Flask-Login does.
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

    /// Whether the `User-Agent` header counts.
    #[must_use]
    pub const fn user_agent(mut self, counts: bool) -> Self {
        self.user_agent = counts;
        self
    }

    /// How much of the peer address counts.
    #[must_use]
    pub const fn address(mut self, part: AddressPart) -> Self {
        self.address = part;
        self
    }

    /// Feeds the chosen parts to `hash`, so that no part can be mistaken for another.
    pub(crate) fn feed(
        self,
        user_agent: Option<&[u8]>,
        address: Option<IpAddr>,
        mut hash: impl FnMut(&[u8]),
    ) {
        let user_agent = user_agent.filter(|_| self.user_agent);
        // A proxy that listens on IPv6 reports IPv4 peers as mapped addresses.
        let address = address.map(|address| address.to_canonical());
        // Always as long, and the agent last: a byte of it cannot become one of the address.
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

/// What protection says about a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same client, or nobody asked.
    Same,
    /// Another client: the login goes on, stale.
    Stale,
    /// Another client: the login is over.
    Over,
}

/// Compares the client a login was bound to with the client at hand.
pub(crate) fn judge(mode: SessionProtection, bound: u64, now: u64) -> Verdict {
    match mode {
        SessionProtection::None => Verdict::Same,
        _ if bound == now => Verdict::Same,
        SessionProtection::Basic => Verdict::Stale,
        SessionProtection::Strong => Verdict::Over,
    }
}

/// The bits that a client's identity has, nine digits: one stranger in 2^29 passes for the client.
/// Raising it makes sessions longer, and every byte of a session costs each request that carries it.
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
    fn a_network_forgives_its_neighbours_only() {
        let network = ClientIdentity::new().address(AddressPart::Network);
        let at = |address| fed(network, Some("a/1"), Some(address));
        assert_eq!(at("192.0.2.1"), at("192.0.2.254"));
        assert_ne!(at("192.0.2.1"), at("192.0.3.1"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    }

    #[test]
    fn parts_that_do_not_count_are_left_out() {
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
    fn each_mode_judges_a_changed_client_its_own_way() {
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
