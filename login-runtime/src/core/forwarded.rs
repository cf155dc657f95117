//! What the proxies in front of an application report about a request.
//!
//! Each proxy appends to a header what it knows about the side from which the request came to it, so the
//! right end is that of the nearest proxy, and everything left of what trusted proxies wrote is a text of the
//! client's choice. So a header is read from the right, and only as far as the proxies are trusted: nothing
//! that stands further left has any influence, however malformed it is. What a trusted proxy reports and
//! cannot be read ends the search: the address is then that of the proxy that reported it.

use std::{
    borrow::Cow,
    mem,
    net::{IpAddr, Ipv6Addr},
};

/// The longest element of a header that is read, in bytes. Raising it reads more of what unusual proxies
/// write; lowering it makes the work smaller that a client can cause.
const MAX_ELEMENT: usize = 512;

/// The most proxies that a request is followed through. Raising it follows longer chains; lowering it makes
/// the work smaller that a client can cause within the networks of the proxies.
const MAX_PROXIES: usize = 32;

/// The longest host name with its port, in bytes (RFC 1035 §2.3.4).
const MAX_HOST: usize = 255 + ":65535".len();

/// The longest path prefix, in bytes. It is repeated in each `Location`.
const MAX_PREFIX: usize = 256;

/// How many bits of an address precede the IPv4 address that it contains (RFC 4291 §2.5.5.2).
const MAPPED: u32 = 96;

/// A network, or a single address.
///
/// All addresses are compared as IPv6 addresses, so an IPv4 address and the IPv6 address that contains it
/// are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    first: u128,
    mask: u128,
}

impl Network {
    /// Reads an address (`192.0.2.1`, `2001:db8::1`) or a network in CIDR notation (`10.0.0.0/8`).
    ///
    /// # Errors
    ///
    /// What is wrong with the text, as the end of a sentence about it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const NONE: &str = "is neither an address nor a network; write `192.0.2.1`, or a network such as `10.0.0.0/8` or `fd00::/8`";
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NONE)?;
        let (before, max) = match address {
            IpAddr::V4(_) => (MAPPED, 32),
            IpAddr::V6(_) => (0, 128),
        };
        let len = match len {
            None => max,
            Some(len) if len.bytes().all(|byte| byte.is_ascii_digit()) => {
                len.parse().map_err(|_| NONE)?
            }
            Some(_) => return Err(NONE),
        };
        if len > max {
            return Err(
                "has more bits than its addresses have; write at most `/32` after an IPv4 address and `/128` after an IPv6 address",
            );
        }
        let len = before + len;
        // The shift by all bits would be an overflow.
        let mask = u128::MAX.checked_shl(128 - len).unwrap_or(0);
        let first = bits(address);
        let every_v4 = bits(IpAddr::from([0, 0, 0, 0]));
        if len <= MAPPED && every_v4 & mask == first & mask {
            return Err(
                "contains every IPv4 address, so every client could name any address; list the networks of your proxies, or count the proxies with `TrustedProxies::hops(..)`",
            );
        }
        if first & !mask != 0 {
            return Err(
                "has bits that its length leaves out; write the first address of the network, such as `10.0.0.0/8`, or a single address without a length",
            );
        }
        Ok(Self { first, mask })
    }

    /// Whether the address is in this network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.first
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Which proxies are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// This many, whatever their addresses are.
    Hops(usize),
    /// Those with an address in one of these networks.
    Networks(Vec<Network>),
}

impl Trust {
    /// Whether the proxy with this address is trusted; `passed` trusted proxies are nearer.
    fn covers(&self, passed: usize, address: Option<IpAddr>) -> bool {
        match self {
            Self::Hops(hops) => passed < *hops,
            Self::Networks(networks) => address
                .is_some_and(|address| networks.iter().any(|network| network.contains(address))),
        }
    }

