//! What refused clients get, by the headers that they send.

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use login_runtime::{
    Limits, LoginScope, MemoryLoginStore,
    config::LoginManagerBuilder,
    fresh_login_required, login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager, manager_base};

use crate::world::App;

#[login_required]
async fn page() -> &'static str {
    "page"
}

#[fresh_login_required]
async fn fresh() -> &'static str {
    "fresh"
}

#[login_required(role = "nobody")]
async fn forbidden() -> &'static str {
    "forbidden"
}

fn pages(routes: &mut ServiceConfig) {
    routes
        .route("/page", web::to(page))
        .route("/fresh", web::to(fresh))
        .route("/forbidden", web::to(forbidden));
}

fn site_routes(routes: &mut ServiceConfig) {
    let inner = LoginScope::new().login_view("/api/login").unwrap();
    routes.configure(pages).service(
        web::scope("/api")
            .wrap(LoginScope::new().api())
            .configure(pages)
            .service(web::scope("/v2").wrap(inner).configure(pages)),
    );
}

async fn site(builder: LoginManagerBuilder) -> impl App {
    app(builder.build(key()).unwrap(), site_routes).await
}

fn plain() -> LoginManagerBuilder {
    manager(&Users::new()).0
}

async fn ask<S: App>(browser: &Browser<'_, S>, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = browser.get(path);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.await
}

/// What a refused client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// 303 to the login view.
    View,
    /// 401 as a problem in JSON.
    Problem,
    /// 401, with the login view in the header of htmx.
    Htmx,
}
use Gets::{Htmx, Problem, View};

const HTMX: (&str, &str) = ("hx-request", "true");
const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
const CORS: (&str, &str) = ("sec-fetch-mode", "cors");
const SOCKET: (&str, &str) = ("upgrade", "websocket");
const EVENTS: (&str, &str) = ("accept", "text/event-stream");
const HTML: (&str, &str) = ("accept", "text/html");
const JSON: (&str, &str) = ("accept", "application/json");
const XHR: (&str, &str) = ("x-requested-with", "XMLHttpRequest");

const TABLE: &[(&[(&str, &str)], Gets)] = &[
    // Browsers that navigate.
    (&[], View),
    (&[HTML], View),
    (&[NAVIGATE], View),
    (&[NAVIGATE, HTML], View),
    (&[NAVIGATE, JSON], View),
    (&[NAVIGATE, XHR], View),
    (&[NAVIGATE, ("sec-fetch-dest", "iframe")], View),
    (&[NAVIGATE, ("accept", "text/html;q=0")], View),
    (&[NAVIGATE, ("upgrade", "h2c")], View),
    // `Accept` without fetch metadata.
    (&[("accept", "*/*")], View),
    (&[("accept", "*/*;q=0.1")], View),
    (&[("accept", "")], View),
    (&[("accept", "text/*")], View),
    (&[("accept", "TEXT/HTML ; q=0.5")], View),
    (&[("accept", "text/html;q=0.001")], View),
    (
        &[("accept", "text/html;q=1.000, application/json;q=0.999")],
        View,
    ),
    (&[("accept", "application/json, text/html")], View),
    (
        &[("accept", "application/json;q=0.5, text/html;q=0.5")],
        View,
    ),
    (&[("accept", "application/json;q=0, text/html;q=0.1")], View),
    (&[("accept", "application/json;q=x, text/html;q=0.1")], View),
    (&[("accept", "text/html;a=\"x, y;q=0\"")], View),
    (&[("accept", "text/html;q=0, application/xhtml+xml")], View),
    (&[("accept", "text/html;q=0")], Problem),
    (&[("accept", "text/html;q=0.000, */*")], Problem),
    (&[("accept", "text/*, text/html;q=0")], Problem),
    (&[("accept", "*/*;q=0")], Problem),
    (&[("accept", "text/html;q=2")], Problem),
    (&[("accept", "text/html;q=0.1234")], Problem),
    (&[("accept", "text/html;q=-1")], Problem),
    (&[("accept", "text/html;q=")], Problem),
    (&[("accept", "text/html;q")], Problem),
    (
        &[("accept", "text/html;q=0.4, application/json;q=0.5")],
        Problem,
    ),
    (
        &[("accept", "application/vnd.api+json, text/html;q=0.9")],
        Problem,
    ),
    (&[("accept", "application/problem+json")], Problem),
    (&[JSON], Problem),
    (&[("accept", "application/json, */*")], Problem),
    (&[("accept", "text/plain")], Problem),
    (&[("accept", "image/avif, */*;q=0.8")], Problem),
    (&[("accept", "garbage")], Problem),
    // Scripts.
    (&[XHR, HTML], Problem),
    (&[CORS, HTML], Problem),
    (&[("sec-fetch-mode", "same-origin"), HTML], Problem),
    (&[("sec-fetch-mode", "no-cors")], Problem),
    (&[("sec-fetch-mode", "unheard-of"), HTML], Problem),
    // Handshakes.
    (&[SOCKET], Problem),
    (&[SOCKET, HTML], Problem),
    (&[SOCKET, NAVIGATE, HTML], Problem),
    (&[SOCKET, HTMX], Problem),
    (&[("upgrade", "h2c, WebSocket")], Problem),
    (&[("upgrade", "websocket/13"), HTML], Problem),
    (&[("sec-fetch-mode", "websocket")], Problem),
    (&[EVENTS], Problem),
    (&[EVENTS, CORS], Problem),
    (&[EVENTS, NAVIGATE], Problem),
    (&[EVENTS, HTMX], Problem),
    (&[("accept", "Text/Event-Stream;q=0.5, */*")], Problem),
    (
        &[("accept", "application/json, text/event-stream")],
        Problem,
    ),
    (&[("upgrade", "h2c"), HTML], View),
    // htmx.
    (&[HTMX], Htmx),
    (&[HTMX, ("accept", "text/html, */*")], Htmx),
    (&[HTMX, CORS], Htmx),
    (&[HTMX, CORS, XHR], Htmx),
    (&[HTMX, JSON], Htmx),
    (
        &[
            HTMX,
            ("hx-boosted", "true"),
            ("sec-fetch-mode", "same-origin"),
        ],
        Htmx,
    ),
    (&[("hx-request", "True")], Htmx),
    (&[HTMX, NAVIGATE], View),
    (&[("hx-request", "false"), HTML], View),
    (&[("hx-request", ""), JSON], Problem),
];

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, code: &str, asked: &str) {
    assert_eq!(answer.status(), status, "{asked}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{asked}"
    );
    let problem: serde_json::Value = answer.json().unwrap();
    assert_eq!(problem["type"], "about:blank", "{asked}");
    assert_eq!(problem["status"], status, "{asked}");
    assert_eq!(problem["code"], code, "{asked}");
    let title = if status == 401 {
        "Unauthorized"
    } else {
        "Forbidden"
    };
    assert_eq!(problem["title"], title, "{asked}");
    assert_eq!(answer.location(), None, "{asked}");
    assert_eq!(answer.header("hx-redirect"), None, "{asked}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{asked}");
    assert_eq!(
        answer.header("www-authenticate").is_some(),
        status == 401,
        "{asked}"
    );
}

