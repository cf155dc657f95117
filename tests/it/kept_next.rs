//! The page that a client wanted, kept in a cookie until it has logged in.

use actix_web::{cookie::Key, http::Method, web};
use login_runtime::test::strict::{Rule, tolerate};
use login_runtime::{
    CookieSettings,
    config::LoginManagerBuilder,
    test::{Answer, Browser},
};
use login_tests::{Users, app, key, manager, sessions::MemorySessions};

use crate::world::{
    App, HOUR, LOGIN, SECOND, SESSION, assert_clears, assert_leaves, assert_no_cookies,
    assert_sets, pages, site,
};

const NEXT: &str = "__Host-next";

/// What browsers send when a user follows a link.
const NAVIGATION: [(&str, &str); 4] = [
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "same-origin"),
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
];

#[login_runtime::login_required]
async fn page() -> &'static str {
    "page"
}

async fn serve(builder: LoginManagerBuilder) -> impl App {
    app(builder.build(key()).unwrap(), |routes| {
        pages(routes, Users::new());
        routes.default_service(web::to(page));
    })
    .await
}

fn builder() -> LoginManagerBuilder {
    manager(&Users::new()).0.use_session_for_next()
}

async fn get<S: App>(browser: &Browser<'_, S>, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = browser.get(path);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.await
}

/// Where a browser goes after it has logged in.
async fn after_log_in<S: App>(browser: &Browser<'_, S>) -> String {
    let answer = browser.post("/login/1").await;
    assert_eq!(answer.status(), 303, "{}", answer.text());
    answer.location().unwrap().to_owned()
}

#[actix_web::test]
async fn a_thousand_refused_strangers_leave_no_session() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let builder = manager(&users).0.use_session_for_next();
    let manager = builder.session_store(sessions.clone()).build(key());
    let app = site(manager.unwrap(), &users).await;
    for at in 0..1000 {
        let browser = Browser::new(&app);
        let answer = get(&browser, &format!("/account?{at}"), &NAVIGATION).await;
        assert_eq!(answer.location(), Some("/login"));
        assert_leaves(&answer, SESSION);
        assert_eq!(browser.cookie_names(), [NEXT]);
    }
    assert!(sessions.is_empty());
}

#[actix_web::test]
async fn the_page_that_a_client_wanted_is_in_a_cookie_that_only_we_can_read() {
    let app = serve(builder()).await;
    let browser = Browser::new(&app);
    let answer = get(&browser, "/account?token=secret", &NAVIGATION).await;
    let value = assert_sets(&answer, NEXT, Some(HOUR));
    assert!(!value.contains("secret"));
    let other = get(&Browser::new(&app), "/account?token=secret", &NAVIGATION).await;
    assert_ne!(assert_sets(&other, NEXT, Some(HOUR)), value);
    let answer = browser.post("/login/1").await;
    assert_eq!(answer.location(), Some("/account?token=secret"));
    assert_clears(&answer, NEXT);
    assert_eq!(after_log_in(&browser).await, "/");
}

#[actix_web::test]
async fn the_page_that_a_client_wanted_is_forgotten_after_an_hour() {
    let (builder, clock) = manager(&Users::new());
    let app = serve(builder.use_session_for_next()).await;
    for (wait, expected) in [(HOUR - SECOND, "/account"), (HOUR, "/")] {
        let browser = Browser::new(&app);
        browser.get("/account").await;
        clock.advance(wait);
        assert_eq!(after_log_in(&browser).await, expected);
    }
}

