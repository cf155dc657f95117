//! Proxies in front of the application: which address a client has, and where it is sent.

use login_runtime::test::strict::{Rule, tolerate};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use actix_web::{HttpRequest, Responder, test::TestRequest, web};
use login_runtime::{
    Auth, BuildError, CookieSettings, LoginManager, MemoryLoginStore,
    config::{LoginManagerBuilder, SessionProtection},
    login_required,
    proxies::{ForwardedHeaders, TrustedProxies, client_address, path_prefix},
    test::{Ask, Browser},
};
use login_tests::{User, Users, app, key, manager_base};

use crate::{
    events::Log,
    world::{App, account_status, pages},
};

pub(crate) const PROXY: [u8; 4] = [10, 0, 0, 1];

/// The address that each event was about.
type Heard = Arc<Mutex<Vec<Option<IpAddr>>>>;

async fn whence(request: HttpRequest) -> String {
    let address = client_address(&request).map(|address| address.to_string());
    format!("{} {}", address.unwrap_or_default(), path_prefix(&request))
}

#[login_required]
async fn page() -> &'static str {
    "page"
}

/// Redirects to an address that a form carries.
async fn follow(auth: Auth<User>, to: web::Query<Vec<(String, String)>>) -> impl Responder {
    let to = to.0.into_iter().find(|(name, _)| name == "to");
    auth.redirect_to_or(to.as_ref().map(|(_, to)| to.as_str()), "/home")
}

fn builder(users: &Users) -> LoginManagerBuilder {
    manager_base(users).0.login_store(MemoryLoginStore::new())
}

async fn serve(builder: LoginManagerBuilder, users: &Users) -> impl App + use<> {
    let manager: LoginManager = builder.build(key()).unwrap();
    let users = users.clone();
    app(manager, move |routes| {
        routes
            .route("/whence", web::get().to(whence))
            .route("/page", web::get().to(page))
            .route("/app/page", web::get().to(page))
            .route("/follow", web::get().to(follow));
        pages(routes, users);
    })
    .await
}

pub(crate) fn inner(headers: ForwardedHeaders) -> TrustedProxies {
    TrustedProxies::networks(["10.0.0.0/8", "fd00::/8"], headers)
}

pub(crate) fn with_headers<'b, 'a, S>(
    mut ask: Ask<'b, 'a, S>,
    headers: &[(&str, &str)],
) -> Ask<'b, 'a, S> {
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask
}

/// Logs in with these headers from this peer, and checks the address in the list of logins, in each event
/// and in the log.
async fn check_address(
    proxies: Option<TrustedProxies>,
    peer: impl Into<IpAddr>,
    headers: &[(&str, &str)],
    expected: &str,
) {
    let (users, heard) = (Users::new(), Heard::default());
    let subscriber = Arc::clone(&heard);
    let mut builder = builder(&users).on_event(move |_, request| {
        subscriber.lock().unwrap().push(client_address(request));
    });
    if let Some(proxies) = proxies {
        builder = builder.trusted_proxies(proxies);
    }
    let app = serve(builder, &users).await;
    let browser = Browser::new(&app);
    browser.set_address(peer);
    let (log, _guard) = Log::start();
    let what = format!("{headers:?}");
    assert_eq!(
        with_headers(browser.get("/page"), headers).await.status(),
        303,
        "{what}"
    );
    assert_eq!(
        with_headers(browser.post("/login/1"), headers)
            .await
            .status(),
        303,
        "{what}"
    );
    let list = with_headers(browser.get("/logins"), headers).await.text();
    assert!(
        list.split(' ').any(|word| word == expected),
        "{what}: {list}"
    );
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    assert!(heard.len() >= 3, "{what}: {heard:?}");
    let expected_address = Some(expected.parse().unwrap());
    assert!(
        heard.iter().all(|address| *address == expected_address),
        "{what}: {heard:?}"
    );
    let lines = log.take_ours();
    let field = format!("address={expected}");
    for event in ["event=unauthorized", "event=logged_in"] {
        let mut of_event = lines
            .iter()
            .filter(|line| line.split(' ').any(|word| word == event));
        let line = of_event
            .next()
            .unwrap_or_else(|| panic!("{event}: {lines:?}"));
        assert!(line.split(' ').any(|word| word == field), "{what}: {line}");
    }
}

