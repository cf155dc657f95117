//! Routes that were declared for every request so far, and requests that reach another route at the same path.
//!
//! A worker keeps fewer parts of a request where it has only seen declared routes. So each test first asks for
//! the declared route, more often than it takes to be remembered.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use actix_http::Request;
use actix_web::{
    App, Error, HttpRequest, Responder,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    guard,
    http::Method,
    middleware::{Next, NormalizePath, from_fn},
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    CookieSettings, LoginScope, MemoryLoginStore,
    config::{LoginManagerBuilder, SessionProtection},
    events::LoginEvent,
    guards::routes_behind,
    proxies::{ForwardedHeaders, TrustedProxies, client_address},
    public,
    test::Browser,
};
use login_tests::{User, Users, app, key, manager, manager_base};

/// More requests than it takes until a route is remembered.
const OFTEN: usize = 40;

fn denying(users: &Users) -> LoginManagerBuilder {
    manager(users).0.deny_by_default()
}

fn ada() -> User {
    User::new(1, "ada")
}

async fn open() -> impl Responder {
    "open"
}

async fn closed() -> impl Responder {
    "closed"
}

/// A page that is public at one host, and another at the same path that declares nothing.
fn of_host(routes: &mut ServiceConfig) {
    routes.service(
        web::resource("/page")
            .guard(guard::Host("open.test"))
            .wrap(public())
            .to(open),
    );
    routes.route("/page", web::to(closed));
}

/// The same, with another guard.
fn guarded_by(guard: impl guard::Guard + 'static) -> impl FnOnce(&mut ServiceConfig) {
    move |routes| {
        let open = web::get().guard(guard).to(open).wrap(public());
        routes.service(web::resource("/page").route(open).to(closed));
    }
}

const AT_OPEN: (&str, &str) = ("host", "open.test");
const ELSEWHERE: (&str, &str) = ("host", "closed.test");

/// Asks for a page that is declared until it is remembered.
async fn ask_often<S, B>(browser: &Browser<'_, S>, path: &str, header: (&str, &str))
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    for _ in 0..OFTEN {
        let answer = browser.get(path).header(header.0, header.1).await;
        assert_eq!(answer.text(), "open");
    }
}

#[actix_web::test]
async fn a_page_that_is_public_at_one_host_stays_closed_at_another() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), of_host).await;
    let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
    known.log_in(ada()).await;
    ask_often(&anonymous, "/page", AT_OPEN).await;
    for _ in 0..3 {
        let [(name, open), (_, closed)] = [AT_OPEN, ELSEWHERE];
        let refused = anonymous.get("/page?a=b").header(name, closed).await;
        refused.assert_redirects_to_login("/login", "/page?a=b");
        let shown = known.get("/page").header(name, closed).await;
        assert_eq!(shown.text(), "closed");
        for browser in [&anonymous, &known] {
            assert_eq!(browser.get("/page").header(name, open).await.text(), "open");
        }
    }
}

#[actix_web::test]
async fn a_user_is_let_through_where_the_page_was_public_before() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), of_host).await;
    let known = Browser::new(&app);
    known.log_in(ada()).await;
    ask_often(&known, "/page", AT_OPEN).await;
    users.loads();
    let shown = known.get("/page").header("host", "closed.test").await;
    assert_eq!((shown.text().as_str(), users.loads()), ("closed", 1));
}

#[actix_web::test]
async fn a_page_that_was_refused_first_is_decided_by_each_request_too() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), of_host).await;
    let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
    known.log_in(ada()).await;
    for _ in 0..2 {
        for _ in 0..OFTEN {
            let refused = anonymous.get("/page").header("host", "closed.test").await;
            assert_eq!(refused.status(), 303);
        }
        ask_often(&anonymous, "/page", AT_OPEN).await;
        let shown = known.get("/page").header("host", "closed.test").await;
        assert_eq!(shown.text(), "closed");
    }
}

