//! What refused clients are answered.

use std::sync::{Arc, Mutex};

use actix_session::SessionExt;
use actix_web::{
    HttpResponse, Responder, get,
    http::{Method, StatusCode},
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, LoginScope, MaybeUser,
    config::{LoginManagerBuilder, View},
    login_required,
    test::{Answer, Browser},
};
use login_tests::{User, Users, app, key, manager, sessions::MemorySessions};

use crate::world::{
    App, Events, HOUR, SESSION, assert_leaves, assert_no_cookies, assert_sets, cart_of,
    other_origins, pages, site, who,
};

const CHALLENGE: &str = "Cookie realm=\"login\"";

/// What a program gets that has no login.
const ANONYMOUS: &str = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"log in first.","code":"anonymous"}"#;

/// A guarded page for every method, that does not ask who the user is.
#[login_required]
async fn page() -> impl Responder {
    "page"
}

/// Asserts that an answer stays out of caches.
#[track_caller]
fn assert_private(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("vary"), Some("Cookie"));
}

async fn with_pages(
    builder: LoginManagerBuilder,
    users: &Users,
    more: impl FnOnce(&mut ServiceConfig),
) -> impl App {
    let users = users.clone();
    app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users);
        routes.route("/page", web::to(page));
        more(routes);
    })
    .await
}

/// What a refused client is told, by the headers that it sent.
const CLIENTS: &[(&[(&str, &str)], u16)] = &[
    // Browsers on their way somewhere.
    (&[], 303),
    (&[("accept", "text/html")], 303),
    (&[("accept", "TEXT/HTML")], 303),
    (
        &[(
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
        )],
        303,
    ),
    (&[("accept", "application/xhtml+xml")], 303),
    (&[("accept", "text/*")], 303),
    (&[("accept", "*/*")], 303),
    (&[("accept", "")], 303),
    (&[("x-requested-with", "com.example.webview")], 303),
    (&[("sec-fetch-mode", "navigate")], 303),
    (&[("sec-fetch-mode", "Navigate")], 303),
    (
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        303,
    ),
    (
        &[
            ("sec-fetch-mode", "navigate"),
            ("accept", "application/json"),
        ],
        303,
    ),
    (
        &[
            ("sec-fetch-mode", "navigate"),
            ("x-requested-with", "XMLHttpRequest"),
        ],
        303,
    ),
    // Programs, and scripts in pages.
    (&[("accept", "application/json, text/html;q=0.1")], 401),
    (&[("accept", "application/json")], 401),
    (&[("accept", "application/json, text/plain, */*")], 401),
    (&[("accept", "application/problem+json")], 401),
    (&[("accept", "text/event-stream")], 401),
    (&[("accept", "text/plain")], 401),
    (&[("accept", "image/avif,image/webp,*/*;q=0.8")], 401),
    (&[("accept", "garbage")], 401),
    (&[("x-requested-with", "XMLHttpRequest")], 401),
    (&[("x-requested-with", "xmlhttprequest")], 401),
    (
        &[
            ("x-requested-with", "XMLHttpRequest"),
            ("accept", "text/html"),
        ],
        401,
    ),
    (&[("sec-fetch-mode", "cors")], 401),
    (&[("sec-fetch-mode", "no-cors")], 401),
    (&[("sec-fetch-mode", "same-origin")], 401),
    (&[("sec-fetch-mode", "websocket")], 401),
    (&[("sec-fetch-mode", "cors"), ("accept", "text/html")], 401),
    (&[("sec-fetch-mode", "unheard-of")], 401),
];

#[actix_web::test]
async fn people_are_sent_to_the_login_view_and_programs_are_told_401() {
    let users = Users::new();
    let app = site(manager(&users).0.build(key()).unwrap(), &users).await;
    for (headers, status) in CLIENTS {
        let browser = Browser::new(&app);
        let mut ask = browser.get("/account");
        for (name, value) in *headers {
            ask = ask.header(name, value);
        }
        let answer = ask.await;
        assert_eq!(answer.status(), *status, "{headers:?}");
        if *status == 303 {
            assert_eq!(answer.location(), Some("/login?next=/account"));
        } else {
            assert_eq!(answer.location(), None);
            assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(answer.text(), ANONYMOUS);
        }
        assert_private(&answer);
        assert_no_cookies(&answer);
    }
}

