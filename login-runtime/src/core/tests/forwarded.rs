//! What proxies report, compared with the way that a request really took, and with readers that go from left
//! to right.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use proptest::{collection::vec, option, prelude::*, sample::select};
use url::Url;

use super::config;
use crate::core::forwarded::{
    FromRight, Network, Report, Scheme, Trust, elements, is_host, joined_prefix, plain_address,
    prefix,
};

const NETWORKS: [&str; 2] = ["10.0.0.0/8", "fd00::/8"];

fn trusted() -> Trust {
    Trust::Networks(NETWORKS.map(|text| Network::parse(text).unwrap()).to_vec())
}

fn any_proxy() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
        any::<u64>()
            .prop_map(|end| IpAddr::from(Ipv6Addr::from_bits(0xfd << 120 | u128::from(end)))),
    ]
}

fn any_client() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical());
    prop_oneof![v4, v6].prop_filter("a client is no proxy", |address| {
        NETWORKS
            .iter()
            .all(|text| !Network::parse(text).unwrap().contains(*address))
    })
}

/// Lines that a client has made up.
fn any_lines() -> impl Strategy<Value = Vec<String>> {
    const PIECES: &[&str] = &[
        ",",
        "\"",
        "\\",
        ";",
        "=",
        " ",
        "\t",
        "for=",
        "For=\"",
        "unknown",
        "_hidden",
        "10.0.0.1",
        "198.51.100.7",
        "[2001:db8::7]:80",
        "fd00::1",
        "proto=https",
        "host=evil.test",
        "é",
        "x",
    ];
    let line = vec(select(PIECES), 0..8).prop_map(|pieces| pieces.concat());
    vec(line, 0..3)
}

/// How a proxy writes what it has to report.
#[derive(Clone, Copy, Debug)]
struct Hand {
    own_line: bool,
    space: &'static str,
    port: bool,
    quoted: bool,
    upper: bool,
}

fn any_hand() -> impl Strategy<Value = Hand> {
    let space = select(&["", " ", "\t", "  "][..]);
    (any::<[bool; 4]>(), space).prop_map(|([own_line, port, quoted, upper], space)| Hand {
        own_line,
        space,
        port,
        quoted,
        upper,
    })
}

impl Hand {
    fn append(self, lines: &mut Vec<String>, element: &str) {
        let Self {
            own_line, space, ..
        } = self;
        match lines.last_mut() {
            Some(line) if !own_line => line.push_str(&format!("{space},{space}{element}{space}")),
            _ => lines.push(format!("{space}{element}")),
        }
    }

    fn node(self, address: IpAddr) -> String {
        let port = if self.port { ":4711" } else { "" };
        match address {
            IpAddr::V4(v4) => format!("{v4}{port}"),
            IpAddr::V6(v6) => format!("[{v6}]{port}"),
        }
    }

    fn plain(self, address: IpAddr) -> String {
        match address {
            IpAddr::V6(v6) if !self.port && self.quoted => v6.to_string(),
            _ => self.node(address),
        }
    }

    fn forwarded(self, address: IpAddr) -> String {
        let node = self.node(address);
        let is_quoted = self.quoted || node.contains(['[', ':']);
        let name = if self.upper { "For" } else { "for" };
        let value = if is_quoted {
            format!("\"{node}\"")
        } else {
            node
        };
        format!("proto=https;{name}={value};host=\"a\\\"b,c\"")
    }
}

/// A list element as an application of RFC 7239 writes it: names, and values with what is quoted.
fn any_pairs() -> impl Strategy<Value = Vec<(String, String, bool)>> {
    let name = prop_oneof![
        3 => select(&["for", "by", "proto", "host", "FOR", "Host"][..]).prop_map(str::to_owned),
        1 => "[a-z!#$%&'*+.^_`|~-]{1,6}",
    ];
    let value = prop_oneof![
        3 => "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,10}",
        2 => "[ -~]{0,12}",
        1 => Just("192.0.2.1:80".to_owned()),
        1 => Just("[2001:db8::1]".to_owned()),
        1 => select(&["http", "https", "app.test:8443"][..]).prop_map(str::to_owned),
    ];
    vec((name, value, any::<bool>()), 1..5)
}

