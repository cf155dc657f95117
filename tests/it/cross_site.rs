//! Requests that pages of other sites have sent.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    web::{self, Data, ServiceConfig},
};
use login_runtime::{
    CookieSettings, MemoryLoginStore,
    config::LoginManagerBuilder,
    events::{CrossSiteReason, LoginEvent, RefusalReason},
    guards::RefusedRequest,
    test::{Answer, Ask, Browser},
};
use login_tests::{User, Users, app, key, manager_base};

use crate::{
    events::Log,
    proxies::with_headers,
    world::{App, Events, LOGIN, REMEMBER, SESSION, account_status, cart_of, name_of, pages},
};

mod alone;
mod exempt;
mod layers;
mod table;

/// The headers with which browsers send a form of another site.
const FOREIGN: &[(&str, &str)] = &[
    ("host", "app.test"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("origin", "https://evil.test"),
];

/// Those of a page of another host of the same site.
const SIBLING: &[(&str, &str)] = &[
    ("host", "app.example.test"),
    ("sec-fetch-site", "same-site"),
    ("origin", "https://old.example.test"),
];

/// Those of browsers without Fetch metadata.
const OLD_BROWSER: &[(&str, &str)] = &[("host", "app.test"), ("origin", "https://evil.test")];

/// Those of an own page.
const OWN: &[(&str, &str)] = &[
    ("host", "app.test"),
    ("sec-fetch-site", "same-origin"),
    ("origin", "https://app.test"),
];

fn base(users: &Users) -> LoginManagerBuilder {
    manager_base(users).0.login_store(MemoryLoginStore::new())
}

/// How often the page that changes something has run.
#[derive(Clone, Debug, Default)]
struct Changes(Arc<AtomicUsize>);

impl Changes {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

async fn change(changes: Data<Changes>, _: web::Bytes) -> impl Responder {
    changes.0.fetch_add(1, Ordering::SeqCst);
    "changed"
}

fn changing(changes: &Changes) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let changes = changes.clone();
    move |routes| {
        routes.app_data(Data::new(changes));
        routes.route("/change", web::to(change));
    }
}

/// The usual pages.
async fn site(builder: LoginManagerBuilder, users: &Users) -> impl App + use<> {
    let users = users.clone();
    let manager = builder.build(key()).unwrap();
    app(manager, |routes| pages(routes, users)).await
}

fn post<'b, 'a, S: App>(
    browser: &'b Browser<'a, S>,
    path: &str,
    headers: &[(&str, &str)],
) -> Ask<'b, 'a, S> {
    with_headers(browser.post(path), headers)
}

/// Checks that a request of another site was refused, and that nothing else has happened.
#[track_caller]
fn assert_refused(answer: &Answer) {
    assert_eq!(answer.status(), 403, "{}", answer.text());
    let text = "Forbidden: this request comes from a page of another site.";
    assert_eq!(answer.text(), text);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("location"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn a_forged_log_in_logs_nobody_in() {
    let users = Users::new();
    let app = site(base(&users), &users).await;
    for headers in [FOREIGN, SIBLING, OLD_BROWSER] {
        let browser = Browser::new(&app);
        for path in ["/login/2", "/login/2?remember=true"] {
            assert_refused(&post(&browser, path, headers).await);
        }
        assert_eq!(browser.cookie_names(), [""; 0]);
        assert_eq!(name_of(&browser).await, "nobody");
        // Who is logged in stays who they are.
        post(&browser, "/login/1", OWN).await;
        assert_refused(&post(&browser, "/login/2", headers).await);
        assert_eq!(name_of(&browser).await, "ada");
    }
}

#[actix_web::test]
async fn a_forged_log_out_ends_no_login() {
    let users = Users::new();
    for login_cookie in [false, true] {
        let mut builder = base(&users);
        if login_cookie {
            builder = builder.login_cookie(CookieSettings::new());
        }
        let app = site(builder, &users).await;
        let browser = Browser::new(&app);
        assert_eq!(
            post(&browser, "/login/1?remember=true", OWN).await.status(),
            303
        );
        let name = if login_cookie { LOGIN } else { SESSION };
        let before = [name, REMEMBER].map(|name| browser.cookie(name));
        assert!(before.iter().all(Option::is_some), "{before:?}");
        for headers in [FOREIGN, SIBLING, OLD_BROWSER] {
            for path in [
                "/logout",
                "/end-others",
                "/purge",
                "/change/none",
                "/end-all-of/1",
            ] {
                assert_refused(&post(&browser, path, headers).await);
            }
        }
        assert_eq!([name, REMEMBER].map(|name| browser.cookie(name)), before);
        assert_eq!(account_status(&browser).await, 200);
        // The same request of an own page ends it.
        assert_eq!(post(&browser, "/logout", OWN).await.status(), 303);
        assert_eq!(account_status(&browser).await, 303);
    }
}

#[actix_web::test]
async fn a_forged_confirmation_makes_no_login_fresh() {
    let users = Users::new();
    let app = site(base(&users), &users).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).stale().await;
    for headers in [FOREIGN, SIBLING, OLD_BROWSER] {
        assert_refused(&post(&browser, "/confirm/1", headers).await);
        assert_ne!(browser.get("/secrets").await.status(), 200);
    }
    assert_eq!(post(&browser, "/confirm/1", OWN).await.status(), 200);
    assert_eq!(browser.get("/secrets").await.status(), 200);
}

#[actix_web::test]
async fn a_forged_request_leaves_the_session_as_it_is() {
    let users = Users::new();
    let app = site(base(&users), &users).await;
    let browser = Browser::new(&app);
    post(&browser, "/cart/mine", OWN).await;
    let before = browser.cookie(SESSION);
    for path in ["/cart/theirs", "/clear", "/renew", "/purge"] {
        assert_refused(&post(&browser, path, FOREIGN).await);
    }
    assert_eq!(browser.cookie(SESSION), before);
    assert_eq!(cart_of(&browser).await.as_deref(), Some("mine"));
    // Where there is no session, none is made.
    let visitor = Browser::new(&app);
    assert_refused(&post(&visitor, "/cart/theirs", FOREIGN).await);
    assert_eq!(visitor.cookie_names(), [""; 0]);
}

#[actix_web::test]
async fn curl_and_clients_of_an_api_pass_without_any_of_the_headers() {
    let users = Users::new();
    let app = site(base(&users), &users).await;
    for agent in ["curl/8.5.0", "okhttp/4.12.0", "python-requests/2.32"] {
        let client = Browser::new(&app);
        client.set_user_agent(agent);
        assert_eq!(client.post("/login/1").await.status(), 303);
        assert_eq!(client.post("/cart/apple").await.status(), 200);
        assert_eq!(client.post("/logout").await.status(), 303);
    }
}

#[actix_web::test]
async fn the_body_of_a_forged_request_is_not_read() {
    let changes = Changes::default();
    let manager = base(&Users::new()).build(key()).unwrap();
    let app = app(manager, changing(&changes)).await;
    let browser = Browser::new(&app);
    for (what, chunk, chunks) in crate::first::BODIES {
        let sent = crate::first::send_with(
            &app,
            &browser,
            "/change",
            (chunk, chunks),
            &[("sec-fetch-site", "cross-site")],
        );
        assert_eq!(sent.await, (403, 0), "{what}");
    }
    assert_eq!(changes.take(), 0);
}

#[actix_web::test]
async fn a_websocket_is_not_opened_by_a_page_of_another_site() {
    let changes = Changes::default();
    let manager = base(&Users::new()).build(key()).unwrap();
    let app = app(manager, changing(&changes)).await;
    let browser = Browser::new(&app);
    let handshake = |headers: &[(&str, &str)]| {
        let ask = browser
            .get("/change")
            .header("connection", "keep-alive, Upgrade");
        with_headers(ask, headers)
    };
    const UPGRADE: (&str, &str) = ("upgrade", "websocket");
    let foreign = [
        vec![UPGRADE, ("sec-fetch-site", "cross-site")],
        vec![UPGRADE, ("sec-fetch-site", "same-site")],
        // Chrome sends no Fetch metadata with a handshake.
        vec![
            UPGRADE,
            ("host", "app.test"),
            ("origin", "https://evil.test"),
        ],
        vec![UPGRADE, ("host", "app.test"), ("origin", "null")],
        vec![("upgrade", "WebSocket"), ("sec-fetch-site", "cross-site")],
        vec![
            ("upgrade", "h2c, websocket"),
            ("sec-fetch-site", "cross-site"),
        ],
        vec![
            ("upgrade", "h2c"),
            ("upgrade", "websocket/13"),
            ("sec-fetch-site", "cross-site"),
        ],
    ];
    for headers in foreign {
        let answer = handshake(&headers).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        // A handshake gets a problem in JSON, as every program.
        let problem: serde_json::Value = answer.json().unwrap();
        assert_eq!(problem["code"], "cross_site");
        assert_eq!(changes.take(), 0);
    }
    for headers in [
        vec![UPGRADE, ("sec-fetch-site", "same-origin")],
        vec![
            UPGRADE,
            ("host", "app.test"),
            ("origin", "https://app.test"),
        ],
        vec![UPGRADE],
        // No handshake of a WebSocket.
        vec![("upgrade", "h2c"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(handshake(&headers).await.status(), 200, "{headers:?}");
        assert_eq!(changes.take(), 1);
    }
}

#[actix_web::test]
async fn programs_get_a_problem_with_a_stable_code() {
    let users = Users::new();
    let app = site(base(&users), &users).await;
    let browser = Browser::new(&app);
    let fetch = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "cors"),
        ("origin", "https://evil.test"),
    ];
    let answer = post(&browser, "/logout", &fetch).await;
    assert_eq!(answer.status(), 403);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"));
    let problem: serde_json::Value = answer.json().unwrap();
    assert_eq!(problem["code"], "cross_site");
    assert_eq!(problem["status"], 403);
    let detail = "this request comes from a page of another site.";
    assert_eq!(problem["detail"], detail);
}

#[actix_web::test]
async fn a_refusal_is_reported_once_with_its_reason_and_an_escaped_origin() {
    let users = Users::new();
    let (builder, events) = Events::of(base(&users));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let builder = {
        let seen = Arc::clone(&seen);
        builder.on_event(move |event, _| {
            if let LoginEvent::CrossSiteRefused {
                reason,
                origin,
                pattern,
                middleware,
            } = event
            {
                assert_eq!(*middleware, None);
                let own = |text: &Option<&str>| text.map(str::to_owned);
                seen.lock()
                    .unwrap()
                    .push((*reason, own(origin), own(pattern)));
            }
        })
    };
    let app = site(builder, &users).await;
    let browser = Browser::new(&app);
    let (log, _guard) = Log::start();
    let long = format!("https://{}.test", "a".repeat(200));
    let some = |text: &str| Some(text.to_owned());
    for (headers, reason, origin) in [
        (
            FOREIGN,
            CrossSiteReason::CrossSite,
            some("https://evil.test"),
        ),
        (
            SIBLING,
            CrossSiteReason::SameSite,
            some("https://old.example.test"),
        ),
        (
            OLD_BROWSER,
            CrossSiteReason::OtherOrigin,
            some("https://evil.test"),
        ),
        (
            &[("origin", "null")],
            CrossSiteReason::NullOrigin,
            some("null"),
        ),
        (
            &[("origin", "a \"b\" \u{e4}")],
            CrossSiteReason::UnknownOrigin,
            some("a \\\"b\\\" \\xc3\\xa4"),
        ),
        (
            &[("origin", &long)],
            CrossSiteReason::OtherOrigin,
            long.get(..120).map(str::to_owned),
        ),
        (
            &[("sec-fetch-site", "Cross-Site")],
            CrossSiteReason::UnknownSite,
            None,
        ),
    ] {
        let answer = post(&browser, "/login/1", headers).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
        let expected = (reason, origin, some("/login/{id}"));
        assert_eq!(seen.lock().unwrap().split_off(0), [expected]);
        let words = format!("cross_site_refused {reason:?}");
        assert_eq!(events.take(), [words]);
        let lines = log.take_ours();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("WARN "), "{lines:?}");
        assert!(lines[0].contains("event=cross_site_refused"), "{lines:?}");
        assert!(lines[0].contains("pattern=/login/{id}"), "{lines:?}");
    }
}

async fn own_answer(refused: RefusedRequest) -> impl Responder {
    match refused.reason() {
        RefusalReason::CrossSite => HttpResponse::ImATeapot().body(refused.path().to_owned()),
        _ => refused.default_response(),
    }
}

#[actix_web::test]
async fn the_handler_for_forbidden_requests_answers_and_writes_nothing_into_the_session() {
    let users = Users::new();
    let app = site(base(&users).forbidden_handler(own_answer), &users).await;
    let browser = Browser::new(&app);
    let answer = post(&browser, "/login/1", FOREIGN).await;
    assert_eq!((answer.status(), &*answer.text()), (418, "/login/1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    async fn writing(refused: RefusedRequest) -> impl Responder {
        use actix_session::SessionExt as _;
        let session = refused.get_session();
        let seen: Option<String> = session.get("cart").unwrap();
        session.insert("cart", "theirs").unwrap();
        let answer = refused.default_response();
        answer.map_body(|_, _| seen.unwrap_or_default())
    }
    let app = site(base(&users).forbidden_handler(writing), &users).await;
    let browser = Browser::new(&app);
    browser.post("/login/1").await;
    browser.post("/cart/mine").await;
    let answer = post(&browser, "/cart/theirs", FOREIGN).await;
    assert_eq!(
        (answer.status(), &*answer.text()),
        (403, "mine"),
        "it may read"
    );
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(cart_of(&browser).await.as_deref(), Some("mine"));
    assert_eq!(name_of(&browser).await, "ada");
}

#[actix_web::test]
async fn without_the_check_a_forged_request_is_taken() {
    let users = Users::new();
    let app = site(base(&users).danger_no_cross_site_check(), &users).await;
    let browser = Browser::new(&app);
    assert_eq!(post(&browser, "/login/2", FOREIGN).await.status(), 303);
    assert_eq!(name_of(&browser).await, "ben");
}

#[actix_web::test]
async fn a_trusted_origin_that_is_none_does_not_build() {
    for (origin, why) in [
        ("https://*.test", "has a wildcard"),
        ("https://spa.test/", "has a path"),
        ("spa.test", "has no scheme"),
        ("null", "is what every sandboxed frame sends"),
    ] {
        let error = base(&Users::new()).trusted_origins([origin]).build(key());
        let error = error.unwrap_err().to_string();
        let start = format!("the trusted origin `{origin}` {why}");
        assert!(error.starts_with(&start), "{error}");
    }
    let error = base(&Users::new())
        .credential_headers(["Cookie"])
        .build(key());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("credential_headers"), "{error}");
}

/// A request of a program with an API key.
fn with_api_keys(
    builder: LoginManagerBuilder,
    users: &Users,
    asked: &Changes,
) -> LoginManagerBuilder {
    let (users, asked) = (users.clone(), asked.clone());
    builder.request_loader(move |request: &HttpRequest| {
        asked.0.fetch_add(1, Ordering::SeqCst);
        let key = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        let by_query = request
            .query_string()
            .strip_prefix("key=")
            .map(str::to_owned);
        let id = key("authorization")
            .or_else(|| key("x-api-key"))
            .or_else(|| key("x-token"));
        let id = id
            .or(by_query)
            .or_else(|| Some(key("cookie")?.strip_prefix("key=")?.to_owned()));
        let id = id.and_then(|id| id.rsplit(' ').next()?.parse().ok());
        let user = id.and_then(|id| users.get(id));
        async move { Ok::<Option<User>, String>(user) }
    })
}
