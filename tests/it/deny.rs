//! Routes that do not say who may reach them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, Error, HttpResponse, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get, guard,
    http::Method,
    middleware::{Compat, DefaultHeaders, Next, NormalizePath, from_fn},
    post, route, routes,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    CookieSettings, CurrentUser,
    config::{LoginManagerBuilder, View},
    events::LoginEvent,
    guards::{RefusedRequest, guarded, routes_behind},
    login_required, public, strict,
    test::{Answer, Browser},
};
use login_tests::{Admin, START, User, Users, app, key, load_admin, manager};

use crate::first::{BODIES, send};

fn denying(users: &Users) -> LoginManagerBuilder {
    manager(users).0.deny_by_default()
}

fn ada() -> User {
    User::new(1, "ada")
}

#[get("/forgotten")]
async fn forgotten() -> impl Responder {
    "forgotten"
}

#[public]
#[get("/public")]
async fn open_page() -> impl Responder {
    "public"
}

#[login_required]
#[get("/mine")]
async fn mine(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

#[get("/below")]
#[login_required]
async fn below() -> impl Responder {
    "below"
}

#[public]
#[routes]
#[get("/one")]
#[post("/two")]
async fn several() -> impl Responder {
    "several"
}

#[public]
#[route(
    "/three",
    method = "GET",
    method = "PUT",
    wrap = "DefaultHeaders::new()"
)]
async fn with_methods() -> impl Responder {
    "methods"
}

async fn page() -> impl Responder {
    "page"
}

fn pages(routes: &mut ServiceConfig) {
    routes.service((forgotten, open_page, mine, below, several, with_methods));
    routes.route("/plain", web::get().to(page));
    routes.route("/wrapped", web::get().to(page).wrap(public()));
    routes.route("/guarded", web::get().to(guarded(page)));
    routes.service(
        web::scope("/open")
            .wrap(public())
            .route("/page", web::get().to(page)),
    );
    routes.service(
        web::scope("/closed")
            .wrap(login_required())
            .route("/page", web::get().to(page)),
    );
}

#[track_caller]
fn is_refused(answer: &Answer) {
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[actix_web::test]
async fn what_declares_nothing_is_closed_to_anonymous_clients() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    for path in [
        "/forgotten",
        "/plain",
        "/below",
        "/mine",
        "/guarded",
        "/closed/page",
    ] {
        let answer = browser.get(path).await;
        answer.assert_redirects_to_login("/login", path);
        is_refused(&answer);
    }
    for (path, text) in [
        ("/public", "public"),
        ("/one", "several"),
        ("/three", "methods"),
        ("/wrapped", "page"),
        ("/open/page", "page"),
    ] {
        assert_eq!(browser.get(path).await.text(), text, "{path}");
    }
    assert_eq!(browser.post("/two").await.text(), "several");
    assert_eq!(users.loads(), 0, "nobody was to be loaded");
}

#[actix_web::test]
async fn who_is_logged_in_gets_to_undeclared_routes() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    for path in [
        "/forgotten",
        "/plain",
        "/below",
        "/mine",
        "/guarded",
        "/closed/page",
    ] {
        users.loads();
        assert_eq!(browser.get(path).await.status(), 200, "{path}");
        assert_eq!(users.loads(), 1, "{path}");
    }
    assert_eq!(browser.get("/public").await.text(), "public");
    assert_eq!(users.loads(), 0, "a public page loads nobody");
}

#[actix_web::test]
async fn a_stale_login_is_a_login_and_an_ended_one_is_none() {
    let users = Users::new();
    users.put(User::new(4, "dee"));
    let builder = denying(&users).user_loader(load_admin);
    let app = app(builder.build(key()).unwrap(), pages).await;
    let [stale, admin, inactive, deleted] = [(); 4].map(|()| Browser::new(&app));
    stale.log_in(ada()).stale().await;
    admin.log_in(Admin::new("root")).await;
    inactive.log_in(User::new(2, "ben")).await;
    deleted.log_in(User::new(4, "dee")).await;
    users.change(2, |ben| ben.is_active = false);
    users.delete(4);
    for (browser, open) in [
        (stale, true),
        (admin, true),
        (inactive, false),
        (deleted, false),
    ] {
        let answer = browser.get("/forgotten").await;
        if open {
            assert_eq!(answer.text(), "forgotten");
        } else {
            is_refused(&answer);
        }
    }
}