/// Headers of a client that wants to look like another.
pub(crate) const SPOOFED: [(&str, &str); 14] = [
    ("x-forwarded-for", "198.51.100.7"),
    ("x-forwarded-for", "198.51.100.7, 10.0.0.9"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-for", "198.51.100.7:80"),
    ("x-forwarded-for", "[2001:db8::7]:443"),
    ("x-forwarded-for", "::ffff:198.51.100.7"),
    ("x-forwarded-for", ",,"),
    ("x-forwarded-for", "unknown"),
    ("x-forwarded-for", "\""),
    ("x-forwarded-for", "garbage"),
    ("forwarded", "for=198.51.100.7"),
    ("forwarded", "for=\""),
    ("x-real-ip", "198.51.100.7"),
    ("true-client-ip", "198.51.100.7"),
];

#[actix_web::test]
async fn a_client_that_names_another_address_keeps_its_own_without_a_named_proxy() {
    for (name, value) in SPOOFED {
        check_address(None, [203, 0, 113, 5], &[(name, value)], "203.0.113.5").await;
    }
}

#[actix_web::test]
async fn a_client_that_reaches_the_application_past_its_proxy_keeps_its_own_address() {
    for headers in [
        ForwardedHeaders::x_forwarded(),
        ForwardedHeaders::forwarded(),
    ] {
        for (name, value) in SPOOFED {
            let sent = [(name, value)];
            check_address(Some(inner(headers)), [203, 0, 113, 5], &sent, "203.0.113.5").await;
        }
    }
}

#[actix_web::test]
async fn a_client_behind_a_named_proxy_has_the_address_that_the_proxy_reports() {
    for (name, value) in SPOOFED {
        let one_line = format!("{value}, 203.0.113.5");
        let sent: &[_] = match name {
            "x-forwarded-for" => &[(name, &*one_line)],
            _ => &[(name, value), ("x-forwarded-for", "203.0.113.5")],
        };
        let two_lines = [(name, value), ("x-forwarded-for", "203.0.113.5")];
        for sent in [sent, &two_lines] {
            let headers = ForwardedHeaders::x_forwarded();
            check_address(Some(inner(headers)), PROXY, sent, "203.0.113.5").await;
            let hops = TrustedProxies::hops(1, headers);
            check_address(Some(hops), PROXY, sent, "203.0.113.5").await;
        }
    }
}

#[actix_web::test]
async fn the_family_of_headers_that_the_proxy_does_not_set_is_not_read() {
    let sent = [
        ("x-forwarded-for", "198.51.100.7"),
        (
            "forwarded",
            "for=\", for=\"[2001:db8::5]:4711\";proto=https",
        ),
    ];
    let forwarded = inner(ForwardedHeaders::forwarded());
    check_address(Some(forwarded), PROXY, &sent, "2001:db8::5").await;
    let x_forwarded = inner(ForwardedHeaders::x_forwarded());
    check_address(Some(x_forwarded), PROXY, &sent, "198.51.100.7").await;
}

#[actix_web::test]
async fn proxies_one_behind_the_other_may_append_lines_of_their_own() {
    let x_forwarded = ForwardedHeaders::x_forwarded();
    let forwarded = ForwardedHeaders::forwarded();
    for (headers, name, of) in [
        (x_forwarded, "x-forwarded-for", ""),
        (forwarded, "forwarded", "for="),
    ] {
        let [spoofed, client, outer] =
            ["198.51.100.7", "203.0.113.5", "10.0.0.2"].map(|address| format!("{of}{address}"));
        let sent = [(name, &*spoofed), (name, &*client), (name, &*outer)];
        for proxies in [inner(headers), TrustedProxies::hops(2, headers)] {
            check_address(Some(proxies), PROXY, &sent, "203.0.113.5").await;
        }
    }
    // The other headers are no substitute for those that are missing.
    let sent = [("forwarded", "for=198.51.100.7")];
    check_address(Some(inner(x_forwarded)), PROXY, &sent, "10.0.0.1").await;
    let sent = [("x-forwarded-for", "198.51.100.7")];
    check_address(Some(inner(forwarded)), PROXY, &sent, "10.0.0.1").await;
}

#[actix_web::test]
async fn what_the_proxy_reports_and_is_no_address_leaves_the_address_of_the_proxy() {
    for value in ["unknown", "_hidden", "", "203.0.113.5,", "203.0.113.5, x"] {
        let headers = ForwardedHeaders::x_forwarded();
        let sent = [("x-forwarded-for", value)];
        check_address(Some(inner(headers)), PROXY, &sent, "10.0.0.1").await;
        let forwarded = format!("for=203.0.113.5, for={value}");
        let sent = [("forwarded", &*forwarded)];
        let headers = ForwardedHeaders::forwarded();
        check_address(Some(inner(headers)), PROXY, &sent, "10.0.0.1").await;
    }
}

#[actix_web::test]
async fn an_ipv4_address_inside_an_ipv6_address_is_the_same_client() {
    let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
    let sent = [("x-forwarded-for", "::ffff:203.0.113.5")];
    let proxies = inner(ForwardedHeaders::x_forwarded());
    check_address(Some(proxies), mapped, &sent, "203.0.113.5").await;
    check_address(None, mapped, &sent, "10.0.0.1").await;
}

#[actix_web::test]
async fn session_protection_compares_the_clients_behind_a_proxy() {
    let users = Users::new();
    for (headers, first, other, stays) in [
        (
            ForwardedHeaders::x_forwarded(),
            "203.0.113.5",
            "203.0.113.6",
            false,
        ),
        (
            ForwardedHeaders::x_forwarded(),
            "203.0.113.5",
            "198.51.100.7, 203.0.113.5",
            true,
        ),
    ] {
        let builder = builder(&users)
            .session_protection(SessionProtection::Strong)
            .trusted_proxies(inner(headers));
        let app = serve(builder, &users).await;
        let browser = Browser::new(&app);
        browser.set_address(PROXY);
        let sent = browser.post("/login/1").header("x-forwarded-for", first);
        assert_eq!(sent.await.status(), 303);
        let answer = browser
            .get("/account")
            .header("x-forwarded-for", other)
            .await;
        assert_eq!(answer.status() == 200, stays, "{other}");
    }
}

#[actix_web::test]
async fn the_applications_own_function_finds_the_address_and_may_ask_for_the_usual_one() {
    let users = Users::new();
    let builder = builder(&users)
        .trusted_proxies(inner(ForwardedHeaders::x_forwarded()))
        .client_address(|request| {
            // Asks for what counts without this function, and so does not call itself.
            let usual = client_address(request)?;
            let header = request.headers().get("cf-connecting-ip")?.to_str().ok()?;
            (usual == IpAddr::from([10, 0, 0, 1])).then(|| header.parse().ok())?
        });
    let app = serve(builder, &users).await;
    let browser = Browser::new(&app);
    let from = async |peer: [u8; 4], header: &str| {
        browser.set_address(peer);
        let sent = browser.get("/whence").header("cf-connecting-ip", header);
        sent.await.text().trim().to_owned()
    };
    assert_eq!(from(PROXY, "203.0.113.5").await, "203.0.113.5");
    assert_eq!(from(PROXY, "::ffff:203.0.113.5").await, "203.0.113.5");
    assert_eq!(from(PROXY, "garbage").await, "10.0.0.1");
    assert_eq!(from([192, 0, 2, 9], "203.0.113.5").await, "192.0.2.9");
}

#[actix_web::test]
async fn the_applications_own_function_needs_no_named_proxy_and_may_leave_the_decision() {
    let users = Users::new();
    let own = |builder: LoginManagerBuilder| {
        builder.client_address(|request| {
            let header = request.headers().get("cf-connecting-ip")?;
            header.to_str().ok()?.parse().ok()
        })
    };
    let proxies = inner(ForwardedHeaders::x_forwarded());
    let named = own(builder(&users).trusted_proxies(proxies));
    for (builder, undecided) in [(own(builder(&users)), "10.0.0.1"), (named, "203.0.113.5")] {
        let app = serve(builder, &users).await;
        let browser = Browser::new(&app);
        browser.set_address(PROXY);
        let ask = || {
            browser
                .get("/whence")
                .header("x-forwarded-for", "203.0.113.5")
        };
        assert_eq!(ask().await.text().trim(), undecided);
        let answer = ask().header("cf-connecting-ip", "203.0.113.6").await;
        assert_eq!(answer.text().trim(), "203.0.113.6");
    }
}

#[test]
fn without_a_login_manager_the_peer_of_the_connection_is_the_client() {
    let request = |peer: &str| {
        let request = TestRequest::get().peer_addr(SocketAddr::new(peer.parse().unwrap(), 4711));
        let request = request.insert_header(("x-forwarded-for", "198.51.100.7"));
        request.insert_header(("x-forwarded-prefix", "/app"))
    };
    for peer in ["203.0.113.5", "::ffff:203.0.113.5"] {
        let request = request(peer).to_http_request();
        let expected = Some("203.0.113.5".parse().unwrap());
        assert_eq!(client_address(&request), expected, "{peer}");
        assert_eq!(path_prefix(&request), "");
    }
}

/// What a browser behind the proxy gets for a page that needs a login.
async fn refused(
    builder: LoginManagerBuilder,
    users: &Users,
    headers: &[(&str, &str)],
) -> Option<String> {
    refused_from(PROXY.into(), builder, users, headers).await
}

async fn refused_from(
    peer: IpAddr,
    builder: LoginManagerBuilder,
    users: &Users,
    headers: &[(&str, &str)],
) -> Option<String> {
    let app = serve(builder, users).await;
    let browser = Browser::new(&app);
    browser.set_address(peer);
    let ask = with_headers(browser.get("/page?a=b"), headers);
    ask.await.location().map(str::to_owned)
}

#[actix_web::test]
async fn the_login_view_and_next_have_the_prefix_that_the_proxy_cut_off() {
    let users = Users::new();
    let all = ForwardedHeaders::x_forwarded().with_host().with_prefix();
    let plain = "/login?next=/page%3Fa%3Db";
    let prefixed = "/app/login?next=/app/page%3Fa%3Db";
    for (prefix, expected) in [
        (Some("/app"), prefixed),
        (Some("/app/"), prefixed),
        (Some("/evil, /app"), prefixed),
        (Some("//evil.test, /app"), prefixed),
        (None, plain),
        (Some("/"), plain),
        (Some("//evil.test"), plain),
        (Some("/\\evil.test"), plain),
        (Some("/app/.."), plain),
        (Some("/%2e%2e"), plain),
        (Some("https://evil.test"), plain),
        (Some("/app, "), plain),
        (Some("/app?x"), plain),
    ] {
        let sent: Vec<_> = prefix
            .map(|prefix| ("x-forwarded-prefix", prefix))
            .into_iter()
            .collect();
        let found = refused(builder(&users).trusted_proxies(inner(all)), &users, &sent).await;
        assert_eq!(found.as_deref(), Some(expected), "{prefix:?}");
        // Neither a header that was not named nor one of a client counts.
        let unnamed = inner(ForwardedHeaders::x_forwarded());
        let found = refused(builder(&users).trusted_proxies(unnamed), &users, &sent).await;
        assert_eq!(found.as_deref(), Some(plain), "{prefix:?}");
        let other = TrustedProxies::networks(["10.9.9.9"], all);
        let found = refused(builder(&users).trusted_proxies(other), &users, &sent).await;
        assert_eq!(found.as_deref(), Some(plain), "{prefix:?}");
        let found = refused(builder(&users), &users, &sent).await;
        assert_eq!(found.as_deref(), Some(plain), "{prefix:?}");
    }
    let found = refused(builder(&users).own_prefix("/app"), &users, &[]).await;
    assert_eq!(found.as_deref(), Some(prefixed));
    // Whatever the proxy reports.
    let with = builder(&users)
        .own_prefix("/app")
        .trusted_proxies(inner(all));
    let found = refused(with, &users, &[("x-forwarded-prefix", "/other")]).await;
    assert_eq!(found.as_deref(), Some(prefixed));
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    let with = builder(&users).trusted_proxies(inner(all));
    let found = refused_from(mapped, with, &users, &[("x-forwarded-prefix", "/app")]).await;
    assert_eq!(found.as_deref(), Some(prefixed));
}

#[actix_web::test]
async fn a_page_gets_the_prefix_that_each_of_the_proxies_cut_off() {
    let users = Users::new();
    let headers = ForwardedHeaders::x_forwarded().with_prefix();
    let app = serve(builder(&users).trusted_proxies(inner(headers)), &users).await;
    let browser = Browser::new(&app);
    browser.set_address(PROXY);
    for (from, expected) in [
        ("203.0.113.5", "203.0.113.5 /app"),
        ("203.0.113.5, 10.0.0.2", "203.0.113.5 /outer/app"),
    ] {
        let ask = browser.get("/whence").header("x-forwarded-for", from);
        let ask = ask.header("x-forwarded-prefix", "/evil, /outer, /app");
        assert_eq!(ask.await.text(), expected);
    }
}

#[actix_web::test]
async fn an_absolute_login_view_is_compared_with_the_origin_that_the_proxy_reports() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the proxy says which origin is the own one",
    );
    let users = Users::new();
    let x_forwarded = ForwardedHeaders::x_forwarded().with_host().with_prefix();
    let forwarded = ForwardedHeaders::forwarded().with_prefix();
    let same = "https://app.test/app/login?next=/app/page%3Fa%3Db";
    let prefix = ("x-forwarded-prefix", "/app");
    let hosts = [
        ("x-forwarded-host", "app.test"),
        ("x-forwarded-proto", "https"),
        prefix,
    ];
    let one = [
        (
            "forwarded",
            "host=evil.test;proto=http, host=app.test;proto=https",
        ),
        prefix,
    ];
    let other_view = "https://accounts.test/login";
    let other = "https://accounts.test/login?next=https://app.test/app/page%3Fa%3Db";
    for (headers, sent) in [(x_forwarded, &hosts[..]), (forwarded, &one[..])] {
        let with = |view: &str| {
            builder(&users)
                .trusted_proxies(inner(headers))
                .login_view(view)
        };
        let found = refused(with("https://app.test/app/login"), &users, sent).await;
        assert_eq!(found.as_deref(), Some(same));
        let found = refused(with(other_view), &users, sent).await;
        assert_eq!(found.as_deref(), Some(other));
        // The client cannot name a host.
        let untrusted = TrustedProxies::networks(["10.9.9.9"], headers);
        let with = builder(&users)
            .trusted_proxies(untrusted)
            .login_view(other_view);
        let named = [sent, &[("host", "evil.test")]].concat();
        let found = refused(with, &users, &named).await;
        assert_eq!(found.as_deref(), Some("https://accounts.test/login"));
    }
    for host in [
        "app.test/x",
        "user@app.test",
        "app.test evil",
        "",
        "app.test:99999",
        "a,",
    ] {
        let sent = [("x-forwarded-host", host), ("x-forwarded-proto", "https")];
        let with = builder(&users)
            .trusted_proxies(inner(x_forwarded))
            .login_view(other_view);
        let found = refused(with, &users, &sent).await;
        assert_eq!(
            found.as_deref(),
            Some("https://accounts.test/login"),
            "{host}"
        );
    }
}

