//! A whole log in and log out behind a real nginx, which ends TLS and cuts off the start of the path.

use actix_web::HttpRequest;
use login_runtime::{
    proxies::{ForwardedHeaders, TrustedProxies, client_address},
    test::strict::{Rule, tolerate},
};
use login_tests::services::Nginx;

use super::*;

/// Shows the address of the client, and logs out by POST.
#[post("/logout")]
async fn log_out(auth: Auth<User>) -> Result<HttpResponse, LoginError> {
    auth.log_out().await?;
    Ok(auth.redirect_to_or(None, "/login"))
}

#[get("/whence")]
async fn whence(request: HttpRequest) -> String {
    client_address(&request).map_or_else(String::new, |address| address.to_string())
}

/// As in the guide.
fn location(port: u16, headers: &str) -> String {
    format!(
        "location /app/ {{\nproxy_pass http://127.0.0.1:{port}/;\nproxy_set_header Host $http_host;\n{headers}}}"
    )
}

const X_FORWARDED: &str = "\
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
    proxy_set_header X-Forwarded-Proto $scheme;\n\
    proxy_set_header X-Forwarded-Host $http_host;\n\
    proxy_set_header X-Forwarded-Prefix /app;\n\
    proxy_set_header Forwarded \"\";\n";

/// nginx appends to what the client sent, as its documentation says.
const FORWARDED: &str = "\
    proxy_set_header Forwarded \
    \"$http_forwarded, for=$remote_addr;proto=$scheme;host=\\\"$http_host\\\"\";\n\
    proxy_set_header X-Forwarded-Prefix /app;\n";

/// Plays the whole round. `view` makes the login view from the origin of nginx.
fn round(headers: ForwardedHeaders, config: &str, view: impl Fn(&str) -> String) {
    if curl::is_missing() {
        return;
    }
    // nginx needs the port of the application, and an absolute view the port of nginx.
    let reserved = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = reserved.local_addr().unwrap().port();
    drop(reserved);
    let Some(nginx) = Nginx::start(&location(port, config)) else {
        return;
    };
    let origin = format!("https://localhost:{}", nginx.port());
    let view = view(&origin);
    let why = "the login view is a whole address, of our own origin";
    let _whole = view
        .starts_with("https:")
        .then(|| tolerate(&[Rule::OwnOrigin], "", why));
    let (manager, _clock) = manager(&Users::new(), |builder| {
        let proxies = TrustedProxies::networks(["127.0.0.1"], headers);
        builder.login_view(view.as_str()).trusted_proxies(proxies)
    });
    let _server = Server::start_on(port, manager, |app| {
        app.service((log_out, whence)).configure(routes);
    });

    let visitor = curl::Jar::default();
    let page = format!("{origin}/app/account?tab=1");
    let accept = [
        "-k",
        "-H",
        "accept: text/html",
        "-H",
        "sec-fetch-mode: navigate",
    ];
    let accept = [&accept[..], &["-H", "sec-fetch-dest: document"]].concat();
    let browse = |url: &str| visitor.send(&[&accept[..], &[url]].concat());
    // A `Location` is relative to the address that was asked for.
    let follow = |response: &curl::Response| {
        let to = response.header("location").expect("a redirect");
        url::Url::parse(&page)
            .unwrap()
            .join(to)
            .unwrap()
            .to_string()
    };

    let refused = browse(&page);
    assert_eq!(refused.status, 303, "{refused:?}");
    let login = follow(&refused);
    let expected = format!("{origin}/app/login?next=/app/account%3Ftab%3D1");
    assert_eq!(login, expected);
    let shown = browse(&login);
    assert_eq!(shown.status, 200, "{shown:?}");
    assert!(shown.body.contains("Log in"), "{shown:?}");

    let post = |url: &str| {
        let from = format!("origin: {origin}");
        let site = "sec-fetch-site: same-origin";
        visitor.send(&[&accept[..], &["-H", &from, "-H", site, "-d", "id=1", url]].concat())
    };
    let logged_in = post(&login);
    assert_eq!(logged_in.status, 303, "{logged_in:?}");
    assert_eq!(follow(&logged_in), page);
    let back = browse(&page);
    assert_eq!(back.status, 200, "{back:?}");
    assert!(back.body.contains("account of ada"), "{back:?}");

    let logged_out = post(&format!("{origin}/app/logout"));
    assert_eq!(logged_out.status, 303, "{logged_out:?}");
    assert_eq!(follow(&logged_out), format!("{origin}/app/login"));
    assert_eq!(browse(&page).status, 303);

    // What a client sends does not get past what nginx appends. The address of this client is another one
    // than that of nginx, which is trusted.
    for spoofed in [
        "x-forwarded-for: 198.51.100.7",
        "x-forwarded-for: 198.51.100.7, 203.0.113.5",
        "x-forwarded-for: unknown",
        "x-forwarded-for:,",
        "forwarded: for=198.51.100.7",
        "forwarded: for=\"",
        "forwarded: for=\"[2001:db8::1]:80\";host=evil.test",
        "x-forwarded-prefix: /evil",
        "x-forwarded-host: evil.test",
    ] {
        let url = format!("{origin}/app/whence");
        let response = visitor.send(&["-k", "--interface", "127.0.0.2", "-H", spoofed, &url]);
        assert_eq!(response.body, "127.0.0.2", "{spoofed}: {response:?}");
        let sent = ["--interface", "127.0.0.2", "-H", spoofed, &page];
        let refused = visitor.send(&[&accept[..], &sent].concat());
        assert_eq!(follow(&refused), expected, "{spoofed}");
    }
}

#[test]
fn a_browser_behind_nginx_logs_in_and_out_with_a_relative_login_view() {
    let headers = ForwardedHeaders::x_forwarded().with_host().with_prefix();
    round(headers, X_FORWARDED, |_| "/login".to_owned());
}

#[test]
fn a_browser_behind_nginx_logs_in_and_out_with_an_absolute_login_view() {
    let headers = ForwardedHeaders::x_forwarded().with_host().with_prefix();
    round(headers, X_FORWARDED, |origin| format!("{origin}/app/login"));
}

#[test]
fn a_browser_behind_nginx_that_sets_the_standard_header_logs_in_and_out() {
    let headers = ForwardedHeaders::forwarded().with_prefix();
    round(headers, FORWARDED, |origin| format!("{origin}/app/login"));
    round(headers, FORWARDED, |_| "/login".to_owned());
}