#[actix_web::test]
async fn a_restored_login_reaches_the_browser_from_an_undeclared_route_too() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).remember().await;
    browser.restart();
    users.loads();
    let answer = browser.get("/forgotten").await;
    assert_eq!((answer.status(), users.loads()), (200, 1));
    assert_eq!(answer.set_cookies().len(), 1, "{:?}", answer.set_cookies());
    browser.drop_cookie("__Host-remember");
    assert_eq!(browser.get("/mine").await.text(), "ada");
}

#[actix_web::test]
async fn an_outage_is_no_refusal() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).await;
    users.set_down(true);
    assert_eq!(browser.get("/forgotten").await.status(), 503);
    assert_eq!(browser.get("/public").await.status(), 200);
    assert_eq!(Browser::new(&app).get("/forgotten").await.status(), 303);
}

/// How often the handler of the test ran.
type Runs = web::Data<AtomicUsize>;

async fn take(runs: Runs, body: web::Bytes) -> impl Responder {
    runs.fetch_add(1, Ordering::SeqCst);
    body.len().to_string()
}

#[actix_web::test]
async fn the_decision_is_made_before_the_handler_runs_and_the_body_is_read() {
    let users = Users::new();
    let runs = Runs::new(AtomicUsize::new(0));
    let app = app(denying(&users).build(key()).unwrap(), |routes| {
        routes.app_data(runs.clone());
        routes.app_data(web::PayloadConfig::new(1 << 30));
        routes.route("/take", web::post().to(take));
    })
    .await;
    let anonymous = Browser::new(&app);
    let deleted = Browser::new(&app);
    users.put(User::new(4, "dee"));
    deleted.log_in(User::new(4, "dee")).await;
    users.delete(4);
    let known = Browser::new(&app);
    known.log_in(ada()).await;
    for (what, chunk, chunks) in BODIES {
        for browser in [&anonymous, &deleted] {
            let sent = send(&app, browser, "/take", (chunk, chunks)).await;
            assert_eq!(sent, (303, 0), "{what}");
        }
        assert_eq!(runs.swap(0, Ordering::SeqCst), 0, "{what}");
        let sent = send(&app, &known, "/take", (chunk, chunks)).await;
        assert_eq!(sent, (200, chunks + 1), "{what}");
        assert_eq!(runs.swap(0, Ordering::SeqCst), 1, "{what}");
    }
}

#[actix_web::test]
async fn a_path_that_leads_nowhere_is_not_found_for_everybody() {
    let users = Users::new();
    let app = app(denying(&users).build(key()).unwrap(), pages).await;
    let known = Browser::new(&app);
    known.log_in(ada()).await;
    for browser in [Browser::new(&app), known] {
        for path in ["/nowhere", "/open/nowhere", "/forgotten/", "/"] {
            let answer = browser.get(path).await;
            assert_eq!((answer.status(), answer.body().len()), (404, 0), "{path}");
        }
    }
}

async fn lost() -> impl Responder {
    "lost"
}

#[actix_web::test]
async fn an_undeclared_default_service_is_not_opened() {
    for declared in [false, true] {
        let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
            let default = match declared {
                true => web::to(lost).wrap(public()),
                false => web::to(lost),
            };
            routes.default_service(default);
        })
        .await;
        let browser = Browser::new(&app);
        let answer = browser.get("/nowhere").await;
        if declared {
            assert_eq!(answer.text(), "lost");
        } else {
            assert_eq!((answer.status(), answer.body().len()), (404, 0));
        }
        browser.log_in(ada()).await;
        assert_eq!(browser.get("/nowhere").await.text(), "lost");
    }
}

