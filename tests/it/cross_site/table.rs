//! The table method x `Sec-Fetch-Site` x `Origin` x `Host` x proxy.

use actix_web::{App as ActixApp, http::Method, middleware::Compat, test::init_service};
use login_runtime::{
    config::LoginManagerBuilder,
    guards::CrossSiteGuard,
    proxies::{ForwardedHeaders, TrustedProxies},
    test::Browser,
};
use login_tests::{Users, app, key};

use super::{Changes, base, changing};
use crate::{proxies::with_headers, world::App};

/// What the application says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Plain,
    /// `own_origin("https://app.test")`
    Own,
    /// `origins(["https://app.test", "http://other.test"])`
    Listed,
    /// `trusted_origins(["https://spa.test", "http://dev.test:3000"])`
    Trusting,
    SameSite,
    /// One proxy that sets `X-Forwarded-For`, `-Proto` and `-Host`.
    Proxy,
    /// The same in a network, without `-Host`.
    Network,
    /// One proxy that sets `Forwarded`.
    Forwarded,
    Off,
}

use Setting::*;

impl Setting {
    fn builder(self) -> LoginManagerBuilder {
        let builder = base(&Users::new());
        let x_forwarded = ForwardedHeaders::x_forwarded();
        match self {
            Plain => builder,
            Own => builder.own_origin("https://app.test"),
            Listed => builder.origins(["https://app.test", "http://other.test"]),
            Trusting => builder.trusted_origins(["https://spa.test", "http://dev.test:3000"]),
            SameSite => builder.allow_same_site(),
            Proxy => builder.trusted_proxies(TrustedProxies::hops(1, x_forwarded.with_host())),
            Network => {
                builder.trusted_proxies(TrustedProxies::networks(["10.0.0.0/8"], x_forwarded))
            }
            Forwarded => {
                builder.trusted_proxies(TrustedProxies::hops(1, ForwardedHeaders::forwarded()))
            }
            Off => builder.danger_no_cross_site_check(),
        }
    }
}

impl Setting {
    /// The guard with the same setting, if it has it.
    fn guard(self) -> Option<CrossSiteGuard> {
        let guard = CrossSiteGuard::new();
        let x_forwarded = ForwardedHeaders::x_forwarded();
        Some(match self {
            Plain => guard,
            Own => guard.own_origin("https://app.test").unwrap(),
            Trusting => {
                let origins = ["https://spa.test", "http://dev.test:3000"];
                guard.trusted_origins(origins).unwrap()
            }
            SameSite => guard.allow_same_site(),
            Proxy => {
                let proxies = TrustedProxies::hops(1, x_forwarded.with_host());
                guard.trusted_proxies(proxies).unwrap()
            }
            Network => {
                let proxies = TrustedProxies::networks(["10.0.0.0/8"], x_forwarded);
                guard.trusted_proxies(proxies).unwrap()
            }
            Forwarded => {
                let proxies = TrustedProxies::hops(1, ForwardedHeaders::forwarded());
                guard.trusted_proxies(proxies).unwrap()
            }
            Listed | Off => return None,
        })
    }
}

const ALL: [Setting; 9] = [
    Plain, Own, Listed, Trusting, SameSite, Proxy, Network, Forwarded, Off,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Taken,
    Refused,
}

use Is::*;

type Headers = &'static [(&'static str, &'static str)];

const HOST: (&str, &str) = ("host", "app.test");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
const NONE: (&str, &str) = ("sec-fetch-site", "none");
const SIBLING: (&str, &str) = ("sec-fetch-site", "same-site");
const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");
const APP: (&str, &str) = ("origin", "https://app.test");
const APP_HTTP: (&str, &str) = ("origin", "http://app.test");
const SPA: (&str, &str) = ("origin", "https://spa.test");
const EVIL: (&str, &str) = ("origin", "https://evil.test");
const NULL: (&str, &str) = ("origin", "null");
const INNER: (&str, &str) = ("host", "127.0.0.1:8080");
const FOR: (&str, &str) = ("x-forwarded-for", "192.0.2.1");
const HTTPS: (&str, &str) = ("x-forwarded-proto", "https");
const HTTP: (&str, &str) = ("x-forwarded-proto", "http");
const X_HOST: (&str, &str) = ("x-forwarded-host", "app.test");