#[actix_web::test]
async fn the_outermost_of_several_proxies_says_at_which_origin_the_client_is() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the proxy says which origin is the own one",
    );
    let users = Users::new();
    let x_forwarded = ForwardedHeaders::x_forwarded().with_host();
    let from = ("x-forwarded-for", "203.0.113.5, 10.0.0.2");
    let with_proto = |proto| {
        [
            from,
            ("x-forwarded-host", "evil.test, app.test, inner.test"),
            ("x-forwarded-proto", proto),
        ]
    };
    let forwarded = ForwardedHeaders::forwarded();
    let report = |outer: &str| {
        format!("host=evil.test;proto=http, {outer}, for=10.0.0.2;host=inner.test;proto=http")
    };
    let all = report("for=203.0.113.5;host=app.test;proto=https");
    let address = report("for=203.0.113.5");
    let expected = |next: &str| format!("https://accounts.test/login{next}");
    let app_test = expected("?next=https://app.test/page%3Fa%3Db");
    let inner_test = expected("?next=http://inner.test/page%3Fa%3Db");
    // As long as the line can hold more elements than are found, the line before may be a client's.
    let long = format!("evil.test, app.test, {}", "a".repeat(600));
    for (headers, sent, expected) in [
        (x_forwarded, &with_proto("http, https, http")[..], &app_test),
        (forwarded, &[("forwarded", &*all)], &app_test),
        // The outermost proxy leaves the rest to the next one.
        (forwarded, &[("forwarded", &*address)], &inner_test),
        (
            x_forwarded,
            &[
                from,
                ("x-forwarded-host", "evil.test"),
                ("x-forwarded-host", &*long),
                ("x-forwarded-proto", "https"),
            ],
            &expected(""),
        ),
        // Not named.
        (
            ForwardedHeaders::x_forwarded(),
            &with_proto("https"),
            &expected(""),
        ),
    ] {
        let with = builder(&users)
            .trusted_proxies(inner(headers))
            .login_view("https://accounts.test/login");
        let found = refused(with, &users, sent).await;
        assert_eq!(found.as_deref(), Some(&**expected), "{sent:?}");
    }
}

