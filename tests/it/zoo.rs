//! An application with routes of every kind: what the audit says of each, and that it is so.

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use actix_files::Files;
use actix_web::{
    Error, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get, guard,
    http::Method,
    middleware::{Next, from_fn},
    post, route, routes,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    audit::{Audit, Auditor, Decision, audit},
    config::LoginManagerBuilder,
    fresh_login_required,
    guards::{guarded, routes_behind},
    login_required, public, strict,
    test::{Browser, assert_reviewed},
};
use login_tests::{Admin, User, Users, app, key, load_admin, manager};

async fn page() -> impl Responder {
    "page"
}

#[public]
#[get("/")]
async fn home() -> impl Responder {
    "home"
}

#[public]
#[get("/login")]
async fn login_page() -> impl Responder {
    "log in"
}

#[public]
#[post("/login")]
async fn log_in() -> impl Responder {
    "logged in"
}

#[login_required]
#[get("/account")]
async fn account() -> impl Responder {
    "account"
}

#[fresh_login_required(max_age = "10m")]
#[post("/account/password")]
async fn change_password() -> impl Responder {
    "changed"
}

#[login_required(user = Admin)]
#[get("/admin")]
async fn admin() -> impl Responder {
    "admin"
}

#[login_required(passive)]
#[routes]
#[get("/feed")]
#[get("/feed.xml")]
async fn feed() -> impl Responder {
    "feed"
}

#[public]
#[route("/search", method = "GET", method = "POST")]
async fn search() -> impl Responder {
    "results"
}

#[get("/overlooked")]
async fn overlooked() -> impl Responder {
    "overlooked"
}

#[get("/below")]
#[login_required]
async fn below() -> impl Responder {
    "below"
}

#[login_required]
#[get("/members/{name}")]
async fn member() -> impl Responder {
    "member"
}

#[fresh_login_required]
#[post("/members/{name}")]
async fn invite() -> impl Responder {
    "invited"
}

async fn wait(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::task::yield_now().await;
    next.call(request).await
}

fn files(path: &str) -> Files {
    Files::new(path, concat!(env!("CARGO_MANIFEST_DIR"), "/ui"))
}

/// What says who may reach it.
fn declared(routes: &mut ServiceConfig) {
    routes.service((
        home,
        login_page,
        log_in,
        account,
        change_password,
        admin,
        feed,
        search,
    ));
    routes.service(
        web::scope("/team")
            .wrap(login_required())
            .service(
                web::scope("/keys")
                    .wrap(fresh_login_required())
                    .route("", web::get().to(page)),
            )
            .service(web::scope("/{team:[a-z]+}").service((member, invite))),
    );
    routes.service(
        web::resource("/items/{id:\\d{4}}")
            .route(web::get().to(page).wrap(public()))
            .route(web::put().to(guarded(page)).wrap(login_required())),
    );
    routes.service(web::resource("/ping").wrap(public()).to(page));
    let version = |number| guard::Header("x-version", number);
    routes.service(
        web::resource("/versions")
            .route(web::get().guard(version("1")).to(page).wrap(public()))
            .route(
                web::get()
                    .guard(version("2"))
                    .to(page)
                    .wrap(login_required()),
            ),
    );
    for (host, open) in [("a.test", true), ("b.test", false)] {
        let scope = web::scope("/tenant").guard(guard::Host(host));
        let scope = scope.route("/page", web::get().to(page));
        match open {
            true => routes.service(scope.wrap(public())),
            false => routes.service(scope.wrap(login_required())),
        };
    }
    routes.service(web::scope("/static").wrap(public()).service(files("")));
    routes.service(
        web::scope("/help")
            .default_service(web::to(page).wrap(public()))
            .route("/contact", web::get().to(page).wrap(login_required())),
    );
    routes.service(
        web::scope("/slow")
            .wrap(routes_behind(from_fn(wait)))
            .service(account),
    );
    routes.configure(strict(|routes| {
        routes.route("/strict/{id}", web::delete(), guarded(page));
    }));
    routes.external_resource("docs", "https://docs.test/{page}");
}