/// Requests with the method POST.
const POSTS: &[(Setting, Headers, Is)] = &[
    // `Sec-Fetch-Site` decides, whatever the origin is.
    (Plain, &[HOST, SAME, APP], Taken),
    (Plain, &[HOST, SAME, NULL], Taken),
    (Plain, &[HOST, SAME], Taken),
    (Plain, &[HOST, SAME, EVIL], Taken),
    (Plain, &[HOST, NONE], Taken),
    (Plain, &[HOST, NONE, NULL], Taken),
    (
        Plain,
        &[HOST, SIBLING, ("origin", "https://a.app.test")],
        Refused,
    ),
    (Plain, &[HOST, SIBLING], Refused),
    (Plain, &[HOST, SIBLING, APP], Refused),
    (Plain, &[HOST, CROSS, EVIL], Refused),
    (Plain, &[HOST, CROSS, NULL], Refused),
    (Plain, &[HOST, CROSS], Refused),
    (Plain, &[HOST, CROSS, APP], Refused),
    (Plain, &[HOST, ("sec-fetch-site", "")], Refused),
    (Plain, &[HOST, ("sec-fetch-site", ""), APP], Refused),
    (
        Plain,
        &[HOST, ("sec-fetch-site", "Same-Origin"), APP],
        Refused,
    ),
    (
        Plain,
        &[HOST, ("sec-fetch-site", "same-origin, none"), APP],
        Refused,
    ),
    (Plain, &[HOST, ("sec-fetch-site", "anything")], Refused),
    (Plain, &[HOST, SAME, SAME], Refused),
    (Plain, &[HOST, SAME, CROSS], Refused),
    (Plain, &[HOST, CROSS, SAME, APP], Refused),
    // Without it, the origin has to be our own. Without a proxy, the scheme is not known.
    (Plain, &[HOST], Taken),
    (Plain, &[], Taken),
    (Plain, &[HOST, APP], Taken),
    (Plain, &[HOST, APP_HTTP], Taken),
    (
        Plain,
        &[("host", "APP.test"), ("origin", "https://app.TEST")],
        Taken,
    ),
    (Plain, &[("host", "app.test:443"), APP], Taken),
    (Plain, &[("host", "app.test:443"), APP_HTTP], Refused),
    (Plain, &[("host", "app.test:80"), APP_HTTP], Taken),
    (
        Plain,
        &[
            ("host", "app.test:8080"),
            ("origin", "http://app.test:8080"),
        ],
        Taken,
    ),
    (
        Plain,
        &[
            ("host", "app.test:8080"),
            ("origin", "http://app.test:8081"),
        ],
        Refused,
    ),
    (Plain, &[("host", "app.test:8080"), APP_HTTP], Refused),
    (
        Plain,
        &[("host", "[::1]:3000"), ("origin", "http://[::1]:3000")],
        Taken,
    ),
    (Plain, &[HOST, EVIL], Refused),
    (
        Plain,
        &[HOST, ("origin", "https://app.test.evil.test")],
        Refused,
    ),
    (Plain, &[HOST, ("origin", "https://sub.app.test")], Refused),
    (Plain, &[HOST, NULL], Refused),
    (Plain, &[HOST, ("origin", "")], Refused),
    (Plain, &[HOST, ("origin", "app.test")], Refused),
    (Plain, &[HOST, ("origin", "https://app.test/")], Refused),
    (
        Plain,
        &[HOST, ("origin", "https://app.test, https://evil.test")],
        Refused,
    ),
    (
        Plain,
        &[HOST, ("origin", "https://app.test https://evil.test")],
        Refused,
    ),
    (Plain, &[HOST, ("origin", "https://user@app.test")], Refused),
    (
        Plain,
        &[HOST, ("origin", "chrome-extension://app.test")],
        Refused,
    ),
    (Plain, &[HOST, APP, APP], Refused),
    (Plain, &[HOST, APP, EVIL], Refused),
    // Without a host there is no own origin.
    (Plain, &[APP], Refused),
    (Plain, &[SAME, APP], Taken),
    // Headers of proxies that the application does not name are the client's text.
    (Plain, &[INNER, APP, X_HOST, HTTPS], Refused),
    (
        Plain,
        &[HOST, EVIL, ("x-forwarded-host", "evil.test")],
        Refused,
    ),
    (
        Plain,
        &[HOST, EVIL, ("forwarded", "host=evil.test;proto=https")],
        Refused,
    ),
    (
        Plain,
        &[INNER, APP, ("x-forwarded-server", "app.test")],
        Refused,
    ),
    // What the application says about itself goes before the request.
    (Own, &[INNER, APP], Taken),
    (Own, &[INNER, APP_HTTP], Refused),
    (Own, &[INNER, ("origin", "http://127.0.0.1:8080")], Refused),
    (Own, &[("host", "evil.test"), EVIL], Refused),
    (Own, &[INNER, APP, CROSS], Refused),
    (Listed, &[HOST, APP], Taken),
    (Listed, &[HOST, APP_HTTP], Refused),
    (
        Listed,
        &[("host", "other.test"), ("origin", "http://other.test")],
        Taken,
    ),
    (
        Listed,
        &[("host", "other.test"), ("origin", "https://other.test")],
        Refused,
    ),
    (Listed, &[("host", "other.test"), APP], Refused),
    (
        Listed,
        &[("host", "third.test"), ("origin", "https://third.test")],
        Taken,
    ),
    // Trusted origins pass, and no other does.
    (Trusting, &[HOST, CROSS, SPA], Taken),
    (Trusting, &[HOST, SIBLING, SPA], Taken),
    (Trusting, &[HOST, SPA], Taken),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "https://SPA.test:443")],
        Taken,
    ),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "http://dev.test:3000")],
        Taken,
    ),
    (Trusting, &[HOST, ("sec-fetch-site", "odd"), SPA], Taken),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "http://spa.test")],
        Refused,
    ),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "https://spa.test:8443")],
        Refused,
    ),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "https://a.spa.test")],
        Refused,
    ),
    (
        Trusting,
        &[HOST, CROSS, ("origin", "http://dev.test")],
        Refused,
    ),
    (Trusting, &[HOST, CROSS, SPA, EVIL], Refused),
    (Trusting, &[HOST, CROSS, SPA, SPA], Refused),
    (Trusting, &[HOST, CROSS, EVIL], Refused),
    (Trusting, &[HOST, CROSS], Refused),
    (Trusting, &[HOST, CROSS, NULL], Refused),
    (Trusting, &[HOST, NULL], Refused),
    (Trusting, &[HOST, APP], Taken),
    // The same site.
    (
        SameSite,
        &[HOST, SIBLING, ("origin", "https://a.app.test")],
        Taken,
    ),
    (SameSite, &[HOST, SIBLING], Taken),
    (
        SameSite,
        &[HOST, CROSS, ("origin", "https://a.app.test")],
        Refused,
    ),
    (SameSite, &[HOST, ("origin", "https://a.app.test")], Refused),
    (SameSite, &[HOST, SIBLING, SIBLING], Refused),
    // A named proxy says at which origin the client is.
    (Proxy, &[INNER, FOR, HTTPS, X_HOST, APP], Taken),
    (Proxy, &[INNER, FOR, HTTPS, X_HOST, APP_HTTP], Refused),
    (Proxy, &[INNER, FOR, HTTP, X_HOST, APP_HTTP], Taken),
    (Proxy, &[INNER, FOR, HTTP, X_HOST, APP], Refused),
    (
        Proxy,
        &[
            INNER,
            FOR,
            HTTPS,
            ("x-forwarded-host", "app.test:8443"),
            APP,
        ],
        Refused,
    ),
    (
        Proxy,
        &[
            INNER,
            FOR,
            HTTPS,
            ("x-forwarded-host", "app.test:8443"),
            ("origin", "https://app.test:8443"),
        ],
        Taken,
    ),
    (
        Proxy,
        &[
            INNER,
            FOR,
            HTTPS,
            X_HOST,
            ("origin", "http://127.0.0.1:8080"),
        ],
        Refused,
    ),
    (Proxy, &[HOST, FOR, HTTPS, APP], Taken),
    (Proxy, &[HOST, FOR, APP], Taken),
    // What the client itself sent stands to the left of what the proxy adds.
    (
        Proxy,
        &[
            INNER,
            FOR,
            HTTPS,
            ("x-forwarded-host", "evil.test, app.test"),
            EVIL,
        ],
        Refused,
    ),
    (
        Proxy,
        &[
            INNER,
            FOR,
            HTTPS,
            ("x-forwarded-host", "evil.test"),
            X_HOST,
            EVIL,
        ],
        Refused,
    ),
    (
        Proxy,
        &[
            INNER,
            FOR,
            ("x-forwarded-proto", "http, https"),
            X_HOST,
            APP_HTTP,
        ],
        Refused,
    ),
    (Proxy, &[INNER, FOR, HTTPS, X_HOST, CROSS, APP], Refused),
    (Network, &[HOST, FOR, HTTPS, APP], Taken),
    (Network, &[HOST, FOR, HTTPS, APP_HTTP], Refused),
    // This proxy does not set the header, so it is the client's.
    (
        Network,
        &[HOST, FOR, HTTPS, ("x-forwarded-host", "evil.test"), EVIL],
        Refused,
    ),
    (
        Forwarded,
        &[
            INNER,
            ("forwarded", "for=192.0.2.1;host=app.test;proto=https"),
            APP,
        ],
        Taken,
    ),
    (
        Forwarded,
        &[
            INNER,
            ("forwarded", "for=192.0.2.1;host=app.test;proto=https"),
            APP_HTTP,
        ],
        Refused,
    ),
    (
        Forwarded,
        &[
            INNER,
            (
                "forwarded",
                "host=evil.test;proto=https, for=192.0.2.1;host=app.test;proto=https",
            ),
            EVIL,
        ],
        Refused,
    ),
    (Forwarded, &[INNER, X_HOST, HTTPS, APP], Refused),
    (Off, &[HOST, CROSS, EVIL], Taken),
    (Off, &[HOST, NULL], Taken),
];

