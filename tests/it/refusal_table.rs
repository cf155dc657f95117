//! What refused clients get, by the headers that they send.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_session::SessionExt;
use actix_web::{
    HttpRequest,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, Limits, LoginScope, MaybeUser, MemoryLoginStore,
    config::{LoginManagerBuilder, SessionProtection},
    fresh_login_required,
    guards::{Refusal, RefusedRequest},
    login_required,
    test::{
        Answer, Browser, TestClock,
        strict::{Rule, tolerate},
    },
};
use login_tests::{
    Admin, START, User, Users, app, key, load_admin, manager, manager_base, record_logins,
};

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

async fn asked(_: MaybeUser<User>, auth: Auth<User>) -> Result<&'static str, Refusal> {
    Err(auth.unauthorized().await)
}

async fn forge(request: HttpRequest) -> &'static str {
    let session = request.get_session();
    session.insert("_login:User", "worthless").unwrap();
    "forged"
}

fn pages(routes: &mut ServiceConfig) {
    routes
        .route("/asked", web::to(asked))
        .route("/forge", web::to(forge))
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
    (&[NAVIGATE, ("accept", "text/event-stream;q=0")], View),
    (
        &[NAVIGATE, ("accept", "text/event-stream;q=0.5, text/html")],
        View,
    ),
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
    (
        &[("accept", "application/vnd.api+JSON, text/html;q=0.9")],
        Problem,
    ),
    (&[("accept", "text/html;q=0.1"), JSON], Problem),
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
    (&[("upgrade", "h2c"), SOCKET, HTML], Problem),
    (&[("sec-fetch-mode", "websocket")], Problem),
    (&[EVENTS], Problem),
    (&[EVENTS, CORS], Problem),
    (&[EVENTS, NAVIGATE], Problem),
    (
        &[NAVIGATE, ("accept", "text/html;q=0.1, text/event-stream")],
        Problem,
    ),
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
        for app in [&app, &listed] {
            let sent = sent(&Browser::new(app), current).await;
            assert_eq!(sent, "/login", "{current}");
        }
    }
    let http = sent(&Browser::new(&listed), "http://app.test/list").await;
    assert_eq!(http, "/login", "another scheme than the listed one");
    let listed = site(plain().origins(["http://app.test"])).await;
    let https = sent(&Browser::new(&listed), "https://app.test/list").await;
    assert_eq!(https, "/login", "another scheme than the listed one");
    let twice = [
        HTMX,
        ("host", "app.test"),
        ("hx-current-url", "http://app.test/list"),
        ("hx-current-url", "http://app.test/other"),
    ];
    let answer = ask(&Browser::new(&app), "/page", &twice).await;
    assert_eq!(answer.header("hx-redirect"), Some("/login"));
}

#[actix_web::test]
async fn with_htmx_next_has_the_prefix_that_the_browser_shows() {
    let app = site(plain().own_prefix("/app")).await;
    for (current, location) in [
        ("http://app.test/app/list", "/app/login?next=/app/list"),
        ("http://app.test/app/login", "/app/login"),
        ("http://app.test/login", "/app/login?next=/login"),
    ] {
        let headers = [HTMX, ("host", "app.test"), ("hx-current-url", current)];
        let answer = ask(&Browser::new(&app), "/page", &headers).await;
        assert_eq!(answer.header("hx-redirect"), Some(location), "{current}");
    }
}

#[actix_web::test]
async fn with_htmx_a_login_view_on_another_host_is_told_the_page_if_it_is_known_to_be_ours() {
    let _known = tolerate(
        &[Rule::OwnOrigin],
        "",
        "the login view is on another origin",
    );
    let view = || plain().login_view("https://auth.test/login");
    let listed = || view().origins(["https://app.test"]);
    let plain = "https://auth.test/login";
    let with_next = "https://auth.test/login?next=http";
    for (builder, current, location) in [
        (
            listed(),
            "https://app.test/list",
            format!("{with_next}s://app.test/list"),
        ),
        // The same path on another host is another page.
        (
            listed(),
            "https://app.test/login",
            format!("{with_next}s://app.test/login"),
        ),
        (view(), "http://app.test/list", plain.to_owned()),
        (
            view().danger_any_host(),
            "http://app.test/list",
            format!("{with_next}://app.test/list"),
        ),
        (
            view().origins(["https://other.test"]).danger_any_host(),
            "http://app.test/list",
            plain.to_owned(),
        ),
    ] {
        let app = site(builder).await;
        let headers = [HTMX, ("host", "app.test"), ("hx-current-url", current)];
        let answer = ask(&Browser::new(&app), "/page", &headers).await;
        assert_eq!(answer.header("hx-redirect"), Some(&*location), "{current}");
    }
}