#[actix_web::test]
async fn without_a_login_view_everybody_is_told_401() {
    let users = Users::new();
    let by_id = users.clone();
    let flashes = Arc::new(Mutex::new(0));
    let count = Arc::clone(&flashes);
    let manager = login_runtime::LoginManager::builder(move |id| {
        let users = by_id.clone();
        async move { users.load(id).await }
    })
    .session_only()
    .flash(move |_, _| *count.lock().unwrap() += 1)
    .build(key())
    .unwrap();
    let app = site(manager, &users).await;
    let browser = Browser::new(&app);
    for page in ["/account", "/settings", "/unauthorized"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.text(), "Unauthorized: log in first.");
        assert_private(&answer);
        assert_no_cookies(&answer);
        let answer = browser.get(page).header("accept", "application/json").await;
        assert_eq!(answer.text(), ANONYMOUS);
    }
    assert_eq!(*flashes.lock().unwrap(), 0);
}

#[actix_web::test]
async fn programs_with_a_stale_login_are_told_which_kind_of_401_it_is() {
    let users = Users::new();
    let builder = || manager(&users).0.refresh_view("/refresh");
    let challenge = "Cookie realm=\"login\", error=\"insufficient_user_authentication\"";
    for (builder, challenge) in [
        (builder(), &*format!("{challenge}, max_age=\"1800\"")),
        (builder().fresh_for_the_session(), challenge),
    ] {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        browser.post("/login/1?stale=true").await;
        let answer = browser
            .get("/settings")
            .header("accept", "application/json")
            .await;
        assert_eq!(answer.status(), 401);
        assert_eq!(
            answer.text(),
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"give your credentials again first.","code":"stale"}"#
        );
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
        assert_private(&answer);
    }
}

#[actix_web::test]
async fn what_depends_on_a_login_stays_out_of_caches() {
    async fn cached(_: MaybeUser<User>) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header(("cache-control", "private, max-age=60"))
            .insert_header(("vary", "Accept-Language"))
            .finish()
    }
    async fn varied(_: MaybeUser<User>, vary: web::Path<String>) -> HttpResponse {
        let vary = vary.replace('+', ", ");
        HttpResponse::Ok().insert_header(("vary", vary)).finish()
    }
    let users = Users::new();
    let app = with_pages(manager(&users).0, &users, |routes| {
        routes
            .route("/cached", web::get().to(cached))
            .route("/varied/{vary}", web::get().to(varied));
    })
    .await;
    let browser = Browser::new(&app);
    for page in [
        "/who",
        "/account",
        "/unauthorized",
        "/needs-refresh",
        "/next",
    ] {
        assert_private(&browser.get(page).await);
    }
    assert_private(&browser.post("/login/3").await);
    assert_private(&browser.post("/login/1").await);
    assert_private(&browser.get("/account").await);
    assert_private(&browser.post("/logout").await);
    // A page that did not look is none of our business, ..
    for page in ["/", "/cart", "/no-such-page"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.header("cache-control"), None, "{page}");
        assert_eq!(answer.header("vary"), None, "{page}");
    }
    // .. nor is what the application says itself.
    let answer = browser.get("/cached").await;
    assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
    let vary: Vec<_> = answer.headers().get_all("vary").collect();
    assert_eq!(vary, ["Accept-Language", "Cookie"]);
    for (vary, said) in [("*", "*"), ("cookie", "cookie"), ("X+COOKIE", "X, COOKIE")] {
        let answer = browser.get(&format!("/varied/{vary}")).await;
        let vary: Vec<_> = answer.headers().get_all("vary").collect();
        assert_eq!(vary, [said]);
    }
}