/// Sends the requests of the table for this setting.
async fn check<S: App>(app: &S, changes: &Changes, setting: Setting) {
    let browser = Browser::new(app);
    if setting == Network {
        browser.set_address([10, 0, 0, 1]);
    }
    for (_, headers, expected) in POSTS.iter().filter(|(of, ..)| *of == setting) {
        let answer = with_headers(browser.post("/change"), headers).await;
        let found = (answer.status(), changes.take());
        let expected = match expected {
            Taken => (200, 1),
            Refused => (403, 0),
        };
        assert_eq!(found, expected, "{setting:?} {headers:?}");
    }
}

#[actix_web::test]
async fn a_request_of_a_page_is_taken_or_refused_by_its_headers() {
    assert!(POSTS.len() >= 60);
    for setting in ALL {
        let changes = Changes::default();
        let manager = setting.builder().build(key()).unwrap();
        let app = app(manager, changing(&changes)).await;
        check(&app, &changes, setting).await;
    }
}

#[actix_web::test]
async fn the_guard_without_a_manager_has_the_same_table() {
    for (setting, guard) in ALL.map(|setting| (setting, setting.guard())) {
        let Some(guard) = guard else { continue };
        let changes = Changes::default();
        let routes = changing(&changes);
        let app = ActixApp::new().wrap(Compat::new(guard)).configure(routes);
        let app = init_service(app).await;
        check(&app, &changes, setting).await;
    }
}

