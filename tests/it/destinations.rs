//! Where a client may be sent after a log in, from wherever the application has the address.

use actix_web::{HttpResponse, web};
use login_runtime::{
    Auth, BuildError, LoginScope,
    config::LoginManagerBuilder,
    logins::NextError,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager};
use serde::Deserialize;

use crate::world::{App, HOSTILE_NEXT, other_origins, pages};

#[derive(Deserialize)]
struct Next {
    next: Option<String>,
}

/// A log in form with a hidden field.
async fn form(auth: Auth<User>, form: web::Form<Next>) -> HttpResponse {
    auth.redirect_to_or(form.next.as_deref(), "/fallback")
}

async fn json(auth: Auth<User>, body: web::Json<Next>) -> Result<String, NextError> {
    auth.check_next(body.next.as_deref().unwrap_or_default())
}

/// A log in form that redirects after a wrong password.
async fn wrong(auth: Auth<User>, form: Option<web::Form<Next>>) -> HttpResponse {
    let next = form.and_then(|form| form.into_inner().next);
    auth.redirect_to_login_view(next.as_deref())
}

async fn go(auth: Auth<User>) -> HttpResponse {
    auth.redirect_to_next_or("/fallback")
}

#[login_runtime::login_required]
async fn page() -> &'static str {
    "page"
}

async fn serve(builder: LoginManagerBuilder) -> impl App {
    app(builder.build(key()).unwrap(), |routes| {
        pages(routes, Users::new());
        routes
            .route("/form", web::post().to(form))
            .route("/json", web::post().to(json))
            .route("/wrong", web::post().to(wrong))
            .route("/go", web::get().to(go))
            .default_service(web::to(page));
    })
    .await
}