#[actix_web::test]
async fn each_client_gets_what_it_can_follow() {
    assert!(TABLE.len() >= 40);
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    for (headers, gets) in TABLE {
        let asked = format!("{headers:?}");
        let answer = ask(&browser, "/page?a=b", headers).await;
        match gets {
            View => {
                assert_eq!(answer.status(), 303, "{asked}");
                assert_eq!(
                    answer.location(),
                    Some("/login?next=/page%3Fa%3Db"),
                    "{asked}"
                );
                assert_eq!(answer.header("hx-redirect"), None, "{asked}");
            }
            Problem => assert_problem(&answer, 401, "anonymous", &asked),
            Htmx => {
                assert_eq!(answer.status(), 401, "{asked}");
                assert_eq!(answer.location(), None, "{asked}");
                // Without the address of the page there is nothing to come back to.
                assert_eq!(answer.header("hx-redirect"), Some("/login"), "{asked}");
                assert!(answer.header("www-authenticate").is_some(), "{asked}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{asked}");
            }
        }
    }
}

#[actix_web::test]
async fn an_api_sends_no_client_to_a_view() {
    let app = site(plain().refresh_view("/refresh")).await;
    let browser = Browser::new(&app);
    for (headers, _) in TABLE {
        for path in ["/api/page", "/api/v2/page"] {
            let answer = ask(&browser, path, headers).await;
            assert_problem(&answer, 401, "anonymous", &format!("{path} {headers:?}"));
        }
    }
    browser.log_in(User::new(1, "ada")).stale().await;
    for (headers, _) in TABLE {
        let asked = format!("{headers:?}");
        let answer = ask(&browser, "/api/fresh", headers).await;
        assert_problem(&answer, 401, "stale", &asked);
        let answer = ask(&browser, "/api/v2/forbidden", headers).await;
        assert_problem(&answer, 403, "forbidden", &asked);
    }
}

#[actix_web::test]
async fn an_undeclared_route_of_an_api_sends_no_client_to_a_view() {
    async fn open() -> &'static str {
        "open"
    }
    let manager = plain().deny_by_default().build(key()).unwrap();
    let api = || {
        web::scope("/api")
            .wrap(LoginScope::new().api())
            .route("/open", web::get().to(open))
    };
    let app = app(manager, |routes| {
        routes.service(api());
    })
    .await;
    let answer = ask(&Browser::new(&app), "/api/open", &[NAVIGATE, HTML]).await;
    assert_problem(&answer, 401, "anonymous", "/api/open");
}

