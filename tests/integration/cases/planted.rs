//! A host next to ours sets cookies for the domain that both are below.

use actix_web::{HttpResponse, get, web};

use super::*;

const SESSION: &str = "__Host-session";

/// Spellings that decode to the name of the session cookie, or differ from it in what parsers strip.
const SPELLINGS: [&str; 6] = [
    "%5F%5FHost-session",
    "%5f_Host-session",
    "__Host%2Dsession",
    "__Host-%73ession",
    "__host-session",
    "__HOST-SESSION",
];

#[derive(Deserialize)]
struct Plant {
    session: String,
}

/// What the other host answers: every spelling, for the whole domain and for the longer path.
#[get("/plant")]
async fn plant(query: web::Query<Plant>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type("text/html");
    for name in SPELLINGS {
        for path in ["/", "/me"] {
            let attributes = format!("Domain=shop.localhost; Path={path}");
            let cookie = format!("{name}={}; {attributes}", query.session);
            response.append_header(("set-cookie", cookie));
        }
    }
    // A cookie that is not UTF-8 makes some parsers give up on all cookies.
    let value = actix_web::http::header::HeaderValue::from_bytes(b"a=\xff; Domain=shop.localhost");
    response.append_header(("set-cookie", value.expect("these bytes may be in a header")));
    response.body("<!doctype html><title>Planted</title><p>planted</p>")
}

fn start() -> Server {
    let (manager, _clock) = manager(&Users::new(), |builder| builder);
    Server::start(manager, |app| {
        app.service(plant).configure(routes);
    })
}

/// The session cookie of Ben, who attacks Ada.
fn session_of_ben(server: &Server) -> String {
    let ben = curl::Jar::default();
    let response = ben.post(&server.url("/login"), &[("id", "2")]);
    assert_eq!(response.status, 303);
    ben.cookie(SESSION).expect("a session cookie")
}

#[test]
fn a_session_cookie_in_another_spelling_logs_nobody_in() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    let bens = session_of_ben(&server);
    let own = curl::send_cookies(&server.url("/me"), &format!("{SESSION}={bens}"));
    assert!(own.body.contains("<p>ben</p>"), "{own:?}");
    for name in SPELLINGS.into_iter().chain([
        " \t__Host-session\t",
        "__Host-session%20",
        "+__Host-session",
    ]) {
        // A blank around the name is not part of it (RFC 6265, section 5.2), so a browser does not
        // send one; what curl sends with a tab must not be read as the cookie either.
        let response = curl::send_cookies(&server.url("/me"), &format!("{name}={bens}"));
        if name.trim() != SESSION {
            assert!(
                response.body.contains("<p>anonymous</p>"),
                "{name}: {response:?}"
            );
        }
    }
}

#[test]
fn a_planted_cookie_before_the_own_one_does_not_replace_the_user() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    let bens = session_of_ben(&server);
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1")]);
    let adas = ada.cookie(SESSION).expect("a session cookie");
    for name in SPELLINGS {
        let cookies = format!("{name}={bens}; {SESSION}={adas}");
        let response = curl::send_cookies(&server.url("/me"), &cookies);
        assert!(response.body.contains("<p>ada</p>"), "{name}: {response:?}");
    }
}

#[test]
fn of_two_session_cookies_with_the_exact_name_none_is_used() {
    if curl::is_missing() {
        return;
    }
    let server = start();
    let bens = session_of_ben(&server);
    let ada = curl::Jar::default();
    ada.post(&server.url("/login"), &[("id", "1")]);
    let adas = ada.cookie(SESSION).expect("a session cookie");
    for (first, second) in [(&bens, &adas), (&adas, &bens)] {
        let cookies = format!("{SESSION}={first}; {SESSION}={second}");
        let response = curl::send_cookies(&server.url("/me"), &cookies);
        assert!(response.body.contains("<p>anonymous</p>"), "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_browser_keeps_its_user_after_another_host_planted_cookies() {
    let server = start();
    let Some(browser) = Chromium::start().await else {
        return;
    };
    let bens = session_of_ben(&server);
    let (app, evil) = (
        server.at("app.shop.localhost"),
        server.at("evil.shop.localhost"),
    );

    browser.open(&format!("{evil}/plant?session={bens}")).await;
    assert_eq!(browser.text().await, "planted");
    browser.open(&format!("{app}/me/now")).await;
    let planted = browser.cookies().await;
    assert!(
        planted.iter().any(|(name, _)| name == SPELLINGS[0]),
        "{planted:?}"
    );
    assert_eq!(browser.text().await, "anonymous");

    browser.open(&format!("{app}/login")).await;
    browser.press().await;
    browser.wait_for("p").await;
    assert_eq!(browser.text().await, "account of ada");
    for _ in 0..2 {
        browser.open(&format!("{app}/me/now")).await;
        assert_eq!(browser.text().await, "ada");
        browser.open(&format!("{evil}/plant?session={bens}")).await;
    }
    browser.close().await;
}