/// What does not.
fn undeclared(routes: &mut ServiceConfig) {
    routes.service((overlooked, below));
    routes.service(
        web::scope("/outer")
            .service(web::scope("/inner").route("/page", web::post().to(page)))
            .service(files("/files")),
    );
    routes.service(
        web::resource("/mixed")
            .route(web::get().to(page).wrap(public()))
            .route(web::delete().to(page)),
    );
    routes.service(
        web::resource("/rest")
            .route(web::get().to(page).wrap(public()))
            .route(web::to(page)),
    );
    routes.service(web::scope("/silent").wrap(from_fn(wait)).service(account));
    routes.service(
        web::scope("/lazy")
            .wrap(routes_behind(from_fn(wait)))
            .service(overlooked),
    );
}

fn zoo(routes: &mut ServiceConfig) {
    declared(routes);
    undeclared(routes);
}

fn managed(users: &Users) -> LoginManagerBuilder {
    manager(users).0.user_loader(load_admin)
}

async fn audit_of(routes: impl FnOnce(&mut ServiceConfig)) -> Audit {
    let app = app(managed(&Users::new()).build(key()).unwrap(), routes).await;
    audit(&app).await.unwrap()
}

/// What an assertion says when it fails.
fn failure(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("passed");
    *panic.downcast::<String>().unwrap()
}

/// Whether the reviewed file is being written, and not compared.
fn is_update() -> bool {
    std::env::var_os("UPDATE_AUDIT").is_some()
}

/// Where a line of this file is.
fn here(text: &str) -> String {
    let line = include_str!("zoo.rs")
        .lines()
        .position(|line| line.contains(text))
        .unwrap();
    format!("it/zoo.rs:{}", line + 1)
}

#[actix_web::test]
async fn the_audit_lists_every_route_with_its_decision() {
    assert_reviewed(&audit_of(declared).await, "it/zoo.txt");
    assert_eq!(
        audit_of(undeclared).await.to_string(),
        "\
METHOD  ROUTE              WHO         HANDLER
GET     /below             UNDECLARED  below
GET     /lazy/overlooked   UNDECLARED  overlooked
DELETE  /mixed             UNDECLARED
GET     /mixed             public
*       /outer/files       UNDECLARED
POST    /outer/inner/page  UNDECLARED
GET     /overlooked        UNDECLARED  overlooked
*       /rest              UNDECLARED
GET     /rest              public
GET     /silent/account    UNDECLARED  account
note: the login view `/login` leads to no route
"
    );
}

#[actix_web::test]
async fn a_route_that_declares_nothing_fails_the_test_with_its_name_and_file() {
    let audit = audit_of(|routes| {
        declared(routes);
        routes.service(overlooked);
        routes.service(web::scope("/added").route("/later", web::post().to(page)));
    })
    .await;
    let said = failure(|| assert_reviewed(&audit, "it/zoo.txt"));
    for expected in [
        format!("  GET /overlooked in {}\n", here("#[get(\"/overlooked\")]")),
        format!("  POST /added/later in {}\n", here("route(\"/later\"")),
    ] {
        assert!(said.contains(&expected), "{expected}{said}");
    }
}

#[actix_web::test]
async fn a_route_that_is_new_or_gone_shows_up_in_the_difference() {
    if is_update() {
        return;
    }
    let audit = audit_of(|routes| {
        declared(routes);
        routes.route("/new", web::post().to(page).wrap(public()));
    })
    .await;
    let said = failure(|| assert_reviewed(&audit, "it/zoo.txt"));
    assert!(said.contains("+ POST    /new "), "{said}");
    assert!(!said.contains("\n- "), "{said}");
    let fewer = audit_of(|routes| {
        routes.service((home, login_page));
    })
    .await;
    let said = failure(|| assert_reviewed(&fewer, "it/zoo.txt"));
    assert!(said.contains("- POST    /login "), "{said}");
    let said = failure(|| assert_reviewed(&audit, "it/no-such.txt"));
    assert!(said.contains("UPDATE_AUDIT=1"), "{said}");
}

