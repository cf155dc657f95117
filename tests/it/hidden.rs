//! Middleware between the login manager and the routes, which may hide what the routes declare.

use login_runtime::test::strict::{Rule, tolerate};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use actix_web::{
    App as ActixApp, Error, Responder,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    get,
    middleware::{Compat, DefaultHeaders, Logger, Next, NormalizePath, from_fn},
    post,
    test::init_service,
    web::{self, ServiceConfig},
};
use login_runtime::{
    Auth, CookieSettings, CurrentUser, LoginError, RememberCookie, Verified,
    audit::audit,
    config::LoginManagerBuilder,
    events::LoginEvent,
    guards::routes_behind,
    login_required, public,
    test::{Browser, assert_reviewed},
};
use login_tests::{User, Users, key, manager};

#[public]
#[get("/public")]
async fn open_page() -> impl Responder {
    "public"
}

#[public]
#[post("/login")]
async fn log_in(auth: Auth<User>) -> Result<impl Responder, LoginError> {
    auth.log_in(Verified::trust(User::new(1, "ada"), "test"))
        .await?;
    Ok("logged in")
}

#[login_required]
#[get("/mine")]
async fn mine(user: CurrentUser<User>) -> impl Responder {
    user.name.clone()
}

async fn page() -> impl Responder {
    "page"
}

fn routes(routes: &mut ServiceConfig) {
    routes.service((open_page, log_in, mine));
    routes.route("/undeclared", web::get().to(page));
}

/// Middleware that calls the routes, but only when it is polled.
async fn pass_on(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

/// The events about undeclared and hidden routes.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn denying() -> (LoginManagerBuilder, Reports) {
    let reports = Reports::default();
    let report = reports.clone();
    let builder = manager(&Users::new()).0.deny_by_default();
    let builder = builder.on_event(move |event, _| {
        if let LoginEvent::UndeclaredRoute {
            pattern,
            middleware,
            ..
        }
        | LoginEvent::HiddenRoute {
            pattern,
            middleware,
            ..
        } = event
        {
            let line = format!("{} {pattern} {middleware:?}", event.name());
            report.0.lock().unwrap().push(line);
        }
    });
    (builder, reports)
}

/// A manager whose logins are not in the session, of which a request has only one.
fn outer() -> (LoginManagerBuilder, Reports) {
    let (builder, reports) = denying();
    (builder.login_cookie(CookieSettings::new()), reports)
}

/// Gives a manager other cookies than those of the manager around it.
fn inner(builder: LoginManagerBuilder) -> LoginManagerBuilder {
    let remember = RememberCookie::new().cookie(CookieSettings::new().name("inner-remember"));
    let session = CookieSettings::new().name("inner");
    let login = CookieSettings::new().name("inner-login");
    let builder = builder.session_cookie(session).remember_cookie(remember);
    builder.login_cookie(login)
}

/// An application with this middleware between the manager and the routes.
macro_rules! behind {
    ($manager:expr, $($middleware:expr),*) => {
        init_service(
            ActixApp::new()
                .configure(routes)
                $(.wrap($middleware))*
                .wrap(Compat::new($manager)),
        )
        .await
    };
}

#[actix_web::test]
async fn the_report_of_a_closed_page_names_the_middleware_that_may_hide_it() {
    let (builder, reports) = denying();
    let app = behind!(
        builder.build(key()).unwrap(),
        from_fn(pass_on),
        Logger::default()
    );
    assert_eq!(Browser::new(&app).get("/public").await.status(), 303);
    let reports = reports.take();
    let [report] = &*reports else {
        panic!("{reports:?}")
    };
    assert!(
        report.starts_with("undeclared_route /public Some("),
        "{report}"
    );
    assert!(report.contains("it::hidden::pass_on"), "{report}");
    assert!(!report.contains("Logger"), "{report}");
}

#[actix_web::test]
async fn a_declared_page_that_middleware_hides_is_reported_when_a_user_comes_to_it() {
    let (builder, reports) = denying();
    let manager = builder.build(key()).unwrap();
    let in_scope = web::scope("/slow").wrap(from_fn(pass_on)).service(mine);
    let in_scope = ActixApp::new().wrap(Compat::new(manager)).service(in_scope);
    let app = init_service(in_scope).await;
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/slow/mine").await.status(), 303);
    browser.log_in(User::new(1, "ada")).await;
    for _ in 0..2 {
        assert_eq!(browser.get("/slow/mine").await.text(), "ada");
    }
    let expected = [
        "undeclared_route /slow/mine None",
        "hidden_route /slow/mine None",
    ];
    assert_eq!(reports.take(), expected);
}