#[actix_web::test]
async fn head_is_refused_like_get_and_options_unless_the_application_says_so() {
    let users = Users::new();
    let app = with_pages(manager(&users).0, &users, |_| {}).await;
    let browser = Browser::new(&app);
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE",
    ];
    for method in methods {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = browser.ask(method.clone(), "/page").await;
        assert_eq!(answer.status(), 303, "{method}");
        let leads_back = matches!(method, Method::GET | Method::HEAD);
        let location = if leads_back {
            "/login?next=/page"
        } else {
            "/login"
        };
        assert_eq!(answer.location(), Some(location), "{method}");
    }
    let (builder, events) = Events::of(manager(&users).0.exempt_options());
    let app = with_pages(builder, &users, |_| {}).await;
    let browser = Browser::new(&app);
    for method in methods {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        events.take();
        let answer = browser.ask(method.clone(), "/page").await;
        if method == Method::OPTIONS {
            assert_eq!(answer.text(), "page");
            assert_eq!(events.take(), [""; 0]);
            assert_no_cookies(&answer);
        } else {
            assert_eq!(answer.status(), 303, "{method}");
        }
    }
}

#[actix_web::test]
async fn next_is_for_requests_that_can_be_repeated() {
    let users = Users::new();
    let builder = manager(&users).0.next_for_all_methods();
    let app = with_pages(builder, &users, |_| {}).await;
    let answer = Browser::new(&app).post("/page?a=b").await;
    assert_eq!(answer.location(), Some("/login?next=/page%3Fa%3Db"));

    // Without that, a refused POST does not overwrite where the client wanted to go.
    let builder = manager(&users).0.use_session_for_next();
    let app = with_pages(builder, &users, |_| {}).await;
    let browser = Browser::new(&app);
    let answer = browser.post("/page").await;
    assert_eq!(answer.location(), Some("/login"));
    assert_no_cookies(&answer);
    browser.get("/page?kept").await;
    browser.post("/page?lost").await;
    let next: Option<String> = browser.get("/next").await.json().expect("next");
    assert_eq!(next.as_deref(), Some("/page?kept"));
}

/// Where a client without a login is sent from a page.
async fn sent_from<S: App>(app: &S, path: &str) -> String {
    let answer = Browser::new(app).get(path).await;
    assert_eq!(answer.status(), 303, "{path}: {}", answer.text());
    answer.location().unwrap().to_owned()
}

#[actix_web::test]
async fn a_login_view_keeps_its_own_query_and_fragment() {
    let users = Users::new();
    for (view, location) in [
        ("/login", "/login?next=/account%3Fa%3Db"),
        (
            "/login?affil=cgnu",
            "/login?affil=cgnu&next=/account%3Fa%3Db",
        ),
        (
            "/login?blank=&flag&x=%26#form",
            "/login?blank=&flag&x=%26&next=/account%3Fa%3Db#form",
        ),
        (
            "/login?next=/old&x=1&n%65xt=/older",
            "/login?x=1&next=/account%3Fa%3Db",
        ),
        ("/login?nextone=1", "/login?nextone=1&next=/account%3Fa%3Db"),
    ] {
        let builder = manager(&users).0.login_view(view);
        let app = site(builder.build(key()).unwrap(), &users).await;
        assert_eq!(sent_from(&app, "/account?a=b").await, location, "{view}");
    }
}

#[actix_web::test]
async fn next_is_path_and_query_as_they_came() {
    let users = Users::new();
    let app = with_pages(manager(&users).0, &users, |routes| {
        routes.route("/page/{rest:.*}", web::to(page));
    })
    .await;
    for (path, next) in [
        ("/page/a%2Fb", "/page/a%252Fb"),
        ("/page/%C3%BC%20", "/page/%25C3%25BC%2520"),
        ("/page/a+b", "/page/a%2Bb"),
        (
            "/page/x?a=b&c=d&next=/e",
            "/page/x%3Fa%3Db%26c%3Dd%26next%3D/e",
        ),
        ("/page/x?", "/page/x%3F"),
        ("/page/'x'", "/page/%27x%27"),
        ("/page/x?q=%2B%26", "/page/x%3Fq%3D%252B%2526"),
    ] {
        assert_eq!(
            sent_from(&app, path).await,
            format!("/login?next={next}"),
            "{path}"
        );
        // And it leads back there.
        let answer = Browser::new(&app)
            .post(&format!("/login/1?next={next}"))
            .await;
        assert_eq!(answer.location(), Some(path));
    }
}