#[actix_web::test]
async fn public_routes_that_change_something_stand_out() {
    let audit = audit_of(declared).await;
    let routes: Vec<_> = audit
        .public_and_unsafe()
        .map(|route| format!("{} {}", route.method, route.pattern))
        .collect();
    assert_eq!(
        routes,
        [
            "* /help/{default}",
            "POST /login",
            "* /ping",
            "POST /search",
            "* /static"
        ]
    );
}

#[actix_web::test]
async fn the_audit_is_json_too() {
    let audit = audit_of(|routes| {
        routes.service((change_password, overlooked));
        routes.route("/open", web::to(page).wrap(public()));
    })
    .await;
    let json: serde_json::Value = serde_json::from_str(&audit.to_json()).unwrap();
    let expected = serde_json::json!([
        { "method": "POST", "pattern": "/account/password", "who": "fresh(10m)", "handler": "change_password" },
        { "method": "*", "pattern": "/open", "who": "public" },
        { "method": "GET", "pattern": "/overlooked", "who": "undeclared", "handler": "overlooked" },
    ]);
    assert_eq!(json, expected);
}

#[actix_web::test]
async fn an_audit_runs_no_handler_that_is_found_by_its_method() {
    async fn run() -> &'static str {
        panic!("this handler ran")
    }
    let audit = audit_of(|routes| {
        for (path, method) in [("/a", web::get()), ("/b", web::delete())] {
            routes.route(path, method.to(run));
        }
        routes.route("/c", web::to(run));
        routes.route("/d", web::to(run).wrap(public()));
        routes.service(web::resource("/e").wrap(public()).post(run));
    })
    .await;
    assert_eq!(audit.routes().len(), 5);
}

#[actix_web::test]
async fn what_the_audit_cannot_see_is_undeclared_until_somebody_looks() {
    fn weekday(_: &guard::GuardContext<'_>) -> bool {
        false
    }
    let routes = |routes: &mut ServiceConfig| {
        let route = web::get().guard(guard::fn_guard(weekday)).to(page);
        routes.route("/sometimes", route.wrap(public()));
        routes.route("/codes/{code:[X-Z]{7}}", web::get().to(page).wrap(public()));
        routes.route("/{any}", web::get().to(page).wrap(public()));
    };
    let app = app(managed(&Users::new()).build(key()).unwrap(), routes).await;
    let unseen = audit(&app).await.unwrap();
    let unseen: Vec<_> = unseen.undeclared().map(|route| &*route.pattern).collect();
    assert_eq!(unseen, ["/codes/{code:[X-Z]{7}}", "/sometimes"]);
    let audit = Auditor::new()
        .example("/codes/{code:[X-Z]{7}}", "/codes/XYZXYZX")
        .reviewed_guard("weekday")
        .audit(&app)
        .await
        .unwrap();
    assert_eq!(audit.undeclared().count(), 0, "{audit}");
}

#[actix_web::test]
async fn a_path_that_leads_elsewhere_is_no_example() {
    let audit = audit_of(|routes| {
        let digits = web::resource("/users/{id:\\d+}").get(page).wrap(public());
        routes
            .service(digits)
            .route("/users/{name}", web::get().to(page));
    })
    .await;
    let undeclared: Vec<_> = audit.undeclared().map(|route| &*route.pattern).collect();
    assert_eq!(undeclared, ["/users/{name}"]);
}

#[actix_web::test]
async fn without_a_manager_there_is_no_audit() {
    let app = init_service(actix_web::App::new().configure(zoo)).await;
    let error = audit(&app).await.unwrap_err();
    assert!(error.to_string().contains("no login manager"), "{error}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Anonymous,
    User,
    Stale,
    Admin,
    Inactive,
    Deleted,
}

use Client::{Anonymous, Deleted, Inactive, Stale};

const CLIENTS: [Client; 6] = [
    Anonymous,
    Client::User,
    Stale,
    Client::Admin,
    Inactive,
    Deleted,
];

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
];

impl Client {
    fn is_somebody(self) -> bool {
        !matches!(self, Anonymous | Inactive | Deleted)
    }

