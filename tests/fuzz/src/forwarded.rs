//! What a client writes into the headers of proxies changes neither its address nor where it is sent.

use std::net::{IpAddr, SocketAddr};

use actix_web::{HttpRequest, http::header::HeaderName, test::TestRequest, web};
use login_runtime::{
    CurrentUser, LoginManager,
    proxies::{ForwardedHeaders, TrustedProxies, client_address, path_prefix},
};

use crate::{
    input::{Input, header},
    next::{PAGES, stays},
    site::{Answer, Site, User, key, manager},
};

const NAMES: [&str; 5] = [
    "x-forwarded-for",
    "forwarded",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
];

/// The client, and the two proxies in front of the application; the second one is the peer.
const CLIENT: &str = "203.0.113.9";
const OUTER: &str = "10.0.0.1";
const INNER: &str = "10.0.0.2";

async fn whoami(request: HttpRequest) -> String {
    let address = client_address(&request).map(|address| address.to_string());
    format!(
        "{} {}",
        address.as_deref().unwrap_or("-"),
        path_prefix(&request)
    )
}

async fn private(_user: CurrentUser<User>) -> &'static str {
    "private"
}

fn site(proxies: Option<TrustedProxies>) -> Site {
    let mut manager = manager().session_only();
    if let Some(proxies) = proxies {
        manager = manager.trusted_proxies(proxies);
    }
    let manager: LoginManager = manager.build(key()).expect("valid settings");
    Site::new(manager, |pages| {
        pages
            .route("/whoami", web::get().to(whoami))
            .route("/private", web::get().to(private));
    })
}

fn networks(headers: ForwardedHeaders) -> Option<TrustedProxies> {
    Some(TrustedProxies::networks(
        ["10.0.0.0/8", "fd00::/8"],
        headers,
    ))
}

const X: ForwardedHeaders = ForwardedHeaders::x_forwarded().with_host().with_prefix();
const RFC: ForwardedHeaders = ForwardedHeaders::forwarded().with_prefix();

thread_local! {
    static NOBODY: Site = site(None);
    static X_NETWORKS: Site = site(networks(X));
    static X_HOPS: Site = site(Some(TrustedProxies::hops(2, X)));
    static RFC_NETWORKS: Site = site(networks(RFC));
    static RFC_HOPS: Site = site(Some(TrustedProxies::hops(2, RFC)));
}

/// The header lines of a request, in their order.
type Lines = Vec<(&'static str, Vec<u8>)>;

fn ask(site: &Site, path: &str, peer: &str, lines: &Lines) -> Answer {
    let peer = SocketAddr::new(peer.parse().expect("an address"), 4711);
    let mut request = TestRequest::get().uri(path).peer_addr(peer);
    for (name, value) in lines {
        if let Some(value) = header(value) {
            request = request.append_header((HeaderName::from_static(name), value));
        }
    }
    site.ask(request.to_request())
}

/// The address and the prefix that the application sees.
fn seen(site: &Site, peer: &str, lines: &Lines) -> (String, String) {
    let answer = ask(site, "/whoami", peer, lines);
    let (address, prefix) = answer.body.split_once(' ').expect("both");
    let address: IpAddr = address.parse().expect("an address");
    assert_eq!(address, address.to_canonical());
    assert!(prefix.len() <= 256 * 40, "{prefix}");
    for segment in prefix.split('/').skip(1) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        assert!(
            !segment.is_empty() && segment.bytes().all(is_plain),
            "{prefix}"
        );
        assert!(segment != "." && segment != "..", "{prefix}");
    }
    assert!(prefix.is_empty() || prefix.starts_with('/'), "{prefix}");
    // Refused clients are sent to a page of the same host.
    let answer = ask(site, "/private", peer, lines);
    let location = answer.header("location").expect("a redirect");
    assert!(
        location.starts_with(&format!("{prefix}/login")),
        "{location} behind {prefix}"
    );
    PAGES.iter().for_each(|page| stays(page, location));
    (address.to_string(), prefix.to_owned())
}

/// Appends an element to a header, in its last line or in a line of its own.
fn append(lines: &mut Lines, name: &'static str, element: &str, own_line: bool) {
    // A proxy gets only lines that HTTP allows.
    lines.retain(|(_, value)| header(value).is_some());
    match lines.iter_mut().rev().find(|(other, _)| *other == name) {
        Some((_, value)) if !own_line => value.extend(format!(", {element}").bytes()),
        _ => lines.push((name, element.as_bytes().to_vec())),
    }
}

pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let kind = input.byte();
    let by_client: Lines = input
        .rest()
        .split(|byte| *byte == b'\n')
        .take(8)
        .filter_map(|line| {
            let (name, value) = line.split_first()?;
            Some((NAMES[usize::from(*name) % NAMES.len()], value.to_vec()))
        })
        .collect();
    let own_line = kind & 1 != 0;
    let seen_by = |site: &'static std::thread::LocalKey<Site>, peer: &str, lines: &Lines| {
        site.with(|site| seen(site, peer, lines))
    };
    // Without named proxies, and for a peer that is none, the headers do not count.
    let site = [&NOBODY, &X_NETWORKS, &RFC_NETWORKS][usize::from(kind >> 2) % 3];
    let (address, prefix) = seen_by(site, CLIENT, &by_client);
    assert_eq!((&*address, &*prefix), (CLIENT, ""));
    // One proxy appends the client.
    let (mut x, mut rfc) = (by_client.clone(), by_client.clone());
    append(&mut x, "x-forwarded-for", CLIENT, own_line);
    // With the client's text in a quoted string, escaped as RFC 9110 says.
    let host: String = by_client
        .iter()
        .flat_map(|(_, value)| value)
        .filter(|byte| (0x20..0x7f).contains(*byte))
        .take(40)
        .flat_map(|byte| {
            let escape = matches!(byte, b'"' | b'\\').then_some('\\');
            escape.into_iter().chain([char::from(*byte)])
        })
        .collect();
    let element = format!("for={CLIENT};proto=https;host=\"{host}\"");
    append(&mut rfc, "forwarded", &element, own_line);
    assert_eq!(seen_by(&X_NETWORKS, INNER, &x).0, CLIENT);
    assert_eq!(seen_by(&RFC_NETWORKS, INNER, &rfc).0, CLIENT);
    // A second one appends the first.
    append(&mut x, "x-forwarded-for", OUTER, kind & 2 != 0);
    append(
        &mut rfc,
        "forwarded",
        &format!("for=\"{OUTER}:99\""),
        kind & 2 != 0,
    );
    let by_hops = kind & 4 != 0;
    let site = if by_hops { &X_HOPS } else { &X_NETWORKS };
    assert_eq!(seen_by(site, INNER, &x).0, CLIENT);
    let site = if by_hops { &RFC_HOPS } else { &RFC_NETWORKS };
    assert_eq!(seen_by(site, INNER, &rfc).0, CLIENT);
    // Trusted proxies that report anything.
    let sites = [&X_NETWORKS, &X_HOPS, &RFC_NETWORKS, &RFC_HOPS];
    seen_by(sites[usize::from(kind >> 4) % 4], INNER, &by_client);
}