    /// Goes back from the peer of the connection to the first address that is not that of a trusted proxy.
    ///
    /// `reported` has the address that each proxy reports, that of the nearest first; `None` if it cannot be
    /// read. Returns the address, and how many trusted proxies the request came through.
    pub(crate) fn follow(
        &self,
        peer: Option<IpAddr>,
        reported: impl Iterator<Item = Option<IpAddr>>,
    ) -> (Option<IpAddr>, usize) {
        let mut reported = reported.take(MAX_PROXIES);
        let (mut address, mut passed) = (peer, 0);
        while self.covers(passed, address) {
            let Some(next) = reported.next() else {
                // A proxy that asks by itself. Any other that reports nothing may be a client.
                passed = passed.max(1);
                break;
            };
            passed += 1;
            match next {
                Some(next) => address = Some(next),
                None => break,
            }
        }
        (address, passed)
    }
}

/// The elements of one line of a header, the last first. Of an element that cannot be found, the iterator
/// returns `None`, and then ends.
#[derive(Clone, Debug)]
pub(crate) struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    /// Whether a comma in a quoted string separates nothing.
    quotes: bool,
}

impl<'a> FromRight<'a> {
    /// The elements of a list without quoted strings, as in `X-Forwarded-For`.
    pub(crate) fn plain(line: &'a [u8]) -> Self {
        let (rest, quotes) = (Some(line), false);
        Self { rest, quotes }
    }

    /// The elements of a list with quoted strings, as in `Forwarded`.
    pub(crate) fn quoted(line: &'a [u8]) -> Self {
        let (rest, quotes) = (Some(line), true);
        Self { rest, quotes }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.take()?;
        let mut is_quoted = false;
        let mut start = 0;
        for (at, byte) in line.iter().enumerate().rev() {
            if line.len() - at > MAX_ELEMENT {
                return Some(None);
            }
            match byte {
                b',' if !is_quoted => {
                    self.rest = line.get(..at);
                    start = at + 1;
                    break;
                }
                // Seen from the right, a quoted string ends at its first quote that has no backslash.
                b'"' if self.quotes => is_quoted = !is_quoted || follows_backslash(line, at),
                _ => {}
            }
        }
        if is_quoted {
            return Some(None);
        }
        let element = line.get(start..).and_then(|line| str::from_utf8(line).ok());
        Some(element.map(|element| element.trim_matches([' ', '\t'])))
    }
}

/// Whether a backslash precedes a quote. There is no need to count backslashes: none precedes a quote that
/// starts a string, because `=` does.
fn follows_backslash(line: &[u8], at: usize) -> bool {
    line.get(..at).is_some_and(|before| before.ends_with(b"\\"))
}

/// The elements of all lines of a header, the last first; `lines` come in this order, too.
///
/// An element that cannot be read is the last one. Which proxies have written what stands left of it is not
/// known: where a client has sent a line of its own, it would be taken for that of a proxy.
pub(crate) fn elements<'a>(
    lines: impl Iterator<Item = FromRight<'a>>,
) -> impl Iterator<Item = Option<&'a str>> {
    lines.flatten().scan(false, |is_over, element| {
        let is_over = mem::replace(is_over, element.is_none());
        (!is_over).then_some(element)
    })
}

/// The address in an element of `X-Forwarded-For`: with or without a port, an IPv6 address with or without
/// brackets.
pub(crate) fn plain_address(element: &str) -> Option<IpAddr> {
    let bare = element.parse::<IpAddr>().ok();
    bare.or_else(|| node(element)).map(|it| it.to_canonical())
}

/// The address of a node of `Forwarded` (RFC 7239 §6). `None` also for `unknown` and for an obfuscated
/// identifier, which name no address.
fn node(text: &str) -> Option<IpAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, port) = text.split_once(']')?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':')?),
            };
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => {
            let (address, port) = match text.split_once(':') {
                Some((address, port)) => (address, Some(port)),
                None => (text, None),
            };
            (IpAddr::V4(address.parse().ok()?), port)
        }
    };
    port.is_none_or(is_port).then(|| address.to_canonical())
}