fn builder() -> LoginManagerBuilder {
    manager(&Users::new()).0
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn post_form<S: App>(app: &S, path: &str, next: &str) -> Answer {
    let browser = Browser::new(app);
    browser.post(path).form([("next", next)]).await
}

async fn post_json<S: App>(app: &S, next: &str) -> Answer {
    let browser = Browser::new(app);
    let body = serde_json::json!({ "next": next });
    browser.post("/json").json(body).await
}

#[actix_web::test]
async fn a_hidden_field_leads_to_no_other_host() {
    let app = serve(builder()).await;
    for bad in HOSTILE_NEXT {
        let answer = post_form(&app, "/form", bad).await;
        assert_eq!(answer.location(), Some("/fallback"), "{bad:?}");
    }
    let answer = post_form(&app, "/form", "/account?a=b#c").await;
    assert_eq!(answer.location(), Some("/account?a=b#c"));
    let empty: [(&str, &str); 0] = [];
    let answer = Browser::new(&app).post("/form").form(empty).await;
    assert_eq!(answer.location(), Some("/fallback"));
}

#[actix_web::test]
async fn an_address_in_a_json_body_is_answered_400_with_the_reason() {
    let app = serve(builder()).await;
    for bad in HOSTILE_NEXT {
        assert_eq!(post_json(&app, bad).await.status(), 400, "{bad:?}");
    }
    let answer = post_json(&app, "//evil.test").await;
    assert_eq!(
        answer.text(),
        "the address leads to an origin that is not listed"
    );
    let answer = post_json(&app, "/account?a=b").await;
    assert_eq!(
        (answer.status(), &*answer.text()),
        (200.try_into().unwrap(), "/account?a=b")
    );
}

#[test]
fn an_address_can_be_checked_without_a_request() {
    let manager = builder()
        .own_origin("https://own.test")
        .origins(["https://app.test", "http://localhost:8080"])
        .next_origins(["https://shop.test"])
        .next_max_len(60)
        .build(key())
        .unwrap();
    for (good, address) in [
        ("/account", "/account"),
        ("/a//b?c=//d", "/a//b?c=//d"),
        ("https://app.test", "https://app.test/"),
        (
            "https://app.test/account?a=b#c",
            "https://app.test/account?a=b#c",
        ),
        ("https://app.test:443/a//b", "https://app.test/a//b"),
        ("HTTPS://APP.test/x", "https://app.test/x"),
        ("http://localhost:8080/x", "http://localhost:8080/x"),
        ("https://shop.test/cart", "https://shop.test/cart"),
        ("https://own.test/x", "https://own.test/x"),
    ] {
        assert_eq!(manager.check_next(good).as_deref(), Ok(address), "{good}");
    }
    for (bad, why) in [
        ("", NextError::NoAddress),
        ("account", NextError::NoAddress),
        ("https:app.test/x", NextError::NoAddress),
        ("https:/app.test/x", NextError::NoAddress),
        ("https://", NextError::NoAddress),
        ("javascript://app.test/%0aalert(1)", NextError::NoAddress),
        ("ftp://app.test/x", NextError::NoAddress),
        ("//app.test/x", NextError::OtherOrigin),
        ("http://app.test/x", NextError::OtherOrigin),
        ("https://app.test:8443/x", NextError::OtherOrigin),
        ("https://app.test.evil.test/x", NextError::OtherOrigin),
        ("https://evil.test/https://app.test", NextError::OtherOrigin),
        ("https://app.test@evil.test/x", NextError::OtherOrigin),
        ("https://evil.test@app.test/x", NextError::OtherOrigin),
        ("https://:pw@app.test/x", NextError::OtherOrigin),
        ("https://app.test./x", NextError::OtherOrigin),
        ("http://localhost/x", NextError::OtherOrigin),
        ("https://app.test//evil.test", NextError::OtherOrigin),
        ("https://app.test/x/..//evil.test", NextError::OtherOrigin),
        ("https:\\\\app.test/x", NextError::Character('\\')),
        ("https://app.test/a b", NextError::Character(' ')),
        ("https://app.test\t/x", NextError::Character('\t')),
        ("/\u{202e}x", NextError::Character('\u{202e}')),
        ("/a/..//b", NextError::AmbiguousPath),
    ] {
        assert_eq!(manager.check_next(bad), Err(why), "{bad:?}");
    }
    let long = format!("/{}", "x".repeat(60));
    assert_eq!(
        manager.check_next(&long),
        Err(NextError::TooLong { len: 61, max: 60 })
    );
}

#[actix_web::test]
async fn a_log_in_on_another_host_leads_back_to_the_page() {
    let _known = other_origins();
    let origins = || builder().origins(["https://app.test", "https://auth.test"]);
    for keep in [false, true] {
        let with = |builder: LoginManagerBuilder| match keep {
            true => builder.use_session_for_next(),
            false => builder,
        };
        let page = serve(with(origins().login_view("https://auth.test/login"))).await;
        let auth = serve(with(origins())).await;
        let browser = Browser::new(&page);
        let answer = browser.get("/a/b?c=d").header("host", "app.test").await;
        let view = answer.location().unwrap().to_owned();
        let query = view.strip_prefix("https://auth.test/login").unwrap();
        assert_eq!(query.is_empty(), keep, "{view}");
        // With the cookies, as if they were those of the domain.
        let answer = browser.at(&auth).post(&format!("/login/1{query}")).await;
        assert_eq!(answer.location(), Some("https://app.test/a/b?c=d"));
    }
}

#[actix_web::test]
async fn a_sign_on_server_sends_users_to_the_applications_it_lists() {
    let _known = other_origins();
    let app = serve(builder().next_origins(["https://shop.test", "https://mail.test:8443"])).await;
    let browser = Browser::new(&app);
    for (next, location) in [
        ("https://shop.test/cart?a=b", "https://shop.test/cart?a=b"),
        ("https://mail.test:8443/", "https://mail.test:8443/"),
        ("https://mail.test/", "/fallback"),
        ("https://evil.test/", "/fallback"),
        ("https://shop.test.evil.test/", "/fallback"),
        ("http://shop.test/cart", "/fallback"),
        ("//shop.test/cart", "/fallback"),
        ("/account", "/account"),
    ] {
        let answer = browser.get(&format!("/go?next={}", escaped(next))).await;
        assert_eq!(answer.location(), Some(location), "{next}");
    }
    for bad in ["shop.test", "https://shop.test/cart", "https://*.test?x"] {
        let built = builder().next_origins([bad]).build(key());
        assert!(matches!(built, Err(BuildError::View { .. })), "{bad}");
    }
}

#[actix_web::test]
async fn an_address_that_is_too_long_is_left_out_of_the_redirect() {
    let long = format!("/{}", "x".repeat(5000));
    let app = serve(builder()).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get(&long).await.location(), Some("/login"));
    let answer = browser.get(&format!("/go?next={long}")).await;
    assert_eq!(answer.location(), Some("/fallback"));
    let just = format!("/{}", "x".repeat(2047));
    let view = format!("/login?next={just}");
    assert_eq!(browser.get(&just).await.location(), Some(&*view));
    assert_eq!(
        browser.get(&format!("{just}y")).await.location(),
        Some("/login")
    );
}

#[actix_web::test]
async fn the_longest_address_is_a_setting() {
    let long = format!("/{}", "x".repeat(5000));
    let app = serve(builder().next_max_len(6000)).await;
    let browser = Browser::new(&app);
    let view = format!("/login?next={long}");
    assert_eq!(browser.get(&long).await.location(), Some(&*view));
    let answer = browser.post(&format!("/login/1?next={long}")).await;
    assert_eq!(answer.location(), Some(&*long));
    let app = serve(builder().next_max_len(8)).await;
    let browser = Browser::new(&app);
    assert_eq!(
        browser.get("/1234567").await.location(),
        Some("/login?next=/1234567")
    );
    assert_eq!(browser.get("/12345678").await.location(), Some("/login"));
    let error = builder().next_max_len(0).build(key()).unwrap_err();
    assert!(error.to_string().starts_with("`next_max_len`"), "{error}");
}