#[actix_web::test]
async fn a_method_that_no_route_takes_is_told_to_those_who_may_know() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        routes.service((forgotten, open_page));
        let routes_of = |path| {
            web::resource(path)
                .get(page)
                .route(web::put().to(guarded(page)))
        };
        routes.service(routes_of("/several"));
        routes.service(routes_of("/open/several").wrap(public()));
    })
    .await;
    let browser = Browser::new(&app);
    let known = Browser::new(&app);
    known.log_in(ada()).await;
    for method in [Method::HEAD, Method::OPTIONS, Method::DELETE] {
        for path in ["/forgotten", "/public", "/several"] {
            assert_eq!(
                browser.ask(method.clone(), path).await.status(),
                303,
                "{method} {path}"
            );
        }
        for (path, status) in [("/forgotten", 404), ("/public", 404), ("/several", 405)] {
            assert_eq!(
                known.ask(method.clone(), path).await.status(),
                status,
                "{method} {path}"
            );
        }
        assert_eq!(browser.ask(method, "/open/several").await.status(), 405);
    }
    // What is around guards does not open them.
    assert_eq!(browser.get("/open/several").await.text(), "page");
    assert_eq!(
        browser.ask(Method::PUT, "/open/several").await.status(),
        303
    );
}

#[actix_web::test]
async fn exempting_options_opens_no_undeclared_route() {
    let builder = denying(&Users::new()).exempt_options();
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.route("/any", web::to(page));
        routes.service(
            web::scope("/closed")
                .wrap(login_required())
                .route("", web::to(page)),
        );
    })
    .await;
    let browser = Browser::new(&app);
    assert_eq!(browser.ask(Method::OPTIONS, "/any").await.status(), 303);
    assert_eq!(browser.ask(Method::OPTIONS, "/closed").await.text(), "page");
}