/// Whether a text is a port, which may be obfuscated (RFC 7239 §6.3).
fn is_port(text: &str) -> bool {
    let is_hidden = |name: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !name.is_empty() && name.bytes().all(is_allowed)
    };
    match text.strip_prefix('_') {
        Some(name) => is_hidden(name),
        None => is_number(text),
    }
}

/// Whether a text is the number of a port.
fn is_number(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

/// What one proxy reports in its element of `Forwarded` (RFC 7239 §4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report<'a> {
    /// `for`: the address from which the request came to the proxy.
    pub(crate) address: Option<IpAddr>,
    /// `proto`.
    pub(crate) scheme: Option<Scheme>,
    /// `host`: the `Host` header that the proxy got.
    pub(crate) host: Option<Cow<'a, str>>,
}

impl<'a> Report<'a> {
    /// Reads an element. `None` if it breaks the grammar, or has a parameter twice.
    pub(crate) fn parse(element: &'a str) -> Option<Self> {
        const NAMES: [&str; 4] = ["for", "by", "proto", "host"];
        let mut seen = [false; NAMES.len()];
        let mut report = Self::default();
        let mut rest = Some(element);
        while let Some(text) = rest {
            let pair;
            (pair, rest) = first_pair(text);
            if pair.is_empty() {
                continue;
            }
            let (name, value) = pair.split_once('=')?;
            let value = unquoted(value)?;
            if !is_token(name) {
                return None;
            }
            let mut known = NAMES.iter().zip(&mut seen);
            let Some((name, seen)) = known.find(|(known, _)| known.eq_ignore_ascii_case(name))
            else {
                continue;
            };
            if mem::replace(seen, true) {
                return None;
            }
            match *name {
                "for" => report.address = node(&value),
                "proto" => report.scheme = Scheme::parse(&value),
                "host" => report.host = Some(value).filter(|host| is_host(host)),
                _ => {}
            }
        }
        Some(report)
    }
}

/// The text up to the first semicolon that is not in a quoted string, and the text after it.
fn first_pair(text: &str) -> (&str, Option<&str>) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = text.bytes().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            // Outside of a quoted string, no pair may have a backslash.
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b';' => return !is_quoted,
            _ => {}
        }
        false
    });
    let (pair, after) = match end.and_then(|end| text.split_at_checked(end)) {
        Some((pair, after)) => (pair, after.get(1..)),
        None => (text, None),
    };
    (pair.trim_matches([' ', '\t']), after)
}

/// A token, or the content of a quoted string (RFC 9110 §5.6).
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else {
        // An address or a host with a port has to be quoted, but many proxies do not quote it.
        let is_allowed = is_token(value) || is_host(value);
        return is_allowed.then_some(Cow::Borrowed(value));
    };
    let content = quoted.strip_suffix('"')?;
    if !content.contains(['\\', '"']) {
        return Some(Cow::Borrowed(content));
    }
    let mut text = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => text.push(chars.next()?),
            char => text.push(char),
        }
    }
    Some(Cow::Owned(text))
}

fn is_token(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// How a client reached the outermost proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Some proxies report the handshake of a WebSocket by the scheme of WebSockets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is = |name: &str| text.eq_ignore_ascii_case(name);
        if is("https") || is("wss") {
            Some(Self::Https)
        } else if is("http") || is("ws") {
            Some(Self::Http)
        } else {
            None
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Whether a text is a host, with or without a port, that cannot be taken for anything else in an address.
pub(crate) fn is_host(text: &str) -> bool {
    if text.len() > MAX_HOST {
        return false;
    }
    let (is_name, port) = match text.strip_prefix('[') {
        Some(text) => match text.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let is_name = !name.is_empty() && !name.starts_with('.') && !name.contains("..");
            (is_name && name.bytes().all(is_allowed), port)
        }
    };
    is_name && (port.is_empty() || port.strip_prefix(':').is_some_and(is_number))
}

/// The path prefix that a proxy has cut off, without a slash at its end; empty for `/`. `None` if it could
/// be anything else than directories of this host: it has an empty directory, `.`, `..`, an escape, or a
/// character that addresses give a meaning.
pub(crate) fn prefix(text: &str) -> Option<&str> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    let is_directory = |directory: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(directory, "" | "." | "..") && directory.bytes().all(is_allowed)
    };
    let is_path = match prefix.strip_prefix('/') {
        Some(directories) => directories.split('/').all(is_directory),
        None => text == "/",
    };
    (is_path && prefix.len() <= MAX_PREFIX).then_some(prefix)
}

