//! Where a browser goes after the log in, if the address is kept on the server.

use actix_web::{HttpResponse, get, http::header::ContentType};

use super::*;

/// A public page with everything that a browser loads beside it; all of it needs a login.
#[get("/shop")]
async fn shop() -> Html {
    let parts = [
        r#"<link rel="icon" href="/private/icon">"#,
        r#"<link rel="prefetch" href="/private/prefetched">"#,
        r#"<script src="/private/script"></script>"#,
        r#"<img src="/private/image" alt="">"#,
        r#"<iframe src="/private/frame"></iframe>"#,
        r#"<script type="speculationrules">{"prerender": [{"urls": ["/private/prerendered"]}]}</script>"#,
        r#"<script>
            const socket = new WebSocket(`ws://${location.host}/private/socket`);
            const closed = new Promise(resolve => socket.onclose = resolve);
            const fetched = fetch("/private/fetched");
            const loaded = new Promise(resolve => window.onload = resolve);
            Promise.allSettled([closed, fetched, loaded]).then(() => {
                document.body.append(document.createElement("hr"));
            });
        </script>"#,
    ];
    Html::new(format!(
        "<!doctype html><title>Shop</title><body>{}",
        parts.concat()
    ))
}

#[login_required]
#[get("/private/{rest:.*}")]
async fn private() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .body("<p>private</p>")
}

fn start() -> Server {
    let (manager, _clock) = manager(&Users::new(), |builder| builder.use_session_for_next());
    Server::start(manager, |app| {
        app.service((shop, private)).configure(routes);
    })
}

#[test]
fn a_long_address_is_refused_like_a_short_one() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    for length in [10, 1_000, 2_048, 5_000, 30_000] {
        let visitor = curl::Jar::default();
        let address = format!("/private/{}", "a".repeat(length));
        let response = visitor.browse(&server.url(&address));
        assert_eq!(response.status, 303, "{length}: {response:?}");
        let location = response.header("location").expect("an address");
        assert!(location.len() < 4_096, "{length}: {}", location.len());
        visitor.post(&server.url("/login"), &[("id", "1")]);
        assert!(
            visitor.get(&server.url("/me")).body.contains("<p>ada</p>"),
            "{length}"
        );
    }
}

#[test]
fn a_script_that_is_refused_gets_no_cookie() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    let url = server.url("/private/script");
    let script = [
        "-H",
        "sec-fetch-mode: no-cors",
        "-H",
        "sec-fetch-dest: script",
        &url,
    ];
    for arguments in [&script[..], &["-H", "accept: application/json", &url]] {
        let response = curl::Jar::default().send(arguments);
        assert_eq!(response.set_cookies().next(), None, "{response:?}");
    }
}

#[test]
fn a_visitor_returns_to_the_last_page_that_was_refused() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    let visitor = curl::Jar::default();
    for page in ["/private/first", "/private/second?a=1"] {
        assert_eq!(visitor.browse(&server.url(page)).status, 303);
    }
    for header in [
        "sec-fetch-dest: iframe",
        "sec-purpose: prefetch;prerender",
        "upgrade: websocket",
    ] {
        let mode = "sec-fetch-mode: navigate";
        visitor.send(&[
            "-H",
            mode,
            "-H",
            "accept: text/html",
            "-H",
            header,
            &server.url("/private/other"),
        ]);
    }
    let response = visitor.post(&server.url("/login"), &[("id", "1")]);
    assert_eq!(response.header("location"), Some("/private/second?a=1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_page_loads_in_the_background_does_not_replace_the_page_that_the_user_wanted() {
    let server = start();
    let Some(browser) = Chromium::start().await else {
        return;
    };
    let app = server.at("app.shop.localhost");
    browser.open(&format!("{app}/private/wanted?by=ada")).await;
    assert_eq!(browser.path().await, "/login");
    browser.open(&format!("{app}/shop")).await;
    browser.wait_for("hr").await;
    browser.open(&format!("{app}/login")).await;
    browser.press().await;
    browser.wait_for("p").await;
    assert_eq!(browser.path().await, "/private/wanted?by=ada");
    assert_eq!(browser.text().await, "private");
    browser.close().await;
}