#[actix_web::test]
async fn a_view_with_https_is_here_unless_the_proxy_reports_http() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the view at another host is what this is about",
    );
    let users = Users::new();
    let app_test = ("host", "app.test");
    for (view, sent, is_here) in [
        ("https://app.test/login", &[app_test][..], true),
        (
            "https://app.test/login",
            &[app_test, ("x-forwarded-proto", "https")],
            true,
        ),
        (
            "https://app.test/login",
            &[app_test, ("x-forwarded-proto", "http")],
            false,
        ),
        (
            "http://app.test/login",
            &[app_test, ("x-forwarded-proto", "https")],
            false,
        ),
        // The proxy does not report hosts.
        (
            "http://app.test/login",
            &[app_test, ("x-forwarded-host", "evil.test")],
            true,
        ),
        (
            "http://evil.test/login",
            &[app_test, ("x-forwarded-host", "evil.test")],
            false,
        ),
    ] {
        let headers = ForwardedHeaders::x_forwarded();
        let with = builder(&users)
            .trusted_proxies(inner(headers))
            .login_view(view);
        let found = refused(with, &users, sent).await.unwrap();
        let expected = if is_here {
            format!("{view}?next=/page%3Fa%3Db")
        } else {
            view.to_owned()
        };
        assert_eq!(found, expected, "{sent:?}");
    }
}