#[actix_web::test]
async fn a_background_request_does_not_replace_the_page_that_the_user_wanted() {
    let app = serve(builder()).await;
    let browser = Browser::new(&app);
    assert_sets(
        &get(&browser, "/wanted?a=b", &NAVIGATION).await,
        NEXT,
        Some(HOUR),
    );
    let page = ("accept", "text/html,*/*;q=0.8");
    let navigate = ("sec-fetch-mode", "navigate");
    let document = ("sec-fetch-dest", "document");
    for headers in [
        // Scripts, images, sockets, frames.
        &[
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
            page,
        ][..],
        &[
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "image"),
            page,
        ],
        &[("sec-fetch-mode", "same-origin"), page],
        &[("sec-fetch-mode", "websocket"), page],
        &[("upgrade", "websocket"), ("connection", "upgrade"), page],
        &[("upgrade", "websocket"), navigate, document],
        &[navigate, ("sec-fetch-dest", "iframe"), page],
        &[navigate, ("sec-fetch-dest", "frame"), page],
        &[navigate, ("sec-fetch-dest", "embed"), page],
        &[navigate, ("sec-fetch-dest", "object"), page],
        &[("sec-fetch-dest", "empty"), page],
        &[("sec-fetch-mode", "cors"), document, page],
        // Pages that are loaded in advance.
        &[navigate, document, ("sec-purpose", "prefetch"), page],
        &[
            navigate,
            document,
            ("sec-purpose", "prefetch;prerender"),
            page,
        ],
        &[navigate, document, ("purpose", "prefetch"), page],
        &[navigate, document, ("x-purpose", "preview"), page],
        &[navigate, document, ("x-moz", "prefetch"), page],
        &[page, ("purpose", "Prefetch")],
        // Without fetch metadata.
        &[("accept", "*/*")],
        &[("accept", "image/avif,image/webp,*/*;q=0.8")],
        &[("accept", "application/json")],
        &[("accept", "text/css,*/*;q=0.1")],
        &[page, ("x-requested-with", "XMLHttpRequest")],
    ] {
        let answer = get(&browser, "/background", headers).await;
        assert!([303, 401].contains(&answer.status()), "{headers:?}");
        assert_no_cookies(&answer);
    }
    for method in [Method::HEAD, Method::POST] {
        let request = browser.ask(method, "/background");
        let request = request.header("sec-fetch-mode", "navigate");
        assert_no_cookies(&request.header("sec-fetch-dest", "document").await);
    }
    assert_eq!(after_log_in(&browser).await, "/wanted?a=b");
}

#[actix_web::test]
async fn every_way_to_navigate_is_kept() {
    let app = serve(builder()).await;
    for headers in [
        &NAVIGATION[..],
        &[("sec-fetch-mode", "navigate")],
        &[
            ("sec-fetch-mode", "Navigate"),
            ("sec-fetch-dest", "Document"),
        ],
        &[("sec-fetch-dest", "document")],
        &[
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("accept", "*/*"),
        ],
        &[(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        )],
        &[("accept", "application/xhtml+xml")],
        &[("accept", "text/html;q=0.9")],
        // A client that does not tell.
        &[],
    ] {
        let browser = Browser::new(&app);
        get(&browser, "/wanted", headers).await;
        assert_eq!(after_log_in(&browser).await, "/wanted", "{headers:?}");
    }
}

#[actix_web::test]
async fn the_last_page_counts_and_a_browser_keeps_one() {
    let app = serve(builder()).await;
    let browser = Browser::new(&app);
    for at in 0..50 {
        get(&browser, &format!("/wanted/{at}"), &NAVIGATION).await;
        assert_eq!(browser.cookie_names(), [NEXT]);
    }
    assert_eq!(after_log_in(&browser).await, "/wanted/49");
}

#[actix_web::test]
async fn an_address_that_is_too_long_is_no_error_and_not_kept() {
    for builder in [builder(), builder().next_max_len(100_000)] {
        let app = serve(builder).await;
        let browser = Browser::new(&app);
        for length in [5_000, 10_000, 60_000] {
            let long = format!("/{}", "x".repeat(length));
            get(&browser, "/before", &NAVIGATION).await;
            let answer = get(&browser, &long, &NAVIGATION).await;
            assert_eq!(answer.status(), 303, "{length}");
            assert_eq!(answer.location(), Some("/login"));
            assert_clears(&answer, NEXT);
            assert_eq!(after_log_in(&browser).await, "/");
            browser.post("/logout").await;
        }
        let just = format!("/{}", "x".repeat(2000));
        get(&browser, &just, &NAVIGATION).await;
        assert_eq!(after_log_in(&browser).await, just);
    }
}