#[actix_web::test]
async fn with_htmx_a_login_view_that_guards_itself_answers_401_and_not_a_loop() {
    let app = site(plain().login_view("/page")).await;
    let answer = ask(&Browser::new(&app), "/page", &[HTMX]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.header("hx-redirect"), None);
}

#[actix_web::test]
async fn with_htmx_a_stale_login_leads_to_the_refresh_view() {
    let app = site(plain().refresh_view("/refresh")).await;
    let browser = Browser::new(&app);
    browser.log_in(User::new(1, "ada")).stale().await;
    let answer = ask(&browser, "/fresh", &[HTMX]).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.header("hx-redirect"), Some("/refresh"));
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_user_authentication"));
}

#[actix_web::test]
async fn with_htmx_the_view_shows_the_message() {
    let flashed = Arc::new(Mutex::new(Vec::new()));
    let flashes = Arc::clone(&flashed);
    let builder =
        plain().flash(move |_, flash| flashes.lock().unwrap().push(flash.text.to_owned()));
    let app = site(builder).await;
    ask(&Browser::new(&app), "/page", &[HTMX]).await;
    assert_eq!(
        *flashed.lock().unwrap(),
        ["Please log in to access this page."]
    );
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

/// How a login ends before its time.
#[derive(Clone, Copy, Debug)]
enum Ending {
    UserGone,
    UserInactive,
    NewPassword,
    OtherClient,
    Administrator,
}

#[actix_web::test]
async fn a_program_is_told_that_its_login_was_ended() {
    use Ending::{Administrator, NewPassword, OtherClient, UserGone, UserInactive};
    for (ending, store) in [
        (UserGone, true),
        (UserGone, false),
        (UserInactive, true),
        (UserInactive, false),
        (NewPassword, true),
        (NewPassword, false),
        (OtherClient, true),
        (OtherClient, false),
        (Administrator, true),
    ] {
        let users = Users::new();
        let builder = manager_base(&users)
            .0
            .session_protection(SessionProtection::Strong);
        let builder = record_logins(builder, store.then(MemoryLoginStore::new));
        let manager = builder.build(key()).unwrap();
        let logins = manager.logins();
        let app = app(manager, site_routes).await;
        let browser = Browser::new(&app);
        browser.log_in(User::new(1, "ada")).await;
        assert_eq!(browser.get("/page").await.status(), 200);
        match ending {
            UserGone => users.delete(1),
            UserInactive => users.change(1, |user| user.is_active = false),
            NewPassword => users.change(1, |user| user.hash = "another".to_owned()),
            OtherClient => browser.set_user_agent("test/2"),
            Administrator => assert_eq!(logins.unwrap().end_all().await.unwrap(), 1),
        }
        let answer = ask(&browser, "/page", &[JSON]).await;
        let asked = format!("{ending:?}, with a store: {store}");
        assert_problem(&answer, 401, "revoked", &asked);
    }
}

#[actix_web::test]
async fn a_login_that_is_none_is_not_called_ended() {
    let app = site(plain()).await;
    let browser = Browser::new(&app);
    browser.post("/forge").await;
    let answer = ask(&browser, "/page", &[JSON]).await;
    assert_problem(&answer, 401, "anonymous", "a forged login");
}

#[actix_web::test]
async fn whoever_refuses_tells_a_program_why_its_login_no_longer_counts() {
    let hour = Duration::from_secs(60 * 60);
    let limits = || Limits::new().danger_no_idle_limit().absolute(hour);
    let handler = async |refused: RefusedRequest| refused.default_response();
    for (name, path, builder) in [
        (
            "a handler of the application",
            "/page",
            plain().unauthorized_handler(handler),
        ),
        ("`Auth`", "/asked", plain()),
        // The gate asks for users of all types.
        (
            "deny by default",
            "/asked",
            plain().user_loader(load_admin).deny_by_default(),
        ),
    ] {
        let clock = TestClock::at(START);
        let app = site(builder.limits(limits()).clock(clock.clone())).await;
        let browser = Browser::new(&app);
        match name {
            "deny by default" => browser.log_in(Admin::new("root")).await,
            _ => browser.log_in(User::new(1, "ada")).await,
        };
        clock.advance(hour * 2);
        let answer = ask(&browser, path, &[JSON]).await;
        assert_problem(&answer, 401, "expired", name);
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