#[actix_web::test]
async fn headers_cookies_and_queries_choose_the_route_each_time() {
    type Asked = (&'static str, (&'static str, &'static str));
    let of_cookie = guard::fn_guard(|context| {
        let headers = &context.head().headers;
        headers
            .get("cookie")
            .is_some_and(|sent| sent.to_str().unwrap().contains("beta=1"))
    });
    let of_query = guard::fn_guard(|context| context.head().uri.query() == Some("open"));
    let cases: [(Box<dyn guard::Guard>, Asked, Asked); 4] = [
        (
            Box::new(guard::Header("x-version", "1")),
            ("/page", ("x-version", "1")),
            ("/page", ("x-version", "2")),
        ),
        (
            Box::new(guard::Not(guard::Header("x-version", "2"))),
            ("/page", ("x-version", "1")),
            ("/page", ("x-version", "2")),
        ),
        (
            Box::new(of_cookie),
            ("/page", ("cookie", "beta=1")),
            ("/page", ("cookie", "beta=2")),
        ),
        (
            Box::new(of_query),
            ("/page?open", ("x-any", "1")),
            ("/page?closed", ("x-any", "1")),
        ),
    ];
    for (guard, (open_path, open), (path, header)) in cases {
        let guard = guard::fn_guard(move |context| guard.check(context));
        let app = app(
            denying(&Users::new()).build(key()).unwrap(),
            guarded_by(guard),
        )
        .await;
        let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
        known.log_in(ada()).await;
        ask_often(&anonymous, open_path, open).await;
        for _ in 0..2 {
            let refused = anonymous.get(path).header(header.0, header.1).await;
            assert_eq!(refused.status(), 303, "{header:?}");
            let shown = known.get(path).header(header.0, header.1).await;
            assert_eq!(shown.text(), "closed", "{header:?}");
        }
    }
}

/// A page that is public while this is `true`.
fn while_open(is_open: &Arc<AtomicBool>) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let is_open = Arc::clone(is_open);
    guarded_by(guard::fn_guard(move |_| is_open.load(Ordering::SeqCst)))
}

#[actix_web::test]
async fn each_way_to_be_logged_in_counts_where_the_page_was_public_before() {
    let sent = |request: &HttpRequest| {
        let token = request.headers().get("x-token");
        let user = token.is_some_and(|token| token == "ada").then(ada);
        async move { Ok::<_, Infallible>(user) }
    };
    let users = Users::new();
    let plain = || manager_base(&users).0.deny_by_default();
    let with_login_cookie = plain().login_cookie(CookieSettings::new());
    for (what, builder) in [
        ("session", plain().session_only()),
        ("login cookie", with_login_cookie.session_only()),
        ("records", plain().login_store(MemoryLoginStore::new())),
        ("remembered", plain().session_only()),
        (
            "remembered family",
            plain().login_store(MemoryLoginStore::new()),
        ),
        (
            "request loader",
            plain().session_only().request_loader(sent),
        ),
        (
            "bound",
            plain()
                .session_only()
                .session_protection(SessionProtection::Strong),
        ),
    ] {
        let is_open = Arc::new(AtomicBool::new(true));
        let app = app(builder.build(key()).unwrap(), while_open(&is_open)).await;
        let (anonymous, known, other) =
            (Browser::new(&app), Browser::new(&app), Browser::new(&app));
        for browser in [&known, &other] {
            browser.set_user_agent("Mozilla/5.0");
        }
        match what {
            "request loader" => {}
            "remembered" | "remembered family" => {
                known.log_in(ada()).remember().await;
                known.restart();
            }
            _ => known.log_in(ada()).await,
        }
        ask_often(&anonymous, "/page", ("x-any", "1")).await;
        is_open.store(false, Ordering::SeqCst);
        users.loads();
        let shown = known.get("/page").header("x-token", "ada").await;
        assert_eq!(shown.text(), "closed", "{what}");
        if what.starts_with("remembered") {
            assert!(!shown.set_cookies().is_empty(), "{what}");
            assert_eq!(known.get("/page").await.text(), "closed", "{what}");
        }
        assert_eq!(other.get("/page").await.status(), 303, "{what}");
        assert_eq!(anonymous.get("/page").await.status(), 303, "{what}");
    }
}

#[actix_web::test]
async fn the_answer_to_a_refused_client_has_the_form_that_it_asks_for() {
    for (headers, status) in [
        (&[("accept", "application/json")][..], 401),
        (&[("accept", "text/html,*/*;q=0.8")], 303),
        (&[("sec-fetch-mode", "navigate"), ("accept", "*/*")], 303),
        (&[("sec-fetch-mode", "cors"), ("accept", "*/*")], 401),
    ] {
        let is_open = Arc::new(AtomicBool::new(true));
        let manager = denying(&Users::new()).build(key()).unwrap();
        let app = app(manager, while_open(&is_open)).await;
        let browser = Browser::new(&app);
        ask_often(&browser, "/page", ("x-any", "1")).await;
        is_open.store(false, Ordering::SeqCst);
        for _ in 0..2 {
            let mut ask = browser.get("/page?a=b");
            for (name, value) in headers {
                ask = ask.header(name, value);
            }
            let answer = ask.await;
            assert_eq!(answer.status(), status, "{headers:?}");
            if status == 303 {
                answer.assert_redirects_to_login("/login", "/page?a=b");
            }
        }
    }
}