#[actix_web::test]
async fn a_cookie_that_was_made_for_something_else_leads_nowhere() {
    let (users, stranger) = (Users::new(), login_tests::key_of(9));
    let with = |key: Key| {
        let builder = manager(&users).0.use_session_for_next();
        builder
            .login_cookie(CookieSettings::new())
            .build(key)
            .unwrap()
    };
    let app = site(with(key()), &users).await;
    let other = site(with(stranger.clone()), &users).await;
    let browser = Browser::new(&app);
    browser.get("/account").await;
    let good = browser.cookie(NEXT).unwrap();
    browser.post("/login/1").await;
    let login = browser.cookie(LOGIN).unwrap();
    let foreign = Browser::new(&other);
    foreign.get("/account").await;
    let foreign = foreign.cookie(NEXT).unwrap();
    for bad in [
        &login,
        &foreign,
        "",
        "x",
        "/account",
        &good[1..],
        &format!("{good}A"),
    ] {
        let browser = Browser::new(&app);
        browser.set_cookie(NEXT, bad);
        assert_eq!(after_log_in(&browser).await, "/", "{bad}");
        assert_eq!(browser.cookie(NEXT), None);
    }
    // Nor does it log anybody in.
    let browser = Browser::new(&app);
    browser.set_cookie(LOGIN, &good);
    assert_eq!(browser.get("/me").await.text(), "nobody");
    // It opens under an older key.
    let builder = manager(&users).0.use_session_for_next();
    let newer = builder.fallback_keys([stranger]).build(key()).unwrap();
    let newer = site(newer, &users).await;
    let browser = Browser::new(&newer);
    browser.set_cookie(NEXT, &foreign);
    assert_eq!(after_log_in(&browser).await, "/account");
}

#[actix_web::test]
async fn a_stale_user_and_a_visitor_of_an_undeclared_route_come_back_too() {
    async fn undeclared() -> &'static str {
        "undeclared"
    }
    let builder = builder().refresh_view("/refresh").deny_by_default();
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service(
            web::scope("/open")
                .wrap(login_runtime::public())
                .configure(|routes| {
                    pages(routes, Users::new());
                }),
        );
        routes.route("/undeclared", web::get().to(undeclared));
    })
    .await;
    let browser = Browser::new(&app);
    let answer = get(&browser, "/undeclared?a=b", &NAVIGATION).await;
    assert_eq!(answer.location(), Some("/login"));
    let answer = browser.post("/open/login/1?stale=true").await;
    assert_eq!(answer.location(), Some("/undeclared?a=b"));
    let answer = get(&browser, "/open/settings", &NAVIGATION).await;
    assert_eq!(answer.location(), Some("/refresh"));
    assert_sets(&answer, NEXT, Some(HOUR));
    let next: Option<String> = browser.get("/open/next").await.json().expect("next");
    assert_eq!(next.as_deref(), Some("/open/settings"));
}

#[actix_web::test]
async fn the_cookie_goes_wherever_the_session_cookie_goes() {
    let _known = tolerate(
        &[
            Rule::Domain,
            Rule::Prefix,
            Rule::Secure,
            Rule::SameSite,
            Rule::Path,
        ],
        "",
        "it is about cookies that are not strict",
    );
    let shared = CookieSettings::new().name("sid").domain("app.test");
    let app = serve(builder().session_cookie(shared)).await;
    let answer = get(&Browser::new(&app), "/account", &NAVIGATION).await;
    let cookie = answer.set_cookie("__Secure-next").unwrap();
    assert_eq!(cookie.domain(), Some("app.test"));
    let app = serve(builder().danger_insecure_cookies()).await;
    let answer = get(&Browser::new(&app), "/account", &NAVIGATION).await;
    assert_eq!(answer.set_cookie("next").unwrap().secure(), None);
    let clash = CookieSettings::new().name(NEXT);
    let error = builder()
        .session_cookie(clash.clone())
        .build(key())
        .unwrap_err();
    assert!(error.to_string().contains("two cookies"), "{error}");
    let builder = manager(&Users::new()).0.session_cookie(clash);
    assert!(builder.build(key()).is_ok());
}