#[actix_web::test]
async fn a_login_view_that_refuses_its_own_clients_is_found_behind_a_prefix() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the proxy says which origin is the own one",
    );
    let users = Users::new();
    let headers = ForwardedHeaders::x_forwarded().with_host().with_prefix();
    let sent = [
        ("x-forwarded-host", "app.test"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/app"),
    ];
    for (view, loops) in [
        ("https://app.test/app/page", true),
        ("https://app.test/page", false),
        ("/page", true),
        ("/app/page", false),
    ] {
        let builder = builder(&users)
            .trusted_proxies(inner(headers))
            .login_view(view);
        let found = refused(builder, &users, &sent).await;
        assert_eq!(found.is_none(), loops, "{view}: {found:?}");
    }
}

#[actix_web::test]
async fn a_browser_comes_back_to_the_page_behind_the_prefix() {
    let users = Users::new();
    for in_cookie in [false, true] {
        let headers = ForwardedHeaders::x_forwarded().with_host().with_prefix();
        let mut builder = builder(&users).trusted_proxies(inner(headers));
        if in_cookie {
            builder = builder.use_session_for_next();
        }
        let app = serve(builder, &users).await;
        let browser = Browser::new(&app);
        browser.set_address(PROXY);
        let sent = browser
            .get("/page")
            .header("x-forwarded-prefix", "/app")
            .await;
        let location = sent.location().unwrap().to_owned();
        assert!(location.starts_with("/app/login"), "{location}");
        let query = location.split_once('?').map_or("", |(_, query)| query);
        let log_in = format!("/login/1?{query}");
        let answer = browser
            .post(&log_in)
            .header("x-forwarded-prefix", "/app")
            .await;
        assert_eq!(
            answer.location(),
            Some("/app/page"),
            "in a cookie: {in_cookie}"
        );
        for cookie in answer.set_cookies() {
            assert_eq!(cookie.path(), Some("/"), "{cookie}");
        }
        // Without an address to go back to, the page of the application.
        let answer = browser
            .post("/login/1")
            .header("x-forwarded-prefix", "/app")
            .await;
        assert_eq!(answer.location(), Some("/app/"));
        assert_eq!(account_status(&browser).await, 200);
    }
}

