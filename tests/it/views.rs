//! Login and refresh views: paths with dynamic segments, routes, functions, and views of scopes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    FromRequest, HttpRequest, Responder,
    dev::{ServiceRequest, ServiceResponse},
    get,
    http::Method,
    middleware::{Next, from_fn},
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, BuildError, LoginScope,
    audit::audit,
    config::{IntoView, LoginManagerBuilder, View},
    fresh_login_required, login_required, public,
    test::{Browser, assert_reviewed},
};
use login_tests::{User, Users, app, key, manager};

use crate::world::{App, other_origins};

async fn page() -> impl Responder {
    "page"
}

fn builder() -> LoginManagerBuilder {
    manager(&Users::new()).0
}

/// Guarded and undeclared pages with and without dynamic segments.
fn pages(routes: &mut ServiceConfig) {
    let closed = || web::get().to(page).wrap(login_required());
    let fresh = || web::get().to(page).wrap(fresh_login_required());
    let login = web::resource("/{lang}/login").name("login_of_language");
    routes.service(login.get(page).wrap(public()));
    routes.service(
        web::scope("/{lang}/shop")
            .route("/closed", closed())
            .route("/fresh", fresh())
            .route("/undeclared/{id}", web::get().to(page)),
    );
    routes.route("/closed", closed());
    routes.route("/undeclared", web::get().to(page));
}

async fn site(builder: LoginManagerBuilder) -> impl App {
    app(builder.deny_by_default().build(key()).unwrap(), pages).await
}

fn refused(view: impl IntoView) -> String {
    match builder().login_view(view).build(key()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it builds"),
    }
}

#[test]
fn a_text_that_leads_nowhere_does_not_build() {
    for view in ["login", "./login", "../login", "login/", "?login", "#login"] {
        let error = refused(view);
        let expected = format!("the view `{view}` is neither a path nor a URL");
        assert!(error.starts_with(&expected), "{error}");
        let refresh = builder().refresh_view(view).build(key());
        assert_eq!(refresh.unwrap_err().to_string(), error);
        let scope = LoginScope::new().login_view(view).unwrap_err();
        assert_eq!(scope.to_string(), error);
        let scope = LoginScope::new().refresh_view(view).unwrap_err();
        assert_eq!(scope.to_string(), error);
    }
    for view in [
        "/{}/login",
        "/{a:.*}",
        "/{a",
        "/login?lang={lang}",
        "/login#{a}",
    ] {
        assert!(refused(view).contains("dynamic segment"), "{view}");
    }
    assert!(refused("https://{tenant}.test/login").contains("dynamic segment"));
    assert!(refused(View::route("")).contains("is empty"));
    let error = BuildError::View {
        view: "login".to_owned(),
        why: "is neither a path nor a URL; write `/login`, or `View::route(..)` for the name of a route",
    };
    assert_eq!(refused("login"), error.to_string());
}

#[actix_web::test]
async fn a_view_with_a_dynamic_segment_gets_that_of_the_page() {
    for view in [
        "/{lang}/login".into_view().unwrap(),
        View::route("login_of_language"),
        View::from_fn(|request: &HttpRequest| {
            format!(
                "/{}/login",
                request.match_info().get("lang").unwrap_or("en")
            )
        }),
    ] {
        let app = site(builder().login_view(view.clone()).refresh_view(view)).await;
        let browser = Browser::new(&app);
        for path in ["/de/shop/closed", "/de/shop/undeclared/7"] {
            let answer = browser.get(path).await;
            answer.assert_redirects_to_login("/de/login", path);
        }
        let wrong_method = browser.post("/de/shop/closed").await;
        assert_eq!(wrong_method.location(), Some("/de/login"));
        browser.log_in(User::new(1, "ada")).stale().await;
        let answer = browser.get("/de/shop/fresh").await;
        answer.assert_redirects_to_login("/de/login", "/de/shop/fresh");
    }
}