/// The prefix in a list to which each proxy appends what it cuts off: one after the other, the outermost
/// first. `elements` come from the right. Empty if one of them is malformed.
pub(crate) fn joined_prefix<'a>(elements: impl Iterator<Item = Option<&'a str>>) -> Cow<'a, str> {
    let mut joined = Cow::Borrowed("");
    for element in elements {
        let Some(inner) = element.and_then(prefix) else {
            return Cow::Borrowed("");
        };
        joined = match (&*joined, inner) {
            ("", inner) => Cow::Borrowed(inner),
            (_, "") => joined,
            (outer, inner) => Cow::Owned(format!("{inner}{outer}")),
        };
        if joined.len() > MAX_PREFIX {
            return Cow::Borrowed("");
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn networks(texts: &[&str]) -> Trust {
        let networks = texts.iter().map(|text| Network::parse(text).unwrap());
        Trust::Networks(networks.collect())
    }

    /// The client behind `X-Forwarded-For` lines, the first line first.
    fn client(trust: &Trust, peer: Option<&str>, lines: &[&str]) -> (Option<IpAddr>, usize) {
        let lines = lines.iter().rev();
        let elements = elements(lines.map(|line| FromRight::plain(line.as_bytes())));
        let found = elements.map(|element| plain_address(element?));
        trust.follow(peer.map(address), found)
    }

    fn check(trust: &Trust, lines: &[&str], expected: &str) {
        let (found, _) = client(trust, Some("10.0.0.1"), lines);
        assert_eq!(found, Some(address(expected)), "{trust:?} {lines:?}");
    }

    #[test]
    fn what_a_client_writes_left_of_the_proxys_entry_has_no_influence() {
        for trust in [networks(&["10.0.0.0/8"]), Trust::Hops(1)] {
            for spoofed in [
                "198.51.100.7",
                "198.51.100.7, 10.0.0.9",
                "127.0.0.1",
                "unknown",
                "_hidden",
                "",
                ",",
                ",,,",
                "\"",
                "for=198.51.100.7",
                "198.51.100.7:80",
                "[2001:db8::7]:443",
                "\u{e4}\u{f6}",
                "198.51.100.7;",
                "a\\\"b",
            ] {
                let appended = format!("{spoofed}, 203.0.113.5");
                check(&trust, &[&appended], "203.0.113.5");
                check(&trust, &[spoofed, "203.0.113.5"], "203.0.113.5");
                check(&trust, &[spoofed, spoofed, " 203.0.113.5\t"], "203.0.113.5");
            }
        }
    }

    #[test]
    fn what_a_trusted_proxy_reports_and_cannot_be_read_leaves_the_address_of_that_proxy() {
        let trust = networks(&["10.0.0.0/8"]);
        let long = format!("203.0.113.5,{:600}10.0.0.2", "");
        for unreadable in [
            "",
            " ",
            "203.0.113.5,",
            "203.0.113.5, ",
            "unknown",
            "_hidden",
            "203.0.113.5, garbage",
            "203.0.113.256",
            "203.0.113",
            "203.0.113.05",
            "0xcb.0.113.5",
            "203.0.113.5:",
            "203.0.113.5:123456",
            "203.0.113.5:70000",
            "203.0.113.5:+80",
            "203.0.113.5:000080",
            "203.0.113.5:_",
            "203.0.113.5:_a/b",
            "203.0.113.5 203.0.113.6",
            "2001:db8::1:443:::",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[203.0.113.5]",
            "fe80::1%eth0",
            "\"203.0.113.5\"",
            "for=203.0.113.5",
            "example.com",
            "\u{661}.1.1.1",
            &long,
        ] {
            check(&trust, &[unreadable], "10.0.0.1");
            // One proxy further out.
            let far = format!("{unreadable}, 10.0.0.2");
            check(&trust, &[&far], "10.0.0.2");
            check(&Trust::Hops(2), &[&far], "10.0.0.2");
        }
        check(&trust, &[], "10.0.0.1");
    }

    #[test]
    fn an_address_may_have_a_port_and_brackets() {
        for (text, expected) in [
            ("203.0.113.5", "203.0.113.5"),
            ("203.0.113.5:80", "203.0.113.5"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8::0:1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("203.0.113.5:_a.b-c_1", "203.0.113.5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("[::ffff:cb00:7105]:1", "203.0.113.5"),
        ] {
            assert_eq!(plain_address(text), Some(address(expected)), "{text}");
        }
    }

    #[test]
    fn a_request_is_followed_through_trusted_proxies_only() {
        let far = ["198.51.100.7, 203.0.113.5, 10.0.0.3, 10.0.0.2"];
        let inner = networks(&["10.0.0.0/8"]);
        check(&inner, &far, "203.0.113.5");
        check(&networks(&["10.0.0.1"]), &far, "10.0.0.2");
        check(&networks(&["192.0.2.0/24"]), &far, "10.0.0.1");
        check(
            &networks(&["10.0.0.0/8", "203.0.113.5"]),
            &far,
            "198.51.100.7",
        );
        for (hops, expected) in [
            (1, "10.0.0.2"),
            (2, "10.0.0.3"),
            (3, "203.0.113.5"),
            (4, "198.51.100.7"),
            // Nearer than the outermost proxy.
            (5, "198.51.100.7"),
            (usize::MAX, "198.51.100.7"),
        ] {
            check(&Trust::Hops(hops), &far, expected);
        }
        let passed = |trust: &Trust, lines: &[&str]| client(trust, Some("10.0.0.1"), lines).1;
        assert_eq!(passed(&inner, &far), 3);
        assert_eq!(passed(&inner, &[]), 1);
        assert_eq!(passed(&networks(&["192.0.2.1"]), &far), 0);
        assert_eq!(passed(&Trust::Hops(2), &["203.0.113.5"]), 1);
        // The proxy that reports it was passed, too.
        assert_eq!(passed(&inner, &["unknown"]), 1);
        assert_eq!(passed(&inner, &["unknown, 10.0.0.2"]), 2);
    }

    #[test]
    fn a_peer_without_an_address_is_trusted_only_by_its_number() {
        let lines = ["203.0.113.5"];
        let found = |trust| client(&trust, None, &lines).0;
        assert_eq!(found(networks(&["10.0.0.0/8"])), None);
        assert_eq!(found(Trust::Hops(1)), Some(address("203.0.113.5")));
        assert_eq!(client(&Trust::Hops(1), None, &["unknown"]).0, None);
    }

    #[test]
    fn a_long_chain_ends() {
        let line = vec!["10.0.0.2"; 100_000].join(",");
        let (found, passed) = client(&networks(&["10.0.0.0/8"]), Some("10.0.0.1"), &[&line]);
        assert_eq!(found, Some(address("10.0.0.2")));
        assert_eq!(passed, MAX_PROXIES);
    }

    #[test]
    fn a_network_contains_its_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.0/31", "192.0.2.1", "192.0.2.2"),
            ("128.0.0.0/1", "255.0.0.0", "127.0.0.1"),
            ("0.0.0.0/1", "127.0.0.1", "128.0.0.0"),
            ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"),
            ("::1", "::1", "127.0.0.1"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("8000::/1", "ffff::", "192.0.2.1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(address(inside)), "{network:?} {inside}");
            assert!(!network.contains(address(outside)), "{network:?} {outside}");
        }
    }

    #[test]
    fn a_text_that_is_no_network_is_refused() {
        for (text, why) in [
            ("", "neither"),
            ("localhost", "neither"),
            ("10.0.0", "neither"),
            ("10.0.0.0/", "neither"),
            ("10.0.0.0/+8", "neither"),
            ("10.0.0.0/255.0.0.0", "neither"),
            ("10.0.0.0/8/8", "neither"),
            ("10.0.0.0/99999999999", "neither"),
            (" 10.0.0.0/8", "neither"),
            ("10.0.0.0/33", "more bits"),
            ("::1/129", "more bits"),
            ("10.0.0.1/8", "leaves out"),
            ("2001:db8::1/32", "leaves out"),
            ("0.0.0.0/0", "every IPv4"),
            ("10.0.0.0/0", "every IPv4"),
            ("::/0", "every IPv4"),
            ("::/8", "every IPv4"),
            ("::ffff:0.0.0.0/96", "every IPv4"),
        ] {
            let error = Network::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    fn reports(line: &str) -> Vec<Option<Report<'_>>> {
        FromRight::quoted(line.as_bytes())
            .map(|element| element.and_then(Report::parse))
            .collect()
    }

    fn first(line: &str) -> Option<Report<'_>> {
        reports(line).into_iter().next().unwrap()
    }

    #[test]
    fn an_element_of_forwarded_is_read_in_each_of_its_forms() {
        for (line, expected) in [
            ("for=203.0.113.5", Some("203.0.113.5")),
            ("For=203.0.113.5", Some("203.0.113.5")),
            ("for=\"203.0.113.5\"", Some("203.0.113.5")),
            ("for=\"203.0.113.5:80\"", Some("203.0.113.5")),
            ("for=203.0.113.5:80", Some("203.0.113.5")),
            ("for=\"203.0.113.5:_port\"", Some("203.0.113.5")),
            ("for=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("for=[2001:db8::1]", Some("2001:db8::1")),
            ("for=\"[::ffff:203.0.113.5]\"", Some("203.0.113.5")),
            ("for=\"\\203.0.113.5\"", Some("203.0.113.5")),
            (
                "proto=https;for=203.0.113.5;by=10.0.0.1",
                Some("203.0.113.5"),
            ),
            ("for=203.0.113.5; proto=https", Some("203.0.113.5")),
            ("proto=https ; for=203.0.113.5", Some("203.0.113.5")),
            ("host=a.test:80;for=203.0.113.5", Some("203.0.113.5")),
            ("for=203.0.113.5;;ext=\"a,b;c=\\\"d\"", Some("203.0.113.5")),
            ("ext=\"a\\\";b\";for=203.0.113.5", Some("203.0.113.5")),
            // No address, but well-formed.
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=\"_hidden:80\"", None),
            ("for=2001:db8::1", None),
            ("for=\"2001:db8::1\"", None),
            ("for=\"[2001:db8::1\"", None),
            ("for=\"\"", None),
            ("proto=https", None),
            ("", None),
            // Malformed.
            ("for", None),
            ("for=", None),
            ("=203.0.113.5", None),
            ("for=203.0.113.5;for=203.0.113.6", None),
            ("for=203.0.113.5;FOR=203.0.113.5", None),
            ("for=203.0.113.5 proto=https", None),
            ("for = 203.0.113.5", None),
            ("for=\"203.0.113.5", None),
            ("for=203.0.113.5\"", None),
            ("for=\"203.0.113.5\"x", None),
            ("for=\"203.0.113.5\\\"", None),
            ("f\"or=203.0.113.5", None),
            ("for=203.0.113.5:_port", None),
            ("for=203.0.113.5;secure", None),
            ("for=203.0.113.5;x=", None),
            ("for=203.0.113.5;=x", None),
            ("for=203.0.113.5;x=a b", None),
            ("for=203.0.113.5;a b=x", None),
            ("for=203.0.113.5;x=\"a\"\"b\"", None),
            ("for=203.0.113.5;x=\"\\\"", None),
            ("for=203.0.113.5;x=\\\"a\"", None),
            ("x=\\;for=203.0.113.5", None),
            ("for=203.0.113.5;by=10.0.0.1;by=10.0.0.2", None),
        ] {
            let found = first(line).and_then(|report| report.address);
            assert_eq!(found, expected.map(address), "{line}");
        }
        let report = first("for=192.0.2.1;host=\"example.com:8443\";proto=HTTPS").unwrap();
        assert_eq!(report.host.as_deref(), Some("example.com:8443"));
        assert_eq!(report.scheme, Some(Scheme::Https));
        let report = first("host=\"evil.test/\\\\\";proto=ftp").unwrap();
        assert_eq!(report, Report::default());
        // Also where the caller has not looked for the end of the quoted string.
        assert_eq!(Report::parse("for=\"203.0.113.5"), None);
    }

    #[test]
    fn a_quote_of_the_client_does_not_reach_into_the_proxys_element() {
        for spoofed in [
            "for=\"",
            "for=\"198.51.100.7",
            "for=\"\\",
            "for=\"\\\"",
            "\"\"\"",
            "for=198.51.100.7;host=\"",
            "\\",
        ] {
            for appended in [
                "for=203.0.113.5",
                "for=\"203.0.113.5\"",
                "for=\"203.0.113.5:80\";proto=https",
            ] {
                let line = format!("{spoofed}, {appended}");
                let found = first(&line).and_then(|report| report.address);
                assert_eq!(found, Some(address("203.0.113.5")), "{line}");
            }
        }
    }

    #[test]
    fn the_elements_of_a_line_are_separated_by_its_commas_outside_of_quotes() {
        let line = b"a=\"1,2\", b=\"x\\\",y\" ,, c";
        let found: Vec<_> = FromRight::quoted(line).map(Option::unwrap).collect();
        assert_eq!(found, ["c", "", "b=\"x\\\",y\"", "a=\"1,2\""]);
        let found: Vec<_> = FromRight::plain(b" a\t,\"b,c\" ")
            .map(Option::unwrap)
            .collect();
        assert_eq!(found, ["c\"", "\"b", "a"]);
        // Neither is found.
        let long = vec![b'x'; MAX_ELEMENT + 1];
        assert_eq!(FromRight::plain(&long).collect::<Vec<_>>(), [None]);
        let fits = FromRight::plain(&long[1..]).next().unwrap();
        assert_eq!(fits.unwrap().len(), MAX_ELEMENT);
        let open = FromRight::quoted(b"b, \"a");
        assert_eq!(open.collect::<Vec<_>>(), [None]);
        assert_eq!(FromRight::plain(b"a, \xff").next(), Some(None));
    }

    #[test]
    fn an_element_that_cannot_be_read_hides_the_lines_before_it() {
        let long = format!("203.0.113.5,{}", "a".repeat(MAX_ELEMENT + 1));
        let lines = ["198.51.100.7", "a, b", &long, "10.0.0.3, 10.0.0.2"];
        let found = |lines: &[&str]| -> Vec<_> {
            let lines = lines.iter().rev();
            let found = elements(lines.map(|line| FromRight::plain(line.as_bytes())));
            found.map(|element| element.map(str::to_owned)).collect()
        };
        let near = ["10.0.0.2", "10.0.0.3"].map(|it| Some(it.to_owned()));
        assert_eq!(found(&lines), [&near[..], &[None]].concat());
        let readable = ["b", "a", "198.51.100.7"].map(|it| Some(it.to_owned()));
        assert_eq!(found(&lines[..2]), readable);
        let not_utf8 = [&b"203.0.113.5, \xff"[..], b"198.51.100.7"].map(FromRight::plain);
        assert_eq!(elements(not_utf8.into_iter()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn a_scheme_is_that_of_pages_or_of_websockets() {
        for (text, expected) in [
            ("http", Some(Scheme::Http)),
            ("HTTP", Some(Scheme::Http)),
            ("ws", Some(Scheme::Http)),
            ("https", Some(Scheme::Https)),
            ("Https", Some(Scheme::Https)),
            ("wss", Some(Scheme::Https)),
            ("", None),
            ("ftp", None),
            ("https:", None),
            ("http, https", None),
        ] {
            assert_eq!(Scheme::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for good in [
            "example.com",
            "EXAMPLE.com.",
            "a_b.test",
            "localhost:8080",
            "192.0.2.1",
            "[2001:db8::1]",
            "[::1]:8443",
            &"a".repeat(MAX_HOST),
        ] {
            assert!(is_host(good), "{good}");
        }
        let long = "a".repeat(MAX_HOST + 1);
        for bad in [
            "",
            ":80",
            ".test",
            "a..test",
            "user@evil.test",
            "evil.test/",
            "evil.test?x",
            "evil.test#x",
            "evil.test\\x",
            "evil.test:",
            "evil.test:80:80",
            "evil.test:port",
            "evil.test:99999",
            "evil.test:000080",
            "evil test",
            "evil.test\r\nx: y",
            "evil.test,app.test",
            "[::1",
            "[::1]x",
            "[::1]80",
            "[192.0.2.1]",
            "[evil]",
            "%65vil.test",
            "\u{e4}.test",
            &long,
        ] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_prefix_is_plain_directories_of_this_host() {
        for (text, expected) in [
            ("/app", "/app"),
            ("/app/", "/app"),
            ("/", ""),
            ("/a/b-c/d_e/~f/1.2", "/a/b-c/d_e/~f/1.2"),
            ("/...", "/..."),
        ] {
            assert_eq!(prefix(text), Some(expected), "{text}");
        }
        let long = format!("/{}", "a".repeat(MAX_PREFIX));
        let longest = long.split_at(MAX_PREFIX).0;
        assert_eq!(prefix(longest), Some(longest));
        for bad in [
            "",
            "app",
            "//evil.test",
            "//",
            "///",
            "/app//",
            "/app//x",
            "/\\evil.test",
            "/app\\",
            "/.",
            "/..",
            "/../app",
            "/app/..",
            "/app/./x",
            "/%2e%2e",
            "/%2Fevil.test",
            "/app?x=y",
            "/app#x",
            "/app;x",
            "/app:x",
            "/a b",
            "/app\r\nset-cookie: a=b",
            "/\t/evil.test",
            "/\u{fc}",
            "http://evil.test",
            &long,
        ] {
            assert_eq!(prefix(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn prefixes_of_several_proxies_are_joined_from_the_outermost() {
        let joined = |elements: &[&'static str]| {
            let elements = elements.iter().rev().map(|element| Some(*element));
            joined_prefix(elements).into_owned()
        };
        assert_eq!(joined(&[]), "");
        assert_eq!(joined(&["/app"]), "/app");
        assert_eq!(joined(&["/outer", "/inner/"]), "/outer/inner");
        assert_eq!(joined(&["/outer", "/", "/inner"]), "/outer/inner");
        assert_eq!(joined(&["/outer", "//evil.test"]), "");
        assert_eq!(joined(&["..", "/inner"]), "");
        let half = format!("/{}", "a".repeat(MAX_PREFIX / 2 - 1));
        let longest = format!("{half}{half}");
        let joined = |outer| joined_prefix([Some(&*half), Some(outer)].into_iter()).into_owned();
        assert_eq!(joined(&*half), longest);
        assert_eq!(joined(&*format!("{half}a")), "");
        assert_eq!(joined_prefix([Some("/app"), None].into_iter()), "");
    }
}