#[actix_web::test]
async fn the_field_for_next_can_have_another_name() {
    let users = Users::new();
    let builder = manager(&users).0.next_field("return to");
    let app = site(builder.build(key()).unwrap(), &users).await;
    assert_eq!(
        sent_from(&app, "/account").await,
        "/login?return%20to=/account"
    );
    let browser = Browser::new(&app);
    let answer = browser.post("/login/1?next=/ignored").await;
    assert_eq!(answer.location(), Some("/"));
    let answer = browser.post("/login/1?return%20to=/account").await;
    assert_eq!(answer.location(), Some("/account"));
    let answer = browser.post("/login/1?return+to=/account").await;
    assert_eq!(answer.location(), Some("/account"));
}

fn named_login(routes: &mut ServiceConfig) {
    async fn login_page() -> impl Responder {
        "login page"
    }
    routes.service(
        web::resource("/deep/login page")
            .name("login_page")
            .route(web::get().to(login_page)),
    );
    routes.external_resource("elsewhere", "https://auth.test/log/in");
}

#[actix_web::test]
async fn a_login_view_can_be_the_name_of_a_route() {
    let _known = other_origins();
    let users = Users::new();
    let builder = manager(&users).0.login_view(View::route("login_page"));
    let app = with_pages(builder, &users, named_login).await;
    assert_eq!(
        sent_from(&app, "/account").await,
        "/deep/login%20page?next=/account"
    );
    let builder = manager(&users).0.login_view(View::route("elsewhere"));
    let app = with_pages(builder, &users, named_login).await;
    assert_eq!(
        sent_from(&app, "/account").await,
        "https://auth.test/log/in"
    );
    // A name that nothing has is no reason to let anybody in.
    let builder = manager(&users).0.login_view(View::route("no_such_route"));
    let app = with_pages(builder, &users, named_login).await;
    let answer = Browser::new(&app).get("/account").await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
}