    /// What a guard answers instead of the page.
    fn refused_by(self, guard: &str) -> Option<u16> {
        let is_asked_for = match guard.contains("user = Admin") {
            true => self == Self::Admin,
            false => matches!(self, Self::User | Stale),
        };
        match self {
            _ if !is_asked_for => Some(303),
            Stale if guard.starts_with("fresh") => Some(401),
            _ => None,
        }
    }

    /// What this client is answered instead of the page.
    fn refused(self, decision: &Decision) -> Option<u16> {
        match decision {
            Decision::Public => None,
            Decision::Guarded(guards) => guards.iter().find_map(|guard| self.refused_by(guard)),
            _ => (!self.is_somebody()).then_some(303),
        }
    }
}

/// Browsers of all clients.
async fn browsers<'a, S, B>(app: &'a S, users: &Users) -> Vec<Browser<'a, S>>
where
    S: actix_web::dev::Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let mut browsers = Vec::new();
    for client in CLIENTS {
        let browser = Browser::new(app);
        users.put(User::new(2, "ben"));
        users.put(User::new(4, "dee"));
        match client {
            Anonymous => {}
            Client::User => browser.log_in(User::new(1, "ada")).await,
            Stale => browser.log_in(User::new(1, "ada")).stale().await,
            Client::Admin => browser.log_in(Admin::new("root")).await,
            Inactive => browser.log_in(User::new(2, "ben")).await,
            Deleted => browser.log_in(User::new(4, "dee")).await,
        }
        browsers.push(browser);
    }
    users.change(2, |ben| ben.is_active = false);
    users.delete(4);
    browsers
}

/// A path for a pattern of the zoo.
fn path_of(pattern: &str) -> String {
    if pattern == "/static" || pattern == "/outer/files" {
        return format!("{pattern}/guards/not-async.rs");
    }
    pattern
        .replace("{team:[a-z]+}", "a")
        .replace("{id:\\d{4}}", "1234")
        .replace("{name}", "x")
        .replace("{id}", "7")
        .replace("{default}", "nowhere")
}