#[actix_web::test]
async fn a_page_without_the_segment_of_the_view_answers_401() {
    for view in [
        "/{lang}/login".into_view().unwrap(),
        View::route("login_of_language"),
        View::route("no_such_route"),
        View::from_fn(|_: &HttpRequest| "login"),
        View::from_fn(|_: &HttpRequest| "//evil.test"),
        View::from_fn(|_: &HttpRequest| "/{lang}/login"),
        View::from_fn(|_: &HttpRequest| ""),
    ] {
        let app = site(builder().login_view(view)).await;
        for path in ["/closed", "/undeclared"] {
            let answer = Browser::new(&app).get(path).await;
            assert_eq!((answer.status(), answer.location()), (401, None), "{path}");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
}

#[actix_web::test]
async fn a_segment_of_a_client_makes_no_other_host_of_the_view() {
    for view in [
        "/{lang}/login".into_view().unwrap(),
        View::route("login_of_language"),
    ] {
        let app = site(builder().login_view(view)).await;
        for (segment, expected) in [
            ("%5Cevil.test", "/%5Cevil.test/login"),
            ("%2Fevil.test", "/%2Fevil.test/login"),
            ("a%0D%0Ab", "/a%0D%0Ab/login"),
            ("a%20b%3Fc", "/a%20b%3Fc/login"),
        ] {
            for page in ["closed", "undeclared/1"] {
                let path = format!("/{segment}/shop/{page}");
                let answer = Browser::new(&app).get(&path).await;
                let location = answer.location().unwrap().split("?next=").next();
                assert_eq!(location, Some(expected), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn a_function_decides_where_clients_are_sent_and_may_ask_for_anything() {
    let _known = other_origins();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let view = move |request: &HttpRequest| {
        count.fetch_add(1, Ordering::SeqCst);
        // Asks for itself, in vain.
        let again = login_runtime::guards::login_url(request);
        assert_eq!(again, None);
        match request.path().starts_with("/de/") {
            true => "/anmelden".to_owned(),
            false => "https://auth.test/login".to_owned(),
        }
    };
    let builder = builder()
        .origins(["http://localhost:8080"])
        .login_view(view);
    let app = site(builder).await;
    let browser = Browser::new(&app);
    for path in ["/de/shop/closed", "/de/shop/undeclared/1"] {
        let answer = browser.get(path).await;
        answer.assert_redirects_to_login("/anmelden", path);
    }
    let answer = browser
        .get("/closed")
        .header("host", "localhost:8080")
        .await;
    let expected = "https://auth.test/login?next=http://localhost:8080/closed";
    assert_eq!(
        answer
            .location()
            .map(|location| location.replace("%3A", ":")),
        Some(expected.to_owned())
    );
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    let json = browser.get("/closed").header("accept", "application/json");
    assert_eq!(json.await.status(), 401);
    assert_eq!(asked.load(Ordering::SeqCst), 3, "a program is sent nowhere");
}

/// Scopes with their own views, one in another.
fn scoped(views: LoginScope, inner: LoginScope) -> impl FnOnce(&mut ServiceConfig) {
    |routes| {
        let closed = || web::get().to(page).wrap(login_required());
        let named = web::resource("/sign-in/{part}").name("sign_in");
        routes.service(named.get(page).wrap(public()));
        let inner = web::scope("/inner")
            .route("/closed", closed())
            .route("/undeclared", web::get().to(page))
            .wrap(inner);
        routes.service(
            web::scope("/{part}")
                .route("/closed", closed())
                .route("/undeclared", web::get().to(page))
                .service(inner)
                .wrap(views),
        );
    }
}

#[actix_web::test]
async fn an_undeclared_page_of_a_scope_is_sent_where_a_declared_one_is() {
    let scope = |view: &str| LoginScope::new().login_view(view).unwrap();
    let by_name = LoginScope::new()
        .login_view(View::route("sign_in"))
        .unwrap();
    for (views, inner, at, at_inner) in [
        (scope("/a"), LoginScope::new(), "/a", "/a"),
        (scope("/a"), scope("/b?c=d"), "/a", "/b"),
        (LoginScope::new(), scope("/b"), "/login", "/b"),
        (scope("/{part}/in"), LoginScope::new(), "/x/in", "/x/in"),
        (
            by_name.clone(),
            LoginScope::new(),
            "/sign-in/x",
            "/sign-in/x",
        ),
        (scope("/a"), by_name, "/a", "/sign-in/x"),
    ] {
        let manager = builder().deny_by_default().build(key()).unwrap();
        let app = app(manager, scoped(views, inner)).await;
        let browser = Browser::new(&app);
        for page in ["closed", "undeclared"] {
            for (path, view) in [
                (format!("/x/{page}?q=1"), at),
                (format!("/x/inner/{page}?q=1"), at_inner),
            ] {
                let answer = browser.get(&path).await;
                answer.assert_redirects_to_login(view, &path);
            }
        }
    }
}

#[actix_web::test]
async fn an_undeclared_page_keeps_next_in_the_session_as_a_declared_one_does() {
    #[public]
    #[get("/next")]
    async fn next(auth: Auth<User>) -> String {
        format!("{:?}", auth.take_next())
    }
    let manager = builder().deny_by_default().use_session_for_next();
    let scope = LoginScope::new().login_view("/a").unwrap();
    let app = app(manager.build(key()).unwrap(), |routes| {
        routes.service(next);
        scoped(scope, LoginScope::new())(routes);
    })
    .await;
    for path in ["/x/closed?q=1", "/x/undeclared?q=1"] {
        let browser = Browser::new(&app);
        let ask = browser.get(path).header("sec-fetch-mode", "navigate");
        let answer = ask.header("sec-fetch-dest", "document").await;
        assert_eq!(answer.location(), Some("/a"), "{path}");
        assert_eq!(browser.get("/next").await.text(), format!("Some({path:?})"));
    }
}

#[test]
fn the_views_of_a_scope_are_shared_by_all_workers() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let scope = LoginScope::new().login_view("/a").unwrap();
    is_shared(&scope);
    let scope = scope.login_view(|request: &HttpRequest| request.path().to_owned());
    is_shared(&scope.unwrap());
    let factory = || {
        let scope = LoginScope::new().login_view("/a").unwrap();
        move || web::scope("/a").wrap(scope.clone())
    };
    let _ = factory()();
}

/// What the audit says of these views.
async fn broken(
    builder: LoginManagerBuilder,
    routes: impl FnOnce(&mut ServiceConfig),
) -> Vec<String> {
    let app = app(builder.build(key()).unwrap(), routes).await;
    let audit = audit(&app).await.unwrap();
    let text = audit.to_string();
    for view in audit.broken_views() {
        assert!(text.contains(view), "{text}");
        let failed = catch_unwind(AssertUnwindSafe(|| assert_reviewed(&audit, "it/none.txt")));
        let said = failed.unwrap_err().downcast::<String>().unwrap();
        assert!(
            said.contains(view) || audit.undeclared().count() > 0,
            "{said}"
        );
    }
    audit.broken_views().to_vec()
}

#[actix_web::test]
async fn the_audit_finds_views_that_lead_nowhere_or_are_guarded() {
    let open = |path: &'static str| web::resource(path).name("named").get(page).wrap(public());
    let closed = |path: &'static str| web::resource(path).get(page).wrap(login_required());
    let fresh = |path: &'static str| web::resource(path).get(page).wrap(fresh_login_required());
    let nowhere = "the login view `/login` leads to no route";
    assert_eq!(broken(builder(), |_| {}).await, [nowhere]);
    let on_another_host = builder().login_view("https://auth.test/login");
    assert_eq!(broken(on_another_host, |_| {}).await, [""; 0]);
    let routes = |routes: &mut ServiceConfig| {
        routes.service((open("/login"), closed("/confirm")));
    };
    assert_eq!(
        broken(builder().refresh_view("/confirm"), routes).await,
        [""; 0]
    );
    let guarded =
        "the login view `/login?a=b` has the guard `login`, which refuses clients without a login";
    assert_eq!(
        broken(builder().login_view("/login?a=b"), |routes| {
            routes.service(closed("/login"));
        })
        .await,
        [guarded]
    );
    let too_fresh = "the refresh view `/confirm` has the guard `fresh`, which refuses clients with a stale login";
    assert_eq!(
        broken(builder().refresh_view("/confirm"), |routes| {
            routes.service((open("/login"), fresh("/confirm")));
        })
        .await,
        [too_fresh]
    );
    for view in [
        "/{lang}/login".into_view().unwrap(),
        View::route("named"),
        View::from_fn(|_: &HttpRequest| "/en/login"),
    ] {
        let routes = |routes: &mut ServiceConfig| {
            routes.service(open("/{lang:[a-z]{2}}/login"));
        };
        assert_eq!(
            broken(builder().login_view(view.clone()), routes).await,
            [""; 0]
        );
        assert_eq!(broken(builder().login_view(view), |_| {}).await.len(), 1);
    }
}

#[actix_web::test]
async fn the_audit_finds_broken_views_of_scopes() {
    let scope = LoginScope::new().login_view("/elsewhere").unwrap();
    let scope = scope.refresh_view("/a/page").unwrap();
    let routes = move |routes: &mut ServiceConfig| {
        let login = web::resource("/login").get(page).wrap(public());
        let closed = web::get().to(page).wrap(fresh_login_required());
        let scope = web::scope("/a").route("/page", closed).wrap(scope);
        routes.service((login, scope));
    };
    assert_eq!(
        broken(builder(), routes).await,
        [
            "the login view `/elsewhere` leads to no route",
            "the refresh view `/a/page` has the guard `fresh`, which refuses clients with a stale login",
        ]
    );
}

/// Takes `Auth`, asks for the user, and passes on.
async fn with_auth(
    auth: Auth<User>,
    request: ServiceRequest,
    next: Next<actix_web::body::BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    let user = auth.current_user().await?;
    let name = user.user().map(|user| user.name.clone());
    drop(user);
    let mut response = next.call(request).await?;
    let name = name.unwrap_or_default().parse().unwrap();
    response
        .headers_mut()
        .insert("x-user".parse().unwrap(), name);
    let refused = auth.unauthorized().await.into_response();
    let location = refused.headers().get("location").cloned();
    if let Some(location) = location {
        response
            .headers_mut()
            .insert("x-view".parse().unwrap(), location);
    }
    Ok(response)
}

#[actix_web::test]
async fn a_middleware_may_take_auth_and_pass_the_request_on() {
    let routes = |routes: &mut ServiceConfig| {
        let resource = web::resource("/one/two/{id}").get(page);
        routes.service(resource.wrap(from_fn(with_auth)));
        routes.service(
            web::scope("/{lang}")
                .route("/page/{id}", web::get().to(page))
                .route("/closed", web::get().to(page).wrap(login_required()))
                .wrap(from_fn(with_auth))
                .wrap(LoginScope::new().login_view("/{lang}/login").unwrap()),
        );
    };
    let app = app(builder().build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    let answer = browser.get("/de/page/7").await;
    assert_eq!((answer.status(), answer.header("x-user")), (200, Some("")));
    let view = Some("/de/login?next=/de/page/7");
    assert_eq!(answer.header("x-view"), view);
    assert_eq!(browser.get("/de/closed").await.status(), 303);
    browser.log_in(User::new(1, "ada")).await;
    for path in ["/de/page/7", "/de/closed", "/one/two/3"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status(), answer.header("x-user")),
            (200, Some("ada")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn a_middleware_around_the_application_may_log_users_in_and_out() {
    async fn auto(
        auth: Auth<User>,
        request: ServiceRequest,
        next: Next<actix_web::body::BoxBody>,
    ) -> Result<ServiceResponse, actix_web::Error> {
        match request.path() {
            "/in" => {
                let user = login_runtime::Verified::trust(User::new(1, "ada"), "test");
                auth.log_in(user).await?;
            }
            "/out" => {
                auth.log_out().await?;
            }
            _ => {}
        }
        next.call(request).await
    }
    async fn me(request: HttpRequest) -> String {
        let auth = Auth::<User>::extract(&request).await.unwrap();
        let user = auth.current_user().await.unwrap();
        format!("{:?}", user.user().map(|user| user.id))
    }
    let routes = |routes: &mut ServiceConfig| {
        for path in ["/in", "/out", "/me"] {
            routes.route(path, web::to(me));
        }
    };
    let manager = builder().build(key()).unwrap();
    let app = actix_web::App::new().configure(routes);
    let app = actix_web::test::init_service(app.wrap(from_fn(auto)).wrap(manager)).await;
    let browser = Browser::new(&app);
    for (path, user) in [
        ("/me", "None"),
        ("/in", "Some(1)"),
        ("/me", "Some(1)"),
        ("/out", "None"),
        ("/me", "None"),
    ] {
        assert_eq!(browser.post(path).await.text(), user, "{path}");
    }
}

#[actix_web::test]
async fn other_extractors_of_the_user_pass_the_request_on_too() {
    async fn both(
        user: login_runtime::CurrentUser<User>,
        maybe: login_runtime::MaybeUser<User>,
        request: ServiceRequest,
        next: Next<actix_web::body::BoxBody>,
    ) -> Result<ServiceResponse, actix_web::Error> {
        assert_eq!(maybe.user().map(|maybe| maybe.id), Some(user.id));
        next.call(request).await
    }
    let routes = |routes: &mut ServiceConfig| {
        let scope = web::scope("/scope").route("", web::get().to(page));
        routes.service(
            scope
                .route("/page", web::get().to(page))
                .wrap(from_fn(both)),
        );
    };
    let app = app(builder().build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.ask(Method::GET, "/scope/page").await.status(), 303);
    browser.log_in(User::new(1, "ada")).await;
    for path in ["/scope", "/scope/page"] {
        assert_eq!(browser.get(path).await.text(), "page", "{path}");
    }
}