#[actix_web::test]
async fn a_client_that_pretends_to_be_a_proxy_is_not_believed() {
    let changes = Changes::default();
    let manager = Network.builder().build(key()).unwrap();
    let app = app(manager, changing(&changes)).await;
    let browser = Browser::new(&app);
    for (address, headers, status) in [
        // Of the proxy, the scheme counts.
        ([10, 0, 0, 1], &[HOST, FOR, HTTPS, APP_HTTP], 403),
        ([10, 0, 0, 1], &[HOST, FOR, HTTP, APP_HTTP], 200),
        // Of others, it does not: the connection has no TLS, so both schemes are possible.
        ([192, 0, 2, 9], &[HOST, FOR, HTTPS, APP_HTTP], 200),
        ([192, 0, 2, 9], &[HOST, FOR, HTTPS, EVIL], 403),
    ] {
        browser.set_address(address);
        let answer = with_headers(browser.post("/change"), headers).await;
        assert_eq!(answer.status(), status, "{address:?} {headers:?}");
    }
}

#[actix_web::test]
async fn every_unsafe_method_is_judged_and_no_safe_one_is() {
    let foreign: [Headers; 5] = [
        &[HOST, CROSS, EVIL],
        &[HOST, SIBLING],
        &[HOST, EVIL],
        &[HOST, NULL],
        &[HOST, ("sec-fetch-site", "odd")],
    ];
    for setting in ALL {
        let changes = Changes::default();
        let manager = setting.builder().build(key()).unwrap();
        let app = app(manager, changing(&changes)).await;
        let browser = Browser::new(&app);
        for name in [
            "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT",
            "PROPFIND", "QUERY", "get", "Post",
        ] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            let is_safe = matches!(name, "GET" | "HEAD" | "OPTIONS" | "TRACE");
            for headers in foreign {
                let answer = with_headers(browser.ask(method.clone(), "/change"), headers).await;
                let is_sibling = headers.contains(&SIBLING) && setting == SameSite;
                let expected = match is_safe || is_sibling || setting == Off {
                    true => (200, 1),
                    false => (403, 0),
                };
                let found = (answer.status(), changes.take());
                assert_eq!(found, expected, "{setting:?} {name} {headers:?}");
            }
        }
    }
}

#[actix_web::test]
async fn the_question_whether_a_page_of_another_origin_may_ask_passes() {
    let changes = Changes::default();
    let manager = Plain.builder().build(key()).unwrap();
    let app = app(manager, changing(&changes)).await;
    let browser = Browser::new(&app);
    let preflight = [
        HOST,
        CROSS,
        EVIL,
        ("sec-fetch-mode", "cors"),
        ("access-control-request-method", "POST"),
    ];
    let ask = browser.ask(Method::OPTIONS, "/change");
    assert_eq!(with_headers(ask, &preflight).await.status(), 200);
    assert_eq!(changes.take(), 1);
}