#[actix_web::test]
async fn with_htmx_next_is_the_page_that_the_browser_shows_if_it_is_ours() {
    let app = site(plain()).await;
    let listed = site(plain().origins(["https://app.test"])).await;
    let sent = async |browser: &Browser<'_, _>, current: &str| {
        let headers = [HTMX, ("host", "app.test"), ("hx-current-url", current)];
        let answer = ask(browser, "/page", &headers).await;
        assert_eq!(answer.status(), 401, "{current}");
        answer.header("hx-redirect").unwrap().to_owned()
    };
    for current in [
        "https://app.test/list?a=b#row",
        "https://APP.test:443/list?a=b",
    ] {
        let next = "/login?next=/list%3Fa%3Db";
        assert_eq!(
            sent(&Browser::new(&listed), current).await,
            next,
            "{current}"
        );
    }
    let http = sent(&Browser::new(&app), "http://app.test/list").await;
    assert_eq!(http, "/login?next=/list");
    // TLS may end at a proxy that reports nothing.
    let https = sent(&Browser::new(&app), "https://app.test/list").await;
    assert_eq!(https, "/login?next=/list");
    let long = format!("https://app.test/{}", "x".repeat(3000));
    for current in [
        "https://evil.test/list",
        "https://app.test.evil.test/list",
        "https://app.test@evil.test/list",
        "https://user@app.test/list",
        "https://app.test:8443/list",
        "https://app.test//evil.test",
        "https:/app.test/list",
        "//app.test/list",
        "/list",
        "javascript:alert(1)",
        "about:blank",
        "https://",
        "",
        // The view itself: the user would get the form again after the log in.
        "https://app.test/login?next=/old",
        &long,
    ] {
        assert_eq!(
            sent(&Browser::new(&listed), current).await,
            "/login",
            "{current}"
        );
    }
    let http = sent(&Browser::new(&listed), "http://app.test/list").await;
    assert_eq!(http, "/login", "another scheme than the listed one");
}

#[actix_web::test]
async fn with_htmx_the_cookie_keeps_the_page_that_the_browser_shows() {
    let app = site(plain().use_session_for_next()).await;
    let browser = Browser::new(&app);
    let headers = [
        HTMX,
        ("host", "app.test"),
        ("hx-current-url", "http://app.test/list"),
    ];
    let answer = ask(&browser, "/page", &headers).await;
    assert_eq!(answer.header("hx-redirect"), Some("/login"));
    assert_eq!(answer.set_cookies().len(), 1);
}

#[actix_web::test]
async fn a_program_is_told_why_its_login_no_longer_counts() {
    for (store, code) in [(true, "expired"), (false, "expired")] {
        let users = Users::new();
        let (builder, clock) = manager_base(&users);
        let hour = Duration::from_secs(60 * 60);
        let builder = match store {
            true => builder
                .login_store(MemoryLoginStore::new())
                .limits(Limits::new().idle(hour)),
            false => builder
                .session_only()
                .limits(Limits::new().danger_no_idle_limit().absolute(hour)),
        };
        let app = site(builder).await;
        let browser = Browser::new(&app);
        browser.log_in(User::new(1, "ada")).await;
        clock.advance(hour * 2);
        let answer = ask(&browser, "/page", &[JSON]).await;
        assert_problem(&answer, 401, code, "after the limit");
        // The browser has dropped the login.
        let answer = ask(&browser, "/page", &[JSON]).await;
        assert_problem(&answer, 401, "anonymous", "without a login");
    }
}

#[actix_web::test]
async fn a_program_is_told_that_its_login_was_ended() {
    for store in [true, false] {
        let users = Users::new();
        let builder = manager_base(&users).0;
        let builder = match store {
            true => builder.login_store(MemoryLoginStore::new()),
            false => builder.session_only(),
        };
        let app = site(builder).await;
        let browser = Browser::new(&app);
        let stranger = User::new(77, "gone");
        browser.log_in(stranger).await;
        let answer = ask(&browser, "/page", &[JSON]).await;
        assert_problem(&answer, 401, "revoked", "the user does not exist");
    }
}

#[actix_web::test]
async fn a_person_reads_a_text() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).stale().await;
    for (path, status) in [("/fresh", 401), ("/forbidden", 403)] {
        for headers in [&[HTML][..], &[NAVIGATE], &[HTMX]] {
            let answer = ask(&browser, path, headers).await;
            assert_eq!(answer.status(), status);
            let kind = answer.header("content-type");
            assert_eq!(
                kind,
                Some("text/plain; charset=utf-8"),
                "{path} {headers:?}"
            );
        }
    }
}
