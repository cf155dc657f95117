//! Whatever headers a client without a login sends, a protected page is not shown to it, and the answer does
//! not lead to another host.

use actix_web::{
    HttpResponse,
    http::{Method, header::HeaderName},
    test::TestRequest,
    web,
};
use login_runtime::{Auth, CurrentUser};

use crate::{
    input::{Input, header},
    next::{PAGES, stays},
    site::{Site, User, key, manager},
};

/// The headers that decide what a refused client gets, and those that a proxy or an attacker may add.
const NAMES: [&str; 20] = [
    "accept",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-site",
    "x-requested-with",
    "hx-request",
    "hx-current-url",
    "host",
    "origin",
    "referer",
    "upgrade",
    "connection",
    "authorization",
    "cookie",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "forwarded",
    "content-type",
    "cache-control",
];

async fn private(_user: CurrentUser<User>) -> &'static str {
    "private"
}

async fn back(auth: Auth<User>) -> HttpResponse {
    auth.redirect_to_login_view(None)
}

thread_local! {
    static SITE: Site = {
        let manager = manager().session_only().build(key()).expect("valid settings");
        Site::new(manager, |pages| {
            pages.route("/private", web::to(private)).route("/back", web::to(back));
        })
    };
}

pub fn check(data: &[u8]) {
    const METHODS: [Method; 5] = [
        Method::GET,
        Method::POST,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
    ];
    let mut input = Input(data);
    let kind = usize::from(input.byte());
    let path = if kind & 0x80 == 0 {
        "/private"
    } else {
        "/back"
    };
    let mut request = TestRequest::default()
        .method(METHODS[kind % METHODS.len()].clone())
        .uri(path);
    for line in input.rest().split(|byte| *byte == b'\n').take(12) {
        if let Some((name, value)) = line.split_first()
            && let Some(value) = header(value)
        {
            let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
            request = request.append_header((name, value));
        }
    }
    let answer = SITE.with(|site| site.ask(request.to_request()));
    assert_ne!(answer.body, "private");
    for name in ["location", "hx-redirect"] {
        if let Some(location) = answer.header(name) {
            PAGES.iter().for_each(|page| stays(page, location));
            assert!(location.starts_with("/login"), "{location}");
        }
    }
    match answer.status.as_u16() {
        303 => assert!(answer.header("location").is_some(), "{answer:?}"),
        401 => assert!(answer.header("www-authenticate").is_some(), "{answer:?}"),
        status => assert!((400..500).contains(&status), "{answer:?}"),
    }
}