#[actix_web::test]
async fn an_address_with_two_slashes_inside_its_path_comes_back() {
    let app = serve(builder()).await;
    for path in [
        "/a//b",
        "/proxy/https://other.test/x?y=z",
        "/a//",
        "/a///b//.c",
    ] {
        let browser = Browser::new(&app);
        let view = browser.get(path).await.location().unwrap().to_owned();
        let query = view.strip_prefix("/login").unwrap();
        let answer = browser.post(&format!("/login/1{query}")).await;
        assert_eq!(answer.location(), Some(path));
    }
}

#[actix_web::test]
async fn tls_that_ends_at_a_proxy_does_not_lose_next() {
    let _known = other_origins();
    for (view, host, location) in [
        (
            "https://app.test/login",
            "app.test",
            "https://app.test/login?next=/account",
        ),
        (
            "https://app.test:8443/login",
            "app.test:8443",
            "https://app.test:8443/login?next=/account",
        ),
        (
            "https://app.test/login",
            "evil.test",
            "https://app.test/login",
        ),
        (
            "https://app.test/login",
            "app.test:8443",
            "https://app.test/login",
        ),
        (
            "http://app.test/login",
            "app.test",
            "http://app.test/login?next=/account",
        ),
    ] {
        let app = serve(builder().login_view(view)).await;
        let answer = Browser::new(&app)
            .get("/account")
            .header("host", host)
            .await;
        assert_eq!(answer.location(), Some(location), "{view} at {host}");
        // Its own page still is its own page.
        let answer = Browser::new(&app).get("/login").header("host", host).await;
        let is_own = location.contains("next");
        assert_eq!(
            answer.status(),
            if is_own { 401 } else { 303 },
            "{view} at {host}"
        );
    }
}

#[actix_web::test]
async fn an_application_behind_a_proxy_can_be_told_its_origin() {
    let _known = other_origins();
    let own = || builder().own_origin("https://app.test");
    for (view, location) in [
        (
            "https://app.test/login",
            "https://app.test/login?next=/account",
        ),
        (
            "https://auth.test/login",
            "https://auth.test/login?next=https://app.test/account",
        ),
        ("/login", "/login?next=/account"),
    ] {
        let app = serve(own().login_view(view)).await;
        for host in ["10.0.0.7:8080", "evil.test", "app.test"] {
            let answer = Browser::new(&app)
                .get("/account")
                .header("host", host)
                .await;
            let sent = answer.location().map(|sent| sent.replace("%3A", ":"));
            assert_eq!(sent.as_deref(), Some(location), "{host}");
        }
    }
    let error = builder().own_origin("app.test").build(key()).unwrap_err();
    assert!(matches!(error, BuildError::View { .. }), "{error}");
}

#[actix_web::test]
async fn a_wrong_password_that_is_answered_by_a_redirect_keeps_next() {
    let app = serve(builder()).await;
    let browser = Browser::new(&app);
    for (query, location) in [
        (
            "?next=/account%3Fa%3Db%26c",
            "/login?next=/account%3Fa%3Db%26c",
        ),
        ("?next=//evil.test", "/login"),
        ("?next=/a&next=/b", "/login"),
        ("", "/login"),
    ] {
        let answer = browser.post(&format!("/wrong{query}")).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.location(), Some(location), "{query}");
    }
    let answer = post_form(&app, "/wrong", "/account?a=b").await;
    assert_eq!(answer.location(), Some("/login?next=/account%3Fa%3Db"));
    let answer = post_form(&app, "/wrong", "https://evil.test/").await;
    assert_eq!(answer.location(), Some("/login"));
}

#[actix_web::test]
async fn a_wrong_password_leads_back_to_the_view_of_the_scope_or_to_the_form() {
    let mut without_view = builder();
    without_view = without_view.login_view(login_runtime::config::View::route("named"));
    let app = app(without_view.build(key()).unwrap(), |routes| {
        routes
            .route("/wrong", web::post().to(wrong))
            .service(web::resource("/the/form").name("named").to(wrong))
            .service(
                web::scope("/admin")
                    .wrap(LoginScope::new().login_view("/admin/login?x=y").unwrap())
                    .route("/wrong", web::post().to(wrong)),
            );
    })
    .await;
    let browser = Browser::new(&app);
    for (path, location) in [
        ("/wrong?next=/x", "/the/form?next=/x"),
        ("/the/form?next=/x", "/the/form?next=/x"),
        ("/admin/wrong?next=/x", "/admin/login?x=y&next=/x"),
    ] {
        assert_eq!(browser.post(path).await.location(), Some(location));
    }
}