/// Headers by which clients and proxies say under which address a request came in.
const FORWARDED: &[(&str, &str)] = &[
    ("host", "evil.test"),
    ("host", "EVIL.test"),
    ("host", "evil.test:80"),
    ("host", "evil.test:443"),
    ("host", "user@evil.test"),
    ("host", "evil.test/x"),
    ("host", "[::1]:80"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-host", "EVIL.test"),
    ("x-forwarded-host", "evil.test:80"),
    ("x-forwarded-proto", "javascript"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "host=EVIL.test;proto=https"),
    ("forwarded", "host=\"evil.test:80\""),
];

#[actix_web::test]
async fn no_header_makes_a_redirect_lead_to_another_host() {
    let users = Users::new();
    for view in ["/deep/login%20page", "login_page"] {
        let builder = match view.starts_with('/') {
            true => manager(&users).0.login_view(view),
            false => manager(&users).0.login_view(View::route(view)),
        };
        let app = with_pages(builder, &users, named_login).await;
        for (name, value) in FORWARDED {
            let answer = Browser::new(&app).get("/account").header(name, value).await;
            assert_eq!(
                answer.location(),
                Some("/deep/login%20page?next=/account"),
                "{view} {name}: {value}"
            );
        }
    }
}

#[actix_web::test]
async fn a_login_view_on_another_host_is_told_where_to_lead_back_to() {
    let _known = other_origins();
    let users = Users::new();
    let builder = || {
        manager(&users)
            .0
            .login_view("https://auth.test/login?a=b#c")
    };
    let with_origins = || builder().origins(["https://app.test", "http://localhost:8080"]);
    let sent = async |builder: LoginManagerBuilder, headers: &[(&str, &str)]| {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        let mut ask = browser.get("/account?x=y");
        for (name, value) in headers {
            ask = ask.header(name, value);
        }
        let answer = ask.await;
        assert_eq!(answer.status(), 303);
        answer.location().unwrap().to_owned()
    };
    let without_next = "https://auth.test/login?a=b#c";
    let with_next =
        |origin: &str| format!("https://auth.test/login?a=b&next={origin}/account%3Fx%3Dy#c");
    for (name, value) in FORWARDED {
        for builder in [builder(), with_origins()] {
            assert_eq!(sent(builder, &[(name, value)]).await, without_next);
        }
    }
    // A claim does not make a strange host one of ours.
    for claim in [
        ("x-forwarded-host", "app.test"),
        ("forwarded", "host=app.test"),
    ] {
        let headers = [("host", "evil.test"), claim];
        assert_eq!(sent(with_origins(), &headers).await, without_next);
    }
    for host in ["app.test@evil.test", "app.test.evil.test", "localhost"] {
        let headers = [("host", host)];
        assert_eq!(sent(with_origins(), &headers).await, without_next, "{host}");
    }
    assert_eq!(sent(with_origins(), &[]).await, without_next);
    for (host, origin) in [
        ("app.test", "https://app.test"),
        ("APP.test", "https://app.test"),
        ("localhost:8080", "http://localhost:8080"),
    ] {
        assert_eq!(
            sent(with_origins(), &[("host", host)]).await,
            with_next(origin)
        );
        let claim = [("host", host), ("x-forwarded-host", "evil.test")];
        assert_eq!(sent(with_origins(), &claim).await, with_next(origin));
    }
    // Only an application that says so believes what a client says.
    assert_eq!(
        sent(builder().danger_any_host(), &[("host", "evil.test")]).await,
        with_next("http://evil.test")
    );
    let both = with_origins().danger_any_host();
    assert_eq!(sent(both, &[("host", "evil.test")]).await, without_next);
}

#[actix_web::test]
async fn a_login_view_on_our_own_host_gets_a_path() {
    let users = Users::new();
    let builder = manager(&users)
        .0
        .login_view("https://app.test/login")
        .origins(["https://app.test"]);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let answer = Browser::new(&app)
        .get("/account")
        .header("host", "app.test")
        .await;
    assert_eq!(
        answer.location(),
        Some("https://app.test/login?next=/account")
    );
}

#[actix_web::test]
async fn redirects_can_be_limited_to_one_host() {
    let _known = other_origins();
    let users = Users::new();
    let builder = || manager(&users).0.force_host_for_redirects("good.test:8443");
    for (builder, location) in [
        (builder(), "//good.test:8443/login?next=/account"),
        (
            builder().login_view("https://auth.test/login"),
            "https://good.test:8443/login",
        ),
        // With `next` in the session there is nothing to protect.
        (builder().use_session_for_next(), "/login"),
    ] {
        let app = site(builder.build(key()).unwrap(), &users).await;
        for (name, value) in FORWARDED {
            let answer = Browser::new(&app).get("/account").header(name, value).await;
            assert_eq!(answer.location(), Some(location), "{name}: {value}");
        }
    }
}

#[actix_web::test]
async fn a_scope_can_have_a_login_view_of_its_own_and_hands_it_down() {
    let _known = other_origins();
    let users = Users::new();
    let scope = |view: &str| LoginScope::new().login_view(view).unwrap();
    let routes = |routes: &mut ServiceConfig| {
        let inner = |path: &str| web::scope(path).route("/page", web::to(page));
        routes
            .service(
                web::scope("/area")
                    .wrap(scope("/area/login"))
                    .route("/page", web::to(page))
                    .service(inner("/plain"))
                    .service(inner("/empty").wrap(LoginScope::new()))
                    .service(inner("/own").wrap(scope("/area/own/login?x=y")))
                    .service(inner("/api").wrap(scope("https://auth.test/login"))),
            )
            .service(inner("/zone").wrap(LoginScope::new()))
            .service(
                inner("/guarded")
                    .wrap(login_runtime::login_required())
                    .wrap(scope("/guarded/login")),
            );
    };
    let app = with_pages(manager(&users).0, &users, routes).await;
    for (path, location) in [
        ("/area/page", "/area/login?next=/area/page"),
        ("/area/plain/page", "/area/login?next=/area/plain/page"),
        ("/area/empty/page", "/area/login?next=/area/empty/page"),
        ("/area/own/page", "/area/own/login?x=y&next=/area/own/page"),
        ("/area/api/page", "https://auth.test/login"),
        ("/zone/page", "/login?next=/zone/page"),
        ("/guarded/page", "/guarded/login?next=/guarded/page"),
        ("/guarded/none", "/guarded/login?next=/guarded/none"),
        ("/page", "/login?next=/page"),
    ] {
        assert_eq!(sent_from(&app, path).await, location);
        // The same at the second request as at the first.
        assert_eq!(sent_from(&app, path).await, location);
    }
    let no_view = login_runtime::LoginManager::builder(|_: i64| async {
        Ok::<Option<User>, std::convert::Infallible>(None)
    })
    .session_only();
    let app = with_pages(no_view, &users, routes).await;
    assert_eq!(
        sent_from(&app, "/area/page").await,
        "/area/login?next=/area/page"
    );
    for path in ["/zone/page", "/page"] {
        assert_eq!(Browser::new(&app).get(path).await.status(), 401, "{path}");
    }
}

/// Keeps what is flashed in the session, all of it.
fn flashing(builder: LoginManagerBuilder) -> LoginManagerBuilder {
    builder.flash(|request, flash| {
        let session = request.get_session();
        let before: String = session.get("cart").unwrap().unwrap_or_default();
        let text = format!("{before}[{}: {}]", flash.category, flash.text);
        session.insert("cart", text).unwrap();
    })
}

#[actix_web::test]
async fn a_client_on_its_way_to_the_login_view_is_told_why() {
    let users = Users::new();
    let builder = || flashing(manager(&users).0);
    let (text, none) = ("[message: Please log in to access this page.]", None);
    for (builder, expected) in [
        (builder(), Some(text)),
        (
            builder()
                .login_message(Some("Who are you?"))
                .login_message_category("warning"),
            Some("[warning: Who are you?]"),
        ),
        (
            builder().localize(|request, text| format!("{} {text}", request.path())),
            Some("[message: /account Please log in to access this page.]"),
        ),
        (builder().login_message(None), none),
        (builder().login_message(Some("")), none),
    ] {
        let app = site(builder.build(key()).unwrap(), &users).await;
        let browser = Browser::new(&app);
        let answer = browser.get("/account").await;
        assert_eq!(answer.status(), 303);
        match expected {
            Some(text) => {
                assert_sets(&answer, SESSION, None);
                assert_eq!(cart_of(&browser).await.as_deref(), Some(text));
                // One for each refusal.
                browser.get("/account").await;
                assert_eq!(cart_of(&browser).await, Some(format!("{text}{text}")));
            }
            None => {
                assert_leaves(&answer, SESSION);
                assert_eq!(cart_of(&browser).await, None);
            }
        }
        // Nobody shows it to a program, so nothing is kept for one.
        let program = Browser::new(&app);
        let answer = program
            .get("/account")
            .header("accept", "application/json")
            .await;
        assert_no_cookies(&answer);
    }
}

#[actix_web::test]
async fn the_application_can_answer_the_unauthorized_itself() {
    let users = Users::new();
    let (builder, events) = Events::of(flashing(manager(&users).0));
    let builder = builder
        .use_session_for_next()
        .unauthorized_handler(|request| {
            let path = request.path().to_owned();
            async move {
                tokio::task::yield_now().await;
                (format!("no entry at {path}"), StatusCode::IM_A_TEAPOT)
            }
        });
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.set_cookie(SESSION, "worthless");
    for page in ["/account", "/settings", "/unauthorized"] {
        events.take();
        let answer = browser.get(page).await;
        assert_eq!(answer.status(), 418);
        assert_eq!(answer.text(), format!("no entry at {page}"));
        assert_eq!(answer.location(), None);
        assert_eq!(answer.header("www-authenticate"), None);
        assert_no_cookies(&answer);
        assert_private(&answer);
        let events = events.take_but_accessed();
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(events[0].starts_with("unauthorized"), "{events:?}");
    }
    let next: Option<String> = browser.get("/next").await.json().expect("next");
    assert_eq!(next, None);
}

#[actix_web::test]
async fn a_handler_can_refuse_whoever_is_logged_in() {
    async fn fussy(auth: Auth<User>) -> Result<String, login_runtime::guards::Refusal> {
        Err(auth.unauthorized().await)
    }
    let users = Users::new();
    let (builder, events) = Events::of(manager(&users).0);
    let app = app(builder.build(key()).unwrap(), |routes| {
        pages(routes, users.clone());
        routes.route("/fussy", web::get().to(fussy));
    })
    .await;
    let browser = Browser::new(&app);
    for _ in 0..2 {
        for page in ["/fussy", "/unauthorized"] {
            events.take();
            let answer = browser.get(page).await;
            answer.assert_redirects_to_login("/login", page);
            assert_eq!(events.take_but_accessed(), ["unauthorized Asked"]);
            assert_private(&answer);
        }
        browser.post("/login/1").await;
    }
    assert_eq!(who(&browser).await.id, Some(1));
}

#[actix_web::test]
async fn a_guard_holds_above_and_below_the_routing_attribute() {
    #[login_required]
    #[get("/above")]
    async fn above() -> impl Responder {
        "above"
    }
    #[get("/below")]
    #[login_required]
    async fn below() -> impl Responder {
        "below"
    }
    let users = Users::new();
    let app = with_pages(manager(&users).0, &users, |routes| {
        routes.service(above).service(below);
    })
    .await;
    let browser = Browser::new(&app);
    for page in ["above", "below"] {
        let path = format!("/{page}");
        let answer = browser.get(&path).await;
        answer.assert_redirects_to_login("/login", &path);
    }
    browser.post("/login/1").await;
    for page in ["above", "below"] {
        assert_eq!(browser.get(&format!("/{page}")).await.text(), page);
    }
}

#[actix_web::test]
async fn every_refusal_is_reported_once() {
    let users = Users::new();
    let (builder, events) = Events::of(manager(&users).0);
    let app = site(builder.build(key()).unwrap(), &users).await;
    let browser = Browser::new(&app);
    browser.get("/account").await;
    assert_eq!(events.take(), ["accessed", "unauthorized Anonymous"]);
    browser.post("/login/1").await;
    users.change(1, |user| user.is_active = false);
    events.take();
    browser.get("/account").await;
    assert_eq!(events.take(), ["accessed", "unauthorized Inactive"]);
}

#[actix_web::test]
async fn next_can_be_kept_in_the_session() {
    let (users, sessions) = (Users::new(), MemorySessions::new());
    let (builder, _) = manager(&users);
    let app = site(
        builder
            .use_session_for_next()
            .session_store(sessions.clone())
            .build(key())
            .unwrap(),
        &users,
    )
    .await;
    let browser = Browser::new(&app);
    let answer = browser.get("/account?a=b").await;
    assert_eq!(answer.location(), Some("/login"));
    assert_sets(&answer, "__Host-next", Some(HOUR));
    // The last refusal wins.
    browser.get("/settings?c=d").await;
    // Another client at the login page is no reason to forget it.
    browser.set_user_agent("test/2");
    browser.get("/who").await;
    // It survives the log in, and is taken once; the query does not matter then.
    let answer = browser.post("/login/1?next=/query").await;
    assert_eq!(answer.location(), Some("/settings?c=d"));
    let answer = browser.post("/login/1").await;
    assert_eq!(answer.location(), Some("/"));
    for state in sessions.contents().into_values() {
        assert_eq!(state.keys().collect::<Vec<_>>(), ["_login:User"]);
    }
    let answer = browser.post("/login/1?next=/query").await;
    assert_eq!(answer.location(), Some("/query"));
}

#[actix_web::test]
async fn a_login_view_that_guards_itself_answers_401_and_not_a_loop() {
    let _known = other_origins();
    let users = Users::new();
    let routes = |routes: &mut ServiceConfig| {
        routes.service(
            web::resource("/login")
                .name("login_page")
                .route(web::get().to(page)),
        );
    };
    let builder = || manager(&users).0;
    for builder in [
        builder(),
        builder().login_view("/login?a=b"),
        builder().login_view(View::route("login_page")),
        builder()
            .login_view("https://app.test/login")
            .origins(["https://app.test"]),
        builder().login_view("http://app.test/login"),
        builder().use_session_for_next(),
    ] {
        let app = with_pages(builder, &users, routes).await;
        let browser = Browser::new(&app);
        let refused = browser.get("/page").header("host", "app.test").await;
        assert_eq!(refused.status(), 303);
        let answer = browser
            .get("/login?next=/page")
            .header("host", "app.test")
            .await;
        assert_eq!(answer.status(), 401, "{:?}", answer.location());
        assert_eq!(answer.header("www-authenticate"), Some(CHALLENGE));
        assert_private(&answer);
    }
    // The same path on another host is another page.
    let builder = builder().login_view("https://auth.test/login");
    let app = with_pages(builder, &users, routes).await;
    let answer = Browser::new(&app)
        .get("/login")
        .header("host", "app.test")
        .await;
    assert_eq!(answer.location(), Some("https://auth.test/login"));
}