#[actix_web::test]
async fn a_client_behind_a_proxy_keeps_its_address_where_the_page_was_public_before() {
    let is_open = Arc::new(AtomicBool::new(true));
    let addresses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&addresses);
    let proxies = TrustedProxies::hops(1, ForwardedHeaders::x_forwarded());
    let builder = denying(&Users::new()).trusted_proxies(proxies);
    let builder = builder.on_event(move |event, request| {
        if let LoginEvent::Unauthorized { .. } = event {
            let address = client_address(request);
            seen.lock().unwrap().push(address.unwrap().to_string());
        }
    });
    let app = app(builder.build(key()).unwrap(), while_open(&is_open)).await;
    let browser = Browser::new(&app);
    let from = ("x-forwarded-for", "192.0.2.7");
    ask_often(&browser, "/page", from).await;
    is_open.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let answer = browser.get("/page").header(from.0, from.1).await;
        assert_eq!(answer.status(), 303);
    }
    assert_eq!(*addresses.lock().unwrap(), ["192.0.2.7", "192.0.2.7"]);
}

#[actix_web::test]
async fn other_methods_of_a_public_page_stay_closed() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        let page = web::resource("/page").route(web::get().to(open).wrap(public()));
        routes.service(page.to(closed));
    })
    .await;
    let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
    known.log_in(ada()).await;
    ask_often(&anonymous, "/page", ("x-any", "1")).await;
    for method in [
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::from_bytes(b"BREW").unwrap(),
    ] {
        for _ in 0..2 {
            let refused = anonymous.ask(method.clone(), "/page").await;
            assert_eq!(refused.status(), 303, "{method}");
            let shown = known.ask(method.clone(), "/page").await;
            assert_eq!(shown.text(), "closed", "{method}");
        }
    }
}

#[actix_web::test]
async fn two_applications_in_one_thread_share_nothing_that_they_have_seen() {
    let manager = denying(&Users::new()).build(key()).unwrap();
    let declared = app(manager.clone(), |routes| {
        routes.route("/page", web::get().to(open).wrap(public()));
    })
    .await;
    let undeclared = app(manager, |routes| {
        routes.route("/page", web::get().to(closed));
    })
    .await;
    let (at_declared, at_undeclared) = (Browser::new(&declared), Browser::new(&undeclared));
    for _ in 0..2 {
        ask_often(&at_declared, "/page", ("x-any", "1")).await;
        assert_eq!(at_undeclared.get("/page").await.status(), 303);
    }
    at_undeclared.log_in(ada()).await;
    assert_eq!(at_undeclared.get("/page").await.text(), "closed");
}

#[actix_web::test]
async fn an_undeclared_route_beside_a_public_one_is_reported_once() {
    let reports = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reports);
    let builder = denying(&Users::new()).on_event(move |event, _| {
        if let LoginEvent::UndeclaredRoute { pattern, .. } = event {
            assert_eq!(*pattern, "/page");
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    let app = app(builder.build(key()).unwrap(), of_host).await;
    let browser = Browser::new(&app);
    ask_often(&browser, "/page", AT_OPEN).await;
    assert_eq!(reports.load(Ordering::SeqCst), 0);
    for _ in 0..OFTEN {
        assert_eq!(browser.get("/page").await.status(), 303);
    }
    assert_eq!(reports.load(Ordering::SeqCst), 1);
}

#[actix_web::test]
async fn a_scope_with_its_own_view_sends_clients_there_at_a_remembered_path() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        let of_host = guard::Host("open.test");
        let declared = web::scope("/pages").guard(of_host).wrap(public());
        routes.service(declared.route("/{id}", web::get().to(open)));
        let views = LoginScope::new().login_view("/other").unwrap();
        let undeclared = web::scope("/pages").wrap(views);
        routes.service(undeclared.route("/{id}", web::get().to(closed)));
        let api = web::scope("/api")
            .guard(guard::Host("open.test"))
            .wrap(public());
        routes.service(api.route("/{id}", web::get().to(open)));
        let api = web::scope("/api").wrap(LoginScope::new().api());
        routes.service(api.route("/{id}", web::get().to(closed)));
    })
    .await;
    let browser = Browser::new(&app);
    for (path, view) in [("/pages/7", Some("/other")), ("/api/7", None)] {
        ask_often(&browser, path, AT_OPEN).await;
        for _ in 0..2 {
            let answer = browser.get(path).await;
            match view {
                Some(view) => {
                    answer.assert_redirects_to_login(view, path);
                }
                None => assert_eq!(answer.status(), 401),
            }
        }
    }
}