#[actix_web::test]
async fn a_declaration_is_for_the_route_that_answers_and_no_other() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        let version = |number| guard::Header("x-version", number);
        routes.service(
            web::scope("/page")
                .guard(version("1"))
                .wrap(public())
                .route("", web::get().to(page)),
        );
        routes.service(
            web::resource("/page")
                .route(web::get().guard(version("2")).to(page).wrap(public()))
                .route(web::get().guard(version("3")).to(page))
                .route(web::post().to(page).wrap(public())),
        );
    })
    .await;
    let browser = Browser::new(&app);
    for (version, status) in [("1", 200), ("2", 200), ("3", 303), ("4", 303)] {
        let answer = browser.get("/page").header("x-version", version).await;
        assert_eq!(answer.status(), status, "{version}");
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
async fn behind_middleware_that_waits_everything_is_closed_without_a_gate() {
    let manager = denying(&Users::new()).build(key()).unwrap();
    let closed = init_service(
        App::new()
            .wrap(from_fn(wait))
            .wrap(manager.clone())
            .configure(pages),
    )
    .await;
    let open = init_service(
        App::new()
            .wrap(routes_behind(from_fn(wait)))
            .wrap(routes_behind(from_fn(wait)))
            .wrap(manager)
            .configure(pages),
    )
    .await;
    let browser = Browser::new(&closed);
    assert_eq!(browser.get("/public").await.status(), 303);
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/public").await.status(), 200);

    let browser = Browser::new(&open);
    assert_eq!(browser.get("/public").await.text(), "public");
    assert_eq!(browser.get("/nowhere").await.status(), 404);
    browser
        .get("/forgotten?a=b")
        .await
        .assert_redirects_to_login("/login", "/forgotten?a=b");
    browser.log_in(ada()).await;
    assert_eq!(browser.get("/forgotten").await.text(), "forgotten");
}

#[actix_web::test]
async fn a_gate_in_a_scope_shows_what_is_in_it() {
    let (plain, _) = manager(&Users::new());
    for (builder, forgotten_page) in [(denying(&Users::new()), 303), (plain, 200)] {
        let app = app(builder.build(key()).unwrap(), |routes| {
            routes.service(
                web::scope("/slow")
                    .wrap(routes_behind(from_fn(wait)))
                    .service((forgotten, open_page, mine)),
            );
        })
        .await;
        let browser = Browser::new(&app);
        assert_eq!(
            browser.get("/slow/forgotten").await.status(),
            forgotten_page
        );
        assert_eq!(browser.get("/slow/public").await.text(), "public");
        assert_eq!(browser.get("/slow/mine").await.status(), 303);
    }
}

#[actix_web::test]
async fn a_gate_in_front_of_another_manager_opens_nothing() {
    // Managers inside each other need login cookies of different names.
    let outer = denying(&Users::new()).login_cookie(CookieSettings::new());
    let inside = |builder: LoginManagerBuilder| {
        let builder = builder.realm("inner").login_cookie(CookieSettings::new());
        builder.build(key()).unwrap()
    };
    let inner = || inside(manager(&Users::new()).0);
    let app = app(outer.build(key()).unwrap(), |routes| {
        let scope = |path| web::scope(path).service((forgotten, open_page));
        routes.service(scope("/one").wrap(routes_behind(inner())));
        let two = scope("/two").wrap(routes_behind(from_fn(wait)));
        routes.service(two.wrap(routes_behind(inner())));
        let denying = inside(denying(&Users::new()));
        routes.service(scope("/three").wrap(routes_behind(denying)));
    })
    .await;
    let browser = Browser::new(&app);
    for scope in ["/one", "/two", "/three"] {
        is_refused(&browser.get(&format!("{scope}/forgotten")).await);
        let answer = browser.get(&format!("{scope}/public")).await;
        assert_eq!(answer.text(), "public", "{scope}");
    }
}

#[actix_web::test]
async fn a_declaration_around_a_gate_holds_behind_it() {
    let app = app(denying(&Users::new()).build(key()).unwrap(), |routes| {
        let scope = |path| web::scope(path).service(forgotten);
        routes.service(scope("/closed").wrap(routes_behind(from_fn(wait))));
        let open = scope("/open").wrap(routes_behind(from_fn(wait)));
        routes.service(open.wrap(routes_behind(from_fn(wait))).wrap(public()));
        let any = web::resource("")
            .to(page)
            .wrap(routes_behind(from_fn(wait)));
        let exempt = login_required().exempt_options();
        routes.service(web::scope("/exempt").service(any).wrap(exempt));
    })
    .await;
    let browser = Browser::new(&app);
    is_refused(&browser.get("/closed/forgotten").await);
    is_refused(&browser.get("/exempt").await);
    assert_eq!(browser.get("/open/forgotten").await.text(), "forgotten");
    let answer = browser.ask(Method::OPTIONS, "/exempt").await;
    assert_eq!(answer.text(), "page");
}

#[actix_web::test]
async fn a_gate_without_a_manager_lets_nobody_through() {
    let app = App::new()
        .wrap(Compat::new(routes_behind(from_fn(wait))))
        .configure(pages);
    let answer = Browser::new(&init_service(app).await).get("/public").await;
    assert_eq!(answer.status(), 500);
}

#[actix_web::test]
async fn middleware_that_does_not_wait_needs_no_gate() {
    let manager = denying(&Users::new()).build(key()).unwrap();
    let app = App::new()
        .wrap(DefaultHeaders::new().add(("x-page", "1")))
        .wrap(NormalizePath::trim())
        .wrap(manager)
        .configure(pages);
    let app = init_service(app).await;
    let browser = Browser::new(&app);
    let answer = browser.get("/public").await;
    assert_eq!((answer.status(), answer.header("x-page")), (200, Some("1")));
    assert_eq!(browser.get("/public/").await.text(), "public");
    assert_eq!(browser.get("/forgotten").await.status(), 303);
}

#[actix_web::test]
async fn an_undeclared_route_is_reported_once_with_its_pattern() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let builder = denying(&Users::new()).on_event(move |event, request| {
        if let LoginEvent::UndeclaredRoute { pattern, .. } = event {
            let line = format!("{} {} {pattern}", event.name(), request.uri());
            see.lock().unwrap().push(line);
        }
    });
    let app = app(builder.build(key()).unwrap(), |routes| {
        routes.service((forgotten, open_page, mine));
        let scope = web::scope("/team/{team}").route("/{member}", web::to(page));
        routes.service(web::scope("/v1").service(scope));
    })
    .await;
    let browser = Browser::new(&app);
    let known = browser.copy();
    known.log_in(ada()).await;
    for browser in [&known, &browser] {
        for path in [
            "/public",
            "/nowhere",
            "/v1/team/1/2?a=b",
            "/forgotten",
            "/v1/team/3/4",
            "/mine",
        ] {
            browser.get(path).await;
        }
    }
    let expected = [
        "undeclared_route /v1/team/1/2?a=b /v1/team/{team}/{member}",
        "undeclared_route /forgotten /forgotten",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[actix_web::test]
async fn refusals_are_those_of_the_manager() {
    async fn no(request: RefusedRequest) -> HttpResponse {
        let agent = request.headers().contains_key("user-agent");
        let who = format!("{} {} {agent}", request.method(), request.uri());
        HttpResponse::ImATeapot().body(who)
    }
    let users = Users::new();
    let handled = denying(&users)
        .unauthorized_handler(no)
        .build(key())
        .unwrap();
    let handled = app(handled, pages).await;
    let browser = Browser::new(&handled);
    browser.set_user_agent("test/1");
    let answer = browser.ask(Method::GET, "/plain?a=b").await;
    assert_eq!(
        (answer.status(), &*answer.text()),
        (418, "GET /plain?a=b true")
    );

    let named = denying(&users)
        .login_view(View::route("open_page"))
        .build(key())
        .unwrap();
    let named = app(named, pages).await;
    let answer = Browser::new(&named).get("/forgotten").await;
    answer.assert_redirects_to_login("/public", "/forgotten");

    let api = app(denying(&users).build(key()).unwrap(), pages).await;
    let answer = Browser::new(&api)
        .get("/forgotten")
        .header("accept", "application/json")
        .await;
    assert_eq!(answer.status(), 401);
    assert!(answer.header("www-authenticate").is_some());
}

#[actix_web::test]
async fn remember_cookies_are_prolonged_where_nothing_is_declared() {
    let users = Users::new();
    let (builder, clock) = manager(&users);
    let cookie = login_runtime::RememberCookie::default().refresh_each_request();
    let builder = builder.deny_by_default().remember_cookie(cookie);
    let app = app(builder.build(key()).unwrap(), pages).await;
    let browser = Browser::new(&app);
    browser.log_in(ada()).remember().await;
    for path in ["/forgotten", "/public", "/nowhere"] {
        clock.advance(Duration::from_secs(60));
        let answer = browser.get(path).await;
        assert_eq!(answer.set_cookies().len(), 1, "{path}");
    }
    clock.set(START);
}

/// As of an application that re-exports the crate.
mod facade {
    pub(crate) use login_runtime as login;
}

#[facade::login::public(crate = crate::deny::facade::login)]
#[get("/through-a-facade")]
async fn through_a_facade() -> impl Responder {
    "facade"
}

#[facade::login::login_required(crate = crate::deny::facade::login)]
#[post("/closed-by-a-facade")]
async fn closed_by_a_facade() -> impl Responder {
    "facade"
}

#[login_required(fresh)]
async fn without_attribute(path: web::Path<u8>) -> impl Responder {
    format!("without attribute {path}")
}

#[actix_web::test]
async fn a_strict_configuration_declares_what_is_in_it() {
    let users = Users::new();
    let routes = strict(|routes| {
        routes
            .service((open_page, mine, through_a_facade, closed_by_a_facade))
            .route("/fresh/{id}", web::get(), without_attribute)
            .public_route("/plain", web::get().to(page))
            .scope("/scope", |scope| {
                scope
                    .service(several)
                    .route("/page", web::get(), guarded(page));
            })
            .declared_scope("/open", public(), |scope| {
                scope.route("/page", web::get().to(page));
            })
            .declared_scope("/closed", login_required().user::<Admin>(), |scope| {
                scope.route("/page", web::get().to(page));
            });
    });
    let builder = denying(&users).user_loader(load_admin);
    let app = app(builder.build(key()).unwrap(), routes).await;
    let browser = Browser::new(&app);
    let known = Browser::new(&app);
    known.log_in(ada()).await;
    for (path, text) in [
        ("/public", "public"),
        ("/through-a-facade", "facade"),
        ("/plain", "page"),
        ("/scope/one", "several"),
        ("/open/page", "page"),
    ] {
        assert_eq!(browser.get(path).await.text(), text, "{path}");
    }
    for (path, text) in [
        ("/mine", "ada"),
        ("/fresh/7", "without attribute 7"),
        ("/scope/page", "page"),
    ] {
        assert_eq!(browser.get(path).await.status(), 303, "{path}");
        assert_eq!(known.get(path).await.text(), text, "{path}");
    }
    assert_eq!(browser.post("/closed-by-a-facade").await.status(), 303);
    assert_eq!(known.get("/closed/page").await.status(), 303);
    known.log_in(Admin::new("root")).await;
    assert_eq!(known.get("/closed/page").await.text(), "page");
}