#[actix_web::test]
async fn every_answer_is_the_one_that_the_audit_foretells() {
    let users = Users::new();
    let denying = managed(&users).deny_by_default().build(key()).unwrap();
    let denying = app(denying, zoo).await;
    let plain = app(managed(&users).build(key()).unwrap(), zoo).await;
    let report = audit(&denying).await.unwrap();
    assert_eq!(report, audit(&plain).await.unwrap());
    let denied = browsers(&denying, &users).await;
    let usual = browsers(&plain, &users).await;

    let mut places: Vec<_> = report
        .routes()
        .iter()
        .map(|route| (route.pattern.as_str(), route.condition.as_deref()))
        .collect();
    places.dedup();
    let mut wrong = String::new();
    let mut asked = 0;
    for (pattern, condition) in places {
        for method in METHODS {
            let at = |name: &str| {
                report.routes().iter().find(|route| {
                    route.pattern == pattern
                        && route.condition.as_deref() == condition
                        && route.method == name
                })
            };
            let route = at(method.as_str()).or_else(|| at("*"));
            for (client, (denied, usual)) in CLIENTS.iter().zip(denied.iter().zip(&usual)) {
                let path = path_of(pattern);
                let (name, value) = condition
                    .and_then(|condition| condition.split_once(": "))
                    .unwrap_or(("x-none", "none"));
                let found = denied
                    .copy()
                    .ask(method.clone(), &path)
                    .header(name, value)
                    .await
                    .status();
                let usual = usual
                    .copy()
                    .ask(method.clone(), &path)
                    .header(name, value)
                    .await
                    .status();
                // Where no route is, the nearest default service answers, if it is declared.
                let default = report.routes().iter().filter(|route| {
                    let scope = route.pattern.strip_suffix("{default}");
                    scope.is_some_and(|scope| pattern.starts_with(scope))
                });
                let route_or_default =
                    route.or_else(|| default.max_by_key(|route| route.pattern.len()));
                let expected = match route_or_default {
                    Some(route) => client.refused(&route.decision).unwrap_or(usual),
                    None if client.is_somebody() => usual,
                    // Declared as a whole, under a condition.
                    None if pattern.starts_with("/tenant") => usual,
                    // The login view does not send clients to itself.
                    None if pattern == "/login" => 401,
                    None => 303,
                };
                asked += 1;
                if found != expected {
                    writeln!(
                        wrong,
                        "{method} {path} {condition:?} {client:?}: {found}, not {expected}"
                    )
                    .unwrap();
                }
                if let Some(route) = route
                    && route.decision != Decision::Undeclared
                    && client.refused(&route.decision).is_none()
                    && !pattern.ends_with("{default}")
                    && matches!(usual, 303 | 401 | 404)
                {
                    writeln!(wrong, "{method} {path} {client:?} should pass: {usual}").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}{report}");
    assert!(asked > 1000, "{asked}");

    for path in [
        "/nowhere",
        "/outer/nowhere",
        "/items/x",
        "/static/nowhere",
        "/team/nowhere",
        "/help/nowhere",
    ] {
        for (denied, usual) in denied.iter().zip(&usual) {
            let answers = (denied.copy().get(path).await, usual.copy().get(path).await);
            assert_eq!(answers.0.status(), answers.1.status(), "{path}");
        }
    }
}

#[actix_web::test]
async fn a_public_route_for_every_method_is_listed_next_to_a_guarded_one() {
    let audit = audit_of(|routes| {
        let guarded_get = || web::get().to(page).wrap(login_required());
        let open = || web::to(page);
        let resource = |path| web::resource(path).route(guarded_get());
        routes.service(resource("/own").route(open().wrap(public())));
        routes.service(resource("/default").default_service(open().wrap(public())));
        let inner = resource("/inner").route(open());
        let closed = resource("/closed");
        let scope = web::scope("/open").wrap(public());
        routes.service(scope.service((inner, closed)));
        routes.default_service(open().wrap(public()));
    })
    .await;
    let open: Vec<_> = audit.public_and_unsafe().map(|r| &*r.pattern).collect();
    assert_eq!(
        open,
        ["/default", "/open/inner", "/own", "{default}"],
        "{audit}"
    );
}

#[actix_web::test]
async fn a_route_behind_two_headers_is_listed() {
    let header = |name| guard::Header(name, "1");
    let both = || web::get().guard(header("x-a")).guard(header("x-b"));
    let audit = audit_of(|routes| {
        routes.route("/alone", both().to(page));
        routes.service(
            web::resource("/shared")
                .route(both().to(page).wrap(public()))
                .route(web::get().to(page).wrap(login_required())),
        );
        let mut many = web::get();
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
            many = many.guard(header(name));
        }
        routes.route("/many", many.to(page).wrap(public()));
    })
    .await;
    assert_eq!(
        audit.to_string(),
        "\
METHOD  ROUTE                     WHO         HANDLER
GET     /alone                    UNDECLARED
*       /many [too many headers]  UNDECLARED
GET     /shared                   login
GET     /shared [x-a: 1, x-b: 1]  public
note: the login view `/login` leads to no route
"
    );
}

#[actix_web::test]
async fn a_function_among_guards_is_not_overlooked() {
    fn hidden(_: &guard::GuardContext<'_>) -> bool {
        false
    }
    let audit = audit_of(|routes| {
        let all = guard::All(guard::Get()).and(guard::fn_guard(hidden));
        let any = guard::Any(guard::Get()).or(guard::fn_guard(hidden));
        let guarded_get = || web::get().to(page).wrap(login_required());
        for (path, route) in [
            ("/all", web::route().guard(all)),
            ("/any", web::route().guard(any)),
        ] {
            let route = route.to(page).wrap(public());
            routes.service(web::resource(path).route(route).route(guarded_get()));
        }
    })
    .await;
    let unseen: Vec<_> = audit.undeclared().map(|r| &*r.pattern).collect();
    assert_eq!(unseen, ["/all", "/any"], "{audit}");
}