fn write(pairs: &[(String, String, bool)]) -> String {
    let is_token = |text: &str| {
        let is_allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(is_allowed)
    };
    let pairs = pairs.iter().map(|(name, value, is_quoted)| {
        if *is_quoted || !is_token(value) {
            format!(
                "{name}=\"{}\"",
                value.replace('\\', "\\\\").replace('"', "\\\"")
            )
        } else {
            format!("{name}={value}")
        }
    });
    pairs.collect::<Vec<_>>().join(" ; ")
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_a_client_writes_its_own_address_is_found(
        client in any_client(),
        proxies in vec((any_proxy(), any_hand()), 1..6),
        by_client in any_lines(),
    ) {
        let (mut plain, mut forwarded) = (by_client.clone(), by_client);
        let mut address = client;
        for (proxy, hand) in &proxies {
            hand.append(&mut plain, &hand.plain(address));
            hand.append(&mut forwarded, &hand.forwarded(address));
            address = *proxy;
        }
        let (peer, passed) = (Some(address), proxies.len());
        for trust in [trusted(), Trust::Hops(passed)] {
            let lines = plain.iter().rev().map(|line| FromRight::plain(line.as_bytes()));
            let reported = elements(lines).map(|element| plain_address(element?));
            assert_eq!(trust.follow(peer, reported), (Some(client), passed), "{plain:?}");
            let lines = forwarded.iter().rev().map(|line| FromRight::quoted(line.as_bytes()));
            let reported = elements(lines).map(|element| Report::parse(element?)?.address);
            assert_eq!(trust.follow(peer, reported), (Some(client), passed), "{forwarded:?}");
        }
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_the_client(client in any_client(), by_client in any_lines()) {
        let lines = by_client.iter().rev().map(|line| FromRight::plain(line.as_bytes()));
        let reported = elements(lines).map(|element| plain_address(element?));
        assert_eq!(trusted().follow(Some(client), reported), (Some(client), 0));
    }

    #[test]
    fn a_list_is_read_from_the_right_as_it_was_written_from_the_left(
        written in vec((any_pairs(), select(&["", " ", "\t "][..])), 1..6),
    ) {
        let texts: Vec<_> = written.iter().map(|(pairs, _)| write(pairs)).collect();
        let line: Vec<_> = texts.iter().zip(&written).map(|(text, (_, space))| format!("{space}{text}{space}")).collect();
        let line = line.join(",");
        let found: Vec<_> = FromRight::quoted(line.as_bytes()).collect();
        let expected: Vec<_> = texts.iter().rev().map(|text| Some(text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_element_says_what_was_written_into_it(pairs in any_pairs()) {
        let text = write(&pairs);
        let known = |name: &str| {
            let mut found = pairs.iter().filter(|(other, ..)| other.eq_ignore_ascii_case(name));
            (found.next().map(|(_, value, _)| value.as_str()), found.next().is_some())
        };
        let is_twice = ["for", "by", "proto", "host"].iter().any(|name| known(name).1);
        let expected = (!is_twice).then(|| Report {
            address: known("for").0.and_then(|value| match value {
                "192.0.2.1:80" => Some(IpAddr::from([192, 0, 2, 1])),
                "[2001:db8::1]" => Some("2001:db8::1".parse().unwrap()),
                _ => value.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            }),
            scheme: known("proto").0.and_then(|value| match value.to_lowercase().as_str() {
                "http" | "ws" => Some(Scheme::Http),
                "https" | "wss" => Some(Scheme::Https),
                _ => None,
            }),
            host: known("host").0.filter(|value| is_host(value)).map(Cow::Borrowed),
        });
        assert_eq!(Report::parse(&text), expected, "{text}");
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_first_bits(
        first in any::<u128>(),
        len in 1_usize..=128,
        other in option::of(any::<u128>()),
        flipped in option::of(0_usize..128),
    ) {
        let digits = |bits: u128| format!("{bits:0128b}");
        let first = first >> (128 - len) << (128 - len);
        // Another address, or the first one with another bit.
        let other = other.unwrap_or(first) ^ flipped.map_or(0, |at| 1 << at);
        let text = format!("{}/{len}", Ipv6Addr::from_bits(first));
        // One that contains every IPv4 address is refused.
        let every_v4 = digits(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().to_bits());
        let is_refused = len <= 96 && digits(first)[..len] == every_v4[..len];
        match Network::parse(&text) {
            Ok(network) => {
                assert!(!is_refused, "{text}");
                let expected = digits(first)[..len] == digits(other)[..len];
                assert_eq!(network.contains(Ipv6Addr::from_bits(other).into()), expected, "{text}");
            }
            Err(why) => assert!(is_refused, "{text} {why}"),
        }
    }

    #[test]
    fn a_network_of_ipv4_contains_the_addresses_with_its_first_bits(
        first in any::<u32>(),
        len in 1_usize..=32,
        flipped in option::of(0_usize..32),
        is_mapped in any::<bool>(),
    ) {
        let first = first >> (32 - len) << (32 - len);
        let other = Ipv4Addr::from_bits(first ^ flipped.map_or(0, |at| 1 << at));
        let network = Network::parse(&format!("{}/{len}", Ipv4Addr::from_bits(first))).unwrap();
        // Bits are counted from the right.
        let expected = flipped.is_none_or(|at| at < 32 - len);
        let other = if is_mapped { IpAddr::from(other.to_ipv6_mapped()) } else { other.into() };
        assert_eq!(network.contains(other), expected);
    }

    #[test]
    fn a_host_is_taken_for_nothing_else(text in "[-a-zA-Z0-9._:@/?#%\\[\\]]{0,12}(:[0-9]{0,6})?") {
        if !is_host(&text) {
            return Ok(());
        }
        // A browser refuses some, such as the address `1.2.3.400`.
        if let Ok(url) = Url::parse(&format!("https://{text}/x?y")) {
            assert_eq!((url.path(), url.query()), ("/x", Some("y")));
            assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
        }
    }

    #[test]
    fn a_prefix_is_made_of_directories_of_this_host(
        written in vec("(/([-a-zA-Z0-9._~%:@;\\\\ ]{0,3}|\\.|\\.\\.|app)){0,3}/?", 1..4),
    ) {
        let mut expected = String::new();
        for text in &written {
            match prefix(text) {
                Some(it) => expected.push_str(it),
                None => {
                    expected.clear();
                    break;
                }
            }
        }
        let joined = joined_prefix(written.iter().rev().map(|text| Some(text.as_str())));
        assert_eq!(joined, expected);
        let url = Url::parse(&format!("https://app.test{joined}/login")).unwrap();
        assert_eq!(url.path(), format!("{joined}/login"));
        assert_eq!(url.host_str(), Some("app.test"));
    }
}