#[actix_web::test]
async fn the_audit_names_the_middleware_and_says_what_to_do() {
    let manager = || denying().0.build(key()).unwrap();
    let hidden = audit(&behind!(manager(), from_fn(pass_on))).await.unwrap();
    assert_eq!(hidden.undeclared().count(), hidden.routes().len());
    let by = hidden.hidden_by().unwrap();
    assert!(by.contains("it::hidden::pass_on"), "{by}");
    let text = hidden.to_string();
    let note = text.lines().last().unwrap();
    assert!(note.contains("it::hidden::pass_on"), "{note}");
    assert!(note.contains("routes_behind"), "{note}");
    let failed = catch_unwind(AssertUnwindSafe(|| assert_reviewed(&hidden, "it/zoo.txt")));
    let said = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains(note), "{said}");

    let seen = audit(&behind!(manager(), DefaultHeaders::new()))
        .await
        .unwrap();
    assert_eq!((seen.hidden_by(), seen.undeclared().count()), (None, 1));
    assert!(!seen.to_string().contains("note:"), "{seen}");
    let seen = audit(&behind!(manager(), routes_behind(from_fn(pass_on)))).await;
    let seen = seen.unwrap();
    assert_eq!((seen.hidden_by(), seen.undeclared().count()), (None, 1));
}

#[actix_web::test]
async fn middleware_that_calls_the_routes_at_once_hides_nothing() {
    let (builder, reports) = denying();
    let at_once = from_fn(|request, next: Next<_>| next.call(request));
    let app = behind!(
        builder.build(key()).unwrap(),
        NormalizePath::trim(),
        at_once
    );
    let browser = Browser::new(&app);
    assert_eq!(browser.get("/public").await.text(), "public");
    assert_eq!(browser.get("/undeclared").await.status(), 303);
    assert_eq!(reports.take().len(), 1);
}

/// Asserts that declared routes are open and others closed.
macro_rules! is_open_where_declared {
    ($app:expr) => {
        let app = $app;
        let browser = Browser::new(&app);
        assert_eq!(browser.get("/public").await.text(), "public");
        assert_eq!(browser.get("/mine").await.status(), 303);
        assert_eq!(browser.get("/undeclared").await.status(), 303);
        assert_eq!(browser.post("/login").await.text(), "logged in");
        assert_eq!(browser.get("/mine").await.text(), "ada");
        assert_eq!(browser.get("/undeclared").await.text(), "page");
    };
}

#[actix_web::test]
async fn two_managers_around_the_same_routes_close_only_what_is_undeclared() {
    let _known = tolerate(
        &[Rule::Prefix],
        "",
        "the application chose the cookies' names",
    );
    let outer = || outer().0.build(key()).unwrap();
    let denies = || inner(denying().0).build(key()).unwrap();
    let plain = || inner(manager(&Users::new()).0).build(key()).unwrap();
    is_open_where_declared!(behind!(outer(), denies()));
    is_open_where_declared!(behind!(outer(), plain()));
    is_open_where_declared!(behind!(plain(), outer()));
    let whole = ActixApp::new().service(web::scope("").configure(routes).wrap(denies()));
    is_open_where_declared!(init_service(whole.wrap(outer())).await);
    let whole = ActixApp::new().service(web::scope("").configure(routes).wrap(plain()));
    is_open_where_declared!(init_service(whole.wrap(outer())).await);
}

#[actix_web::test]
async fn a_declaration_around_the_inner_manager_counts_inside_it() {
    let (builder, reports) = outer();
    let inner = inner(manager(&Users::new()).0).build(key()).unwrap();
    let scope = web::scope("/open").route("/page", web::get().to(page));
    let scope = scope.wrap(inner).wrap(public());
    let app = ActixApp::new().service(scope);
    let app = init_service(app.wrap(builder.build(key()).unwrap())).await;
    assert_eq!(Browser::new(&app).get("/open/page").await.text(), "page");
    assert_eq!(reports.take(), [""; 0]);
}

#[actix_web::test]
async fn the_audit_sees_the_routes_behind_two_managers() {
    let outer = outer().0.build(key()).unwrap();
    let inner = inner(denying().0);
    let one = audit(&behind!(outer.clone(),)).await.unwrap();
    let two = audit(&behind!(outer, inner.build(key()).unwrap())).await;
    assert_eq!(one.to_string(), two.unwrap().to_string());
}