#[actix_web::test]
async fn next_may_be_a_whole_address_of_the_reported_origin_only() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the proxy says which origin is the own one",
    );
    let users = Users::new();
    let headers = ForwardedHeaders::x_forwarded().with_host();
    let app = serve(builder(&users).trusted_proxies(inner(headers)), &users).await;
    let browser = Browser::new(&app);
    let follow = async |peer: [u8; 4], to: &str| {
        browser.set_address(peer);
        let ask = browser.get(&format!("/follow?to={to}"));
        let ask = ask.header("x-forwarded-host", "app.test");
        let answer = ask.header("x-forwarded-proto", "https").await;
        answer.location().unwrap().to_owned()
    };
    assert_eq!(
        follow(PROXY, "https://app.test/a").await,
        "https://app.test/a"
    );
    for (peer, to) in [
        (PROXY, "http://app.test/a"),
        (PROXY, "https://app.test:444/a"),
        (PROXY, "https://evil.test/a"),
        (PROXY, "https://app.test@evil.test/a"),
        (PROXY, "//app.test/a"),
        ([203, 0, 113, 5], "https://app.test/a"),
    ] {
        assert_eq!(follow(peer, to).await, "/home", "{peer:?} {to}");
    }
}

#[actix_web::test]
async fn a_cookie_path_is_what_the_browser_sees() {
    let _known = tolerate(
        &[Rule::Path, Rule::Prefix],
        "",
        "the cookie has a path on purpose",
    );
    let users = Users::new();
    let headers = ForwardedHeaders::x_forwarded().with_prefix();
    let cookie = CookieSettings::new().path("/app");
    let builder = builder(&users)
        .session_cookie(cookie)
        .trusted_proxies(inner(headers));
    let app = serve(builder, &users).await;
    let browser = Browser::new(&app);
    browser.set_address(PROXY);
    let answer = browser
        .post("/login/1")
        .header("x-forwarded-prefix", "/app")
        .await;
    let cookie = answer.set_cookie("__Secure-session").unwrap();
    assert_eq!(cookie.path(), Some("/app"));
}