#[actix_web::test]
async fn a_path_that_a_middleware_changes_is_decided_by_its_route() {
    let app = init_service(
        App::new()
            .wrap(NormalizePath::trim())
            .wrap(denying(&Users::new()).build(key()).unwrap())
            .configure(of_host)
            .default_service(web::to(closed)),
    )
    .await;
    let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
    known.log_in(ada()).await;
    ask_often(&anonymous, "/page/", AT_OPEN).await;
    for _ in 0..2 {
        // The gate sees a path that leads to no resource.
        assert_eq!(anonymous.get("/page/").await.status(), 404);
        assert_eq!(known.get("/page/").await.text(), "closed");
        assert_eq!(anonymous.get("/nowhere").await.status(), 404);
    }
}

/// Middleware that waits before it calls what is in it.
async fn wait(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::task::yield_now().await;
    next.call(request).await
}

#[actix_web::test]
async fn a_gate_behind_middleware_that_waits_is_decided_by_each_request_too() {
    let app = init_service(
        App::new()
            .wrap(routes_behind(from_fn(wait)))
            .wrap(denying(&Users::new()).build(key()).unwrap())
            .configure(of_host),
    )
    .await;
    let (anonymous, known) = (Browser::new(&app), Browser::new(&app));
    known.log_in(ada()).await;
    ask_often(&anonymous, "/page", AT_OPEN).await;
    for _ in 0..2 {
        let refused = anonymous.get("/page?a=b").await;
        refused.assert_redirects_to_login("/login", "/page?a=b");
        assert_eq!(known.get("/page").await.text(), "closed");
    }
}

#[actix_web::test]
async fn a_page_of_another_site_opens_no_socket_at_a_remembered_path() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), of_host).await;
    let browser = Browser::new(&app);
    ask_often(&browser, "/page", AT_OPEN).await;
    for _ in 0..2 {
        let handshake = browser.get("/page").header("host", "open.test");
        let handshake = handshake.header("connection", "keep-alive, Upgrade");
        let handshake = handshake.header("upgrade", "websocket");
        let answer = handshake.header("sec-fetch-site", "cross-site").await;
        assert_eq!(answer.status(), 403);
        ask_often(&browser, "/page", AT_OPEN).await;
    }
    let post = browser.post("/page").header("host", "open.test");
    let answer = post.header("sec-fetch-site", "cross-site").await;
    assert_eq!(answer.status(), 403);
}

#[actix_web::test]
async fn a_session_that_was_refused_at_a_remembered_path_keeps_its_data() {
    let is_open = Arc::new(AtomicBool::new(true));
    let manager = denying(&Users::new()).build(key()).unwrap();
    let app = app(manager, |routes| {
        routes.route(
            "/set",
            web::get()
                .to(|session: actix_session::Session| async move {
                    session.insert("theme", "dark").unwrap();
                    "set"
                })
                .wrap(public()),
        );
        routes.route(
            "/theme",
            web::get()
                .to(|session: actix_session::Session| async move {
                    session.get::<String>("theme").unwrap().unwrap_or_default()
                })
                .wrap(public()),
        );
        while_open(&is_open)(routes);
    })
    .await;
    let browser = Browser::new(&app);
    ask_often(&browser, "/page", ("x-any", "1")).await;
    assert_eq!(browser.get("/set").await.text(), "set");
    is_open.store(false, Ordering::SeqCst);
    assert_eq!(browser.get("/page").await.status(), 303);
    assert_eq!(browser.get("/theme").await.text(), "dark");
}

#[actix_web::test]
async fn endless_paths_of_a_public_page_open_no_other() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        routes.route("/user/{id:\\d+}", web::get().to(open).wrap(public()));
        routes.route("/user/me", web::get().to(closed));
        routes.route("/{page}", web::get().to(closed));
    })
    .await;
    let browser = Browser::new(&app);
    for id in 0..2_000 {
        let answer = browser.get(&format!("/user/{id}")).await;
        assert_eq!(answer.text(), "open");
    }
    for (path, status) in [("/user/me", 303), ("/user/ada", 404), ("/user", 303)] {
        assert_eq!(browser.get(path).await.status(), status, "{path}");
    }
    browser.log_in(ada()).await;
    for path in ["/user/me", "/user"] {
        assert_eq!(browser.get(path).await.text(), "closed");
    }
}