#[test]
fn proxies_that_are_none_are_refused_when_the_manager_is_built() {
    let users = Users::new();
    let headers = ForwardedHeaders::x_forwarded();
    let error = |proxies| {
        let built = builder(&users).trusted_proxies(proxies).build(key());
        built.unwrap_err()
    };
    for (network, why) in [
        ("0.0.0.0/0", "contains every IPv4 address"),
        ("::/0", "contains every IPv4 address"),
        ("10.0.0.1/8", "write the first address of the network"),
        ("10.0.0.0/33", "at most `/32`"),
        ("proxy.test", "is neither an address nor a network; write"),
    ] {
        let error = error(TrustedProxies::networks(["192.0.2.1", network], headers));
        assert!(matches!(error, BuildError::TrustedProxy { .. }), "{error}");
        assert!(error.to_string().contains(network), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    let none: [&str; 0] = [];
    let error = [
        error(TrustedProxies::networks(none, headers)).to_string(),
        error(TrustedProxies::hops(0, headers)).to_string(),
    ];
    assert!(
        error[0].starts_with("`trusted_proxies` names no network;"),
        "{error:?}"
    );
    assert!(
        error[1].starts_with("`trusted_proxies` trusts no proxy;"),
        "{error:?}"
    );
    let error = builder(&users)
        .own_prefix("//evil.test")
        .build(key())
        .unwrap_err();
    assert!(
        error.to_string().starts_with("`own_prefix` is not a path"),
        "{error}"
    );
}
